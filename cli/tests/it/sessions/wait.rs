//! `session wait`, ended by what other processes record.

use std::process::{Child, Stdio};

use serde_json::Value;

use crate::sessions::Lab;
use crate::sessions::hooks::hook;
use crate::support::{Output, text};

/// A wait in a process of its own, which reads the state before this returns.
fn start(lab: &Lab, args: &[&str]) -> Child {
    let before = lab.listeners();
    let mut command = lab.command(&[&["session", "wait"], args].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    crate::sessions::lab::wait_until("the wait listens", || lab.listeners() > before);
    child
}

fn end(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// The launch of a session.
fn launch(lab: &Lab, id: &str) -> String {
    lab.sql(&format!("SELECT launch_id FROM session WHERE id = '{id}'"))
}

/// Applies facts about pull request 7 of a session.
fn observe(lab: &Lab, id: &str, state: &str, check: &str) {
    let document = format!(
        r#"{{"pr": "octo/hello#7", "session": "{id}", "facts": {{"state": "{state}", "head_sha": "a"}},
            "checks": [{{"head_sha": "a", "name": "build", "status": "{check}"}}]}}"#
    );
    let file = lab.env.path("facts.json");
    std::fs::write(&file, document).unwrap();
    lab.ok(&["observe", "apply", text(&file)]);
}

#[test]
fn each_condition_is_met_by_what_another_process_records() {
    let lab = Lab::new();
    lab.sql("UPDATE project SET host = 'github.com', repo = 'octo/hello'");
    let id = lab.spawn(&["--prompt", "p"]);
    let launch = launch(&lab, &id);
    for (wanted, event, payload, printed) in [
        ("idle", "Stop", "{}", "demo-1 idle: idle\n"),
        (
            "waiting",
            "PermissionRequest",
            r#"{"tool_name": "Bash", "tool_input": {"command": "touch x"}}"#,
            "demo-1 waiting: waiting: permission\n",
        ),
    ] {
        hook(&lab, &launch, "UserPromptSubmit", r#"{"session_id": "n", "prompt": "p"}"#);
        let waiting = start(&lab, &[&id, "--for", wanted, "--timeout", "10m"]);
        hook(&lab, &launch, event, payload);
        let Output { code, stdout, stderr } = end(waiting);
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, printed, ""), "{wanted}");
        let again = lab.ok(&["session", "wait", &id, "--for", wanted]);
        assert_eq!(again, printed, "it is so already");
    }
    let waiting = start(&lab, &[&id, "--for", "pr"]);
    let checked = start(&lab, &[&id, "--for", "ci"]);
    observe(&lab, &id, "open", "in_progress");
    assert_eq!(end(waiting).stdout, "demo-1 pr: octo/hello#7\n");
    observe(&lab, &id, "open", "failed");
    assert_eq!(end(checked).stdout, "demo-1 ci: failing on octo/hello#7\n");
    let waiting = start(&lab, &[&id, "--for", "exited"]);
    lab.kill_launch(&launch);
    lab.ok(&["session", "kill", &id]);
    let exited = end(waiting);
    assert_eq!(exited.code, 0, "{}", exited.stderr);
    assert!(exited.stdout.starts_with("demo-1 exited: "), "{}", exited.stdout);
}

#[test]
fn any_ends_with_the_first_session_and_otherwise_all_are_waited_for() {
    let lab = Lab::new();
    let ids = [lab.spawn(&["--prompt", "1"]), lab.spawn(&["--prompt", "2"])];
    let any = start(&lab, &[&ids[0], &ids[1], "--for", "idle", "--any", "--json"]);
    let all = start(&lab, &[&ids[0], &ids[1], &ids[0], "--for", "idle"]);
    hook(&lab, &launch(&lab, &ids[1]), "Stop", "{}");
    let first = end(any);
    assert_eq!((first.code, first.stderr.as_str()), (0, ""));
    let document: Value = serde_json::from_str(&first.stdout).unwrap();
    crate::documented::check("session.wait", &document["data"]);
    assert_eq!(document["data"]["sessions"][0]["session_id"], "demo-2");
    assert_eq!(document["data"]["sessions"].as_array().unwrap().len(), 1);
    hook(&lab, &launch(&lab, &ids[0]), "Stop", "{}");
    assert_eq!(end(all).stdout, "demo-2 idle: idle\ndemo-1 idle: idle\n");
}

