//! A conversation is one worker's until the program of its turn has ended, and then the next one's.

use std::fs;

use ao_store::turn::{Reason, State};
use rustix::process::Signal;

use super::lab::{Lab, ready, runs, wait_for};
use crate::support::Live;

/// Waits until a worker is stopped at a step.
fn until_stopped(worker: &Live) {
    wait_for("a worker that is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", worker.id())).unwrap();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')).then_some(())
    });
}

/// Lets it go on to its next step.
fn go_on(worker: &Live) {
    until_stopped(worker);
    worker.signal(Signal::CONT);
}

#[test]
fn b6_and_b8_a_worker_that_finds_a_conversation_taken_has_no_failure() {
    let lab = Lab::new();
    let ids = ["one", "two"].map(|input| lab.send("", input));
    let mut command = lab.command(&[], &["cat"]);
    // It has seen that a turn is ready, and stops before it claims one.
    command.env("FAILPOINTS", "worker.claiming=stop;worker.claimed=stop");
    let late = ready(&mut command);
    until_stopped(&late);
    let script = "echo $$ > $D/pid; while ! test -e $D/go; do sleep 0.02; done; cat";
    let _first = lab.shell(&[], script);
    lab.file("pid");
    go_on(&late);
    // It got nothing, and goes on.
    go_on(&late);
    let second = lab.turn(&ids[1]);
    assert_eq!((second.state, lab.events(&ids[1]).len()), (State::Queued, 1));
    let other = lab.send("other", "three");
    go_on(&late);
    go_on(&late);
    assert_eq!(lab.reply(&other), "three");
    late.signal(Signal::TERM);
    let output = late.end();
    let printed: Vec<_> = output.stderr.lines().collect();
    let expected = [format!("turn {other} began"), format!("turn {other} ended")];
    assert_eq!((output.code, printed), (143, expected.iter().map(String::as_str).collect()));
    lab.env.file("go", "");
    assert_eq!([lab.reply(&ids[0]), lab.reply(&ids[1])], ["one", "two"]);
}

#[test]
fn b10_a_conversation_is_held_until_the_program_of_its_turn_has_ended() {
    let lab = Lab::new();
    let ids = ["one", "two"].map(|input| lab.send("", input));
    let script = "input=$(cat)
        if test $input = one; then
            trap '' TERM; echo $$ > $D/pid; while :; do sleep 0.1; done
        fi
        kill -0 $(cat $D/pid) 2>/dev/null && echo beside; echo $input";
    let _workers = [lab.shell(&[], script), lab.shell(&[], script)];
    lab.file("pid");
    lab.cancel(&ids[0]);
    assert_eq!(lab.reply(&ids[1]), "two\n");
    assert_eq!(lab.turn(&ids[0]).state, State::Cancelled);
}

#[test]
fn b10_and_b11_a_worker_that_fails_while_it_holds_a_turn_leaves_the_next_one() {
    let lab = Lab::new();
    // Before its program is started, while it runs, and when its end cannot be stored.
    for step in ["worker.claimed", "worker.started", "worker.finishing"] {
        let ids = ["one", "two"].map(|input| lab.send("", input));
        let mut command = lab.command(&[], &["sh", "-c", "echo $$ >> $D/pids; cat"]);
        command.env("FAILPOINTS", format!("{step}=return")).env("D", lab.env.path(""));
        let failed = ready(&mut command).end();
        assert_eq!((failed.code, lab.turn(&ids[0]).state), (1, State::Running), "{step}");
        let successor = lab.worker(&[], &["cat"]);
        assert_eq!(lab.failure(&ids[0]).0, Reason::WorkerDied, "{step}");
        assert_eq!(lab.reply(&ids[1]), "two", "{step}");
        drop(successor);
    }
    for pid in lab.file("pids").lines() {
        assert!(!runs(pid), "{pid}");
    }
}
