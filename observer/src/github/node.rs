//! The shapes of answers. Words stay text and everything that GitHub may leave out is optional, so
//! that a new enum value or a `null` is a fact not learned and never an error.

use serde::Deserialize;

use crate::time::Time;

/// A user, bot or mannequin; `null` where the account is gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Actor {
    #[serde(rename = "__typename", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) login: String,
}

/// Something of which only the object id is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Oid {
    pub(crate) oid: String,
}

/// Something of which only the login is read.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Login {
    pub(crate) login: String,
}

/// Something of which only the node id is read.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Id {
    pub(crate) id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RepoName {
    pub(crate) name_with_owner: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Rollup {
    #[serde(default)]
    pub(crate) state: String,
    pub(crate) commit: Option<Oid>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct StateCount {
    pub(crate) state: String,
    pub(crate) count: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Contexts {
    pub(crate) total_count: i64,
    pub(crate) check_run_counts_by_state: Option<Vec<StateCount>>,
    pub(crate) status_context_counts_by_state: Option<Vec<StateCount>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Counts {
    pub(crate) contexts: Contexts,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Total {
    pub(crate) total_count: i64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageInfo {
    #[serde(default)]
    pub(crate) has_next_page: bool,
    pub(crate) end_cursor: Option<String>,
}

/// One page of a connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    #[serde(default)]
    pub(crate) total_count: i64,
    #[serde(default)]
    pub(crate) page_info: PageInfo,
    pub(crate) nodes: Option<Vec<Option<T>>>,
}

impl<T> Page<T> {
    /// Whether something on it was not answered: it is not all that is there.
    pub(crate) fn has_gaps(&self) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.iter().any(Option::is_none))
    }

    /// The items that are there.
    pub(crate) fn items(self) -> impl Iterator<Item = T> {
        self.nodes.into_iter().flatten().flatten()
    }
}

/// The state of a review thread.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ThreadState {
    pub(crate) id: String,
    pub(crate) is_resolved: bool,
    #[serde(default)]
    pub(crate) is_outdated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct App {
    pub(crate) slug: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Workflow {
    pub(crate) name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct WorkflowRun {
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) workflow: Option<Workflow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Suite {
    pub(crate) id: String,
    pub(crate) status: Option<String>,
    pub(crate) conclusion: Option<String>,
    pub(crate) app: Option<App>,
    pub(crate) workflow_run: Option<WorkflowRun>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    #[serde(default)]
    pub(crate) oid: String,
    pub(crate) check_suites: Option<Page<Suite>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct HeadRef {
    pub(crate) target: Option<Target>,
}

/// A commit with its rollup, as older servers have it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CommitNode {
    pub(crate) commit: RolledCommit,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RolledCommit {
    pub(crate) oid: String,
    pub(crate) rollup: Option<Rollup>,
    pub(crate) counts: Option<Counts>,
    pub(crate) checks: Option<Checks>,
}

/// A pull request as a look reads it; the second half stands in wide looks only.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrNode {
    pub(crate) id: String,
    pub(crate) number: i64,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) is_draft: bool,
    #[serde(default)]
    pub(crate) merged: bool,
    #[serde(default)]
    pub(crate) closed: bool,
    pub(crate) updated_at: Option<Time>,
    pub(crate) head_ref_oid: Option<String>,
    pub(crate) head_ref_name: Option<String>,
    pub(crate) base_ref_name: Option<String>,
    pub(crate) base_ref_oid: Option<String>,
    pub(crate) mergeable: Option<String>,
    pub(crate) merge_state_status: Option<String>,
    pub(crate) review_decision: Option<String>,
    pub(crate) is_in_merge_queue: Option<bool>,
    pub(crate) total_comments_count: Option<i64>,
    pub(crate) repository: RepoName,
    pub(crate) rollup: Option<Rollup>,
    pub(crate) commits: Option<Page<CommitNode>>,

    pub(crate) url: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) author: Option<Actor>,
    pub(crate) additions: Option<i64>,
    pub(crate) deletions: Option<i64>,
    pub(crate) changed_files: Option<i64>,
    pub(crate) is_cross_repository: Option<bool>,
    pub(crate) head_repository: Option<RepoName>,
    pub(crate) created_at: Option<Time>,
    pub(crate) merged_at: Option<Time>,
    pub(crate) closed_at: Option<Time>,
    pub(crate) merge_commit: Option<Oid>,
    pub(crate) auto_merge_request: Option<serde::de::IgnoredAny>,
    pub(crate) counts: Option<Counts>,
    pub(crate) reviews: Option<Total>,
    pub(crate) review_threads: Option<Page<ThreadState>>,
    pub(crate) head_ref: Option<HeadRef>,

    /// Whether the credentials may not see its checks; not part of the answer.
    #[serde(skip)]
    pub(crate) are_checks_withheld: bool,
}

/// A pull request of a listing.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedPr {
    pub(crate) id: String,
    pub(crate) number: i64,
    pub(crate) url: Option<String>,
    pub(crate) title: Option<String>,
    #[serde(default)]
    pub(crate) is_draft: bool,
    pub(crate) head_ref_name: Option<String>,
    pub(crate) head_ref_oid: Option<String>,
    pub(crate) base_ref_name: Option<String>,
    pub(crate) base_ref_oid: Option<String>,
    pub(crate) is_cross_repository: Option<bool>,
    pub(crate) head_repository: Option<RepoName>,
    pub(crate) author: Option<Actor>,
    pub(crate) created_at: Option<Time>,
    pub(crate) updated_at: Option<Time>,
}

/// A repository of a listing.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedRepo {
    pub(crate) id: String,
    pub(crate) name_with_owner: String,
    pub(crate) pull_requests: Page<ListedPr>,
}

/// A check run or a commit status, told apart by `__typename`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContextNode {
    #[serde(rename = "__typename")]
    pub(crate) kind: String,
    pub(crate) id: Option<String>,
    pub(crate) database_id: Option<i64>,
    pub(crate) name: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) conclusion: Option<String>,
    pub(crate) started_at: Option<Time>,
    pub(crate) completed_at: Option<Time>,
    pub(crate) details_url: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) is_required: Option<bool>,
    pub(crate) check_suite: Option<SuiteOfRun>,
    pub(crate) context: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) target_url: Option<String>,
    pub(crate) created_at: Option<Time>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SuiteOfRun {
    pub(crate) app: Option<App>,
    pub(crate) workflow_run: Option<WorkflowRun>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Checks {
    pub(crate) commit: Option<Oid>,
    pub(crate) contexts: Page<ContextNode>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReviewNode {
    pub(crate) id: String,
    pub(crate) author: Option<Actor>,
    #[serde(default)]
    pub(crate) state: String,
    pub(crate) body: Option<String>,
    pub(crate) commit: Option<Oid>,
    pub(crate) url: Option<String>,
    pub(crate) submitted_at: Option<Time>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommentNode {
    pub(crate) id: String,
    pub(crate) author: Option<Actor>,
    pub(crate) body: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) created_at: Option<Time>,
    pub(crate) last_edited_at: Option<Time>,
    #[serde(default)]
    pub(crate) is_minimized: bool,
    pub(crate) path: Option<String>,
    pub(crate) line: Option<i64>,
    pub(crate) original_line: Option<i64>,
    pub(crate) reply_to: Option<Id>,
}

/// Something of which only the time of its last change is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Updated {
    pub(crate) updated_at: Option<Time>,
}

impl PartNode {
    /// When its pull request was changed last, as this answer has it.
    pub(crate) fn provider_at(&self) -> Option<Time> {
        self.updated_at.or_else(|| self.pull_request.as_ref()?.updated_at)
    }
}

/// What a detail alias answers; which fields are there depends on the part that was asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartNode {
    pub(crate) updated_at: Option<Time>,
    pub(crate) pull_request: Option<Updated>,
    pub(crate) head_ref_oid: Option<String>,
    pub(crate) checks: Option<Checks>,
    pub(crate) commits: Option<Page<CommitNode>>,
    pub(crate) reviews: Option<Page<ReviewNode>>,
    pub(crate) comments: Option<Page<CommentNode>>,
    pub(crate) review_threads: Option<Page<ThreadState>>,
    #[serde(default)]
    pub(crate) is_resolved: bool,
    #[serde(default)]
    pub(crate) is_outdated: bool,
    pub(crate) path: Option<String>,
    pub(crate) line: Option<i64>,
    pub(crate) original_line: Option<i64>,
    pub(crate) diff_side: Option<String>,
    pub(crate) resolved_by: Option<Login>,
}

/// `rateLimit` of an answer; `null` where the host has no limits.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RateLimit {
    pub(crate) cost: i64,
    pub(crate) limit: i64,
    pub(crate) remaining: i64,
    pub(crate) reset_at: Option<Time>,
}
