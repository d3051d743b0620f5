//! The context in which one answer is recorded: its times, and what it changes.

use ao_store::Timestamp;

use crate::poll::report::Totals;
use crate::poll::write_batch::Write;

/// The context in which one answer is recorded.
#[derive(Debug)]
pub(crate) struct AnswerContext {
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
