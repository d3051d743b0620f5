//! Durable consumers: named cursors that move forward by acknowledgement, one owner at a time.
//!
//! An acknowledgement is cumulative and monotonic, and it is fenced by the lease of its owner.

use std::fmt;
use std::time::Duration;

use rusqlite::Row;

use crate::db::text::{optional_text, text};
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::lease::{Fence, Generation, Lease, LeaseTable};
use crate::log::age::Ages;
use crate::log::info::LogInfo;
use crate::log::seal;
use crate::model::clock::ClockReading;
use crate::model::cursor::{Cursor, Epoch, Seq};
use crate::model::id::ConsumerName;
use crate::model::time::Timestamp;

/// The retention policy of a consumer: how pruning treats its unacknowledged changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// No unacknowledged change is pruned.
    Block,
    /// As `Block`, until the consumer is further behind than one of the bounds.
    Bounded(Bounds),
    /// Pruning ignores the consumer, whose cursor may expire (`CURSOR_EXPIRED`).
    None,
}

/// How far behind a bounded consumer may be; a bound that is `None` does not apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// In changes.
    pub events: Option<u64>,
    /// In bytes of the log.
    pub bytes: Option<u64>,
    /// The age of the oldest unacknowledged change, in milliseconds.
    pub age_ms: Option<u64>,
}

impl Policy {
    /// Its name: `block`, `bounded` or `none`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Policy::Block => "block",
            Policy::Bounded(_) => "bounded",
            Policy::None => "none",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        let Policy::Bounded(Bounds { events, bytes, age_ms }) = self else { return Ok(()) };
        let bounds = [("events", events), ("bytes", bytes), ("milliseconds", age_ms)];
        for (unit, bound) in bounds {
            if let Some(bound) = bound {
                write!(f, " to {bound} {unit}")?;
            }
        }
        Ok(())
    }
}

/// A durable consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: ConsumerName,
    /// Everything up to here is acknowledged.
    pub acked: Cursor,
    /// Its filter, as canonical JSON; fixed.
    pub filter: String,
    /// Its retention policy.
    pub policy: Policy,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it acknowledged last.
    pub acked_at: Option<Timestamp>,
    /// The generation of the newest lease.
    pub generation: Generation,
    /// The present lease, if there is one.
    pub lease: Option<Lease>,
}

impl Consumer {
    /// The lease, unless it has expired.
    #[must_use]
    pub fn live_lease(&self, now: Timestamp) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.is_live(now))
    }

    /// Why it is stranded, if it is: the changes after its cursor were pruned, or its cursor belongs to
    /// another epoch of the log.
    #[must_use]
    pub fn stranded(&self, info: &LogInfo) -> Option<Error> {
        info.check_cursor(self.acked).err()
    }

    /// Refuses a filter or a policy that it was not created with.
    ///
    /// # Errors
    /// `CONSUMER_FILTER_MISMATCH`, `CONSUMER_EXISTS`.
    pub fn require_settings(&self, filter: &str, policy: Policy) -> Result<()> {
        let name = self.name.clone();
        if self.filter != filter {
            return Err(Error::ConsumerFilter { name, stored: self.filter.clone() });
        }
        if self.policy != policy {
            return Err(Error::ConsumerExists(name, self.policy.to_string()));
        }
        Ok(())
    }

    fn refuse_leased(&self, now: Timestamp) -> Result<()> {
        match self.live_lease(now) {
            None => Ok(()),
            Some(lease) => Err(Error::LeaseHeld {
                name: self.name.clone(),
                owner: lease.owner.clone(),
                left_ms: lease.until.0.saturating_sub(now.0),
            }),
        }
    }

    fn require_generation(&self, generation: Generation) -> Result<()> {
        if self.generation == generation {
            return Ok(());
        }
        Err(Error::LeaseLost { name: self.name.clone() })
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT name, epoch, acked, filter, policy, max_events, max_bytes, max_age_ms,
    created_at, acked_at, generation, lease_owner, lease_until FROM consumer ",
            $tail
        )
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<Consumer> {
    let bound = |column| {
        Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(i64::unsigned_abs))
    };
    let policy = match &*text(row, 4)? {
        "block" => Policy::Block,
        "bounded" => {
            Policy::Bounded(Bounds { events: bound(5)?, bytes: bound(6)?, age_ms: bound(7)? })
        }
        _ => Policy::None,
    };
    let owner = optional_text(row, 11)?;
    let until: Option<i64> = row.get(12)?;
    Ok(Consumer {
        name: ConsumerName::stored(text(row, 0)?),
        acked: Cursor { epoch: Epoch(row.get(1)?), seq: Seq(row.get(2)?) },
        filter: text(row, 3)?,
        policy,
        created_at: Timestamp(row.get(8)?),
        acked_at: row.get::<_, Option<i64>>(9)?.map(Timestamp),
        generation: Generation(row.get(10)?),
        lease: owner.zip(until).map(|(owner, until)| Lease { owner, until: Timestamp(until) }),
    })
}

