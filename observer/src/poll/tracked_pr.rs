//! What the observer remembers of one tracked pull request between polls, and what a poll or a fetch
//! of details changes about it.
//!
//! GitHub has no validator for a pull request: nothing short of reading it tells whether it changed.
//! So a poll reads little of it and hashes what it read. A *heartbeat query* reads what moves when
//! anybody does something; a *full query* also reads the rest of the metadata, and for each list a
//! count or state that tells whether the list changed. The fingerprints of the last poll are compared
//! with those of the next one, and only a list whose fingerprint differs is read.

use std::collections::{BTreeMap, BTreeSet};

use ao_store::observation::{Check, Ci, Observation, PrFacts, PrState};
use ao_store::row::pr::Pr;
use ao_store::row::scm::{PrPoll, Problem, SubjectPr};
use ao_store::{PrId, PrRef, Timestamp};

use crate::github::answer::Found;
use crate::github::fingerprint::Fingerprint;
use crate::github::node::{ContextNode, PrNode, ThreadState, checks_and_jobs};
use crate::github::query::Level;
use crate::poll::answer_context::AnswerContext;
use crate::poll::detail_fetch::{DetailFetch, ListFingerprints, thread_states};
use crate::poll::discussion::Discussion;
use crate::poll::list::{List, Shortfall, facet};
use crate::poll::problem;
use crate::poll::schedule::{NEVER, PollSchedule};
use crate::poll::tier::{self, PrStatus, Tier};
use crate::poll::write_batch::PrWrite;

/// How often all lists of an open pull request are read again, whatever the fingerprints are. It
/// bounds how long a change stays unnoticed that moves no count and no time of GitHub, such as a
/// comment that was minimised.
const SWEEP_MS: i64 = 6 * 3_600_000;

/// A pull request that did not change for this long may be quiet.
const QUIET_AFTER_MS: i64 = 600_000;

/// A fetch of which a list failed or changed is repeated at once up to this often.
const REPEATS: u32 = 1;

/// One tracked pull request.
#[derive(Debug)]
pub(crate) struct TrackedPr {
    pub(crate) id: PrId,
    pub(crate) node_id: String,
    pub(crate) location: PrRef,
    status: PrStatus,
    head_sha: String,
    /// The provider's time of the newest metadata that was read.
    provider_at: Option<Timestamp>,
    /// What the last poll read that a heartbeat query reads.
    heartbeat: Option<Fingerprint>,
    /// What the last full query read of the rest of the metadata.
    metadata: Option<Fingerprint>,
    /// What the store keeps of all this.
    pub(crate) poll: PrPoll,
    /// The states of the threads whose content is stored.
    known_threads: BTreeMap<String, ThreadState>,
    /// Whether the last full query found that there is no review thread.
    has_no_threads: bool,
    /// Workflows of the head that wait and have no check run.
    waiting: Vec<Check>,
    pub(crate) schedule: PollSchedule,
    pub(crate) fetch: Option<DetailFetch>,
    /// The lists whose number of items was not their total.
    shortfalls: BTreeSet<Shortfall>,
    /// Fetches in a row of which a list failed.
    failed_fetches: u32,
}

impl TrackedPr {
    pub(crate) fn new(subject: &SubjectPr, poll: PrPoll, due: Timestamp, now: Timestamp) -> Self {
        let SubjectPr { pr, is_session_live, provider_at } = subject;
        let mut tracked = TrackedPr {
            id: pr.id.clone(),
            node_id: pr.node_id.clone(),
            location: PrRef { host: pr.host.clone(), repo: pr.repo.clone(), number: pr.number },
            status: PrStatus {
                state: pr.state,
                ci: pr.ci,
                is_in_merge_queue: pr.is_in_merge_queue,
                is_session_live: *is_session_live,
            },
            head_sha: pr.head_sha.clone(),
            provider_at: *provider_at,
            heartbeat: None,
            metadata: None,
            poll,
            known_threads: BTreeMap::new(),
            has_no_threads: false,
            waiting: Vec::new(),
            schedule: PollSchedule::new(due),
            fetch: None,
            shortfalls: BTreeSet::new(),
            failed_fetches: 0,
        };
        if tracked.is_done() {
            tracked.schedule.set_both(tracked.recheck_at(now));
        }
        tracked
    }

