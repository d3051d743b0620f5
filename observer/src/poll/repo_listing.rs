//! What the observer remembers of one repository whose open pull requests it lists.

use ao_store::Timestamp;
use ao_store::row::scm::{Access, RepoState};

use crate::github::fingerprint::Fingerprint;
use crate::poll::attribution::Candidate;

/// Pages of one listing at most: a thousand open pull requests in full.
const PAGES_MAX: u32 = 10;

/// A repository that may not be seen is asked for again after this.
const RETRY_MS: i64 = 30 * 60_000;

/// How far a listing has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The next page begins after this.
    pub(crate) after: Option<String>,
    pub(crate) pages: u32,
    /// The newest pull request that this listing has seen.
    pub(crate) newest: Option<Timestamp>,
}

/// One repository.
#[derive(Debug)]
pub(crate) struct RepoListing {
    pub(crate) state: RepoState,
    /// The sessions whose pull requests may be there.
    pub(crate) candidates: Vec<Candidate>,
    /// The mark of their branches: with a new one, older pull requests may be ours too.
    branches: Fingerprint,
    pub(crate) due: Timestamp,
    pub(crate) progress: Progress,
    /// When it was asked for, the last time that there was an answer.
    pub(crate) answered_at: Option<Timestamp>,
    /// How often in a row a request with it failed after others had not.
    pub(crate) lost: u32,
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
            lost: 0,
        }
    }

    /// Takes over who may own pull requests there. Where that is news, all open ones are listed
    /// again, and at once.
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

    /// The name by which it is asked for.
    pub(crate) fn name(&self) -> &str {
        if self.state.name.is_empty() { &self.state.repo } else { &self.state.name }
    }

    /// How many pull requests the next page is to hold: a full listing reads large pages.
    pub(crate) fn page_size(&self) -> u32 {
        if self.state.watermark.is_none() || self.progress.pages > 0 { 100 } else { 20 }
    }

    /// A page was read, whose oldest and newest pull request were made then; `next` is the cursor of
    /// the page after it. Says whether the listing has ended.
    pub(crate) fn page(
        &mut self,
        oldest: Option<Timestamp>,
        newest: Option<Timestamp>,
        next: Option<String>,
        now: Timestamp,
    ) -> bool {
        self.progress.pages += 1;
        // A time in the future would hide what is made until then.
        self.progress.newest = self.progress.newest.max(newest.map(|newest| newest.min(now)));
        let is_behind = self.state.watermark.is_some_and(|mark| oldest.is_none_or(|at| at <= mark));
        let is_stuck = next == self.progress.after;
        if let Some(next) = next.filter(|_| !is_behind && !is_stuck)
            && self.progress.pages < PAGES_MAX
        {
            self.progress.after = Some(next);
            return false;
        }
        let newest = self.state.watermark.max(self.progress.newest);
        // With no pull request at all the next listing is a full one again, which costs the same.
        self.state.watermark = newest;
        if self.progress.pages > 1 || self.state.listed_at.is_none() {
            self.state.listed_at = Some(now);
        }
        self.progress = Progress::default();
        true
    }

    /// Nothing that was listed counts as listed.
    pub(crate) fn forget(&mut self, due: Timestamp) {
        self.state.watermark = None;
        self.state.name.clear();
        self.progress = Progress::default();
        self.due = due;
    }

    /// Whether it could be seen changed.
    pub(crate) fn set_access(&mut self, access: Access, now: Timestamp) -> bool {
        if access != Access::Ok {
            self.due = Timestamp(now.0 + RETRY_MS);
            self.progress = Progress::default();
        }
        if self.state.access == access {
            return false;
        }
        self.state.access = access;
        self.state.access_since = Some(now);
        true
    }
}
