//! Reservations: cursors after which no change is pruned while a snapshot is read as of them.
//!
//! A reservation that is not renewed expires, so that a reader that ended does not keep the log.

use std::time::Duration;

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::lease::LONGEST;
use crate::log::info::LogInfo;
use crate::model::cursor::{Cursor, Seq};
use crate::model::time::Timestamp;

/// Identifies a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservationId(pub i64);

/// A reserved position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The changes after this one are not pruned.
    pub seq: Seq,
    /// The name of the reader, for people.
    pub holder: String,
    /// When it expires.
    pub until: Timestamp,
}

/// A counted number would be used again after the last row is deleted, and a reader that lost its
/// reservation would then release the one of another.
const INSERT: &str =
    "INSERT INTO reservation (id, seq, holder, until) VALUES (random(), ?1, ?2, ?3)";

/// Keeps the changes after `cursor` from being pruned for `ttl`, at most an hour. Those of killed readers that have expired
/// are deleted here, too, since pruning may never run.
///
/// # Errors
/// Those of [`LogInfo::check_cursor`].
pub fn reserve(tx: &Tx<'_>, cursor: Cursor, holder: &str, ttl: Duration) -> Result<ReservationId> {
    LogInfo::read(tx)?.check_cursor(cursor)?;
    expire(tx)?;
    tx.execute_uncaptured(
        "reserve changes",
        INSERT,
        (cursor.seq.0, holder, tx.now().after(ttl.min(LONGEST)).0),
    )?;
    Ok(ReservationId(tx.conn().last_insert_rowid()))
}

const RENEW: &str = "UPDATE reservation SET until = ?2 WHERE id = ?1";

/// Extends a reservation to `ttl` from now on; returns whether it still existed.
///
/// # Errors
/// When the database cannot be written.
pub fn renew(tx: &Tx<'_>, id: ReservationId, ttl: Duration) -> Result<bool> {
    Ok(tx.execute_uncaptured(
        "renew a reservation",
        RENEW,
        (id.0, tx.now().after(ttl.min(LONGEST)).0),
    )? == 1)
}

const RELEASE: &str = "DELETE FROM reservation WHERE id = ?1";

/// Releases a reservation.
///
/// # Errors
/// When the database cannot be written.
pub fn release(tx: &Tx<'_>, id: ReservationId) -> Result<()> {
    tx.execute_uncaptured("release a reservation", RELEASE, [id.0]).map(|_| ())
}

const EXPIRE: &str = "DELETE FROM reservation WHERE until <= ?1 OR until > ?2";

/// Deletes expired reservations, and those that a clock that was ahead made.
pub(crate) fn expire(tx: &Tx<'_>) -> Result<()> {
    let bounds = (tx.now().0, tx.now().after(LONGEST).0);
    tx.execute_uncaptured("expire reservations", EXPIRE, bounds).map(|_| ())
}

const SELECT: &str = "SELECT seq, holder, until FROM reservation WHERE until > ?1 AND until <= ?2
    ORDER BY seq";

/// The live reservations, by position.
///
/// # Errors
/// When the database cannot be read.
pub fn list(snapshot: &Snapshot<'_>, now: Timestamp) -> Result<Vec<Reservation>> {
    snapshot.list("list reservations", SELECT, (now.0, now.after(LONGEST).0), |row| {
        Ok(Reservation {
            seq: Seq(row.get(0)?),
            holder: text(row, 1)?,
            until: Timestamp(row.get(2)?),
        })
    })
}
