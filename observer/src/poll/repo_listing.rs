//! What the observer remembers of one repository whose open pull requests it lists.
//!
//! A *complete* listing reads all of them, the newest first, page by page; an *incremental* one reads
//! those that were opened since the last listing. A complete one is needed at the start and when the
//! sessions change, because a new session may own an old pull request.

use std::collections::{BTreeMap, BTreeSet};

use ao_store::Timestamp;
use ao_store::attribution::Candidate;
use ao_store::row::scm::{Access, RepoState, SKIPPED_PRS_MAX, SkippedPr};

use crate::github::answer::Found;
use crate::github::fingerprint::Fingerprint;
use crate::github::node::{ListedRepo, Page, PrNode};
use crate::github::query::Listing;
use crate::poll::schedule::retry_at;

/// Maximum pages of one listing: a hundred thousand open pull requests.
const PAGES_MAX: u32 = 1_000;

/// Pull requests on a page of a complete listing, and on the first page of an incremental one.
const PAGE: u32 = 100;
const FIRST_PAGE: u32 = 20;

/// A complete listing of more pages than this is not repeated at once.
const SHORT_PAGES: u32 = 10;

/// A listing of which something is missing, or that changed while it was read, is repeated at once up
/// to this often.
const REPEATS: u32 = 1;

/// A repository that cannot be read is requested again after this.
const RETRY_MS: i64 = 30 * 60_000;

/// A repository to list, and the sessions whose pull requests may be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListTarget {
    /// `owner/name`.
    pub(crate) repo: String,
    pub(crate) candidates: Vec<Candidate>,
}

/// How far a listing has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Progress {
    is_complete: bool,
    /// The next page begins after this.
    after: Option<String>,
    pages: u32,
    /// When the newest pull request was created that this listing has read.
    newest: Option<Timestamp>,
    /// When its first page was requested.
    began_at: Option<Timestamp>,
    /// Whether something is missing: a pull request that could not be read, or a page.
    has_gaps: bool,
    /// Whether the number of pull requests changed meanwhile, or one came twice: the host may have left
    /// out another one.
    has_moved: bool,
    /// The number of open pull requests that the first page reports.
    total: i64,
    numbers: BTreeSet<i64>,
}

/// One repository.
#[derive(Debug)]
pub(crate) struct RepoListing {
    pub(crate) state: RepoState,
    /// The sessions whose pull requests may be there.
    pub(crate) candidates: Vec<Candidate>,
    /// The fingerprint of their branches: a new branch may have an old pull request.
    branches: Fingerprint,
    pub(crate) due: Timestamp,
    progress: Progress,
    /// Whether a complete listing is needed, and the time before which it does not begin.
    needs_complete: bool,
    complete_after: Timestamp,
    repeats: u32,
    /// When it was requested, the last time that there was an answer.
    pub(crate) answered_at: Option<Timestamp>,
    /// When the first page of the last listing was requested that was read to its end.
    read_at: Option<Timestamp>,
    /// Whether the last request got no usable answer.
    is_lost: bool,
    /// Requests in a row that failed while the host was otherwise well.
    failures: u32,
    /// The pull requests on the branch of a session that are not tracked, as they were stored last, and
    /// those of the listing in progress, by number.
    pub(crate) skipped: Option<BTreeMap<i64, SkippedPr>>,
    seen_skipped: BTreeMap<i64, SkippedPr>,
    /// Whether the last answer ended a listing, and whether that was a complete one.
    ended: Option<bool>,
    /// The reason that the host gave when it answered last; empty when it gave none.
    pub(crate) cause: String,
}

impl RepoListing {
    pub(crate) fn new(state: RepoState, due: Timestamp) -> RepoListing {
        RepoListing {
            state,
            candidates: Vec::new(),
            branches: Fingerprint::of(&""),
            due,
            progress: Progress::default(),
            needs_complete: true,
            complete_after: Timestamp(0),
            repeats: 0,
            answered_at: None,
            read_at: None,
            is_lost: false,
            failures: 0,
            skipped: None,
            seen_skipped: BTreeMap::new(),
            ended: None,
            cause: String::new(),
        }
    }

    /// Takes over which sessions may own pull requests there. Where that changed, all open ones are
    /// listed again, and at once.
    pub(crate) fn set_candidates(&mut self, candidates: Vec<Candidate>, now: Timestamp) {
        let names: Vec<_> =
            candidates.iter().map(|it| (it.session.as_str(), it.branch.as_str())).collect();
        let branches = Fingerprint::of(&names);
        if self.branches != branches {
            self.branches = branches;
            self.relist();
            if !self.is_unreadable() {
                self.due = self.due.min(now);
            }
        }
        self.candidates = candidates;
    }

    /// The name under which it is requested.
    pub(crate) fn name(&self) -> &str {
        if self.state.name.is_empty() { &self.state.repo } else { &self.state.name }
    }

