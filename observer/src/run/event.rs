//! What an observer does, as values: requests that begin, answers, cycles, and changes of what it may
//! do. The caller of the observer prints them.

use ao_store::row::scm::Credential;
use ao_store::{PrId, Timestamp};

use crate::poll::{BackoffReason, Reading, Report, Totals};

/// What happened to the observer of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// The host.
    pub host: String,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Credentials are looked up.
    LookUp,
    /// A request is sent.
    Send(Reading),
    /// An answer, or what a lookup of credentials found, was recorded.
    Recorded(Box<Report>),
    /// What the observer may do changed.
    Change(Change),
    /// There are credentials and nothing to request, because no session has a branch and no pull request is
    /// tracked. Reported once per host.
    NothingToObserve,
    /// A cycle ended: everything that was due was requested.
    Cycle(Box<Cycle>),
}

/// A change of what the observer may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The credentials, or what the host answers to them. `login` and `source` are empty when there
    /// are none.
    Credential {
        /// Never [`Credential::Unknown`].
        state: Credential,
        /// Where they are from.
        source: String,
        /// Their account.
        login: String,
    },
    /// Little is left of the budget of requests.
    BudgetLow {
        /// Points per hour.
        quota: i64,
        /// What is left of them.
        remaining: i64,
        /// When the budget is renewed.
        reset_at: Option<Timestamp>,
    },
    /// The budget is no longer low.
    BudgetRestored {
        /// Points per hour.
        quota: i64,
        /// What is left of them.
        remaining: i64,
    },
    /// Nothing is requested until then.
    BackoffBegun {
        /// Why.
        reason: BackoffReason,
        /// The end, which may be put off.
        until: Timestamp,
        /// What the host answered; may be empty.
        failure: String,
    },
    /// Requests are answered again.
    BackoffEnded {
        /// Why nothing was requested.
        reason: BackoffReason,
    },
}

/// One cycle: what was requested and stored between two times without anything due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// Requests that were sent.
    pub requests: u64,
    /// Of these, REST requests.
    pub rest_requests: u64,
    /// The GraphQL points that they cost.
    pub points: u64,
    /// Requests that failed, whole or for one item.
    pub failures: u64,
    /// Batches that the store could not write.
    pub failed_writes: u64,
    /// Pull requests that were not stored before.
    pub found: u64,
    /// Rows of facts that were inserted, updated or deleted.
    pub rows_changed: u64,
    /// Rows of facts that were read and stayed as they were.
    pub rows_unchanged: u64,
    /// The pull requests of which facts changed.
    pub changed: Vec<PrId>,
    /// What could be read before this cycle, or was not asked for, and cannot be read now.
    pub unread: Vec<String>,
    /// What the host did not answer, and why; empty when it answered everything.
    pub failure: String,
    /// The URL that is asked.
    pub address: String,
    /// Pull requests that are polled.
    pub tracked: usize,
    /// Of these, those that were read within the last two of their intervals.
    pub fresh: usize,
    /// When the next request is due; `None` when nothing is to be requested.
    pub next_at: Option<Timestamp>,
}

impl Cycle {
    /// The cycle between two reports; `None` when nothing was requested.
    pub(super) fn between(
        before: &Report,
        after: &Report,
        changed: Vec<PrId>,
        next_at: Option<Timestamp>,
    ) -> Option<Cycle> {
        let (old, new) = (&before.totals, &after.totals);
        let sum = |of: fn(&Totals) -> u64| of(new).saturating_sub(of(old));
        let requests = sum(|it| it.requests);
        let (was, is) = (&before.written, &after.written);
        (requests > 0).then(|| Cycle {
            requests,
            rest_requests: sum(|it| it.rest_requests),
            points: sum(|it| it.points),
            failures: sum(|it| it.failures),
            failed_writes: sum(|it| it.failed_writes),
            found: is.found - was.found,
            rows_changed: is.rows_changed - was.rows_changed,
            rows_unchanged: is.rows_unchanged - was.rows_unchanged + sum(|it| it.unchanged),
            changed,
            unread: after.unread.iter().filter(|it| !before.unread.contains(it)).cloned().collect(),
            failure: after.failure.clone(),
            address: after.address.clone(),
            tracked: after.tracked,
            fresh: after.fresh,
            next_at,
        })
    }

    /// Whether it changed nothing and nothing failed.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.rows_changed == 0
            && self.failures == 0
            && self.failed_writes == 0
            && self.unread.is_empty()
    }
}

/// The account of the credentials that were shown last, and their state.
pub(super) type Shown = Option<(Credential, String, String)>;

/// What differs between two reports. `shown` is about the credentials, whose state is shown when the
/// host has answered with them, or when there are none.
pub(super) fn changes(before: Option<&Report>, after: &Report, shown: &mut Shown) -> Vec<Change> {
    let mut changes = Vec::new();
    let is_known = match after.credential {
        Credential::Unknown => false,
        Credential::Ok => after.totals.requests > 0 && !after.login.is_empty(),
        Credential::Missing | Credential::Invalid => true,
    };
    let new = (after.credential, after.source.clone(), after.login.clone());
    if is_known && shown.as_ref() != Some(&new) {
        let (state, source, login) = new.clone();
        changes.push(Change::Credential { state, source, login });
        *shown = Some(new);
    }
    let was_low = before.is_some_and(|it| it.is_budget_low);
    if let Some((quota, remaining)) = after.budget.filter(|_| was_low != after.is_budget_low) {
        let reset_at = after.budget_reset_at;
        changes.push(match after.is_budget_low {
            true => Change::BudgetLow { quota, remaining, reset_at },
            false => Change::BudgetRestored { quota, remaining },
        });
    }
    let old = before.and_then(|it| it.backoff).map(|(reason, _)| reason);
    let new = after.backoff.map(|(reason, _)| reason);
    if let Some((reason, until)) = after.backoff.filter(|_| old != new) {
        let failure = after.failure.clone();
        changes.push(Change::BackoffBegun { reason, until, failure });
    } else if let Some(reason) = old.filter(|_| new.is_none()) {
        changes.push(Change::BackoffEnded { reason });
    }
    changes
}
