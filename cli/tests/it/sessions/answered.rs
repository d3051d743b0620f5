//! Answers through the hook of an agent, which waits for one.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::sessions::Lab;
use crate::sessions::hooks::hook;
use crate::sessions::lab::{set_executable, wait_until};
use crate::support::text;

/// Asks for a permission through its hook, and notes what that printed.
const AGENT: &str = "#!/bin/sh
printf '%s' '{\"tool_name\": \"Bash\", \"tool_input\": {\"command\": \"touch made\"}}' |
  sh ./hooks.sh > \"$AO_DATA_DIR/part\"
echo \"status $?\" >> \"$AO_DATA_DIR/part\"
mv \"$AO_DATA_DIR/part\" \"$AO_DATA_DIR/got\"
exec sleep 100000
";

const ROW: &str = r##"
[hooked]
label = "Hooked"
programs = ["hooked"]
places = ["PLACE"]
start = []
prompt = "argument"

[hooked.hooks]
call = ["tool_name", "tool_input"]
events = [{ on = "Ask", says = "permission", tool = "tool_name", text = ["tool_input.command"] }]
answers = { on = "Ask", allow = '{"do": "it"}', deny = '{"do": "nothing"}' }
install = { file = "hooks.sh", text = "{events}", event = "# {timeout}\n{shell}\n" }
"##;

const CALL: &str = r#"{"tool_name": "Bash", "tool_input": {"command": "touch made"}}"#;

/// A lab with a harness whose hook waits for this time.
fn lab(time: &str) -> Lab {
    let lab = Lab::new();
    let program = lab.env.file("hooked", AGENT);
    set_executable(Path::new(&program));
    let folder = lab.env.path("home/.config/ao-store");
    fs::create_dir_all(&folder).unwrap();
    let row = ROW.replace("PLACE", text(&lab.env.path("")).trim_end_matches('/'));
    fs::write(folder.join("harnesses.toml"), row).unwrap();
    fs::write(folder.join("config.toml"), format!("hook_answers = \"{time}\"\n")).unwrap();
    lab
}

fn spawn(lab: &Lab) {
    lab.ok(&["spawn", "--project", "demo", "--harness", "hooked"]);
}

fn wait_for_hook(lab: &Lab) {
    wait_until("the hook", || {
        lab.sql("SELECT count(*) FROM decision WHERE hook_ends_at IS NOT NULL") == "1"
    });
}

/// What the agent got from its hook.
fn got(lab: &Lab) -> String {
    let file = lab.env.path("data/got");
    wait_until("the end of the hook", || file.exists());
    fs::read_to_string(file).unwrap()
}

fn resolution(lab: &Lab) -> String {
    lab.sql("SELECT resolution || '/' || answer FROM decision")
}

/// A hook that asks for a permission of the session, as a child of the test.
fn asking_hook(lab: &Lab) -> Child {
    let launch = lab.sql("SELECT launch_id FROM session");
    let mut command = lab.command(&["hook", "hooked", "Ask"]);
    command.env("AO_SESSION_ID", "demo-1").env("AO_LAUNCH_ID", launch);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(CALL.as_bytes()).unwrap();
    child
}

