//! One answer while it is recorded: its times, and what it turns out to change.

use ao_store::Timestamp;

use crate::poll::report::Totals;
use crate::poll::write_batch::Write;

/// One answer while it is recorded.
#[derive(Debug)]
pub(crate) struct Receipt {
    /// When the request was sent.
    pub(crate) as_of: Timestamp,
    pub(crate) now: Timestamp,
    /// The configured interval in milliseconds.
    pub(crate) interval_ms: i64,
    /// By how much intervals are multiplied so that the budget lasts.
    pub(crate) stretch: f64,
    pub(crate) totals: Totals,
    /// What is to be stored.
    pub(crate) writes: Vec<Write>,
}
