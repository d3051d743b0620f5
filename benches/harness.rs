//! Interleaved rounds of a baseline and a subject, and the median of their paired ratios.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use rustix::time::{ClockId, clock_gettime};

/// The variable with the role of a process that a bench started as its child.
const ROLE: &str = "AO_BENCH_ROLE";

/// The measured cost of some work.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Units of work that were done.
    pub units: u64,
    /// Nanoseconds on the clock that fits the work.
    pub nanos: u64,
}

impl Sample {
    fn per_unit(self) -> f64 {
        self.nanos as f64 / self.units.max(1) as f64
    }
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Nanoseconds on the clock that all processes of the machine share.
#[must_use]
pub fn monotonic() -> u64 {
    nanos(ClockId::Monotonic)
}

fn timed(clock: ClockId, work: impl FnOnce() -> u64) -> Sample {
    let start = nanos(clock);
    let units = work();
    Sample { units, nanos: nanos(clock) - start }
}

/// Measures work by the CPU time of this thread. `work` returns its units.
pub fn cpu(work: impl FnOnce() -> u64) -> Sample {
    timed(ClockId::ThreadCPUTime, work)
}

/// Measures work by the CPU time of all threads: for work that runs on another thread.
pub fn process_cpu(work: impl FnOnce() -> u64) -> Sample {
    timed(ClockId::ProcessCPUTime, work)
}

/// Measures work by the wall clock: for work that waits.
pub fn wall(work: impl FnOnce() -> u64) -> Sample {
    timed(ClockId::Monotonic, work)
}

/// The value below which a `share` of the values is; sorts them.
#[must_use]
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// The middle value; sorts them.
#[must_use]
pub fn median(values: &mut [f64]) -> f64 {
    percentile(values, 0.5)
}

/// The bound of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Budget {
    /// The maximum cost of the subject as a multiple of that of the baseline.
    AtMost(f64),
    /// The minimum rate of the subject as a multiple of that of the baseline.
    AtLeast(f64),
    /// The same by disk: the second number if a unit of the baseline takes over 1 ms, which
    /// indicates a slow disk, otherwise the first.
    AtLeastByDisk(f64, f64),
    /// No budget: the figure explains other figures.
    None,
}

/// The maximum cost of the subject as a multiple of that of the baseline.
#[must_use]
pub fn at_most(bound: f64) -> Budget {
    Budget::AtMost(bound)
}

/// The minimum rate of the subject as a multiple of that of the baseline.
#[must_use]
pub fn at_least(bound: f64) -> Budget {
    Budget::AtLeast(bound)
}

impl Budget {
    /// The budget for a baseline of this cost.
    fn settled(self, baseline: f64) -> Budget {
        match self {
            Budget::AtLeastByDisk(_, slow) if baseline > 1e6 => Budget::AtLeast(slow),
            Budget::AtLeastByDisk(fast, _) => Budget::AtLeast(fast),
            settled => settled,
        }
    }

    fn verdict(self, value: f64) -> &'static str {
        match self {
            Budget::AtMost(bound) if value > bound => "OVER",
            Budget::AtLeast(bound) if value < bound => "UNDER",
            Budget::None => "-",
            _ => "ok",
        }
    }

    fn ratio(self, baseline: Sample, subject: Sample) -> f64 {
        match self {
            Budget::AtLeast(_) | Budget::AtLeastByDisk(..) => {
                baseline.per_unit() / subject.per_unit()
            }
            Budget::AtMost(_) | Budget::None => subject.per_unit() / baseline.per_unit(),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Budget::AtMost(bound) => write!(f, "budget <= {bound:.2}"),
            Budget::AtLeast(bound) => write!(f, "budget >= {bound:.2}"),
            Budget::AtLeastByDisk(fast, slow) => write!(f, "budget >= {fast:.2} or {slow:.2}"),
            Budget::None => f.write_str("no budget "),
        }
    }
}

/// The amount of measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// One round, to test the bench itself: `cargo test --benches`.
    Once,
    /// The ratios.
    Ratios,
    /// The ratios, then each side by criterion.
    Statistics,
}

/// One run of one bench file.
pub struct Run {
    claim: &'static str,
    depth: Depth,
    filter: Option<String>,
    criterion: Criterion,
}

impl Run {
    /// Reads the command line and the environment.
    #[must_use]
    pub fn new(claim: &'static str) -> Run {
        let is_bench = std::env::args().any(|arg| arg == "--bench");
        let depth = match std::env::var_os("AO_RATIOS_ONLY") {
            _ if !is_bench => Depth::Once,
            Some(value) if value != "0" => Depth::Ratios,
            _ => Depth::Statistics,
        };
        let criterion = Criterion::default()
            .sample_size(10)
            .nresamples(10_000)
            .warm_up_time(Duration::from_millis(50))
            .measurement_time(Duration::from_millis(500))
            .configure_from_args();
        let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
        Run { claim, depth, filter, criterion }
    }

    /// Whether the command line selects this comparison.
    #[must_use]
    pub fn is_selected(&self, name: &str) -> bool {
        let filter = self.filter.as_deref();
        filter.is_none_or(|filter| name.contains(filter) || self.claim.contains(filter))
    }

