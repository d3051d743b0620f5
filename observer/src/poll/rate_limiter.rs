//! Whether a request may be sent to one host with one credential, derived from every answer. It is
//! pure; the state that must survive a restart is [`LimiterState`].
//!
//! Rules (reference: GitHub's documentation of primary and secondary limits): `retry-after` is honoured, plus up to 10 % of jitter; an exhausted rate limit waits for its reset; a secondary rate limit without `retry-after` backs off 60 s, doubled with each repetition up to 15 min; an outage backs off 1 s, doubled up to 60 s, and then one request probes the host.

use ao_store::Timestamp;
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::github::call::Headers;
use crate::github::classify::Signal;
use crate::github::node::RateLimit;
use crate::poll::budget::Budget;
use crate::poll::config::Config;
use crate::poll::token_bucket::TokenBucket;

/// Which of the host's budgets a request is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Graphql,
    Rest,
}

/// Why nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackoffReason {
    /// The host named a wait, or its budget is exhausted.
    RateLimited,
    /// The host found the requests too many or too heavy.
    SecondaryLimit,
    /// The rest of the budget belongs to the user's other programs.
    Reserve,
    /// The host cannot be reached or answers with errors.
    Outage,
    /// The host refuses the credentials.
    Refused,
}

impl BackoffReason {
    /// The text that is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            BackoffReason::RateLimited => "rate limited",
            BackoffReason::SecondaryLimit => "secondary rate limit",
            BackoffReason::Reserve => "budget reserve reached",
            BackoffReason::Outage => "outage",
            BackoffReason::Refused => "credentials refused",
        }
    }
}

/// A backoff: no request is sent before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backoff {
    pub(crate) until: i64,
    pub(crate) reason: BackoffReason,
}

/// What must survive a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LimiterState {
    pub(crate) graphql: Budget,
    rest: Budget,
    /// Holds back every request.
    backoff: Option<Backoff>,
    /// Holds back REST requests only.
    rest_backoff: Option<Backoff>,
    /// Secondary rate limits without a named wait, in a row.
    secondary: u32,
    secondary_until: i64,
    /// Failures in a row.
    pub(crate) failures: u32,
}

#[derive(Debug)]
pub(crate) struct RateLimiter {
    pub(crate) state: LimiterState,
    graphql: TokenBucket,
    rest: TokenBucket,
    rng: Rng,
    /// The percentage of the budget that is left to other programs.
    pub(crate) reserve: i64,
}

/// A user's token is shared with all other programs of the user.
pub(crate) const RESERVE_OF_USER: i64 = 40;

/// An app's token belongs to the observer alone.
pub(crate) const RESERVE_OF_APP: i64 = 10;

const SECONDARY_MS: i64 = 60_000;
const SECONDARY_MAX_MS: i64 = 900_000;
const SECONDARY_FORGET_MS: i64 = 600_000;
const OUTAGE_MS: i64 = 1_000;
const OUTAGE_MAX_MS: i64 = 60_000;

impl RateLimiter {
    pub(crate) fn new(config: &Config, seed: u64, state: LimiterState) -> RateLimiter {
        RateLimiter {
            state,
            graphql: TokenBucket::new(config.graphql_per_minute),
            rest: TokenBucket::new(config.rest_per_minute),
            rng: Rng::with_seed(seed),
            reserve: RESERVE_OF_USER,
        }
    }

    /// When a request that costs about `cost` points may be sent; `None` when it may be sent now.
    pub(crate) fn wait_until(
        &mut self,
        resource: Resource,
        cost: i64,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if let Some(backoff) = self.backoff(resource, now) {
            return Some(Timestamp(backoff.until));
        }
        let reserve = self.reserve;
        if let Some((usable, span)) = self.budget(resource).usable(reserve, now)
            && usable < cost
        {
            return Some(Timestamp(now.0 + span + 1_000));
        }
        self.bucket(resource).wait_until(now)
    }

    pub(crate) fn record_sent(&mut self, resource: Resource, now: Timestamp) {
        self.bucket(resource).spend(now);
    }

    fn bucket(&mut self, resource: Resource) -> &mut TokenBucket {
        match resource {
            Resource::Graphql => &mut self.graphql,
            Resource::Rest => &mut self.rest,
        }
    }

    fn budget(&mut self, resource: Resource) -> &mut Budget {
        match resource {
            Resource::Graphql => &mut self.state.graphql,
            Resource::Rest => &mut self.state.rest,
        }
    }

