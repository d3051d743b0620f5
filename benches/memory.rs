//! Claim: processes that run all day stay small. Bounds of their resident sets, of which the pages of the
//! program itself, which all of them share, are a part: `tail` after it has printed 20,000 changes, `up`
//! while nothing happens, and, on top of the process that it is in, the observer of 2,000 pull requests. The bound
//! of `up` is more than that of `tail` because it serves HTTP: 7 MiB more pages of the program, and 9 MiB more
//! memory of its own.
//!
//! The observer runs against the fake GitHub of the benches, in this process: the figure is what its tracking
//! added, with the answers that the fake made for it, so it is an upper bound.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use ao_benches::{Fixture, Line, NewFixture, Run, at_most, program};
use ao_observer::poll::Config;

use crate::observe::observer::{Observer, Token};
use crate::observe::scene::Scene;

const PRS: usize = 100;
const THREADS: usize = 20;
/// How often every thread is changed.
const PASSES: i64 = 10;
const CHANGES: usize = PASSES as usize * PRS * THREADS;
/// Pull requests of the observer.
const OBSERVED: usize = 2_000;
/// How long `up` is idle before it is looked at.
const IDLE: Duration = Duration::from_secs(3);

/// The resident set of a process, in MiB.
fn resident(pid: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("read its memory");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a field");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024.0
}

fn fixture() -> Fixture {
    NewFixture { prs: PRS, threads: THREADS, ..NewFixture::default() }.create_changed(PASSES)
}

/// The program in the store of a fixture; what it prints is read until this line.
fn started(fixture: &Fixture, args: &[&str], lines: usize) -> Child {
    let dir = fixture.path.parent().expect("a folder");
    let mut command = Command::new(program());
    command.args(args).env("AO_DATA_DIR", dir).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("start the program");
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    for line in output.by_ref().lines().take(lines) {
        line.expect("read a line");
    }
    child.stdout = Some(output.into_inner());
    child
}

/// The resident set of a process, which is then ended.
fn ended(mut child: Child) -> f64 {
    let size = resident(&child.id().to_string());
    child.kill().expect("end the process");
    child.wait().expect("wait for the process");
    size
}

fn repository(dir: &Path) -> String {
    let path = dir.join("repository").display().to_string();
    let made = Command::new("git").args(["init", "-q", &path]).status().expect("run git");
    assert!(made.success(), "git init failed");
    path
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let fixture = fixture();
    let count = CHANGES.to_string();
    let tail = started(&fixture, &["tail", "-n", &count, "-f", "--format", "ndjson"], CHANGES);
    let line = |work, most| Line::figure("37", work, "MiB", at_most(most));
    run.limit(line("resident set of `tail` after 20,000 changes", 16.0), vec![ended(tail)]);
    let path = repository(fixture.path.parent().expect("a folder"));
    let up = started(&fixture, &["up", "--no-observe", &path], 0);
    sleep(IDLE);
    run.limit(line("resident set of an idle `up`", 28.0), vec![ended(up)]);
    // A single round only tests the bench.
    let prs = if run.rounds(2) == 1 { 10 } else { OBSERVED };
    let scene = Scene::new(prs);
    let before = resident("self");
    let observer = Observer::tracking(scene, Token::User, Config::default());
    let added = resident("self") - before;
    drop(observer);
    run.limit(line("the observer of 2,000 pull requests", 64.0), vec![added]);
}
