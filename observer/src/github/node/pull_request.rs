//! A pull request as polls and listings read it: its facts, and the fingerprints that tell whether
//! it changed.

use std::hash::Hash;

use ao_store::observation::{Mergeable, Observation, PrFacts, PrState, ReviewDecision};
use ao_store::{PrRef, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::check::Suite;
use super::detail::ThreadState;
use super::rollup::{Commit, CommitNode, Counts, Rollup, ci};
use super::{Actor, Leaf, Page, RepoName, author, leaf, lower, time};
use crate::github::check_status::pr_state;
use crate::github::fingerprint::Fingerprint;
use crate::github::query::Level;
use crate::time::Time;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Total {
    total_count: i64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    #[serde(default)]
    oid: String,
    check_suites: Option<Page<Suite>>,
}

#[derive(Debug, Clone, Deserialize)]
struct HeadRef {
    target: Option<Target>,
}

/// A pull request. A heartbeat query reads its first half; a full query the second half, too, and a
/// listing what [`PrNode::listed_facts`] uses.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrNode {
    pub(crate) id: String,
    pub(crate) number: i64,
    state: String,
    #[serde(default)]
    is_draft: bool,
    #[serde(default)]
    merged: bool,
    #[serde(default)]
    closed: bool,
    pub(crate) updated_at: Option<Time>,
    pub(crate) head_ref_oid: Option<String>,
    pub(crate) head_ref_name: Option<String>,
    base_ref_name: Option<String>,
    base_ref_oid: Option<String>,
    mergeable: Option<String>,
    merge_state_status: Option<String>,
    review_decision: Option<String>,
    pub(crate) is_in_merge_queue: Option<bool>,
    pub(crate) total_comments_count: Option<i64>,
    #[serde(default)]
    pub(crate) repository: RepoName,
    rollup: Option<Rollup>,
    commits: Option<Page<CommitNode>>,

    url: Option<String>,
    title: Option<String>,
    pub(crate) author: Option<Actor>,
    additions: Option<i64>,
    deletions: Option<i64>,
    changed_files: Option<i64>,
    is_cross_repository: Option<bool>,
    pub(crate) head_repository: Option<RepoName>,
    pub(crate) created_at: Option<Time>,
    merged_at: Option<Time>,
    closed_at: Option<Time>,
    merge_commit: Option<Leaf>,
    auto_merge_request: Option<IgnoredAny>,
    counts: Option<Counts>,
    reviews: Option<Total>,
    pub(crate) review_threads: Option<Page<ThreadState>>,
    head_ref: Option<HeadRef>,

    /// Whether the credentials may not see its checks; not part of the answer.
    #[serde(skip)]
    pub(crate) are_checks_withheld: bool,
}

/// A repository with a page of its pull requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedRepo {
    pub(crate) id: String,
    pub(crate) name_with_owner: String,
    pub(crate) pull_requests: Page<PrNode>,
}

impl PrNode {
    /// The head commit, where the answer has the roll-ups at commits.
    fn head_commit(&self) -> Option<&Commit> {
        let mut commits = self.commits.as_ref()?.iter().map(|node| &node.commit);
        commits.find(|commit| Some(&commit.oid) == self.head_ref_oid.as_ref())
    }

    /// The roll-up of the head commit; `None` when the answer has none *of the head*: one of an
    /// older head is no evidence about this one.
    fn rollup(&self) -> Option<Option<&Rollup>> {
        let head = self.head_ref_oid.as_ref().filter(|_| !self.are_checks_withheld)?;
        if self.commits.is_some() {
            return self.head_commit().map(|commit| commit.rollup.as_ref());
        }
        match &self.rollup {
            // Counts without a roll-up: it is there, and was not answered.
            None => self.counts.is_none().then_some(None),
            Some(rollup) => {
                let is_of_head = rollup.commit.as_ref().is_none_or(|commit| commit.value == *head);
                is_of_head.then_some(Some(rollup))
            }
        }
    }

    fn counts(&self) -> Option<&Counts> {
        self.counts.as_ref().or_else(|| self.head_commit()?.counts.as_ref())
    }

    /// The state.
    pub(crate) fn pr_state(&self) -> PrState {
        pr_state(&self.state, self.is_draft, self.merged)
    }

    pub(crate) fn is_mergeable_unknown(&self) -> bool {
        self.mergeable.as_deref().is_none_or(|text| text == "UNKNOWN")
    }

    /// The facts that a query of this level reads. `is_waiting`: a workflow of the head waits and
    /// has no check run yet, which the roll-up leaves out.
    pub(crate) fn facts(&self, level: Level, is_waiting: bool) -> PrFacts {
        let facts = match level {
            Level::Heartbeat => self.branch_facts(),
            Level::Full => PrFacts {
                additions: self.additions,
                deletions: self.deletions,
                changed_files: self.changed_files,
                is_auto_merge: Some(self.auto_merge_request.is_some()),
                merge_commit_sha: leaf(self.merge_commit.clone())
                    .filter(|_| self.pr_state() == PrState::Merged),
                merged_at: time(self.merged_at),
                closed_at: time(self.closed_at),
                ..self.listed_facts()
            },
        };
        let decision = lower(self.review_decision.as_ref());
        PrFacts {
            ci: self.rollup().map(|rollup| ci(rollup, is_waiting)),
            review_decision: Some(
                decision.map_or(ReviewDecision::None, |text| ReviewDecision::parse(&text)),
            ),
            mergeable: Some(Mergeable::parse(&lower(self.mergeable.as_ref()).unwrap_or_default())),
            merge_state: lower(self.merge_state_status.as_ref()),
            is_in_merge_queue: self.is_in_merge_queue,
            ..facts
        }
    }

