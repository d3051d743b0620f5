//! The clock of this machine as the observer of one host has seen it: it may be set, and the machine
//! may sleep. Pure; the time is an argument.

use ao_store::Timestamp;

/// The first interval after a start contains no more requests than this.
const START_REQUESTS: u32 = 12;

/// A clock that advanced by this much between two steps: the machine slept.
const SLEPT_MS: i64 = 10 * 60_000;

/// How far the clock may have been set back without the times of requests following it.
const AHEAD_MS: i64 = 23 * 3_600_000;

#[derive(Debug)]
pub(crate) struct Clock {
    /// The start of the observer, or of its work after a jump of the clock.
    pub(crate) began_at: Option<Timestamp>,
    /// Requests since then.
    sent: u32,
    pub(crate) last_step: Option<Timestamp>,
    /// The time of the newest request, by a clock that may have been set back since.
    newest: Timestamp,
}

impl Clock {
    /// A clock that was last seen at `seen_at`, by an observer that has ended since.
    pub(crate) fn new(seen_at: Timestamp) -> Clock {
        let last_step = Some(seen_at).filter(|at| at.0 > 0);
        Clock { began_at: None, sent: 0, last_step, newest: seen_at }
    }

    /// Records the time of a step; returns by how many milliseconds the clock was set back, if it
    /// was. After a jump in either direction everything may be due at once, as at a start.
    pub(crate) fn step(&mut self, now: Timestamp) -> Option<i64> {
        let back = self.last_step.replace(now)?.0 - now.0;
        let is_set_back = back > 1_000;
        if is_set_back || -back > SLEPT_MS {
            self.began_at = Some(now);
            self.sent = 0;
        }
        is_set_back.then_some(back)
    }

    /// When the next request may be sent after a start, if that is not now: many observers and stale
    /// rows must not reach the host at once.
    pub(crate) fn slow_start_until(&self, interval_ms: i64, now: Timestamp) -> Option<Timestamp> {
        let end = Timestamp(self.began_at?.0 + interval_ms);
        (now < end && self.sent >= START_REQUESTS).then_some(end)
    }

    /// The time of what is noticed now, on the time line of the requests.
    pub(crate) fn newest(&self, now: Timestamp) -> Timestamp {
        self.newest.max(now)
    }

    /// Records a request; returns its time, which is never before that of an earlier one: the store
    /// takes what has an older time for outdated, and refuses what is a day ahead.
    pub(crate) fn record_sent(&mut self, now: Timestamp) -> Timestamp {
        self.sent += 1;
        let is_near = self.newest.0.saturating_sub(now.0) < AHEAD_MS;
        self.newest = if is_near { self.newest.max(now) } else { now };
        self.newest
    }
}
