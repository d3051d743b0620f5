//! 3.2: what can be restored, and what a refusal leaves as it is.

use std::fs;

use super::{ensuring, refused_untouched};
use crate::sessions::Lab;
use crate::sessions::lab::wait_until;
use crate::support::text;

#[test]
fn s3_2_1_unknown_session() {
    let lab = Lab::new();
    for verb in ["restore", "kill", "relaunch"] {
        refused_untouched(&lab, &["session", verb, "demo-9"], 3, "SESSION_NOT_FOUND");
    }
}

#[test]
fn s3_2_2_a_live_session_is_not_restored() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    refused_untouched(&lab, &["session", "restore", &id], 5, "SESSION_NOT_RESTORABLE");
    wait_until("the agent", || lab.starts() == ["p"]);
}

#[test]
fn s3_2_3_a_row_without_path_or_branch_is_not_restored() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    lab.ok(&["session", "kill", &id]);
    let path = lab.get(&id)["worktree_path"].as_str().unwrap().to_owned();
    for (column, old) in [("worktree_path", path.as_str()), ("branch", "ao/demo-1/root")] {
        lab.sql(&format!("UPDATE session SET {column} = ''"));
        let args = ["session", "restore", id.as_str()];
        refused_untouched(&lab, &args, 5, "SESSION_INCOMPLETE_HANDLE");
        lab.sql(&format!("UPDATE session SET {column} = '{old}'"));
    }
    lab.ok(&["session", "restore", &id]);
}

/// Unlike a restore, a termination needs neither.
#[test]
fn s3_2_5_a_row_without_path_or_branch_is_terminated() {
    let lab = Lab::new();
    let ids = [lab.spawn(&[]), lab.spawn(&[])];
    lab.sql("UPDATE session SET worktree_path = '' WHERE num = 1");
    lab.sql("UPDATE session SET branch = '' WHERE num = 2");
    for id in &ids {
        lab.ok(&["session", "kill", id]);
        assert_eq!(lab.get(id)["is_terminated"], true);
    }
    assert!(lab.panes().is_empty() && lab.processes().is_empty());
}

#[test]
fn s3_2_6_a_worker_without_prompt_and_conversation_is_not_restored() {
    let lab = Lab::new();
    let id = lab.spawn(&[]);
    let path = lab.worktree(&id);
    lab.ok(&["session", "kill", &id]);
    let error = lab.refused(&["session", "restore", &id], 5, "SESSION_NOT_RESUMABLE");
    assert!(error.contains("hint"), "{error}");
    assert_eq!(lab.get(&id)["is_terminated"], true);
    assert_eq!(lab.sql("SELECT count(*) FROM launch"), "1", "nothing was started");
    assert!(!path.exists() && lab.panes().is_empty());
    lab.check_no_orphan();
}

#[test]
fn s3_2_7_a_restored_session_has_its_id_and_a_new_launch() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p", "--name", "First", "--issue", "7"]);
    let before = lab.get(&id);
    lab.ok(&["session", "kill", &id]);
    let changes = lab.env.types().len();
    lab.ok(&["session", "restore", &id]);
    let after = lab.get(&id);
    assert_ne!(before["launch_id"], after["launch_id"]);
    let same = ["id", "name", "issue", "branch", "worktree_path", "base_commit", "created_at"];
    for field in same {
        assert_eq!(before[field], after[field], "{field}");
    }
    assert_eq!(after["is_terminated"], false);
    let new: Vec<_> = lab.env.types().split_off(changes);
    assert!(!new.contains(&"session_created".to_owned()), "{new:?}");
    wait_until("the second start", || lab.starts() == ["p", "p"]);
    assert_eq!(lab.panes().len(), 1);
    assert!(fs::read_dir(lab.worktree(&id)).is_ok());
    lab.check_no_orphan();
}

/// There are no scratch projects: what is no repository is no project, so every session that is spawned has a
/// branch.
#[test]
fn s3_2_4_a_directory_without_a_repository_is_no_project() {
    let lab = Lab::new();
    let scratch = lab.env.path("scratch");
    fs::create_dir(&scratch).unwrap();
    refused_untouched(&lab, &["project", "add", text(&scratch)], 2, "NOT_A_GIT_REPO");
    lab.spawn(&[]);
    lab.ok(&ensuring(&lab, &[]));
    assert_eq!(lab.sql("SELECT count(*) FROM session WHERE branch = ''"), "0");
}

/// Of the session: it is restored, has no place, has a new launch, and has the place of that. Of the launch: it
/// is created, and started.
#[test]
fn s3_2_7_a_restore_is_six_changes() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    wait_until("the first start", || lab.starts() == ["p"]);
    lab.ok(&["session", "kill", &id]);
    let changes = lab.env.types().len();
    lab.ok(&["session", "restore", &id]);
    wait_until("the second start", || !lab.get(&id)["launch"]["started_at"].is_null());
    let mut new = lab.env.types().split_off(changes);
    new.sort();
    let expected = [
        "launch_created",
        "launch_started",
        "session_restored",
        "session_updated",
        "session_updated",
        "session_updated",
    ];
    assert_eq!(new, expected);
}
