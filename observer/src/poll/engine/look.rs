//! Learning from the answer to a look.

use ao_store::observation::{Ci, Observation};
use ao_store::row::scm::{Poke, Problem};
use ao_store::{PrId, PrRef, Timestamp};

use super::{Engine, InFlight, Kind};
use crate::github::answer::{Answered, Found};
use crate::github::call::{Answer, Reply};
use crate::github::classify::{self, Signal};
use crate::github::mark::Mark;
use crate::github::node::{Actor, Page, PrNode, ThreadState};
use crate::github::query::{Dialect, Level, Part};
use crate::github::{map, query};
use crate::poll::gate::Resource;
use crate::poll::round::{List, Round};
use crate::poll::tier;
use crate::poll::watch::{Seen, Watch};
use crate::poll::write::{Batch, PrWrite, Write};

/// After how long a mergeability that was unknown is asked for again, in milliseconds: GitHub
/// computes it when somebody asks, and has it a few seconds later.
const UNKNOWN_MS: [i64; 5] = [3_000, 6_000, 12_000, 24_000, 60_000];

/// No interval is stretched beyond this.
const STRETCHED_MAX_MS: i64 = 600_000;

/// No query costs more: it would be refused.
const COST_MAX: i64 = 5_000;

impl Engine {
    /// Learns from what came of the request in flight; returns what is to be stored.
    pub fn receive(&mut self, reply: &Reply, now: Timestamp) -> Batch {
        let mut batch = Batch::default();
        let Some(in_flight) = self.in_flight.take() else { return batch };
        match reply {
            Reply::Failed(failure) => {
                tracing::debug!(host = self.host, ?failure, "a request failed");
                self.lost(in_flight, classify::failure(failure), now, &mut batch);
            }
            Reply::Answer(answer) => self.answered(in_flight, answer, now, &mut batch),
        }
        batch.forget_pokes(self.looked_at_pokes());
        batch.host = self.host_state(now);
        batch
    }

