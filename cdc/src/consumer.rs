//! A durable consumer as the owner of its lease reads it: a tail from its last acknowledgement, under a lease.
//!
//! Acknowledgements are cumulative and coalesced: many become one write. Changes whose
//! acknowledgement was not written when the process is killed are delivered again, never lost. Once
//! another owner has the lease, every acknowledgement of this one is refused.

use std::time::{Duration, Instant};

use ao_store::lease::{Generation, Owner};
use ao_store::log::change::Change;
use ao_store::log::consumer;
use ao_store::{Cause, ConsumerName, Cursor, Store};

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::tail::{LONGEST_WAIT, Start, Tail};

/// How long a lease lasts without renewal.
pub const LEASE_TTL: Duration = Duration::from_secs(10);
/// The maximum delay of an acknowledgement that waits for others.
const ACK_EVERY: Duration = Duration::from_millis(100);
/// This many acknowledged changes are written at once.
const ACK_EVENTS: i64 = 1000;
/// The actor of writes of bookkeeping.
const ACTOR: &str = "consumer";

/// What to do about another owner that still has the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// Refuse, unless its process is known to have ended.
    IfGone,
    /// Fence it off.
    Always,
}

/// Changes that were delivered and wait to be acknowledged by their cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "acknowledge its cursor once the changes are processed, or they are delivered again"]
pub struct Delivery {
    /// The changes that pass the filter; may be empty, and its cursor counts all the same.
    pub changes: Vec<Change>,
    /// Everything up to here was delivered or does not pass.
    pub cursor: Cursor,
}

/// A consumer under lease. Dropping it writes what was acknowledged and releases the lease.
#[derive(Debug)]
pub struct Consumer {
    tail: Tail,
    acked: Cursor,
    stored: Cursor,
    written: Instant,
    lease: Held,
}

/// A lease that is released when dropped.
#[derive(Debug)]
struct Held {
    store: Store,
    name: ConsumerName,
    generation: Generation,
}

impl Consumer {
    /// Takes the lease and begins after the last acknowledgement. If a `filter` is given, it must equal
    /// the one that the consumer was created with.
    ///
    /// # Errors
    /// `CONSUMER_NOT_FOUND`, `CONSUMER_FILTER_MISMATCH`, `LEASE_HELD`; the cursor errors when its
    /// position can no longer be resumed.
    pub fn open(
        store: &Store,
        name: &ConsumerName,
        filter: Option<&Filter>,
        owner: &Owner,
        takeover: Takeover,
    ) -> Result<Consumer> {
        let found = store.read(|snapshot| consumer::require(snapshot, name))?;
        let stored = Filter::from_json(&found.filter)?;
        if filter.is_some_and(|filter| *filter != stored) {
            let (name, stored) = (name.clone(), found.filter);
            return Err(Error::Store(ao_store::Error::ConsumerFilter { name, stored }));
        }
        // The lease comes first: the last acknowledgement of its previous owner counts.
        let leased = acquire(store, name, &owner.to_string(), LEASE_TTL, takeover)?;
        let (name, generation, acked) = (leased.name, leased.generation, leased.acked);
        let lease = Held { store: store.clone(), name, generation };
        let tail = Tail::open(store, Start::Cursor(acked), stored)?;
        Ok(Consumer { lease, tail, acked, stored: acked, written: Instant::now() })
    }

    /// The tail that it reads.
    pub fn tail_mut(&mut self) -> &mut Tail {
        &mut self.tail
    }

