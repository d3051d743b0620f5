//! Claims: a command that reads costs little more than its read, and a command starts quickly. Budgets:
//! `session get` takes at most 1.45 times the CPU time of a C program that prints the row; from the start of the
//! process `ao-store tail -c 1 --no-follow` to its first line, at most 2.1 times a process that does nothing.
//!
//! The C program uses the same SQLite and the same file: the cost of the kernel, the loader and parsing the
//! schema. `session get` prints more than the row: what the session waits for, its launch, its pull requests
//! and its newest changes. The baseline of a first line is this executable, started again to write one line and
//! exit. One more line is this executable, doing only what `tail` does with the libraries, which separates the
//! cost of the command line. A first line is timed from spawn over a pipe, with a log of 2,000 changes.
//!
//! It needs the program: run `cargo build --release` first.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use ao_benches::{
    Budget, Line, NewFixture, Run, Sample, at_most, baseline, child_cpu, monotonic, program,
    respawn,
};
use ao_cdc::wire::Encoder;
use ao_cdc::{Filter, Start, Tail};
use ao_store::{Options, Store};

const ROUNDS: usize = 9;
/// Starts per round.
const STARTS: u64 = 20;

/// The time from spawn to the first line.
fn first_line(command: &mut Command) -> Sample {
    let mut nanos = 0;
    for _ in 0..STARTS {
        let start = monotonic();
        let mut child = command.stdout(Stdio::piped()).spawn().expect("start a process");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        output.read_line(&mut line).expect("read a line");
        nanos += monotonic() - start;
        drop(output);
        assert!(child.wait().expect("wait for the process").success());
        assert!(line.ends_with('\n'), "no line from {command:?}");
    }
    Sample { units: STARTS, nanos }
}

/// The CPU time of whole processes.
fn whole(command: impl Fn() -> Command) -> Sample {
    Sample { units: STARTS, nanos: (0..STARTS).map(|_| child_cpu(&mut command())).sum() }
}

/// Prints the one session of a store.
fn session_get(run: &mut Run) {
    let fixture = NewFixture { prs: 0, ..NewFixture::default() }.create();
    let dir = fixture.path.parent().expect("a folder");
    let program = program();
    run.compare(
        Line::ratio("12", "`session get`, CPU", "C reading the row", at_most(1.45)),
        ROUNDS,
        || {
            whole(|| {
                let mut command = baseline("read");
                command.arg(&fixture.path).arg("demo-1");
                command
            })
        },
        || {
            whole(|| {
                let mut command = Command::new(&program);
                command.args(["session", "get", "demo-1"]).env("AO_DATA_DIR", dir);
                command
            })
        },
    );
}

/// The calls of `tail` to the libraries: prints the newest change as a line.
fn print_newest(path: &OsStr) {
    let store = Store::open(Path::new(path), Options::default()).expect("open the store");
    let mut tail = Tail::open(&store, Start::Last(1), Filter::default()).expect("open a tail");
    let mut encoder = Encoder::new(tail.log_id(), tail.cursor().epoch);
    let mut line = Vec::new();
    tail.visit(1, |change| encoder.ndjson(change, &mut line)).expect("read the log");
    io::stdout().write_all(&line).expect("write a line");
}

/// The work of a process that this bench started.
pub(crate) fn play(role: &str) {
    if role == "nothing" {
        io::stdout().write_all(b"\n").expect("write a line");
    } else {
        print_newest(&std::env::args_os().nth(1).expect("the database"));
    }
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    session_get(run);
    let fixture = NewFixture { prs: 100, ..NewFixture::default() }.create();
    let nothing = || respawn("nothing").expect("this executable");
    let line = |work, budget| Line::ratio("33", work, "a process that does nothing", budget);
    run.compare(
        line("the libraries of `tail -c 1 --no-follow` alone", Budget::None),
        ROUNDS,
        || first_line(&mut nothing()),
        || first_line(respawn("library").expect("this executable").arg(&fixture.path)),
    );
    let program = program();
    let dir = fixture.path.parent().expect("a folder");
    run.compare(
        line("`tail -c 1 --no-follow` until its line", at_most(2.1)),
        ROUNDS,
        || first_line(&mut nothing()),
        || {
            let mut command = Command::new(&program);
            command.args(["tail", "-c", "1", "--no-follow"]).env("AO_DATA_DIR", dir);
            first_line(&mut command)
        },
    );
}
