//! The limiter in front of one host and credential: whether a request may be sent now, learned from
//! every answer. It is pure; the state that must outlive a restart is [`LimiterState`].
//!
//! Rules (reference: GitHub's documentation of primary and secondary limits): a wait that the host
//! names is kept, plus up to a tenth; an exhausted budget waits for its reset; a refusal without a
//! word on how long waits 60 s, doubled with each repetition up to 15 min; an outage waits 1 s,
//! doubled up to 60 s, and then sends one request to see.

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
    /// The host asked to wait.
    RateLimited,
    /// The host found the requests too many or too heavy.
    SecondaryLimit,
    /// What is left of the budget belongs to the user's other programs.
    Reserve,
    /// The host cannot be reached or answers with errors.
    Outage,
}

impl BackoffReason {
    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            BackoffReason::RateLimited => "rate limited",
            BackoffReason::SecondaryLimit => "secondary rate limit",
            BackoffReason::Reserve => "budget reserve reached",
            BackoffReason::Outage => "outage",
        }
    }
}

/// Nothing is sent until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backoff {
    pub(crate) until: i64,
    pub(crate) reason: BackoffReason,
}

/// What a restart must not forget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LimiterState {
    pub(crate) graphql: Budget,
    pub(crate) core: Budget,
    pub(crate) block: Option<Backoff>,
    pub(crate) rest_block: Option<Backoff>,
    /// Refusals without a word on how long, in a row.
    pub(crate) secondary: u32,
    pub(crate) secondary_at: i64,
    /// Failures in a row.
    pub(crate) failures: u32,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Go,
    /// Not before then.
    Wait(Timestamp),
}

/// The limiter.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    pub(crate) state: LimiterState,
    graphql: TokenBucket,
    rest: TokenBucket,
    rng: Rng,
    /// The share of the budget that is left to others, in a hundred.
    pub(crate) reserve: i64,
}

/// A user's token is shared with everything else that the user runs.
pub(crate) const RESERVE_OF_USER: i64 = 40;