    /// Everything up to here was read.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.tail.cursor()
    }

    /// The next changes, from at most `limit` scanned ones; `None` when none came in time.
    ///
    /// # Errors
    /// Those of [`Tail::visit`]; `LEASE_LOST`.
    pub fn next_within(&mut self, limit: usize, timeout: Duration) -> Result<Option<Delivery>> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        loop {
            self.keep()?;
            let mut changes = Vec::new();
            let before = self.tail.cursor();
            self.tail.visit(limit, |change| {
                changes.push(change.to_owned()?);
                Ok(())
            })?;
            let cursor = self.tail.cursor();
            if cursor != before {
                return Ok(Some(Delivery { changes, cursor }));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.tail.wait(left.min(self.longest_wait()))?;
        }
    }

    /// The maximum time between two calls of [`Consumer::keep`].
    pub(crate) fn longest_wait(&self) -> Duration {
        if self.acked == self.stored { LEASE_TTL / 4 } else { ACK_EVERY }
    }

    /// Acknowledges everything up to `cursor`. It is written within 100 ms of the next call of
    /// this, [`Consumer::keep`] or [`Consumer::next_within`], or at once after 1,000 changes.
    ///
    /// # Errors
    /// `LEASE_LOST` when another owner has it; nothing was acknowledged then. `CURSOR_IN_FUTURE` and
    /// `CURSOR_EPOCH_MISMATCH` for a cursor that was never read here.
    pub fn ack(&mut self, cursor: Cursor) -> Result<()> {
        let read = self.tail.cursor();
        if cursor.epoch != read.epoch {
            let (asked, epoch, head) = (cursor, read.epoch, read);
            return Err(Error::Store(ao_store::Error::CursorEpoch { asked, epoch, head }));
        }
        if cursor.seq > read.seq {
            return Err(Error::Store(ao_store::Error::CursorFuture { asked: cursor, head: read }));
        }
        self.acked.seq = self.acked.seq.max(cursor.seq);
        let many = self.acked.seq.0 - self.stored.seq.0 >= ACK_EVENTS;
        if many { self.flush() } else { self.keep() }
    }

    /// Writes what is due and renews the lease; call it every second or so while nothing comes.
    ///
    /// # Errors
    /// `LEASE_LOST`.
    pub fn keep(&mut self) -> Result<()> {
        let is_due = self.acked != self.stored && self.written.elapsed() >= ACK_EVERY;
        if is_due || self.written.elapsed() >= LEASE_TTL / 3 { self.flush() } else { Ok(()) }
    }

    /// Writes what was acknowledged and renews the lease, now.
    ///
    /// # Errors
    /// `LEASE_LOST`; those of a write.
    pub fn flush(&mut self) -> Result<()> {
        let Held { store, name, generation } = &self.lease;
        let (name, generation, acked) = (name.clone(), *generation, self.acked);
        store.write(now(), move |tx| {
            consumer::ack(tx, &name, acked, Some(generation))?;
            consumer::renew(tx, &name, generation, LEASE_TTL)
        })?;
        self.stored = acked;
        self.written = Instant::now();
        Ok(())
    }
}

/// Takes the lease of a consumer, also from an owner that is known to have ended.
pub(crate) fn acquire(
    store: &Store,
    name: &ConsumerName,
    owner: &str,
    ttl: Duration,
    takeover: Takeover,
) -> Result<consumer::Consumer> {
    let found = store.read(|snapshot| consumer::require(snapshot, name))?;
    let is_gone = found.lease.is_some_and(|lease| Owner::is_gone(&lease.owner));
    let displace = (is_gone || takeover == Takeover::Always).then_some(found.generation);
    let (name, owner) = (name.clone(), owner.to_owned());
    let leased =
        store.write(now(), move |tx| consumer::acquire(tx, &name, &owner, ttl, displace))?;
    Ok(leased.value)
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if self.acked == self.stored {
            return;
        }
        if let Err(error) = self.flush() {
            // The changes are delivered again.
            tracing::debug!(%error, "an acknowledgement was not written");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (name, generation) = (self.name.clone(), self.generation);
        let release = move |tx: &ao_store::Tx<'_>| consumer::release(tx, &name, generation);
        if let Err(error) = self.store.write(now(), release) {
            // It expires by itself.
            tracing::debug!(%error, "a lease was not released");
        }
    }
}

fn now() -> Cause {
    Cause::now(ACTOR)
}
