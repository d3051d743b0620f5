//! One subscriber of a fan-out: live while it keeps up, by catch-up reads of the log otherwise.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ao_store::log::change::Change;
use ao_store::{Cursor, Store};
use crossbeam_channel::RecvTimeoutError;

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::subscribers::{SharedBatch, Slot, Subscribers, TICK};
use crate::tail::{LONGEST_WAIT, Start, Tail, read_after};

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
        self.changes[self.skip..].iter().filter(|change| self.filter.matches(change))
    }
}

/// Where the subscriber gets its changes from.
#[derive(Debug)]
enum Source {
    /// The fan-out's channel.
    Live(Slot),
    /// Catch-up reads through the store's pooled readers: any number of subscribers that fell
    /// behind need no connection each. A reserved slot goes live once the cursor reaches its position.
    CatchUp(Option<(Slot, Cursor)>),
}

/// A subscriber. Every change after its start comes exactly once, in order, whether it keeps up or
/// not.
#[derive(Debug)]
pub struct Subscription {
    store: Store,
    subscribers: Arc<Subscribers>,
    filter: Arc<Filter>,
    capacity: usize,
    cursor: Cursor,
    source: Source,
    fallbacks: u64,
}

impl Subscription {
    pub(crate) fn open(
        store: &Store,
        subscribers: Arc<Subscribers>,
        start: Start,
        filter: Filter,
        capacity: usize,
    ) -> Result<Subscription> {
        let cursor = Tail::open(store, start, filter.clone())?.cursor();
        let source = Source::CatchUp(subscribers.join(capacity, cursor.epoch));
        let (store, filter) = (store.clone(), Arc::new(filter));
        let mut subscription =
            Subscription { store, subscribers, filter, capacity, cursor, source, fallbacks: 0 };
        subscription.go_live();
        Ok(subscription)
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
            let left = deadline.saturating_duration_since(Instant::now());
            let found = match &self.source {
                Source::Live(slot) => match slot.channel.recv_timeout(left) {
                    Ok(changes) => self.accept(changes)?,
                    Err(RecvTimeoutError::Timeout) => return Ok(None),
                    Err(RecvTimeoutError::Disconnected) => {
                        self.fall_back()?;
                        None
                    }
                },
                Source::CatchUp(_) => self.catch_up(left)?,
            };
            if found.is_some() || left.is_zero() {
                return Ok(found);
            }
        }
    }

    /// A batch from the channel, without the changes that were returned before.
    fn accept(&mut self, changes: SharedBatch) -> Result<Option<Batch>> {
        let skip = changes.partition_point(|change| change.seq <= self.cursor.seq);
        let Some(first) = changes.get(skip) else { return Ok(None) };
        if first.seq != self.cursor.seq.next() {
            // This cannot happen while the channel is live; the log decides.
            self.fall_back()?;
            return Ok(None);
        }
        self.cursor.seq = changes[changes.len() - 1].seq;
        let batch = Batch { changes, skip, filter: Arc::clone(&self.filter) };
        let is_empty = batch.iter().next().is_none();
        Ok((!is_empty).then_some(batch))
    }

    fn fall_back(&mut self) -> Result<()> {
        if self.subscribers.is_stopped() {
            return Err(Error::Stopped);
        }
        self.fallbacks += 1;
        self.source = Source::CatchUp(None);
        Ok(())
    }

    /// Reads the log once. At its head the subscriber takes a slot, and what is delivered from then
    /// on waits in the channel; it goes live once it has read up to the position of the slot.
    fn catch_up(&mut self, wait: Duration) -> Result<Option<Batch>> {
        let Source::CatchUp(joined) = &mut self.source else { return Ok(None) };
        let (cursor, mut changes) = (self.cursor, Vec::new());
        let (_, is_at_head) = self.store.read(|snapshot| {
            read_after(snapshot, cursor, CATCH_UP, |change| {
                changes.push(change.to_owned()?);
                Ok(())
            })
        })?;
        if is_at_head && joined.is_none() {
            *joined = self.subscribers.join(self.capacity, cursor.epoch);
        }
        if changes.is_empty() && joined.is_none() {
            if self.subscribers.is_stopped() {
                return Err(Error::Stopped);
            }
            // The fan-out has lost its position and soon has one again.
            thread::sleep(wait.min(TICK));
        }
        let batch = self.accept(changes.into())?;
        self.go_live();
        Ok(batch)
    }

    fn go_live(&mut self) {
        let Source::CatchUp(joined) = &mut self.source else { return };
        let cursor = self.cursor;
        let is_reached =
            |position: &Cursor| position.epoch == cursor.epoch && position.seq <= cursor.seq;
        if let Some((slot, _)) = joined.take_if(|(_, position)| is_reached(position)) {
            self.source = Source::Live(slot);
        }
    }
}