#[test]
fn a_wait_ends_with_its_time_and_a_cursor_leaves_out_what_was_before() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    let wait =
        |more: &[&str]| lab.run(&[&["session", "wait", &id, "--for", "idle"], more].concat());
    for more in [&["--timeout", "0s"][..], &["--timeout", "1ms", "--json"]] {
        let Output { code, stdout, stderr } = wait(more);
        assert_eq!((code, stdout.as_str()), (8, ""), "{stderr}");
        assert!(
            stderr.contains("TIMED_OUT")
                && stderr.contains("--for idle was not met in time by demo-"),
            "{stderr}"
        );
    }
    let help = lab.ok(&["session", "wait", "--help"]);
    assert!(help.contains("\n  waiting  its agent"), "one condition per line: {help}");
    hook(&lab, &launch(&lab, &id), "Stop", "{}");
    let met: Value = serde_json::from_str(&wait(&["--json"]).stdout).unwrap();
    let cursor = met["data"]["sessions"][0]["cursor"].as_str().unwrap();
    assert_eq!(wait(&["--timeout", "0s", "--after", cursor]).code, 8);
    hook(&lab, &launch(&lab, &id), "UserPromptSubmit", r#"{"session_id": "n", "prompt": "p"}"#);
    hook(&lab, &launch(&lab, &id), "Stop", "{}");
    assert_eq!(wait(&["--timeout", "0s", "--after", cursor]).code, 0);
}

#[test]
fn a_session_that_is_terminated_ends_the_wait_with_an_error() {
    let lab = Lab::new();
    let ids = [lab.spawn(&["--prompt", "1"]), lab.spawn(&["--prompt", "2"])];
    let all = start(&lab, &[&ids[0], &ids[1], "--for", "idle"]);
    let any = start(&lab, &[&ids[0], &ids[1], "--for", "idle", "--any"]);
    lab.ok(&["session", "kill", &ids[0]]);
    let Output { code, stdout, stderr } = end(all);
    assert_eq!((code, stdout.as_str()), (5, ""), "{stderr}");
    assert!(
        stderr.contains("error[CONDITION_LOST]: session demo-1 cannot become idle"),
        "{stderr}"
    );
    hook(&lab, &launch(&lab, &ids[1]), "Stop", "{}");
    assert_eq!(end(any).stdout, "demo-2 idle: idle\n");
    lab.refused(&["session", "wait", &ids[0], "--for", "idle"], 5, "CONDITION_LOST");
    assert!(lab.ok(&["session", "wait", &ids[0], "--for", "exited"]).contains("terminated"));
}

#[test]
fn a_wait_for_nothing_is_refused() {
    let lab = Lab::new();
    for args in [&["demo-1"][..], &["--for", "idle"], &["demo-1", "--for", "happy"]] {
        lab.refused(&[&["session", "wait"], args].concat(), 2, "USAGE");
    }
    lab.refused(&["session", "wait", "demo-9", "--for", "idle"], 3, "SESSION_NOT_FOUND");
    lab.refused(&["session", "wait", "--for", "idle", "--", "-x"], 2, "INVALID_ID");
    lab.spawn(&[]);
    let args = ["session", "wait", "demo-1", "--for", "idle", "--after"];
    lab.refused(&[&args[..], &["nonsense"]].concat(), 2, "INVALID_CURSOR");
    lab.refused(&[&args[..], &["1-99999"]].concat(), 2, "CURSOR_IN_FUTURE");
    lab.refused(&[&args[..], &["7-1"]].concat(), 7, "CURSOR_EPOCH_MISMATCH");
}
