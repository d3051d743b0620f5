//! Interleaved rounds of a baseline and a subject, and the median of their paired ratios.

use std::fmt;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};

use super::budget::Line;
use super::clock::{Sample, percentile};
use super::report::{self, Measured};

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

/// The run of one file of benches, in a process of its own.
pub struct Run {
    depth: Depth,
    filter: Option<String>,
    criterion: Criterion,
}

impl Run {
    /// The run of a file: of all of its lines, or of those of one number.
    pub(super) fn new(filter: Option<String>) -> Run {
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
            .measurement_time(Duration::from_millis(500));
        Run { depth, filter, criterion }
    }

    /// Whether the command line selects the lines of this number.
    #[must_use]
    pub fn is_selected(&self, number: &str) -> bool {
        self.filter.as_deref().is_none_or(|filter| filter == number)
    }

    /// The number of rounds of a loop that the caller runs itself.
    #[must_use]
    pub fn rounds(&self, rounds: usize) -> usize {
        if self.depth == Depth::Once { 1 } else { rounds }
    }

    /// Measures both sides alternately after a warm-up round, changing the order from round to round;
    /// prints and returns the median ratio of the rounds. Each side prepares its own work and measures
    /// only what counts, by [`cpu`](crate::cpu), [`process_cpu`](crate::process_cpu) or
    /// [`wall`](crate::wall).
    pub fn compare(
        &mut self,
        line: Line,
        rounds: usize,
        mut baseline: impl FnMut() -> Sample,
        mut subject: impl FnMut() -> Sample,
    ) -> Option<f64> {
        if !self.is_selected(line.number) {
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
            ratios.push(line.budget.ratio(baseline, subject));
            base.push(baseline.per_unit());
            cost.push(subject.per_unit());
        }
        if self.depth == Depth::Statistics {
            let name = format!("{} {}", line.number, line.work);
            let mut group = self.criterion.benchmark_group(name);
            group.sampling_mode(SamplingMode::Flat);
            group.bench_function("baseline", |b| b.iter_custom(|n| repeat(n, &mut baseline)));
            group.bench_function("subject", |b| b.iter_custom(|n| repeat(n, &mut subject)));
            group.finish();
        }
        let times =
            format!("{} : {}", Time(percentile(&mut cost, 0.5)), Time(percentile(&mut base, 0.5)));
        Some(self.record(line, &mut ratios, &times))
    }

    /// Prints a figure of which each round has given a value.
    pub fn limit(&mut self, line: Line, mut values: Vec<f64>) {
        if self.is_selected(line.number) {
            self.record(line, &mut values, "");
        }
    }

    fn record(&mut self, line: Line, values: &mut [f64], times: &str) -> f64 {
        let value = percentile(values, 0.5);
        // Half of the range that has the middle half of the rounds.
        let noise = (percentile(values, 0.75) - percentile(values, 0.25)) / 2.0 / value;
        let measured = Measured { verdict: line.budget.verdict(value, noise), line, value };
        let range = [values.first(), values.last()].map(|it| it.copied().unwrap_or(value));
        measured.report(range, times);
        value
    }

    /// Prints another line, such as one of a table.
    pub fn note(&mut self, line: fmt::Arguments<'_>) {
        report::note(line);
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
