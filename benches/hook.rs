//! Claim: a hook, which agents run at every use of a tool, costs little more than its write. Budgets: at
//! most 1.4 times the CPU time of a C program that makes the same captured update; of 64 at once, 640 or more in
//! all, at least 0.75 times the rate of such programs in the kernel's queue of a file lock, their slowest
//! hundredth at most 4 times the median, and none lost.
//!
//! The baseline uses the same SQLite and the same file. Each hook begins or ends a turn, so each one writes; the
//! session of the baseline changes in the same columns, with the same triggers. Commits wait for the disk, as
//! those of hooks do. CPU time is that of all threads of the processes.
//!
//! Through a daemon's socket, a hook does not open the store. Budgets: at most 1.3 times the CPU time of a process
//! that does nothing (this executable, started again to write a line); of 64 at once at least 0.75 times the rate
//! of such processes, their slowest hundredth at most 2 times the median. The rate is a ratio because starting a
//! process bounds it: 2,000 per second, the first budget, is more than two processors can start of any program.
//!
//! It needs the program: run `cargo build --release` first.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use ao_benches::{
    Budget, Fixture, Line, NewFixture, Run, Sample, at_least, at_most, baseline, cause,
    children_cpu, monotonic, percentile, program, respawn, session_of,
};
use ao_store::Durability;
use ao_store::row::launch::{self, LaunchKind, NewLaunch, PromptStage};
use ao_store::row::session;

const ROUNDS: usize = 5;
/// Processes per round whose CPU time is measured.
const STARTS: usize = 60;
const AT_ONCE: usize = 64;
/// What each of them does in a round, one after the other: the begin and the end of a turn. All rounds have more
/// than the 640 of the budget.
const EACH: usize = 2;

/// A store with sessions that run, two for each process at once: of the subject and of the baseline.
fn fixture() -> Fixture {
    let sessions = 2 * AT_ONCE;
    let durability = Durability::Full;
    let fixture = NewFixture { durability, sessions, prs: 0, ..NewFixture::default() }.create();
    let dir = fixture.path.parent().expect("a folder");
    std::fs::create_dir_all(dir.join("run")).expect("make a folder");
    std::fs::create_dir_all(dir.join("home/.config/ao-store")).expect("make a folder");
    // How long a hook waits is measured, not bounded.
    let config = dir.join("home/.config/ao-store/config.toml");
    std::fs::write(config, "busy_timeout = \"10m\"\n").expect("write the configuration");
    let started = fixture.store.write(cause(), move |tx| {
        (1..=sessions).try_for_each(|number| {
            let new = NewLaunch {
                reports: true,
                id: launch_of(number),
                kind: LaunchKind::Prompt,
                instance: "i0123456789".to_owned(),
                boot_id: "2c2b9a4e-0c4e-4d40-8d3c-6f3a3f3e9d10".to_owned(),
                native_id: String::new(),
                prompt_stage: PromptStage::Written,
            };
            launch::begin(tx, &session::require(tx, &session_of(number))?, &new)?;
            launch::started(tx, &new.id, "owner", 1).map(|_| ())
        })
    });
    started.expect("start sessions");
    fixture
}

fn launch_of(number: usize) -> String {
    format!("l{number:020}")
}

/// Each turn begins and ends.
fn event(step: usize) -> &'static str {
    if step.is_multiple_of(2) { "UserPromptSubmit" } else { "Stop" }
}

/// The commands of both sides.
struct Sides {
    program: PathBuf,
    fixture: Fixture,
}

impl Sides {
    fn command(&self, args: &[&str]) -> Command {
        let dir = self.fixture.path.parent().expect("a folder");
        let mut command = Command::new(&self.program);
        command.args(args).env_clear();
        command.env("HOME", dir.join("home")).env("AO_DATA_DIR", dir);
        command
    }

    fn hook(&self, number: usize, step: usize) -> Command {
        let mut command = self.command(&["hook", "claude-code", event(step)]);
        command.env("AO_SESSION_ID", session_of(number).as_str());
        command.env("AO_LAUNCH_ID", launch_of(number));
        command
    }

    fn bare(&self, number: usize, step: usize, is_queued: bool) -> Command {
        let mut command = baseline("write");
        let session = session_of(AT_ONCE + number).to_string();
        let activity = if step.is_multiple_of(2) { "active" } else { "idle" };
        command.arg(&self.fixture.path).args([&session, activity, &monotonic().to_string()]);
        if is_queued {
            command.arg(self.fixture.path.with_file_name("queue"));
        }
        command
    }