#[test]
fn an_answer_goes_to_the_hook_that_waits() {
    for (flag, answer, printed) in
        [("--allow", "allow", r#"{"do": "it"}"#), ("--deny", "deny", r#"{"do": "nothing"}"#)]
    {
        let lab = lab("1h");
        spawn(&lab);
        wait_for_hook(&lab);
        let hooks = fs::read_to_string(lab.worktree("demo-1").join("hooks.sh")).unwrap();
        assert!(hooks.starts_with("# 3610\n"), "{hooks}");
        lab.refused(&["session", "answer", "demo-1", "some text"], 5, "ANSWER_NOT_POSSIBLE");
        let document = lab.ok(&["session", "answer", "demo-1", flag, "--json"]);
        let document: Value = serde_json::from_str(&document).unwrap();
        crate::documented::check("session.answer", &document["data"]);
        assert_eq!(document["data"]["resolution"], "answered");
        assert_eq!(document["data"]["answer"], answer);
        assert_eq!(got(&lab), format!("{printed}\nstatus 0\n"));
        assert_eq!(lab.get("demo-1")["activity"], "active");
        lab.refused(&["session", "answer", "demo-1", flag], 5, "DECISION_NOT_OPEN");
        let log = fs::read_to_string(lab.env.path("data/run/hook.log")).unwrap_or_default();
        assert_eq!(log, "");
        lab.check_no_orphan();
    }
}

#[test]
fn a_hook_waits_only_where_the_configuration_says_so() {
    let lab = lab("0s");
    spawn(&lab);
    assert_eq!(got(&lab), "status 0\n");
    assert_eq!(lab.sql("SELECT count(*) FROM decision WHERE hook_ends_at IS NULL"), "1");
    lab.refused(&["session", "answer", "demo-1", "--allow"], 5, "ANSWER_NOT_POSSIBLE");
}

#[test]
fn without_an_answer_a_hook_decides_nothing() {
    let ended = lab("1s");
    spawn(&ended);
    assert_eq!(got(&ended), "status 0\n");
    assert_eq!(resolution(&ended), "/");
    ended.refused(&["session", "answer", "demo-1", "--allow"], 5, "ANSWER_NOT_POSSIBLE");
    // It is answered in the terminal.
    let released = lab("1h");
    spawn(&released);
    wait_for_hook(&released);
    let launch = released.sql("SELECT launch_id FROM session");
    hook(&released, &launch, "PostToolUse", CALL);
    assert_eq!(got(&released), "status 0\n");
    assert_eq!(resolution(&released), "released/");
    // Its launch ends, and it with that.
    let killed = lab("1h");
    killed.spawn(&[]);
    let child = asking_hook(&killed);
    wait_for_hook(&killed);
    killed.ok(&["session", "kill", "demo-1"]);
    assert_eq!(child.wait_with_output().unwrap().stdout, b"");
    assert_eq!(resolution(&killed), "ended/");
}

#[test]
fn a_hook_that_was_killed_swallows_no_answer() {
    let lab = lab("1h");
    spawn(&lab);
    wait_for_hook(&lab);
    // The last hook is the one that waits, and the earlier one ends.
    let until = lab.sql("SELECT hook_ends_at FROM decision");
    let mut child = asking_hook(&lab);
    wait_until("the later hook", || lab.sql("SELECT hook_ends_at FROM decision") != until);
    assert_eq!(got(&lab), "status 0\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let allow = ["session", "answer", "demo-1", "--allow"];
    lab.refused(&allow, 1, "ANSWER_NOT_TAKEN");
    assert_eq!(lab.sql("SELECT hook_ends_at IS NULL FROM decision"), "1");
    assert_eq!(resolution(&lab), "/");
    lab.refused(&allow, 5, "ANSWER_NOT_POSSIBLE");
    lab.check_no_orphan();
}

#[test]
fn of_several_answers_to_a_hook_one_is_given() {
    let lab = lab("1h");
    spawn(&lab);
    wait_for_hook(&lab);
    let flags = ["--allow", "--deny", "--allow", "--deny"];
    let running = flags.map(|flag| {
        let mut command = lab.command(&["session", "answer", "demo-1", flag]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let codes = running.map(|it| it.wait_with_output().unwrap().status.code().unwrap());
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| [0, 5, 9].contains(code)), "{codes:?}");
    let is_allowed = flags[codes.iter().position(|code| *code == 0).unwrap()] == "--allow";
    let printed = if is_allowed { r#"{"do": "it"}"# } else { r#"{"do": "nothing"}"# };
    assert_eq!(got(&lab), format!("{printed}\nstatus 0\n"));
}
