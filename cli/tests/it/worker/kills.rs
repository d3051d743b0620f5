//! A worker that is killed between every two steps: its turn ends once, its program runs no longer, and the next
//! worker takes what waits.

use ao_store::turn::event::Kind;
use ao_store::turn::{Reason, State};

use super::lab::{Lab, runs};
use crate::support::Live;

/// The steps before a turn is claimed, between the claim and the end, and after the end.
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
