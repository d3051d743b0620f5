//! The items of the four facets. The fields that identify an item are required; the others have the
//! defaults of the store.

use ao_store::Timestamp;
use ao_store::observation::{self, CheckKind, CheckStatus, CommentKind, ReviewState};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::text_enum::Text;
use crate::time::Time;

/// One check of one commit. A run has the identity of its `external_id`, a status that of its name, and a
/// check without an id that of commit, kind, app, workflow, event, name and suite.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Check {
    /// The commit it ran on.
    pub head_sha: String,
    /// What kind of check it is (default: `run`).
    pub kind: Option<Text<CheckKind>>,
    /// The app that reported it, such as `github-actions`.
    pub app: Option<String>,
    /// The workflow it belongs to.
    pub workflow: Option<String>,
    /// The event that started it, such as `push`.
    pub event: Option<String>,
    /// The name of the check, or the context of the status.
    pub name: String,
    /// The provider's id of the suite it belongs to.
    pub suite: Option<String>,
    /// The provider's id of this run.
    pub external_id: Option<String>,
    /// Its status.
    pub status: Option<Text<CheckStatus>>,
    /// The provider's own value of the conclusion.
    pub conclusion: Option<String>,
    /// Whether it must pass before a merge.
    pub is_required: Option<bool>,
    /// Its page.
    pub url: Option<String>,
    /// When it started.
    pub started_at: Option<Time>,
    /// When it ended.
    pub completed_at: Option<Time>,
    /// The last lines of its log; stored apart from the facts and never part of a change.
    pub log_tail: Option<String>,
}

impl From<Check> for observation::Check {
    fn from(check: Check) -> Self {
        observation::Check {
            head_sha: check.head_sha,
            kind: check.kind.map_or(CheckKind::Run, |Text(kind)| kind),
            app: check.app.unwrap_or_default(),
            workflow: check.workflow.unwrap_or_default(),
            event: check.event.unwrap_or_default(),
            name: check.name,
            suite: check.suite.unwrap_or_default(),
            external_id: check.external_id.unwrap_or_default(),
            status: check.status.unwrap_or_default().0,
            conclusion: check.conclusion.unwrap_or_default(),
            is_required: check.is_required,
            url: check.url.unwrap_or_default(),
            started_at: check.started_at.map(Timestamp::from),
            completed_at: check.completed_at.map(Timestamp::from),
            log_tail: check.log_tail,
        }
    }
}

/// One review thread.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Thread {
    /// The provider's node id.
    pub id: String,
    /// The file it is on.
    pub path: Option<String>,
    /// The current line; absent when outdated or on the whole file.
    pub line: Option<i64>,
    /// The line when it was written.
    pub original_line: Option<i64>,
    /// `LEFT` or `RIGHT`.
    pub side: Option<String>,
    /// Whether it is resolved (default: false).
    pub is_resolved: Option<bool>,
    /// Whether the lines have changed since (default: false).
    pub is_outdated: Option<bool>,
    /// Whether it has comments and all are by bots (default: false).
    pub is_bot: Option<bool>,
    /// Login of the user who resolved it.
    pub resolved_by: Option<String>,
    /// How many comments it has.
    pub comments_total: Option<i64>,
}

impl From<Thread> for observation::Thread {
    fn from(thread: Thread) -> Self {
        observation::Thread {
            id: thread.id,
            path: thread.path.unwrap_or_default(),
            line: thread.line,
            original_line: thread.original_line,
            side: thread.side.unwrap_or_default(),
            is_resolved: thread.is_resolved.unwrap_or_default(),
            is_outdated: thread.is_outdated.unwrap_or_default(),
            is_bot: thread.is_bot.unwrap_or_default(),
            resolved_by: thread.resolved_by.unwrap_or_default(),
            comments_total: thread.comments_total,
        }
    }
}

/// One review.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Review {
    /// The provider's node id.
    pub id: String,
    /// Login of the reviewer.
    pub author: Option<String>,
    /// Whether the reviewer is a bot (default: false).
    pub is_bot: Option<bool>,
    /// Its verdict.
    pub state: Option<Text<ReviewState>>,
    /// Its text.
    pub body: Option<String>,
    /// The commit it is about.
    pub commit_sha: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// When it was submitted.
    pub submitted_at: Option<Time>,
}

impl From<Review> for observation::Review {
    fn from(review: Review) -> Self {
        observation::Review {
            id: review.id,
            author: review.author.unwrap_or_default(),
            is_bot: review.is_bot.unwrap_or_default(),
            state: review.state.unwrap_or_default().0,
            body: review.body.unwrap_or_default(),
            commit_sha: review.commit_sha.unwrap_or_default(),
            url: review.url.unwrap_or_default(),
            submitted_at: review.submitted_at.map(Timestamp::from),
        }
    }
}

/// One comment.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Comment {
    /// The provider's node id.
    pub id: String,
    /// Whether it is on a line (`review`) or in the conversation (`issue`). Default: `review` for a
    /// comment with a thread or a path, else `issue`.
    pub kind: Option<Text<CommentKind>>,
    /// The review thread it belongs to.
    pub thread_id: Option<String>,
    /// The comment it answers.
    pub reply_to: Option<String>,
    /// Login of the author.
    pub author: Option<String>,
    /// Whether the author is a bot (default: false).
    pub is_bot: Option<bool>,
    /// The file it is on.
    pub path: Option<String>,
    /// The line it is on, or of an outdated comment the line when it was written.
    pub line: Option<i64>,
    /// Its text.
    pub body: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// Whether it is hidden (default: false).
    pub is_minimized: Option<bool>,
    /// When it was written.
    pub created_at: Option<Time>,
    /// When it was edited last.
    pub edited_at: Option<Time>,
}

impl From<Comment> for observation::Comment {
    fn from(comment: Comment) -> Self {
        let thread_id = comment.thread_id.unwrap_or_default();
        let path = comment.path.unwrap_or_default();
        let is_on_line = !(thread_id.is_empty() && path.is_empty());
        let implied = if is_on_line { CommentKind::Review } else { CommentKind::Issue };
        observation::Comment {
            id: comment.id,
            kind: comment.kind.map_or(implied, |Text(kind)| kind),
            thread_id,
            reply_to: comment.reply_to.unwrap_or_default(),
            author: comment.author.unwrap_or_default(),
            is_bot: comment.is_bot.unwrap_or_default(),
            path,
            line: comment.line,
            body: comment.body.unwrap_or_default(),
            url: comment.url.unwrap_or_default(),
            is_minimized: comment.is_minimized.unwrap_or_default(),
            created_at: comment.created_at.map(Timestamp::from),
            edited_at: comment.edited_at.map(Timestamp::from),
        }
    }
}
