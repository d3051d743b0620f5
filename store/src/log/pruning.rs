//! One step of pruning: the oldest changes go, with their floor in the same transaction.
//!
//! What goes is added to the base first (see `base`), so that the log goes on to explain the tables,
//! and taken from its seal. Kill it anywhere: the floor is where the rows end.

use rusqlite::Connection;

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

/// How much longer than a step the pause after it is while others write: pruning takes a quarter of
/// the writer's time.
pub(crate) const PAUSE: u32 = 3;

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The floor after it.
    pub floor: Seq,
    /// Changes deleted.
    pub events: u64,
}

/// Deletes at most about `limit` of the oldest changes up to `target`: whole transactions, at least
/// one, unless somebody holds them.
pub(crate) fn step(tx: &Tx<'_>, target: Seq, limit: i64) -> Result<Step> {
    reservation::expire(tx)?;
    let info = LogInfo::read(tx)?;
    let target = retention::allowed(tx, target, tx.now())?;
    let end = batch_end(tx, &info, target, limit)?;
    let events = end.0.abs_diff(info.floor.0);
    if events > 0 {
        delete_until(tx, info.floor, end)?;
    }
    Ok(Step { floor: end, events })
}

const SELECT_NEXT_TX: &str =
    "SELECT seq FROM change_log WHERE seq > ?1 AND tx IS NOT ?2 ORDER BY seq LIMIT 1";

/// Where a batch ends: with a transaction, and after the first one even if it is larger.
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
const TAKE_FROM_SEAL: &str = "UPDATE log_seal SET digest = ?2 WHERE block = ?1";
const SELECT_SEAL: &str = "SELECT digest FROM log_seal WHERE block = ?1";
const TAKE_FROM_OPEN: &str = "UPDATE change_context SET seal = ?1";
const MOVE_FLOOR: &str = "UPDATE log_meta SET floor = ?1, pruned_bytes = pruned_bytes + ?2";

fn delete_until(tx: &Tx<'_>, floor: Seq, end: Seq) -> Result<()> {
    let gone = add_up(tx.conn(), floor, end)?;
    for mut base in base::all(tx.conn())? {
        let moved = gone.moves.of(&base.entity);
        if moved != Digest::default() {
            base.digest += moved;
            base::store(tx.conn(), &base)?;
        }
    }
    // The seal of a block that is cut keeps the sum of what is left of it.
    let (block, mut sealed) = (seal::block_of(end.next()), seal::sealed(tx.conn())?);
    let stored = tx.one("read a seal", SELECT_SEAL, [block], |row| row.get::<_, Digest>(0))?;
    if let Some(mut digest) = stored {
        digest -= gone.of_cut_block;
        tx.execute_uncaptured("cut a seal", TAKE_FROM_SEAL, (block, digest))?;
    } else if block == seal::block_of(sealed.seq) {
        sealed.open -= gone.of_cut_block;
        tx.execute_uncaptured("cut a seal", TAKE_FROM_OPEN, [sealed.open])?;
    }
    tx.execute_uncaptured("delete changes", DELETE, [end.0])?;
    tx.execute_uncaptured("delete seals", DELETE_SEALS, [block])?;
    tx.execute_uncaptured("move the floor", MOVE_FLOOR, (end.0, gone.bytes)).map(|_| ())
}

/// What the deleted changes added up to.
#[derive(Default)]
struct Gone {
    moves: Moves,
    bytes: i64,
    /// The sum of those in the block of the first change that stays.
    of_cut_block: Digest,
}

const SELECT_GONE: &str = select_changes!("WHERE seq > ?1 AND seq <= ?2");

fn add_up(conn: &Connection, floor: Seq, end: Seq) -> Result<Gone> {
    let step = "read the changes to prune";
    let cut = seal::block_of(end.next());
    let (mut gone, mut hasher) = (Gone::default(), Hasher::default());
    let mut statement = conn.prepare_cached(SELECT_GONE).context(step)?;
    let mut rows = statement.query((floor.0, end.0)).context(step)?;
    while let Some(row) = rows.next().context(step)? {
        let seq = Seq(row.get(0).context(step)?);
        let (digest, bytes) = hasher.change(row).context(step)?;
        gone.bytes += bytes;
        if seal::block_of(seq) == cut {
            gone.of_cut_block += digest;
        }
        gone.moves.add(row, IMAGES).context(step)?;
    }
    Ok(gone)
}

/// Gives at most `pages` free pages at the end of the file back; returns how many it gave.
pub(crate) fn vacuum(conn: &Connection, pages: u32) -> Result<u64> {
    let step = "give pages back";
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