    /// The facts that a listing reads.
    pub(crate) fn listed_facts(&self) -> PrFacts {
        let (author, is_author_bot) = author(self.author.as_ref());
        PrFacts {
            url: self.url.clone(),
            title: self.title.clone(),
            author: Some(author),
            is_author_bot: Some(is_author_bot),
            head_repo: self.head_repository.as_ref().map(|it| it.name_with_owner.clone()),
            is_cross_repo: self.is_cross_repository,
            created_at: time(self.created_at),
            ..self.branch_facts()
        }
    }

    /// What a listing reports, as an observation at this time.
    pub(crate) fn listed(&self, location: PrRef, as_of: Timestamp) -> Observation {
        Observation {
            node_id: self.id.clone(),
            provider_at: time(self.updated_at),
            facts: PrFacts {
                merged_at: time(self.merged_at),
                closed_at: time(self.closed_at),
                ..self.listed_facts()
            },
            ..Observation::new(location, as_of)
        }
    }

    fn branch_facts(&self) -> PrFacts {
        PrFacts {
            state: Some(self.pr_state()),
            head_ref: self.head_ref_name.clone(),
            head_sha: self.head_ref_oid.clone(),
            base_ref: self.base_ref_name.clone(),
            base_sha: self.base_ref_oid.clone(),
            ..PrFacts::default()
        }
    }

    /// The fingerprint of all that a heartbeat query reads.
    pub(crate) fn heartbeat_fingerprint(&self) -> Fingerprint {
        let merge = (&self.base_ref_oid, &self.mergeable, &self.merge_state_status);
        Fingerprint::of(&(self.activity(), merge))
    }

    /// The fingerprint of what people and programs did, which a heartbeat query reads: not the mergeability
    /// and the tip of the base, which change by themselves with every push to the base.
    pub(crate) fn activity_fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.activity())
    }

    fn activity(&self) -> impl Hash {
        let location = (&self.repository, self.number, &self.head_ref_name, &self.base_ref_name);
        let state = (&self.state, self.is_draft, self.merged, self.closed, self.updated_at);
        let rest = (self.is_in_merge_queue, &self.review_decision, self.total_comments_count);
        (location, state, &self.head_ref_oid, self.rollup(), rest)
    }

    /// The fingerprint of the metadata that only a full query reads.
    pub(crate) fn metadata_fingerprint(&self) -> Fingerprint {
        let identity = (&self.url, &self.title, &self.author, &self.head_repository);
        let size = (self.additions, self.deletions, self.changed_files, self.is_cross_repository);
        let times = (self.created_at, self.merged_at, self.closed_at);
        Fingerprint::of(&(
            identity,
            size,
            times,
            &self.merge_commit,
            self.auto_merge_request.is_some(),
        ))
    }

    /// The fingerprint of what a full query reads about the checks: when it changes, they are read
    /// again.
    pub(crate) fn checks_fingerprint(&self) -> Fingerprint {
        let target = self.head_ref.as_ref().and_then(|it| it.target.as_ref());
        let suites = target.and_then(|target| target.check_suites.as_ref());
        let suites = suites.map(|page| (page.total_count, &page.nodes));
        Fingerprint::of(&(&self.head_ref_oid, self.rollup(), self.counts(), suites))
    }

    /// The fingerprint of what changes when a user reviews, comments or edits.
    pub(crate) fn discussion_fingerprint(&self) -> Fingerprint {
        let reviews = self.reviews_total();
        Fingerprint::of(&(
            self.updated_at,
            self.total_comments_count,
            reviews,
            &self.review_decision,
        ))
    }

    /// The suites of workflows of the head that wait for a runner or for an approval. No check run
    /// shows them.
    pub(crate) fn waiting_suites(&self) -> impl Iterator<Item = &Suite> {
        self.suites().into_iter().flat_map(Page::iter).filter(|suite| suite.is_waiting())
    }

    /// Whether a suite of the head could not be read, which may be one that waits.
    pub(crate) fn has_suite_gaps(&self) -> bool {
        self.suites().is_some_and(Page::has_gaps)
    }

    fn suites(&self) -> Option<&Page<Suite>> {
        let target = self.head_ref.as_ref()?.target.as_ref()?;
        let is_of_head = self.head_ref_oid.as_ref() == Some(&target.oid);
        target.check_suites.as_ref().filter(|_| is_of_head)
    }

    /// How many checks there are; `None` where the query does not read it.
    pub(crate) fn contexts_total(&self) -> Option<i64> {
        match (self.counts(), self.rollup()) {
            (Some(counts), _) => Some(counts.contexts.total_count),
            (None, Some(None)) => Some(0),
            (None, _) => None,
        }
    }

    /// How many reviews there are; `None` where the query does not read it.
    pub(crate) fn reviews_total(&self) -> Option<i64> {
        self.reviews.as_ref().map(|reviews| reviews.total_count)
    }
}
