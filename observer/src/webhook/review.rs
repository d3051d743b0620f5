//! The events `pull_request_review` and `pull_request_review_thread`.

use ao_store::Timestamp;
use ao_store::observation::{Comment, CommentKind, Facet, Review, ReviewState, Thread};
use serde::Deserialize;

use super::comment::Posted;
use super::pull_request::PullRequest;
use super::repository::{RepoLocation, Repository};
use super::{Delivery, Event, Receipt};
use crate::error::Result;
use crate::github::node::{Actor, author};
use crate::time::{Time, newest};

/// The payload of `pull_request_review`.
#[derive(Debug, Deserialize)]
pub(super) struct ReviewEvent {
    review: Submitted,
    pull_request: PullRequest,
    repository: Repository,
}

#[derive(Debug, Deserialize)]
struct Submitted {
    node_id: String,
    user: Option<Actor>,
    state: Option<String>,
    body: Option<String>,
    commit_id: Option<String>,
    html_url: Option<String>,
    submitted_at: Option<Time>,
    updated_at: Option<Time>,
}

impl Event for ReviewEvent {
    fn read(self, receipt: &Receipt) -> Result<Delivery> {
        let review = self.review;
        // A dismissal leaves the time of the review alone and moves that of the pull request, which
        // `observe` counts in.
        let time = newest([review.submitted_at, review.updated_at]);
        let mut observation = self.pull_request.observe(&self.repository, receipt, time)?;
        let (author, is_bot) = author(review.user.as_ref());
        observation.reviews = Facet::merge(vec![Review {
            id: review.node_id,
            author,
            is_bot,
            state: ReviewState::parse(&review.state.unwrap_or_default().to_ascii_lowercase()),
            body: review.body.unwrap_or_default(),
            commit_sha: review.commit_id.unwrap_or_default(),
            url: review.html_url.unwrap_or_default(),
            submitted_at: review.submitted_at.map(Timestamp::from),
        }]);
        Ok(Delivery::Prs(vec![observation]))
    }
}

/// The payload of `pull_request_review_thread`.
#[derive(Debug, Deserialize)]
pub(super) struct ThreadEvent {
    action: Option<String>,
    thread: Discussion,
    pull_request: PullRequest,
    repository: Repository,
    sender: Option<Actor>,
    updated_at: Option<Time>,
}

#[derive(Debug, Deserialize)]
struct Discussion {
    node_id: String,
    #[serde(default)]
    comments: Vec<Posted>,
}

impl Event for ThreadEvent {
    fn read(self, receipt: &Receipt) -> Result<Delivery> {
        let is_resolved = match self.action.as_deref() {
            Some("resolved") => true,
            Some("unresolved") => false,
            _ => {
                let reason = "the action on the thread is not supported";
                return Ok(Delivery::Ignored {
                    reason,
                    location: RepoLocation::of(&self.repository),
                });
            }
        };
        // A thread has no time of its own. It is at least as new as what the payload shows of it.
        let shown = self.thread.comments.iter().map(|comment| comment.updated_at);
        let time = newest(shown.chain([self.updated_at]));
        let mut observation = self.pull_request.observe(&self.repository, receipt, time)?;
        let comments = self.thread.comments();
        let mut thread = self.thread.thread(&comments);
        thread.is_resolved = is_resolved;
        if is_resolved {
            thread.resolved_by = author(self.sender.as_ref()).0;
        }
        observation.threads = Facet::merge(vec![thread]);
        observation.comments = Facet::merge(comments);
        Ok(Delivery::Prs(vec![observation]))
    }
}

impl Discussion {
    /// The thread, which is where its first comment is.
    fn thread(&self, comments: &[Comment]) -> Thread {
        let thread = Thread {
            id: self.node_id.clone(),
            is_bot: !comments.is_empty() && comments.iter().all(|comment| comment.is_bot),
            comments_total: i64::try_from(comments.len()).ok(),
            ..Thread::default()
        };
        let Some((first, comment)) = self.comments.first().zip(comments.first()) else {
            return thread;
        };
        let is_on_file = first.subject_type.as_deref() == Some("file");
        Thread {
            path: comment.path.clone(),
            line: first.line,
            original_line: first.original_line,
            side: first.side.clone().unwrap_or_default(),
            is_outdated: first.line.is_none() && first.original_line.is_some() && !is_on_file,
            ..thread
        }
    }

    /// Its comments. Here the number of an answered comment has a node id: that of the comment of
    /// the same thread.
    fn comments(&self) -> Vec<Comment> {
        let node_id = |id: u64| {
            let answered = self.comments.iter().find(|comment| comment.id == Some(id))?;
            Some(answered.node_id.clone())
        };
        let comment = |posted: &Posted| Comment {
            thread_id: self.node_id.clone(),
            reply_to: posted.in_reply_to_id.and_then(node_id).unwrap_or_default(),
            ..posted.comment(CommentKind::Review)
        };
        self.comments.iter().map(comment).collect()
    }
}