    fn transactions(&self) -> usize {
        let sql = "SELECT count(DISTINCT tx) FROM change_log WHERE actor = 'hook'";
        let count = self.fixture.raw().query_row(sql, [], |row| row.get::<_, i64>(0));
        usize::try_from(count.expect("count the transactions")).expect("a count")
    }
}

/// Runs a process to its end.
fn complete(mut command: Command) {
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("start a process");
    let mut input = child.stdin.take().expect("its input");
    // One that does not read it closes it first.
    let _ = input.write_all(br#"{"session_id": "native", "prompt": "p"}"#);
    drop(input);
    assert!(child.wait().expect("wait for the process").success(), "{command:?} failed");
}

/// The CPU time of one process after the other.
fn one_by_one(command: impl Fn(usize) -> Command) -> Sample {
    let before = children_cpu();
    (0..STARTS).for_each(|step| complete(command(step)));
    Sample { units: STARTS as u64, nanos: children_cpu() - before }
}

/// The wall time of many at once, of which each adds its own time in milliseconds.
fn at_once(times: &Mutex<Vec<f64>>, command: impl Fn(usize, usize) -> Command + Sync) -> Sample {
    let start = monotonic();
    thread::scope(|scope| {
        for number in 1..=AT_ONCE {
            let command = &command;
            scope.spawn(move || {
                for step in 0..EACH {
                    let begun = monotonic();
                    complete(command(number, step));
                    let time = (monotonic() - begun) as f64 / 1e6;
                    times.lock().expect("no panic").push(time);
                }
            });
        }
    });
    Sample { units: (AT_ONCE * EACH) as u64, nanos: monotonic() - start }
}

/// The slowest hundredth of times in relation to their median.
fn slowest_to_median(times: Mutex<Vec<f64>>) -> f64 {
    let mut times = times.into_inner().expect("no panic");
    percentile(&mut times, 0.99) / percentile(&mut times, 0.5)
}

/// A daemon of the store that ends with this value.
struct Daemon<'a>(&'a Sides);

impl Daemon<'_> {
    fn start(sides: &Sides) -> Daemon<'_> {
        let started = sides.command(&["start", "--no-observe"]).stdout(Stdio::null()).status();
        assert!(started.expect("start a daemon").success());
        Daemon(sides)
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.0.command(&["stop"]).stdout(Stdio::null()).status();
    }
}

/// Hooks while a daemon runs.
fn through_a_daemon(run: &mut Run, sides: &Sides) {
    if !run.is_selected("12d") {
        return;
    }
    let _daemon = Daemon::start(sides);
    let nothing = || respawn("nothing").expect("this executable");
    let line = |work, budget| Line::ratio("12d", work, "a process that does nothing", budget);
    run.compare(
        line("a hook through the daemon, CPU", at_most(1.3)),
        ROUNDS,
        || one_by_one(|_| nothing()),
        || one_by_one(|step| sides.hook(1, step)),
    );
    let (times, others) = (Mutex::default(), Mutex::default());
    let before = sides.transactions();
    run.compare(
        line("the same per second, 64 at once", at_least(0.75)),
        ROUNDS,
        || at_once(&others, |_, _| nothing()),
        || at_once(&times, |number, step| sides.hook(number, step)),
    );
    assert!(sides.transactions() > before, "the daemon recorded");
    let slowest = Line::figure("12d", "the same, p99", "x", at_most(2.0)).of("its median");
    run.limit(slowest, vec![slowest_to_median(times)]);
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let sides = Sides { program: program(), fixture: fixture() };
    through_a_daemon(run, &sides);
    run.compare(
        Line::ratio("12b", "a hook, CPU", "C with the same captured update", at_most(1.4)),
        ROUNDS,
        || one_by_one(|step| sides.bare(1, step, false)),
        || one_by_one(|step| sides.hook(1, step)),
    );
    let (times, others) = (Mutex::default(), Mutex::default());
    let before = sides.transactions();
    let work = "hooks per second, 64 at once";
    let measured = run.compare(
        Line::ratio("12c", work, "C in the same kernel queue", at_least(0.75)),
        ROUNDS,
        || at_once(&others, |number, step| sides.bare(number, step, true)),
        || at_once(&times, |number, step| sides.hook(number, step)),
    );
    if measured.is_some() {
        let started = times.lock().expect("no panic").len();
        let line = Line::figure("12c", "the same, p99", "x", at_most(4.0)).of("its median");
        run.limit(line, vec![slowest_to_median(times)]);
        let line = Line::figure("12c", "p99 of the C programs", "x", Budget::None);
        run.limit(line.of("their median"), vec![slowest_to_median(others)]);
        let lost = started - (sides.transactions() - before).min(started);
        run.limit(Line::figure("12c", "the same, lost", "hooks", at_most(0.0)), vec![lost as f64]);
    }
}
