//! What the observer remembers of one tracked pull request between polls.

use std::collections::BTreeMap;

use ao_store::observation::{Check, Ci, PrState};
use ao_store::row::scm::{PrPoll, Problem, SubjectPr};
use ao_store::{PrId, PrRef, Timestamp};

use crate::github::fingerprint::Fingerprint;
use crate::github::node::ThreadState;
use crate::poll::detail_fetch::DetailFetch;
use crate::poll::tier::{self, Tier, TierFacts};

/// Never: far enough away, and no sum with it overflows.
pub(crate) const NEVER: Timestamp = Timestamp(i64::MAX / 2);

/// After how long everything of an open pull request is read again, whatever the polls say. It
/// bounds what counts and times of GitHub do not tell: a comment that was minimised, say.
const SWEEP_MS: i64 = 6 * 3_600_000;

/// A pull request that is gone this long, and was asked for so often, is out of reach.
const STRIKES: i64 = 3;
const STRIKES_MS: i64 = 600_000;

/// What the last wide look saw of each facet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) checks: Option<Fingerprint>,
    pub(crate) discussion: Option<Fingerprint>,
    pub(crate) threads: Option<Fingerprint>,
}

/// One tracked pull request.
#[derive(Debug)]
pub(crate) struct TrackedPr {
    pub(crate) id: PrId,
    pub(crate) node_id: String,
    pub(crate) location: PrRef,
    pub(crate) is_session_live: bool,
    pub(crate) state: PrState,
    pub(crate) ci: Ci,
    pub(crate) is_in_merge_queue: bool,
    pub(crate) head_sha: String,
    /// The provider's time of the newest metadata that was seen.
    pub(crate) provider_at: Option<Timestamp>,
    /// What the last look saw, but for what only a wide one reads.
    pub(crate) slim: Option<Fingerprint>,
    /// What the last wide look saw of the rest of the metadata.
    pub(crate) meta: Option<Fingerprint>,
    pub(crate) seen: Seen,
    /// What is stored of this.
    pub(crate) poll: PrPoll,
    /// The threads that the last wide look listed, and whether these are all.
    pub(crate) listed: Vec<ThreadState>,
    pub(crate) is_list_complete: bool,
    /// Of the threads that are stored as they were read: whether each was resolved, outdated.
    pub(crate) known_threads: BTreeMap<String, (bool, bool)>,
    /// Workflows of the head that wait and have no check run.
    pub(crate) waiting: Vec<Check>,
    pub(crate) heartbeat_due: Timestamp,
    pub(crate) full_due: Timestamp,
    /// Looks in a row that found mergeability unknown.
    pub(crate) unknown: usize,
    /// The last look that saw it.
    pub(crate) polled_at: Option<Timestamp>,
    /// The last look that was answered, whatever came of it.
    pub(crate) answered_at: Option<Timestamp>,
    /// How often in a row a look of each level with it failed after others had not.
    pub(crate) lost: [u32; 2],
    pub(crate) fetch: Option<DetailFetch>,
}

impl TrackedPr {
    pub(crate) fn new(subject: &SubjectPr, poll: PrPoll, due: Timestamp) -> TrackedPr {
        let SubjectPr { pr, is_session_live, provider_at } = subject;
        TrackedPr {
            id: pr.id.clone(),
            node_id: pr.node_id.clone(),
            location: PrRef { host: pr.host.clone(), repo: pr.repo.clone(), number: pr.number },
            is_session_live: *is_session_live,
            state: pr.state,
            ci: pr.ci,
            is_in_merge_queue: pr.is_in_merge_queue,
            head_sha: pr.head_sha.clone(),
            provider_at: *provider_at,
            slim: None,
            meta: None,
            seen: Seen::default(),
            poll,
            listed: Vec::new(),
            is_list_complete: false,
            known_threads: BTreeMap::new(),
            waiting: Vec::new(),
            heartbeat_due: due,
            full_due: due,
            unknown: 0,
            polled_at: None,
            answered_at: None,
            lost: [0; 2],
            fetch: None,
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.state, PrState::Merged | PrState::Closed)
    }

