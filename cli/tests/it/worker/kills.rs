//! A worker that is killed between every two steps: its turn ends once, its program runs no longer, and the next
//! worker takes what waits.

use std::fs;

use ao_store::turn::event::Kind;
use ao_store::turn::{Reason, State};

use super::lab::{Lab, PROGRAM, runs};
use crate::support::Live;

/// The steps before a turn is claimed, between the claim and the end, and after the end. The end of a program that
/// stays is none of them.
const BEFORE: [&str; 2] = ["worker.registered", "worker.claiming"];
const BETWEEN: [&str; 5] =
    ["worker.claimed", "worker.started", "worker.appended", "worker.exited", "worker.finishing"];
const AFTER: [&str; 1] = ["worker.finished"];

const SCRIPT: &str = "echo $$ >> $D/pids; cat";

#[test]
fn a_worker_that_is_killed_at_any_step_leaves_one_outcome() {
    let lab = Lab::new();
    for step in [&BEFORE[..], &BETWEEN, &AFTER].concat() {
        let ids = [lab.send("", "one"), lab.send("", "two")];
        let mut killed = lab.command(&[], &["sh", "-c", SCRIPT]);
        killed.env("FAILPOINTS", format!("{step}=return(kill)")).env("D", lab.env.path(""));
        let (status, _) = Live::start(&mut killed).status();
        assert_eq!(status.code(), None, "{step} is not a step of a worker");
        let successor = lab.shell(&[], SCRIPT);
        let last = |id: &str| {
            let turn = lab.ended(id);
            let ends = lab.events(id).into_iter().filter(|event| event.kind.is_last()).count();
            assert_eq!(ends, 1, "{step}");
            (turn.state, turn.reason)
        };
        let expected = match BETWEEN.contains(&step) {
            true => (State::Failed, Reason::WorkerDied),
            false => (State::Completed, Reason::None),
        };
        assert_eq!(last(&ids[0]), expected, "{step}");
        assert_eq!(last(&ids[1]), (State::Completed, Reason::None), "{step}");
        assert_eq!(lab.texts(&ids[1], Kind::Complete), ["two"], "{step}");
        drop(successor);
    }
    for pid in lab.file("pids").lines() {
        assert!(!runs(pid), "{pid}");
    }
}

#[test]
fn f3_a_worker_that_is_killed_at_any_step_leaves_what_its_agent_last_remembered() {
    let lab = Lab::new();
    let script = lab.env.file("agent.py", PROGRAM);
    let argv = ["sh", "-c", "echo $$ >> $D/pids; exec python3 \"$0\"", &script];
    let mut known: Vec<String> = Vec::new();
    for step in [&BEFORE[..], &BETWEEN, &AFTER].concat() {
        if step == "worker.exited" {
            continue;
        }
        let names = [format!("{step} 1"), format!("{step} 2")];
        let ids = [0, 1].map(|at: usize| lab.send("", &format!("remember {}", names[at])));
        let mut killed = lab.command(&["--jsonl"], &argv);
        killed.env("FAILPOINTS", format!("{step}=return(kill)")).env("D", lab.env.path(""));
        let (status, _) = Live::start(&mut killed).status();
        assert_eq!(status.code(), None, "{step} is not a step of a worker");
        let pids = fs::read_to_string(lab.env.path("pids")).unwrap_or_default();
        let _successor = Live::start(lab.command(&["--jsonl"], &argv).env("D", lab.env.path("")));
        if BETWEEN.contains(&step) {
            assert_eq!(lab.failure(&ids[0]).0, Reason::WorkerDied, "{step}");
        } else {
            known.push(names[0].clone());
            assert_eq!(lab.reply(&ids[0]), format!("I know {}", known.join(" and ")), "{step}");
        }
        known.push(names[1].clone());
        assert_eq!(lab.reply(&ids[1]), format!("I know {}", known.join(" and ")), "{step}");
        assert!(!pids.lines().any(runs), "{step}: a program of the killed worker runs");
    }
}
