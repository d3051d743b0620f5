//! Agents that behave as users complain about, each named after its complaint. Others are in `screens.rs` (a
//! trust dialog that ends the agent, copy mode), `limits.rs` (quota messages), `answer.rs` (permissions),
//! `messages.rs` and its folder (a lost end of a turn, ignored Enter), and `statements/boot.rs` (a
//! conversation without a transcript).

use std::fs;

use crate::sessions::Lab;
use crate::sessions::hooks::hook;
use crate::sessions::lab::{set_executable, wait_until};

const ASKED: &str = r#"{"tool_name": "Bash", "tool_input": {"command": "make"}}"#;
const NOTIFIED: &str = r#"{"notification_type": "permission_prompt"}"#;

fn state(lab: &Lab) -> (String, String) {
    let session = lab.get("demo-1");
    let of = |name: &str| session[name].as_str().unwrap().to_owned();
    (of("activity"), of("activity_cause"))
}

fn is(activity: &str, cause: &str) -> (String, String) {
    (activity.to_owned(), cause.to_owned())
}

#[test]
fn wrong_state_a_repeated_notification_asks_once_and_reopens_no_turn() {
    let lab = Lab::new();
    lab.spawn(&["--prompt", "p"]);
    let launch = lab.sql("SELECT launch_id FROM session");
    let report = |event: &str, payload: &str| drop(hook(&lab, &launch, event, payload));
    report("UserPromptSubmit", r#"{"prompt": "p"}"#);
    report("PermissionRequest", ASKED);
    let head = lab.env.head();
    report("PermissionRequest", ASKED);
    report("Notification", NOTIFIED);
    report("Notification", NOTIFIED);
    assert_eq!((state(&lab), lab.env.head()), (is("waiting", "permission"), head));
    report("PostToolUse", ASKED);
    report("Stop", "{}");
    report("Notification", NOTIFIED);
    assert_eq!(state(&lab), is("idle", ""));
    assert_eq!(lab.sql("SELECT count(*) || resolution FROM decision"), "1released");
}

#[test]
fn wrong_state_an_agent_that_crashes_while_it_asks_is_lost_and_asks_no_more() {
    let lab = Lab::new();
    let agent =
        lab.env.file("crash.sh", "#!/bin/sh\nread -r line < \"$AO_DATA_DIR/crash\"\nkill -9 $$\n");
    set_executable(agent.as_ref());
    let fifo = lab.env.path("data/crash");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    lab.ok(&["spawn", "--project", "demo", "--harness", "custom", "--", &agent]);
    let launch = lab.sql("SELECT launch_id FROM session");
    hook(&lab, &launch, "PreToolUse", ASKED);
    hook(&lab, &launch, "PermissionRequest", ASKED);
    assert_eq!(state(&lab), is("waiting", "permission"));
    fs::write(&fifo, "now\n").unwrap();
    wait_until("its end", || !lab.sql("SELECT ended_at FROM launch").is_empty());
    assert_eq!(lab.sql("SELECT resolution FROM decision"), "ended");
    // A report that comes later changes nothing.
    hook(&lab, &launch, "PostToolUse", ASKED);
    assert_eq!(state(&lab), is("unknown", ""));
    assert_eq!(lab.get("demo-1")["status"], "lost");
    assert!(lab.ok(&["session", "wait", "demo-1", "--for", "exited"]).contains("demo-1 exited"));
    lab.refused(&["session", "wait", "demo-1", "--for", "idle"], 5, "CONDITION_LOST");
}

#[test]
fn sessions_undead_a_process_that_left_its_agent_ends_with_the_session() {
    let lab = Lab::new();
    let script = "#!/bin/sh\nsetsid sh -c 'trap \"\" TERM HUP INT; echo $$ > \"$AO_DATA_DIR/left\"; \
                  while :; do sleep 1; done' &\nwhile :; do sleep 1; done\n";
    let agent = lab.env.file("forks.sh", script);
    set_executable(agent.as_ref());
    lab.ok(&["spawn", "--project", "demo", "--harness", "custom", "--", &agent]);
    let left = || fs::read_to_string(lab.env.path("data/left")).unwrap_or_default();
    wait_until("the process", || left().ends_with('\n'));
    let left = left().trim().parse().unwrap();
    assert!(lab.processes().contains(&left));
    lab.ok(&["session", "kill", "demo-1", "--grace", "100ms"]);
    assert_eq!(lab.processes(), [] as [u32; 0]);
}
