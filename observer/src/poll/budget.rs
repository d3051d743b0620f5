//! The host's budget of requests, as its answers report it, and the share of it that the observer
//! uses.

use ao_store::Timestamp;
use serde::{Deserialize, Serialize};

/// One budget: a number of points until a point in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Budget {
    /// Points per window; `None` while the host has reported no limit.
    pub(crate) limit: Option<i64>,
    /// The points that remain.
    pub(crate) remaining: i64,
    /// When the window ends, in milliseconds by the clock of this machine.
    pub(crate) reset_at: i64,
}

/// A window is an hour. A reset further in the future comes from a wrong clock.
const WINDOW_MS: i64 = 3_600_000;

/// More points than any host grants.
const LIMIT_MAX: i64 = 1_000_000_000;

impl Budget {
    /// Records what an answer reported. `skew` is how far the host's clock is ahead of ours, in
    /// milliseconds.
    pub(crate) fn record(
        &mut self,
        limit: i64,
        remaining: i64,
        reset_at: i64,
        skew: i64,
        now: Timestamp,
    ) {
        let reset_at = reset_at.saturating_sub(skew);
        // A reset in the past comes from a wrong clock or from a late answer.
        let reset_at = if reset_at <= now.0 { now.0 + 60_000 } else { reset_at };
        let reset_at = reset_at.min(now.0 + WINDOW_MS + 60_000);
        // A stored reset further in the future was recorded before our clock was set back.
        let is_plausible = self.reset_at <= now.0 + WINDOW_MS + 60_000;
        let is_open = self.limit.is_some() && is_plausible && now.0 < self.reset_at;
        // Answers overtake each other: within one window the remaining points only decrease.
        let is_same_window = is_open && (reset_at - self.reset_at).abs() < 30_000;
        let is_older_window = is_open && reset_at < self.reset_at - 30_000;
        if is_older_window
            || (is_same_window && self.limit == Some(limit) && remaining > self.remaining)
        {
            return;
        }
        // Reported numbers may be senseless.
        let limit = limit.clamp(0, LIMIT_MAX);
        *self = Budget { limit: Some(limit), remaining: remaining.clamp(0, limit), reset_at };
    }

    /// The points that remain now; `None` without a limit.
    pub(crate) fn left(&self, now: Timestamp) -> Option<i64> {
        let limit = self.limit?;
        Some(if now.0 >= self.reset_at { limit } else { self.remaining })
    }

    /// The points that the observer may spend until the reset, and how long that is in milliseconds.
    /// `reserve` is the percentage that is left to other programs.
    pub(crate) fn usable(&self, reserve: i64, now: Timestamp) -> Option<(i64, i64)> {
        let (limit, left) = (self.limit?, self.left(now)?);
        let span = if now.0 >= self.reset_at { WINDOW_MS } else { self.reset_at - now.0 };
        Some((left - limit * reserve / 100, span))
    }

    /// By how much intervals must be multiplied so that `points` per hour last until the reset;
    /// `None`: nothing may be spent before it.
    pub(crate) fn stretch(&self, reserve: i64, points: f64, now: Timestamp) -> Option<f64> {
        let Some((usable, span)) = self.usable(reserve, now) else { return Some(1.0) };
        if usable <= 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "points and milliseconds of one hour")]
        let needed = points * span as f64 / WINDOW_MS as f64 / usable as f64;
        Some(needed.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(10 * WINDOW_MS);

    fn at(remaining: i64) -> Budget {
        Budget { limit: Some(5_000), remaining, reset_at: NOW.0 + WINDOW_MS / 2 }
    }

    #[test]
    fn a_budget_decreases_within_its_window_and_is_renewed_with_the_next() {
        let mut budget = at(4_000);
        budget.record(5_000, 4_100, budget.reset_at, 0, NOW);
        assert_eq!(budget.remaining, 4_000, "an answer that arrived late");
        budget.record(5_000, 3_900, budget.reset_at, 0, NOW);
        assert_eq!(budget.remaining, 3_900);
        budget.record(5_000, 100, budget.reset_at - WINDOW_MS / 4, 0, NOW);
        assert_eq!(budget.remaining, 3_900, "an older window");
        let later = Timestamp(budget.reset_at);
        assert_eq!(budget.left(later), Some(5_000));
        budget.record(5_000, 4_999, later.0 + WINDOW_MS, 0, later);
        assert_eq!(budget.remaining, 4_999);
    }

    #[test]
    fn clocks_that_differ_do_not_move_the_reset() {
        for skew in [-600_000, 0, 600_000] {
            let mut budget = Budget::default();
            budget.record(5_000, 10, NOW.0 + 100_000 + skew, skew, NOW);
            assert_eq!(budget.reset_at, NOW.0 + 100_000);
        }
        let mut budget = Budget::default();
        budget.record(5_000, 0, 0, 0, NOW);
        assert_eq!(budget.reset_at, NOW.0 + 60_000, "a reset in the past");
        let mut budget = Budget::default();
        budget.record(5_000, 0, i64::MAX, 0, NOW);
        assert_eq!(budget.reset_at, NOW.0 + WINDOW_MS + 60_000, "a reset beyond the window");
    }

    #[test]
    fn the_points_above_the_reserve_last_until_the_reset() {
        assert_eq!(Budget::default().stretch(40, 1e9, NOW), Some(1.0), "no limit is known");
        assert_eq!(at(4_000).stretch(40, 240.0, NOW), Some(1.0));
        assert_eq!(at(2_100).stretch(40, 1_000.0, NOW), Some(5.0), "100 points for 500");
        assert_eq!(at(2_000).stretch(40, 1.0, NOW), None);
        assert_eq!(at(2_000).stretch(10, 1.0, NOW), Some(1.0));
    }
}
