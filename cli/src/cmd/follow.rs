//! Follows the events of a conversation, woken by commits.

use std::time::Duration;

use ao_store::turn::event::{self, Event};
use ao_store::{Listener, Store};

use crate::error::Result;

/// The most events of one read.
const READ: usize = 64;

/// A reader of the events of a conversation.
pub(super) struct Follower<'a> {
    store: &'a Store,
    conversation: &'a str,
    /// Everything up to here was returned.
    pub(super) position: i64,
    /// Listens before the first read, so that no commit is missed.
    listener: Listener,
}

impl<'a> Follower<'a> {
    /// Follows a conversation after a position.
    pub(super) fn new(
        store: &'a Store,
        conversation: &'a str,
        position: i64,
    ) -> Result<Follower<'a>> {
        Ok(Follower { store, conversation, position, listener: store.listen()? })
    }

    /// The next events; none if there are none now.
    pub(super) fn next(&mut self) -> Result<Vec<Event>> {
        let (conversation, position) = (self.conversation, self.position);
        let events =
            self.store.read(|snapshot| event::batch(snapshot, conversation, position, READ))?;
        self.position = events.last().map_or(self.position, |event| event.seq);
        Ok(events)
    }

    /// Waits for a commit, or this long.
    pub(super) fn wait(&mut self, at_most: Duration) -> Result<()> {
        self.listener.wait(at_most)?;
        Ok(())
    }

    /// The position of the newest event.
    pub(super) fn head(&self) -> Result<i64> {
        Ok(self.store.read(|snapshot| event::head(snapshot, self.conversation))?)
    }
}
