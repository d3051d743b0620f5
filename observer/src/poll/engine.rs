//! The observer of one host with one credential, without any I/O: it decides what to send next and
//! records what came back. The time is an argument, so a test can simulate years in one second.
//!
//! What it guarantees:
//!
//! * One request is in flight at a time.
//! * A failed, truncated or partial answer never becomes a fact, and deletes nothing.
//! * Facts and the record that they were read are stored in one transaction; if it fails, they are read again.

mod state;

use std::collections::BTreeSet;

use ao_store::row::scm::{Credential, HostState, PrPoll, RefreshRequest, RepoState, SubjectPr};
use ao_store::{PrId, Timestamp};

use crate::github::answer::GraphqlAnswer;
use crate::github::call::{Answer, Call, Reply};
use crate::github::classify::{self, Signal};
use crate::github::query::{self, Dialect, Level, Listing, PollQuery};
use crate::poll::answer_context::AnswerContext;
use crate::poll::batch_size::BatchSizes;
use crate::poll::clock::Clock;
use crate::poll::config::Config;
use crate::poll::credentials::{CredentialLookup, Credentials};
use crate::poll::host_record::{HostRecord, SavedState};
use crate::poll::log_queue::LogJob;
use crate::poll::rate_limiter::{RESERVE_OF_APP, RESERVE_OF_USER, RateLimiter, Resource};
use crate::poll::repo_listing::{ListTarget, RepoListing};
use crate::poll::report::Totals;
use crate::poll::request::{self, InFlight, Kind, Query, Step};
use crate::poll::schedule::NEVER;
use crate::poll::tracked_prs::poll_points;
use crate::poll::tracker::Tracker;
use crate::poll::write_batch::{Outcome, Write, WriteBatch};

/// Pages that have waited this long are requested before the next poll, in up to so many requests.
const DETAIL_PATIENCE_MS: i64 = 5_000;
const DETAILS_IN_ROW: u32 = 3;

/// The host refuses a query that costs more.
const COST_MAX: i64 = 5_000;

/// The observer of one host.
#[derive(Debug)]
pub(crate) struct Engine {
    host: String,
    config: Config,
    clock: Clock,
    limiter: RateLimiter,
    credentials: Credentials,
    dialect: Dialect,
    sizes: BatchSizes,
    pub(crate) tracker: Tracker,
    in_flight: Option<InFlight>,
    totals: Totals,
    /// Detail requests since the last poll.
    details_in_row: u32,
    skips_slow_start: bool,
    /// When a run that ends when everything was read stops to read logs.
    logs_until: Option<Timestamp>,
    record: HostRecord,
    rng: fastrand::Rng,
}

