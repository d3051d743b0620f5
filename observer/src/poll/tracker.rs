//! What is observed at one host: its tracked pull requests, the repositories whose open pull requests
//! are listed, the logs to read, and the requests to refresh one of these now. It records the
//! answers about them and decides what is due; whether anything may be sent is not its concern.

use std::collections::{BTreeMap, BTreeSet};

use ao_store::attribution::{Attribution, attribute};
use ao_store::row::scm::{
    Access, PrPoll, Problem, RefreshRequest, RepoState, SkippedPr, SubjectPr,
};
use ao_store::{PrId, PrRef, Timestamp};

use crate::github::answer::{Found, GraphqlAnswer};
use crate::github::node::{ListedRepo, PartNode, PrNode};
use crate::github::query::{Level, Listing};
use crate::poll::answer_context::AnswerContext;
use crate::poll::detail_fetch::PageRequest;
use crate::poll::log_queue::LogQueue;
use crate::poll::refresh_requests::RefreshRequests;
use crate::poll::repo_listing::{ListTarget, RepoListing};
use crate::poll::repo_listings::RepoListings;
use crate::poll::request::Query;
use crate::poll::tier;
use crate::poll::tracked_pr::TrackedPr;
use crate::poll::tracked_prs::{DEBOUNCE_MS, TrackedPrs};
use crate::poll::write_batch::{PrWrite, Write, WriteBatch};

/// A request that fails by itself is repeated this often by a run that ends when everything was read.
const TRIES: u32 = 3;

/// A pull request that was found and rejected by the store is not found again for this long.
const REJECTED_MS: i64 = 6 * 3_600_000;

/// What is observed at one host.
#[derive(Debug)]
pub(crate) struct Tracker {
    host: String,
    pub(crate) prs: TrackedPrs,
    pub(crate) listings: RepoListings,
    pub(crate) logs: LogQueue,
    requests: RefreshRequests,
    /// Node ids of pull requests that the store rejected, and until when they are ignored.
    rejected: BTreeMap<String, Timestamp>,
    has_warned_of_checks: bool,
}

impl Tracker {
    /// Tracks nothing yet; `repos` is what is stored of repositories.
    pub(crate) fn new(host: &str, repos: Vec<RepoState>) -> Tracker {
        Tracker {
            host: host.to_owned(),
            prs: TrackedPrs::default(),
            listings: RepoListings::new(repos),
            logs: LogQueue::default(),
            requests: RefreshRequests::default(),
            rejected: BTreeMap::new(),
            has_warned_of_checks: false,
        }
    }

    /// Sets what to observe. Keeps the state of the pull requests that are still tracked; `first_due` is given the position of each of the others.
    pub(crate) fn set_subjects(
        &mut self,
        prs: &[(SubjectPr, PrPoll)],
        targets: Vec<ListTarget>,
        first_due: impl Fn(usize) -> Timestamp,
        now: Timestamp,
    ) {
        self.prs.update(prs, first_due, now);
        self.poll_renamed(now);
        self.logs.retain(|pr| self.prs.get(pr).is_some());
        self.listings.set_targets(&self.host, targets, now);
    }

    /// Takes over what is stored of some pull requests: of those with these ids and of those in `prs`.
    /// One that is not in `prs` is not tracked any more.
    pub(crate) fn update_subjects(
        &mut self,
        touched: &BTreeSet<PrId>,
        prs: &[(SubjectPr, PrPoll)],
        targets: Option<Vec<ListTarget>>,
        now: Timestamp,
    ) {
        if !touched.is_empty() || !prs.is_empty() {
            self.prs.update_some(touched, prs, now);
            self.poll_renamed(now);
            self.logs.retain(|pr| self.prs.get(pr).is_some());
        }
        if let Some(targets) = targets {
            self.listings.set_targets(&self.host, targets, now);
        }
    }