    /// Takes over what other writers stored about it.
    pub(crate) fn adopt(&mut self, pr: &Pr, is_session_live: bool) {
        self.status.is_session_live = is_session_live;
        if !pr.node_id.is_empty() {
            self.node_id.clone_from(&pr.node_id);
        }
        self.location = PrRef { host: pr.host.clone(), repo: pr.repo.clone(), number: pr.number };
    }

    pub(crate) fn is_at(&self, repo: &str, number: i64) -> bool {
        self.location.number == number && self.location.repo.eq_ignore_ascii_case(repo)
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.status.state, PrState::Merged | PrState::Closed)
    }

    /// Whether it is merged or closed and was read to its end since.
    pub(crate) fn is_done(&self) -> bool {
        self.is_terminal() && self.poll.confirmed_at.is_some()
    }

    pub(crate) fn tier(&self, now: Timestamp) -> Tier {
        tier::tier(self.status, &self.poll, now)
    }

    /// Whether nobody does anything, and the last full query found nothing that is likely to change
    /// without moving the time or the roll-up: no review thread, which can be resolved, no workflow
    /// that waits, and no check that fails beside others.
    pub(crate) fn is_quiet(&self, now: Timestamp) -> bool {
        let is_idle = |at: Timestamp| now.0.saturating_sub(at.0) >= QUIET_AFTER_MS;
        self.has_no_threads
            && self.waiting.is_empty()
            && self.status.ci == Ci::Passing
            && self.poll.changed_at.is_some_and(is_idle)
    }

    /// How long after a poll the next ones of each level are due.
    pub(crate) fn intervals(&self, interval_ms: i64, now: Timestamp) -> (i64, i64) {
        tier::intervals(self.tier(now), self.is_quiet(now), interval_ms)
    }

    /// Whether it can be read, and was not longer than two of its intervals ago.
    pub(crate) fn is_fresh(&self, interval_ms: i64, now: Timestamp) -> bool {
        let (heartbeat, _) = self.intervals(interval_ms, now);
        let is_recent = |at: Timestamp| now.0.saturating_sub(at.0) <= 2 * heartbeat;
        self.poll.problem == Problem::None && self.schedule.read_at.is_some_and(is_recent)
    }

    /// Whether something of it was not read although the host has it.
    pub(crate) fn is_unread(&self) -> bool {
        matches!(self.poll.problem, Problem::Failed | Problem::Incomplete)
    }

    /// When a pull request that is merged or closed is polled again, because it may be reopened: an
    /// hour and a day after it was confirmed, while its session lives.
    fn recheck_at(&self, now: Timestamp) -> Timestamp {
        let Some(confirmed) = self.poll.confirmed_at.filter(|_| self.status.is_session_live) else {
            return NEVER;
        };
        let steps = [3_600_000, 24 * 3_600_000].map(|step| Timestamp(confirmed.0 + step));
        steps.into_iter().find(|at| *at > now).unwrap_or(NEVER)
    }

    /// Records what a poll found; returns what is to be stored. `is_listed` is whether its repository
    /// is listed, too.
    pub(crate) fn record_poll(
        &mut self,
        level: Level,
        found: Found<PrNode>,
        is_listed: bool,
        context: &mut AnswerContext,
    ) -> Option<PrWrite> {
        let AnswerContext { as_of, now, ref mut totals, .. } = *context;
        let before = self.poll.clone();
        let (mut observation, mut is_read) = (None, true);
        self.schedule.record_answer(level, !matches!(found, Found::Failed), as_of);
        match found {
            // GitHub answers from replicas, of which one may lag behind the one that answered last.
            Found::Node(node) if node.updated_at.map(Timestamp::from) < self.provider_at => {
                totals.stale += 1;
                is_read = false;
            }
            Found::Node(node) => {
                observation = self.record_node(&node, level, as_of, now);
                totals.unchanged += u64::from(observation.is_none());
            }
            Found::Missing => problem::record_missing(&mut self.poll, now),
            Found::Forbidden => {
                // Where the repository is listed, the listing logs it, once for all.
                if self.poll.problem != Problem::Forbidden && !is_listed {
                    tracing::warn!(pr = %self.location, "the credentials may not read this pull request");
                }
                problem::set(&mut self.poll, Problem::Forbidden, now);
            }
            Found::Failed => {
                totals.failures += 1;
                is_read = false;
                problem::set(&mut self.poll, Problem::Failed, now);
            }
        }
        if self.is_done() {
            self.schedule.set_both(self.recheck_at(now));
        } else {
            let intervals = self.intervals(context.interval_ms, now);
            self.schedule.plan(level, is_read, intervals, context);
        }
        // What a heartbeat found to have changed is read by a full query, and then by a fetch.
        let is_rest_read = self.fetch.is_none() && self.schedule.full_due > now;
        if is_read && is_rest_read && self.poll.problem == Problem::None {
            self.schedule.read_at = Some(as_of);
        }
        let (pr, poll) = (self.id.clone(), self.poll.clone());
        let is_news = observation.is_some() || poll != before;
        let (discussion, jobs) = (None, BTreeMap::new());
        is_news.then_some(PrWrite { pr, observation, discussion, jobs, poll })
    }

    /// Records what a poll read; returns what is to be stored, when that is new.
    fn record_node(
        &mut self,
        node: &PrNode,
        level: Level,
        as_of: Timestamp,
        now: Timestamp,
    ) -> Option<Observation> {
        // What is missing in a list is read by the next fetch.
        if self.poll.problem != Problem::Incomplete {
            problem::clear(&mut self.poll);
        }
        self.record_activity(node, level, now);
        let heartbeat = node.heartbeat_fingerprint();
        let mut is_news = self.heartbeat.replace(heartbeat) != Some(heartbeat);
        self.provider_at = node.updated_at.map(Timestamp::from);
        let head = node.head_ref_oid.clone().unwrap_or_default();
        if head != self.head_sha {
            // Results of the previous head are not results of this one.
            self.waiting.clear();
            self.status.ci = Ci::Unknown;
        }
        self.head_sha = head;
        self.status.state = node.pr_state();
        self.status.is_in_merge_queue = node.is_in_merge_queue.unwrap_or(false);
        if !self.is_terminal() {
            self.poll.confirmed_at = None;
        }
        let is_mergeable_unknown = node.is_mergeable_unknown() && !self.is_terminal();
        self.schedule.record_found(as_of.min(now), is_mergeable_unknown);
        if level == Level::Full {
            is_news |= self.record_full_poll(node, as_of, now);
        }
        let facts = node.facts(level, !self.waiting.is_empty());
        self.status.ci = facts.ci.unwrap_or(self.status.ci);
        // A repository that was renamed answers under its new name.
        let repo = &node.repository.name_with_owner;
        if let Ok(location) = PrRef::new(&self.location.host, repo, node.number) {
            self.location = location;
        }
        self.node_id.clone_from(&node.id);
        is_news.then(|| Observation {
            node_id: node.id.clone(),
            provider_at: self.provider_at,
            facts,
            ..Observation::new(self.location.clone(), as_of)
        })
    }

    /// Records whether anybody did anything since the last poll. Mergeability does not count: GitHub
    /// computes it anew with every push to the base branch, for every pull request there.
    fn record_activity(&mut self, node: &PrNode, level: Level, now: Timestamp) {
        let activity = Some(node.activity_fingerprint().to_bytes());
        if self.poll.metadata_fingerprint == activity {
            return;
        }
        let is_first = self.poll.metadata_fingerprint.is_none();
        self.poll.metadata_fingerprint = activity;
        // A pull request that is read for the first time may have been idle for long.
        let provider_at = node.updated_at.map(Timestamp::from).filter(|_| is_first);
        let at = provider_at.map_or(now, |at| at.min(now));
        self.poll.changed_at = self.poll.changed_at.max(Some(at));
        let is_push = node.head_ref_oid.as_deref() != Some(&self.head_sha);
        if is_push && !self.head_sha.is_empty() {
            self.poll.pushed_at = Some(now);
        }
        if is_first {
            self.poll.full_read_at = Some(now);
        }
        if let Some(fetch) = &mut self.fetch {
            fetch.is_superseded = true;
        }
        // A heartbeat tells that something happened, but not to which list.
        if level == Level::Heartbeat && self.heartbeat.is_some() {
            self.schedule.full_due = now;
        }
    }

    /// Records what only a full query reads, and begins to read the lists that changed. Returns
    /// whether metadata is new that a heartbeat query does not read.
    fn record_full_poll(&mut self, node: &PrNode, as_of: Timestamp, now: Timestamp) -> bool {
        // A time in the future is that of a clock that was ahead.
        let is_sweep_due = |at: Timestamp| !(0..SWEEP_MS).contains(&now.0.saturating_sub(at.0));
        if !self.is_terminal() && self.poll.full_read_at.is_some_and(is_sweep_due) {
            self.forget_lists();
            self.poll.full_read_at = Some(now);
        }
        // A workflow that waits for approval or for a runner has no check run, and the roll-up of
        // GitHub leaves it out.
        let was_waiting = !self.waiting.is_empty();
        let waiting = node.waiting_suites().map(|suite| suite.waiting_check(&self.head_sha));
        let mut waiting: Vec<_> = waiting.collect();
        if node.has_suite_gaps() {
            let is_new = |it: &Check| waiting.iter().all(|new| new.external_id != it.external_id);
            let kept: Vec<_> = self.waiting.drain(..).filter(is_new).collect();
            waiting.extend(kept);
        }
        self.waiting = waiting;
        let states = thread_states(node);
        self.has_no_threads = states.is_read() && states.items.is_empty();
        let seen = ListFingerprints {
            checks: Some(node.checks_fingerprint()),
            discussion: Some(node.discussion_fingerprint()),
            threads: states.is_read().then(|| threads_fingerprint(&states.items)),
        };
        let changed = self.changed_lists(node, seen);
        if let Some(fetch) = &mut self.fetch {
            // It goes on to its end, and the next poll tells whether what it read is outdated.
            fetch.is_superseded |= fetch.seen != seen;
        } else if changed != ListFingerprints::default() || !states.is_read() {
            let known = &self.known_threads;
            self.fetch = Some(DetailFetch::new(node, seen, changed, states, known, as_of));
        }
        if self.is_terminal() && self.fetch.is_none() {
            self.poll.confirmed_at.get_or_insert(now);
        }
        let metadata = node.metadata_fingerprint();
        self.metadata.replace(metadata) != Some(metadata) || was_waiting == self.waiting.is_empty()
    }

    /// The fingerprints of those lists that are not stored as they were seen.
    fn changed_lists(&self, node: &PrNode, seen: ListFingerprints) -> ListFingerprints {
        let unless_stored = |seen: Option<Fingerprint>, stored: &Option<Vec<u8>>| {
            seen.filter(|seen| stored.as_ref() != Some(&seen.to_bytes()))
        };
        // Where GitHub does not tell how many checks there are, there is no list to read.
        let checks = seen.checks.filter(|_| node.contexts_total().is_some());
        ListFingerprints {
            checks: unless_stored(checks, &self.poll.checks_fingerprint),
            discussion: unless_stored(seen.discussion, &self.poll.discussion_fingerprint),
            threads: unless_stored(seen.threads, &self.poll.threads_fingerprint),
        }
    }

    /// Ends the fetch when its last page was read; returns what is to be stored.
    pub(crate) fn finish_fetch(&mut self, context: &AnswerContext) -> Option<PrWrite> {
        let AnswerContext { as_of, now, .. } = *context;
        let known = &self.known_threads;
        let mut fetch = self.fetch.take_if(|fetch| fetch.is_done(known))?;
        self.shortfalls = fetch.settle(&self.shortfalls);
        let is_failed = fetch.is_failed();
        self.record_fetch(is_failed, fetch.began_at, now);
        let DetailFetch {
            began_at,
            seen,
            head,
            is_superseded,
            checks,
            conversation,
            states,
            threads,
            ..
        } = fetch;
        let mut observation = Observation {
            node_id: self.node_id.clone(),
            // What a webhook delivery reported since the poll is newer than what the poll listed.
            sets_as_of: Some(began_at),
            ..Observation::new(self.location.clone(), as_of)
        };
        // Checks of a head that was replaced by a push while they were read are outdated.
        let checks = checks.filter(|_| head.as_ref() == Some(&self.head_sha));
        let jobs = checks.map(|list| self.finish_checks(list, seen.checks, &mut observation));
        let mut discussion = Discussion { states, threads, comments: None };
        let are_threads_read = discussion.are_threads_read();
        // A list that was not read to its end is read again whatever the next poll sees.
        let states = &discussion.states.items;
        self.poll.threads_fingerprint =
            are_threads_read.then(|| threads_fingerprint(states).to_bytes());
        if are_threads_read {
            self.known_threads = states.iter().map(|it| (it.id.clone(), it.clone())).collect();
        }
        if let Some((reviews, comments)) = conversation {
            let is_read = reviews.is_read() && comments.is_read() && are_threads_read;
            let fingerprint = seen.discussion.filter(|_| is_read);
            self.poll.discussion_fingerprint = fingerprint.map(Fingerprint::to_bytes);
            observation.reviews = reviews.into_facet();
            discussion.comments = Some(comments);
        }
        if is_superseded || (1..=REPEATS).contains(&self.failed_fetches) {
            self.schedule.full_due = now;
        } else if self.is_terminal() && !is_failed {
            self.poll.confirmed_at.get_or_insert(now);
            self.schedule.set_both(self.recheck_at(now));
        }
        let (pr, poll) = (self.id.clone(), self.poll.clone());
        let (observation, discussion) = (Some(observation), Some(discussion));
        let jobs = jobs.unwrap_or_default();
        Some(PrWrite { pr, observation, discussion, jobs, poll })
    }

    /// Records whether a fetch read all that a poll found to have changed.
    fn record_fetch(&mut self, is_failed: bool, began_at: Timestamp, now: Timestamp) {
        if is_failed {
            self.failed_fetches += 1;
            problem::set(&mut self.poll, Problem::Incomplete, now);
            return;
        }
        self.failed_fetches = 0;
        if self.poll.problem == Problem::Incomplete {
            problem::clear(&mut self.poll);
        }
        if self.poll.problem == Problem::None {
            self.schedule.read_at = self.schedule.read_at.max(Some(began_at));
        }
    }

    /// Adds the checks of the head to `observation`; returns their jobs.
    fn finish_checks(
        &mut self,
        list: List<ContextNode>,
        seen: Option<Fingerprint>,
        observation: &mut Observation,
    ) -> BTreeMap<String, i64> {
        self.poll.checks_fingerprint = seen.filter(|_| list.is_read()).map(Fingerprint::to_bytes);
        let completeness = list.completeness();
        let (mut items, jobs) = checks_and_jobs(list.items, &self.head_sha);
        items.extend(self.waiting.iter().cloned());
        observation.checks = facet(items, completeness);
        // The store would compute the roll-up from the checks, but that of the host counts.
        if self.status.ci != Ci::Unknown {
            observation.facts = PrFacts { ci: Some(self.status.ci), ..PrFacts::default() };
        }
        jobs
    }

    /// The store rejects what the host reports, and will again, so it is polled rarely until it
    /// changes.
    pub(crate) fn record_rejection(&mut self, due: Timestamp, now: Timestamp) {
        self.forget(due);
        problem::set(&mut self.poll, Problem::Invalid, now);
    }

    /// What was read counts as not read: the next poll reads and stores all of it again.
    pub(crate) fn forget(&mut self, due: Timestamp) {
        self.heartbeat = None;
        self.metadata = None;
        self.fetch = None;
        self.provider_at = None;
        self.forget_lists();
        self.poll.metadata_fingerprint = None;
        self.poll.confirmed_at = None;
        self.schedule.read_at = None;
        self.schedule.set_both(due);
    }

    /// No list counts as stored.
    fn forget_lists(&mut self) {
        let PrPoll { checks_fingerprint, discussion_fingerprint, threads_fingerprint, .. } =
            &mut self.poll;
        (*checks_fingerprint, *discussion_fingerprint, *threads_fingerprint) = (None, None, None);
        self.known_threads.clear();
    }

    /// The clock of this machine was set back: ages and remaining waits do not change.
    pub(crate) fn handle_clock_set_back(&mut self, by: i64) {
        self.schedule.handle_clock_set_back(by);
        let began_at = self.fetch.as_mut().map(|fetch| &mut fetch.began_at);
        let PrPoll { changed_at, pushed_at, .. } = &mut self.poll;
        for at in [changed_at.as_mut(), pushed_at.as_mut(), began_at].into_iter().flatten() {
            at.0 = at.0.saturating_sub(by);
        }
    }
}

/// The fingerprint of the states of all threads, whatever their order.
fn threads_fingerprint(states: &[ThreadState]) -> Fingerprint {
    let mut sorted: Vec<_> = states.iter().collect();
    sorted.sort();
    Fingerprint::of(&sorted)
}
