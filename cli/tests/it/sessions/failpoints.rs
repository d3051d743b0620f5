//! A failure between every two steps of every verb: an error, a panic, and `kill -9`. A new process then
//! reconciles, and nothing is left that no row names.

use std::fs;
use std::process::{Command, Stdio};

use crate::sessions::Lab;
use crate::sessions::answer::spawn_asking;
use crate::sessions::lab::wait_until;

/// How a step fails.
pub(super) const FAILURES: [&str; 3] = ["return", "panic", "return(kill)"];

/// A verb, the steps at which it fails, and the state in which it is run.
struct Sweep {
    steps: &'static [&'static str],
    prepare: fn(&Lab),
    args: fn(&Lab) -> Vec<String>,
    /// What holds after the failure and a reconciliation.
    check: fn(&Lab, &str),
}

/// The steps of a launch, which several verbs contain.
macro_rules! with_launch {
    ($($step:literal),*) => {
        &[$($step,)* "launch.recorded", "launch.written", "launch.started", "launch.running"]
    };
}

/// The steps of a spawn.
pub(super) const SPAWN: &[&str] = with_launch![
    "spawn.seeded",
    "spawn.fetched",
    "spawn.planned",
    "spawn.worktree",
    "spawn.prepared",
    "spawn.launched"
];

/// The steps of a message; `messages.rs` kills at each of them.
pub(super) const MESSAGE: &[&str] = &[
    "send.accepted",
    "deliver.begun",
    "deliver.seen",
    "deliver.taken",
    "deliver.pasted",
    "deliver.submitted",
];

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

/// Runs the binary; whether it succeeded. It may be killed.
fn run(lab: &Lab, args: &[String], failpoints: &str) -> bool {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    succeeds(&mut lab.command(&args), failpoints)
}

