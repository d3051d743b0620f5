//! The state of an observer as it is stored and as it is shown.

use ao_store::Timestamp;
use ao_store::row::scm::{Credential, HostState, Problem};

use super::Engine;
use crate::github::node::Actor;
use crate::poll::credentials::Credentials;
use crate::poll::host_record::SavedState;
use crate::poll::rate_limiter::{Backoff, BackoffReason};
use crate::poll::reading::Reading;
use crate::poll::report::Report;
use crate::poll::write_batch::{WriteBatch, Written};

impl Engine {
    /// What is to be stored at the end.
    pub(crate) fn finish(&mut self, now: Timestamp) -> WriteBatch {
        let writes = self.tracker.leave_logs();
        WriteBatch { writes, host: self.host_state(false, now), served: Vec::new() }
    }

    /// The state of the host, when it is to be stored. `is_found` is whether a pull request was just
    /// found, which was not read yet.
    pub(crate) fn host_state(&mut self, is_found: bool, now: Timestamp) -> Option<HostState> {
        let backoff = self.backoff(now);
        let graphql = self.limiter.state.graphql;
        let saved = SavedState {
            fingerprint: self.credentials.fingerprint.clone(),
            limiter: self.limiter.state,
            sizes: self.sizes,
            dialect: self.dialect,
        };
        let viewer = self.credentials.viewer.as_ref();
        let state = HostState {
            host: self.host.clone(),
            credential: self.credentials.state,
            source: self.credentials.source.clone(),
            login: viewer.map(Actor::account).unwrap_or_default(),
            since: Some(self.credentials.since).filter(|since| since.0 > 0),
            quota: graphql.limit,
            remaining: graphql.left(now),
            reset_at: graphql.limit.map(|_| Timestamp(graphql.reset_at)),
            blocked_until: backoff.map(|backoff| Timestamp(backoff.until)),
            reason: backoff.map(|backoff| backoff.reason.as_str().to_owned()).unwrap_or_default(),
            address: self.record.address.clone(),
            failure: self.record.failure.clone(),
            fresh_at: if is_found { self.record.stored.fresh_at } else { self.fresh_at(now) },
            interval_ms: Some(self.config.interval_ms()),
            memory: saved.to_text(),
            updated_at: now,
        };
        self.record.update(state, now)
    }

    /// Why nothing is requested, and until when.
    fn backoff(&self, now: Timestamp) -> Option<Backoff> {
        let Credentials { state, has_token, lookup_at, .. } = self.credentials;
        let is_refused = state == Credential::Invalid && !has_token && lookup_at > now;
        let refused = Backoff { until: lookup_at.0, reason: BackoffReason::Refused };
        is_refused.then_some(refused).or_else(|| self.limiter.shown_backoff(now))
    }

    /// When every pull request that can be read had been read, and every repository listed, last.
    fn fresh_at(&self, now: Timestamp) -> Option<Timestamp> {
        let stored = self.record.stored.fresh_at;
        // Where there is nothing to read, that is known as long as the host answers.
        let is_well = || {
            self.totals.requests > 0
                && self.credentials.state == Credential::Ok
                && self.limiter.shown_backoff(now).is_none()
        };
        match self.tracker.oldest_read() {
            Some(Timestamp(0)) => stored,
            // The host refused all that there is to read.
            None if !self.tracker.refused_repos().is_empty() => stored,
            Some(at) => Some(at),
            None => self.clock.last_step.filter(|_| is_well()).or(stored),
        }
    }

    /// What the request in flight reads.
    pub(crate) fn reading(&self) -> Option<Reading> {
        self.in_flight.as_ref().map(Reading::of)
    }

    /// The state as it is shown.
    pub(crate) fn report(&self, written: Written, now: Timestamp) -> Report {
        let open = || self.tracker.prs.open();
        let interval = self.config.interval_ms();
        let graphql = self.limiter.state.graphql;
        let backoff = self.backoff(now);
        Report {
            host: self.host.clone(),
            credential: self.credentials.state,
            source: self.credentials.source.clone(),
            login: self.credentials.viewer.as_ref().map(Actor::account).unwrap_or_default(),
            totals: self.totals,
            written,
            tracked: open().count(),
            fresh: open().filter(|pr| pr.is_fresh(interval, now)).count(),
            problems: open().filter(|pr| pr.poll.problem != Problem::None).count(),
            unread: self.tracker.unread(),
            skipped: self.tracker.skipped(),
            logs_left: self.tracker.logs.left(),
            budget: graphql.limit.zip(graphql.left(now)),
            budget_reset_at: graphql.limit.map(|_| Timestamp(graphql.reset_at)),
            is_budget_low: self.limiter.is_low(now),
            address: self.record.address.clone(),
            failure: self.record.failure.clone(),
            backoff: backoff.map(|it| (it.reason, Timestamp(it.until))),
        }
    }
}
