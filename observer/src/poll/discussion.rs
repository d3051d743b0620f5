//! The review threads and comments of a pull request as they were read, and how they combine with
//! those that are stored. Pure: the store hands in its rows and gets back what it is to store.

use std::collections::BTreeMap;

use ao_store::observation::{Comment, CommentKind, Completeness, Facet, Thread};

use crate::github::node::ThreadState;
use crate::poll::list::{List, facet};

/// A review thread with its comments, as far as they were read.
#[derive(Debug, Clone)]
pub(crate) struct FetchedThread {
    pub(crate) thread: Thread,
    pub(crate) comments: List<Comment>,
}

/// What was read of the threads and comments of a pull request.
#[derive(Debug, Clone)]
pub(crate) struct Discussion {
    /// The threads that exist, and their states.
    pub(crate) states: List<ThreadState>,
    /// The threads that were read, by id.
    pub(crate) threads: BTreeMap<String, FetchedThread>,
    /// The comments of the conversation, when they were read.
    pub(crate) comments: Option<List<Comment>>,
}

impl Discussion {
    /// Whether every thread that exists is known, and those that were requested were read.
    pub(crate) fn are_threads_read(&self) -> bool {
        self.states.is_read() && self.threads.values().all(|it| it.comments.is_read())
    }

    /// The threads after this reading, given the stored ones: those that were not read again keep
    /// their content and take over their current state.
    pub(crate) fn compose_threads(&self, stored: Vec<Thread>) -> Facet<Thread> {
        let mut stored: BTreeMap<_, _> =
            stored.into_iter().map(|thread| (thread.id.clone(), thread)).collect();
        let mut threads: BTreeMap<&str, Thread> = BTreeMap::new();
        let mut completeness = self.states.completeness();
        for ThreadState { id, is_resolved, is_outdated } in &self.states.items {
            match (self.threads.get(id), stored.remove(id)) {
                (Some(fetched), _) => threads.insert(id, fetched.thread.clone()),
                (None, Some(thread)) => {
                    let (is_resolved, is_outdated) = (*is_resolved, *is_outdated);
                    threads.insert(id, Thread { is_resolved, is_outdated, ..thread })
                }
                // The thread exists, but its content could not be read; or GitHub listed it twice,
                // in which case it may have left out another.
                (None, None) => {
                    completeness = Completeness::Partial;
                    None
                }
            };
        }
        facet(threads.into_values().collect(), completeness)
    }

    /// The comments after this reading, given the stored ones.
    pub(crate) fn compose_comments(&self, stored: Vec<Comment>) -> Facet<Comment> {
        let fetched = self.threads.values().map(|it| &it.comments).chain(&self.comments);
        let is_complete = self.states.completeness() == Completeness::Complete
            && fetched.clone().all(|list| list.completeness() == Completeness::Complete);
        let completeness = if is_complete { Completeness::Complete } else { Completeness::Partial };
        let kept = stored.into_iter().filter(|comment| self.keeps(comment));
        let read = fetched.flat_map(|list| list.items.iter().cloned());
        let all = kept.chain(read).map(|comment| (comment.id.clone(), comment));
        facet(all.collect::<BTreeMap<_, _>>().into_values().collect(), completeness)
    }

    /// Whether a stored comment stays although it was not read again: the list that it belongs to was
    /// not read, and its thread still exists.
    fn keeps(&self, comment: &Comment) -> bool {
        let thread = comment.thread_id.as_str();
        if thread.is_empty() {
            self.comments.is_none() || comment.kind != CommentKind::Issue
        } else {
            !self.threads.contains_key(thread) && self.states.items.iter().any(|it| it.id == thread)
        }
    }
}