/// Runs the binary with these failpoints; whether it succeeded. It may be killed.
pub(super) fn succeeds(command: &mut Command, failpoints: &str) -> bool {
    command.env("FAILPOINTS", failpoints).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut status = None;
    wait_until("its end", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.is_some_and(|status| status.success())
}

fn sweep(sweep: &Sweep) {
    for step in sweep.steps {
        for failure in FAILURES {
            let lab = Lab::new();
            (sweep.prepare)(&lab);
            let context = format!("{step}={failure}");
            assert!(!run(&lab, &(sweep.args)(&lab), &context), "{context} was not reached");
            let report = lab.ok(&["reconcile"]);
            lab.check_no_orphan();
            (sweep.check)(&lab, &format!("{context}: {report}"));
            let before = lab.env.head();
            lab.ok(&["reconcile"]);
            assert_eq!(lab.env.head(), before, "{context}: the second time nothing is done");
        }
    }
}

/// As many agents run as sessions should, each in one launch.
fn check_live(lab: &Lab, context: &str) {
    let live = lab.sql("SELECT count(*) FROM session WHERE is_terminated = 0");
    let open = lab.sql("SELECT count(*) FROM launch WHERE ended_at IS NULL");
    let launches =
        lab.sql("SELECT group_concat(cause || ' ' || coalesce(signal, '-')) FROM launch");
    assert_eq!(live, open, "{context}: live sessions and launches that run: {launches}");
    assert_eq!(lab.panes().len().to_string(), live, "{context}: panes");
}

fn nothing(_: &Lab) {}

fn one(lab: &Lab) {
    lab.spawn(&["--prompt", "p"]);
}

fn terminated(lab: &Lab) {
    one(lab);
    lab.ok(&["session", "kill", "demo-1"]);
}

#[test]
fn a_spawn_that_fails_leaves_nothing() {
    sweep(&Sweep {
        steps: SPAWN,
        prepare: nothing,
        args: |lab| lab.spawning(&["--prompt", "p"]),
        check: |lab, context| {
            assert_eq!(lab.sql("SELECT count(*) FROM session"), "0", "{context}");
            assert_eq!(lab.git(&["branch", "--list", "ao/*"]), "", "{context}");
            assert!(lab.processes().is_empty(), "{context}");
        },
    });
}

#[test]
fn a_kill_that_fails_is_finished_or_was_not_begun() {
    sweep(&Sweep {
        steps: &["kill.begun", "kill.stopped", "kill.released"],
        prepare: one,
        args: |_| words(&["session", "kill", "demo-1"]),
        check: |lab, context| {
            let is_error = context.contains("=return:");
            let ended = lab.sql("SELECT is_terminated FROM session");
            assert!(ended == "1" || is_error, "{context}: a killed kill is finished");
            check_live(lab, context);
        },
    });
}

#[test]
fn a_restore_that_fails_leaves_the_session_as_it_was() {
    sweep(&Sweep {
        steps: with_launch!["restore.begun", "restore.worktree", "restore.launched"],
        prepare: terminated,
        args: |_| words(&["session", "restore", "demo-1"]),
        check: |lab, context| {
            assert_eq!(lab.sql("SELECT is_terminated FROM session"), "1", "{context}");
            assert!(lab.processes().is_empty(), "{context}");
            lab.ok(&["session", "restore", "demo-1"]);
            check_live(lab, context);
        },
    });
}

#[test]
fn a_replacement_that_fails_keeps_one_orchestrator() {
    sweep(&Sweep {
        steps: &[
            "replace.begun",
            "replace.captured",
            "spawn.seeded",
            "spawn.worktree",
            "launch.started",
            "spawn.launched",
            "replace.spawned",
            "kill.stopped",
        ],
        prepare: |lab| assert!(run(lab, &ensure(lab, &[]), "")),
        args: |lab| ensure(lab, &["--replace"]),
        check: |lab, context| {
            let active = lab.sql("SELECT group_concat(id) FROM session WHERE is_terminated = 0");
            let is_late =
                ["replace.spawned", "kill.stopped"].iter().any(|it| context.starts_with(it));
            assert_eq!(active, if is_late { "demo-2" } else { "demo-1" }, "{context}");
            check_live(lab, context);
        },
    });
}

fn ensure(lab: &Lab, more: &[&str]) -> Vec<String> {
    let first = ["orchestrator", "ensure", "--project", "demo", "--harness", "custom"];
    words(&[&first[..], more, &["--", &lab.agent]].concat())
}

#[test]
fn a_reconciliation_that_fails_is_done_by_the_next_one() {
    sweep(&Sweep {
        steps: with_launch![
            "reconcile.settled",
            "reconcile.recorded",
            "reconcile.begun",
            "reconcile.stopped",
            "restore.worktree"
        ],
        prepare: |lab| {
            one(lab);
            lab.kill_servers();
            lab.kill_all();
        },
        args: |_| words(&["reconcile"]),
        check: |lab, context| {
            assert_eq!(lab.sql("SELECT group_concat(id) FROM session"), "demo-1", "{context}");
            check_live(lab, context);
        },
    });
}

#[test]
fn settling_that_fails_is_done_by_the_next_reconciliation() {
    sweep(&Sweep {
        steps: &["settle.adopted", "undo.stopped", "undo.worktree"],
        prepare: |lab| assert!(!run(lab, &lab.spawning(&[]), "spawn.launched=return(kill)")),
        args: |_| words(&["reconcile"]),
        check: |lab, context| {
            assert_eq!(lab.sql("SELECT count(*) FROM session"), "0", "{context}");
            assert!(lab.processes().is_empty(), "{context}");
        },
    });
}

#[test]
fn a_relaunch_or_cleanup_that_fails_can_be_repeated() {
    sweep(&Sweep {
        steps: &["relaunch.begun"],
        prepare: |lab| {
            let first = ["spawn", "--project", "demo", "--harness", "custom", "--prompt", "p"];
            lab.ok(&[&first[..], &["--", "true"]].concat());
            wait_until("its end", || {
                lab.sql("SELECT count(*) FROM launch WHERE cause = 'exited'") == "1"
            });
        },
        args: |_| words(&["session", "relaunch", "demo-1"]),
        check: |lab, context| {
            assert_eq!(lab.sql("SELECT is_terminated FROM session"), "0", "{context}");
            lab.ok(&["session", "relaunch", "demo-1"]);
            wait_until("its second end", || {
                lab.sql("SELECT count(*) FROM launch WHERE cause = 'exited'") == "2"
            });
        },
    });
    sweep(&Sweep {
        steps: &["cleanup.begun", "cleanup.removed"],
        prepare: terminated,
        args: |_| words(&["session", "cleanup", "--yes"]),
        check: |lab, context| {
            lab.ok(&["session", "cleanup", "--yes"]);
            assert_eq!(lab.git(&["branch", "--list", "ao/*"]), "", "{context}");
        },
    });
}

/// Whether its keys were sent, the screen shows.
#[test]
fn an_answer_that_fails_leaves_the_session_to_the_next_one() {
    sweep(&Sweep {
        steps: &["answer.begun", "answer.sent"],
        prepare: spawn_asking,
        args: |_| words(&["session", "answer", "demo-1", "--allow"]),
        check: |lab, context| {
            let is_sent = context.starts_with("answer.sent");
            if is_sent {
                let log = || lab.ok(&["session", "log", "demo-1"]);
                wait_until("the end of the dialog", || log().contains("going on"));
            }
            let again = lab.run(&["session", "answer", "demo-1", "--allow"]);
            assert_eq!(again.code, if is_sent { 5 } else { 0 }, "{context}: {}", again.stderr);
            let keys = fs::read_to_string(lab.env.path("data/keys")).unwrap();
            assert_eq!(keys, "y", "{context}");
        },
    });
}

/// Every step of the sources is in a sweep.
#[test]
fn no_step_is_left_out() {
    let tests = [include_str!("failpoints.rs"), include_str!("../worker/kills.rs")].concat();
    let root = crate::tidy::root().join("session/src");
    let mut folders = vec![root];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let text = text.replace("step!(self, \"", "step!(\"");
            for name in text.split("step!(\"").skip(1).filter_map(|rest| rest.split_once('"')) {
                assert!(tests.contains(&format!("\"{}\"", name.0)), "{} is in no sweep", name.0);
                found += 1;
            }
        }
    }
    assert!(found > 20, "the sources have steps");
}
