//! One subscriber of a fan-out: from its ring while it keeps up, by reads of the log otherwise.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use ao_store::log::change::Change;
use ao_store::{Cursor, Store};

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::ring::{Found, Ring, SharedBatch};
use crate::tail::{LONGEST_WAIT, Start, TICK, read_after, start_position};

/// Changes copied out of the log in one catch-up read.
const CATCH_UP: usize = 512;

/// Some changes in order, shared with the other subscribers.
#[derive(Debug, Clone)]
pub struct Batch {
    changes: SharedBatch,
    skip: usize,
    filter: Arc<Filter>,
}

impl Batch {
    /// The changes that pass the filter.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.indexes().map(|index| &self.changes[index])
    }

    /// Where the changes that pass the filter are among all changes of the read.
    pub fn indexes(&self) -> impl Iterator<Item = usize> {
        let all = self.changes.iter().enumerate().skip(self.skip);
        all.filter(|(_, change)| self.filter.matches(change)).map(|(index, _)| index)
    }

    /// What `render` makes of all changes of the read, of those too that do not pass: made once for all
    /// subscribers. `None` if another subscriber made a value of another type.
    pub fn rendered<T: Send + Sync + 'static>(
        &self,
        render: impl FnOnce(&[Change]) -> T,
    ) -> Option<&T> {
        self.changes.rendered(render)
    }
}

/// What a task finds without a read of the log.
#[derive(Debug, Clone)]
pub enum Polled {
    /// The next changes.
    Batch(Batch),
    /// The subscriber has to read the log, which may wait for the disk: call
    /// [`Subscription::next_within`] once, on a thread that may block, and poll again.
    Behind,
}

/// A subscriber. Every change after its start comes exactly once, in order, whether it keeps up or
/// not. It is a position in the log: it holds no connection, and no memory but a batch.
#[derive(Debug)]
pub struct Subscription {
    store: Store,
    ring: Arc<Ring>,
    /// Its number in the ring.
    number: u64,
    filter: Arc<Filter>,
    cursor: Cursor,
    /// Whether the ring had the changes after the cursor.
    is_live: bool,
    fallbacks: u64,
}

impl Subscription {
    pub(crate) fn open(
        store: &Store,
        ring: Arc<Ring>,
        start: Start,
        filter: Filter,
    ) -> Result<Subscription> {
        let (log, seq) = start_position(store, start, &filter)?;
        let cursor = log.cursor(seq);
        let (number, is_live) = ring.join(cursor);
        let (store, filter) = (store.clone(), Arc::new(filter));
        Ok(Subscription { store, ring, number, filter, cursor, is_live, fallbacks: 0 })
    }

    /// Everything up to here was returned or does not pass the filter.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// How often the subscriber fell back to catch-up reads.
    #[must_use]
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks
    }

    /// The next changes, or `None` when none came in time.
    ///
    /// # Errors
    /// The cursor errors when the log was pruned past this subscriber or began a new epoch;
    /// [`Error::Stopped`] when the fan-out has stopped.
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Batch>> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        loop {
            let found = self.ring.wait(self.cursor, deadline);
            let batch = match self.note(found)? {
                Found::Changes(changes) => self.accept(changes),
                Found::Nothing | Found::Stopped => None,
                Found::Missing => self.catch_up(deadline)?,
            };
            if batch.is_some() || Instant::now() >= deadline {
                return Ok(batch);
            }
        }
    }

    /// The next changes for a task, which is woken when there are some. It never blocks.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the fan-out has stopped. The others come from
    /// [`Subscription::next_within`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Polled>> {
        loop {
            let Poll::Ready(found) = self.ring.poll(self.cursor, self.number, cx) else {
                self.is_live = true;
                return Poll::Pending;
            };
            match self.note(found)? {
                Found::Changes(changes) => {
                    if let Some(batch) = self.accept(changes) {
                        return Poll::Ready(Ok(Polled::Batch(batch)));
                    }
                }
                _ => return Poll::Ready(Ok(Polled::Behind)),
            }
        }
    }

    /// Whether it is live, and how often it was not any more.
    fn note(&mut self, found: Found) -> Result<Found> {
        match found {
            Found::Stopped => return Err(Error::Stopped),
            Found::Missing => self.fallbacks += u64::from(std::mem::take(&mut self.is_live)),
            Found::Changes(_) | Found::Nothing => self.is_live = true,
        }
        Ok(found)
    }

    /// The changes after the cursor, if one passes the filter.
    fn accept(&mut self, changes: SharedBatch) -> Option<Batch> {
        let skip = changes.partition_point(|change| change.seq <= self.cursor.seq);
        self.cursor.seq = changes[skip..].last()?.seq;
        let batch = Batch { changes, skip, filter: Arc::clone(&self.filter) };
        let is_empty = batch.iter().next().is_none();
        (!is_empty).then_some(batch)
    }

    /// Reads the log once, through the store's pooled readers: any number of subscribers that fell
    /// behind need no connection each.
    fn catch_up(&mut self, deadline: Instant) -> Result<Option<Batch>> {
        let (cursor, mut changes) = (self.cursor, Vec::new());
        self.store.read(|snapshot| {
            read_after(snapshot, cursor, CATCH_UP, |change| {
                changes.push(change.to_owned()?);
                Ok(())
            })
        })?;
        if changes.is_empty() {
            // The fan-out has lost its position and soon has one again.
            thread::sleep(deadline.saturating_duration_since(Instant::now()).min(TICK));
        }
        Ok(self.accept(Arc::new(changes.into())))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.ring.leave(self.number);
    }
}
