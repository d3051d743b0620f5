//! Learning from the answer to a look.

use ao_store::row::scm::RefreshRequest;
use ao_store::{PrId, Timestamp};

use super::{Engine, InFlight, Kind};
use crate::github::answer::{Found, GraphqlAnswer};
use crate::github::call::{Answer, Reply};
use crate::github::classify::{self, Signal};
use crate::github::node::PrNode;
use crate::github::query::{Dialect, Level};
use crate::poll::rate_limiter::Resource;
use crate::poll::tracked_pr::TrackedPr;
use crate::poll::write_batch::{PrWrite, Write, WriteBatch};

/// No query costs more: it would be refused.
const COST_MAX: i64 = 5_000;

impl Engine {
    /// Learns from what came of the request in flight; returns what is to be stored.
    pub(crate) fn receive(&mut self, reply: &Reply, now: Timestamp) -> WriteBatch {
        let mut batch = WriteBatch::default();
        let Some(in_flight) = self.in_flight.take() else { return batch };
        match reply {
            Reply::Failed(failure) => {
                tracing::debug!(host = self.host, ?failure, "a request failed");
                self.lost(in_flight, classify::failure(failure), now, &mut batch);
            }
            Reply::Answer(answer) => self.answered(in_flight, answer, now, &mut batch),
        }
        batch.forget_pokes(self.answered_requests());
        batch.host = self.host_state(now);
        batch
    }

    fn answered(
        &mut self,
        in_flight: InFlight,
        answer: &Answer,
        now: Timestamp,
        batch: &mut WriteBatch,
    ) {
        if let Kind::Log(log) = in_flight.kind {
            self.limiter.record_budget(Resource::Rest, &answer.headers, None, now);
            return self.log_answered(log, answer, now, batch);
        }
        let answered = GraphqlAnswer::read(&answer.body);
        let signal = classify::graphql(answer, answered.as_ref());
        let rate = answered.as_ref().and_then(|it| it.rate.as_ref());
        self.limiter.record_budget(Resource::Graphql, &answer.headers, rate, now);
        self.totals.points += rate.map_or(1, |rate| rate.cost.clamp(0, COST_MAX).unsigned_abs());
        if answered.as_ref().is_some_and(|answered| self.adapts(answered)) {
            return self.put_back(in_flight.kind, false, now);
        }
        let Some(answered) = answered.filter(|answered| answered.has_data) else {
            return self.lost(in_flight, signal, now, batch);
        };
        if signal != Signal::Fine && signal != Signal::Heavy {
            return self.lost(in_flight, signal, now, batch);
        }
        if let Some(viewer) = answered.viewer.clone() {
            self.credentials.viewer = Some(viewer);
        }
        self.accepted(now);
        if signal == Signal::Fine {
            self.learn_size(&in_flight.kind, answer, now);
        } else {
            self.size(&in_flight.kind, |size| size.failed(now));
            self.totals.failures += 1;
        }
        self.limiter.record_response(Resource::Graphql, signal, now);
        match in_flight.kind {
            Kind::Poll { level, ids, locations, listings } => {
                let as_of = in_flight.as_of;
                let nodes = answered.nodes::<PrNode>(ids.len());
                let by_location = locations.iter().enumerate();
                let located = by_location.map(|(i, _)| answered.pull_request(&format!("p{i}")));
                let mut found: Vec<_> = nodes.into_iter().chain(located).collect();
                self.flag_withheld_checks(&mut found, ids.len(), &answered);
                // What was found comes first: a session of which one pull request has ended is not
                // done while another is open.
                self.record_listings(listings, &answered, as_of, now, batch);
                self.record_polls(level, ids.iter().chain(&locations), found, as_of, now, batch);
            }
            Kind::Detail { asks } => {
                self.record_details(asks, &answered, in_flight.as_of, now, batch)
            }
            Kind::Log(_) => {}
        }
    }

