//! A tail as an iterator and as a channel: bounded, in order, with bookmarks for what is filtered out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ao_store::Cursor;
use ao_store::log::change::Change;
use crossbeam_channel::{Receiver, SendTimeoutError, bounded};

use crate::error::{Error, Result};
use crate::tail::{LONGEST_WAIT, TICK, Tail};

/// Changes copied out of the log in one read.
const BATCH: usize = 512;

impl Tail {
    /// The changes up to the head of the log as it is when reached; then the iterator ends.
    #[must_use]
    pub fn to_head(self) -> Changes {
        Changes::new(self, false)
    }

    /// The changes without an end: the iterator blocks until the next one is committed.
    #[must_use]
    pub fn follow(self) -> Changes {
        Changes::new(self, true)
    }

    /// The changes as a channel of at most `capacity`, filled by a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn into_receiver(self, capacity: usize) -> Result<ChangeReceiver> {
        ChangeReceiver::start(self, capacity)
    }
}

/// The changes of a tail, one by one.
#[derive(Debug)]
pub struct Changes {
    tail: Tail,
    /// Whether the iterator waits at the head of the log instead of ending there.
    is_following: bool,
    ready: VecDeque<Change>,
    cursor: Cursor,
    is_ended: bool,
}

impl Changes {
    fn new(tail: Tail, is_following: bool) -> Changes {
        let cursor = tail.cursor();
        Changes { tail, is_following, ready: VecDeque::new(), cursor, is_ended: false }
    }

    /// Everything up to here was returned or does not pass the filter.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The next change, or `None` when none came in time.
    ///
    /// # Errors
    /// Those of [`Tail::visit`].
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Change>> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        loop {
            if let Some(change) = self.take(Some(deadline))? {
                return Ok(Some(change));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.tail.wait(left)?;
        }
    }

    /// The next change that is in the log now. With a selective filter the time may be over before
    /// the head is reached.
    fn take(&mut self, by: Option<Instant>) -> Result<Option<Change>> {
        while self.ready.is_empty() {
            let ready = &mut self.ready;
            let visited = self.tail.visit(BATCH, |change| {
                ready.push_back(change.to_owned()?);
                Ok(())
            });
            let visited = match visited {
                Ok(visited) => visited,
                Err(error) => {
                    // The position did not move, so what was copied is read again.
                    self.ready.clear();
                    return Err(error);
                }
            };
            let is_over = by.is_some_and(|by| Instant::now() >= by);
            if self.ready.is_empty() && (visited.is_at_head || is_over) {
                break;
            }
        }
        let change = self.ready.pop_front();
        self.cursor = match &change {
            Some(change) if !self.ready.is_empty() => Cursor { seq: change.seq, ..self.cursor },
            _ => self.tail.cursor(),
        };
        Ok(change)
    }
}

impl Iterator for Changes {
    type Item = Result<Change>;

    /// After an error the iterator ends.
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_ended {
            return None;
        }
        let next = loop {
            let found =
                if self.is_following { self.next_within(LONGEST_WAIT) } else { self.take(None) };
            if !self.is_following || !matches!(found, Ok(None)) {
                break found.transpose();
            }
        };
        self.is_ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// An item that a tail in a thread of its own sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A change.
    Change(Change),
    /// Every change up to here was sent or does not pass the filter: it is safe to resume from here.
    /// Sent when the position moves on and no change passes.
    Bookmark(Cursor),
}

/// A tail in a thread of its own, read through a bounded channel. A full channel delays this tail and
/// nothing else. Dropping it stops the thread.
#[derive(Debug)]
pub struct ChangeReceiver {
    receiver: Receiver<Result<Event>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ChangeReceiver {
    pub(crate) fn start(tail: Tail, capacity: usize) -> Result<ChangeReceiver> {
        let (sender, receiver) = bounded(capacity);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let send = move |mut item: Result<Event>| loop {
            match sender.send_timeout(item, TICK) {
                Ok(()) => return true,
                Err(SendTimeoutError::Timeout(back)) if !stopped.load(Ordering::Relaxed) => {
                    item = back;
                }
                Err(_) => return false,
            }
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("ao-cdc-tail".to_owned())
            .spawn(move || pump(tail.follow(), || stopped.load(Ordering::Relaxed), send))
            .map_err(Error::Thread)?;
        Ok(ChangeReceiver { receiver, stop, thread: Some(thread) })
    }

    /// The channel, for `recv`, iteration and `select!`. An error is the last item.
    #[must_use]
    pub fn receiver(&self) -> &Receiver<Result<Event>> {
        &self.receiver
    }
}

impl Drop for ChangeReceiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Passes each change to `send` until it refuses one, an error was sent, or `is_stopped`. Sends a
/// bookmark when no change passes for a while and the position moves on.
pub(crate) fn pump(
    mut changes: Changes,
    is_stopped: impl Fn() -> bool,
    send: impl Fn(Result<Event>) -> bool,
) {
    let mut reported = changes.cursor();
    while !is_stopped() {
        let next = match changes.next_within(TICK) {
            Ok(Some(change)) => {
                reported.seq = change.seq;
                Ok(Event::Change(change))
            }
            Ok(None) if changes.cursor() != reported => {
                reported = changes.cursor();
                Ok(Event::Bookmark(reported))
            }
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        let is_last = next.is_err();
        if !send(next) || is_last {
            return;
        }
    }
}
