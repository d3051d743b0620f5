//! The state of the observer of one host, as it is shown, and the sums in it.

use ao_store::Timestamp;
use ao_store::row::scm::{Credential, SkippedPr};

use crate::poll::rate_limiter::BackoffReason;
use crate::poll::write_batch::Written;

/// The state of the observer of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The host.
    pub host: String,
    /// The state of the credentials.
    pub credential: Credential,
    /// Where the credentials are from, never what they are.
    pub source: String,
    /// The account of the credentials; empty before the host has named it.
    pub login: String,
    /// What was requested.
    pub totals: Totals,
    /// What was stored.
    pub written: Written,
    /// Pull requests that are polled.
    pub tracked: usize,
    /// Of these, those that were read within the last two of their intervals.
    pub fresh: usize,
    /// Of these, those that cannot be read, or not all of which can be read.
    pub problems: usize,
    /// What the host has and could not be read, each with the reason.
    pub unread: Vec<String>,
    /// Open pull requests on the branch of a session that are not tracked.
    pub skipped: Vec<SkippedPr>,
    /// Logs of failed checks that are left for the next run.
    pub logs_left: u64,
    /// The GraphQL points per hour and the remaining points; `None` while no limit is known.
    pub budget: Option<(i64, i64)>,
    /// When the budget is renewed.
    pub budget_reset_at: Option<Timestamp>,
    /// Whether little is left of the observer's share of the budget.
    pub is_budget_low: bool,
    /// The URL that is asked.
    pub address: String,
    /// What the host did not answer, and why; empty when it answered everything.
    pub failure: String,
    /// Why nothing is requested, and until when.
    pub backoff: Option<(BackoffReason, Timestamp)>,
}

/// Sums since the start of the observer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that were sent.
    pub requests: u64,
    /// Of these, REST requests.
    pub rest_requests: u64,
    /// Of these, detail queries.
    pub detail_requests: u64,
    /// The GraphQL points that they cost, as the host reports them.
    pub points: u64,
    /// Polls of one pull request that found nothing new.
    pub unchanged: u64,
    /// Answers about a pull request that were older than what was known.
    pub stale: u64,
    /// Pull requests that were read and not stored because something newer was, such as a webhook
    /// delivery.
    pub outdated: u64,
    /// Requests that failed, whole or for one item.
    pub failures: u64,
    /// Batches that the store could not write.
    pub failed_writes: u64,
}
