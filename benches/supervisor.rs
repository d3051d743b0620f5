//! Claim: the supervisor of a launch is small and starts its agent quickly. Budgets: at most 3,000
//! KiB of memory that is its own and written (a C program that starts a program and waits for it has about
//! 100), and at most 5 times the time of that program until the agent runs.
//!
//! The baseline is that C program, built by this bench with `cc`, linked dynamically. The agent of both is
//! a shell that writes a line into a FIFO and waits for one in another. Wall time from before the file of
//! the launch is written, or for the baseline from its start, to the line; the memory is that of
//! `smaps_rollup` after the store has the start of the launch.
//!
//! It needs the program (run `cargo build --release` first) and `cc`.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_benches::{
    Fixture, Line, NewFixture, Run, Sample, at_most, cause, median, monotonic, program,
};
use ao_session::Spec;
use ao_store::Durability;
use ao_store::row::launch::{self, LaunchKind, NewLaunch, PromptStage};
use ao_store::row::session;

const ROUNDS: usize = 9;
/// Starts per round.
const STARTS: u64 = 10;
/// How long the start of a launch may take to be recorded.
const TIMEOUT: Duration = Duration::from_secs(20);

const BASELINE: &str = r#"
#include <spawn.h>
#include <sys/wait.h>
extern char **environ;
int main(int argc, char **argv) {
    pid_t pid;
    int status;
    if (argc < 2 || posix_spawn(&pid, argv[1], 0, 0, argv + 1, environ)) return 1;
    return waitpid(pid, &status, 0) < 0 || !WIFEXITED(status);
}
"#;

/// The FIFOs of an agent that reports that it runs, and ends when it may.
struct Agent {
    argv: [String; 3],
    runs: BufReader<File>,
    may_end: File,
}

impl Agent {
    fn new(dir: &Path) -> Agent {
        let fifo = |name: &str| {
            let path = dir.join(name);
            let made = Command::new("mkfifo").arg(&path).status().expect("run mkfifo");
            assert!(made.success(), "mkfifo failed");
            // Open for both directions, an end is always there.
            let file = OpenOptions::new().read(true).write(true).open(&path);
            (path.display().to_string(), file.expect("open a FIFO"))
        };
        let ((runs_path, runs), (end_path, may_end)) = (fifo("runs"), fifo("end"));
        let script = format!("echo runs >'{runs_path}'; read -r line <'{end_path}'");
        let argv = ["/bin/sh".to_owned(), "-c".to_owned(), script];
        Agent { argv, runs: BufReader::new(runs), may_end }
    }

    fn wait_until_it_runs(&mut self) {
        let mut line = String::new();
        self.runs.read_line(&mut line).expect("read a FIFO");
        assert_eq!(line, "runs\n");
    }

    fn end(&mut self, mut parent: Child) {
        self.may_end.write_all(b"\n").expect("write a FIFO");
        assert!(parent.wait().expect("wait for the process").success());
    }
}

/// A process that waits for its agent, which runs; and the time until it did.
fn started(agent: &mut Agent, prepare: impl FnOnce() -> Command) -> (Child, u64) {
    let start = monotonic();
    let mut command = prepare();
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.spawn().expect("start a process");
    agent.wait_until_it_runs();
    (child, monotonic() - start)
}

/// The memory that a process has for itself and its proportional share of all, in KiB. Pages of its file
/// count as shared: the supervisors of all launches have them once.
fn memory(pid: u32) -> (f64, f64) {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("read the memory");
    let field = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).expect("a field");
        line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number")
    };
    (field("Private_Dirty:"), field("Pss:"))
}

/// Records launches of the only session of a store, and starts their supervisors.
struct Supervisors {
    fixture: Fixture,
    program: PathBuf,
    number: u32,
}

impl Supervisors {
    fn dir(&self) -> &Path {
        self.fixture.path.parent().expect("a folder")
    }

    /// Records a launch; returns its id.
    fn record(&mut self) -> String {
        self.number += 1;
        let id = format!("l{:020}", self.number);
        let new = NewLaunch {
            reports: false,
            id: id.clone(),
            kind: LaunchKind::Fresh,
            instance: "i".to_owned(),
            boot_id: "b".to_owned(),
            native_id: String::new(),
            prompt_stage: PromptStage::None,
        };
        let written = self.fixture.store.write(cause(), move |tx| {
            let session = session::require(tx, &ao_benches::session_of(1))?;
            launch::begin(tx, &session, &new)
        });
        written.expect("record a launch");
        id
    }