    /// What has ended is not polled, so nothing else would notice that its repository was renamed.
    fn poll_renamed(&mut self, now: Timestamp) {
        for pr in self.prs.iter_mut().filter(|pr| pr.is_terminal()) {
            let is_renamed = |it: &RepoListing| !it.name().eq_ignore_ascii_case(&pr.location.repo);
            let listing = self.listings.get(&pr.location.repo);
            if pr.poll.problem == Problem::None && listing.is_some_and(is_renamed) {
                pr.schedule.heartbeat_due = pr.schedule.heartbeat_due.min(now);
            }
        }
    }

    /// Takes over which refresh requests are stored: for pull requests, or for the listings of
    /// repositories. `noticed_at` is now on the time line of requests.
    pub(crate) fn set_refresh_requests(
        &mut self,
        stored: Vec<RefreshRequest>,
        is_urgent: bool,
        noticed_at: Timestamp,
        now: Timestamp,
    ) {
        let due = Timestamp(now.0 + if is_urgent { 0 } else { DEBOUNCE_MS });
        // A burst of requests brings a poll forward once, not with each of them.
        for request in self.requests.update(stored, noticed_at) {
            let is_it = |pr: &&mut TrackedPr| pr.is_at(&request.repo, request.number);
            if let Some(pr) = self.prs.iter_mut().find(is_it) {
                pr.schedule.full_due = pr.schedule.full_due.min(due);
                continue;
            }
            // The repository, or a pull request that is not tracked and may be one to be found.
            let listing = self.listings.get_mut(&request.repo);
            if let Some(it) = listing.filter(|it| it.state.access != Access::Forbidden) {
                it.due = it.due.min(due);
            }
        }
    }

    /// Takes the refresh requests that a poll has answered since they were noticed, whatever it found.
    pub(crate) fn take_answered_requests(&mut self) -> Vec<RefreshRequest> {
        let (prs, listings) = (&self.prs, &self.listings);
        self.requests.take_answered(|request, noticed_at| {
            let is_it = |pr: &&TrackedPr| pr.is_at(&request.repo, request.number);
            let answered_at = match prs.iter().find(is_it) {
                Some(pr) => pr.schedule.answered_at,
                None => match listings.target(&request.repo) {
                    Some(listing) => listing.answered_at,
                    // Nothing is observed there.
                    None => return true,
                },
            };
            answered_at.is_some_and(|at| at > noticed_at)
        })
    }

    /// Whether something could be requested now if the limits allowed it, or failed and is repeated.
    /// What failed by itself several times will fail again.
    pub(crate) fn has_work(&self, now: Timestamp) -> bool {
        let has_poll = |pr: &TrackedPr| {
            pr.schedule.due() <= now || pr.fetch.is_some() || pr.schedule.has_failed(TRIES)
        };
        self.prs.iter().any(has_poll)
            || self.listings.targets().any(|it| it.is_outstanding(TRIES, now))
            || !self.logs.is_empty()
    }

    /// Whether there is anything to observe.
    pub(crate) fn has_subjects(&self) -> bool {
        self.prs.iter().next().is_some() || self.listings.targets().next().is_some()
    }

    /// Whether every repository was listed to its end since the start, if it can be read.
    pub(crate) fn is_listed(&self) -> bool {
        self.listings.oldest_read() != Some(Timestamp(0))
    }

    /// The pull requests that the host has and that could not be read, and the repositories of which
    /// some could not be listed, each with the reason.
    pub(crate) fn unread(&self) -> Vec<String> {
        let prs = self.prs.iter().filter(|pr| pr.is_unread());
        let prs = prs.map(|pr| format!("{}: {}", pr.location, pr.poll.problem.as_str()));
        let repos = self.listings.targets().filter(|it| it.state.access == Access::Partial);
        let repos = repos.map(|it| format!("{}/{}: partial", self.host, it.name()));
        prs.chain(repos).collect()
    }

    /// The open pull requests on the branch of a session that are not tracked.
    pub(crate) fn skipped(&self) -> Vec<SkippedPr> {
        let listed = self.listings.targets().filter_map(|listing| listing.skipped.as_ref());
        // After a rename a repository may be listed under both of its names.
        let by_place = |pr: &SkippedPr| ((pr.repo.to_ascii_lowercase(), pr.number), pr.clone());
        let all: BTreeMap<_, _> = listed.flat_map(BTreeMap::values).map(by_place).collect();
        all.into_values().collect()
    }