    /// What holds back requests of this kind now.
    fn backoff(&self, resource: Resource, now: Timestamp) -> Option<Backoff> {
        let own = self.state.rest_backoff.filter(|_| resource == Resource::Rest);
        let all = self.state.backoff.into_iter().chain(own);
        all.filter(|backoff| now.0 < backoff.until).max_by_key(|backoff| backoff.until)
    }

    /// What holds back polling, as it is shown; the reserve counts.
    pub(crate) fn shown_backoff(&self, now: Timestamp) -> Option<Backoff> {
        self.backoff(Resource::Graphql, now).or_else(|| {
            let (usable, span) = self.state.graphql.usable(self.reserve, now)?;
            let until = now.0 + span;
            (usable <= 0).then_some(Backoff { until, reason: BackoffReason::Reserve })
        })
    }

    /// Whether less than a tenth of the budget is left above the reserve.
    pub(crate) fn is_low(&self, now: Timestamp) -> bool {
        let budget = &self.state.graphql;
        let usable = budget.limit.zip(budget.usable(self.reserve, now));
        usable.is_some_and(|(limit, (usable, _))| limit > 0 && usable < limit / 10)
    }

    /// By how much intervals must be multiplied for the budget to last.
    pub(crate) fn stretch(&self, points_per_hour: f64, now: Timestamp) -> f64 {
        self.state.graphql.stretch(self.reserve, points_per_hour, now).unwrap_or(1.0)
    }

    /// Records the budget that an answer reports. Where it is in the body and in the headers, both
    /// are of the same time.
    pub(crate) fn record_budget(
        &mut self,
        resource: Resource,
        headers: &Headers,
        rate: Option<&RateLimit>,
        now: Timestamp,
    ) {
        let skew = headers.date_ms.map_or(0, |date| date - now.0);
        // The date has no fraction of a second.
        let skew = if skew.abs() < 2_000 { 0 } else { skew };
        let budget = self.budget(resource);
        if let (Some(limit), Some(left), Some(reset)) =
            (headers.limit, headers.remaining, headers.reset)
        {
            budget.record(limit, left, reset.saturating_mul(1_000), skew, now);
        } else if let Some(rate) = rate {
            let reset = rate.reset_at.map_or(now.0 + 3_600_000, |at| at.0.0);
            budget.record(rate.limit, rate.remaining, reset, skew, now);
        }
    }

    /// Records what came of a request. The budget of the same answer is recorded before.
    pub(crate) fn record_response(&mut self, resource: Resource, signal: Signal, now: Timestamp) {
        match signal {
            Signal::Success | Signal::Missing | Signal::Forbidden | Signal::Unauthorized => {
                self.record_recovery(now);
            }
            Signal::RetryAfter(wait) => {
                let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                let until = now.0 + wait + 1_000 + self.jitter(wait / 10);
                self.state.backoff = Some(Backoff { until, reason: BackoffReason::RateLimited });
            }
            Signal::Exhausted => {
                let reset = self.budget(resource).reset_at.max(now.0);
                let until = reset + 1_000 + self.jitter(30_000);
                let backoff = Some(Backoff { until, reason: BackoffReason::RateLimited });
                match resource {
                    Resource::Graphql => self.state.backoff = backoff,
                    Resource::Rest => self.state.rest_backoff = backoff,
                }
            }
            Signal::Secondary => {
                let doubled = SECONDARY_MS << self.state.secondary.min(4);
                let until = now.0 + doubled.min(SECONDARY_MAX_MS);
                self.state.secondary += 1;
                self.state.secondary_until = until;
                self.state.backoff = Some(Backoff { until, reason: BackoffReason::SecondaryLimit });
            }
            // Logs are served by another host, so their failure has nothing to do with this one.
            Signal::Heavy | Signal::Down if resource == Resource::Rest => {
                let until = now.0 + OUTAGE_MAX_MS;
                self.state.rest_backoff = Some(Backoff { until, reason: BackoffReason::Outage });
            }
            Signal::Heavy | Signal::Down => {
                let doubled = (OUTAGE_MS << self.state.failures.min(6)).min(OUTAGE_MAX_MS);
                let until = now.0 + doubled + self.jitter(doubled / 10);
                self.state.failures = self.state.failures.saturating_add(1);
                self.state.backoff = Some(Backoff { until, reason: BackoffReason::Outage });
            }
        }
    }

    fn record_recovery(&mut self, now: Timestamp) {
        if self.state.failures > 0 {
            // Everything that waited for the host is due now; it must not be sent in one burst.
            self.graphql.drain(now);
        }
        self.state.failures = 0;
        if now.0 - self.state.secondary_until > SECONDARY_FORGET_MS {
            self.state.secondary = 0;
        }
    }

