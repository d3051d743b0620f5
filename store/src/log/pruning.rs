//! One step of pruning: deletes the oldest changes and moves the floor in the same transaction.
//!
//! The deleted changes are first added to the base (see `base`), so that the log still explains the
//! tables, and subtracted from their seal. After a kill at any instruction the floor matches the rows.

use rusqlite::Connection;

use crate::db::reading;
use crate::db::tx::Tx;
use crate::error::{Context, Result};
use crate::log::base::{self, Moves};
use crate::log::change::{IMAGES, select_changes};
use crate::log::digest::{Digest, Hasher};
use crate::log::info::LogInfo;
use crate::log::reservation;
use crate::log::retention;
use crate::log::seal;
use crate::model::cursor::Seq;

/// The length of the pause after a step while others write, in steps: pruning uses a quarter of the
/// writer's time.
pub(crate) const PAUSE: u32 = 3;
/// The maximum number of changes in one step: a job that arrives meanwhile waits less than half a millisecond.
pub(crate) const BATCH: i64 = 100;
/// The maximum number of pages that one step frees.
pub(crate) const PAGES: u32 = 64;

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The floor after it.
    pub floor: Seq,
    /// The number of deleted changes.
    pub events: u64,
}

/// Deletes about `limit` of the oldest changes up to `target`: whole transactions, and at least one
/// unless a consumer or a reservation holds it.
pub(crate) fn step(tx: &Tx<'_>, target: Seq, limit: i64) -> Result<Step> {
    reservation::expire(tx)?;
    let info = LogInfo::read(tx)?;
    let target = retention::allowed(tx, target, tx.reading())?;
    let end = batch_end(tx, &info, target, limit)?;
    let events = end.0.abs_diff(info.floor.0);
    if events > 0 {
        delete_until(tx, info.floor, end)?;
    }
    Ok(Step { floor: end, events })
}

const SELECT_NEXT_TX: &str =
    "SELECT seq FROM change_log WHERE seq > ?1 AND tx IS NOT ?2 ORDER BY seq LIMIT 1";

/// The end of a batch: the end of a transaction; a first transaction above the limit is one batch.
fn batch_end(tx: &Tx<'_>, info: &LogInfo, target: Seq, limit: i64) -> Result<Seq> {
    let end = retention::align(tx, info, target.min(Seq(info.floor.0.saturating_add(limit))))?;
    if end > info.floor || target <= info.floor {
        return Ok(end);
    }
    let first = retention::tx_of(tx, info.floor.next())?.map(|first| first.0);
    let params = (info.floor.0, first);
    let next = tx.one("find the next transaction", SELECT_NEXT_TX, params, |row| row.get(0))?;
    Ok(next.map_or(target, |next: i64| Seq(next - 1)).min(target))
}

const DELETE: &str = "DELETE FROM change_log WHERE seq <= ?1";
const DELETE_SEALS: &str = "DELETE FROM log_seal WHERE block < ?1";
const CUT_SEAL: &str = "UPDATE log_seal SET digest = ?2 WHERE block = ?1";
const SELECT_SEAL: &str = "SELECT digest FROM log_seal WHERE block = ?1";
const CUT_OPEN_SEAL: &str = "UPDATE change_context SET seal = ?1";
const MOVE_FLOOR: &str = "UPDATE log_meta SET floor = ?1, pruned_bytes = pruned_bytes + ?2";

fn delete_until(tx: &Tx<'_>, floor: Seq, end: Seq) -> Result<()> {
    let deleted = add_up(tx.conn(), floor, end)?;
    base::add(tx.conn(), &deleted.moves)?;
    // The seal of a partly pruned block covers the changes that remain.
    let (block, mut sealed) = (seal::block_of(end.next()), seal::sealed(tx.conn())?);
    let stored = tx.one("read a seal", SELECT_SEAL, [block], |row| row.get::<_, Digest>(0))?;
    if let Some(mut digest) = stored {
        digest -= deleted.of_cut_block;
        tx.execute_uncaptured("cut a seal", CUT_SEAL, (block, digest))?;
    } else if block == seal::block_of(sealed.seq) {
        sealed.open -= deleted.of_cut_block;
        tx.execute_uncaptured("cut a seal", CUT_OPEN_SEAL, [sealed.open])?;
    }
    tx.execute_uncaptured("delete changes", DELETE, [end.0])?;
    tx.execute_uncaptured("delete seals", DELETE_SEALS, [block])?;
    reading::delete_until(tx.conn(), end)?;
    tx.execute_uncaptured("move the floor", MOVE_FLOOR, (end.0, deleted.bytes)).map(|_| ())
}

/// The sums of the deleted changes.
#[derive(Default)]
struct Deleted {
    moves: Moves,
    bytes: i64,
    /// The digest of those in the block of the first remaining change.
    of_cut_block: Digest,
}

const SELECT_DELETED: &str = select_changes!("WHERE seq > ?1 AND seq <= ?2");

fn add_up(conn: &Connection, floor: Seq, end: Seq) -> Result<Deleted> {
    let step = "read the changes to prune";
    let cut = seal::block_of(end.next());
    let (mut deleted, mut hasher) = (Deleted::default(), Hasher::default());
    let mut statement = conn.prepare_cached(SELECT_DELETED).context(step)?;
    let mut rows = statement.query((floor.0, end.0)).context(step)?;
    while let Some(row) = rows.next().context(step)? {
        let seq = Seq(row.get(0).context(step)?);
        let (digest, bytes) = hasher.change(row).context(step)?;
        deleted.bytes += bytes;
        if seal::block_of(seq) == cut {
            deleted.of_cut_block += digest;
        }
        deleted.moves.add(row, IMAGES).context(step)?;
    }
    Ok(deleted)
}

/// Frees at most `pages` unused pages at the end of the file; returns how many.
pub(crate) fn vacuum(conn: &Connection, pages: u32) -> Result<u64> {
    let step = "free pages";
    let free = |conn: &Connection| {
        conn.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0)).context(step)
    };
    let before = free(conn)?;
    if before == 0 {
        return Ok(0);
    }
    let mut statement =
        conn.prepare(&format!("PRAGMA incremental_vacuum({pages})")).context(step)?;
    let mut rows = statement.query([]).context(step)?;
    while rows.next().context(step)?.is_some() {}
    Ok(before.saturating_sub(free(conn)?).unsigned_abs())
}
