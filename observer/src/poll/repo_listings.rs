//! The repositories of one host whose open pull requests are listed.

use std::collections::BTreeMap;

use ao_store::Timestamp;
use ao_store::row::scm::{Access, RepoState};

use crate::github::query::Listing;
use crate::poll::repo_listing::{ListTarget, RepoListing};

/// Maximum number of repositories that one poll lists: half a point.
const LISTINGS_MAX: usize = 50;

/// The repositories of one host, by name in lower case.
#[derive(Debug, Default)]
pub(crate) struct RepoListings(BTreeMap<String, RepoListing>);

impl RepoListings {
    /// The repositories as they are stored; they are listed once they are a target.
    pub(crate) fn new(stored: Vec<RepoState>) -> RepoListings {
        let entry = |state: RepoState| {
            (state.repo.to_ascii_lowercase(), RepoListing::new(state, Timestamp(0)))
        };
        RepoListings(stored.into_iter().map(entry).collect())
    }

    /// Takes over which repositories are listed.
    pub(crate) fn set_targets(&mut self, host: &str, targets: Vec<ListTarget>, now: Timestamp) {
        for listing in self.0.values_mut() {
            listing.candidates.clear();
        }
        for ListTarget { repo, candidates } in targets {
            let new = || RepoListing::new(RepoState::new(host, &repo), now);
            let listing = self.0.entry(repo.to_ascii_lowercase()).or_insert_with(new);
            listing.set_candidates(candidates, now);
        }
    }

    /// The repository that was stored under this name.
    pub(crate) fn get(&self, repo: &str) -> Option<&RepoListing> {
        self.0.get(&repo.to_ascii_lowercase())
    }

    pub(crate) fn get_mut(&mut self, repo: &str) -> Option<&mut RepoListing> {
        self.0.get_mut(&repo.to_ascii_lowercase())
    }

    /// The repository that is listed under this name.
    pub(crate) fn target(&self, repo: &str) -> Option<&RepoListing> {
        self.get(repo).filter(|listing| !listing.candidates.is_empty())
    }

    /// The repositories that are listed.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &RepoListing> {
        self.0.values().filter(|listing| !listing.candidates.is_empty())
    }

    /// The time of the oldest read among the readable listings; zero if one was not read since the start.
    pub(crate) fn oldest_read(&self) -> Option<Timestamp> {
        self.targets().filter_map(RepoListing::fresh_at).min()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut RepoListing> {
        self.0.values_mut()
    }

    /// A repository was renamed: sessions that push to its old name push to the new one.
    pub(crate) fn rename(&mut self, old: &str, new: &str) {
        let candidates = self.0.values_mut().flat_map(|listing| listing.candidates.iter_mut());
        for candidate in candidates.filter(|it| it.origin.eq_ignore_ascii_case(old)) {
            new.clone_into(&mut candidate.origin);
        }
    }

    /// The pages to request with a poll: those that are due within half an interval, the most overdue
    /// first, each with the key of its repository.
    pub(crate) fn due(&self, interval_ms: i64, now: Timestamp) -> Vec<(String, Listing)> {
        let is_due = |listing: &&RepoListing| {
            // A repository that cannot be read is not requested early.
            let is_readable = matches!(listing.state.access, Access::Ok | Access::Partial);
            let early = if is_readable { interval_ms / 2 } else { 0 };
            listing.due.0 <= now.0 + early
        };
        let mut due: Vec<_> = self.targets().filter(is_due).collect();
        due.sort_by_key(|listing| listing.due);
        let page = |listing: &RepoListing| (listing.state.repo.clone(), listing.next_page(now));
        due.into_iter().take(LISTINGS_MAX).map(page).collect()
    }
}
