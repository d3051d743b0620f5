//! What the observer remembers of one repository whose open pull requests it lists.

use ao_store::Timestamp;
use ao_store::attribution::Candidate;
use ao_store::row::scm::{Access, RepoState};

use crate::github::answer::Found;
use crate::github::fingerprint::Fingerprint;
use crate::github::node::{ListedRepo, PrNode};
use crate::github::query::Listing;
use crate::poll::schedule::retry_at;

/// Maximum pages of one listing: a thousand open pull requests.
const PAGES_MAX: u32 = 10;

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
    /// The next page begins after this.
    after: Option<String>,
    pages: u32,
    /// When the newest pull request was created that this listing has read.
    newest: Option<Timestamp>,
    /// When its first page was requested.
    began_at: Option<Timestamp>,
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
    /// When it was requested, the last time that there was an answer.
    pub(crate) answered_at: Option<Timestamp>,
    /// When the first page of the last listing was requested that was read to its end.
    read_at: Option<Timestamp>,
    /// Whether the last request got no usable answer.
    is_lost: bool,
    /// Requests in a row that failed while the host was otherwise well.
    failures: u32,
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
            answered_at: None,
            read_at: None,
            is_lost: false,
            failures: 0,
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
            self.state.watermark = None;
            self.progress = Progress::default();
            if self.state.access == Access::Ok || self.state.access == Access::Unknown {
                self.due = self.due.min(now);
            }
        }
        self.candidates = candidates;
    }

    /// The name under which it is requested.
    pub(crate) fn name(&self) -> &str {
        if self.state.name.is_empty() { &self.state.repo } else { &self.state.name }
    }

    /// The next page: a complete listing reads large ones.
    pub(crate) fn next_page(&self) -> Listing {
        let is_complete = self.state.watermark.is_none() || self.progress.pages > 0;
        Listing {
            repo: self.name().to_owned(),
            first: if is_complete { 100 } else { 20 },
            after: self.progress.after.clone(),
        }
    }

    /// Records what a poll that was sent at `as_of` found; returns the pull requests of the page. The
    /// next page is `due` then, unless the listing goes on now.
    pub(crate) fn record_answer(
        &mut self,
        found: Found<ListedRepo>,
        as_of: Timestamp,
        due: Timestamp,
        now: Timestamp,
    ) -> Vec<PrNode> {
        self.answered_at = Some(as_of);
        let ListedRepo { id, name_with_owner, pull_requests } = match found {
            Found::Node(repo) if repo.pull_requests.has_gaps() => {
                // What is missing on this page would never be read again.
                self.progress = Progress::default();
                return self.record_unusable(due, now);
            }
            Found::Node(repo) => repo,
            Found::Missing => return self.record_unreadable(Access::Missing, now),
            Found::Forbidden => return self.record_unreadable(Access::Forbidden, now),
            Found::Failed => return self.record_unusable(due, now),
        };
        self.due = due;
        (self.is_lost, self.failures) = (false, 0);
        self.progress.began_at.get_or_insert(as_of);
        self.set_access(Access::Ok, now);
        self.state.node_id = id;
        self.state.name = name_with_owner;
        let info = pull_requests.page_info.clone();
        let prs: Vec<_> = pull_requests.items().collect();
        let created = || prs.iter().filter_map(|pr| pr.created_at.map(Timestamp::from));
        let next = info.end_cursor.filter(|_| info.has_next_page);
        if !self.advance(created().min(), created().max(), next, now) {
            self.due = now;
        }
        prs
    }

    /// Records that a page was read, whose oldest and newest pull request were created then; `next` is
    /// the cursor of the page after it. Returns whether the listing has ended.
    fn advance(
        &mut self,
        oldest: Option<Timestamp>,
        newest: Option<Timestamp>,
        next: Option<String>,
        now: Timestamp,
    ) -> bool {
        self.progress.pages += 1;
        // A time in the future would hide what is created until then.
        self.progress.newest = self.progress.newest.max(newest.map(|newest| newest.min(now)));
        let is_behind = self.state.watermark.is_some_and(|mark| oldest.is_none_or(|at| at <= mark));
        let is_stuck = next == self.progress.after;
        if let Some(next) = next.filter(|_| !is_behind && !is_stuck)
            && self.progress.pages < PAGES_MAX
        {
            self.progress.after = Some(next);
            return false;
        }
        // Without any pull request the next listing is a complete one again, which costs the same.
        self.state.watermark = self.state.watermark.max(self.progress.newest);
        if self.progress.pages > 1 || self.state.listed_at.is_none() {
            self.state.listed_at = Some(now);
        }
        self.read_at = self.progress.began_at;
        self.progress = Progress::default();
        true
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
        self.answered_at.is_some()
            && matches!(self.state.access, Access::Missing | Access::Forbidden)
            && self.candidates.iter().any(is_origin)
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

    /// When it was read last: zero when not since the start, `None` when the host answered that it
    /// cannot be read.
    pub(crate) fn fresh_at(&self) -> Option<Timestamp> {
        let is_unreadable = matches!(self.state.access, Access::Missing | Access::Forbidden);
        match self.answered_at {
            Some(_) if is_unreadable => None,
            _ => Some(self.read_at.unwrap_or(Timestamp(0))),
        }
    }

    /// Nothing that was listed counts as listed.
    pub(crate) fn forget(&mut self, due: Timestamp) {
        self.state.watermark = None;
        self.state.name.clear();
        self.progress = Progress::default();
        self.due = due;
    }

    /// Records that it cannot be read, and logs it once.
    fn record_unreadable(&mut self, access: Access, now: Timestamp) -> Vec<PrNode> {
        self.due = Timestamp(now.0 + RETRY_MS);
        (self.is_lost, self.failures) = (false, 0);
        self.progress = Progress::default();
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