    /// All open pull requests are listed again. A listing in progress goes on to its end: where there
    /// are many, the oldest would never be listed if it began anew each time.
    pub(crate) fn relist(&mut self) {
        self.needs_complete = true;
    }

    /// The next page.
    pub(crate) fn next_page(&self, now: Timestamp) -> Listing {
        let is_complete = self.state.watermark.is_none()
            || (self.needs_complete && now >= self.complete_after)
            || self.progress.pages > 0;
        Listing {
            repo: self.name().to_owned(),
            first: if is_complete { PAGE } else { FIRST_PAGE },
            after: self.progress.after.clone(),
        }
    }

    /// Records what a poll that was sent at `as_of` found; returns the pull requests of the page. The
    /// next page is `due` then, unless the listing goes on now.
    pub(crate) fn record_answer(
        &mut self,
        asked: &Listing,
        found: Found<ListedRepo>,
        as_of: Timestamp,
        due: Timestamp,
        now: Timestamp,
    ) -> Vec<PrNode> {
        self.answered_at = Some(as_of);
        self.ended = None;
        let ListedRepo { id, name_with_owner, pull_requests } = match found {
            Found::Node(repo) => repo,
            Found::Missing => return self.record_unreadable(Access::Missing, now),
            Found::Forbidden => return self.record_unreadable(Access::Forbidden, now),
            Found::Failed => return self.record_unusable(due, now),
        };
        (self.is_lost, self.failures) = (false, 0);
        if self.state.access != Access::Partial {
            self.set_access(Access::Ok, now);
        }
        self.state.node_id = id;
        if !self.name().eq_ignore_ascii_case(&name_with_owner) {
            // What was skipped under the old name is listed again under the new one.
            self.skipped = None;
            self.relist();
        }
        self.state.name = name_with_owner;
        if self.progress.pages == 0 {
            self.progress.is_complete = asked.first == PAGE;
            self.progress.began_at = Some(as_of);
            self.progress.total = pull_requests.total_count;
            self.needs_complete &= !self.progress.is_complete;
        }
        self.due = if self.progress.add(&pull_requests, self.state.watermark, now) {
            self.finish(due, now)
        } else {
            now
        };
        pull_requests.items().collect()
    }

    /// Ends a listing; returns when the next one is due.
    fn finish(&mut self, due: Timestamp, now: Timestamp) -> Timestamp {
        let ended = std::mem::take(&mut self.progress);
        // If it changes each time, what one listing left out is in the other one.
        if (ended.has_gaps || ended.has_moved) && self.repeats < REPEATS {
            self.repeats += 1;
            self.needs_complete |= ended.is_complete;
            return now;
        }
        self.repeats = 0;
        self.ended = Some(ended.is_complete && !ended.has_gaps);
        self.needs_complete |= ended.has_gaps;
        if ended.has_gaps {
            self.set_access(Access::Partial, now);
        } else if ended.is_complete {
            self.set_access(Access::Ok, now);
        }
        // Without any pull request the next listing is a complete one again, which costs the same.
        self.state.watermark = self.state.watermark.max(ended.newest);
        if ended.pages > 1 || self.state.listed_at.is_none() {
            self.state.listed_at = Some(now);
        }
        // Complete listings cost no more requests than incremental ones do meanwhile.
        if ended.is_complete && (ended.has_gaps || ended.pages > SHORT_PAGES) {
            let cycle = due.0.saturating_sub(now.0);
            self.complete_after = Timestamp(now.0 + cycle * i64::from(ended.pages));
        }
        if !self.needs_complete {
            self.read_at = ended.began_at;
        }
        due
    }

    /// Records the pull requests of the last page that are not tracked although they are on the branch
    /// of a session; returns those that are to be stored when that has changed.
    pub(crate) fn record_skipped(&mut self, prs: Vec<SkippedPr>) -> Option<Vec<SkippedPr>> {
        self.seen_skipped.extend(prs.into_iter().map(|pr| (pr.number, pr)));
        while self.seen_skipped.len() > SKIPPED_PRS_MAX {
            self.seen_skipped.pop_first();
        }
        let is_complete = self.ended?;
        let mut skipped = std::mem::take(&mut self.seen_skipped);
        for (number, known) in self.skipped.iter().flatten() {
            match skipped.get_mut(number) {
                Some(seen) => seen.since = known.since,
                // An incremental listing does not reach it.
                None if !is_complete => {
                    skipped.insert(*number, known.clone());
                }
                None => {}
            }
        }
        let is_news = self.skipped.as_ref() != Some(&skipped);
        let all = is_news.then(|| skipped.values().rev().cloned().collect());
        self.skipped = Some(skipped);
        all
    }

    /// Records that a request got no usable answer. `is_own` is whether the request caused it, and not the host.
    pub(crate) fn record_lost(&mut self, is_own: bool, now: Timestamp) {
        self.is_lost = true;
        self.due = retry_at(&mut self.failures, is_own, now);
    }

