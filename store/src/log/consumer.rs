//! Durable consumers: named cursors that move forward by acknowledgement, one owner at a time.
//!
//! An acknowledgement is cumulative and monotonic, and it is fenced: each lease has a generation,
//! and who comes with an older one than the stored is refused. Time only decides when a lease may be
//! taken over, never whether an acknowledgement counts.

use std::time::Duration;

use rusqlite::Row;

use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::log::change;
use crate::log::info::LogInfo;
use crate::log::seal;
use crate::model::cursor::{Cursor, Epoch, Seq};
use crate::model::id::ConsumerName;
use crate::model::time::Timestamp;

/// What retention owes a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing it has not acknowledged is pruned.
    Block,
    /// The same, until it is further behind than one of the bounds.
    Bounded(Bounds),
    /// Nothing: it finds out by `CURSOR_EXPIRED`.
    None,
}

/// How far behind a bounded consumer may be; one that is not given bounds nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// In changes.
    pub events: Option<u64>,
    /// In bytes of the log.
    pub bytes: Option<u64>,
    /// By the age of the oldest change it has not acknowledged, in milliseconds.
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

/// Fences owners: goes up with every lease, seek and takeover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub i64);

/// Who reads a consumer, and until when if it is not renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// A name for people, and for telling whether the owner still lives.
    pub owner: String,
    /// When it ends.
    pub until: Timestamp,
}

/// A durable consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: ConsumerName,
    /// Everything up to here needs no second delivery.
    pub acked: Cursor,
    /// What it wants, as canonical JSON; fixed.
    pub filter: String,
    /// What retention owes it.
    pub policy: Policy,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it acknowledged last.
    pub acked_at: Option<Timestamp>,
    /// The newest lease.
    pub generation: Generation,
    /// Who has it, if anybody.
    pub lease: Option<Lease>,
}

