//! What recorded payloads of real programs mean: each gives the state that its name says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use ao_session::harness::Harnesses;
use ao_store::Timestamp;
use ao_store::activity::{Activity, Evidence, Source, State, reduce};
use serde_json::{Value, json};

use super::{assert_golden, built_in, recorded};

/// The activity after the payload of an event, when nothing was reported before.
fn after(harness: &str, event: &str, payload: &Value) -> Option<Activity> {
    let all = Harnesses::load(None).unwrap();
    let heard = all.get(harness).unwrap().hooks().unwrap().read(event, payload);
    let at = Timestamp(1_000);
    let evidence = Evidence { source: Source::Hook, at, seen: None, signal: heard.signal? };
    reduce(&State::default(), &evidence, at).map(|state| state.activity)
}

/// What the name of an event means, in whichever program.
fn expected(event: &str, kind: &str) -> Option<Activity> {
    let lower = event.to_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    match kind {
        "idle_prompt" => return Some(Activity::Idle),
        "auth_success" => return None,
        "permission_prompt" | "ToolPermission" => return Some(Activity::Waiting),
        _ => {}
    }
    if is(&["sessionend", "precompress"]) {
        None
    } else if is(&["permissionrequest"]) {
        // Of this program it comes before the rules decide.
        (event != "permissionRequest").then_some(Activity::Waiting)
    } else if is(&["permissionresult"]) {
        None
    } else if is(&["stopfailure", "erroroccurred"]) {
        Some(Activity::Blocked)
    } else if is(&["stop", "interrupt", "afteragent", "post_agent", "taskcomplete", "sessionstart"])
    {
        Some(Activity::Idle)
    } else {
        Some(Activity::Active)
    }
}

#[test]
fn each_recorded_payload_gives_the_state_that_its_name_says() {
    let Some(root) = recorded() else { return };
    let all = Harnesses::load(None).unwrap();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for harness in all.iter().filter(|harness| harness.hooks().is_some()) {
        for version in fs::read_dir(root.join(harness.name())).unwrap().map(Result::unwrap) {
            let hooks = version.path().join("hooks");
            for file in fs::read_dir(hooks).into_iter().flatten().map(Result::unwrap) {
                let name = file.file_name().into_string().unwrap();
                let mut parts = name.trim_end_matches(".json").splitn(2, '.');
                let (event, kind) = (parts.next().unwrap(), parts.next().unwrap_or_default());
                let payload = serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap();
                let found = after(harness.name(), event, &payload);
                assert_eq!(found, expected(event, kind), "{}: {name}", harness.name());
                *seen.entry(harness.name().to_owned()).or_default() += 1;
            }
        }
    }
    assert!(seen.len() >= 8 && seen.values().all(|count| *count > 2), "{seen:?}");
}

#[test]
fn one_tool_call_has_one_identity_in_all_its_events() {
    let all = Harnesses::load(None).unwrap();
    let read = |harness: &str, event: &str, payload: Value| {
        all.get(harness).unwrap().hooks().unwrap().read(event, &payload)
    };
    let tool = json!({"tool_name": "Bash", "tool_input": {"command": "touch x"}});
    let asked = read("claude-code", "PermissionRequest", tool.clone()).signal.unwrap();
    let ended = read("claude-code", "PostToolUse", tool).signal.unwrap();
    let state = |activity| State { activity, at: Timestamp(1), ..State::default() };
    let at = Timestamp(2);
    let evidence = |signal| Evidence { source: Source::Hook, at, seen: None, signal };
    let waiting = reduce(&state(Activity::Active), &evidence(asked), at).unwrap();
    assert!(!waiting.call.is_empty());
    let other = json!({"tool_name": "Bash", "tool_input": {"command": "touch y"}});
    let other = read("claude-code", "PostToolUse", other).signal.unwrap();
    assert_eq!(reduce(&waiting, &evidence(other), at), None);
    assert_eq!(reduce(&waiting, &evidence(ended), at).unwrap().activity, Activity::Active);
    // The description is only in the request.
    let request = json!({"tool_name": "Bash", "tool_input": {"command": "a", "description": "d"}});
    let result = json!({"tool_name": "Bash", "tool_input": {"command": "a"}});
    let asked = read("codex", "PermissionRequest", request).signal.unwrap();
    let ended = read("codex", "PostToolUse", result).signal.unwrap();
    let waiting = reduce(&state(Activity::Active), &evidence(asked), at).unwrap();
    assert!(reduce(&waiting, &evidence(ended), at).is_some());
}

#[test]
fn a_prompt_is_read_from_whatever_shape_it_has() {
    let all = Harnesses::load(None).unwrap();
    let read = |harness: &str, event: &str, payload: Value| {
        all.get(harness).unwrap().hooks().unwrap().read(event, &payload)
    };
    let parts =
        json!({"session_id": "s", "prompt": [{"type": "text", "text": "a"}, {"text": "b"}]});
    let heard = read("kimi", "UserPromptSubmit", parts);
    assert_eq!((heard.prompt.as_deref(), heard.native_id.as_str()), (Some("a\nb"), "s"));
    let heard = read("claude-code", "UserPromptSubmit", json!({"prompt": "x"}));
    assert_eq!((heard.prompt.as_deref(), heard.native_id.as_str()), (Some("x"), ""));
    for payload in [json!(null), json!([]), json!("text"), json!({"prompt": {"deep": [1]}})] {
        let _ = read("claude-code", "UserPromptSubmit", payload);
    }
    assert_eq!(read("claude-code", "Unheard", json!({})).signal, None);
}

/// What each program is given so that it runs its hooks: nothing else is written anywhere.
#[test]
fn each_row_installs_its_hooks_as_expected() {
    let mut text = String::new();
    for harness in built_in().iter() {
        let Some(hooks) = harness.hooks() else { continue };
        writeln!(text, "[{}]", harness.name()).unwrap();
        let Some(installed) =
            hooks.install(harness.name(), "'/bin/ao-store' 'hook'", Duration::ZERO)
        else {
            writeln!(text, "installed by the user").unwrap();
            continue;
        };
        for word in &installed.args {
            writeln!(text, "argument: {word}").unwrap();
        }
        for (name, value) in &installed.environment {
            writeln!(text, "variable: {name}={value}").unwrap();
        }
        for (name, content) in &installed.files {
            writeln!(text, "file: {name}: {content}").unwrap();
        }
        if !hooks.reply().is_empty() {
            writeln!(text, "reply: {}", hooks.reply()).unwrap();
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/harness/hooks.txt");
    assert_golden(&file, &text);
}
