//! How many things one request asks for, learned from how the host answers: additive increase,
//! multiplicative decrease, and after several failures in a row a quick way back. What fails at any
//! size is an outage, and that says nothing about sizes.

use ao_store::Timestamp;
use serde::{Deserialize, Serialize};

/// The size of one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchSize {
    now: u32,
    max: u32,
    /// What it comes back to with good answers, twice as large with each.
    aim: u32,
    /// Whether the last request failed.
    is_failing: bool,
    /// Good answers since the size changed last.
    good: u32,
    /// When it was halved last, in milliseconds.
    halved_at: Option<i64>,
}

/// Slower than this is too much for the host: it gives a request up after ten seconds.
const SLOW_MS: i64 = 8_000;

/// An answer within this is a good one.
const GOOD_MS: i64 = 3_000;

/// So many good answers make the size a tenth larger.
const GOOD_RUN: u32 = 20;

/// A size that was halved is not doubled before this.
const REMEMBER_MS: i64 = 24 * 3_600_000;

impl BatchSize {
    pub(crate) fn new(max: u32) -> BatchSize {
        BatchSize { now: max, max, aim: max, is_failing: false, good: 0, halved_at: None }
    }

    /// What was learned, under the bound of this program.
    pub(crate) fn remembered(self, max: u32) -> BatchSize {
        BatchSize { now: self.now.clamp(1, max), max, aim: self.aim.min(max), ..self }
    }

    pub(crate) fn get(&self) -> usize {
        self.now as usize
    }

    /// What it is when no outage is just over.
    pub(crate) fn usual(&self) -> usize {
        self.now.max(self.aim) as usize
    }

    /// An answer came after so many milliseconds.
    pub(crate) fn answered(&mut self, latency_ms: i64, now: Timestamp) {
        self.is_failing = false;
        if latency_ms > SLOW_MS {
            return self.halve(now);
        }
        if self.now < self.aim {
            self.now = (self.now * 2).min(self.aim);
            return;
        }
        if self.now == self.max {
            return;
        }
        let is_old = self.halved_at.is_some_and(|at| now.0.saturating_sub(at) >= REMEMBER_MS);
        if is_old {
            *self =
                BatchSize { now: (self.now * 2).min(self.max), halved_at: Some(now.0), ..*self };
        }
        if latency_ms <= GOOD_MS {
            self.good += 1;
        }
        if self.good >= GOOD_RUN {
            self.now = (self.now + (self.now / 10).max(1)).min(self.max);
            self.good = 0;
        }
    }

    /// The host could not answer so much at once.
    pub(crate) fn halve(&mut self, now: Timestamp) {
        let half = (self.now / 2).max(1);
        // Of failures in a row only the first tells something about the size.
        let aim = if self.is_failing { self.aim } else { half };
        *self = BatchSize { now: half, aim, good: 0, halved_at: Some(now.0), ..*self };
    }

    /// A request came to nothing, perhaps because it asked for so much.
    pub(crate) fn failed(&mut self, now: Timestamp) {
        self.halve(now);
        self.is_failing = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_halved_at_once_and_comes_back_slowly() {
        let mut size = BatchSize::new(100);
        size.halve(Timestamp(0));
        assert_eq!(size.get(), 50);
        size.answered(9_000, Timestamp(1));
        assert_eq!(size.get(), 25);
        for _ in 0..GOOD_RUN {
            size.answered(100, Timestamp(2));
        }
        assert_eq!(size.get(), 27);
        for _ in 0..GOOD_RUN {
            size.answered(5_000, Timestamp(3));
        }
        assert_eq!(size.get(), 27, "what is neither slow nor good teaches nothing");
        size.answered(100, Timestamp(REMEMBER_MS + 10));
        assert_eq!(size.get(), 54);
        for _ in 0..1_000 {
            size.answered(100, Timestamp(REMEMBER_MS + 20));
        }
        assert_eq!(size.get(), 100);
        for _ in 0..20 {
            size.halve(Timestamp(0));
        }
        assert_eq!(size.get(), 1);
    }

    #[test]
    fn an_outage_takes_no_more_than_one_halving() {
        let mut size = BatchSize::new(100);
        for _ in 0..20 {
            size.failed(Timestamp(0));
        }
        assert_eq!((size.get(), size.usual()), (1, 50));
        for expected in [2, 4, 8, 16, 32, 50, 50] {
            size.answered(100, Timestamp(1));
            assert_eq!(size.get(), expected);
        }
        // A host that can do 30: one more try, and then that is known.
        size.failed(Timestamp(2));
        assert_eq!((size.get(), size.usual()), (25, 25));
        size.answered(100, Timestamp(3));
        assert_eq!(size.get(), 25);
    }
}
