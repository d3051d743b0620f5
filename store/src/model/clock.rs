//! Readings of the clocks of the machine: the wall clock, which can be set, and the time since the machine
//! started, which cannot. Two readings of one boot show by how much the wall clock was set between them.

use std::fs;
use std::sync::OnceLock;

use rustix::time::{ClockId, clock_gettime};

use crate::model::time::Timestamp;

/// A difference between the two clocks up to this one, in milliseconds, is not a jump: the clocks are not
/// read at once, and a time service corrects small errors.
pub(crate) const STEP_MS: i64 = 60_000;

/// Identifies the running kernel.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The boot id of the machine; empty where the system has none. It is the same as long as this process runs,
/// so it is read once.
#[must_use]
pub fn boot_id() -> String {
    static FOUND: OnceLock<String> = OnceLock::new();
    if let Some(id) = FOUND.get() {
        return id.clone();
    }
    let id = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
    // It may only be that no file can be opened now.
    if id.is_empty() { id } else { FOUND.get_or_init(|| id).clone() }
}

/// A time on the clock that runs from the start of the machine, also while the machine sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootTime {
    /// Identifies the boot of the machine.
    pub boot: i64,
    /// Milliseconds since then.
    pub ms: i64,
    /// The same without the time for which the machine slept.
    pub awake_ms: i64,
}

impl BootTime {
    /// `None` where the system has no boot id.
    fn now() -> Option<BootTime> {
        static BOOT: OnceLock<Option<i64>> = OnceLock::new();
        let boot = (*BOOT.get_or_init(|| {
            let digits: String = boot_id().chars().filter(|digit| *digit != '-').take(16).collect();
            u64::from_str_radix(&digits, 16).ok().map(u64::cast_signed)
        }))?;
        Some(BootTime { boot, ms: ms(ClockId::Boottime), awake_ms: ms(ClockId::Monotonic) })
    }
}

fn ms(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

/// A time on the clock by which deadlines are kept: it runs while the machine is awake, and cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AwakeTime {
    /// Identifies the boot of the machine.
    pub(crate) boot: i64,
    /// Milliseconds since then.
    pub(crate) ms: i64,
}

impl AwakeTime {
    /// The time this long after `self`.
    pub(crate) fn after(self, ms: i64) -> AwakeTime {
        AwakeTime { ms: self.ms.saturating_add(ms), ..self }
    }
}

/// What the clocks showed at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// The wall clock.
    pub at: Timestamp,
    /// The time since the machine started; `None` if it is unknown, as for the time of a test.
    pub boot: Option<BootTime>,
}

impl From<Timestamp> for ClockReading {
    fn from(at: Timestamp) -> ClockReading {
        ClockReading { at, boot: None }
    }
}

impl ClockReading {
    /// Reads the clocks, for use at an edge only.
    #[must_use]
    pub fn now() -> ClockReading {
        ClockReading { at: Timestamp::now(), boot: BootTime::now() }
    }

    /// The time by which deadlines are kept; the wall clock where no other is known.
    pub(crate) fn awake(self) -> AwakeTime {
        let BootTime { boot, awake_ms: ms, .. } =
            self.boot.unwrap_or(BootTime { boot: 0, ms: self.at.0, awake_ms: self.at.0 });
        AwakeTime { boot, ms }
    }

    /// By how many milliseconds the wall clock was set forward since an earlier reading. `None` without
    /// evidence: a reading of another boot, or of a machine whose saved state was resumed.
    pub(crate) fn jump_since(self, earlier: ClockReading) -> Option<i64> {
        let (now, then) = (self.boot?, earlier.boot?);
        let ran = now.ms.saturating_sub(then.ms);
        let jump = self.at.0.saturating_sub(earlier.at.0).saturating_sub(ran);
        // A job that waited long for the writer has an earlier reading.
        let is_evidence = now.boot == then.boot && (ran >= 0 || jump.saturating_abs() <= STEP_MS);
        is_evidence.then_some(jump)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: i64, boot: i64, ms: i64) -> ClockReading {
        ClockReading { at: Timestamp(at), boot: Some(BootTime { boot, ms, awake_ms: ms }) }
    }

    #[test]
    fn two_readings_of_one_boot_show_a_jump() {
        let first = reading(5_000_000, 1, 1_000_000);
        for (later, jump) in [
            (reading(5_500_000, 1, 1_500_000), Some(0)),
            (reading(9_500_000, 1, 1_500_000), Some(4_000_000)),
            (reading(500_000, 1, 1_500_000), Some(-5_000_000)),
            (reading(4_990_000, 1, 990_000), Some(0)),
            (reading(5_500_000, 1, 500_000), None),
            (reading(5_500_000, 2, 1_500_000), None),
            (ClockReading::from(Timestamp(5_500_000)), None),
        ] {
            assert_eq!(later.jump_since(first), jump, "{later:?}");
        }
        let (now, then) = (ClockReading::now(), ClockReading::now());
        assert!(now.jump_since(then).is_some(), "this machine gives evidence");
    }
}
