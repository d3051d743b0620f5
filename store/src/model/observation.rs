//! Observations: facts about one pull request, and how complete each set of them is.
//!
//! An [`Observation`] is a patch. `None` means "not observed", never "empty": a field or facet that the
//! provider did not return leaves the stored fact unchanged.

use crate::model::id::{PrRef, SessionId};
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;

text_enum! {
    /// How the observed items of a facet relate to the stored set.
    Mode {
        /// The facet was not observed: nothing changes.
        Preserve = "preserve",
        /// The items are the complete set: stored items that are not among them are removed.
        Replace = "replace",
        /// The items are a part of the set: the others stay.
        Merge = "merge",
    } else Preserve
}

text_enum! {
    /// How complete the stored set of a facet is.
    Completeness {
        /// All items of the provider.
        Complete = "complete",
        /// A part; more items exist.
        Partial = "partial",
        /// The last attempt to read it failed; the stored items are older.
        Failed = "failed",
        /// Never observed.
        Unknown = "unknown",
    } else Unknown
}

text_enum! {
    /// The state of a pull request. Precedence: merged, closed, draft, open.
    PrState {
        /// Open, not ready for review.
        Draft = "draft",
        /// Open.
        Open = "open",
        /// Merged.
        Merged = "merged",
        /// Closed without a merge.
        Closed = "closed",
        /// An unknown value.
        Unknown = "unknown",
    } else Unknown
}

text_enum! {
    /// The roll-up of the checks of the head commit.
    Ci {
        /// All passed.
        Passing = "passing",
        /// At least one failed or was cancelled.
        Failing = "failing",
        /// None failed, and at least one has not ended.
        Pending = "pending",
        /// No checks, or an unknown value.
        Unknown = "unknown",
    } else Unknown
}

text_enum! {
    /// The provider's decision on the reviews.
    ReviewDecision {
        /// No review is required, and none decides.
        None = "none",
        /// Approved.
        Approved = "approved",
        /// Changes were requested.
        ChangesRequested = "changes_requested",
        /// A review is required and missing.
        ReviewRequired = "review_required",
        /// Never observed, or an unknown value.
        Unknown = "unknown",
    } else Unknown
}

text_enum! {
    /// Whether the provider could merge the branches.
    Mergeable {
        /// Without conflict.
        Mergeable = "mergeable",
        /// With a conflict.
        Conflicting = "conflicting",
        /// Not computed yet, or an unknown value.
        Unknown = "unknown",
    } else Unknown
}

text_enum! {
    /// Whether the pull request could be merged now, all facts considered.
    Mergeability {
        /// Yes.
        Mergeable = "mergeable",
        /// The branches conflict.
        Conflicting = "conflicting",
        /// A rule forbids it: draft, failing checks, a review.
        Blocked = "blocked",
        /// It could be, but a check that is not required fails.
        Unstable = "unstable",
        /// It waits in a merge queue, which merges it.
        Queued = "queued",
        /// Never: it is merged or closed.
        Ended = "ended",
        /// Not known.
        Unknown = "unknown",
    } else Unknown
}

text_enum! {
    /// What kind of check it is.
    CheckKind {
        /// A check run.
        Run = "run",
        /// A commit status.
        Status = "status",
        /// A check suite as a whole.
        Suite = "suite",
        /// A run of a workflow as a whole.
        Workflow = "workflow",
        /// An unknown kind.
        Unknown = "unknown",
    } else Unknown
}

text_enum! {
    /// The status of a check.
    CheckStatus {
        /// Waiting to start.
        Queued = "queued",
        /// Running.
        InProgress = "in_progress",
        /// Completed successfully.
        Passed = "passed",
        /// Failed.
        Failed = "failed",
        /// Was cancelled.
        Cancelled = "cancelled",
        /// Was skipped.
        Skipped = "skipped",
        /// An unknown value.
        Unknown = "unknown",
    } else Unknown
}

text_enum! {
    /// The decision of a review.
    ReviewState {
        /// Approved.
        Approved = "approved",
        /// Changes were requested.
        ChangesRequested = "changes_requested",
        /// Only comments.
        Commented = "commented",
        /// Was dismissed.
        Dismissed = "dismissed",
        /// Not submitted yet.
        Pending = "pending",
        /// An unknown value.
        Unknown = "unknown",
    } else Unknown
}

text_enum! {
    /// Where a comment is.
    CommentKind {
        /// On a line of the change.
        Review = "review",
        /// In the conversation.
        Issue = "issue",
        /// An unknown kind.
        Unknown = "unknown",
    } else Unknown
}

/// The metadata of a pull request; `None` means not observed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each field is the provider's fact of the same name")]
pub struct PrFacts {
    pub url: Option<String>,
    pub title: Option<String>,
    pub author: Option<String>,
    pub is_author_bot: Option<bool>,
    pub state: Option<PrState>,
    pub head_ref: Option<String>,
    pub head_repo: Option<String>,
    pub head_sha: Option<String>,
    pub base_ref: Option<String>,
    pub base_sha: Option<String>,
    pub is_cross_repo: Option<bool>,
    pub additions: Option<i64>,
    pub deletions: Option<i64>,
    pub changed_files: Option<i64>,
    pub ci: Option<Ci>,
    pub review_decision: Option<ReviewDecision>,
    pub mergeable: Option<Mergeable>,
    pub merge_state: Option<String>,
    pub is_in_merge_queue: Option<bool>,
    pub is_auto_merge: Option<bool>,
    pub merge_commit_sha: Option<String>,
    pub created_at: Option<Timestamp>,
    pub merged_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
}

