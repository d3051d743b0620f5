//! The defects of issue 152 of another tool, and those that its later change 2185 repaired: none of them is
//! here. Exit statuses are those that a shell sees.

use super::{ensuring, foreign_worktree, reboot, shell, traces};
use crate::sessions::Lab;
use crate::sessions::lab::wait_until;
use crate::support::text;

/// Runs the binary in a shell, where it must refuse and leave everything as it is.
fn refused(lab: &Lab, arguments: &str, exit: i32, code: &str) -> String {
    let (before, head) = (traces(lab), lab.env.head());
    let output = shell(lab, &format!("\"$0\" {arguments}; echo \"exit $?\""));
    assert_eq!(output.stdout, format!("exit {exit}\n"), "{arguments}: {}", output.stderr);
    assert!(output.stderr.contains(&format!("error[{code}]")), "{arguments}: {}", output.stderr);
    assert_eq!((traces(lab), lab.env.head()), (before, head), "{arguments}");
    output.stderr
}

#[test]
fn issue152_b1_unknown_project() {
    let lab = Lab::new();
    refused(&lab, "spawn -p ghost --harness custom -- true", 3, "PROJECT_NOT_FOUND");
    let ensure = "orchestrator ensure -p ghost --harness custom -- true";
    refused(&lab, ensure, 3, "PROJECT_NOT_FOUND");
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "0");
}

#[test]
fn issue152_b2_restore_incomplete() {
    let lab = Lab::new();
    lab.ok(&["session", "new", "--project", "demo"]);
    shell(&lab, "\"$0\" session kill demo-1");
    refused(&lab, "session restore demo-1", 5, "SESSION_INCOMPLETE_HANDLE");
}

#[test]
fn issue152_b3_branch_elsewhere() {
    let lab = Lab::new();
    let path = foreign_worktree(&lab, "taken");
    let spawn = "spawn -p demo --harness custom --branch taken -- true";
    let error = refused(&lab, spawn, 5, "BRANCH_CHECKED_OUT_ELSEWHERE");
    assert!(error.contains(text(&path)), "{error}");
}

#[test]
fn issue152_b3_not_fetched() {
    let lab = Lab::new();
    let spawn = "spawn -p demo --harness custom --branch nowhere -- true";
    let error = refused(&lab, spawn, 5, "BRANCH_NOT_FETCHED");
    assert!(error.contains("git fetch"), "{error}");
}

#[test]
fn issue152_b4_claim_rollback() {
    let lab = Lab::new();
    let spawn = "spawn -p demo --harness custom";
    refused(&lab, &format!("{spawn} --claim-pr nonsense -- true"), 2, "INVALID_PR_REF");
    let claim = format!("{spawn} --claim-pr github.com/octo/hello#1 -- true");
    refused(&lab, &claim, 4, "CREDENTIALS_MISSING");
    lab.check_no_orphan();
}

#[test]
fn issue152_b4_exit() {
    let lab = Lab::new();
    let spawn = "spawn -p demo --harness custom";
    refused(&lab, &format!("{spawn} --takeover -- true"), 2, "USAGE");
    lab.sql("UPDATE project SET setup_command = 'exit 3'");
    let failing = format!("\"$0\" {spawn} -- true && echo done");
    let output = shell(&lab, &failing);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{}", output.stderr);
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "0", "the row is deleted, not terminated");
    lab.check_no_orphan();
}

#[test]
fn issue152_b4_delete_guard() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    refused(&lab, &format!("session rm {id} --yes"), 5, "SESSION_NOT_SEED");
    lab.ok(&["session", "kill", &id]);
    refused(&lab, &format!("session rm {id} --yes"), 5, "SESSION_NOT_SEED");
}

#[test]
fn issue152_b6_missing_agent() {
    let lab = Lab::new();
    let spawn = "spawn -p demo --harness custom -- /nonexistent/agent";
    refused(&lab, spawn, 5, "AGENT_BINARY_NOT_FOUND");
}

#[test]
fn ao_2185_same_id() {
    let lab = Lab::new();
    let worker = lab.spawn(&["--prompt", "p"]);
    let promptless = lab.spawn(&[]);
    let orchestrator = lab.ok(&ensuring(&lab, &[])).trim().to_owned();
    let rows = lab.sql("SELECT group_concat(id || is_terminated) FROM session");
    for round in 1..=2 {
        reboot(&lab);
        let output = shell(&lab, "\"$0\" reconcile; echo \"exit $?\"");
        assert!(output.stdout.ends_with("exit 5\n"), "{}{}", output.stdout, output.stderr);
        assert!(output.stdout.contains(&format!("{promptless}: not relaunched")), "{round}");
        for id in [&worker, &orchestrator] {
            assert!(output.stdout.contains(&format!("{id}: relaunched")), "{}", output.stdout);
        }
        assert_eq!(lab.sql("SELECT group_concat(id || is_terminated) FROM session"), rows);
        assert_eq!(lab.panes().len(), 2);
        lab.check_no_orphan();
    }
}

/// The program is there, and fails when it runs: the spawn succeeded, and the end is seen.
#[test]
fn issue152_b6_missing_agent_after_the_launch() {
    let lab = Lab::new();
    let output = shell(&lab, "\"$0\" spawn -p demo --harness custom -- sh -c 'exit 127'");
    assert_eq!((output.code, output.stdout.as_str()), (0, "demo-1\n"), "{}", output.stderr);
    wait_until("the end", || lab.env.types().contains(&"launch_ended".to_owned()));
    wait_until("the status", || lab.get("demo-1")["status"] == "exited");
    let output = shell(&lab, "\"$0\" attention --exit-code; echo \"exit $?\"");
    assert!(output.stdout.contains("exited with status 127"), "{}", output.stdout);
    assert!(output.stdout.ends_with("exit 6\n"), "{}", output.stdout);
    let ended = lab.env.types().iter().filter(|it| *it == "launch_ended").count();
    assert_eq!(ended, 1);
}