    /// Writes the file of a launch, and returns the command of its supervisor.
    fn command(&self, launch: &str, argv: &[String]) -> Command {
        let spec = Spec {
            launch: launch.to_owned(),
            session: "demo-1".to_owned(),
            dir: self.dir().to_owned(),
            argv: argv.to_vec(),
            runtime: "process".to_owned(),
            environment: std::env::vars().collect(),
        };
        let file = self.dir().join("run").join(format!("{launch}.json"));
        fs::write(file, serde_json::to_vec(&spec).expect("as JSON")).expect("write a file");
        let mut command = Command::new(&self.program);
        command.arg("--data-dir").arg(self.dir()).args(["supervise", launch]);
        command
    }

    fn wait_until_recorded(&self, launch: &str) {
        let deadline = Instant::now() + TIMEOUT;
        let is_recorded = || {
            let row = self.fixture.store.read(|snapshot| launch::get(snapshot, launch));
            row.expect("read a launch").is_some_and(|row| row.started_at.is_some())
        };
        while !is_recorded() {
            assert!(Instant::now() < deadline, "the start of {launch} was not recorded");
            sleep(Duration::from_millis(1));
        }
    }
}

fn build_baseline(dir: &Path) -> PathBuf {
    let (source, program) = (dir.join("baseline.c"), dir.join("baseline"));
    fs::write(&source, BASELINE).expect("write a file");
    let built = Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(&source).status();
    assert!(built.expect("run cc").success(), "cc failed");
    program
}

/// Starts per round of a side: the time from start to running agent.
fn sample(mut start: impl FnMut() -> u64) -> Sample {
    Sample { units: STARTS, nanos: (0..STARTS).map(|_| start()).sum() }
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let program = program();
    let durability = Durability::Full;
    let fixture = NewFixture { durability, prs: 100, ..NewFixture::default() }.create();
    let mut supervisors = Supervisors { fixture, program, number: 0 };
    fs::create_dir(supervisors.dir().join("run")).expect("create a directory");
    let baseline = build_baseline(supervisors.dir());
    let agent = std::cell::RefCell::new(Agent::new(supervisors.dir()));
    let (mut of_baseline, mut of_subject) = (Vec::new(), Vec::new());
    run.compare(
        Line::ratio("36", "recorded launch to running agent", "a C program", at_most(5.0)),
        ROUNDS,
        || {
            sample(|| {
                let agent = &mut *agent.borrow_mut();
                let argv = agent.argv.clone();
                let (child, nanos) = started(agent, || {
                    let mut command = Command::new(&baseline);
                    command.args(&argv);
                    command
                });
                of_baseline.push(memory(child.id()));
                agent.end(child);
                nanos
            })
        },
        || {
            sample(|| {
                let agent = &mut *agent.borrow_mut();
                let (launch, argv) = (supervisors.record(), agent.argv.clone());
                let (child, nanos) = started(agent, || supervisors.command(&launch, &argv));
                supervisors.wait_until_recorded(&launch);
                of_subject.push(memory(child.id()));
                agent.end(child);
                nanos
            })
        },
    );
    if of_subject.is_empty() {
        return;
    }
    let middle = |of: fn(&(f64, f64)) -> f64, all: &[(f64, f64)]| {
        median(&mut all.iter().map(of).collect::<Vec<_>>())
    };
    let (private, pss) = (|it: &(f64, f64)| it.0, |it: &(f64, f64)| it.1);
    let line = Line::figure("36", "memory of a supervisor, written", "KiB", at_most(3000.0));
    run.limit(line, vec![middle(private, &of_subject)]);
    run.note(format_args!(
        "note   supervisor/memory: private {:.0} : {:.0} KiB, Pss {:.0} : {:.0} KiB",
        middle(private, &of_subject),
        middle(private, &of_baseline),
        middle(pss, &of_subject),
        middle(pss, &of_baseline),
    ));
}
