//! Reviews and their threads. Resolving, unresolving and outdating a thread leaves `updatedAt` of
//! the pull request unchanged; every text that is written moves it.

use crate::entity::{Obj, Review, Thread};
use crate::enums::ReviewState;
use crate::world::World;

/// Where a thread starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewThread {
    /// File.
    pub path: String,
    /// Line.
    pub line: u64,
    /// First line of a thread about several lines.
    pub start_line: Option<u64>,
}

impl NewThread {
    /// A thread about one line.
    #[must_use]
    pub fn at(path: &str, line: u64) -> Self {
        Self { path: path.to_owned(), line, start_line: None }
    }
}

impl World {
    /// Submits a review, and returns its node id. An author of none is a deleted account.
    pub fn review<'a>(
        &mut self,
        pr: &str,
        author: impl Into<Option<&'a str>>,
        state: ReviewState,
        body: &str,
    ) -> String {
        let at = self.pr_at(pr);
        let author = self.user_at(author.into());
        self.record("review", Some(at), pr);
        let review = self.new_review(at, author, state, body);
        self.touch(at);
        self.state.reviews[review].id.clone()
    }

    pub(super) fn new_review(
        &mut self,
        pr: usize,
        author: Option<usize>,
        state: ReviewState,
        body: &str,
    ) -> usize {
        let (id, database_id) = self.new_id("PRR");
        let at = self.state.reviews.len();
        self.state.index.insert(id.clone(), Obj::Review(at));
        let (submitted_at, commit) = (self.now_ms(), self.state.prs[pr].head);
        let body = body.to_owned();
        let review = Review { id, database_id, pr, author, state, body, submitted_at, commit };
        self.state.reviews.push(review);
        self.state.prs[pr].reviews.push(at);
        at
    }

    /// Dismisses a review.
    pub fn dismiss_review(&mut self, review: &str) {
        let at = self.review_at(review);
        let pr = self.state.reviews[at].pr;
        self.record("dismiss_review", Some(pr), review);
        self.state.reviews[at].state = ReviewState::Dismissed;
        self.touch(pr);
    }

    /// Starts a thread with one comment, and returns the thread's node id. As on GitHub, the
    /// comment belongs to a review of its own, without a body.
    pub fn thread_add<'a>(
        &mut self,
        pr: &str,
        author: impl Into<Option<&'a str>>,
        place: &NewThread,
        body: &str,
    ) -> String {
        let pr_at = self.pr_at(pr);
        let (id, _) = self.new_id("PRRT");
        let author = self.user_at(author.into());
        self.record("thread_add", Some(pr_at), &id);
        let at = self.state.threads.len();
        self.state.index.insert(id.clone(), Obj::Thread(at));
        self.state.threads.push(Thread {
            id: id.clone(),
            pr: pr_at,
            path: place.path.clone(),
            line: place.line,
            start_line: place.start_line,
            resolved: false,
            resolved_by: None,
            outdated: false,
            comments: Vec::new(),
        });
        self.state.prs[pr_at].threads.push(at);
        self.new_comment(pr_at, Some(at), author, body);
        self.touch(pr_at);
        id
    }

    /// Replies in a thread, and returns the comment's node id.
    pub fn thread_reply<'a>(
        &mut self,
        thread: &str,
        author: impl Into<Option<&'a str>>,
        body: &str,
    ) -> String {
        let at = self.thread_at(thread);
        let pr = self.state.threads[at].pr;
        let author = self.user_at(author.into());
        self.record("thread_reply", Some(pr), thread);
        let comment = self.new_comment(pr, Some(at), author, body);
        self.touch(pr);
        self.state.comments[comment].id.clone()
    }

    /// Resolves a thread.
    pub fn thread_resolve<'a>(&mut self, thread: &str, by: impl Into<Option<&'a str>>) {
        let at = self.thread_at(thread);
        let by = self.user_at(by.into());
        self.record("thread_resolve", Some(self.state.threads[at].pr), thread);
        self.state.threads[at].resolved = true;
        self.state.threads[at].resolved_by = by;
    }

    /// Makes a thread unresolved again.
    pub fn thread_unresolve(&mut self, thread: &str) {
        let at = self.thread_at(thread);
        self.record("thread_unresolve", Some(self.state.threads[at].pr), thread);
        self.state.threads[at].resolved = false;
        self.state.threads[at].resolved_by = None;
    }

    /// Makes a thread outdated: its `line` is null from now on.
    pub fn thread_outdated(&mut self, thread: &str) {
        let at = self.thread_at(thread);
        self.record("thread_outdated", Some(self.state.threads[at].pr), thread);
        self.state.threads[at].outdated = true;
    }

    /// Deletes a thread with all its comments.
    pub fn thread_delete(&mut self, thread: &str) {
        let at = self.thread_at(thread);
        self.record("thread_delete", Some(self.state.threads[at].pr), thread);
        for comment in self.state.threads[at].comments.clone() {
            self.remove_comment(comment);
        }
    }

    /// Node ids of the comments of a thread, oldest first.
    #[must_use]
    pub fn comments_of(&self, thread: &str) -> Vec<String> {
        let thread = &self.state.threads[self.thread_at(thread)];
        thread.comments.iter().map(|at| self.state.comments[*at].id.clone()).collect()
    }
}