    /// Credentials may see a pull request and not its checks: that there are none is no fact then.
    fn flag_withheld_checks(
        &mut self,
        found: &mut [Found<PrNode>],
        ids: usize,
        answered: &GraphqlAnswer<'_>,
    ) {
        for (index, found) in found.iter_mut().enumerate() {
            let Found::Node(node) = found else { continue };
            node.are_checks_withheld = match index.checked_sub(ids) {
                None => answered.withholds_checks("nodes", Some(index)),
                Some(location) => answered.withholds_checks(&format!("p{location}"), None),
            };
            if node.are_checks_withheld && !self.has_warned_of_checks {
                self.has_warned_of_checks = true;
                let host = &self.host;
                tracing::warn!(
                    host,
                    "the credentials may not see checks: give them that permission"
                );
            }
        }
    }

    /// Nothing came of a request. What it asked for is due again, as soon as the limiter allows.
    fn lost(
        &mut self,
        in_flight: InFlight,
        signal: Signal,
        now: Timestamp,
        batch: &mut WriteBatch,
    ) {
        self.totals.failures += 1;
        let resource =
            if matches!(in_flight.kind, Kind::Log(_)) { Resource::Rest } else { Resource::Graphql };
        // A whole answer that is forbidden or missing is about the host, not about one thing.
        let signal = match (signal, resource) {
            (Signal::Forbidden | Signal::Missing | Signal::Fine, Resource::Graphql) => Signal::Down,
            (signal, _) => signal,
        };
        let is_one = matches!(&in_flight.kind,
            Kind::Poll { ids, locations, .. } if ids.len() + locations.len() <= 1);
        if signal == Signal::Heavy && !is_one {
            self.size(&in_flight.kind, |size| size.failed(now));
        }
        // After a good answer a failure is about what was asked for; after another, about the host.
        let is_about_it =
            matches!(signal, Signal::Heavy | Signal::Down) && self.limiter.state.failures == 0;
        self.limiter.record_response(resource, signal, now);
        if signal == Signal::Unauthorized {
            self.refused(now);
        }
        match in_flight.kind {
            Kind::Detail { asks } => self.details_lost(asks, signal, now, batch),
            Kind::Log(log) if signal == Signal::Unauthorized => self.logs.push_back(log),
            Kind::Log(log) => self.log_lost(log),
            look @ Kind::Poll { .. } => self.put_back(look, is_about_it, now),
        }
    }

    /// What a request asked for is due again: behind what has not failed, and ever later the more
    /// often it failed by itself, so that one thing that is too much for the host keeps no other
    /// back.
    fn put_back(&mut self, kind: Kind, is_about_it: bool, now: Timestamp) {
        let again = |lost: &mut u32| {
            *lost += u32::from(is_about_it);
            Timestamp(now.0 + (1_000 << (*lost).min(9)))
        };
        match kind {
            Kind::Poll { level, ids, locations, listings } => {
                for tracked in ids.iter().chain(&locations) {
                    if let Some(tracked) = self.prs.get_mut(tracked) {
                        let due = again(&mut tracked.lost[level as usize]);
                        match level {
                            Level::Heartbeat => tracked.heartbeat_due = due,
                            Level::Full => tracked.full_due = due,
                        }
                    }
                }
                for (key, _) in listings {
                    if let Some(listing) = self.repos.get_mut(&key) {
                        listing.due = again(&mut listing.lost);
                    }
                }
            }
            Kind::Detail { asks } => {
                for (id, pages) in asks {
                    let tracked = self.prs.get_mut(&id);
                    if let Some(fetch) = tracked.and_then(|tracked| tracked.fetch.as_mut()) {
                        fetch.in_flight -= 1;
                        fetch.pages.push_back(pages);
                    }
                }
            }
            Kind::Log(log) => self.logs.push_back(log),
        }
    }

    fn learn_size(&mut self, kind: &Kind, answer: &Answer, now: Timestamp) {
        let latency = i64::try_from(answer.latency.as_millis()).unwrap_or(i64::MAX);
        self.size(kind, |size| size.answered(latency, now));
    }

