//! The state of the observer of one host, as it is shown.

use ao_store::Timestamp;
use ao_store::row::scm::Credential;

use crate::poll::rate_limiter::BackoffReason;
use crate::poll::totals::Totals;
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
    /// What was requested.
    pub totals: Totals,
    /// What was stored.
    pub written: Written,
    /// Pull requests that are polled.
    pub tracked: usize,
    /// Of these, those whose last poll is not older than two of its intervals.
    pub fresh: usize,
    /// Of these, those that cannot be read.
    pub problems: usize,
    /// The GraphQL points per hour and the remaining points; `None` while no limit is known.
    pub budget: Option<(i64, i64)>,
    /// Why nothing is requested, and until when.
    pub backoff: Option<(BackoffReason, Timestamp)>,
}
