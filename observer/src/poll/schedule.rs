//! When one pull request is polled next. Pure.

use ao_store::Timestamp;

use crate::github::query::Level;
use crate::poll::answer_context::AnswerContext;
use crate::poll::tier;

/// Never: far in the future, and no sum with it overflows.
pub(crate) const NEVER: Timestamp = Timestamp(i64::MAX / 2);

/// How soon a mergeability that was unknown is read again, in milliseconds: GitHub starts to compute
/// it when it is read, and has it a few seconds later.
const UNKNOWN_MERGEABLE_MS: [i64; 5] = [3_000, 6_000, 12_000, 24_000, 60_000];

/// A poll of which the answer could not be read is repeated soon up to this often.
const UNREADABLE_REPEATS: u32 = 2;

/// A pull request is polled alone after this many failed polls that included it.
const ISOLATE_AFTER: u32 = 2;

/// When one pull request is polled next, and what came of its last polls.
#[derive(Debug, Default)]
pub(crate) struct PollSchedule {
    pub(crate) heartbeat_due: Timestamp,
    pub(crate) full_due: Timestamp,
    /// Polls in a row that found mergeability unknown.
    unknown_mergeable: usize,
    /// The last poll that found the pull request.
    pub(crate) polled_at: Option<Timestamp>,
    /// The last poll of which everything was read, the lists that had changed included.
    pub(crate) read_at: Option<Timestamp>,
    /// The last poll that was answered, whether or not it found the pull request.
    pub(crate) answered_at: Option<Timestamp>,
    /// Polls of each level in a row that failed while the host was otherwise well.
    failures: [u32; 2],
    /// Polls in a row of which the answer about this pull request could not be read.
    unreadable: u32,
    /// Whether the last poll was not answered.
    is_lost: bool,
}

impl PollSchedule {
    pub(crate) fn new(due: Timestamp) -> PollSchedule {
        PollSchedule { heartbeat_due: due, full_due: due, ..PollSchedule::default() }
    }

    /// The earliest poll of any level.
    pub(crate) fn due(&self) -> Timestamp {
        self.heartbeat_due.min(self.full_due)
    }

    /// When a poll of this level is due: a full query contains the heartbeat.
    pub(crate) fn due_at(&self, level: Level) -> Timestamp {
        match level {
            Level::Heartbeat => self.due(),
            Level::Full => self.full_due,
        }
    }

    /// The next poll of either level is at this time.
    pub(crate) fn set_both(&mut self, due: Timestamp) {
        (self.heartbeat_due, self.full_due) = (due, due);
    }

    /// Whether polls of this level failed so often that it is polled alone.
    pub(crate) fn is_isolated(&self, level: Level) -> bool {
        self.failures[level as usize] >= ISOLATE_AFTER
    }

    /// Whether the last poll was lost, by itself up to `max` times in a row, or could not be read and
    /// is repeated soon.
    pub(crate) fn has_failed(&self, max: u32) -> bool {
        let is_repeated = (1..=UNREADABLE_REPEATS).contains(&self.unreadable);
        is_repeated || self.is_lost && self.failures.iter().all(|failures| *failures <= max)
    }

    /// A poll failed. It is repeated after the polls that did not fail, and ever later the more often
    /// it failed by itself, so that one pull request that is too much for the host delays no other.
    pub(crate) fn record_failure(&mut self, level: Level, is_own: bool, now: Timestamp) {
        self.is_lost = true;
        let failures = &mut self.failures[level as usize];
        let due = retry_at(failures, is_own, now);
        match level {
            Level::Heartbeat => self.heartbeat_due = due,
            Level::Full => self.full_due = due,
        }
    }

    /// A poll was answered, whether or not it found the pull request; `is_read` is whether the answer
    /// could be read.
    pub(crate) fn record_answer(&mut self, level: Level, is_read: bool, as_of: Timestamp) {
        self.failures[level as usize] = 0;
        self.unreadable = if is_read { 0 } else { self.unreadable + 1 };
        self.is_lost = false;
        self.answered_at = Some(as_of);
    }

    /// A poll found the pull request.
    pub(crate) fn record_found(&mut self, as_of: Timestamp, is_mergeable_unknown: bool) {
        self.polled_at = Some(as_of);
        self.unknown_mergeable = if is_mergeable_unknown { self.unknown_mergeable + 1 } else { 0 };
    }

    /// Plans the polls after one of this level, with the intervals of both levels. A full query that could not be read is repeated when
    /// a heartbeat would be due.
    pub(crate) fn plan(
        &mut self,
        level: Level,
        is_read: bool,
        (heartbeat, full): (i64, i64),
        context: &AnswerContext,
    ) {
        let AnswerContext { now, stretch, .. } = *context;
        let after = |every: i64| Timestamp(now.0 + tier::stretched(every, stretch));
        match level {
            Level::Full => self.full_due = after(if is_read { full } else { heartbeat }),
            // A full query that is due already, perhaps because of this heartbeat, stays due.
            Level::Heartbeat if self.full_due <= now => {}
            Level::Heartbeat => self.full_due = self.full_due.min(after(full)),
        }
        self.heartbeat_due = after(heartbeat);
        // A full query contains the heartbeat: of two that are due at about the same time one is sent.
        let gap = self.full_due.0.saturating_sub(self.heartbeat_due.0);
        if (1..=heartbeat / 2).contains(&gap) {
            self.full_due = self.heartbeat_due;
        }
        let retry =
            self.unknown_mergeable.checked_sub(1).and_then(|at| UNKNOWN_MERGEABLE_MS.get(at));
        if let Some(wait) = retry {
            self.heartbeat_due = self.heartbeat_due.min(Timestamp(now.0 + wait));
        }
        if (1..=UNREADABLE_REPEATS).contains(&self.unreadable) {
            let soon = Timestamp(now.0 + (1_000 << self.unreadable));
            let due = match level {
                Level::Heartbeat => &mut self.heartbeat_due,
                Level::Full => &mut self.full_due,
            };
            *due = soon.min(*due);
        }
    }

    /// The clock of this machine was set back: ages and remaining waits do not change.
    pub(crate) fn handle_clock_set_back(&mut self, by: i64) {
        let dues = [&mut self.heartbeat_due, &mut self.full_due];
        let dues = dues.into_iter().filter(|due| **due < NEVER);
        for at in dues.chain(self.polled_at.as_mut()).chain(self.read_at.as_mut()) {
            at.0 = at.0.saturating_sub(by);
        }
    }
}

/// When something whose request failed is requested again. `failures` counts those that were its own.
pub(crate) fn retry_at(failures: &mut u32, is_own: bool, now: Timestamp) -> Timestamp {
    *failures += u32::from(is_own);
    Timestamp(now.0 + (1_000 << (*failures).min(9)))
}
