//! Comments, on the pull request and in threads. A deleted comment is no longer a node.

use crate::entity::{Comment, Obj};
use crate::enums::ReviewState;
use crate::world::World;

impl World {
    /// Comments on the pull request itself, and returns the comment's node id.
    pub fn comment_add<'a>(
        &mut self,
        pr: &str,
        author: impl Into<Option<&'a str>>,
        body: &str,
    ) -> String {
        let at = self.pr_at(pr);
        let author = self.user_at(author.into());
        self.record("comment_add", Some(at), pr);
        let comment = self.new_comment(at, None, author, body);
        self.touch(at);
        self.state.comments[comment].id.clone()
    }

    pub(super) fn new_comment(
        &mut self,
        pr: usize,
        thread: Option<usize>,
        author: Option<usize>,
        body: &str,
    ) -> usize {
        let (id, database_id) = self.new_id(if thread.is_some() { "PRRC" } else { "IC" });
        let (at, now) = (self.state.comments.len(), self.now_ms());
        self.state.index.insert(id.clone(), Obj::Comment(at));
        let review = thread.map(|_| self.new_review(pr, author, ReviewState::Commented, ""));
        let reply_to = thread.and_then(|thread| self.state.threads[thread].comments.first());
        self.state.comments.push(Comment {
            id,
            database_id,
            pr,
            thread,
            review,
            reply_to: reply_to.copied(),
            author,
            body: body.to_owned(),
            created_at: now,
            updated_at: now,
            edited_at: None,
            minimized: false,
        });
        match thread {
            Some(thread) => self.state.threads[thread].comments.push(at),
            None => self.state.prs[pr].comments.push(at),
        }
        at
    }

    /// Changes the text of a comment.
    pub fn comment_edit(&mut self, comment: &str, body: &str) {
        let at = self.comment_at(comment);
        let (pr, now) = (self.state.comments[at].pr, self.now_ms());
        self.record("comment_edit", Some(pr), comment);
        let edited = &mut self.state.comments[at];
        body.clone_into(&mut edited.body);
        (edited.updated_at, edited.edited_at) = (now, Some(now));
        self.touch(pr);
    }

    /// Hides a comment, or shows it again, without a change of the pull request's `updatedAt`.
    pub fn comment_minimize(&mut self, comment: &str, minimized: bool) {
        let at = self.comment_at(comment);
        self.record("comment_minimize", Some(self.state.comments[at].pr), comment);
        self.state.comments[at].minimized = minimized;
    }

    /// Deletes a comment; the deletion of the last one of a thread deletes the thread.
    pub fn comment_delete(&mut self, comment: &str) {
        let at = self.comment_at(comment);
        let pr = self.state.comments[at].pr;
        self.record("comment_delete", Some(pr), comment);
        self.remove_comment(at);
        self.touch(pr);
    }

    pub(super) fn remove_comment(&mut self, at: usize) {
        let removed = self.state.comments[at].clone();
        self.state.index.remove(&removed.id);
        let pr = &mut self.state.prs[removed.pr];
        pr.comments.retain(|other| *other != at);
        if let Some(review) = removed.review {
            pr.reviews.retain(|other| *other != review);
            self.state.index.remove(&self.state.reviews[review].id);
        }
        if let Some(thread) = removed.thread {
            let comments = &mut self.state.threads[thread].comments;
            comments.retain(|other| *other != at);
            if comments.is_empty() {
                pr.threads.retain(|other| *other != thread);
                self.state.index.remove(&self.state.threads[thread].id);
            }
        }
    }
}
