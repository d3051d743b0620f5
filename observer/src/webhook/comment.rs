//! The events `pull_request_review_comment` and `issue_comment`, and comments in other payloads.

use ao_store::Timestamp;
use ao_store::observation::{Comment, CommentKind, Facet};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::payload::{Repository, User};
use super::pull_request::PullRequest;
use super::{Delivery, Receipt};
use crate::error::Result;
use crate::time::{Time, newest};

/// A comment in a payload.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Posted {
    pub(super) id: Option<u64>,
    pub(super) node_id: String,
    pub(super) user: Option<User>,
    body: Option<String>,
    pub(super) path: Option<String>,
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
        let user = self.user.clone().unwrap_or_default();
        Comment {
            id: self.node_id.clone(),
            kind,
            author: user.login(),
            is_bot: user.is_bot(),
            path: self.path.clone().unwrap_or_default(),
            line: self.line,
            body: self.body.clone().unwrap_or_default(),
            url: self.html_url.clone().unwrap_or_default(),
            created_at: self.created_at.map(Timestamp::from),
            ..Comment::default()
        }
    }

    pub(super) fn newest(&self) -> Option<Timestamp> {
        newest([self.created_at, self.updated_at])
    }

    /// What an action on the comment means for the stored ones.
    fn facet(&self, kind: CommentKind, action: Option<&str>) -> Facet<Comment> {
        if is_deletion(action) {
            return Facet { removed: vec![self.node_id.clone()], ..Facet::merge(Vec::new()) };
        }
        // Other actions also move `updated_at`, such as submitting the review of the comment.
        let edited_at = self.updated_at.filter(|_| action == Some("edited"));
        let comment = Comment { edited_at: edited_at.map(Timestamp::from), ..self.comment(kind) };
        Facet::merge(vec![comment])
    }
}

fn is_deletion(action: Option<&str>) -> bool {
    action == Some("deleted")
}

/// The payload of `pull_request_review_comment`.
#[derive(Debug, Deserialize)]
pub(super) struct ReviewCommentEvent {
    action: Option<String>,
    comment: Posted,
    pull_request: PullRequest,
    repository: Repository,
}

pub(super) fn deliver_review_comment(
    event: ReviewCommentEvent,
    receipt: &Receipt,
) -> Result<Delivery> {
    let action = event.action.as_deref();
    let mut time = event.comment.newest();
    if is_deletion(action) {
        time = receipt.of_deletion(time);
    }
    let mut observation = event.pull_request.observe(&event.repository, receipt, time)?;
    if let Some(time) = time {
        // The metadata has its own time; that of the comment alone orders its deliveries.
        observation.as_of = time;
    }
    observation.comments = event.comment.facet(CommentKind::Review, action);
    Ok(Delivery::Prs(vec![observation]))
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

pub(super) fn deliver_issue_comment(
    event: IssueCommentEvent,
    receipt: &Receipt,
) -> Result<Delivery> {
    if event.issue.pull_request.is_none() {
        return Ok(Delivery::Ignored { reason: "not a pull request", place: None });
    }
    let action = event.action.as_deref();
    let mut time = event.comment.newest();
    if is_deletion(action) {
        time = receipt.of_deletion(time);
    }
    let place = event.repository.pr(event.issue.number)?;
    let mut observation = receipt.observation(place, time);
    observation.comments = event.comment.facet(CommentKind::Issue, action);
    Ok(Delivery::Prs(vec![observation]))
}