    /// Records an answer that is of no use. The host is well, so it is requested again with the next
    /// poll at the latest.
    fn record_unusable(&mut self, due: Timestamp, now: Timestamp) -> Vec<PrNode> {
        self.record_lost(true, now);
        self.due = self.due.min(due);
        Vec::new()
    }

    /// Whether it is to be requested now, or was lost and is requested again up to `tries` times.
    pub(crate) fn is_outstanding(&self, tries: u32, now: Timestamp) -> bool {
        self.due <= now || (self.is_lost && self.failures <= tries)
    }

    /// Whether it is the origin of a project, and the host answered that it cannot be read.
    pub(crate) fn is_refused(&self) -> bool {
        let is_origin = |it: &Candidate| it.origin.eq_ignore_ascii_case(&self.state.repo);
        self.answered_at.is_some() && self.is_unreadable() && self.candidates.iter().any(is_origin)
    }

    /// Whether it is the origin of a project under a name that it no longer has.
    pub(crate) fn is_moved_origin(&self) -> bool {
        let is_origin = |it: &Candidate| it.origin.eq_ignore_ascii_case(&self.state.repo);
        !self.name().eq_ignore_ascii_case(&self.state.repo) && self.candidates.iter().any(is_origin)
    }

    /// Why it could not be listed, although the host answers.
    pub(crate) fn failure(&self) -> Option<String> {
        let (name, cause) = (self.name(), &self.cause);
        let cause = if cause.is_empty() { String::new() } else { format!(": {cause}") };
        if self.is_refused() {
            Some(format!("{name} cannot be read ({}){cause}", self.state.access.as_str()))
        } else {
            (self.is_lost && self.failures > 0)
                .then(|| format!("{name} could not be listed{cause}"))
        }
    }

    fn is_unreadable(&self) -> bool {
        matches!(self.state.access, Access::Missing | Access::Forbidden)
    }

    /// When it was read last: zero when not since the start, `None` when the host answered that it
    /// cannot be read.
    pub(crate) fn fresh_at(&self) -> Option<Timestamp> {
        match self.answered_at {
            Some(_) if self.is_unreadable() => None,
            _ => Some(self.read_at.unwrap_or(Timestamp(0))),
        }
    }

    /// Nothing that was listed counts as listed.
    pub(crate) fn forget(&mut self, due: Timestamp) {
        self.state.watermark = None;
        self.state.name.clear();
        self.progress = Progress::default();
        self.read_at = None;
        self.skipped = None;
        self.relist();
        self.due = due;
    }

    /// Records that it cannot be read, and logs it once.
    fn record_unreadable(&mut self, access: Access, now: Timestamp) -> Vec<PrNode> {
        self.due = Timestamp(now.0 + RETRY_MS);
        (self.is_lost, self.failures) = (false, 0);
        self.progress = Progress::default();
        self.relist();
        if self.set_access(access, now) {
            let (host, repo, access) = (&self.state.host, self.name(), access.as_str());
            tracing::warn!(host, repo, access, "the credentials cannot read this repository");
        }
        Vec::new()
    }

    /// Returns whether that changed.
    fn set_access(&mut self, access: Access, now: Timestamp) -> bool {
        let is_changed = self.state.access != access;
        if is_changed {
            self.state.access = access;
            self.state.access_since = Some(now);
        }
        is_changed
    }
}

impl Progress {
    /// Adds a page; returns whether it is the last one. An incremental listing ends at the first page
    /// that reaches what was created at `watermark`.
    fn add(&mut self, page: &Page<PrNode>, watermark: Option<Timestamp>, now: Timestamp) -> bool {
        let created = || page.iter().filter_map(|pr| pr.created_at.map(Timestamp::from));
        self.pages += 1;
        self.has_gaps |= page.has_gaps();
        self.has_moved |= page.total_count != self.total;
        for pr in page.iter() {
            self.has_moved |= !self.numbers.insert(pr.number);
        }
        // A time in the future would hide what is created until then.
        self.newest = self.newest.max(created().max().map(|newest| newest.min(now)));
        let is_new = |mark: Timestamp| created().min().is_some_and(|oldest| oldest > mark);
        let is_behind = !self.is_complete && !watermark.is_some_and(is_new);
        if !page.page_info.has_next_page {
            // An item that cannot be read counts, too.
            let count = i64::try_from(self.numbers.len()).unwrap_or(i64::MAX);
            self.has_moved |= self.is_complete && !self.has_gaps && count != self.total;
            return true;
        }
        if is_behind {
            return true;
        }
        let next =
            page.page_info.end_cursor.clone().filter(|next| Some(next) != self.after.as_ref());
        self.after = next.filter(|_| self.pages < PAGES_MAX);
        self.has_gaps |= self.after.is_none();
        self.after.is_none()
    }
}
