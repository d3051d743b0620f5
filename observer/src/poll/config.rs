//! How often and how much the observer asks.

use std::time::Duration;

/// The settings of one observer. The defaults are those that the budgets are computed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How often a pull request that is being worked on is record_polls at. The other tiers are fixed
    /// multiples of it.
    pub interval: Duration,
    /// GraphQL requests a minute at most.
    pub graphql_per_minute: u32,
    /// REST requests a minute at most.
    pub rest_per_minute: u32,
}

/// The shortest interval that is taken: below it a look would not have been answered before the
/// next is due.
pub const INTERVAL_MIN: Duration = Duration::from_secs(5);

/// The longest interval that is taken.
pub const INTERVAL_MAX: Duration = Duration::from_secs(3_600);

impl Default for Config {
    fn default() -> Self {
        Config { interval: Duration::from_secs(30), graphql_per_minute: 60, rest_per_minute: 300 }
    }
}

impl Config {
    /// The interval in milliseconds, within its bounds.
    pub(crate) fn interval_ms(&self) -> i64 {
        let interval = self.interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
        i64::try_from(interval.as_millis()).unwrap_or(i64::MAX)
    }
}