/// The consumer of this name.
///
/// # Errors
/// When the database cannot be read.
pub fn get(snapshot: &Snapshot<'_>, name: &ConsumerName) -> Result<Option<Consumer>> {
    snapshot.one("read a consumer", select!("WHERE name = ?1"), [name.as_str()], read)
}

const SELECT_NAMES: &str = "SELECT name FROM consumer ORDER BY name LIMIT 100";

/// The consumer of this name, or the error that there is none.
///
/// # Errors
/// `CONSUMER_NOT_FOUND`.
pub fn require(snapshot: &Snapshot<'_>, name: &ConsumerName) -> Result<Consumer> {
    if let Some(found) = get(snapshot, name)? {
        return Ok(found);
    }
    let known = snapshot.list("list consumers", SELECT_NAMES, [], |row| text(row, 0))?;
    Err(Error::ConsumerNotFound { name: name.to_string(), known })
}

/// All consumers, by name.
///
/// # Errors
/// When the database cannot be read.
pub fn list(snapshot: &Snapshot<'_>) -> Result<Vec<Consumer>> {
    snapshot.list("list consumers", select!("ORDER BY name"), [], read)
}

/// What is needed to create a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConsumer {
    /// Its name.
    pub name: ConsumerName,
    /// After which change it begins.
    pub start: Cursor,
    /// Its filter, as canonical JSON.
    pub filter: String,
    /// Its retention policy.
    pub policy: Policy,
}

/// Generations begin with the time: an owner of a removed consumer must not be accepted as owner of a
/// new consumer with the same name.
const INSERT: &str = "INSERT INTO consumer (name, epoch, acked, filter, policy, max_events,
    max_bytes, max_age_ms, created_at, generation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)";

/// Creates a consumer.
///
/// # Errors
/// `CONSUMER_EXISTS`; those of [`LogInfo::check_cursor`] for its start.
pub fn create(tx: &Tx<'_>, new: &NewConsumer) -> Result<Consumer> {
    if let Some(Consumer { name, policy, .. }) = get(tx, &new.name)? {
        return Err(Error::ConsumerExists(name, policy.to_string()));
    }
    LogInfo::read(tx)?.check_cursor(new.start)?;
    let bounds = if let Policy::Bounded(bounds) = new.policy { bounds } else { Bounds::default() };
    let bound = |bound: Option<u64>| bound.map(|bound| i64::try_from(bound).unwrap_or(i64::MAX));
    let params = (
        new.name.as_str(),
        new.start.epoch.0,
        new.start.seq.0,
        &new.filter,
        new.policy.as_str(),
        bound(bounds.events),
        bound(bounds.bytes),
        bound(bounds.age_ms),
        tx.now().0,
    );
    tx.execute_uncaptured("create a consumer", INSERT, params)?;
    require(tx, &new.name)
}

const DELETE: &str = "DELETE FROM consumer WHERE name = ?1";

/// Removes a consumer; its unacknowledged changes may be pruned then.
///
/// # Errors
/// `CONSUMER_NOT_FOUND`; `LEASE_HELD` while a process reads it, unless `fence` is `Force`.
pub fn remove(tx: &Tx<'_>, name: &ConsumerName, fence: Fence) -> Result<()> {
    let consumer = require(tx, name)?;
    if fence == Fence::Respect {
        consumer.refuse_leased(tx.now())?;
    }
    tx.execute_uncaptured("remove a consumer", DELETE, [name.as_str()]).map(|_| ())
}

const ACK: &str = "UPDATE consumer SET acked = ?2, acked_at = ?3 WHERE name = ?1 AND acked < ?2";

/// The result of an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The consumer now.
    pub consumer: Consumer,
    /// What it had acknowledged before.
    pub previous: Cursor,
}

impl Acknowledged {
    /// Whether the consumer moved: it does not if it had acknowledged the cursor before.
    #[must_use]
    pub fn is_moved(&self) -> bool {
        self.consumer.acked != self.previous
    }
}