impl Engine {
    /// The observer of a host, with what is stored of it. `seed` determines its jitter.
    pub(crate) fn new(
        config: Config,
        stored: HostState,
        repos: Vec<RepoState>,
        seed: u64,
    ) -> Engine {
        let saved = SavedState::read(&stored.memory);
        Engine {
            host: stored.host.clone(),
            config,
            clock: Clock::new(stored.updated_at),
            limiter: RateLimiter::new(&config, seed, saved.limiter),
            credentials: Credentials::new(&stored, saved.fingerprint),
            dialect: saved.dialect,
            sizes: saved.sizes,
            tracker: Tracker::new(&stored.host, repos),
            in_flight: None,
            totals: Totals::default(),
            details_in_row: 0,
            skips_slow_start: false,
            logs_until: None,
            record: HostRecord::new(stored),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Everything is requested at once, whatever an earlier run was refused, for a run that ends when
    /// all was read.
    pub(crate) fn poll_now(&mut self) {
        self.skips_slow_start = true;
        self.limiter.reset();
    }

    /// Sets the URL that is asked. What an earlier run recorded of another one is forgotten.
    pub(crate) fn set_address(&mut self, address: &str) {
        if self.record.set_address(address) {
            self.limiter.reset();
            self.credentials = Credentials::new(&HostState::new(&self.host), String::new());
            self.dialect = Dialect::default();
            self.tracker.listings.iter_mut().for_each(RepoListing::relist);
        }
    }

    /// Sets what to observe. Keeps the state of the pull requests that are still tracked.
    pub(crate) fn set_subjects(
        &mut self,
        prs: &[(SubjectPr, PrPoll)],
        targets: Vec<ListTarget>,
        now: Timestamp,
    ) {
        // At the start all pull requests are new, and their polls are spread over one interval.
        let is_spread = self.clock.began_at.is_none() && !self.skips_slow_start;
        let (size, interval) = (self.sizes.full.get().max(1), self.config.interval_ms());
        let slots = prs.len().div_ceil(size).max(1);
        let first_due = |index: usize| {
            let slot = if is_spread { index / size } else { 0 };
            let [slot, slots] = [slot, slots].map(|it| i64::try_from(it).unwrap_or(1));
            Timestamp(now.0 + interval * slot / slots)
        };
        self.tracker.set_subjects(prs, targets, first_due, now);
        self.clock.began_at.get_or_insert(now);
    }

    /// Takes over what is stored of those pull requests that other programs touched, and the targets if
    /// they may have changed.
    pub(crate) fn update_subjects(
        &mut self,
        touched: &BTreeSet<PrId>,
        prs: &[(SubjectPr, PrPoll)],
        targets: Option<Vec<ListTarget>>,
        now: Timestamp,
    ) {
        self.tracker.update_subjects(touched, prs, targets, now);
    }

    /// Takes over which refresh requests are stored.
    pub(crate) fn set_refresh_requests(&mut self, stored: Vec<RefreshRequest>, now: Timestamp) {
        let noticed_at = self.clock.newest(now);
        self.tracker.set_refresh_requests(stored, self.skips_slow_start, noticed_at, now);
    }

    /// Records what a lookup of credentials found.
    pub(crate) fn record_credentials(&mut self, lookup: CredentialLookup, now: Timestamp) {
        if self.credentials.record_lookup(lookup, now) {
            self.limiter.reset();
            // Other pull requests may belong to another person.
            self.tracker.listings.iter_mut().for_each(RepoListing::relist);
        }
    }

    /// What to do now. Nothing is in flight when this is called.
    pub(crate) fn next(&mut self, now: Timestamp) -> Step {
        if let Some(by) = self.clock.step(now) {
            self.handle_clock_set_back(by);
        }
        let Credentials { has_token, lookup_at, .. } = self.credentials;
        if !has_token {
            return if now >= lookup_at { Step::FindCredentials } else { Step::Wait(lookup_at) };
        }
        let slow_start = self.clock.slow_start_until(self.config.interval_ms(), now);
        if let Some(until) = slow_start.filter(|_| !self.skips_slow_start) {
            return Step::Wait(until);
        }
        let oldest = self.tracker.prs.oldest_fetch(now);
        let is_late = oldest.is_some_and(|at| now.0.saturating_sub(at.0) >= DETAIL_PATIENCE_MS);
        let mut order = [Engine::next_poll, Engine::next_detail, Engine::next_log];
        if is_late && self.details_in_row < DETAILS_IN_ROW {
            order.swap(0, 1);
        }
        let mut earliest = self.tracker.next_due(now).unwrap_or(NEVER);
        for plan in order {
            match plan(self, now) {
                Some(Step::Wait(until)) => earliest = earliest.min(until),
                Some(step) => return step,
                None => {}
            }
        }
        Step::Wait(earliest.max(Timestamp(now.0 + 1)))
    }

    /// Whether something could be done now if the limits allowed it, or failed and is repeated.
    pub(crate) fn has_work(&self, now: Timestamp) -> bool {
        self.credentials.state != Credential::Missing && self.tracker.has_work(now)
    }

    /// A clock that was set back must not put everything off.
    fn handle_clock_set_back(&mut self, by: i64) {
        self.limiter.handle_clock_set_back(by);
        self.tracker.handle_clock_set_back(by);
        self.credentials.lookup_at.0 = self.credentials.lookup_at.0.saturating_sub(by);
    }

    fn next_poll(&mut self, now: Timestamp) -> Option<Step> {
        let level = self.tracker.due_level(now)?;
        let interval = self.config.interval_ms();
        let size = match level {
            Level::Heartbeat => self.sizes.heartbeat.get(),
            Level::Full => self.sizes.full.get(),
        };
        let due = self.tracker.prs.due(level, size, interval, now);
        let listings = self.tracker.listings.due(interval, now);
        let cost = poll_points(level, due.len(), listings.len());
        if let Some(until) = self.limiter.wait_until(Resource::Graphql, cost, now) {
            return Some(Step::Wait(until));
        }
        self.details_in_row = 0;
        Some(self.send_poll(level, due, listings, now))
    }

    fn send_poll(
        &mut self,
        level: Level,
        due: Vec<PrId>,
        listings: Vec<(String, Listing)>,
        now: Timestamp,
    ) -> Step {
        let mut poll = PollQuery::default();
        let (mut prs, mut located) = (Vec::new(), Vec::new());
        for id in due {
            let Some(pr) = self.tracker.prs.get(&id) else { continue };
            if pr.node_id.is_empty() {
                poll.locations.push((pr.location.repo.clone(), pr.location.number));
                located.push(id);
            } else {
                poll.ids.push(pr.node_id.clone());
                prs.push(id);
            }
        }
        poll.listings = listings.iter().map(|(_, listing)| listing.clone()).collect();
        let by_node = prs.len();
        prs.append(&mut located);
        let call = request::graphql(query::poll(level, self.dialect, &poll));
        let query = Query::Poll { level, prs, by_node, listings };
        self.send(Kind::Query(query), call, Resource::Graphql, now)
    }

    fn next_detail(&mut self, now: Timestamp) -> Option<Step> {
        self.tracker.prs.oldest_fetch(now)?;
        if let Some(until) = self.limiter.wait_until(Resource::Graphql, 1, now) {
            return Some(Step::Wait(until));
        }
        let pages = self.tracker.prs.take_pages(self.sizes.detail.get(), now);
        let asks: Vec<_> = pages.iter().map(|(_, page)| page.ask.clone()).collect();
        let call = request::graphql(query::detail(self.dialect, &asks));
        self.totals.detail_requests += 1;
        self.details_in_row += 1;
        let query = Kind::Query(Query::Detail { pages });
        Some(self.send(query, call, Resource::Graphql, now))
    }

    fn next_log(&mut self, now: Timestamp) -> Option<Step> {
        if self.tracker.logs.is_empty() {
            return None;
        }
        let wait = self.limiter.wait_until(Resource::Rest, 1, now);
        let end = Timestamp(now.0 + self.config.log_time_ms());
        let end = self.skips_slow_start.then(|| *self.logs_until.get_or_insert(end));
        if end.is_some_and(|end| wait.unwrap_or(now) >= end) {
            self.tracker.logs.leave_all();
            return None;
        }
        if let Some(until) = wait {
            return Some(Step::Wait(until));
        }
        let log = self.tracker.logs.pop()?;
        self.totals.rest_requests += 1;
        let call = request::job_log(&log, end.map(|end| end.0 - now.0));
        Some(self.send(Kind::Log(log), call, Resource::Rest, now))
    }

    fn send(&mut self, kind: Kind, call: Call, resource: Resource, now: Timestamp) -> Step {
        self.limiter.record_sent(resource, now);
        self.totals.requests += 1;
        self.in_flight = Some(InFlight { as_of: self.clock.record_sent(now), kind });
        Step::Send(call)
    }

    /// By how much intervals are multiplied so that the budget lasts.
    fn stretch(&self, now: Timestamp) -> f64 {
        let points = self.tracker.prs.points_per_hour(&self.sizes, self.config.interval_ms(), now);
        self.limiter.stretch(points, now)
    }

    /// Records what came of the request in flight; returns what is to be stored.
    pub(crate) fn receive(&mut self, reply: &Reply, now: Timestamp) -> WriteBatch {
        let Some(InFlight { as_of, kind }) = self.in_flight.take() else {
            return WriteBatch::default();
        };
        let (interval_ms, totals, writes) = (self.config.interval_ms(), self.totals, Vec::new());
        let mut context = AnswerContext { as_of, now, interval_ms, stretch: 1.0, totals, writes };
        match (kind, reply) {
            (Kind::Log(log), reply) => self.record_log(log, reply, &mut context),
            (Kind::Query(query), Reply::Failed(failure)) => {
                self.record.set_failure(failure.to_string());
                self.record_lost(query, classify::failure(failure), &mut context);
            }
            (Kind::Query(query), Reply::Answer(answer)) => {
                self.record_answer(query, answer, &mut context);
            }
        }
        self.totals = context.totals;
        let served = self.tracker.take_answered_requests();
        // What was just found was not read yet.
        let is_found = context.writes.iter().any(|it| matches!(it, Write::Found { .. }));
        WriteBatch { writes: context.writes, host: self.host_state(is_found, now), served }
    }

    fn record_answer(&mut self, query: Query, answer: &Answer, context: &mut AnswerContext) {
        let now = context.now;
        let answered = GraphqlAnswer::read(&answer.body);
        let signal = classify::graphql(answer, answered.as_ref());
        let rate = answered.as_ref().and_then(|it| it.rate.as_ref());
        self.limiter.record_budget(Resource::Graphql, &answer.headers, rate, now);
        context.totals.points += rate.map_or(1, |rate| rate.cost.clamp(0, COST_MAX).unsigned_abs());
        if answered.as_ref().is_some_and(|answered| self.adapt_dialect(answered)) {
            return self.tracker.reschedule(query, false, context);
        }
        // With `Heavy` a part of the data may be there, and is read.
        let is_readable = matches!(signal, Signal::Success | Signal::Heavy);
        let (answered, cause) = match answered {
            Some(answered) if answered.has_data && is_readable => (Some(answered), None),
            other => (None, other),
        };
        let Some(answered) = answered else {
            let cause = classify::cause(answer, cause.as_ref());
            self.record.set_failure(cause);
            return self.record_lost(query, signal, context);
        };
        self.credentials.record_acceptance(answered.viewer.clone(), now);
        if let Some(viewer) = &self.credentials.viewer {
            let is_app = viewer.is("Bot");
            self.limiter.reserve = if is_app { RESERVE_OF_APP } else { RESERVE_OF_USER };
        }
        if signal == Signal::Success {
            let latency = i64::try_from(answer.latency.as_millis()).unwrap_or(i64::MAX);
            self.sizes.of(&query).record_answer(latency, now);
        } else {
            self.sizes.of(&query).record_failure(now);
            context.totals.failures += 1;
        }
        self.limiter.record_response(Resource::Graphql, signal, now);
        context.stretch = self.stretch(now);
        match query {
            Query::Poll { level, prs, by_node, listings } => {
                // What was found comes first: a session of which one pull request has ended is not
                // complete while another one is open.
                let person = self.credentials.person();
                self.tracker.record_listings(&listings, &answered, person, context);
                // Jitter, so that the polls of many observers do not stay in step.
                context.stretch *= 0.9 + 0.2 * self.rng.f64();
                self.tracker.record_polls(level, prs.split_at(by_node), &answered, context);
            }
            Query::Detail { pages } => self.tracker.record_details(pages, &answered, context),
        }
        self.record.failure = self.tracker.listing_failure();
    }

    /// Whether the host has an older schema, which lacks something that was requested; from then on
    /// the query is another one.
    fn adapt_dialect(&mut self, answered: &GraphqlAnswer<'_>) -> bool {
        if !answered.lacks_rollup() || self.dialect != Dialect::Current {
            return false;
        }
        self.dialect = Dialect::RollupOfCommits;
        let host = &self.host;
        tracing::info!(host, "an older server: the roll-up of checks is read at commits");
        true
    }

    fn record_log(&mut self, log: LogJob, reply: &Reply, context: &mut AnswerContext) {
        let now = context.now;
        let (signal, body) = match reply {
            Reply::Failed(failure) => (classify::failure(failure), &[][..]),
            Reply::Answer(answer) => {
                self.limiter.record_budget(Resource::Rest, &answer.headers, None, now);
                (classify::rest(answer), &answer.body[..])
            }
        };
        // A run that has only some time for logs does not wait for those that fail.
        if !self.skips_slow_start || !matches!(signal, Signal::Heavy | Signal::Down) {
            self.limiter.record_response(Resource::Rest, signal, now);
        }
        match signal {
            Signal::Unauthorized => self.credentials.record_refusal(now),
            Signal::Heavy | Signal::Down => context.totals.failures += 1,
            _ => {}
        }
        context.writes.extend(self.tracker.logs.record_answer(log, signal, body));
    }

    /// A query failed: it is repeated as soon as the limits allow.
    fn record_lost(&mut self, query: Query, signal: Signal, context: &mut AnswerContext) {
        let now = context.now;
        context.totals.failures += 1;
        let signal = match signal {
            // When that is the whole answer, it is about the host and not about one thing.
            Signal::Forbidden | Signal::Missing | Signal::Success => Signal::Down,
            other => other,
        };
        let is_single = matches!(&query, Query::Poll { prs, .. } if prs.len() <= 1);
        if signal == Signal::Heavy && !is_single {
            self.sizes.of(&query).record_failure(now);
        }
        let is_own = match query {
            // A smaller request may succeed; one page alone will not.
            Query::Detail { .. } => signal == Signal::Heavy && self.sizes.detail.get() == 1,
            // After a good answer a failure is about what was requested; after another failure it is
            // about the host.
            Query::Poll { .. } => {
                matches!(signal, Signal::Heavy | Signal::Down) && self.limiter.state.failures == 0
            }
        };
        self.limiter.record_response(Resource::Graphql, signal, now);
        if signal == Signal::Unauthorized {
            self.credentials.record_refusal(now);
        }
        context.as_of = now;
        self.tracker.reschedule(query, is_own, context);
    }

    /// A batch was written.
    pub(crate) fn record_outcome(&mut self, outcome: Outcome, now: Timestamp) {
        self.totals.outdated += outcome.outdated.len() as u64;
        for pr in &outcome.outdated {
            self.tracker.forget(pr, Timestamp(now.0 + 4 * self.config.interval_ms()));
        }
        for (pr, jobs) in outcome.logs {
            self.tracker.add_logs(&pr, jobs);
        }
    }

    /// The store rejected a batch and will again.
    pub(crate) fn record_rejection(&mut self, batch: &WriteBatch, now: Timestamp) {
        let due = Timestamp(now.0 + 20 * self.config.interval_ms());
        self.tracker.record_rejection(batch, due, now);
    }

    /// The store could not write a batch now.
    pub(crate) fn record_write_failure(&mut self, batch: &WriteBatch, now: Timestamp) {
        self.tracker.forget_batch(batch, Timestamp(now.0 + self.config.interval_ms()));
        self.record.invalidate();
        self.totals.failed_writes += 1;
    }
}
