//! Claim: a committed change reaches a subscriber about as fast as a thread can be woken. Budgets: in
//! the same process a p50 of at most 1.6 times the bare wake-up of a parked thread and a p99 of at most
//! 0.5 ms; in another process a p50 of at most 2.5 times a bare wake-up between processes and a p99 of at
//! most 0.5 ms; an idle subscriber uses at most 0.1 % of a core.
//!
//! Both sides commit one changed row per millisecond. The baseline commits on bare SQLite and then wakes
//! a waiting thread that reads nothing: by `unpark`, and between processes by one byte through a pipe (a
//! futex in shared memory would be some microseconds faster, but mapping memory is unsafe code, which
//! the workspace forbids). The subject is a tail that reads the change from the log. No caller can
//! observe when COMMIT returns inside the writer thread. So the time starts at the end of the job, and
//! the median time of the baseline's commit, including savepoint and change context, is subtracted, from
//! the p99 too. Commits do not wait for the disk here.
//!
//! The bare wake-up is that of a core that did not sleep.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::Duration;

use ao_benches::{
    Fixture, Line, NewFixture, Run, Sample, at_most, cause, close_context, median, monotonic,
    observation, open_context, percentile, process_cpu, respawn, threads,
};
use ao_cdc::{Filter, Start, Tail};
use ao_store::{Options, Store, apply_observation};
use crossbeam_channel::bounded;
use rusqlite::Connection;
use tempfile::TempDir;

const ROUNDS: usize = 7;
/// Wake-ups per round.
const WAKES: usize = 200;
/// The pause of a subscriber before each wake-up.
const PAUSE: Duration = Duration::from_millis(1);
/// How long the idle subscriber is measured.
const IDLE: Duration = Duration::from_secs(3);

const UPDATE: &str = "UPDATE pr_review_thread SET comments_total = ?3 WHERE pr_id = ?1 AND id = ?2";

/// The median of a round, as the cost of one wake-up.
fn sample(mut nanos: Vec<f64>) -> Sample {
    Sample { units: 1, nanos: median(&mut nanos) as u64 }
}

/// A running process of this executable in another role.
struct Other {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Other {
    fn start(role: &str, path: &Path) -> Other {
        let mut command = respawn(role).expect("this executable");
        command.arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start a process");
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut other = Other { child, input, output };
        assert_eq!(other.line(), "ready");
        other
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("read a line");
        line.trim_end().to_owned()
    }

    fn number(&mut self) -> u64 {
        self.line().parse().expect("a number")
    }

    fn end(mut self) {
        drop(self.input);
        assert!(self.child.wait().expect("wait for the process").success());
    }
}

/// One commit of one changed row; returns when the job ended.
fn commit(store: &Store, variant: &Cell<i64>) -> u64 {
    variant.set(variant.get() + 1);
    let seen = observation(0, threads(0, 1, variant.get()));
    let written = store.write(cause(), move |tx| {
        apply_observation(tx, &seen)?;
        Ok(monotonic())
    });
    let written = written.expect("write");
    assert_eq!(written.changes, 1);
    written.value
}

/// The time when the next change of a tail was available.
fn next(tail: &mut Tail) -> u64 {
    loop {
        let visited = tail.visit(512, |change| change.after().map(|_| ())).expect("visit");
        if visited.matched > 0 {
            return monotonic();
        }
        tail.wait(Duration::from_secs(5)).expect("wait");
    }
}

/// The fixture and baseline of both kinds of subscribers.
struct Rig {
    fixture: Fixture,
    bare: Connection,
    _dir: TempDir,
    variant: Cell<i64>,
    /// The median time of a commit of the baseline.
    commit: Cell<f64>,
    p99: RefCell<Vec<f64>>,
}

impl Rig {
    fn new() -> Rig {
        let new = NewFixture { prs: 100, threads: 1, ..NewFixture::default() };
        let (bare, _dir) = new.create().into_raw();
        let fixture = new.create();
        let (variant, commit, p99) = (Cell::new(0), Cell::new(0.0), RefCell::default());
        Rig { fixture, bare, _dir, variant, commit, p99 }
    }

    /// One commit on bare SQLite, and its time from the end of the job.
    fn bare_commit(&self, thread: &str) -> f64 {
        let sql = |sql: &str| {
            self.bare.prepare_cached(sql).and_then(|mut s| s.execute([])).expect("execute");
        };
        self.variant.set(self.variant.get() + 1);
        let params = ("github.com/acme/demo#1", thread, self.variant.get());
        sql("BEGIN IMMEDIATE");
        sql("SAVEPOINT job");
        open_context(&self.bare);
        let changed = self.bare.prepare_cached(UPDATE).and_then(|mut s| s.execute(params));
        assert_eq!(changed.expect("update"), 1);
        let start = monotonic();
        sql("RELEASE job");
        close_context(&self.bare);
        sql("COMMIT");
        (monotonic() - start) as f64
    }

