//! How often and how much the observer asks.

use std::time::Duration;

/// The settings of one observer. The budgets are computed for the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How often a pull request is polled while a session works on it. The intervals of the other
    /// tiers are fixed multiples of it.
    pub interval: Duration,
    /// Maximum number of GraphQL requests per minute.
    pub graphql_per_minute: u32,
    /// Maximum number of REST requests per minute.
    pub rest_per_minute: u32,
    /// How long a run that ends when everything was read reads logs. The others are left for the next run.
    pub log_time: Duration,
}

/// The shortest interval: with a shorter one the next poll would be due before the answer arrives.
pub const INTERVAL_MIN: Duration = Duration::from_secs(5);

/// The longest interval.
pub const INTERVAL_MAX: Duration = Duration::from_secs(3_600);

impl Default for Config {
    fn default() -> Self {
        Config {
            interval: Duration::from_secs(30),
            graphql_per_minute: 90,
            rest_per_minute: 300,
            log_time: Duration::from_secs(60),
        }
    }
}

impl Config {
    /// [`Config::log_time`] in milliseconds, at most an hour.
    pub(crate) fn log_time_ms(&self) -> i64 {
        i64::try_from(self.log_time.as_millis()).unwrap_or(i64::MAX).min(3_600_000)
    }

    /// The interval in milliseconds, within its bounds.
    pub(crate) fn interval_ms(&self) -> i64 {
        let interval = self.interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
        i64::try_from(interval.as_millis()).unwrap_or(i64::MAX)
    }
}
