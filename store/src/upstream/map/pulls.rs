//! Pull requests and their facets, from rows of the tool to rows of this store.

use std::collections::{HashMap, HashSet};

use super::{Plan, Refusal};
use crate::model::id::{PrId, PrRef, ProjectId, SessionId};
use crate::model::observation::{
    Check, Ci, Comment, Completeness, Mergeability, Mergeable, PrState, Review, ReviewDecision,
    Thread,
};
use crate::model::time::Timestamp;
use crate::row::pr::Pr;
use crate::row::session::Session;
use crate::upstream::read::{self, Of, Source};
use crate::upstream::time::Time;

const PR: &str = "pr";

/// The imported sessions, and the project of each, by the key in the source.
type Owners = HashMap<String, (SessionId, ProjectId)>;

/// A pull request with its facets.
#[derive(Debug)]
pub(in crate::upstream) struct Pull {
    /// Its key in the source.
    url: String,
    pub(in crate::upstream) pr: Pr,
    /// The provider's time of the metadata.
    pub(in crate::upstream) provider_at: Option<Timestamp>,
    pub(in crate::upstream) checks: Vec<Check>,
    pub(in crate::upstream) threads: Vec<Thread>,
    pub(in crate::upstream) reviews: Vec<Review>,
    pub(in crate::upstream) comments: Vec<Comment>,
}

/// An item of a pull request.
pub(in crate::upstream) trait Item: Sized {
    /// The parts of its key.
    fn key(&self) -> Vec<String>;

    /// The facet of a pull request that it belongs to.
    fn home(pull: &mut Pull) -> (&mut Vec<Self>, &mut Completeness);

    /// Sets the provider's time of the item.
    fn set_time(&mut self, _at: Option<Timestamp>) {}

    /// The reason why a value of it is dropped.
    fn lost(&self) -> Option<&'static str> {
        None
    }
}

impl Item for Check {
    fn key(&self) -> Vec<String> {
        vec![self.name.clone(), self.head_sha.clone()]
    }

    fn home(pull: &mut Pull) -> (&mut Vec<Self>, &mut Completeness) {
        (&mut pull.checks, &mut pull.pr.checks_state)
    }

    fn lost(&self) -> Option<&'static str> {
        let is_lost = self.log_tail.is_some() && self.external_id.is_empty();
        is_lost.then_some("its log_tail was dropped: it has no details to identify it")
    }
}

impl Item for Thread {
    fn key(&self) -> Vec<String> {
        vec![self.id.clone()]
    }

    fn home(pull: &mut Pull) -> (&mut Vec<Self>, &mut Completeness) {
        (&mut pull.threads, &mut pull.pr.threads_state)
    }
}

impl Item for Review {
    fn key(&self) -> Vec<String> {
        vec![self.id.clone()]
    }

    fn home(pull: &mut Pull) -> (&mut Vec<Self>, &mut Completeness) {
        (&mut pull.reviews, &mut pull.pr.reviews_state)
    }

    fn set_time(&mut self, at: Option<Timestamp>) {
        self.submitted_at = at;
    }
}

impl Item for Comment {
    fn key(&self) -> Vec<String> {
        vec![self.id.clone()]
    }

    fn home(pull: &mut Pull) -> (&mut Vec<Self>, &mut Completeness) {
        (&mut pull.comments, &mut pull.pr.comments_state)
    }
}

impl Plan {
    pub(in crate::upstream) fn take_pulls(&mut self, mut rows: Vec<read::Pr>) {
        // Of two rows for one pull request, the newer one is kept.
        let updated = |row: &read::Pr| match row.updated_at {
            Time::At(at) => Some(at),
            Time::Absent | Time::Unreadable => None,
        };
        rows.sort_by(|a, b| (updated(b), &a.url).cmp(&(updated(a), &b.url)));
        let owner = |session: &Session| {
            (session.id.to_string(), (session.id.clone(), session.project.clone()))
        };
        let owners: Owners = self.sessions.iter().map(owner).collect();
        let (mut ids, mut nodes) = (HashSet::new(), HashSet::new());
        for row in rows {
            let url = row.url.clone();
            match self.pull(&owners, &mut ids, &mut nodes, row) {
                Ok(pull) => self.pulls.push(pull),
                Err(reason) => self.report.skip(PR, &url, reason),
            }
        }
    }