    /// The number of rounds of a loop that the caller runs itself.
    #[must_use]
    pub fn rounds(&self, rounds: usize) -> usize {
        if self.depth == Depth::Once { 1 } else { rounds }
    }

    /// Measures both sides alternately after a warm-up round, changing the order from round to round;
    /// prints and returns the median ratio of the rounds. Each side prepares its own work and measures
    /// only what counts, by [`cpu`], [`process_cpu`] or [`wall`].
    pub fn compare(
        &mut self,
        name: &str,
        budget: Budget,
        rounds: usize,
        mut baseline: impl FnMut() -> Sample,
        mut subject: impl FnMut() -> Sample,
    ) -> Option<f64> {
        if !self.is_selected(name) {
            return None;
        }
        if self.depth != Depth::Once {
            baseline();
            subject();
        }
        let (mut ratios, mut base, mut cost) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.rounds(rounds) {
            let (baseline, subject) = if round % 2 == 0 {
                let first = baseline();
                (first, subject())
            } else {
                let first = subject();
                (baseline(), first)
            };
            ratios.push(budget.ratio(baseline, subject));
            base.push(baseline.per_unit());
            cost.push(subject.per_unit());
        }
        let ratio = median(&mut ratios);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        let (base, cost) = (median(&mut base), median(&mut cost));
        let budget = budget.settled(base);
        self.print(format_args!(
            "ratio  {}/{name}: {ratio:.2}x [{least:.2}..{most:.2}] ({budget}x) {}   {} : {} per unit",
            self.claim,
            budget.verdict(ratio),
            Time(cost),
            Time(base),
        ));
        if self.depth == Depth::Statistics {
            let mut group = self.criterion.benchmark_group(format!("{}/{name}", self.claim));
            group.sampling_mode(SamplingMode::Flat);
            group.bench_function("baseline", |b| b.iter_custom(|n| repeat(n, &mut baseline)));
            group.bench_function("subject", |b| b.iter_custom(|n| repeat(n, &mut subject)));
            group.finish();
        }
        Some(ratio)
    }

    /// Prints a figure with an absolute bound.
    pub fn limit(&self, name: &str, unit: &str, budget: Budget, value: f64) {
        let verdict = budget.verdict(value);
        self.print(format_args!(
            "limit  {}/{name}: {value:.3} {unit} ({budget} {unit}) {verdict}",
            self.claim
        ));
    }

    /// Prints another line, such as one of a table.
    pub fn note(&self, line: fmt::Arguments<'_>) {
        self.print(line);
    }

    fn print(&self, line: fmt::Arguments<'_>) {
        // A closed standard output cannot be reported anywhere.
        let _ = writeln!(io::stdout().lock(), "{line}");
    }
}

/// The time of `count` units.
fn repeat(count: u64, work: &mut dyn FnMut() -> Sample) -> Duration {
    let nanos: f64 = (0..count).map(|_| work().per_unit()).sum();
    Duration::from_nanos(nanos as u64)
}

/// Nanoseconds in a readable unit.
struct Time(f64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            nanos if nanos < 1e4 => write!(f, "{nanos:.0} ns"),
            nanos if nanos < 1e7 => write!(f, "{:.1} us", nanos / 1e3),
            nanos => write!(f, "{:.1} ms", nanos / 1e6),
        }
    }
}

/// The CPU time of a process with one thread, from its start to its end, in nanoseconds; its output is
/// discarded.
///
/// # Panics
/// When it cannot be started, or fails.
pub fn child_cpu(command: &mut Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).spawn().expect("start a process");
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let pid = Pid::from_child(&child);
    waitid(WaitId::Pid(pid), ended).expect("wait for the process");
    // It is there until it is waited for without NOWAIT.
    let times = std::fs::read_to_string(format!("/proc/{}/schedstat", child.id()));
    let times = times.expect("read its CPU time");
    assert!(child.wait().expect("end the process").success(), "{command:?} failed");
    times.split(' ').next().and_then(|time| time.parse().ok()).expect("a time")
}

/// The CPU time of all processes that this one has started and waited for, with all of their threads, in
/// nanoseconds, counted in hundredths of a second.
///
/// # Panics
/// When the system does not say.
#[must_use]
pub fn children_cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("read the CPU time");
    let (_, fields) = stat.rsplit_once(") ").expect("the fields after the name");
    // From proc_pid_stat(5): fields 16 and 17, of which the first one here is 3.
    let ticks = fields.split(' ').skip(13).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().expect("a number") * 10_000_000).sum()
}

/// The program, which is in the parent of this executable's directory (`target/release/deps`).
#[must_use]
pub fn program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let program = own.parent()?.parent()?.join("ao-store");
    program.is_file().then_some(program)
}

/// A command that runs this executable in another role.
///
/// # Errors
/// When the executable cannot be found.
pub fn respawn(role: &str) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(ROLE, role);
    Ok(command)
}

/// The role in which this process was started by [`respawn`].
#[must_use]
pub fn child_role() -> Option<String> {
    std::env::var_os(ROLE).as_deref().and_then(OsStr::to_str).map(str::to_owned)
}
