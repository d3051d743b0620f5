//! Learning from listings: which open pull requests are there that belong to a session.

use ao_store::observation::Observation;
use ao_store::row::scm::{Access, PrPoll};
use ao_store::{PrRef, Timestamp};

use super::Engine;
use crate::github::answer::{Answered, Found};
use crate::github::node::{ListedPr, ListedRepo};
use crate::github::query::Listing;
use crate::poll::attribution::{self, Head};
use crate::poll::scan::Progress;
use crate::poll::tier;
use crate::poll::write::{Batch, PrWrite, Write};

impl Engine {
    pub(super) fn listed(
        &mut self,
        listings: Vec<(String, Listing)>,
        answered: &Answered<'_>,
        as_of: Timestamp,
        now: Timestamp,
        batch: &mut Batch,
    ) {
        let stretch = self.stretch(now);
        for (index, (key, _)) in listings.into_iter().enumerate() {
            let found = answered.alias::<ListedRepo>(&format!("r{index}"));
            let Some(scan) = self.scans.get_mut(&key) else { continue };
            scan.lost = 0;
            scan.answered_at = Some(as_of);
            let before = scan.state.clone();
            scan.due = Timestamp(now.0 + tier::stretched(self.config.interval_ms(), stretch));
            match found {
                Found::Node(repo) => self.read_listing(&key, repo, now, batch),
                Found::Missing => self.unseen(&key, Access::Missing, now),
                Found::Forbidden => self.unseen(&key, Access::Forbidden, now),
                Found::Failed => {}
            }
            if let Some(scan) = self.scans.get(&key)
                && scan.state != before
            {
                batch.writes.push(Write::Repo(scan.state.clone()));
            }
        }
    }

    fn unseen(&mut self, key: &str, access: Access, now: Timestamp) {
        let Some(scan) = self.scans.get_mut(key) else { return };
        if scan.set_access(access, now) {
            let repo = scan.name();
            tracing::warn!(
                host = self.host,
                repo,
                access = access.as_str(),
                "the credentials do not see this repository"
            );
        }
    }

    fn read_listing(&mut self, key: &str, repo: ListedRepo, now: Timestamp, batch: &mut Batch) {
        let ListedRepo { id, name_with_owner, pull_requests } = repo;
        let Some(scan) = self.scans.get_mut(key) else { return };
        scan.set_access(Access::Ok, now);
        scan.state.node_id = id;
        if !scan.name().eq_ignore_ascii_case(&name_with_owner) {
            // Renamed or transferred: the old name still leads there, until somebody takes it.
            batch.writes.push(Write::Renamed {
                old: scan.state.repo.clone(),
                new: name_with_owner.clone(),
            });
        }
        scan.state.name.clone_from(&name_with_owner);
        if pull_requests.has_gaps() {
            // What is missing on this page would not be looked for again.
            scan.progress = Progress::default();
            return;
        }
        let info = pull_requests.page_info.clone();
        let items: Vec<ListedPr> = pull_requests.items().collect();
        let made = || items.iter().filter_map(|pr| pr.created_at.map(Timestamp::from));
        let next = info.end_cursor.filter(|_| info.has_next_page);
        if !scan.page(made().min(), made().max(), next, now) {
            scan.due = now;
        }
        self.name_origins();
        for pr in items {
            self.read_listed(key, &name_with_owner, &pr, now, batch);
        }
    }

    /// Where a repository was renamed, its sessions push to the new name as well.
    fn name_origins(&mut self) {
        let names: Vec<(String, String)> = self
            .scans
            .values()
            .map(|scan| (scan.state.repo.clone(), scan.name().to_owned()))
            .filter(|(repo, name)| !name.eq_ignore_ascii_case(repo))
            .collect();
        if names.is_empty() {
            return;
        }
        for scan in self.scans.values_mut() {
            for candidate in &mut scan.candidates {
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
        pr: &ListedPr,
        now: Timestamp,
        batch: &mut Batch,
    ) {
        let Ok(place) = PrRef::new(&self.host, repo, pr.number) else { return };
        let known = self.by_node.get(&pr.id).cloned().or_else(|| {
            let is_there =
                |place: &PrRef| place.number == pr.number && place.repo.eq_ignore_ascii_case(repo);
            self.watches.values().find(|watch| is_there(&watch.place)).map(|watch| watch.id.clone())
        });
        if let Some(watch) = known.and_then(|id| self.watches.get_mut(&id)) {
            if watch.is_terminal() {
                // It is open: it was reopened.
                watch.wide_due = now;
            }
            return;
        }
        if self.refused.get(&pr.id).is_some_and(|until| *until > now) {
            return;
        }
        let person = self.identity.viewer.as_ref().filter(|viewer| viewer.kind == "User");
        let person = person.map(|viewer| viewer.login.as_str()).filter(|login| !login.is_empty());
        let Some(scan) = self.scans.get(key) else { return };
        let head = Head {
            branch: pr.head_ref_name.as_deref().unwrap_or_default(),
            repo: pr.head_repository.as_ref().map(|it| it.name_with_owner.as_str()),
            author: pr.author.as_ref().map(|author| author.login.as_str()),
        };
        match attribution::attribute(head, &scan.candidates, person) {
            Err(reason) => tracing::debug!(pr = %place, reason, "not of a session"),
            Ok((session, reason)) => {
                tracing::info!(pr = %place, %session, reason, "found a pull request");
                let observation = Observation {
                    node_id: pr.id.clone(),
                    session: Some(session),
                    provider_at: pr.updated_at.map(Timestamp::from),
                    facts: pr.facts(),
                    ..Observation::new(place, now)
                };
                batch.writes.push(Write::Pr(Box::new(PrWrite {
                    pr: None,
                    observation: Some(observation),
                    talk: None,
                    poll: PrPoll { attribution: reason, ..PrPoll::default() },
                })));
            }
        }
    }
}