    /// Nothing is held back, and no budget is known: what was recorded is about another token or
    /// address, or somebody asks for a request now. How often limits were exceeded stays known.
    pub(crate) fn reset(&mut self) {
        let LimiterState { secondary, secondary_until, .. } = self.state;
        self.state = LimiterState { secondary, secondary_until, ..LimiterState::default() };
    }

    /// The clock of this machine was set back by `by` milliseconds: no wait becomes longer by it.
    pub(crate) fn handle_clock_set_back(&mut self, by: i64) {
        let LimiterState { graphql, rest, backoff, rest_backoff, secondary_until, .. } =
            &mut self.state;
        let backoffs = [backoff, rest_backoff].into_iter().flatten().map(|it| &mut it.until);
        let resets = [&mut graphql.reset_at, &mut rest.reset_at, secondary_until];
        for at in backoffs.chain(resets) {
            *at = at.saturating_sub(by);
        }
    }

    fn jitter(&mut self, max: i64) -> i64 {
        if max > 0 { self.rng.i64(0..=max) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const T: Timestamp = Timestamp(1_000_000_000);

    fn limiter() -> RateLimiter {
        RateLimiter::new(&Config::default(), 1, LimiterState::default())
    }

    fn wait(limiter: &mut RateLimiter, now: Timestamp) -> i64 {
        limiter.wait_until(Resource::Graphql, 1, now).map_or(0, |until| until.0 - now.0)
    }

    #[test]
    fn a_wait_that_the_host_names_is_kept_and_not_much_exceeded() {
        let mut limiter = limiter();
        limiter.record_response(Resource::Graphql, Signal::RetryAfter(Duration::from_secs(100)), T);
        assert!((101_000..=111_000).contains(&wait(&mut limiter, T)));
        let mut limiter = RateLimiter::new(&Config::default(), 2, limiter.state);
        assert!(wait(&mut limiter, T) >= 101_000, "a restart keeps the backoff");
        assert_eq!(wait(&mut limiter, Timestamp(T.0 + 112_000)), 0);
    }

    #[test]
    fn secondary_limits_without_a_named_wait_double_up_to_a_quarter_of_an_hour() {
        let mut limiter = limiter();
        let mut now = T;
        for expected in [60, 120, 240, 480, 900, 900] {
            limiter.record_response(Resource::Graphql, Signal::Secondary, now);
            let waited = wait(&mut limiter, now);
            assert_eq!(waited, expected * 1_000);
            now = Timestamp(now.0 + waited);
        }
        limiter.record_response(Resource::Graphql, Signal::Success, now);
        now = Timestamp(now.0 + SECONDARY_FORGET_MS + 1);
        limiter.record_response(Resource::Graphql, Signal::Success, now);
        limiter.record_response(Resource::Graphql, Signal::Secondary, now);
        assert_eq!(wait(&mut limiter, now), 60_000, "after ten minutes without a refusal");
    }

    #[test]
    fn half_an_hour_of_errors_costs_at_most_forty_requests() {
        let mut limiter = limiter();
        let (mut now, mut requests) = (T, 0);
        while now.0 < T.0 + 1_800_000 {
            match limiter.wait_until(Resource::Graphql, 1, now) {
                Some(until) => now = until,
                None => {
                    requests += 1;
                    limiter.record_sent(Resource::Graphql, now);
                    limiter.record_response(Resource::Graphql, Signal::Down, now);
                }
            }
        }
        assert!(requests <= 40, "{requests}");
    }

    #[test]
    fn an_exhausted_rest_budget_does_not_hold_back_graphql() {
        let mut limiter = limiter();
        limiter.record_response(Resource::Rest, Signal::Exhausted, T);
        assert_eq!(wait(&mut limiter, T), 0);
        assert!(limiter.wait_until(Resource::Rest, 1, T).is_some());
    }

    #[test]
    fn the_reserve_is_never_spent() {
        let mut limiter = limiter();
        limiter.state.graphql =
            Budget { limit: Some(5_000), remaining: 2_001, reset_at: T.0 + 600_000 };
        assert_eq!(wait(&mut limiter, T), 0);
        let until = limiter.wait_until(Resource::Graphql, 2, T);
        assert_eq!(until, Some(Timestamp(T.0 + 601_000)));
        limiter.state.graphql.remaining = 2_000;
        let reason = limiter.shown_backoff(T).map(|backoff| backoff.reason);
        assert_eq!(reason, Some(BackoffReason::Reserve));
    }
}