impl Consumer {
    /// The lease when it has not ended.
    #[must_use]
    pub fn live_lease(&self, now: Timestamp) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.until > now)
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
    let policy = match row.get_ref(4)?.as_str()? {
        "block" => Policy::Block,
        "bounded" => {
            Policy::Bounded(Bounds { events: bound(5)?, bytes: bound(6)?, age_ms: bound(7)? })
        }
        _ => Policy::None,
    };
    let owner: Option<String> = row.get(11)?;
    let until: Option<i64> = row.get(12)?;
    Ok(Consumer {
        name: ConsumerName::stored(row.get(0)?),
        acked: Cursor { epoch: Epoch(row.get(1)?), seq: Seq(row.get(2)?) },
        filter: row.get(3)?,
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

/// The consumer of this name, or the error that says there is none.
///
/// # Errors
/// `CONSUMER_NOT_FOUND`.
pub fn require(snapshot: &Snapshot<'_>, name: &ConsumerName) -> Result<Consumer> {
    if let Some(found) = get(snapshot, name)? {
        return Ok(found);
    }
    let known = snapshot.list("list consumers", SELECT_NAMES, [], |row| row.get(0))?;
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
    /// What it wants, as canonical JSON.
    pub filter: String,
    /// What retention owes it.
    pub policy: Policy,
}

/// Generations begin with the time: an owner of a consumer that was removed must not pass for one of
/// another that got its name.
const INSERT: &str = "INSERT INTO consumer (name, epoch, acked, filter, policy, max_events,
    max_bytes, max_age_ms, created_at, generation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)";

/// Creates a consumer.
///
/// # Errors
/// `CONSUMER_EXISTS`; those of [`LogInfo::check_cursor`] for its start.
pub fn create(tx: &Tx<'_>, new: &NewConsumer) -> Result<Consumer> {
    if get(tx, &new.name)?.is_some() {
        return Err(Error::ConsumerExists(new.name.clone()));
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
    tx.note("create a consumer", INSERT, params)?;
    require(tx, &new.name)
}

const DELETE: &str = "DELETE FROM consumer WHERE name = ?1";

/// Removes a consumer; what it held back may be pruned then.
///
/// # Errors
/// `CONSUMER_NOT_FOUND`; `LEASE_HELD` while somebody reads it, unless `fence` is `Force`.
pub fn remove(tx: &Tx<'_>, name: &ConsumerName, fence: Fence) -> Result<()> {
    let consumer = require(tx, name)?;
    if fence == Fence::Respect {
        consumer.refuse_leased(tx.now())?;
    }
    tx.note("remove a consumer", DELETE, [name.as_str()]).map(|_| ())
}

/// Whether a live lease is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// Yes.
    Respect,
    /// No: its owner finds out at its next acknowledgement.
    Force,
}

const ACK: &str = "UPDATE consumer SET acked = ?2, acked_at = ?3 WHERE name = ?1 AND acked < ?2";

/// Acknowledges everything up to `cursor`; an older one than the stored changes nothing. With
/// `lease`, only for its holder; without, only while nobody has one.
///
/// # Errors
/// `CONSUMER_NOT_FOUND`, `LEASE_LOST`, `LEASE_HELD`, `CURSOR_EPOCH_MISMATCH`, `CURSOR_IN_FUTURE`.
pub fn ack(
    tx: &Tx<'_>,
    name: &ConsumerName,
    cursor: Cursor,
    lease: Option<Generation>,
) -> Result<Consumer> {
    let consumer = require(tx, name)?;
    match lease {
        Some(generation) => consumer.require_generation(generation)?,
        None => consumer.refuse_leased(tx.now())?,
    }
    let info = LogInfo::read(tx)?;
    for cursor in [cursor, consumer.acked] {
        // What was pruned meanwhile can still be acknowledged.
        match info.check_cursor(cursor) {
            Ok(()) | Err(Error::CursorExpired { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    tx.note("acknowledge", ACK, (name.as_str(), cursor.seq.0, tx.now().0))?;
    require(tx, name)
}

const SEEK: &str = "UPDATE consumer SET epoch = ?2, acked = ?3, generation = generation + 1,
    lease_owner = NULL, lease_until = NULL WHERE name = ?1";

/// Moves a consumer to a position, forward or back, also out of another epoch.
///
/// # Errors
/// `CONSUMER_NOT_FOUND`; `LEASE_HELD` unless `fence` is `Force`; those of [`LogInfo::check_cursor`].
pub fn seek(tx: &Tx<'_>, name: &ConsumerName, to: Cursor, fence: Fence) -> Result<Consumer> {
    let consumer = require(tx, name)?;
    if fence == Fence::Respect {
        consumer.refuse_leased(tx.now())?;
    }
    LogInfo::read(tx)?.check_cursor(to)?;
    tx.note("move a consumer", SEEK, (name.as_str(), to.epoch.0, to.seq.0))?;
    require(tx, name)
}

const LEASE: &str = "UPDATE consumer SET generation = generation + 1, lease_owner = ?2,
    lease_until = ?3 WHERE name = ?1";

/// Makes `owner` the only one who may acknowledge, for `ttl` if it does not renew. `displace` names
/// a lease that may be taken over although it has not ended: its owner is known to be gone, or is
/// meant to be fenced off.
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
    tx.note("lease a consumer", LEASE, (name.as_str(), owner, tx.now().after(ttl).0))?;
    require(tx, name)
}

const RENEW: &str =
    "UPDATE consumer SET lease_until = ?2 WHERE name = ?1 AND lease_owner IS NOT NULL";

/// Makes a lease last for `ttl` from now on.
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
    match tx.note("renew a lease", RENEW, (name.as_str(), tx.now().after(ttl).0))? {
        0 => Err(Error::LeaseLost { name: name.clone() }),
        _ => Ok(()),
    }
}

const RELEASE: &str = "UPDATE consumer SET lease_owner = NULL, lease_until = NULL
    WHERE name = ?1 AND generation = ?2";

/// Gives a lease up, so that the next owner need not wait. One that was lost already is no matter.
///
/// # Errors
/// When the database cannot be written.
pub fn release(tx: &Tx<'_>, name: &ConsumerName, generation: Generation) -> Result<()> {
    tx.note("release a lease", RELEASE, (name.as_str(), generation.0)).map(|_| ())
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

/// How far behind a consumer is. One of another epoch, or whose changes were pruned, counts what is
/// kept.
///
/// # Errors
/// When the database cannot be read.
pub fn lag(
    snapshot: &Snapshot<'_>,
    info: &LogInfo,
    consumer: &Consumer,
    now: Timestamp,
) -> Result<Lag> {
    lag_of(snapshot, info, seal::logged_bytes(snapshot.conn())?, consumer, now)
}

/// The same for several: `logged` are the bytes of all changes ever logged.
pub(crate) fn lag_of(
    snapshot: &Snapshot<'_>,
    info: &LogInfo,
    logged: i64,
    consumer: &Consumer,
    now: Timestamp,
) -> Result<Lag> {
    // Of another epoch it has nothing of this one: a lag of none would hide that it is stuck.
    let is_here = consumer.acked.epoch == info.epoch;
    let acked = if is_here { consumer.acked.seq.max(info.floor) } else { info.floor };
    if acked >= info.head {
        return Ok(Lag::default());
    }
    let bytes = logged.saturating_sub(seal::bytes_until(snapshot.conn(), acked)?);
    let oldest = change::time_of(snapshot, acked.next())?.unwrap_or(now);
    Ok(Lag {
        events: info.head.0.abs_diff(acked.0),
        bytes: u64::try_from(bytes).unwrap_or(0),
        age_ms: u64::try_from(now.0.saturating_sub(oldest.0)).unwrap_or(0),
    })
}