/// One check of one commit. A run has the identity of its `external_id`; a status that of its name, and
/// what has no id that of everything up to and including `suite`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Check {
    /// The commit it ran on.
    pub head_sha: String,
    /// Run, status, suite or workflow.
    pub kind: CheckKind,
    /// The app that reported it, such as `github-actions`; may be empty.
    pub app: String,
    /// The workflow it belongs to; may be empty.
    pub workflow: String,
    /// The event that started it, such as `push`; may be empty.
    pub event: String,
    /// The name of the check, or the context of the status.
    pub name: String,
    /// The provider's id of its suite; may be empty.
    pub suite: String,
    /// The provider's id; may be empty.
    pub external_id: String,
    /// Its status.
    pub status: CheckStatus,
    /// The conclusion, in the provider's term.
    pub conclusion: String,
    /// Whether it must pass before a merge, when that is known.
    pub is_required: Option<bool>,
    /// Its page.
    pub url: String,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// The last lines of its log; they are not captured and never part of a change.
    pub log_tail: Option<String>,
}

/// One review thread; its identity is `id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Thread {
    /// The provider's node id.
    pub id: String,
    /// The file that it is on.
    pub path: String,
    /// The line now; `None` when outdated or on the whole file.
    pub line: Option<i64>,
    /// The line at the time of writing.
    pub original_line: Option<i64>,
    /// `LEFT` or `RIGHT`, or empty.
    pub side: String,
    /// Whether it is resolved.
    pub is_resolved: bool,
    /// Whether the lines have changed since.
    pub is_outdated: bool,
    /// Whether it has comments and all are by bots.
    pub is_bot: bool,
    /// Who resolved it; may be empty.
    pub resolved_by: String,
    /// How many comments it has, when that is known.
    pub comments_total: Option<i64>,
}

/// One review; its identity is `id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Review {
    /// The provider's node id.
    pub id: String,
    /// Login of the reviewer.
    pub author: String,
    /// Whether the reviewer is a bot.
    pub is_bot: bool,
    /// Its decision.
    pub state: ReviewState,
    /// Its text.
    pub body: String,
    /// The reviewed commit.
    pub commit_sha: String,
    /// Its page.
    pub url: String,
    /// When it was submitted.
    pub submitted_at: Option<Timestamp>,
}

/// One comment; its identity is `id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Comment {
    /// The provider's node id.
    pub id: String,
    /// On a line, or in the conversation.
    pub kind: CommentKind,
    /// The thread it belongs to; empty when there is none or it is not known.
    pub thread_id: String,
    /// The comment it answers; may be empty.
    pub reply_to: String,
    /// Login of the author.
    pub author: String,
    /// Whether the author is a bot.
    pub is_bot: bool,
    /// The file that it is on; may be empty.
    pub path: String,
    /// The line that it is on, or when it is outdated, was on.
    pub line: Option<i64>,
    /// Its text.
    pub body: String,
    /// Its page.
    pub url: String,
    /// Whether it is hidden.
    pub is_minimized: bool,
    /// When the provider says it was written.
    pub created_at: Option<Timestamp>,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
}

/// The observed items of one facet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Facet<T> {
    /// How the items relate to the stored set.
    pub mode: Mode,
    /// How complete the set is. `None`: complete in mode replace; in mode merge, single items from a
    /// webhook delivery, which say nothing about the set.
    pub completeness: Option<Completeness>,
    /// The items; of several with one identity the last counts.
    pub items: Vec<T>,
    /// The ids of deleted items (mode merge).
    pub removed: Vec<String>,
}

impl<T> Default for Facet<T> {
    fn default() -> Self {
        Facet { mode: Mode::Preserve, completeness: None, items: Vec::new(), removed: Vec::new() }
    }
}

impl<T> Facet<T> {
    /// The complete set.
    #[must_use]
    pub fn replace(items: Vec<T>) -> Facet<T> {
        Facet { mode: Mode::Replace, items, ..Facet::default() }
    }

    /// A part of the set.
    #[must_use]
    pub fn merge(items: Vec<T>) -> Facet<T> {
        Facet { mode: Mode::Merge, items, ..Facet::default() }
    }
}

/// The observed facts about one pull request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observation {
    /// Its current location.
    pub pr: PrRef,
    /// The provider's node id, empty when unknown. It identifies the row after a rename or transfer.
    pub node_id: String,
    /// The session that owns it; `None` lets the store attribute it.
    pub session: Option<SessionId>,
    /// The head branch in its own repository, when nothing else about the head is known. It attributes a
    /// pull request that is not stored yet, and changes no stored fact.
    pub branch: Option<String>,
    /// When it was requested; a fact older than the stored one is ignored.
    pub as_of: Timestamp,
    /// When the sets were requested, if that was before the rest: a list of several pages is as old as
    /// its first page.
    pub sets_as_of: Option<Timestamp>,
    /// The provider's own time of the metadata (`updated_at`).
    pub provider_at: Option<Timestamp>,
    /// The metadata.
    pub facts: PrFacts,
    /// The checks.
    pub checks: Facet<Check>,
    /// The review threads.
    pub threads: Facet<Thread>,
    /// The reviews.
    pub reviews: Facet<Review>,
    /// The comments.
    pub comments: Facet<Comment>,
}

impl Observation {
    /// An observation without facts.
    #[must_use]
    pub fn new(pr: PrRef, as_of: Timestamp) -> Observation {
        Observation {
            pr,
            node_id: String::new(),
            session: None,
            branch: None,
            as_of,
            sets_as_of: None,
            provider_at: None,
            facts: PrFacts::default(),
            checks: Facet::default(),
            threads: Facet::default(),
            reviews: Facet::default(),
            comments: Facet::default(),
        }
    }
}
