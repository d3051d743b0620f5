//! How many things one request asks for, learned from how the host answers: additive increase,
//! multiplicative decrease.

use ao_store::Timestamp;
use serde::{Deserialize, Serialize};

/// The size of one kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    now: u32,
    max: u32,
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

impl Size {
    pub(crate) fn new(max: u32) -> Size {
        Size { now: max, max, good: 0, halved_at: None }
    }

    /// What was learned, under the bound of this program.
    pub(crate) fn remembered(self, max: u32) -> Size {
        Size { now: self.now.clamp(1, max), max, ..self }
    }

    pub(crate) fn get(&self) -> usize {
        self.now as usize
    }

    /// An answer came after so many milliseconds.
    pub(crate) fn answered(&mut self, latency_ms: i64, now: Timestamp) {
        if latency_ms > SLOW_MS {
            return self.too_much(now);
        }
        if self.now == self.max {
            return;
        }
        let is_old = self.halved_at.is_some_and(|at| now.0.saturating_sub(at) >= REMEMBER_MS);
        if is_old {
            *self = Size { now: (self.now * 2).min(self.max), halved_at: Some(now.0), ..*self };
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
    pub(crate) fn too_much(&mut self, now: Timestamp) {
        *self = Size { now: (self.now / 2).max(1), good: 0, halved_at: Some(now.0), max: self.max };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_halved_at_once_and_comes_back_slowly() {
        let mut size = Size::new(100);
        size.too_much(Timestamp(0));
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
            size.too_much(Timestamp(0));
        }
        assert_eq!(size.get(), 1);
    }
}
