//! What an observer did, in figures.

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
    /// Requests that failed, whole or for one item.
    pub failures: u64,
    /// Batches that the store could not write.
    pub failed_writes: u64,
}
