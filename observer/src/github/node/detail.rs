//! Details of a pull request: what a detail query reads of its checks, reviews, comments and review
//! threads.

use ao_store::observation::{Comment, CommentKind, Review, ReviewState, Thread};
use serde::Deserialize;

use super::check::Checks;
use super::rollup::CommitNode;
use super::{Actor, Leaf, Page, author, key, leaf, time};
use crate::time::Time;

/// The state of a review thread.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ThreadState {
    pub(crate) id: String,
    pub(crate) is_resolved: bool,
    #[serde(default)]
    pub(crate) is_outdated: bool,
}

/// A review.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReviewNode {
    id: String,
    author: Option<Actor>,
    #[serde(default)]
    state: String,
    body: Option<String>,
    commit: Option<Leaf>,
    url: Option<String>,
    submitted_at: Option<Time>,
}

impl ReviewNode {
    /// The review; `None` for one without an id.
    pub(crate) fn review(self) -> Option<Review> {
        let (author, is_bot) = author(self.author.as_ref());
        let review = Review {
            id: key(Some(self.id)),
            author,
            is_bot,
            state: ReviewState::parse(&self.state.to_ascii_lowercase()),
            body: self.body.unwrap_or_default(),
            commit_sha: leaf(self.commit).unwrap_or_default(),
            url: self.url.unwrap_or_default(),
            submitted_at: time(self.submitted_at),
        };
        (!review.id.is_empty()).then_some(review)
    }
}

/// A comment of the conversation or of a review thread.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommentNode {
    id: String,
    author: Option<Actor>,
    body: Option<String>,
    url: Option<String>,
    created_at: Option<Time>,
    last_edited_at: Option<Time>,
    #[serde(default)]
    is_minimized: bool,
    path: Option<String>,
    line: Option<i64>,
    original_line: Option<i64>,
    reply_to: Option<Leaf>,
}

impl CommentNode {
    /// The comment, of the thread where one is named; `None` for one without an id.
    pub(crate) fn comment(self, thread: Option<&str>) -> Option<Comment> {
        let (author, is_bot) = author(self.author.as_ref());
        let comment = Comment {
            id: key(Some(self.id)),
            kind: if thread.is_some() { CommentKind::Review } else { CommentKind::Issue },
            thread_id: thread.unwrap_or_default().to_owned(),
            reply_to: leaf(self.reply_to).unwrap_or_default(),
            author,
            is_bot,
            path: self.path.unwrap_or_default(),
            line: self.line.or(self.original_line),
            body: self.body.unwrap_or_default(),
            url: self.url.unwrap_or_default(),
            is_minimized: self.is_minimized,
            created_at: time(self.created_at),
            edited_at: time(self.last_edited_at),
        };
        (!comment.id.is_empty()).then_some(comment)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Updated {
    updated_at: Option<Time>,
}

/// What an alias of a detail query answers. Which fields it has depends on the part that was asked
/// for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartNode {
    updated_at: Option<Time>,
    pull_request: Option<Updated>,
    pub(crate) head_ref_oid: Option<String>,
    checks: Option<Checks>,
    commits: Option<Page<CommitNode>>,
    pub(crate) reviews: Option<Page<ReviewNode>>,
    pub(crate) comments: Option<Page<CommentNode>>,
    pub(crate) review_threads: Option<Page<ThreadState>>,
    #[serde(default)]
    is_resolved: bool,
    #[serde(default)]
    is_outdated: bool,
    path: Option<String>,
    line: Option<i64>,
    original_line: Option<i64>,
    diff_side: Option<String>,
    resolved_by: Option<Leaf>,
}

impl PartNode {
    /// When its pull request was changed last, as this answer has it.
    pub(crate) fn provider_at(&self) -> Option<Time> {
        self.updated_at.or_else(|| self.pull_request.as_ref()?.updated_at)
    }

    /// The checks of the head, wherever the schema has them.
    pub(crate) fn checks_of_head(self) -> Option<Checks> {
        let head = self.head_ref_oid;
        let mut commits = self.commits.into_iter().flat_map(Page::items).map(|node| node.commit);
        self.checks.or_else(|| commits.find(|it| Some(&it.oid) == head.as_ref())?.checks)
    }

    /// The thread with this id and number of comments; their authors are not known yet.
    pub(crate) fn thread(&self, id: &str, comments_total: i64) -> Thread {
        Thread {
            id: id.to_owned(),
            path: self.path.clone().unwrap_or_default(),
            line: self.line,
            original_line: self.original_line,
            side: self.diff_side.clone().unwrap_or_default(),
            is_resolved: self.is_resolved,
            is_outdated: self.is_outdated,
            is_bot: false,
            resolved_by: leaf(self.resolved_by.clone()).unwrap_or_default(),
            comments_total: Some(comments_total),
        }
    }
}
