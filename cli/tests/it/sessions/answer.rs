//! Answering what an agent waits for: with keys, to a screen that shows the dialog, once.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::sessions::Lab;
use crate::sessions::hooks::hook;
use crate::sessions::lab::{set_executable, wait_until};
use crate::sessions::signals::Verb;
use crate::support::text;

/// Shows a dialog, notes the keys that it gets, and goes on with the first one, unless it is deaf.
const ASKER: &str = "#!/bin/sh
stty raw -echo
while [ -e \"$AO_DATA_DIR/late\" ]; do sleep 0.1; done
printf '\\033[2J\\033[HRun %s?\\r\\n> 1. Yes\\r\\n  2. No\\r\\nEsc cancels\\r\\n' \"$(cat \"$AO_DATA_DIR/asked\")\"
while key=$(dd bs=1 count=1 2>/dev/null); do
  printf '%s' \"$key\" >> \"$AO_DATA_DIR/keys\"
  [ -e \"$AO_DATA_DIR/deaf\" ] || printf '\\033[2J\\033[Hgoing on\\r\\n'
done
";

/// The row of the harness that shows it.
const ROW: &str = r#"
[asker]
label = "Asker"
programs = ["asker"]
places = ["PLACE"]
start = []
prompt = "argument"
dialogs = [
  { kind = "permission", lines = 4, has = ["Run ", "> 1. Yes", "Esc cancels"], allow = ["y"], deny = ["Escape"], choose = ["{n}", "Enter"], text = ["{text}", "Enter"] },
]
"#;

const ALLOW: [&str; 4] = ["session", "answer", "demo-1", "--allow"];

/// Adds a harness whose agents show a dialog.
fn add_harness(lab: &Lab) {
    lab.env.file("data/asked", "touch made");
    let program = lab.env.file("asker", ASKER);
    set_executable(Path::new(&program));
    let folder = lab.env.path("home/.config/ao-store");
    fs::create_dir_all(&folder).unwrap();
    let row = ROW.replace("PLACE", text(&lab.env.path("")).trim_end_matches('/'));
    fs::write(folder.join("harnesses.toml"), row).unwrap();
}

/// Spawns an agent that shows a dialog, and waits for that.
fn spawn(lab: &Lab) {
    add_harness(lab);
    lab.ok(&["spawn", "--project", "demo", "--harness", "asker"]);
    wait_until("the dialog", || lab.ok(&["session", "log", "demo-1"]).contains("Esc cancels"));
}

/// Its hook asks for a permission.
fn ask(lab: &Lab, command: &str) {
    let launch = lab.sql("SELECT launch_id FROM session WHERE num = 1");
    let payload = format!(r#"{{"tool_name": "Bash", "tool_input": {{"command": "{command}"}}}}"#);
    hook(lab, &launch, "PermissionRequest", &payload);
}

/// Spawns an agent that waits for a permission.
pub(super) fn spawn_asking(lab: &Lab) {
    spawn(lab);
    ask(lab, "touch made");
}

fn asking() -> Lab {
    let lab = Lab::new();
    spawn_asking(&lab);
    lab
}

fn keys(lab: &Lab) -> String {
    fs::read_to_string(lab.env.path("data/keys")).unwrap_or_default()
}

fn open(lab: &Lab) -> String {
    lab.sql("SELECT count(*) FROM decision WHERE resolved_at IS NULL")
}

#[test]
fn an_answer_is_typed_and_recorded() {
    for (args, typed, answer) in [
        (&["--allow"][..], "y", "allow"),
        (&["--deny"], "\u{1b}", "deny"),
        (&["--choice", "2"], "2\r", "2"),
        (&["Enter; the -l one"], "Enter; the -l one\r", "Enter; the -l one"),
    ] {
        let lab = asking();
        let listed = lab.env.json("decision.list", &["decision", "ls", "--session", "demo-1"]);
        assert_eq!(
            (&listed[0]["text"], &listed[0]["kind"]),
            (&"touch made".into(), &"permission".into())
        );
        let page = lab.ok(&["session", "get", "demo-1"]);
        assert!(page.contains("waits for") && page.contains("Bash: touch made"), "{page}");
        let words = lab.ok(&["history", "session", "demo-1", "--format", "pretty"]);
        assert!(words.contains("decision  requested  permission  Bash"), "{words}");
        let needed = lab.env.json("attention.list", &["attention", "--session", "demo-1"]);
        assert_eq!(needed[0]["next"], "ao-store session answer demo-1 --allow");
        let printed = lab.ok(&[&["session", "answer", "demo-1"], args, &["--json"]].concat());
        let document: Value = serde_json::from_str(&printed).unwrap();
        crate::documented::check("session.answer", &document["data"]);
        assert_eq!(document["data"]["resolution"], "answered", "{args:?}");
        assert_eq!(document["data"]["answer"], answer);
        wait_until("the keys", || keys(&lab) == typed);
        assert_eq!(lab.get("demo-1")["activity"], "active", "{args:?}");
        assert_eq!(lab.ok(&["decision", "ls", "-o", "name"]), "");
        lab.refused(&ALLOW, 5, "DECISION_NOT_OPEN");
        let stream = lab.ok(&["tail", "--from", "beginning", "--no-follow"]);
        assert!(stream.contains("decision_resolved"), "{stream}");
        assert_eq!(keys(&lab), typed, "nothing more is typed");
        lab.check_no_orphan();
    }
}

#[test]
fn no_key_is_sent_to_a_screen_that_does_not_show_what_is_asked() {
    // The dialog asks something else.
    let lab = Lab::new();
    spawn(&lab);
    ask(&lab, "rm everything");
    let error = lab.refused(&ALLOW, 5, "ANSWER_NOT_POSSIBLE");
    assert!(error.contains("session attach demo-1`"), "{error}");
    // There is no dialog any more, because a person answered it in the terminal.
    let lab = asking();
    let socket = lab.sql("SELECT runtime_socket FROM session");
    let pane = lab.sql("SELECT runtime_pane FROM session");
    let tmux = |args: &[&str]| {
        let all = [&["-S", &socket], args].concat();
        assert!(lab.env.clean("tmux").args(all).status().unwrap().success());
    };
    tmux(&["send-keys", "-t", &pane, "n"]);
    wait_until("the end of the dialog", || {
        lab.ok(&["session", "log", "demo-1"]).contains("going on")
    });
    lab.refused(&ALLOW, 5, "ANSWER_NOT_POSSIBLE");
    assert_eq!((keys(&lab).as_str(), open(&lab).as_str()), ("n", "1"));
    // Its agent ended.
    lab.ok(&["session", "kill", "demo-1"]);
    lab.refused(&ALLOW, 5, "DECISION_NOT_OPEN");
}

#[test]
fn an_answer_that_the_row_does_not_know_is_refused() {
    let lab = Lab::new();
    let id = lab.spawn(&[]);
    lab.refused(&["session", "answer", &id, "--allow"], 5, "DECISION_NOT_OPEN");
    lab.refused(&["session", "answer", "demo-7", "--allow"], 3, "SESSION_NOT_FOUND");
    ask(&lab, "touch made");
    for answer in ["--allow", "--deny", "text"] {
        let error = lab.refused(&["session", "answer", &id, answer], 5, "ANSWER_NOT_POSSIBLE");
        assert!(error.contains("session attach demo-1`"), "{error}");
    }
    for args in [
        &[][..],
        &["--allow", "--deny"],
        &["x", "--allow"],
        &["--choice", "0"],
        &["--choice", "10"],
        &[""],
        &["a\nb"],
        &["\u{1b}"],
        &[&"x".repeat(2000)],
    ] {
        lab.refused(&[&["session", "answer", &id], args].concat(), 2, "USAGE");
    }
    assert_eq!(open(&lab), "1");
}

#[test]
fn an_agent_that_ignores_its_keys_is_not_answered() {
    let lab = asking();
    lab.env.file("data/deaf", "");
    lab.refused(&ALLOW, 1, "ANSWER_NOT_TAKEN");
    assert!(keys(&lab).chars().all(|key| key == 'y'), "{}", keys(&lab));
    assert!(keys(&lab).len() > 1, "they were sent again: {}", keys(&lab));
    assert_eq!(
        (lab.get("demo-1")["activity"].as_str(), open(&lab).as_str()),
        (Some("waiting"), "1")
    );
    lab.check_no_orphan();
}

#[test]
fn of_two_answers_one_is_given() {
    let lab = asking();
    let first = Verb::start(&lab, &ALLOW.map(str::to_owned), &[("answer.begun", "stop")]);
    first.wait_for_stop("answer.begun");
    lab.refused(&["session", "answer", "demo-1", "--deny"], 9, "SESSION_BUSY");
    first.resume();
    let (code, printed) = first.end();
    assert_eq!(code, 0, "{printed}");
    assert_eq!(keys(&lab), "y");
    lab.refused(&["session", "answer", "demo-1", "--deny"], 5, "DECISION_NOT_OPEN");
    // At the same time.
    let lab = asking();
    let running: Vec<_> = (0..4).map(|_| lab.command(&ALLOW).spawn().unwrap()).collect();
    let ended: Vec<_> = running.into_iter().map(|it| it.wait_with_output().unwrap()).collect();
    let codes: Vec<_> = ended.iter().map(|it| it.status.code().unwrap()).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| [0, 5, 9].contains(code)), "{codes:?}");
    assert_eq!(keys(&lab), "y");
}

/// The hook of gemini does.
#[test]
fn a_hook_may_ask_before_the_dialog_is_drawn() {
    let lab = Lab::new();
    add_harness(&lab);
    let late = lab.env.file("data/late", "");
    lab.ok(&["spawn", "--project", "demo", "--harness", "asker"]);
    ask(&lab, "touch made");
    let answer = Verb::start(&lab, &ALLOW.map(str::to_owned), &[]);
    wait_until("the answer", || lab.sql("SELECT count(*) FROM session_operation") == "1");
    fs::remove_file(late).unwrap();
    let (code, printed) = answer.end();
    assert_eq!((code, keys(&lab).as_str()), (0, "y"), "{printed}");
}

/// While the answer is given, nothing else is written.
#[test]
fn what_was_accepted_before_a_question_is_written_after_its_answer() {
    for step in ["answer.begun", "answer.sent"] {
        let lab = Lab::new();
        spawn(&lab);
        let send = ["send", "demo-1", "later"].map(str::to_owned);
        let (code, printed) = Verb::start(&lab, &send, &[("send.accepted", "return")]).end();
        assert_eq!(code, 1, "{printed}");
        ask(&lab, "touch made");
        let answer = Verb::start(&lab, &ALLOW.map(str::to_owned), &[(step, "stop")]);
        answer.wait_for_stop(step);
        // It is decided meanwhile, too.
        if step == "answer.sent" {
            let launch = lab.sql("SELECT launch_id FROM session");
            let call = r#"{"tool_name": "Bash", "tool_input": {"command": "touch made"}}"#;
            hook(&lab, &launch, "PostToolUse", call);
        }
        answer.resume();
        let (code, printed) = answer.end();
        assert_eq!(code, 0, "{step}: {printed}");
        wait_until("the message", || keys(&lab) == "ylater\r");
    }
}

/// Such as in its terminal, just before the keys are sent.
#[test]
fn what_was_decided_in_the_meantime_is_not_answered() {
    let lab = asking();
    let answer = Verb::start(&lab, &ALLOW.map(str::to_owned), &[("answer.begun", "stop")]);
    answer.wait_for_stop("answer.begun");
    let launch = lab.sql("SELECT launch_id FROM session");
    let call = r#"{"tool_name": "Bash", "tool_input": {"command": "touch made"}}"#;
    hook(&lab, &launch, "PostToolUse", call);
    answer.resume();
    let (code, printed) = answer.end();
    assert!(code == 5 && printed.contains("error[DECISION_NOT_OPEN]"), "{code}: {printed}");
    assert_eq!(keys(&lab), "");
    assert_eq!(lab.sql("SELECT resolution FROM decision"), "released");
}