/// An app's token is its own.
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

    /// Whether a request that costs about so many points may be sent now.
    pub(crate) fn may_send(&mut self, resource: Resource, cost: i64, now: Timestamp) -> Verdict {
        if let Some(block) = self.blocked(resource, now) {
            return Verdict::Wait(Timestamp(block.until));
        }
        let budget = self.budget(resource);
        if let Some((usable, span)) = budget.usable(self.reserve, now)
            && usable < cost
        {
            return Verdict::Wait(Timestamp(now.0 + span + 1_000));
        }
        let pace = match resource {
            Resource::Graphql => &mut self.graphql,
            Resource::Rest => &mut self.rest,
        };
        pace.ready(now).map_or(Verdict::Go, Verdict::Wait)
    }

    /// A request was sent.
    pub(crate) fn sent(&mut self, resource: Resource, now: Timestamp) {
        match resource {
            Resource::Graphql => self.graphql.spend(now),
            Resource::Rest => self.rest.spend(now),
        }
    }

    fn budget(&self, resource: Resource) -> Budget {
        match resource {
            Resource::Graphql => self.state.graphql,
            Resource::Rest => self.state.core,
        }
    }

    /// What keeps requests of this kind back now.
    pub(crate) fn blocked(&self, resource: Resource, now: Timestamp) -> Option<Backoff> {
        let own = if resource == Resource::Rest { self.state.rest_block } else { None };
        self.state
            .block
            .into_iter()
            .chain(own)
            .filter(|block| now.0 < block.until)
            .max_by_key(|it| it.until)
    }

    /// What keeps the observer from work, as it is shown; the reserve counts.
    pub(crate) fn shown(&self, now: Timestamp) -> Option<Backoff> {
        self.blocked(Resource::Graphql, now).or_else(|| {
            let (usable, span) = self.state.graphql.usable(self.reserve, now)?;
            let until = now.0 + span;
            (usable <= 0).then_some(Backoff { until, reason: BackoffReason::Reserve })
        })
    }

    /// How much longer than planned the intervals must be for the budget to last.
    pub(crate) fn stretch(&self, points_an_hour: f64, now: Timestamp) -> f64 {
        self.state.graphql.stretch(self.reserve, points_an_hour, now).unwrap_or(1.0)
    }

    /// Learns the budget from an answer of any kind. Where it states itself in the body and in the
    /// headers, both are of one moment.
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
        let budget = match resource {
            Resource::Graphql => &mut self.state.graphql,
            Resource::Rest => &mut self.state.core,
        };
        if let (Some(limit), Some(left), Some(reset)) =
            (headers.limit, headers.remaining, headers.reset)
        {
            budget.record(limit, left, reset.saturating_mul(1_000), skew, now);
        } else if let Some(rate) = rate {
            let reset = rate.reset_at.map_or(now.0 + 3_600_000, |at| at.0.0);
            budget.record(rate.limit, rate.remaining, reset, skew, now);
        }
    }

    /// Learns from what became of a request. The budget was told before.
    pub(crate) fn record_response(&mut self, resource: Resource, signal: Signal, now: Timestamp) {
        match signal {
            Signal::Fine | Signal::Missing | Signal::Forbidden | Signal::Unauthorized => {
                self.recovered(now);
            }
            Signal::RetryAfter(wait) => {
                let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                let until = now.0 + wait + 1_000 + self.jitter(wait / 10);
                self.state.block = Some(Backoff { until, reason: BackoffReason::RateLimited });
            }
            Signal::Exhausted => {
                let reset = self.budget(resource).reset_at.max(now.0);
                let until = reset + 1_000 + self.jitter(30_000);
                let block = Some(Backoff { until, reason: BackoffReason::RateLimited });
                match resource {
                    Resource::Graphql => self.state.block = block,
                    Resource::Rest => self.state.rest_block = block,
                }
            }
            Signal::Secondary => {
                let doubled = SECONDARY_MS << self.state.secondary.min(4);
                let until = now.0 + doubled.min(SECONDARY_MAX_MS);
                self.state.secondary += 1;
                self.state.secondary_at = until;
                self.state.block = Some(Backoff { until, reason: BackoffReason::SecondaryLimit });
            }
            // Logs lie elsewhere: that they cannot be had says nothing about the host.
            Signal::Heavy | Signal::Down if resource == Resource::Rest => {
                let until = now.0 + OUTAGE_MAX_MS;
                self.state.rest_block = Some(Backoff { until, reason: BackoffReason::Outage });
            }
            Signal::Heavy | Signal::Down => {
                let doubled = (OUTAGE_MS << self.state.failures.min(6)).min(OUTAGE_MAX_MS);
                let until = now.0 + doubled + self.jitter(doubled / 10);
                self.state.failures = self.state.failures.saturating_add(1);
                self.state.block = Some(Backoff { until, reason: BackoffReason::Outage });
            }
        }
    }

    fn recovered(&mut self, now: Timestamp) {
        let was_down = self.state.failures > 0;
        self.state.failures = 0;
        if was_down {
            // All that waited would come at once.
            self.graphql.drain(now);
        }
        if now.0 - self.state.secondary_at > SECONDARY_FORGET_MS {
            self.state.secondary = 0;
        }
        self.state.block = self.state.block.filter(|block| now.0 < block.until);
        self.state.rest_block = self.state.rest_block.filter(|block| now.0 < block.until);
    }

    /// Another token has a budget of its own; an outage and the host's anger stay.
    pub(crate) fn new_credential(&mut self) {
        let is_ours = |block: &Backoff| block.reason == BackoffReason::RateLimited;
        self.state = LimiterState {
            graphql: Budget::default(),
            core: Budget::default(),
            block: self.state.block.filter(|block| !is_ours(block)),
            rest_block: self.state.rest_block.filter(|block| !is_ours(block)),
            ..self.state
        };
    }

    /// The clock of this machine was set back so far: no wait becomes longer by that.
    pub(crate) fn clock_went_back(&mut self, by: i64) {
        let LimiterState { graphql, core, block, rest_block, secondary_at, .. } = &mut self.state;
        for at in [&mut graphql.reset_at, &mut core.reset_at, secondary_at] {
            *at = at.saturating_sub(by);
        }
        for block in [block, rest_block].into_iter().flatten() {
            block.until = block.until.saturating_sub(by);
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
        match limiter.may_send(Resource::Graphql, 1, now) {
            Verdict::Go => 0,
            Verdict::Wait(until) => until.0 - now.0,
        }
    }

    #[test]
    fn a_wait_that_the_host_names_is_kept_and_not_much_more() {
        let mut limiter = limiter();
        limiter.record_response(Resource::Graphql, Signal::RetryAfter(Duration::from_secs(100)), T);
        assert!((101_000..=111_000).contains(&wait(&mut limiter, T)));
        let mut limiter = RateLimiter::new(&Config::default(), 2, limiter.state);
        assert!(wait(&mut limiter, T) >= 101_000, "a restart forgets no block");
        assert_eq!(wait(&mut limiter, Timestamp(T.0 + 112_000)), 0);
    }

    #[test]
    fn refusals_without_a_word_double_up_to_a_quarter_of_an_hour() {
        let mut limiter = limiter();
        let mut now = T;
        for expected in [60, 120, 240, 480, 900, 900] {
            limiter.record_response(Resource::Graphql, Signal::Secondary, now);
            let waited = wait(&mut limiter, now);
            assert_eq!(waited, expected * 1_000);
            now = Timestamp(now.0 + waited);
        }
        limiter.record_response(Resource::Graphql, Signal::Fine, now);
        now = Timestamp(now.0 + SECONDARY_FORGET_MS + 1);
        limiter.record_response(Resource::Graphql, Signal::Fine, now);
        limiter.record_response(Resource::Graphql, Signal::Secondary, now);
        assert_eq!(wait(&mut limiter, now), 60_000, "ten clean minutes");
    }

    #[test]
    fn half_an_hour_of_errors_costs_at_most_forty_requests() {
        let mut limiter = limiter();
        let (mut now, mut requests) = (T, 0);
        while now.0 < T.0 + 1_800_000 {
            match limiter.may_send(Resource::Graphql, 1, now) {
                Verdict::Wait(until) => now = until,
                Verdict::Go => {
                    requests += 1;
                    limiter.sent(Resource::Graphql, now);
                    limiter.record_response(Resource::Graphql, Signal::Down, now);
                }
            }
        }
        assert!(requests <= 40, "{requests}");
    }

    #[test]
    fn an_exhausted_rest_budget_leaves_graphql_alone() {
        let mut limiter = limiter();
        limiter.record_response(Resource::Rest, Signal::Exhausted, T);
        assert_eq!(wait(&mut limiter, T), 0);
        assert!(matches!(limiter.may_send(Resource::Rest, 1, T), Verdict::Wait(_)));
    }

    #[test]
    fn the_reserve_is_never_spent() {
        let mut limiter = limiter();
        limiter.state.graphql =
            Budget { limit: Some(5_000), remaining: 2_001, reset_at: T.0 + 600_000 };
        assert_eq!(wait(&mut limiter, T), 0);
        assert_eq!(
            limiter.may_send(Resource::Graphql, 2, T),
            Verdict::Wait(Timestamp(T.0 + 601_000))
        );
        limiter.state.graphql.remaining = 2_000;
        assert_eq!(limiter.shown(T).map(|block| block.reason), Some(BackoffReason::Reserve));
    }
}
