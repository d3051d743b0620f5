//! The event `pull_request`, and the pull request that stands in other payloads.
//!
//! Only what a payload states becomes a fact: the short form that stands in the deliveries of
//! reviews and comments has no counts and no word on mergeability, and leaves those alone.

use ao_store::Timestamp;
use ao_store::observation::{Mergeable, Observation, PrFacts, PrState};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::payload::{NamedRepository, Repository, User};
use super::{Delivery, Receipt};
use crate::error::Result;
use crate::json;
use crate::text_enum;
use crate::time::{Time, newest};

/// The payload of the event.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    action: Option<String>,
    pull_request: PullRequest,
    repository: Repository,
}

pub(super) fn deliver(event: Event, receipt: &Receipt) -> Result<Delivery> {
    let mut observation = event.pull_request.observe(&event.repository, receipt, None)?;
    observation.facts.is_in_merge_queue = match event.action.as_deref() {
        Some("enqueued") => Some(true),
        Some("dequeued") => Some(false),
        _ => None,
    };
    Ok(Delivery::Prs(vec![observation]))
}

/// A pull request in a payload.
#[derive(Debug, Deserialize)]
pub(super) struct PullRequest {
    number: i64,
    node_id: Option<String>,
    html_url: Option<String>,
    title: Option<String>,
    user: Option<User>,
    state: Option<String>,
    draft: Option<bool>,
    merged: Option<bool>,
    merged_at: Option<Time>,
    closed_at: Option<Time>,
    created_at: Option<Time>,
    pub(super) updated_at: Option<Time>,
    head: Option<Branch>,
    base: Option<Branch>,
    additions: Option<i64>,
    deletions: Option<i64>,
    changed_files: Option<i64>,
    #[serde(default, deserialize_with = "json::present")]
    mergeable: Option<Option<bool>>,
    mergeable_state: Option<String>,
    #[serde(default, deserialize_with = "json::present")]
    auto_merge: Option<Option<IgnoredAny>>,
    merge_commit_sha: Option<String>,
}

/// One end of a pull request. A fork that was deleted is `null`.
#[derive(Debug, Deserialize)]
struct Branch {
    #[serde(rename = "ref")]
    name: Option<String>,
    sha: Option<String>,
    #[serde(default, deserialize_with = "json::present")]
    repo: Option<Option<NamedRepository>>,
}

impl PullRequest {
    /// The metadata as an observation; `item` is the newest time of the item that came with it.
    pub(super) fn observe(
        &self,
        repository: &Repository,
        receipt: &Receipt,
        item: Option<Timestamp>,
    ) -> Result<Observation> {
        let provider = newest([self.updated_at]);
        Ok(Observation {
            node_id: self.node_id.clone().unwrap_or_default(),
            provider_at: provider,
            facts: self.facts(),
            ..receipt.observation(repository.pr(self.number)?, provider.max(item))
        })
    }

    fn facts(&self) -> PrFacts {
        let (head, base) = (self.head.as_ref(), self.base.as_ref());
        let state = self.state();
        let is_merged = state == Some(PrState::Merged);
        PrFacts {
            url: self.html_url.clone(),
            title: self.title.clone(),
            author: self.user.as_ref().map(User::login),
            is_author_bot: self.user.as_ref().map(User::is_bot),
            state,
            head_ref: head.and_then(|head| head.name.clone()),
            head_repo: head.and_then(Branch::repo).and_then(|repo| repo.full_name.clone()),
            head_sha: head.and_then(|head| head.sha.clone()),
            base_ref: base.and_then(|base| base.name.clone()),
            base_sha: base.and_then(|base| base.sha.clone()),
            is_cross_repo: head.zip(base).and_then(|(head, base)| head.is_foreign_to(base)),
            additions: self.additions,
            deletions: self.deletions,
            changed_files: self.changed_files,
            mergeable: self.mergeable.map(mergeable),
            merge_state: self.mergeable_state.as_ref().map(|state| state.to_ascii_lowercase()),
            is_auto_merge: self.auto_merge.as_ref().map(Option::is_some),
            // Before the merge this names a trial merge that is on no branch.
            merge_commit_sha: self.merge_commit_sha.clone().filter(|_| is_merged),
            created_at: self.created_at.map(Timestamp::from),
            merged_at: self.merged_at.map(Timestamp::from),
            closed_at: self.closed_at.map(Timestamp::from),
            ..PrFacts::default()
        }
    }

    fn state(&self) -> Option<PrState> {
        let is_merged = self.merged == Some(true) || self.merged_at.is_some();
        if self.state.is_none() && !is_merged {
            return None;
        }
        let state = self.state.as_deref().unwrap_or_default();
        Some(text_enum::pr_state(state, self.draft == Some(true), is_merged))
    }
}

impl Branch {
    fn repo(&self) -> Option<&NamedRepository> {
        self.repo.as_ref()?.as_ref()
    }

    /// Whether it is of another repository than `base`, when that can be told.
    fn is_foreign_to(&self, base: &Branch) -> Option<bool> {
        match (self.repo.as_ref()?, base.repo()?) {
            // Only a fork can be deleted without its pull requests.
            (None, _) => Some(true),
            (Some(head), base) => head.same_as(base).map(|same| !same),
        }
    }
}

/// The provider computes it lazily and says `null` meanwhile.
fn mergeable(word: Option<bool>) -> Mergeable {
    match word {
        Some(true) => Mergeable::Mergeable,
        Some(false) => Mergeable::Conflicting,
        None => Mergeable::Unknown,
    }
}