    pub(crate) fn tier(&self, now: Timestamp) -> Tier {
        let is_out_of_sight = matches!(
            self.poll.problem,
            Problem::Unreachable | Problem::Forbidden | Problem::Invalid
        );
        let facts = TierFacts {
            state: self.state,
            ci: self.ci,
            is_in_merge_queue: self.is_in_merge_queue,
            is_session_live: self.is_session_live,
            is_out_of_sight,
            is_confirmed: self.poll.confirmed_at.is_some(),
            pushed_at: self.poll.pushed_at,
            changed_at: self.poll.changed_at,
        };
        tier::tier(&facts, now)
    }

    /// The earliest look that is due.
    pub(crate) fn due(&self) -> Timestamp {
        self.heartbeat_due.min(self.full_due)
    }

    /// Whether everything is to be read again.
    pub(crate) fn is_sweep_due(&self, now: Timestamp) -> bool {
        !self.is_terminal()
            && self.poll.full_read_at.is_some_and(|at| now.0.saturating_sub(at.0) >= SWEEP_MS)
    }

    /// When a pull request that is merged or closed is record_polls at again, because it may have been
    /// reopened: an hour and a day after it was confirmed, while its session lives.
    pub(crate) fn recheck_after(&self, now: Timestamp) -> Timestamp {
        let Some(confirmed) = self.poll.confirmed_at.filter(|_| self.is_session_live) else {
            return NEVER;
        };
        let steps = [3_600_000, 24 * 3_600_000].map(|step| Timestamp(confirmed.0 + step));
        steps.into_iter().find(|at| *at > now).unwrap_or(NEVER)
    }

    /// It was asked for and is not there. It is *missing*, and after some time *unreachable*; it is
    /// never taken for closed.
    pub(crate) fn record_missing(&mut self, now: Timestamp) {
        self.poll.failures += 1;
        let since = *self.poll.problem_since.get_or_insert(now);
        let is_long = now.0.saturating_sub(since.0) >= STRIKES_MS;
        self.poll.problem = if self.poll.failures >= STRIKES && is_long {
            Problem::Unreachable
        } else {
            Problem::Missing
        };
    }

    pub(crate) fn set_problem(&mut self, problem: Problem, now: Timestamp) {
        if self.poll.problem != problem {
            self.poll.problem = problem;
            self.poll.problem_since = Some(now);
        }
    }

    /// The clock of this machine was set back so far: everything is as long ago, and as soon, as it
    /// was before.
    pub(crate) fn clock_went_back(&mut self, by: i64) {
        let PrPoll { changed_at, pushed_at, .. } = &mut self.poll;
        let began = self.fetch.as_mut().map(|fetch| &mut fetch.began);
        let seen = [self.polled_at.as_mut(), changed_at.as_mut(), pushed_at.as_mut(), began];
        let dues = [&mut self.heartbeat_due, &mut self.full_due];
        let dues = dues.into_iter().filter(|due| **due < NEVER);
        for at in seen.into_iter().flatten().chain(dues) {
            at.0 = at.0.saturating_sub(by);
        }
    }

    /// It was seen: whatever was wrong is over.
    pub(crate) fn clear_problem(&mut self) {
        self.poll.failures = 0;
        self.poll.problem = Problem::None;
        self.poll.problem_since = None;
    }

    /// Nothing that was read counts as read: the next look reads and writes all of it again.
    pub(crate) fn forget(&mut self, due: Timestamp) {
        self.slim = None;
        self.meta = None;
        self.seen = Seen::default();
        self.fetch = None;
        self.known_threads.clear();
        self.provider_at = None;
        let PrPoll {
            metadata_fingerprint,
            checks_fingerprint,
            discussion_fingerprint,
            threads_fingerprint,
            ..
        } = &mut self.poll;
        (
            *metadata_fingerprint,
            *checks_fingerprint,
            *discussion_fingerprint,
            *threads_fingerprint,
        ) = (None, None, None, None);
        self.poll.confirmed_at = None;
        self.heartbeat_due = due;
        self.full_due = due;
    }
}
