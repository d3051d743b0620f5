//! What an observer did, in figures.

/// Sums since the observer began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that were sent.
    pub requests: u64,
    /// Of these, REST requests.
    pub rest_requests: u64,
    /// Slim polls.
    pub heartbeat_polls: u64,
    /// Wide polls.
    pub full_polls: u64,
    /// Requests for details.
    pub detail_requests: u64,
    /// GraphQL points that they cost, as the host says.
    pub points: u64,
    /// Looks at a pull request that found nothing new.
    pub unchanged: u64,
    /// Looks at a pull request that found something new.
    pub changed: u64,
    /// Answers about a pull request that were older than what was known.
    pub stale: u64,
    /// Requests that came to nothing.
    pub failures: u64,
    /// Times that what was learned could not be stored.
    pub failed_writes: u64,
}
