//! 3.4: which rows can be deleted, and how a spawn is undone. The log keeps what was.

use std::fs;

use super::{refused_untouched, spawning};
use crate::sessions::Lab;
use crate::sessions::lab::wait_until;

fn seed(lab: &Lab) -> String {
    lab.ok(&["session", "new", "--project", "demo"]).trim().to_owned()
}

#[test]
fn s3_4_1_a_seed_is_deleted_and_its_history_stays() {
    let lab = Lab::new();
    let id = seed(&lab);
    let before = lab.env.types();
    lab.ok(&["session", "rm", &id, "--yes"]);
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "0");
    let expected = [&before[..], &["session_deleted".to_owned()]].concat();
    assert_eq!(lab.env.types(), expected);
    assert_eq!(seed(&lab), "demo-2", "a number is never used again");
}

#[test]
fn s3_4_2_what_produced_something_is_not_deleted() {
    let lab = Lab::new();
    let spawned = lab.spawn(&[]);
    let owner = seed(&lab);
    lab.ok(&["pr", "claim", &owner, "octo/hello#7", "--no-verify"]);
    for id in [&spawned, &owner] {
        refused_untouched(&lab, &["session", "rm", id, "--yes"], 5, "SESSION_NOT_SEED");
    }
}

#[test]
fn s3_4_3_a_terminated_session_is_not_deleted() {
    let lab = Lab::new();
    let id = seed(&lab);
    lab.ok(&["session", "kill", &id]);
    refused_untouched(&lab, &["session", "rm", &id, "--yes"], 5, "SESSION_NOT_SEED");
}

#[test]
fn s3_4_4_an_unknown_session_is_not_deleted() {
    let lab = Lab::new();
    refused_untouched(&lab, &["session", "rm", "demo-9", "--yes"], 3, "SESSION_NOT_FOUND");
}

#[test]
fn s3_4_7_of_several_deletions_one_deletes() {
    let lab = Lab::new();
    let id = seed(&lab);
    let rm = ["session", "rm", id.as_str(), "--yes"];
    let running: Vec<_> = (0..6).map(|_| lab.command(&rm).spawn().unwrap()).collect();
    let codes = running.into_iter().map(|child| child.wait_with_output().unwrap().status.code());
    let mut codes: Vec<_> = codes.map(Option::unwrap).collect();
    codes.sort_unstable();
    assert_eq!(codes[0], 0);
    // Another one that is at it makes it busy.
    assert!(codes[1..].iter().all(|code| [3, 9].contains(code)), "{codes:?}");
    let deleted = lab.env.types().iter().filter(|it| *it == "session_deleted").count();
    assert_eq!((deleted, lab.sql("SELECT count(*) FROM session").as_str()), (1, "0"));
}

/// Also what its setup command started, which no launch has yet.
#[test]
fn s3_4_14_a_spawn_whose_caller_is_gone_is_undone() {
    let lab = Lab::new();
    let noted = lab.env.path("noted");
    let setup = "sleep 100000 & echo $! $$ > \"$AO_PROJECT_PATH/../noted\"; exec sleep 100000";
    lab.ok(&["project", "set", "demo", "--setup", setup]);
    let mut caller = lab.command(&spawning(&lab, &[])).spawn().unwrap();
    let pids = || fs::read_to_string(&noted).unwrap_or_default();
    wait_until("the setup", || pids().ends_with('\n'));
    caller.kill().unwrap();
    caller.wait().unwrap();
    let pids = pids();
    // A zombie, which nobody waits for here, has no command.
    let is_running =
        |pid: &str| !fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty();
    assert!(pids.split_whitespace().all(is_running), "it outlives its caller");
    let report = lab.ok(&["reconcile"]);
    assert!(report.contains("demo-1: undone"), "{report}");
    wait_until("the end of the setup", || !pids.split_whitespace().any(is_running));
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "0");
    lab.check_no_orphan();
}
