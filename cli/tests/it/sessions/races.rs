//! Several callers want the same thing at the same time: one gets it, and the others leave nothing.

use crate::sessions::Lab;
use crate::sessions::lab::wait_until;
use crate::support::{Output, finish};

/// Runs the binary this many times at once.
fn at_once(lab: &Lab, times: usize, args: &[&str]) -> Vec<Output> {
    std::thread::scope(|scope| {
        let one = || scope.spawn(|| finish(&mut lab.command(args), b""));
        let all: Vec<_> = (0..times).map(|_| one()).collect();
        all.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

/// Runs it, and checks that it is done this often and otherwise refused with one of these codes.
fn race(lab: &Lab, args: &[&str], done: usize, codes: &[&str]) {
    let outputs = at_once(lab, 5, args);
    for output in outputs.iter().filter(|it| it.code != 0) {
        let is_code = |code: &&str| output.stderr.contains(&format!("error[{code}]"));
        assert!(codes.iter().any(is_code), "{args:?}: {}", output.stderr);
    }
    assert_eq!(outputs.iter().filter(|it| it.code == 0).count(), done, "{outputs:?}");
    lab.check_no_orphan();
}

#[test]
fn one_session_gets_a_new_branch() {
    let lab = Lab::new();
    let args = lab.spawning(&["--branch", "same", "--create-branch", "--no-fetch"]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    race(&lab, &args, 1, &["BRANCH_EXISTS", "BRANCH_CHECKED_OUT_ELSEWHERE"]);
    assert_eq!(lab.git(&["branch", "--list", "same"]), "+ same");
    assert_eq!(lab.panes().len(), 1);
}

/// Undoing the failure would remove a branch at the commit at which it wanted to create it.
#[test]
fn a_branch_that_appears_after_the_checks_stays() {
    let lab = Lab::new();
    let args = lab.spawning(&["--branch", "same", "--create-branch"]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut command = lab.command(&args);
    let spawning = command.env("FAILPOINTS", "spawn.planned=sleep(1500)").spawn().unwrap();
    let planned = "SELECT count(*) FROM session_operation WHERE created_at_commit != ''";
    wait_until("the plan", || lab.sql(planned) == "1");
    lab.git(&["branch", "same", "origin/main"]);
    let output = spawning.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("error[BRANCH_EXISTS]"), "{error}");
    assert_eq!(lab.git(&["branch", "--list", "same"]), "same", "it is that of another");
    lab.check_no_orphan();
}

#[test]
fn one_session_gets_an_existing_branch() {
    let lab = Lab::new();
    lab.git(&["branch", "same"]);
    let args = lab.spawning(&["--branch", "same"]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    race(&lab, &args, 1, &["BRANCH_CHECKED_OUT_ELSEWHERE"]);
    assert_eq!(lab.git(&["branch", "--list", "same"]), "+ same");
}

#[test]
fn no_more_sessions_than_the_project_allows() {
    let lab = Lab::new();
    lab.sql("UPDATE project SET max_live = 2");
    let args = lab.spawning(&["--no-fetch"]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    race(&lab, &args, 2, &["ADMISSION_LIMIT"]);
    assert_eq!(lab.panes().len(), 2);
}

#[test]
fn a_session_is_restored_and_terminated_once() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    lab.ok(&["session", "kill", &id]);
    race(&lab, &["session", "restore", &id], 1, &["SESSION_BUSY", "SESSION_NOT_RESTORABLE"]);
    assert_eq!(lab.panes().len(), 1);
    let killed = at_once(&lab, 5, &["session", "kill", &id]);
    assert!(killed.iter().any(|it| it.code == 0), "{killed:?}");
    assert!(killed.iter().all(|it| [0, 9].contains(&it.code)), "{killed:?}");
    assert_eq!(lab.get(&id)["is_terminated"], true);
    assert!(lab.panes().is_empty() && lab.processes().is_empty());
    lab.check_no_orphan();
}

#[test]
fn a_session_that_is_being_created_is_busy() {
    let lab = Lab::new();
    lab.sql(
        "UPDATE project SET setup_command = 'touch begun; while [ ! -e go ]; do sleep 0.1; done'",
    );
    let args = lab.spawning(&["--prompt", "p"]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let path = lab.env.path("data/worktrees/demo/demo-1");
    let spawning = lab.command(&args).spawn().unwrap();
    wait_until("the setup", || path.join("begun").exists());
    for verb in ["kill", "relaunch"] {
        lab.refused(&["session", verb, "demo-1"], 9, "SESSION_BUSY");
    }
    lab.ok(&["reconcile"]);
    lab.ok(&["session", "cleanup", "--yes"]);
    assert!(path.join("begun").exists());
    std::fs::write(path.join("go"), "").unwrap();
    assert!(spawning.wait_with_output().unwrap().status.success());
    assert_eq!(lab.get("demo-1")["is_terminated"], false);
    lab.check_no_orphan();
}
