//! Counts the requests, so that a test can assert how few there were.

use std::collections::BTreeMap;

/// Totals since the start or the last [`Counters::clear`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests by operation name or REST route.
    pub requests: BTreeMap<String, u64>,
    /// Primary points charged for GraphQL.
    pub graphql_points: u64,
    /// Primary points charged for REST.
    pub core_points: u64,
    /// Points against the limits per minute: one for each request, conditional or not.
    pub secondary_points: u64,
    /// Most secondary points within one minute of the clock.
    pub secondary_minute_max: u64,
    /// Requests in progress.
    pub in_flight: u64,
    /// Most requests in progress at once.
    pub in_flight_max: u64,
    /// GraphQL requests in progress.
    pub graphql_in_flight: u64,
    /// Most GraphQL requests in progress at once.
    pub graphql_in_flight_max: u64,
    minute: (i64, u64),
}

impl Counters {
    /// Requests of all classes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Requests of one class.
    #[must_use]
    pub fn of(&self, class: &str) -> u64 {
        self.requests.get(class).copied().unwrap_or(0)
    }

    /// Resets all counters but those of requests in progress.
    pub fn clear(&mut self) {
        let (in_flight, graphql_in_flight) = (self.in_flight, self.graphql_in_flight);
        *self = Self { in_flight, graphql_in_flight, ..Self::default() };
    }

    pub(crate) fn request(&mut self, class: &str, now: i64) {
        match self.requests.get_mut(class) {
            Some(count) => *count += 1,
            None => drop(self.requests.insert(class.to_owned(), 1)),
        }
        self.secondary_points += 1;
        let minute = now.div_euclid(60_000);
        let before = if self.minute.0 == minute { self.minute.1 } else { 0 };
        self.minute = (minute, before + 1);
        self.secondary_minute_max = self.secondary_minute_max.max(before + 1);
    }

    pub(crate) fn enter(&mut self, is_graphql: bool) {
        self.in_flight += 1;
        self.in_flight_max = self.in_flight_max.max(self.in_flight);
        self.graphql_in_flight += u64::from(is_graphql);
        self.graphql_in_flight_max = self.graphql_in_flight_max.max(self.graphql_in_flight);
    }

    pub(crate) fn leave(&mut self, is_graphql: bool) {
        self.in_flight -= 1;
        self.graphql_in_flight -= u64::from(is_graphql);
    }
}

/// One request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// When, in milliseconds of the world's clock.
    pub at: i64,
    /// Operation name or REST route, as in [`Counters::requests`].
    pub class: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// Primary points charged.
    pub cost: u64,
    /// Length of the variable `ids`.
    pub ids: usize,
    /// Whether the request carried an Authorization header.
    pub is_authorized: bool,
}
