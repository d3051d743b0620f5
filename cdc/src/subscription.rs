//! One subscriber of a fan-out: live while it keeps up, reading the log by itself when it does not.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ao_store::Cursor;
use ao_store::row::change::Change;
use crossbeam_channel::RecvTimeoutError;

use crate::error::{Error, Result};
use crate::fanout::{Audience, Seat, Shared, StoreHandle, TICK};
use crate::filter::Filter;
use crate::tail::{LONGEST_WAIT, Start, Tail, read_after};

/// Changes copied out of the log in one read while catching up.
const CATCH_UP: usize = 512;

/// Some changes in order, shared with the other subscribers.
#[derive(Debug, Clone)]
pub struct Batch {
    changes: Shared,
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
    Live(Seat),
    /// The log, at its own pace, by the store's pooled readers: any number of subscribers that fell
    /// behind need no connection each. The seat is one taken already: live once the cursor has
    /// reached its position.
    Log(Option<(Seat, Cursor)>),
}

/// A subscriber. Every change after its start comes exactly once, in order, whether it keeps up or
/// not.
#[derive(Debug)]
pub struct Subscription {
    store: StoreHandle,
    audience: Arc<Audience>,
    filter: Arc<Filter>,
    capacity: usize,
    cursor: Cursor,
    source: Source,
    demotions: u64,
}

impl Subscription {
    pub(crate) fn open(
        store: &StoreHandle,
        audience: Arc<Audience>,
        start: Start,
        filter: Filter,
        capacity: usize,
    ) -> Result<Subscription> {
        let position = Tail::open(&store.0, start, filter.clone())?.cursor();
        let source = Source::Log(audience.join(capacity, position.epoch));
        let mut subscription = Subscription {
            store: store.clone(),
            audience,
            filter: Arc::new(filter),
            capacity,
            cursor: position,
            source,
            demotions: 0,
        };
        subscription.go_live();
        Ok(subscription)
    }

    /// Everything up to here was returned (or did not pass the filter).
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// How often it fell behind and read the log by itself.
    #[must_use]
    pub fn demotions(&self) -> u64 {
        self.demotions
    }

    /// The next changes, or `None` when none came in time.
    ///
    /// # Errors
    /// The cursor errors when the log was pruned past this subscriber or began a new epoch;
    /// [`Error::Stopped`] when the fan-out is gone.
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<Batch>> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let found = match &self.source {
                Source::Live(seat) => match seat.channel.recv_timeout(left) {
                    Ok(changes) => self.accept(changes)?,
                    Err(RecvTimeoutError::Timeout) => return Ok(None),
                    Err(RecvTimeoutError::Disconnected) => {
                        self.demote()?;
                        None
                    }
                },
                Source::Log(_) => self.read_log(left)?,
            };
            if found.is_some() || left.is_zero() {
                return Ok(found);
            }
        }
    }

    /// A batch from the channel, without what was seen before.
    fn accept(&mut self, changes: Shared) -> Result<Option<Batch>> {
        let skip = changes.partition_point(|change| change.seq <= self.cursor.seq);
        let Some(first) = changes.get(skip) else { return Ok(None) };
        if first.seq != self.cursor.seq.next() {
            // Cannot be while the channel is live; the log decides.
            self.demote()?;
            return Ok(None);
        }
        self.cursor.seq = changes[changes.len() - 1].seq;
        let batch = Batch { changes, skip, filter: Arc::clone(&self.filter) };
        let is_empty = batch.iter().next().is_none();
        Ok((!is_empty).then_some(batch))
    }

    fn demote(&mut self) -> Result<()> {
        if self.audience.is_stopped() {
            return Err(Error::Stopped);
        }
        self.demotions += 1;
        self.source = Source::Log(None);
        Ok(())
    }

    /// One read of the log. At its head the subscriber joins the audience, and what is delivered
    /// from then on waits in the channel; it goes live once it has read up to where it joined.
    fn read_log(&mut self, wait: Duration) -> Result<Option<Batch>> {
        let Source::Log(joined) = &mut self.source else { return Ok(None) };
        let (cursor, mut changes) = (self.cursor, Vec::new());
        let (_, is_at_head) = self.store.0.read(|snapshot| {
            read_after(snapshot, cursor, CATCH_UP, |change| {
                changes.push(change.to_owned()?);
                Ok(())
            })
        })?;
        if is_at_head && joined.is_none() {
            *joined = self.audience.join(self.capacity, cursor.epoch);
        }
        if changes.is_empty() && joined.is_none() {
            if self.audience.is_stopped() {
                return Err(Error::Stopped);
            }
            // The fan-out is between two places and soon has one again.
            thread::sleep(wait.min(TICK));
        }
        let batch = self.accept(changes.into())?;
        self.go_live();
        Ok(batch)
    }

    fn go_live(&mut self) {
        let Source::Log(joined) = &mut self.source else { return };
        let cursor = self.cursor;
        let is_level =
            |position: &Cursor| position.epoch == cursor.epoch && position.seq <= cursor.seq;
        if let Some((seat, _)) = joined.take_if(|(_, position)| is_level(position)) {
            self.source = Source::Live(seat);
        }
    }
}
