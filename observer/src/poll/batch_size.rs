//! How many items one request asks for, adapted to how the host answers: additive increase,
//! multiplicative decrease, and after several failures in a row a fast recovery. A request that
//! fails at every size is an outage, which has nothing to do with sizes.

use ao_store::Timestamp;
use serde::{Deserialize, Serialize};

use crate::github::query::Level;
use crate::poll::request::Query;

/// The size of one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchSize {
    now: u32,
    max: u32,
    /// The size that successes restore by doubling, after failures in a row went below it.
    target: u32,
    /// Whether the last request failed.
    is_failing: bool,
    /// Fast answers since the size changed last.
    fast: u32,
    /// When it was halved last, in milliseconds.
    halved_at: Option<i64>,
}

/// An answer slower than this counts as too large: the host aborts a request after ten seconds.
const SLOW_MS: i64 = 8_000;

/// An answer within this time is fast.
const FAST_MS: i64 = 3_000;

/// This many fast answers increase the size by a tenth.
const FAST_RUN: u32 = 20;

/// A size that was halved is not doubled before this time has passed.
const REMEMBER_MS: i64 = 24 * 3_600_000;

impl BatchSize {
    pub(crate) fn new(max: u32) -> BatchSize {
        BatchSize { now: max, max, target: max, is_failing: false, fast: 0, halved_at: None }
    }

    /// The stored size, limited by the maximum of this program.
    fn limited(self, max: u32) -> BatchSize {
        BatchSize { now: self.now.clamp(1, max), max, target: self.target.min(max), ..self }
    }

    pub(crate) fn get(&self) -> usize {
        self.now as usize
    }

    /// The size when no recovery from failures is going on.
    pub(crate) fn usual(&self) -> usize {
        self.now.max(self.target) as usize
    }

    /// An answer arrived after this latency.
    pub(crate) fn record_answer(&mut self, latency_ms: i64, now: Timestamp) {
        self.is_failing = false;
        if latency_ms > SLOW_MS {
            return self.halve(now);
        }
        if self.now < self.target {
            self.now = (self.now * 2).min(self.target);
            return;
        }
        if self.now == self.max {
            return;
        }
        let is_old = self.halved_at.is_some_and(|at| now.0.saturating_sub(at) >= REMEMBER_MS);
        if is_old {
            self.now = (self.now * 2).min(self.max);
            self.halved_at = Some(now.0);
        }
        if latency_ms <= FAST_MS {
            self.fast += 1;
        }
        if self.fast >= FAST_RUN {
            self.now = (self.now + (self.now / 10).max(1)).min(self.max);
            self.fast = 0;
        }
    }

    /// A request failed, possibly because of its size.
    pub(crate) fn record_failure(&mut self, now: Timestamp) {
        self.halve(now);
        self.is_failing = true;
    }

    fn halve(&mut self, now: Timestamp) {
        self.now = (self.now / 2).max(1);
        // Of failures in a row only the first depends on the size.
        if !self.is_failing {
            self.target = self.now;
        }
        self.fast = 0;
        self.halved_at = Some(now.0);
    }
}

/// The sizes of all kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchSizes {
    pub(crate) heartbeat: BatchSize,
    pub(crate) full: BatchSize,
    pub(crate) detail: BatchSize,
}

impl Default for BatchSizes {
    fn default() -> Self {
        let [heartbeat, full, detail] = [100, 50, 100].map(BatchSize::new);
        BatchSizes { heartbeat, full, detail }
    }
}

impl BatchSizes {
    /// The size of such queries.
    pub(crate) fn of(&mut self, query: &Query) -> &mut BatchSize {
        match query {
            Query::Poll { level: Level::Heartbeat, .. } => &mut self.heartbeat,
            Query::Poll { level: Level::Full, .. } => &mut self.full,
            Query::Detail { .. } => &mut self.detail,
        }
    }

    /// The stored sizes, limited by the maxima of this program.
    pub(crate) fn limited(self) -> BatchSizes {
        let max = BatchSizes::default();
        BatchSizes {
            heartbeat: self.heartbeat.limited(max.heartbeat.max),
            full: self.full.limited(max.full.max),
            detail: self.detail.limited(max.detail.max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_halved_at_once_and_grows_back_slowly() {
        let mut size = BatchSize::new(100);
        size.halve(Timestamp(0));
        assert_eq!(size.get(), 50);
        size.record_answer(9_000, Timestamp(1));
        assert_eq!(size.get(), 25);
        for _ in 0..FAST_RUN {
            size.record_answer(100, Timestamp(2));
        }
        assert_eq!(size.get(), 27);
        for _ in 0..FAST_RUN {
            size.record_answer(5_000, Timestamp(3));
        }
        assert_eq!(size.get(), 27, "an answer that is neither slow nor fast changes nothing");
        size.record_answer(100, Timestamp(REMEMBER_MS + 10));
        assert_eq!(size.get(), 54);
        for _ in 0..1_000 {
            size.record_answer(100, Timestamp(REMEMBER_MS + 20));
        }
        assert_eq!(size.get(), 100);
        for _ in 0..20 {
            size.halve(Timestamp(0));
        }
        assert_eq!(size.get(), 1);
    }

    #[test]
    fn an_outage_costs_no_more_than_one_halving() {
        let mut size = BatchSize::new(100);
        for _ in 0..20 {
            size.record_failure(Timestamp(0));
        }
        assert_eq!((size.get(), size.usual()), (1, 50));
        for expected in [2, 4, 8, 16, 32, 50, 50] {
            size.record_answer(100, Timestamp(1));
            assert_eq!(size.get(), expected);
        }
        // A host that can answer 30: one more failure, and the size stays below it.
        size.record_failure(Timestamp(2));
        assert_eq!((size.get(), size.usual()), (25, 25));
        size.record_answer(100, Timestamp(3));
        assert_eq!(size.get(), 25);
    }
}
