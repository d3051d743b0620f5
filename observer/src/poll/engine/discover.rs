//! Learning from listings: which open pull requests are there that belong to a session.

use ao_store::observation::Observation;
use ao_store::row::scm::{Access, PrPoll};
use ao_store::{PrRef, Timestamp};

use super::Engine;
use crate::github::answer::{Found, GraphqlAnswer};
use crate::github::node::{Actor, ListedRepo, PrNode};
use crate::github::query::Listing;
use crate::poll::attribution::{self, Head};
use crate::poll::repo_listing::Progress;
use crate::poll::tier;
use crate::poll::write_batch::{PrWrite, Write, WriteBatch};

impl Engine {
    pub(super) fn record_listings(
        &mut self,
        listings: Vec<(String, Listing)>,
        answered: &GraphqlAnswer<'_>,
        as_of: Timestamp,
        now: Timestamp,
        batch: &mut WriteBatch,
    ) {
        let stretch = self.stretch(now);
        for (index, (key, _)) in listings.into_iter().enumerate() {
            let found = answered.alias::<ListedRepo>(&format!("r{index}"));
            let Some(listing) = self.repos.get_mut(&key) else { continue };
            listing.lost = 0;
            listing.answered_at = Some(as_of);
            let before = listing.state.clone();
            listing.due = Timestamp(now.0 + tier::stretched(self.config.interval_ms(), stretch));
            match found {
                Found::Node(repo) => self.read_listing(&key, repo, now, batch),
                Found::Missing => self.unseen(&key, Access::Missing, now),
                Found::Forbidden => self.unseen(&key, Access::Forbidden, now),
                Found::Failed => {}
            }
            if let Some(listing) = self.repos.get(&key)
                && listing.state != before
            {
                batch.writes.push(Write::Repo(listing.state.clone()));
            }
        }
    }

    fn unseen(&mut self, key: &str, access: Access, now: Timestamp) {
        let Some(listing) = self.repos.get_mut(key) else { return };
        if listing.set_access(access, now) {
            let repo = listing.name();
            tracing::warn!(
                host = self.host,
                repo,
                access = access.as_str(),
                "the credentials do not see this repository"
            );
        }
    }

    fn read_listing(
        &mut self,
        key: &str,
        repo: ListedRepo,
        now: Timestamp,
        batch: &mut WriteBatch,
    ) {
        let ListedRepo { id, name_with_owner, pull_requests } = repo;
        let Some(listing) = self.repos.get_mut(key) else { return };
        listing.set_access(Access::Ok, now);
        listing.state.node_id = id;
        if !listing.name().eq_ignore_ascii_case(&name_with_owner) {
            // Renamed or transferred: the old name still leads there, until somebody takes it.
            batch.writes.push(Write::Renamed {
                old: listing.state.repo.clone(),
                new: name_with_owner.clone(),
            });
        }
        listing.state.name.clone_from(&name_with_owner);
        if pull_requests.has_gaps() {
            // What is missing on this page would not be record_polls for again.
            listing.progress = Progress::default();
            return;
        }
        let info = pull_requests.page_info.clone();
        let items: Vec<PrNode> = pull_requests.items().collect();
        let made = || items.iter().filter_map(|pr| pr.created_at.map(Timestamp::from));
        let next = info.end_cursor.filter(|_| info.has_next_page);
        if !listing.page(made().min(), made().max(), next, now) {
            listing.due = now;
        }
        self.name_origins();
        for pr in items {
            self.read_listed(key, &name_with_owner, &pr, now, batch);
        }
    }

    /// Where a repository was renamed, its sessions push to the new name as well.
    fn name_origins(&mut self) {
        let names: Vec<(String, String)> = self
            .repos
            .values()
            .map(|listing| (listing.state.repo.clone(), listing.name().to_owned()))
            .filter(|(repo, name)| !name.eq_ignore_ascii_case(repo))
            .collect();
        if names.is_empty() {
            return;
        }
        for listing in self.repos.values_mut() {
            for candidate in &mut listing.candidates {
                for (old, new) in &names {
                    let has = |name: &str| {
                        candidate.origins.iter().any(|it| it.eq_ignore_ascii_case(name))
                    };
                    if has(old) && !has(new) {
                        candidate.origins.push(new.clone());
                    }
                }
            }
        }
    }

    fn read_listed(
        &mut self,
        key: &str,
        repo: &str,
        pr: &PrNode,
        now: Timestamp,
        batch: &mut WriteBatch,
    ) {
        let Ok(location) = PrRef::new(&self.host, repo, pr.number) else { return };
        let known = self.by_node.get(&pr.id).cloned().or_else(|| {
            let clear_problem = |location: &PrRef| {
                location.number == pr.number && location.repo.eq_ignore_ascii_case(repo)
            };
            self.prs
                .values()
                .find(|tracked| clear_problem(&tracked.location))
                .map(|tracked| tracked.id.clone())
        });
        if let Some(tracked) = known.and_then(|id| self.prs.get_mut(&id)) {
            if tracked.is_terminal() {
                // It is open: it was reopened.
                tracked.full_due = now;
            }
            return;
        }
        if self.refused.get(&pr.id).is_some_and(|until| *until > now) {
            return;
        }
        let person = self.credentials.viewer.as_ref().filter(|viewer| viewer.is("User"));
        let person =
            person.and_then(|viewer| viewer.login.as_deref()).filter(|login| !login.is_empty());
        let Some(listing) = self.repos.get(key) else { return };
        let head = Head {
            branch: pr.head_ref_name.as_deref().unwrap_or_default(),
            repo: pr.head_repository.as_ref().map(|it| it.name_with_owner.as_str()),
            author: pr.author.as_ref().map(Actor::login),
        };
        match attribution::attribute(head, &listing.candidates, person) {
            Err(reason) => tracing::debug!(pr = %location, reason, "not of a session"),
            Ok((session, reason)) => {
                tracing::info!(pr = %location, %session, reason, "found a pull request");
                let observation = Observation {
                    node_id: pr.id.clone(),
                    session: Some(session),
                    provider_at: pr.updated_at.map(Timestamp::from),
                    facts: pr.listed_facts(),
                    ..Observation::new(location, now)
                };
                batch.writes.push(Write::Pr(Box::new(PrWrite {
                    pr: None,
                    observation: Some(observation),
                    discussion: None,
                    poll: PrPoll { attribution: reason, ..PrPoll::default() },
                })));
            }
        }
    }
}
