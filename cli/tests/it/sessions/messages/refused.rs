//! What is not sent, and why; and what a key makes of a repetition.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Post, killable, pasted};
use crate::sessions::lab::wait_until;
use crate::sessions::screens::Stage;
use crate::support::{Live, finish, text};

#[test]
fn a_waiting_agent_gets_no_message_and_its_decision_is_named() {
    let post = Post::new();
    let id = post.spawn(&[]);
    post.hook(&id, "Prompt", r#"{"prompt": "p"}"#);
    post.hook(&id, "Ask", r#"{"tool": "Bash", "text": "touch made"}"#);
    let stderr = post.lab.refused(&["send", &id, "yes"], 5, "DECISION_PENDING");
    assert!(stderr.contains("(permission): Bash: touch made"), "{stderr}");
    for command in ["session answer", "session attach"] {
        assert!(stderr.contains(&format!("ao-store {command} {id}")), "{stderr}");
    }
    assert_eq!(post.stages(), "");
    post.hook(&id, "Decided", "{}");
    post.send(&[&id, "now", "--wait", "written"]);
    post.until_heard(&id, &pasted("now"));
}

/// Accepted before the question, it must not become the answer.
#[test]
fn what_was_accepted_before_a_question_is_written_after_its_decision() {
    let post = Post::new();
    let id = post.spawn(&[]);
    post.send_failing(&[&id, "later"], "send.accepted");
    post.hook(&id, "Prompt", r#"{"prompt": "p"}"#);
    // The state changes, and a process for what waits was started.
    post.until_stages("written");
    post.send_failing(&[&id, "even later"], "send.accepted");
    post.hook(&id, "Ask", r#"{"tool": "Bash", "text": "touch made"}"#);
    post.lab.ok(&["reconcile"]);
    post.until_no_runner();
    assert_eq!(post.stages(), "written,accepted");
    post.hook(&id, "Decided", "{}");
    post.until_heard(&id, &(pasted("later") + &pasted("even later")));
}

#[test]
fn a_question_that_comes_while_a_message_is_typed_is_not_answered_by_it() {
    let post = Post::new();
    let id = post.spawn(&[]);
    let mut command = post.lab.command(&["send", &id, "yes"]);
    killable(command.env("FAILPOINTS", "deliver.pasted=stop"));
    let typed = pasted("yes").trim_end_matches('\r').to_owned();
    post.until_heard(&id, &typed);
    wait_until("the runner to stop", || post.stopped_runner().is_some());
    post.hook(&id, "Prompt", r#"{"prompt": "p"}"#);
    post.hook(&id, "Ask", r#"{"tool": "Bash", "text": "touch made"}"#);
    let runner = Pid::from_raw(post.stopped_runner().unwrap().try_into().unwrap()).unwrap();
    kill_process(runner, Signal::CONT).unwrap();
    post.until_stages("ambiguous");
    post.until_no_runner();
    assert_eq!(post.heard(&id), typed, "Enter was not sent");
    let reason = post.lab.sql("SELECT reason FROM delivery");
    assert!(reason.contains("waits for a decision"), "{reason}");
}

/// Enter would leave the program, or trust the directory.
#[test]
fn a_dialog_that_only_the_screen_shows_gets_no_message_either() {
    let stage = Stage::new("2.1.332 (Claude Code)");
    stage.show("claude-code/trust-plain");
    let id = stage.spawn("claude-code");
    stage.ok(&["send", &id, "hello"]);
    wait_until("the look at the screen", || stage.activity(&id) == "blocked trust");
    assert_eq!(stage.lab.sql("SELECT stage FROM delivery"), "accepted");
    let refused = stage.run(&["send", &id, "hello"]);
    assert!(refused.stderr.contains("error[DECISION_PENDING]"), "{}", refused.stderr);
    // Once the dialog is gone, it is written.
    stage.show("claude-code/idle-after-turn");
    stage.wait_for(&id, "idle");
    wait_until("its delivery", || stage.lab.sql("SELECT stage FROM delivery") == "written");
}

/// An agent that asks when it starts, and notes the answer and then what it is told.
const ASKING: &str = "#!/bin/sh
if [ \"$1\" = --version ]; then echo 'aider 0.86.2'; exit 0; fi
printf 'Add .aider* to .gitignore? (Y)es/(N)o [Yes]: '
read -r answer; echo \"$answer\" > \"$AO_DATA_DIR/answer\"
printf '\\033[2J────\\n=> '
while read -r line; do echo \"$line\" >> \"$AO_DATA_DIR/told\"; done
";

/// It would answer what the program asks when it starts.
#[test]
fn a_prompt_that_is_typed_waits_for_the_dialog_at_the_start() {
    let stage = Stage::with("aider", "0.86.2");
    fs::write(stage.lab.env.path("bin/aider"), ASKING).unwrap();
    let spawn = ["spawn", "--project", "demo", "--harness", "aider", "--prompt", "do it"];
    let id = stage.ok(&spawn).trim().to_owned();
    wait_until("the look at the screen", || stage.activity(&id) == "waiting question");
    let of_delivery = || stage.lab.sql("SELECT kind || ' ' || stage FROM delivery");
    let prompt_stage = || stage.lab.get(&id)["launch"]["prompt_stage"].clone();
    assert_eq!((of_delivery().as_str(), prompt_stage()), ("prompt accepted", "pending".into()));
    let read = |name: &str| fs::read_to_string(stage.lab.env.path(&format!("data/{name}")));
    assert!(read("answer").is_err(), "nothing was typed");
    let pane = stage.lab.sql("SELECT runtime_socket || ' ' || runtime_pane FROM session");
    let (socket, pane) = pane.split_once(' ').unwrap();
    let keys = ["-S", socket, "send-keys", "-t", pane, "n", "Enter"];
    assert!(Command::new("tmux").args(keys).status().unwrap().success());
    wait_until("the prompt", || {
        stage.probe();
        read("told").is_ok_and(|told| told == "do it\n")
    });
    assert_eq!(read("answer").unwrap(), "n\n");
    wait_until("its record", || prompt_stage() == "written");
    assert_eq!(of_delivery(), "prompt written");
}

/// No hook reports an interruption in claude, also not one by the answer to a question.
#[test]
fn a_turn_whose_end_only_the_screen_shows_ends_the_wait() {
    let asked = r#"{"tool_name": "Bash", "tool_input": {"command": "touch made"}}"#;
    let prompted = ("UserPromptSubmit", r#"{"prompt": "hello"}"#);
    for (reports, activity) in [
        (&[prompted][..], "active"),
        (&[prompted, ("PermissionRequest", asked)], "waiting permission"),
    ] {
        let stage = Stage::new("2.1.332 (Claude Code)");
        stage.show("claude-code/idle-after-turn");
        let id = stage.spawn("claude-code");
        stage.wait_for(&id, "idle");
        let waits = Live::start(&mut stage.command(&["send", &id, "hello", "--wait", "finished"]));
        wait_until("its delivery", || stage.lab.sql("SELECT stage FROM delivery") == "written");
        stage.show("claude-code/working");
        let launch = stage.lab.sql("SELECT launch_id FROM session");
        for (event, payload) in reports {
            let mut hook = stage.command(&["hook", "claude-code", event]);
            hook.env("AO_SESSION_ID", &id).env("AO_LAUNCH_ID", &launch).stdin(Stdio::piped());
            assert_eq!(finish(&mut hook, payload.as_bytes()).code, 0);
        }
        assert_eq!(stage.activity(&id), activity);
        stage.show("claude-code/idle-after-turn");
        stage.wait_for(&id, "idle");
        let ended = waits.end();
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        assert!(ended.stderr.contains("finished: end_not_reported"), "{}", ended.stderr);
    }
}

#[test]
fn a_session_that_cannot_take_a_message_says_why() {
    let post = Post::new();
    let lab = &post.lab;
    lab.refused(&["send", "demo-9", "x"], 3, "SESSION_NOT_FOUND");
    lab.refused(&["send", "../x", "x"], 2, "INVALID_ID");
    let external = lab.ok(&["session", "new", "--project", "demo"]).trim().to_owned();
    lab.refused(&["send", &external, "x"], 5, "SESSION_EXTERNAL");
    let ends = ["spawn", "--project", "demo", "--harness", "custom", "--prompt", "p", "--", "true"];
    let exited = lab.ok(&ends).trim().to_owned();
    wait_until("its end", || lab.get(&exited)["activity"] == "exited");
    let stderr = lab.refused(&["send", &exited, "x"], 5, "SESSION_NOT_RUNNING");
    assert!(stderr.contains("session relaunch"), "{stderr}");
    lab.ok(&["session", "kill", &exited]);
    lab.refused(&["send", &exited, "x"], 5, "SESSION_TERMINATED");
    let plain = lab.spawn(&["--runtime", "process"]);
    lab.refused(&["send", &plain, "x"], 5, "NO_TERMINAL");
    let id = post.spawn(&[]);
    for message in ["", " \n\t", "\u{1b}\u{7}"] {
        lab.refused(&["send", &id, message], 2, "INVALID_PROMPT");
    }
    let file = lab.env.path("binary");
    fs::write(&file, b"a\xff").unwrap();
    lab.refused(&["send", &id, "--file", text(&file)], 2, "INVALID_PROMPT");
    lab.refused(&["send", &id, "--file", "nothing"], 1, "IO_ERROR");
    lab.refused(&["send", &id], 2, "USAGE");
    lab.refused(&["send", &id, "x", "--timeout", "1s"], 2, "USAGE");
    lab.refused(&["delivery", "get", "m1"], 3, "DELIVERY_NOT_FOUND");
    lab.refused(&["delivery", "resend", "../m1"], 3, "DELIVERY_NOT_FOUND");
    lab.refused(&["delivery", "ls", "--session", "demo-99"], 3, "SESSION_NOT_FOUND");
    assert_eq!(post.stages(), "");
}

#[test]
fn a_limited_account_gets_no_message_unless_it_is_forced() {
    let post = Post::new();
    let id = post.spawn(&[]);
    let sent = post.send(&[&id, "before", "--key", "k"]);
    post.lab.sql("INSERT INTO account_limit VALUES ('scripted', 'demo-1', 'x', 1, NULL)");
    post.lab.refused(&["send", &id, "more"], 9, "ACCOUNT_LIMITED");
    assert_eq!(post.send(&[&id, "before", "--key", "k"]), sent);
    post.send(&[&id, "more", "--force", "--wait", "written"]);
    post.until_heard(&id, &(pasted("before") + &pasted("more")));
}

#[test]
fn a_key_makes_a_repetition_the_same_delivery() {
    let post = Post::new();
    let (id, other) = (post.spawn(&[]), post.spawn(&[]));
    let first = post.send(&[&id, "text", "--key", "a b", "--wait", "written"]);
    // Other line ends at its end are the same text.
    assert_eq!(post.send(&[&id, "text\r\n", "--key", "a b"]), first);
    let stderr = post.lab.refused(&["send", &id, "other", "--key", "a b"], 5, "DELIVERY_KEY_USED");
    assert!(stderr.contains(&first), "{stderr}");
    assert_ne!(post.send(&[&id, "text", "--key", "b"]), first);
    assert_ne!(post.send(&[&other, "text", "--key", "a b"]), first, "keys are those of a session");
    assert_ne!(
        post.send(&[&id, "text"]),
        post.send(&[&id, "text"]),
        "without a key nothing is the same"
    );
    for key in ["", "a\nb", &"x".repeat(513)] {
        post.lab.refused(&["send", &id, "text", "--key", key], 2, "INVALID_ID");
    }
    post.until_stages(&["written"; 5].join(","));
    post.until_heard(&id, &pasted("text").repeat(4));
    // A repetition is answered whatever became of the session.
    post.lab.ok(&["session", "kill", &id]);
    assert_eq!(post.send(&[&id, "text", "--key", "a b"]), first);
}