    /// One round of the baseline; `wake` returns the time when the woken thread ran.
    fn bare_round(&self, mut wake: impl FnMut() -> u64) -> Sample {
        let thread = threads(0, 1, 0).remove(0).id;
        let (mut commits, mut wakes) = (Vec::new(), Vec::new());
        for _ in 0..WAKES {
            thread::sleep(PAUSE);
            commits.push(self.bare_commit(&thread));
            let start = monotonic();
            wakes.push(wake().saturating_sub(start) as f64);
        }
        self.commit.set(median(&mut commits));
        sample(wakes)
    }

    fn bare_thread(&self) -> Sample {
        let (report, woken) = bounded(1);
        let sleeper = thread::spawn(move || {
            for _ in 0..WAKES {
                thread::park();
                report.send(monotonic()).expect("the bench waits");
            }
        });
        let sample = self.bare_round(|| {
            sleeper.thread().unpark();
            woken.recv().expect("a wake")
        });
        sleeper.join().expect("the sleeper");
        sample
    }

    fn bare_process(&self) -> Sample {
        let mut other = Other::start("wake", &self.fixture.path);
        let sample = self.bare_round(|| {
            other.input.write_all(b"x").expect("write a byte");
            other.number()
        });
        other.end();
        sample
    }

    /// One round of commits; `received` returns the time when the subscriber had the change.
    fn round(&self, mut received: impl FnMut() -> u64) -> Sample {
        let mut nanos: Vec<_> = (0..WAKES)
            .map(|_| {
                thread::sleep(PAUSE);
                let start = commit(&self.fixture.store, &self.variant);
                received().saturating_sub(start) as f64 - self.commit.get()
            })
            .collect();
        self.p99.borrow_mut().push(percentile(&mut nanos, 0.99));
        sample(nanos)
    }

    fn same_process(&self) -> Sample {
        let mut tail =
            Tail::open(&self.fixture.store, Start::End, Filter::default()).expect("open a tail");
        let (report, received) = bounded(1);
        let subscriber = thread::spawn(move || {
            for _ in 0..WAKES {
                report.send(next(&mut tail)).expect("the bench waits");
            }
        });
        let sample = self.round(|| received.recv().expect("a change"));
        subscriber.join().expect("the subscriber");
        sample
    }

    fn other_process(&self) -> Sample {
        let mut other = Other::start("tail", &self.fixture.path);
        let sample = self.round(|| other.number());
        other.end();
        sample
    }

    /// The p99 of each round, in milliseconds.
    fn p99_ms(&self) -> Vec<f64> {
        self.p99.take().into_iter().map(|nanos| nanos / 1e6).collect()
    }
}

fn say(text: &dyn std::fmt::Display) {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}").and_then(|()| output.flush()).expect("the bench reads");
}

/// The roles of processes that [`Other`] started.
pub(crate) const ROLES: [&str; 3] = ["wake", "tail", "idle"];

/// The work of a process that [`Other`] started.
pub(crate) fn play(role: &str) {
    let path = std::env::args_os().nth(1).expect("the database");
    if role == "wake" {
        say(&"ready");
        while let Ok(1) = io::stdin().read(&mut [0]) {
            say(&monotonic());
        }
        return;
    }
    let store = Store::open(Path::new(&path), Options::default()).expect("open the store");
    let mut tail = Tail::open(&store, Start::End, Filter::default()).expect("open a tail");
    say(&"ready");
    if role == "tail" {
        (0..WAKES).for_each(|_| say(&next(&mut tail)));
    } else {
        let idle = process_cpu(|| {
            tail.wait(IDLE).expect("wait");
            1
        });
        say(&idle.nanos);
    }
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let rig = Rig::new();
    let figure = |number, work, unit, most| Line::figure(number, work, unit, at_most(most));
    let work = "commit to subscriber, same process, p50";
    let line = Line::ratio("6", work, "wake of a parked thread", at_most(1.6));
    if run.compare(line, ROUNDS, || rig.bare_thread(), || rig.same_process()).is_some() {
        run.limit(figure("6", "the same, p99", "ms", 0.5), rig.p99_ms());
    }
    let work = "commit to subscriber, other process, p50";
    let line = Line::ratio("7", work, "wake by a byte in a pipe", at_most(2.5));
    if run.compare(line, ROUNDS, || rig.bare_process(), || rig.other_process()).is_some() {
        run.limit(figure("7", "the same, p99", "ms", 0.5), rig.p99_ms());
        let mut idle = Other::start("idle", &rig.fixture.path);
        let share = idle.number() as f64 / IDLE.as_nanos() as f64 * 100.0;
        idle.end();
        run.limit(figure("7", "idle subscriber", "% of a core", 0.1), vec![share]);
    }
}
