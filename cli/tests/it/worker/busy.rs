//! A database that another program keeps locked for longer than a worker waits: nothing is lost, and nothing is
//! taken for it.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use ao_store::turn::event::Kind;
use ao_store::turn::{Reason, State};
use rustix::process::Signal;

use super::lab::{Lab, agent, runs, wait_for};
use crate::support::{Live, has_sqlite};

/// How long a worker of these tests waits for the lock, and how long another program has it: for longer than beats
/// may get no answer, too.
const BUSY: [&str; 2] = ["--busy-timeout", "100ms"];
const LOCKED: Duration = Duration::from_secs(6);

/// Another program that has the lock.
struct Locked(Live);

impl Locked {
    fn new(lab: &Lab) -> Locked {
        let mut shell = Live::start(lab.env.sqlite_shell().stdin(Stdio::piped()));
        shell.say("BEGIN IMMEDIATE;\n.print locked\n");
        assert_eq!(shell.line(), "locked");
        Locked(shell)
    }

    fn free(mut self) {
        self.0.say("ROLLBACK;\n.print free\n");
        assert_eq!(self.0.line(), "free");
    }
}

/// Whether a process was stopped by a signal.
fn is_stopped(worker: &Live) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", worker.id())).unwrap();
    status.rsplit(')').next().unwrap().trim_start().starts_with('T')
}

#[test]
fn what_an_agent_says_while_the_database_is_locked_is_stored_later() {
    if !has_sqlite() {
        return;
    }
    let lab = Lab::new();
    let worker = agent(&lab, &BUSY);
    let id = lab.send("", "learn one");
    lab.until_delta(&id, "begun");
    let lock = Locked::new(&lab);
    lab.env.file("go", "");
    sleep(LOCKED);
    assert_eq!(lab.turn(&id).state, State::Running);
    lock.free();
    assert_eq!(lab.reply(&id), format!("begun {}", "one".repeat(10_000)));
    assert_eq!(lab.texts(&id, Kind::Delta).concat(), lab.reply(&id));
    assert_eq!(lab.texts(&id, Kind::Content), ["a card"]);
    assert_eq!(lab.reply(&lab.send("", "remember two")), "I know one and two");
    worker.signal(Signal::TERM);
    let output = worker.end();
    assert_eq!((output.code, output.stderr.contains("another process")), (143, false));
}

#[test]
fn what_a_program_prints_while_the_database_is_locked_is_stored_later() {
    if !has_sqlite() {
        return;
    }
    let lab = Lab::new();
    let script = "echo begun; while ! test -e $D/go; do sleep 0.02; done; cat";
    let worker = lab.shell(&BUSY, script);
    let text = "a line of text\n".repeat(10_000);
    let id = lab.send("", &text);
    lab.until_delta(&id, "begun");
    let lock = Locked::new(&lab);
    lab.env.file("go", "");
    sleep(LOCKED);
    assert_eq!(lab.turn(&id).state, State::Running);
    lock.free();
    assert_eq!(lab.reply(&id), format!("begun\n{text}"));
    worker.signal(Signal::TERM);
    let output = worker.end();
    assert_eq!((output.code, output.stderr.contains("another process")), (143, false));
}

#[test]
fn a_program_is_stopped_while_its_output_waits_for_a_locked_database() {
    if !has_sqlite() {
        return;
    }
    let lab = Lab::new();
    let script = "echo $$ > $D/pid; echo begun; while :; do echo more; sleep 0.02; done";
    let worker = lab.shell(&BUSY, script);
    let id = lab.send("", "x");
    let pid = lab.file("pid");
    lab.until_delta(&id, "begun");
    let lock = Locked::new(&lab);
    worker.signal(Signal::TERM);
    wait_for("the end of the program", || (!runs(&pid)).then_some(()));
    assert_eq!(lab.turn(&id).state, State::Running);
    lock.free();
    assert_eq!(worker.end().code, 143);
    assert_eq!(lab.failure(&id).0, Reason::Interrupted);
}

#[test]
fn a_claim_that_finds_the_database_locked_is_made_later() {
    if !has_sqlite() {
        return;
    }
    let lab = Lab::new();
    let id = lab.send("", "x");
    let mut command = lab.command(&BUSY, &["cat"]);
    let worker = Live::start(command.env("FAILPOINTS", "worker.claiming=stop"));
    wait_for("the claim", || is_stopped(&worker).then_some(()));
    let lock = Locked::new(&lab);
    worker.signal(Signal::CONT);
    worker.until_printed("warning: ");
    assert_eq!(lab.turn(&id).state, State::Queued);
    lock.free();
    wait_for("the end of the turn", || {
        worker.signal(Signal::CONT);
        lab.turn(&id).state.has_ended().then_some(())
    });
    assert_eq!(lab.reply(&id), "x");
}