    fn answered(
        &mut self,
        in_flight: InFlight,
        answer: &Answer,
        now: Timestamp,
        batch: &mut Batch,
    ) {
        if let Kind::Log(log) = in_flight.kind {
            self.gate.told(Resource::Rest, &answer.headers, None, now);
            return self.log_answered(log, answer, now, batch);
        }
        let answered = Answered::read(&answer.body);
        let signal = classify::graphql(answer, answered.as_ref());
        let rate = answered.as_ref().and_then(|it| it.rate.as_ref());
        self.gate.told(Resource::Graphql, &answer.headers, rate, now);
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
            self.meet(viewer);
        }
        self.accepted(now);
        if signal == Signal::Fine {
            self.learn_size(&in_flight.kind, answer, now);
        } else {
            self.size(&in_flight.kind, |size| size.failed(now));
            self.totals.failures += 1;
        }
        self.gate.heard(Resource::Graphql, signal, now);
        match in_flight.kind {
            Kind::Look { level, ids, places, listings } => {
                let as_of = in_flight.as_of;
                let nodes = answered.nodes::<PrNode>(ids.len());
                let by_place = places.iter().enumerate();
                let placed = by_place.map(|(i, _)| answered.pull_request(&format!("p{i}")));
                let mut found: Vec<_> = nodes.into_iter().chain(placed).collect();
                self.mind_withheld(&mut found, ids.len(), &answered);
                // What was found comes first: a session of which one pull request has ended is not
                // done while another is open.
                self.listed(listings, &answered, as_of, now, batch);
                self.looked(level, ids.iter().chain(&places), found, as_of, now, batch);
            }
            Kind::Detail { asks } => self.detailed(asks, &answered, in_flight.as_of, now, batch),
            Kind::Log(_) => {}
        }
    }

    /// Whose credentials they are. To another person other pull requests may belong.
    fn meet(&mut self, viewer: Actor) {
        let before = self.identity.viewer.replace(viewer);
        if before.is_some() && before != self.identity.viewer {
            for scan in self.scans.values_mut() {
                scan.state.watermark = None;
            }
        }
    }

    /// Credentials may see a pull request and not its checks: that there are none is no fact then.
    fn mind_withheld(&mut self, found: &mut [Found<PrNode>], ids: usize, answered: &Answered<'_>) {
        for (index, found) in found.iter_mut().enumerate() {
            let Found::Node(node) = found else { continue };
            node.are_checks_withheld = match index.checked_sub(ids) {
                None => answered.withholds_checks("nodes", Some(index)),
                Some(place) => answered.withholds_checks(&format!("p{place}"), None),
            };
            if node.are_checks_withheld && !self.has_told_scope {
                self.has_told_scope = true;
                let host = &self.host;
                tracing::warn!(
                    host,
                    "the credentials may not see checks: give them that permission"
                );
            }
        }
    }

    /// Nothing came of a request. What it asked for is due again, as soon as the gate allows.
    fn lost(&mut self, in_flight: InFlight, signal: Signal, now: Timestamp, batch: &mut Batch) {
        self.totals.failures += 1;
        let resource =
            if matches!(in_flight.kind, Kind::Log(_)) { Resource::Rest } else { Resource::Graphql };
        // A whole answer that is forbidden or missing is about the host, not about one thing.
        let signal = match (signal, resource) {
            (Signal::Forbidden | Signal::Missing | Signal::Fine, Resource::Graphql) => Signal::Down,
            (signal, _) => signal,
        };
        let is_one = matches!(&in_flight.kind,
            Kind::Look { ids, places, .. } if ids.len() + places.len() <= 1);
        if signal == Signal::Heavy && !is_one {
            self.size(&in_flight.kind, |size| size.failed(now));
        }
        // After a good answer a failure is about what was asked for; after another, about the host.
        let is_about_it =
            matches!(signal, Signal::Heavy | Signal::Down) && self.gate.state.failures == 0;
        self.gate.heard(resource, signal, now);
        if signal == Signal::Unauthorized {
            self.refused(now);
        }
        match in_flight.kind {
            Kind::Detail { asks } => self.details_lost(asks, signal, now, batch),
            Kind::Log(log) if signal == Signal::Unauthorized => self.logs.push_back(log),
            Kind::Log(log) => self.log_lost(log),
            look @ Kind::Look { .. } => self.put_back(look, is_about_it, now),
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
            Kind::Look { level, ids, places, listings } => {
                for watch in ids.iter().chain(&places) {
                    if let Some(watch) = self.watches.get_mut(watch) {
                        watch.is_in_flight = false;
                        let due = again(&mut watch.lost[level as usize]);
                        match level {
                            Level::Slim => watch.slim_due = due,
                            Level::Wide => watch.wide_due = due,
                        }
                    }
                }
                for (key, _) in listings {
                    if let Some(scan) = self.scans.get_mut(&key) {
                        scan.is_in_flight = false;
                        scan.due = again(&mut scan.lost);
                    }
                }
            }
            Kind::Detail { asks } => {
                for (id, wanted) in asks {
                    let watch = self.watches.get_mut(&id);
                    if let Some(round) = watch.and_then(|watch| watch.round.as_mut()) {
                        round.in_flight -= 1;
                        round.wanted.push_back(wanted);
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

    fn size(&mut self, kind: &Kind, learn: impl FnOnce(&mut crate::poll::size::Size)) {
        match kind {
            Kind::Look { level: Level::Slim, .. } => learn(&mut self.sizes.slim),
            Kind::Look { level: Level::Wide, .. } => learn(&mut self.sizes.wide),
            Kind::Detail { .. } => learn(&mut self.sizes.detail),
            Kind::Log(_) => {}
        }
    }

    fn looked<'a>(
        &mut self,
        level: Level,
        asked: impl Iterator<Item = &'a PrId>,
        found: Vec<Found<PrNode>>,
        as_of: Timestamp,
        now: Timestamp,
        batch: &mut Batch,
    ) {
        let jitter = 0.9 + 0.2 * self.rng.f64();
        let stretch = self.stretch(now) * jitter;
        for (id, found) in asked.zip(found) {
            let Some(watch) = self.watches.get_mut(id) else { continue };
            watch.is_in_flight = false;
            watch.lost[level as usize] = 0;
            watch.answered_at = Some(as_of);
            let before = watch.poll.clone();
            let mut observation = None;
            let mut is_read = true;
            match found {
                Found::Node(node) if node.updated_at.map(Timestamp::from) < watch.provider_at => {
                    // An answer of a replica that lags: older than what was seen before.
                    self.totals.stale += 1;
                    is_read = false;
                }
                Found::Node(node) => {
                    observation = watch.see(level, &node, as_of, now, &mut self.totals);
                }
                Found::Missing => watch.strike(now),
                Found::Forbidden => {
                    // Of a repository that is listed, the listing says so, and once.
                    let key = watch.place.repo.to_ascii_lowercase();
                    let is_listed =
                        self.scans.get(&key).is_some_and(|scan| !scan.candidates.is_empty());
                    watch.forbidden(is_listed, now);
                }
                Found::Failed => {
                    self.totals.failures += 1;
                    is_read = false;
                }
            }
            watch.schedule(level, is_read, self.config.interval_ms(), stretch, now);
            if !watch.node_id.is_empty() {
                self.by_node.insert(watch.node_id.clone(), id.clone());
            }
            if observation.is_some() || watch.poll != before {
                batch.writes.push(Write::Pr(Box::new(PrWrite {
                    pr: Some(id.clone()),
                    observation,
                    talk: None,
                    poll: watch.poll.clone(),
                })));
            }
            // A round with nothing to read, as of a pull request without checks, has ended.
            self.end_round(id, as_of, now, batch);
        }
    }

    /// Whether the host has an older schema, which lacks something that was asked for; from then on
    /// it is asked in another way.
    fn adapts(&mut self, answered: &Answered<'_>) -> bool {
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
    fn looked_at_pokes(&mut self) -> Vec<Poke> {
        let (watches, scans) = (&self.watches, &self.scans);
        self.pokes.answered(|poke, heard| {
            let is_it = |watch: &&Watch| {
                watch.place.number == poke.number
                    && watch.place.repo.eq_ignore_ascii_case(&poke.repo)
            };
            let answered_at = match watches.values().find(is_it) {
                Some(watch) => watch.answered_at,
                None => match scans.get(&poke.repo.to_ascii_lowercase()) {
                    Some(scan) if !scan.candidates.is_empty() => scan.answered_at,
                    // Nobody is waiting for anything there.
                    _ => return false,
                },
            };
            answered_at.is_none_or(|at| at < heard)
        })
    }
}

impl Watch {
    /// Takes in what a look saw; returns what is to be stored, when that is news.
    fn see(
        &mut self,
        level: Level,
        node: &PrNode,
        as_of: Timestamp,
        now: Timestamp,
        totals: &mut crate::poll::totals::Totals,
    ) -> Option<Observation> {
        let provider_at = node.updated_at.map(Timestamp::from);
        self.is_there();
        self.looked_at = Some(as_of.min(now));
        let mark = node.slim_mark();
        let core = node.core_mark();
        let is_core_news = self.poll.wide_mark.as_deref() != Some(&core.to_bytes()[..]);
        let is_news = self.slim != Some(mark);
        if is_core_news {
            self.note_change(node, provider_at, now);
            self.poll.wide_mark = Some(core.to_bytes());
        }
        if is_core_news && level == Level::Slim && self.slim.is_some() {
            self.wide_due = now;
        }
        self.provider_at = provider_at;
        self.slim = Some(mark);
        let head = node.head_ref_oid.clone().unwrap_or_default();
        if head != self.head_sha {
            self.waiting.clear();
            self.ci = Ci::Unknown;
        }
        self.head_sha = head;
        self.state = node.pr_state();
        self.is_in_merge_queue = node.is_in_merge_queue.unwrap_or(false);
        self.unknown =
            if node.is_mergeable_unknown() && !self.is_terminal() { self.unknown + 1 } else { 0 };
        if !self.is_terminal() {
            self.poll.confirmed_at = None;
        }
        let was_waiting = !self.waiting.is_empty();
        if level == Level::Wide {
            self.see_wide(node, as_of, now);
        }
        let facts = node.facts(level, !self.waiting.is_empty());
        self.ci = facts.ci.unwrap_or(self.ci);
        if let Ok(place) =
            PrRef::new(&self.place.host, &node.repository.name_with_owner, node.number)
        {
            self.place = place;
        }
        self.node_id.clone_from(&node.id);
        let is_wide_news = level == Level::Wide
            && (self.is_meta_news(node) || was_waiting == self.waiting.is_empty());
        if !is_news && !is_wide_news {
            totals.unchanged += 1;
            return None;
        }
        totals.changed += 1;
        Some(Observation {
            node_id: node.id.clone(),
            provider_at,
            facts,
            ..Observation::new(self.place.clone(), as_of)
        })
    }

    /// The metadata that only a wide look reads may change without anything that a slim one reads.
    fn is_meta_news(&mut self, node: &PrNode) -> bool {
        let mark = node.meta_mark();
        self.meta.replace(mark) != Some(mark)
    }

    fn note_change(&mut self, node: &PrNode, provider_at: Option<Timestamp>, now: Timestamp) {
        let is_first = self.poll.wide_mark.is_none();
        let is_push = node.head_ref_oid.as_deref() != Some(&self.head_sha);
        let at = if is_first { provider_at.unwrap_or(now).min(now) } else { now };
        self.poll.changed_at = self.poll.changed_at.max(Some(at));
        if is_push && !self.head_sha.is_empty() {
            self.poll.pushed_at = Some(now);
        }
        if is_first {
            self.poll.swept_at = Some(now);
        }
    }

    /// What a wide look tells beyond the metadata: which lists must be read.
    fn see_wide(&mut self, node: &PrNode, as_of: Timestamp, now: Timestamp) {
        if self.is_sweep_due(now) {
            let poll = &mut self.poll;
            (poll.checks_mark, poll.talk_mark, poll.threads_mark) = (None, None, None);
            poll.swept_at = Some(now);
            self.known_threads.clear();
        }
        self.waiting = node
            .waiting()
            .into_iter()
            .map(|suite| map::waiting_check(suite, &self.head_sha))
            .collect();
        let before = self.seen;
        let page = node.review_threads.as_ref();
        self.listed =
            page.iter().flat_map(|page| page.nodes.iter().flatten()).flatten().cloned().collect();
        let info = page.map(|page| page.page_info.clone()).unwrap_or_default();
        self.is_list_complete = page.is_some_and(|page| !page.has_gaps()) && !info.has_next_page;
        self.seen = Seen {
            checks: Some(node.checks_mark()),
            talk: Some(node.talk_mark()),
            threads: self.is_list_complete.then(|| threads_mark(&self.listed)),
        };
        let more_threads = info.end_cursor.filter(|_| info.has_next_page);
        match &mut self.round {
            Some(round) => round.is_overtaken |= before != self.seen,
            None => self.begin_round(node, as_of, more_threads),
        }
        if self.is_terminal() && self.round.is_none() {
            self.poll.confirmed_at.get_or_insert(now);
        }
    }

    /// Begins to read the lists that changed since they were read last.
    fn begin_round(&mut self, node: &PrNode, as_of: Timestamp, more_threads: Option<String>) {
        let differs = |seen: Option<Mark>, stored: &Option<Vec<u8>>| {
            seen.is_some_and(|mark| stored.as_deref() != Some(&mark.to_bytes()[..]))
        };
        let contexts = node.contexts_total();
        let is_checks = contexts.is_some() && differs(self.seen.checks, &self.poll.checks_mark);
        let is_talk = differs(self.seen.talk, &self.poll.talk_mark);
        let is_threads =
            !self.is_list_complete || differs(self.seen.threads, &self.poll.threads_mark);
        if !is_checks && !is_talk && !is_threads {
            return;
        }
        let mut round = Round::new(as_of);
        round.provider_at = self.provider_at;
        if is_checks {
            round.checks_mark = self.seen.checks;
            let total = contexts.unwrap_or(0);
            round.checks_head.clone_from(&node.head_ref_oid);
            round.checks = Some(if total == 0 { List::empty() } else { List::default() });
            if total > 0 {
                round.want(Part::Checks, &node.id, None, total);
            }
        }
        if is_talk {
            round.talk_mark = self.seen.talk;
            let reviews = node.reviews.as_ref().map_or(1, |it| it.total_count);
            round.reviews = Some(if reviews == 0 { List::empty() } else { List::default() });
            if reviews > 0 {
                round.want(Part::Reviews, &node.id, None, reviews);
            }
            let comments = node.total_comments_count.unwrap_or(1);
            round.comments = Some(if comments == 0 { List::empty() } else { List::default() });
            if comments > 0 {
                round.want(Part::Comments, &node.id, None, comments);
            }
        }
        let mut listed = List::begun(self.listed.clone(), self.is_list_complete);
        listed.is_failed = node.review_threads.as_ref().is_none_or(Page::has_gaps);
        round.listed = Some(listed);
        match more_threads {
            Some(cursor) => round.want(Part::Threads, &node.id, Some(cursor), 100),
            None => self.want_bodies(&mut round),
        }
        self.round = Some(round);
    }

    /// Asks for the threads themselves, once it is known which there are: all of them when somebody
    /// wrote, else those whose state changed.
    pub(super) fn want_bodies(&self, round: &mut Round) {
        round.has_asked_bodies = true;
        let is_sweep = round.talk_mark.is_some();
        let listed = round.listed.as_ref().map(|list| list.items.clone()).unwrap_or_default();
        let mut seen = std::collections::BTreeSet::new();
        for ThreadState { id, is_resolved, is_outdated } in listed {
            let is_known = self.known_threads.get(&id) == Some(&(is_resolved, is_outdated));
            if (is_sweep || !is_known) && seen.insert(id.clone()) {
                round.want(query::Part::Thread, &id, None, 10);
            }
        }
    }

    fn forbidden(&mut self, is_listed: bool, now: Timestamp) {
        if self.poll.problem != Problem::Forbidden && !is_listed {
            tracing::warn!(pr = %self.place, "the credentials may not see this pull request");
        }
        self.set_problem(Problem::Forbidden, now);
    }

    /// When it is looked at next. A wide look that came to nothing is repeated when a slim one would
    /// be due.
    fn schedule(
        &mut self,
        level: Level,
        is_read: bool,
        interval_ms: i64,
        stretch: f64,
        now: Timestamp,
    ) {
        let tier = self.tier(now);
        let (slim, wide) = tier::intervals(tier, interval_ms);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "milliseconds of some days, and rounding is no matter"
        )]
        let stretched = |every: i64| (every as f64 * stretch) as i64;
        // However little is left of the budget: it begins anew within the hour.
        let after =
            |every: i64| Timestamp(now.0 + stretched(every).min(every.max(STRETCHED_MAX_MS)));
        if self.is_terminal() && self.poll.confirmed_at.is_some() {
            let due = self.recheck_after(now);
            (self.slim_due, self.wide_due) = (due, due);
            return;
        }
        let is_wide_due_now = self.wide_due <= now && level == Level::Slim;
        self.slim_due = after(slim);
        if level == Level::Wide {
            self.wide_due = after(if is_read { wide } else { slim });
        } else if !is_wide_due_now {
            self.wide_due = self.wide_due.min(after(wide));
        }
        // A wide look is a slim one as well: of two that are due at about the same time one does.
        if self.wide_due > self.slim_due && self.wide_due.0 - self.slim_due.0 <= slim / 2 {
            self.wide_due = self.slim_due;
        }
        if self.unknown > 0
            && let Some(wait) = UNKNOWN_MS.get(self.unknown - 1)
        {
            self.slim_due = self.slim_due.min(Timestamp(now.0 + wait));
        }
        if std::mem::take(&mut self.is_poked) {
            self.wide_due = now;
        }
    }
}

/// The mark of all threads of a pull request, whatever their order.
pub(super) fn threads_mark(listed: &[ThreadState]) -> Mark {
    let mut sorted: Vec<_> = listed.iter().collect();
    sorted.sort();
    Mark::of(&sorted)
}
