//! The proof of a conversation, at the paths that the programs were seen to write.

use std::fs;
use std::path::Path;

use ao_program::Environment;
use ao_session::harness::Conversation;

use super::{built_in, environment};

const ID: &str = "90db6ce3-bc5c-4dbc-bb09-c35da71c7fc9";

/// Name, variable of the directory, the directory in the home directory, and the file in it.
const RECORDED: &[(&str, &str, &str, &str)] = &[
    ("claude-code", "CLAUDE_CONFIG_DIR", ".claude", "projects/-repo-demo-wt/{id}.jsonl"),
    ("codex", "CODEX_HOME", ".codex", "sessions/2026/11/28/rollout-2026-11-28T17-23-11-{id}.jsonl"),
    ("copilot", "COPILOT_HOME", ".copilot", "session-state/{id}/events.jsonl"),
    ("gemini", "", ".gemini", "tmp/wt/chats/session-2026-11-28T17-27-90db6ce3.jsonl"),
    ("pi", "", ".pi", "agent/sessions/--repo-demo-wt--/2026-11-28T17-25-35-739Z_{id}.jsonl"),
    ("qwen", "QWEN_HOME", ".qwen", "projects/-repo-demo-wt/chats/{id}.jsonl"),
];

fn write(dir: &Path, file: &str) {
    let path = dir.join(file.replace("{id}", ID));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "{}\n").unwrap();
}

#[test]
fn a_conversation_is_found_where_its_program_keeps_it() {
    let all = built_in();
    let proven = all.iter().filter(|row| row.can_resume()).count();
    assert_eq!(proven, RECORDED.len(), "each proof is tested with a recorded path");
    for (name, variable, folder, file) in RECORDED {
        let (home, moved) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let exists =
            |environment: &Environment| all.get(name).unwrap().conversation(ID, environment);
        let plain = environment(&[("HOME", home.path())]);
        assert_eq!(exists(&plain), Conversation::Missing, "{name}");
        write(&home.path().join(folder), file);
        assert_eq!(exists(&plain), Conversation::Exists, "{name}");
        let other = "00000000-bc5c-4dbc-bb09-c35da71c7fc9";
        let missing = all.get(name).unwrap().conversation(other, &plain);
        assert_eq!(missing, Conversation::Missing, "{name}");
        if !variable.is_empty() {
            let elsewhere = environment(&[("HOME", home.path()), (variable, moved.path())]);
            assert_eq!(exists(&elsewhere), Conversation::Missing, "{name}");
            write(moved.path(), file);
            assert_eq!(exists(&elsewhere), Conversation::Exists, "{name}");
        }
    }
    let nowhere = all.get("qwen").unwrap().conversation(ID, &environment(&[]));
    assert_eq!(nowhere, Conversation::Unknown);
}