    fn pull(
        &mut self,
        owners: &Owners,
        ids: &mut HashSet<String>,
        nodes: &mut HashSet<String>,
        row: read::Pr,
    ) -> Result<Pull, Refusal> {
        let place: PrRef = row.url.parse().map_err(|_| "its url is not that of a pull request")?;
        if !matches!(row.provider.as_str(), "" | "github") {
            return Err("its provider is not github".to_owned());
        }
        let owner = owners.get(&row.session_id).ok_or("its session was skipped")?;
        let (session, project) = owner.clone();
        let state = state(&row);
        if !ids.insert(place.slug()) {
            return Err("another row is the same pull request".to_owned());
        }
        let key = row.url.as_str();
        let node_id = self.node_id(key, row.provider_id, nodes);
        let mut time = |column, time| self.time(PR, key, column, time);
        let provider_created_at = time("created_at_provider", row.created_at_provider);
        let provider_at = time("updated_at_provider", row.updated_at_provider);
        let merged_at = time("merged_at_provider", row.merged_at_provider);
        let closed_at = time("closed_at_provider", row.closed_at_provider);
        // The tool does not store the time of its first observation.
        let seen_at = time("updated_at", row.updated_at).unwrap_or(self.now);
        let id = PrId::stored(place.slug());
        let pr = Pr {
            node_id,
            state,
            title: row.title,
            author: row.author,
            head_ref: row.source_branch,
            head_sha: row.head_sha,
            base_ref: row.target_branch,
            base_sha: row.base_sha,
            additions: row.additions,
            deletions: row.deletions,
            changed_files: row.changed_files,
            ci: Ci::parse(&row.ci_state),
            review_decision: ReviewDecision::parse(&row.review_decision),
            mergeable: Mergeable::parse(&row.provider_mergeable.to_ascii_lowercase()),
            merge_state: row.provider_merge_state_status.to_ascii_lowercase(),
            mergeability: Mergeability::parse(&row.mergeability),
            merge_commit_sha: row.merge_commit_sha,
            provider_created_at,
            merged_at,
            closed_at,
            ..Pr::unobserved(id, &place, session, project, seen_at)
        };
        Ok(Pull {
            url: row.url,
            pr,
            provider_at,
            checks: Vec::new(),
            threads: Vec::new(),
            reviews: Vec::new(),
            comments: Vec::new(),
        })
    }

    /// The node id of a pull request, which the provider gives to no other. Without one, the first
    /// observation adds it.
    fn node_id(&mut self, key: &str, id: String, nodes: &mut HashSet<String>) -> String {
        // GitHub has numbers as ids, too, but they identify nothing in its GraphQL API.
        let is_number = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        let reason = if is_number || !id.bytes().all(|b| b.is_ascii_graphic()) || id.len() > 200 {
            "its provider_id was dropped: it is no node id"
        } else if !id.is_empty() && !nodes.insert(id.clone()) {
            "its provider_id was dropped: another row has it"
        } else {
            return id;
        };
        self.report.modify(PR, key, reason);
        String::new()
    }

    /// Gives each item to its pull request.
    pub(in crate::upstream) fn attach<T: Item>(&mut self, items: Vec<Of<T>>)
    where
        Of<T>: Source,
    {
        let table = <Of<T> as Source>::TABLE;
        let places: HashMap<String, usize> =
            self.pulls.iter().enumerate().map(|(i, pull)| (pull.url.clone(), i)).collect();
        let mut keys = HashSet::new();
        for Of { pr_url, mut item, at } in items {
            let key = item.key();
            let shown = format!("{pr_url} {}", key.join(" "));
            let place = places.get(&pr_url).copied();
            match accept(place, key, &mut keys) {
                Ok(place) => {
                    item.set_time(self.time(table, &shown, "submitted_at", at));
                    if let Some(reason) = item.lost() {
                        self.report.modify(table, &shown, reason);
                    }
                    let (set, completeness) = T::home(&mut self.pulls[place]);
                    set.push(item);
                    // It is not known whether the provider had more.
                    *completeness = Completeness::Partial;
                }
                Err(reason) => self.report.skip(table, &shown, reason),
            }
        }
    }
}

/// The index of the pull request of an item, if the item can be imported.
fn accept(
    place: Option<usize>,
    key: Vec<String>,
    keys: &mut HashSet<(usize, Vec<String>)>,
) -> Result<usize, &'static str> {
    let place = place.ok_or("its pull request was skipped")?;
    if key.iter().any(String::is_empty) {
        return Err("a part of its key is empty");
    }
    if keys.insert((place, key)) { Ok(place) } else { Err("another row has its key") }
}

/// The first of merged, closed, draft and open that a column states.
fn state(row: &read::Pr) -> PrState {
    let stated = PrState::parse(&row.pr_state);
    if row.is_merged || stated == PrState::Merged {
        PrState::Merged
    } else if row.is_closed || stated == PrState::Closed {
        PrState::Closed
    } else if row.is_draft {
        PrState::Draft
    } else {
        stated
    }
}
