//! A tail as an iterator and as a channel.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ao_store::Cursor;
use ao_store::row::change::Change;
use crossbeam_channel::{Receiver, SendTimeoutError, bounded};

use crate::error::{Error, Result};
use crate::tail::{LONGEST_WAIT, Tail};

/// Changes copied out of the log in one read.
const BATCH: usize = 512;
/// How often a waiting thread looks whether it should stop.
const TICK: Duration = Duration::from_millis(100);

/// Where the iterator ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Head,
    Never,
}

/// The changes of a tail, one by one.
#[derive(Debug)]
pub struct Changes {
    tail: Tail,
    limit: Limit,
    ready: VecDeque<Change>,
    cursor: Cursor,
    is_ended: bool,
}

impl Changes {
    pub(crate) fn new(tail: Tail, limit: Limit) -> Changes {
        let cursor = tail.cursor();
        Changes { tail, limit, ready: VecDeque::new(), cursor, is_ended: false }
    }

    /// Everything up to here was returned (or did not pass the filter).
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

    /// The next change that is in the log now. A filter may let so little through that the time is
    /// over before the head is reached.
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
                    // The position did not move, so what was copied would come again.
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
        let next = match self.limit {
            Limit::Head => self.take(None).transpose(),
            Limit::Never => loop {
                match self.next_within(Duration::from_secs(3600)).transpose() {
                    None => {}
                    found => break found,
                }
            },
        };
        self.is_ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// What a tail in a thread of its own sends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "almost every event is a change: a box would cost each"
)]
pub enum Event {
    /// A change.
    Change(Change),
    /// Every change up to here was sent or does not pass the filter: to resume from here is safe. It
    /// comes when nothing else does.
    Bookmark(Cursor),
}

/// A tail in a thread of its own, read through a bounded channel. A full channel holds the tail up,
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

/// Hands each change to `send` until it refuses one, an error was sent, or `is_stopped`. When nothing
/// came for a while and the position moved on all the same, a bookmark.
pub(crate) fn pump(
    mut changes: Changes,
    is_stopped: impl Fn() -> bool,
    send: impl Fn(Result<Event>) -> bool,
) {
    let mut told = changes.cursor();
    while !is_stopped() {
        let next = match changes.next_within(TICK) {
            Ok(Some(change)) => {
                told.seq = change.seq;
                Ok(Event::Change(change))
            }
            Ok(None) if changes.cursor() != told => {
                told = changes.cursor();
                Ok(Event::Bookmark(told))
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
