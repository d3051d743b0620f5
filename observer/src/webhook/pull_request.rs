//! The event `pull_request`, and the pull request in other payloads.
//!
//! Only what a payload states becomes a fact: the short form in the deliveries of reviews and
//! comments has neither counts nor mergeability, and leaves those facts alone.

use ao_store::Timestamp;
use ao_store::observation::{Mergeable, Observation, PrFacts, PrState};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::repository::{NamedRepository, Repository};
use super::{Delivery, Event, Receipt};
use crate::error::Result;
use crate::github::check_status::pr_state;
use crate::github::node::{Actor, author};
use crate::json;
use crate::time::Time;

/// The payload of the event.
#[derive(Debug, Deserialize)]
pub(super) struct PrEvent {
    action: Option<String>,
    pull_request: PullRequest,
    repository: Repository,
}

impl Event for PrEvent {
    fn read(self, receipt: &Receipt) -> Result<Delivery> {
        let mut observation = self.pull_request.observe(&self.repository, receipt, None)?;
        observation.facts.is_in_merge_queue = match self.action.as_deref() {
            Some("enqueued") => Some(true),
            Some("dequeued") => Some(false),
            _ => None,
        };
        Ok(Delivery::Prs(vec![observation]))
    }
}

/// A pull request in a payload.
#[derive(Debug, Deserialize)]
pub(super) struct PullRequest {
    number: i64,
    node_id: Option<String>,
    html_url: Option<String>,
    title: Option<String>,
    #[serde(default, deserialize_with = "json::present")]
    user: Option<Option<Actor>>,
    state: Option<String>,
    draft: Option<bool>,
    merged: Option<bool>,
    merged_at: Option<Time>,
    closed_at: Option<Time>,
    created_at: Option<Time>,
    updated_at: Option<Time>,
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
#[derive(Debug, Default, Deserialize)]
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
        self,
        repository: &Repository,
        receipt: &Receipt,
        item: Option<Timestamp>,
    ) -> Result<Observation> {
        let provider_at = self.updated_at.map(Timestamp::from);
        let observation = receipt.observation(repository.pr(self.number)?, provider_at.max(item));
        Ok(Observation {
            node_id: self.node_id.clone().unwrap_or_default(),
            provider_at,
            facts: self.facts(),
            ..observation
        })
    }

    fn facts(self) -> PrFacts {
        let state = self.state();
        let (author, is_bot) = self.user.as_ref().map(|user| author(user.as_ref())).unzip();
        let (head, base) = (self.head.unwrap_or_default(), self.base.unwrap_or_default());
        PrFacts {
            url: self.html_url,
            title: self.title,
            author,
            is_author_bot: is_bot,
            state,
            is_cross_repo: head.is_foreign_to(&base),
            head_ref: head.name,
            head_repo: head.repo.flatten().and_then(|repo| repo.full_name),
            head_sha: head.sha,
            base_ref: base.name,
            base_sha: base.sha,
            additions: self.additions,
            deletions: self.deletions,
            changed_files: self.changed_files,
            // GitHub computes it when it is asked for, and writes `null` meanwhile.
            mergeable: self.mergeable.map(|is_mergeable| match is_mergeable {
                Some(true) => Mergeable::Mergeable,
                Some(false) => Mergeable::Conflicting,
                None => Mergeable::Unknown,
            }),
            merge_state: self.mergeable_state.map(|state| state.to_ascii_lowercase()),
            is_auto_merge: self.auto_merge.map(|settings| settings.is_some()),
            // Before the merge this names a trial merge that is on no branch.
            merge_commit_sha: self.merge_commit_sha.filter(|_| state == Some(PrState::Merged)),
            created_at: self.created_at.map(Timestamp::from),
            merged_at: self.merged_at.map(Timestamp::from),
            closed_at: self.closed_at.map(Timestamp::from),
            ..PrFacts::default()
        }
    }

    fn state(&self) -> Option<PrState> {
        let is_merged = self.merged == Some(true) || self.merged_at.is_some();
        let state = self.state.as_deref().or(is_merged.then_some("closed"))?;
        Some(pr_state(state, self.draft == Some(true), is_merged))
    }
}

impl Branch {
    /// Whether it is in a different repository from `base`; `None` if the payload does not say.
    fn is_foreign_to(&self, base: &Branch) -> Option<bool> {
        match (self.repo.as_ref()?, base.repo.as_ref()?.as_ref()?) {
            // Only a fork can be deleted without its pull requests.
            (None, _) => Some(true),
            (Some(head), base) => head.same_as(base).map(|same| !same),
        }
    }
}