    /// The origins of projects that the host answered cannot be read.
    pub(crate) fn refused_repos(&self) -> Vec<&str> {
        let refused = self.listings.targets().filter(|it| it.is_refused());
        refused.map(RepoListing::name).collect()
    }

    /// Why a repository could not be listed, and which; empty when all were.
    pub(crate) fn listing_failure(&self) -> String {
        self.listings.targets().find_map(RepoListing::failure).unwrap_or_default()
    }

    /// When everything that can be read had been read; zero when something was not read since the
    /// start, `None` when there is nothing to read.
    pub(crate) fn oldest_read(&self) -> Option<Timestamp> {
        [self.prs.oldest_read(), self.listings.oldest_read()].into_iter().flatten().min()
    }

    /// When another poll will be due; those that are due already wait for the limits.
    pub(crate) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let listings = self.listings.targets().map(|listing| listing.due);
        let dues = self.prs.next_due(now).into_iter().chain(listings);
        dues.filter(|due| *due > now).min()
    }

    /// The level of the poll that is due: a full query contains the heartbeat.
    pub(crate) fn due_level(&self, now: Timestamp) -> Option<Level> {
        let is_due = |level| self.prs.is_due(level, now);
        if is_due(Level::Full) {
            return Some(Level::Full);
        }
        let is_listing_due = || self.listings.targets().any(|listing| listing.due <= now);
        (is_due(Level::Heartbeat) || is_listing_due()).then_some(Level::Heartbeat)
    }

    /// Records what a poll found of pull requests: of those that were requested by node id, and of those
    /// that were requested by location, in the order of the request.
    pub(crate) fn record_polls(
        &mut self,
        level: Level,
        (by_node, by_location): (&[PrId], &[PrId]),
        answered: &GraphqlAnswer<'_>,
        context: &mut AnswerContext,
    ) {
        let nodes = answered.nodes::<PrNode>(by_node.len()).into_iter().enumerate();
        let by_node = by_node.iter().zip(nodes).map(|(id, (index, found))| {
            (id, found, answered.withholds_checks("nodes", Some(index)))
        });
        let by_location = by_location.iter().enumerate().map(|(index, id)| {
            let alias = format!("p{index}");
            (id, answered.pull_request(&alias), answered.withholds_checks(&alias, None))
        });
        for (id, mut found, are_checks_withheld) in by_node.chain(by_location) {
            if let Found::Node(node) = &mut found {
                // Credentials may read a pull request and not its checks: then it is not a fact that
                // there are none.
                node.are_checks_withheld = are_checks_withheld;
                if are_checks_withheld && !std::mem::replace(&mut self.has_warned_of_checks, true) {
                    let host = &self.host;
                    tracing::warn!(
                        host,
                        "the credentials cannot read checks: grant that permission"
                    );
                }
            }
            let Some(pr) = self.prs.get_mut(id) else { continue };
            let is_listed = self.listings.target(&pr.location.repo).is_some();
            let write = pr.record_poll(level, found, is_listed, context);
            context.writes.extend(write.map(|write| Write::Pr(Box::new(write))));
            // A fetch that has nothing to read, such as one of no checks, is finished already.
            self.finish_fetch(id, context);
        }
    }

    /// Records what a poll found of repositories, in the order of the request.
    pub(crate) fn record_listings(
        &mut self,
        listings: &[(String, Listing)],
        answered: &GraphqlAnswer<'_>,
        person: Option<&str>,
        context: &mut AnswerContext,
    ) {
        let AnswerContext { as_of, now, interval_ms, stretch, .. } = *context;
        let due = Timestamp(now.0 + tier::stretched(interval_ms, stretch));
        for (index, (key, asked)) in listings.iter().enumerate() {
            let Some(listing) = self.listings.get_mut(key) else { continue };
            let before = listing.state.clone();
            let alias = format!("r{index}");
            let found = answered.alias::<ListedRepo>(&alias);
            let prs = listing.record_answer(asked, found, as_of, due, now);
            listing.cause = answered.cause_at(&alias);
            let state = listing.state.clone();
            if listing.is_moved_origin() {
                // The old name leads to the repository until another repository gets it.
                let (old, new) = (state.repo.clone(), state.name.clone());
                self.listings.rename(&old, &new);
                context.writes.push(Write::Renamed { old, new });
            }
            let known = if before.name.is_empty() { &before.repo } else { &before.name };
            if !known.eq_ignore_ascii_case(&state.name) && !state.name.is_empty() {
                let (repo, prs) = (known.clone(), Vec::new());
                context.writes.push(Write::Skipped { repo, prs });
            }
            let mut skipped = Vec::new();
            for pr in prs {
                let write = self.record_listed(key, &state.name, &pr, person, &mut skipped, now);
                context.writes.extend(write);
            }
            let listing = self.listings.get_mut(key);
            if let Some(prs) = listing.and_then(|listing| listing.record_skipped(skipped)) {
                context.writes.push(Write::Skipped { repo: state.name.clone(), prs });
            }
            if state != before {
                context.writes.push(Write::Repo(state));
            }
        }
    }

    /// Records an open pull request of a listing; returns it when it is one to be tracked. One that is
    /// on the branch of a session and not to be tracked is added to `skipped`.
    fn record_listed(
        &mut self,
        key: &str,
        repo: &str,
        pr: &PrNode,
        person: Option<&str>,
        skipped: &mut Vec<SkippedPr>,
        now: Timestamp,
    ) -> Option<Write> {
        let location = PrRef::new(&self.host, repo, pr.number).ok()?;
        let is_it = |it: &&mut TrackedPr| it.node_id == pr.id || it.is_at(repo, pr.number);
        if let Some(tracked) = self.prs.iter_mut().find(is_it) {
            if tracked.is_terminal() {
                // It was reopened.
                tracked.schedule.full_due = now;
            }
            return None;
        }
        if self.rejected.get(&pr.id).is_some_and(|until| *until > now) {
            return None;
        }
        let observation = pr.listed(location, now);
        let listing = self.listings.get(key)?;
        let candidates = &listing.candidates;
        match attribute(&observation, candidates, person) {
            Ok(Attribution { session, reason, .. }) => {
                tracing::info!(pr = %observation.pr, %session, reason, "found a pull request");
                Some(Write::Found(Box::new(observation)))
            }
            Err(why) => {
                tracing::debug!(pr = %observation.pr, reason = %why, "belongs to no session");
                skipped.extend(why.session.map(|session| SkippedPr {
                    host: self.host.clone(),
                    repo: repo.to_owned(),
                    number: pr.number,
                    since: now,
                    session,
                    head_ref: observation.facts.head_ref.unwrap_or_default(),
                    author: observation.facts.author.unwrap_or_default(),
                    reason: why.reason.as_str().to_owned(),
                }));
                None
            }
        }
    }

    /// Records the pages that a detail request read, in the order of the request.
    pub(crate) fn record_details(
        &mut self,
        pages: Vec<(PrId, PageRequest)>,
        answered: &GraphqlAnswer<'_>,
        context: &mut AnswerContext,
    ) {
        for (index, (id, page)) in pages.into_iter().enumerate() {
            let Some(fetch) = self.prs.get_mut(&id).and_then(|pr| pr.fetch.as_mut()) else {
                continue;
            };
            let alias = format!("d{index}");
            let found = answered.alias::<PartNode>(&alias);
            let is_stale = fetch.record_page(page, found, answered.is_withheld(&alias));
            context.totals.stale += u64::from(is_stale);
            self.finish_fetch(&id, context);
        }
    }

    fn finish_fetch(&mut self, id: &PrId, context: &mut AnswerContext) {
        let Some(pr) = self.prs.get_mut(id) else { return };
        let write = pr.finish_fetch(context);
        context.writes.extend(write.map(|write| Write::Pr(Box::new(write))));
    }

    /// The logs of these jobs of a pull request, by the id of the check, are to be read.
    pub(crate) fn add_logs(&mut self, pr: &PrId, jobs: BTreeMap<String, i64>) {
        if let Some(pr) = self.prs.get(pr) {
            self.logs.add(&pr.id, &pr.location.repo, jobs);
        }
    }

    /// Ends the reading of logs. The checks of the pull requests of which logs are left count as not
    /// read, so that the next run reads these logs; returns what is to be stored for that.
    pub(crate) fn leave_logs(&mut self) -> Vec<Write> {
        self.logs.leave_all();
        let mut writes = Vec::new();
        for id in self.logs.left_of() {
            let Some(pr) = self.prs.get_mut(id) else { continue };
            pr.poll.checks_fingerprint = None;
            writes.push(Write::Pr(Box::new(PrWrite {
                pr: id.clone(),
                observation: None,
                discussion: None,
                jobs: BTreeMap::new(),
                poll: pr.poll.clone(),
            })));
        }
        writes
    }

    /// Reschedules everything that a failed query requested. `is_own`: the request caused the failure, not the host.
    pub(crate) fn reschedule(&mut self, query: Query, is_own: bool, context: &mut AnswerContext) {
        let now = context.now;
        match query {
            Query::Poll { level, prs, listings, .. } => {
                for id in prs {
                    if let Some(pr) = self.prs.get_mut(&id) {
                        pr.schedule.record_failure(level, is_own, now);
                    }
                }
                for (key, _) in listings {
                    if let Some(listing) = self.listings.get_mut(&key) {
                        listing.record_lost(is_own, now);
                    }
                }
            }
            Query::Detail { pages } => {
                for (id, page) in pages {
                    if let Some(fetch) = self.prs.get_mut(&id).and_then(|pr| pr.fetch.as_mut()) {
                        fetch.record_lost(page, is_own);
                    }
                    self.finish_fetch(&id, context);
                }
            }
        }
    }

    /// The store has something newer about a pull request: what was read counts as not read.
    pub(crate) fn forget(&mut self, pr: &PrId, due: Timestamp) {
        if let Some(pr) = self.prs.get_mut(pr) {
            pr.forget(due);
        }
    }

    /// A batch could not be stored: what it contains counts as not read.
    pub(crate) fn forget_batch(&mut self, batch: &WriteBatch, due: Timestamp) {
        for write in &batch.writes {
            if let Some(pr) = write.pr() {
                self.forget(pr, due);
            }
            if let Write::Renamed { old, new } = write {
                self.listings.rename(new, old);
            }
            let Some(repo) = write.listed_repo() else { continue };
            let is_it = |listing: &&mut RepoListing| {
                listing.name().eq_ignore_ascii_case(repo)
                    || listing.state.repo.eq_ignore_ascii_case(repo)
            };
            if let Some(listing) = self.listings.iter_mut().find(is_it) {
                listing.forget(due);
            }
        }
    }

    /// The store rejects what the host reports, and will again: a tracked pull request is polled
    /// rarely, and one that was found is not found again for a while.
    pub(crate) fn record_rejection(&mut self, batch: &WriteBatch, due: Timestamp, now: Timestamp) {
        for write in &batch.writes {
            if let Some(pr) = write.pr().and_then(|pr| self.prs.get_mut(pr)) {
                pr.record_rejection(due, now);
            }
            if let Write::Found(observation) = write {
                self.rejected.retain(|_, until| *until > now);
                let until = Timestamp(now.0 + REJECTED_MS);
                self.rejected.insert(observation.node_id.clone(), until);
            }
        }
    }

    /// The clock of this machine was set back: remaining waits do not change.
    pub(crate) fn handle_clock_set_back(&mut self, by: i64) {
        self.prs.iter_mut().for_each(|pr| pr.handle_clock_set_back(by));
        for listing in self.listings.iter_mut() {
            listing.due.0 = listing.due.0.saturating_sub(by);
        }
    }
}
