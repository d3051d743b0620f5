//! 3.1: what is refused is refused before anything exists, and what fails later leaves nothing.

use std::fs;

use super::{ensuring, path_of, refused_untouched, spawning, traces};
use crate::sessions::Lab;
use crate::support::finish;

#[test]
fn s3_1_1_unknown_project_of_an_orchestrator() {
    let lab = Lab::new();
    let args =
        ["orchestrator", "ensure", "--project", "ghost", "--harness", "custom", "--", &lab.agent];
    refused_untouched(&lab, &args, 3, "PROJECT_NOT_FOUND");
    lab.check_no_orphan();
}

#[test]
fn s3_1_2_unknown_project() {
    let lab = Lab::new();
    let args = ["spawn", "--project", "ghost", "--harness", "custom", "--", &lab.agent];
    refused_untouched(&lab, &args, 3, "PROJECT_NOT_FOUND");
}

#[test]
fn s3_1_3_no_project() {
    let lab = Lab::new();
    let args = ["spawn", "--harness", "custom", "--", &lab.agent];
    refused_untouched(&lab, &args, 2, "PROJECT_ID_REQUIRED");
}

#[test]
fn s3_1_4_the_lookup_of_the_project_fails() {
    let lab = Lab::new();
    let before = traces(&lab);
    lab.sql("PRAGMA legacy_alter_table = 1; ALTER TABLE project RENAME TO gone");
    let output = lab.run(&spawning(&lab, &[]));
    assert_ne!(output.code, 0, "{}", output.stdout);
    assert!(output.stderr.contains("error["), "{}", output.stderr);
    lab.sql("PRAGMA legacy_alter_table = 1; ALTER TABLE gone RENAME TO project");
    assert_eq!(traces(&lab), before);
}

#[test]
fn s3_1_5_the_repository_cannot_be_used() {
    let lab = Lab::new();
    let (at, away) = (lab.env.path("demo"), lab.env.path("away"));
    fs::rename(&at, &away).unwrap();
    let head = lab.env.head();
    lab.refused(&spawning(&lab, &[]), 5, "PROJECT_NOT_RESOLVABLE");
    lab.refused(&ensuring(&lab, &[]), 5, "PROJECT_NOT_RESOLVABLE");
    fs::create_dir(&at).unwrap();
    lab.refused(&spawning(&lab, &[]), 5, "PROJECT_NOT_RESOLVABLE");
    assert_eq!(lab.env.head(), head);
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "0");
}

#[test]
fn s3_1_6_harness_and_tmux_are_checked_first() {
    let lab = Lab::new();
    let args = ["spawn", "--project", "demo", "--harness", "nope"];
    refused_untouched(&lab, &args, 2, "UNKNOWN_HARNESS");
    refused_untouched(&lab, &["spawn", "--project", "demo"], 2, "AGENT_REQUIRED");
    let (before, head) = (traces(&lab), lab.env.head());
    let mut command = lab.command(&spawning(&lab, &[]));
    let output = finish(command.env("PATH", path_of(&lab, &["git", "sh"])), b"");
    assert_eq!(output.code, 5, "{}", output.stderr);
    assert!(output.stderr.contains("error[RUNTIME_PREREQUISITE_MISSING]"), "{}", output.stderr);
    assert_eq!((traces(&lab), lab.env.head()), (before, head));
}

#[test]
fn s3_1_7_a_failed_worktree_leaves_no_row() {
    let lab = Lab::new();
    let path = lab.env.path("data/worktrees/demo/demo-1");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("precious"), "x").unwrap();
    let before = traces(&lab);
    lab.refused(&spawning(&lab, &[]), 5, "WORKTREE_EXISTS");
    assert_eq!(traces(&lab), before);
    assert!(path.join("precious").exists(), "what was there is not ours");
    assert_eq!(lab.env.types().last().unwrap(), "session_deleted");
    lab.check_no_orphan();
}

#[test]
fn s3_1_8_archived_project() {
    let lab = Lab::new();
    lab.ok(&["project", "rm", "demo", "--yes"]);
    refused_untouched(&lab, &spawning(&lab, &[]), 5, "PROJECT_ARCHIVED");
    refused_untouched(&lab, &ensuring(&lab, &[]), 5, "PROJECT_ARCHIVED");
}

#[test]
fn s3_1_9_a_replacement_in_an_unknown_project_touches_no_orchestrator() {
    let lab = Lab::new();
    lab.ok(&ensuring(&lab, &[]));
    let mut args = ensuring(&lab, &["--replace"]);
    args[3] = "ghost";
    refused_untouched(&lab, &args, 3, "PROJECT_NOT_FOUND");
}

/// What could not be undone, the row last, is undone by the next reconciliation.
#[test]
fn s3_1_7_a_row_that_cannot_be_deleted_goes_with_the_next_reconciliation() {
    let lab = Lab::new();
    lab.sql("UPDATE project SET setup_command = 'exit 3'");
    let before = traces(&lab);
    let mut command = lab.command(&spawning(&lab, &[]));
    let output = finish(command.env("FAILPOINTS", "undo.worktree=return"), b"");
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("error[SETUP_FAILED]"), "the first error: {}", output.stderr);
    assert_eq!(lab.sql("SELECT group_concat(id) FROM session"), "demo-1");
    let report = lab.ok(&["reconcile"]);
    assert!(report.contains("demo-1: undone"), "{report}");
    assert_eq!(traces(&lab), before);
    assert_eq!(lab.env.types().last().unwrap(), "session_deleted");
    lab.check_no_orphan();
}
