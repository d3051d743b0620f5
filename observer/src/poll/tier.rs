//! How urgent a pull request is, and the poll interval that follows. No I/O.

use ao_store::Timestamp;
use ao_store::observation::{Ci, PrState};
use ao_store::row::scm::{PrPoll, Problem};

/// How urgent a pull request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// Something is going on: a fresh push, running checks, the merge queue.
    Hot,
    /// A session works on it.
    Warm,
    /// Nothing changed for hours, or its session ended.
    Cool,
    /// Nothing changed for days, or it cannot be read.
    Cold,
    /// Merged or closed, and read once more since.
    Done,
}

/// How many tiers there are.
pub(crate) const COUNT: usize = 5;

impl Tier {
    /// In their order.
    pub(crate) const ALL: [Tier; COUNT] =
        [Tier::Hot, Tier::Warm, Tier::Cool, Tier::Cold, Tier::Done];
}

/// What decides the tier, beside what is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PrStatus {
    pub(crate) state: PrState,
    pub(crate) ci: Ci,
    pub(crate) is_in_merge_queue: bool,
    pub(crate) is_session_live: bool,
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// The tier of a pull request. The first rule that matches decides.
pub(crate) fn tier(status: PrStatus, poll: &PrPoll, now: Timestamp) -> Tier {
    let is_unreadable =
        matches!(poll.problem, Problem::Unreachable | Problem::Forbidden | Problem::Invalid);
    let age = |at: Option<Timestamp>| at.map_or(i64::MAX, |at| now.0.saturating_sub(at.0));
    let is_idle = age(poll.changed_at) >= 6 * HOUR;
    if is_unreadable {
        Tier::Cold
    } else if matches!(status.state, PrState::Merged | PrState::Closed) {
        if poll.confirmed_at.is_some() { Tier::Done } else { Tier::Warm }
    } else if status.is_in_merge_queue
        || status.ci == Ci::Pending && !is_idle
        || age(poll.pushed_at) < 10 * MINUTE
    {
        Tier::Hot
    } else if poll.changed_at.is_none() {
        // It was never read.
        Tier::Warm
    } else if age(poll.changed_at) >= 72 * HOUR {
        Tier::Cold
    } else if !status.is_session_live || is_idle {
        Tier::Cool
    } else {
        Tier::Warm
    }
}

/// How long after a poll the next heartbeat query and the next full query are due, in milliseconds.
/// A terminal pull request is polled again because it may be reopened.
///
/// Of one that `is_quiet`, a heartbeat shows nearly everything that may happen, so the full query is
/// ten times as rare, but not rarer than in the last tier.
pub(crate) fn intervals(tier: Tier, is_quiet: bool, interval_ms: i64) -> (i64, i64) {
    let (heartbeat, full) = usual_intervals(tier, interval_ms);
    match tier {
        Tier::Warm | Tier::Cool if is_quiet => (heartbeat, (10 * full).min(120 * interval_ms)),
        _ => (heartbeat, full),
    }
}

fn usual_intervals(tier: Tier, interval_ms: i64) -> (i64, i64) {
    match tier {
        Tier::Hot => (interval_ms / 2, interval_ms),
        Tier::Warm => (interval_ms, 4 * interval_ms),
        Tier::Cool => (4 * interval_ms, 20 * interval_ms),
        // The rule of ao-store for stale facts depends on this longest interval.
        Tier::Cold => (20 * interval_ms, 120 * interval_ms),
        Tier::Done => (24 * HOUR, 24 * HOUR),
    }
}

/// No interval is stretched beyond this.
const STRETCHED_MAX_MS: i64 = 600_000;

/// The interval, multiplied by `stretch` so that the budget lasts. The budget is renewed within the
/// hour, so stretching makes no interval longer than ten minutes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "milliseconds of some days, where rounding does not matter"
)]
pub(crate) fn stretched(every_ms: i64, stretch: f64) -> i64 {
    ((every_ms as f64 * stretch) as i64).min(every_ms.max(STRETCHED_MAX_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000 * HOUR);

    const OPEN: PrStatus = PrStatus {
        state: PrState::Open,
        ci: Ci::Passing,
        is_in_merge_queue: false,
        is_session_live: true,
    };

    fn stored() -> PrPoll {
        PrPoll { pushed_at: ago(1), changed_at: ago(1), ..PrPoll::default() }
    }

    fn ago(hours: i64) -> Option<Timestamp> {
        Some(Timestamp(NOW.0 - hours * HOUR))
    }

    #[test]
    fn full_queries_of_what_is_quiet_are_rare_unless_something_is_going_on() {
        for (tier, usual, quiet) in
            [(Tier::Hot, 1, 1), (Tier::Warm, 4, 40), (Tier::Cool, 20, 120), (Tier::Cold, 120, 120)]
        {
            assert_eq!(intervals(tier, false, 1).1, usual, "{tier:?}");
            assert_eq!(intervals(tier, true, 2), (intervals(tier, false, 2).0, 2 * quiet));
        }
        assert!(Tier::ALL.into_iter().enumerate().all(|(at, tier)| tier as usize == at));
    }

    #[test]
    fn an_interval_is_stretched_up_to_ten_minutes() {
        assert_eq!(stretched(30_000, 2.5), 75_000);
        assert_eq!(stretched(30_000, 1e9), 600_000);
        assert_eq!(stretched(HOUR, 3.0), HOUR, "a longer interval stays as it is");
    }

    #[test]
    fn urgency_follows_activity() {
        let pending = PrStatus { ci: Ci::Pending, ..OPEN };
        let queued = PrStatus { is_in_merge_queue: true, ..OPEN };
        let merged = PrStatus { state: PrState::Merged, ..OPEN };
        let changed = |hours| PrPoll { changed_at: ago(hours), ..stored() };
        let pushed = PrPoll { pushed_at: Some(Timestamp(NOW.0 - MINUTE)), ..stored() };
        for (status, poll, expected) in [
            (OPEN, stored(), Tier::Warm),
            (pending, stored(), Tier::Hot),
            (OPEN, pushed, Tier::Hot),
            (queued, stored(), Tier::Hot),
            (PrStatus { is_session_live: false, ..OPEN }, stored(), Tier::Cool),
            (OPEN, changed(7), Tier::Cool),
            // A check that hangs for hours is no activity.
            (pending, changed(7), Tier::Cool),
            (OPEN, changed(73), Tier::Cold),
            (queued, PrPoll { problem: Problem::Forbidden, ..stored() }, Tier::Cold),
            (merged, stored(), Tier::Warm),
            (merged, PrPoll { confirmed_at: ago(0), ..stored() }, Tier::Done),
        ] {
            assert_eq!(tier(status, &poll, NOW), expected, "{status:?} {poll:?}");
        }
    }
}