    fn size(&mut self, kind: &Kind, learn: impl FnOnce(&mut crate::poll::batch_size::BatchSize)) {
        match kind {
            Kind::Poll { level: Level::Heartbeat, .. } => learn(&mut self.sizes.slim),
            Kind::Poll { level: Level::Full, .. } => learn(&mut self.sizes.wide),
            Kind::Detail { .. } => learn(&mut self.sizes.detail),
            Kind::Log(_) => {}
        }
    }

    fn record_polls<'a>(
        &mut self,
        level: Level,
        asked: impl Iterator<Item = &'a PrId>,
        found: Vec<Found<PrNode>>,
        as_of: Timestamp,
        now: Timestamp,
        batch: &mut WriteBatch,
    ) {
        let jitter = 0.9 + 0.2 * self.rng.f64();
        let stretch = self.stretch(now) * jitter;
        for (id, found) in asked.zip(found) {
            let Some(tracked) = self.prs.get_mut(id) else { continue };
            tracked.lost[level as usize] = 0;
            tracked.answered_at = Some(as_of);
            let before = tracked.poll.clone();
            let mut observation = None;
            let mut is_read = true;
            match found {
                Found::Node(node) if node.updated_at.map(Timestamp::from) < tracked.provider_at => {
                    // An answer of a replica that lags: older than what was seen before.
                    self.totals.stale += 1;
                    is_read = false;
                }
                Found::Node(node) => {
                    observation = tracked.see(level, &node, as_of, now, &mut self.totals);
                }
                Found::Missing => tracked.record_missing(now),
                Found::Forbidden => {
                    // Of a repository that is listed, the listing says so, and once.
                    let key = tracked.location.repo.to_ascii_lowercase();
                    let is_listed =
                        self.repos.get(&key).is_some_and(|listing| !listing.candidates.is_empty());
                    tracked.forbidden(is_listed, now);
                }
                Found::Failed => {
                    self.totals.failures += 1;
                    is_read = false;
                }
            }
            tracked.schedule(level, is_read, self.config.interval_ms(), stretch, now);
            if !tracked.node_id.is_empty() {
                self.by_node.insert(tracked.node_id.clone(), id.clone());
            }
            if observation.is_some() || tracked.poll != before {
                batch.writes.push(Write::Pr(Box::new(PrWrite {
                    pr: Some(id.clone()),
                    observation,
                    discussion: None,
                    poll: tracked.poll.clone(),
                })));
            }
            // A fetch with nothing to read, as of a pull request without checks, has ended.
            self.end_fetch(id, as_of, now, batch);
        }
    }

    /// Whether the host has an older schema, which lacks something that was asked for; from then on
    /// it is asked in another way.
    fn adapts(&mut self, answered: &GraphqlAnswer<'_>) -> bool {
        let lacks = |message: &str| {
            message.contains("statusCheckRollup") && message.contains("doesn't exist on type")
        };
        let is_lacking = answered.errors.iter().any(|error| lacks(&error.message));
        if answered.has_data || !is_lacking || self.dialect != Dialect::Current {
            return false;
        }
        self.dialect = Dialect::RollupOfCommits;
        tracing::info!(
            host = self.host,
            "an older server: the roll-up of checks is read at commits"
        );
        true
    }

    /// The pokes that were answered by a look since, whatever it found.
    fn answered_requests(&mut self) -> Vec<RefreshRequest> {
        let (prs, repos) = (&self.prs, &self.repos);
        self.pokes.answered(|poke, heard| {
            let is_it = |tracked: &&TrackedPr| {
                tracked.location.number == poke.number
                    && tracked.location.repo.eq_ignore_ascii_case(&poke.repo)
            };
            let answered_at = match prs.values().find(is_it) {
                Some(tracked) => tracked.answered_at,
                None => match repos.get(&poke.repo.to_ascii_lowercase()) {
                    Some(listing) if !listing.candidates.is_empty() => listing.answered_at,
                    // Nobody is waiting for anything there.
                    _ => return false,
                },
            };
            answered_at.is_none_or(|at| at <= heard)
        })
    }
}