/// Acknowledges everything up to `cursor`; a cursor before the stored one changes nothing. With
/// `lease`, only its owner may; without, only if no lease is live.
///
/// # Errors
/// `CONSUMER_NOT_FOUND`, `LEASE_LOST`, `LEASE_HELD`, `CURSOR_EPOCH_MISMATCH`, `CURSOR_IN_FUTURE`.
pub fn ack(
    tx: &Tx<'_>,
    name: &ConsumerName,
    cursor: Cursor,
    lease: Option<Generation>,
) -> Result<Acknowledged> {
    let consumer = require(tx, name)?;
    match lease {
        Some(generation) => consumer.require_generation(generation)?,
        None => consumer.refuse_leased(tx.now())?,
    }
    let info = LogInfo::read(tx)?;
    for cursor in [cursor, consumer.acked] {
        // A change that was pruned meanwhile can still be acknowledged.
        match info.check_cursor(cursor) {
            Ok(()) | Err(Error::CursorExpired { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    tx.execute_uncaptured("acknowledge", ACK, (name.as_str(), cursor.seq.0, tx.now().0))?;
    Ok(Acknowledged { previous: consumer.acked, consumer: require(tx, name)? })
}

const SEEK: &str = "UPDATE consumer SET epoch = ?2, acked = ?3, generation = generation + 1,
    lease_owner = NULL, lease_until = NULL WHERE name = ?1";

/// Moves a consumer to a position, forward or back, also from another epoch.
///
/// # Errors
/// `CONSUMER_NOT_FOUND`; `LEASE_HELD` unless `fence` is `Force`; those of [`LogInfo::check_cursor`].
pub fn seek(tx: &Tx<'_>, name: &ConsumerName, to: Cursor, fence: Fence) -> Result<Consumer> {
    let consumer = require(tx, name)?;
    if fence == Fence::Respect {
        consumer.refuse_leased(tx.now())?;
    }
    LogInfo::read(tx)?.check_cursor(to)?;
    tx.execute_uncaptured("move a consumer", SEEK, (name.as_str(), to.epoch.0, to.seq.0))?;
    require(tx, name)
}

const LEASES: LeaseTable = LeaseTable { name: "consumer", key: "name" };

/// Allows only `owner` to acknowledge, for `ttl` unless it renews. `displace` names a lease that may be
/// taken over before it expires: its owner is known to have ended, or is to be fenced.
///
/// # Errors
/// `CONSUMER_NOT_FOUND`, `LEASE_HELD`.
pub fn acquire(
    tx: &Tx<'_>,
    name: &ConsumerName,
    owner: &str,
    ttl: Duration,
    displace: Option<Generation>,
) -> Result<Consumer> {
    let consumer = require(tx, name)?;
    if displace != Some(consumer.generation) {
        consumer.refuse_leased(tx.now())?;
    }
    LEASES.acquire(tx, name.as_str(), owner, ttl)?;
    require(tx, name)
}

/// Extends a lease to `ttl` from now on.
///
/// # Errors
/// `CONSUMER_NOT_FOUND`, `LEASE_LOST`.
pub fn renew(
    tx: &Tx<'_>,
    name: &ConsumerName,
    generation: Generation,
    ttl: Duration,
) -> Result<()> {
    require(tx, name)?.require_generation(generation)?;
    if LEASES.renew(tx, name.as_str(), generation, ttl)? {
        return Ok(());
    }
    Err(Error::LeaseLost { name: name.clone() })
}

/// Ends a lease, so that the next owner need not wait; does nothing if it was lost.
///
/// # Errors
/// When the database cannot be written.
pub fn release(tx: &Tx<'_>, name: &ConsumerName, generation: Generation) -> Result<()> {
    LEASES.release(tx, name.as_str(), generation)
}

/// How far a consumer is behind the head, before its filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Changes not acknowledged.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The age of the oldest of them, in milliseconds; never negative.
    pub age_ms: u64,
}

/// How far behind a consumer is. For a consumer that belongs to another epoch, or whose changes were
/// pruned, this counts the retained changes.
///
/// # Errors
/// When the database cannot be read.
pub fn lag(
    snapshot: &Snapshot<'_>,
    info: &LogInfo,
    consumer: &Consumer,
    now: impl Into<ClockReading>,
) -> Result<Lag> {
    let ages = Ages::shown(snapshot, now.into())?;
    lag_of(snapshot, info, seal::logged_bytes(snapshot.conn())?, consumer, &ages)
}

/// The same for several consumers: `logged` is the bytes of all changes ever logged.
pub(crate) fn lag_of(
    snapshot: &Snapshot<'_>,
    info: &LogInfo,
    logged: i64,
    consumer: &Consumer,
    ages: &Ages,
) -> Result<Lag> {
    // A consumer of another epoch has nothing of this one: a lag of zero would hide that it is stranded.
    let is_here = consumer.acked.epoch == info.epoch;
    let acked = if is_here { consumer.acked.seq.max(info.floor) } else { info.floor };
    if acked >= info.head {
        return Ok(Lag::default());
    }
    let bytes = logged.saturating_sub(seal::bytes_until(snapshot.conn(), acked)?);
    Ok(Lag {
        events: info.head.0.abs_diff(acked.0),
        bytes: u64::try_from(bytes).unwrap_or(0),
        age_ms: ages.age_of(snapshot, acked.next())?,
    })
}
