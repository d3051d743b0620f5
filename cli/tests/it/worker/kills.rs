//! A worker that is killed between every two steps: its turn ends once, its program runs no longer, and the next
//! worker takes what waits.

use std::fs;

use ao_store::turn::event::Kind;
use ao_store::turn::{self, Reason, State};

use rustix::process::Signal;

use super::lab::{Lab, PROGRAM, ready, runs, wait_for};
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

/// Waits until a process has no variables.
fn until_bare(pid: &str) {
    wait_for(&format!("the end of the variables of {pid}"), || {
        let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        (program.trim() == "sleep").then_some(())
    });
}

fn program_of(lab: &Lab, id: &str) -> Option<String> {
    lab.store.read(|snapshot| turn::program::of(snapshot, id)).unwrap()
}

/// Kills a worker whose program has deleted its variables: the successor stops it before the next turn.
fn kill_and_succeed(lab: &Lab, worker: Live, (id, pid): (&str, &str)) {
    worker.signal(Signal::KILL);
    worker.status();
    assert!(runs(pid), "nothing has stopped it yet");
    let next = lab.send("", "next");
    let _successor = lab.shell(&[], "cat");
    assert_eq!(lab.failure(id).0, Reason::WorkerDied);
    assert_eq!(lab.reply(&next), "next");
    assert!(!runs(pid), "it ran beside the next turn");
}

#[test]
fn the_program_of_a_killed_worker_is_stopped_also_without_its_variables() {
    let lab = Lab::new();
    let id = lab.send("", "x");
    let worker = lab.shell(&[], "echo $$ > $D/pid; exec env -i sleep 600");
    let pid = lab.file("pid");
    until_bare(&pid);
    wait_for("the record of the program", || program_of(&lab, &id));
    kill_and_succeed(&lab, worker, (&id, &pid));
}

/// Answers one turn, and becomes another program in the next.
const RESIDENT: &str = r#"read line; id=${line#*\"turn_id\":\"}; id=${id%%\"*}
echo "{\"type\":\"complete\",\"turn_id\":\"$id\",\"reply\":\"done\"}"
read line; echo $$ > $D/pid; exec env -i sleep 600"#;

#[test]
fn the_same_of_a_program_that_stays_which_is_recorded_with_each_claim() {
    let lab = Lab::new();
    let argv = ["sh", "-c", RESIDENT];
    let worker = ready(lab.command(&["--jsonl"], &argv).env("D", lab.env.path("")));
    assert_eq!(lab.reply(&lab.send("", "x")), "done");
    let id = lab.send("", "y");
    wait_for("the claim", || Some(()).filter(|()| lab.turn(&id).state == State::Running));
    assert!(program_of(&lab, &id).is_some(), "it was not recorded with the claim");
    let pid = lab.file("pid");
    until_bare(&pid);
    kill_and_succeed(&lab, worker, (&id, &pid));
}
