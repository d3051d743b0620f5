//! The events `pull_request_review_comment` and `issue_comment`, and comments in other payloads.

use ao_store::Timestamp;
use ao_store::observation::{Comment, CommentKind, Facet};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::pull_request::PullRequest;
use super::repository::Repository;
use super::{Delivery, Event, Receipt};
use crate::error::Result;
use crate::github::node::{Actor, author};
use crate::time::{Time, newest};

/// A comment in a payload.
#[derive(Debug, Deserialize)]
pub(super) struct Posted {
    pub(super) id: Option<u64>,
    pub(super) node_id: String,
    user: Option<Actor>,
    body: Option<String>,
    path: Option<String>,
    pub(super) line: Option<i64>,
    pub(super) original_line: Option<i64>,
    pub(super) side: Option<String>,
    pub(super) subject_type: Option<String>,
    pub(super) in_reply_to_id: Option<u64>,
    html_url: Option<String>,
    created_at: Option<Time>,
    pub(super) updated_at: Option<Time>,
}

impl Posted {
    /// The comment as the store keeps it. Its thread is not known, and neither is the node id of
    /// the comment that it answers: the payload has only the number of that one.
    pub(super) fn comment(&self, kind: CommentKind) -> Comment {
        let (author, is_bot) = author(self.user.as_ref());
        Comment {
            id: self.node_id.clone(),
            kind,
            author,
            is_bot,
            path: self.path.clone().unwrap_or_default(),
            line: self.line.or(self.original_line),
            body: self.body.clone().unwrap_or_default(),
            url: self.html_url.clone().unwrap_or_default(),
            created_at: self.created_at.map(Timestamp::from),
            ..Comment::default()
        }
    }

    /// What an action on the comment means for the stored ones, and when it happened.
    fn facet(
        &self,
        kind: CommentKind,
        action: Option<&str>,
        receipt: &Receipt,
    ) -> (Facet<Comment>, Option<Timestamp>) {
        let time = newest([self.created_at, self.updated_at]);
        if action == Some("deleted") {
            let removed = vec![self.node_id.clone()];
            // A deletion is final, so it is newer than every other fact about the comment, also
            // one that arrives after it.
            return (Facet { removed, ..Facet::merge(Vec::new()) }, time.max(Some(receipt.now)));
        }
        // Other actions also move `updated_at`, such as submitting the review of the comment.
        let edited_at = self.updated_at.filter(|_| action == Some("edited"));
        let comment = Comment { edited_at: edited_at.map(Timestamp::from), ..self.comment(kind) };
        (Facet::merge(vec![comment]), time)
    }
}

/// The payload of `pull_request_review_comment`.
#[derive(Debug, Deserialize)]
pub(super) struct ReviewCommentEvent {
    action: Option<String>,
    comment: Posted,
    pull_request: PullRequest,
    repository: Repository,
}

impl Event for ReviewCommentEvent {
    fn read(self, receipt: &Receipt) -> Result<Delivery> {
        let (comments, time) =
            self.comment.facet(CommentKind::Review, self.action.as_deref(), receipt);
        let mut observation = self.pull_request.observe(&self.repository, receipt, time)?;
        if let Some(time) = time {
            // The metadata has its own time; that of the comment alone orders its deliveries.
            observation.as_of = time;
        }
        observation.comments = comments;
        Ok(Delivery::Prs(vec![observation]))
    }
}

/// The payload of `issue_comment`: a pull request is an issue with a `pull_request`.
#[derive(Debug, Deserialize)]
pub(super) struct IssueCommentEvent {
    action: Option<String>,
    comment: Posted,
    issue: Issue,
    repository: Repository,
}

#[derive(Debug, Deserialize)]
struct Issue {
    number: i64,
    pull_request: Option<IgnoredAny>,
}

impl Event for IssueCommentEvent {
    fn read(self, receipt: &Receipt) -> Result<Delivery> {
        if self.issue.pull_request.is_none() {
            return Ok(Delivery::Ignored { reason: "not a pull request", location: None });
        }
        let (comments, time) =
            self.comment.facet(CommentKind::Issue, self.action.as_deref(), receipt);
        let mut observation = receipt.observation(self.repository.pr(self.issue.number)?, time);
        observation.comments = comments;
        Ok(Delivery::Prs(vec![observation]))
    }
}
