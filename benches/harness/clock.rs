//! Clocks, and what is computed from their readings.

use rustix::time::{ClockId, clock_gettime};

/// The measured cost of some work.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Units of work that were done.
    pub units: u64,
    /// Nanoseconds on the clock that fits the work.
    pub nanos: u64,
}

impl Sample {
    /// Nanoseconds of one unit.
    pub(super) fn per_unit(self) -> f64 {
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
