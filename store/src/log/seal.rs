//! Seals: the block digests, which cover every change and are written in the transaction of the change.
//!
//! The capture triggers cannot hash, since a stock `sqlite3` runs them too. So the writer reads back
//! the changes of its batch (they are in the page cache) and adds up their hashes before it commits.
//! The next commit of this program seals the changes of foreign writers. A flipped bit in a sealed
//! change alters the digest of its block of 16 changes.

use rusqlite::Connection;

use crate::db::tx::{CLOSE_CONTEXT, Snapshot};
use crate::error::{Context, Result};
use crate::log::change::select_changes;
use crate::log::digest::{Digest, Hasher};
use crate::log::info::LogInfo;
use crate::model::cursor::Seq;

/// The number of changes in a block: the precision with which a damaged change is located.
pub(crate) const BLOCK: i64 = 16;
/// The maximum number of foreign changes that one transaction seals besides its own: bounds the cost of
/// a foreign bulk change for the next commit.
const LIMIT: u64 = 65_536;

/// How far the log is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// The last sealed change.
    pub(crate) seq: Seq,
    /// The digest of the block that is not full yet.
    pub(crate) open: Digest,
    /// The bytes of all changes ever logged, up to `seq`.
    pub(crate) bytes: i64,
}

/// The block of a change.
pub(crate) fn block_of(seq: Seq) -> i64 {
    (seq.0 - 1).div_euclid(BLOCK)
}

fn is_end_of_block(seq: Seq) -> bool {
    seq.0 % BLOCK == 0
}

const SELECT: &str = "SELECT sealed, seal, logged_bytes FROM change_context";

/// Reads how far the log is sealed.
pub(crate) fn sealed(conn: &Connection) -> Result<Sealed> {
    let step = "read the seal";
    let mut statement = conn.prepare_cached(SELECT).context(step)?;
    let sealed = statement.query_row([], |row| {
        Ok(Sealed { seq: Seq(row.get(0)?), open: row.get(1)?, bytes: row.get(2)? })
    });
    sealed.context(step)
}

const SELECT_UNSEALED: &str = select_changes!("WHERE seq > ?1 ORDER BY seq LIMIT ?2");

const STORE_BLOCK: &str = "INSERT INTO log_seal (block, digest, bytes) VALUES (?1, ?2, ?3)
    ON CONFLICT (block) DO UPDATE SET digest = excluded.digest, bytes = excluded.bytes";

/// Seals at most `limit` further changes. It ignores holes: a missing change must not make every later
/// write fail.
fn advance(conn: &Connection, limit: u64) -> Result<Sealed> {
    let step = "seal changes";
    let mut sealed = sealed(conn)?;
    let mut hasher = Hasher::default();
    let mut store = conn.prepare_cached(STORE_BLOCK).context(step)?;
    let mut store_block = |seq: Seq, sealed: &Sealed| {
        store.execute((block_of(seq), sealed.open, sealed.bytes)).context(step)
    };
    let mut statement = conn.prepare_cached(SELECT_UNSEALED).context(step)?;
    let mut rows = statement.query((sealed.seq.0, limit.cast_signed())).context(step)?;
    while let Some(row) = rows.next().context(step)? {
        let seq = Seq(row.get(0).context(step)?);
        let (digest, bytes) = hasher.change(row).context(step)?;
        // After a hole: the earlier block is stored as it is.
        if block_of(seq) != block_of(sealed.seq.next()) && !is_end_of_block(sealed.seq) {
            store_block(sealed.seq, &sealed)?;
            sealed.open = Digest::default();
        }
        sealed.open += digest;
        sealed.bytes = sealed.bytes.saturating_add(bytes);
        sealed.seq = seq;
        if is_end_of_block(seq) {
            store_block(seq, &sealed)?;
            sealed.open = Digest::default();
        }
    }
    Ok(sealed)
}

/// Seals the `own` changes of the batch and the unsealed foreign changes before them, and closes the
/// change context: the last step before COMMIT.
pub(crate) fn close(conn: &Connection, own: u64) -> Result<Sealed> {
    let step = "close the change context";
    let sealed = advance(conn, LIMIT.saturating_add(own).min(i64::MAX.unsigned_abs()))?;
    let mut statement = conn.prepare_cached(CLOSE_CONTEXT).context(step)?;
    statement.execute((sealed.seq.0, sealed.open, sealed.bytes)).context(step)?;
    Ok(sealed)
}

/// Seals all changes; for a migration or an import, which run alone.
pub(crate) fn seal_all(conn: &Connection) -> Result<Sealed> {
    let mut last = sealed(conn)?;
    loop {
        let now = close(conn, 0)?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
}

/// The bytes of all changes ever logged.
pub(crate) fn logged_bytes(conn: &Connection) -> Result<i64> {
    let (sealed, head) = (sealed(conn)?, LogInfo::read(&Snapshot::new(conn))?.head);
    if sealed.seq == head { Ok(sealed.bytes) } else { bytes_until(conn, head) }
}

const SELECT_BYTES: &str =
    "SELECT block, bytes FROM log_seal WHERE block < ?1 ORDER BY block DESC LIMIT 1";

const SELECT_REST: &str = select_changes!("WHERE seq > ?1 AND seq <= ?2 AND seq > ?3");

/// The bytes of all changes ever logged, up to `seq`: the stored bytes of the full blocks before it,
/// and those of at most 15 changes that are read.
pub(crate) fn bytes_until(conn: &Connection, seq: Seq) -> Result<i64> {
    let step = "read the bytes of the log";
    let snapshot = Snapshot::new(conn);
    let floor = LogInfo::read(&snapshot)?.floor;
    if seq <= floor {
        return pruned_bytes(conn);
    }
    let full = seq.0.div_euclid(BLOCK);
    let block = snapshot.one(step, SELECT_BYTES, [full], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    // The block of the floor has no row once all of its changes are pruned.
    let (from, mut bytes) = match block {
        Some((block, bytes)) if (block + 1) * BLOCK >= floor.0 => ((block + 1) * BLOCK, bytes),
        _ => (floor.0, pruned_bytes(conn)?),
    };
    let mut hasher = Hasher::default();
    let mut statement = conn.prepare_cached(SELECT_REST).context(step)?;
    let mut rows = statement.query((from, seq.0, floor.0)).context(step)?;
    while let Some(row) = rows.next().context(step)? {
        bytes += hasher.change(row).context(step)?.1;
    }
    Ok(bytes)
}

/// The bytes of all changes that were pruned.
pub(crate) fn pruned_bytes(conn: &Connection) -> Result<i64> {
    let sql = "SELECT pruned_bytes FROM log_meta";
    conn.query_row(sql, [], |row| row.get(0)).context("read the pruned bytes")
}
