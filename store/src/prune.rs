//! Pruning: the oldest changes go in small batches, each with its floor in the same transaction.
//!
//! What goes is added to the base first (see `base`), so that the log goes on to explain the tables,
//! and taken from its seal. Kill it anywhere: the floor is where the rows end. The pages that come
//! free are given back by small steps of incremental vacuum.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::ballast;
use crate::base::{self, Moves};
use crate::code::Code;
use crate::cursor::Seq;
use crate::digest::{Digest, Hasher};
use crate::error::{Context, Result};
use crate::retention::{self, Plan, Rules};
use crate::row::change::{IMAGES, select_changes};
use crate::row::{log, reservation};
use crate::seal;
use crate::store::{Options, Store};
use crate::tx::{Cause, Tx};

/// Changes in one transaction when pruning is asked for.
const BATCH: i64 = 250;
/// How much longer than a step the pause after it is while others write: pruning takes a quarter of
/// the writer's time.
pub(crate) const PAUSE: u32 = 3;
/// The pause when nobody else seems to write: for a process that waits for the lock to take it.
const BREATH: Duration = Duration::from_millis(1);
/// Pages given back in one transaction.
const PAGES: u32 = 256;

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The floor after it.
    pub floor: Seq,
    /// Changes deleted.
    pub events: u64,
}

/// What pruning did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// What was planned.
    pub plan: Plan,
    /// The floor now: short of the plan when somebody came to hold changes meanwhile.
    pub floor: Seq,
    /// Pages of the file that were given back.
    pub pages: u64,
    /// Whether the ballast was used, and is gone.
    pub used_ballast: bool,
}

impl Store {
    /// Opens a store that is to be pruned: where the disk is too full even for that, the ballast is
    /// given up, and the second value says so.
    ///
    /// # Errors
    /// Those of [`Store::open`]; `DISK_FULL` when there is no ballast.
    pub fn open_relieved(path: &Path, options: Options) -> Result<(Store, bool)> {
        match Store::open(path, options) {
            Err(error) if error.code() == Code::DiskFull && ballast::release(path)? => {
                tracing::warn!("the disk is full: the ballast is given up");
                Ok((Store::open(path, options)?, true))
            }
            opened => Ok((opened?, false)),
        }
    }

    /// Prunes what `rules` let go, in small transactions between which others write, then gives the
    /// free pages back. `progress` is told of each step. On a full disk the ballast is given up.
    ///
    /// # Errors
    /// `DISK_FULL` when there is no ballast; those of a write. What was pruned before stays pruned.
    pub fn prune(
        &self,
        cause: &Cause,
        rules: &Rules,
        mut progress: impl FnMut(Step),
    ) -> Result<Pruned> {
        let mut used_ballast = false;
        self.relieved(&mut used_ballast, || self.seal(cause))?;
        let plan = self.read(|snapshot| retention::plan(snapshot, rules, cause.at))?;
        let (mut floor, target) = (plan.log.floor, plan.target);
        let mut pace = Pace::new();
        while floor < target {
            let done = self.relieved(&mut used_ballast, || {
                self.write(cause.clone(), move |tx| step(tx, target, BATCH))
            })?;
            if done.value.floor == floor {
                break;
            }
            floor = done.value.floor;
            progress(done.value);
            pace.wait(done.cursor.seq);
        }
        let pages = self.give_back(cause, &mut used_ballast)?;
        Ok(Pruned { plan, floor, pages, used_ballast })
    }

    /// Seals the changes of other writers, which are kept until they are.
    ///
    /// # Errors
    /// Those of a write.
    pub fn seal(&self, cause: &Cause) -> Result<()> {
        let mut last = self.read(|snapshot| Ok(seal::sealed(snapshot.conn())?.seq))?;
        while last < self.read(|snapshot| Ok(snapshot.head()?.seq))? {
            let now =
                self.write(cause.clone(), move |tx| Ok(seal::close(tx.conn(), 0)?.seq))?.value;
            if now == last {
                // The newest changes are missing, which `verify` tells.
                break;
            }
            last = now;
        }
        Ok(())
    }

    fn give_back(&self, cause: &Cause, used_ballast: &mut bool) -> Result<u64> {
        let (mut pages, mut pace) = (0, Pace::new());
        loop {
            let given = self.relieved(used_ballast, || {
                self.write(cause.clone(), |tx| vacuum(tx.conn(), PAGES))
            })?;
            pages += given.value;
            if given.value == 0 {
                return Ok(pages);
            }
            pace.wait(given.cursor.seq);
        }
    }

    /// Runs `work`, once more without the ballast if the disk is full.
    fn relieved<T>(&self, used: &mut bool, work: impl Fn() -> Result<T>) -> Result<T> {
        match work() {
            Err(error) if error.code() == Code::DiskFull && ballast::release(self.path())? => {
                tracing::warn!("the disk is full: the ballast is given up");
                *used = true;
                work()
            }
            other => other,
        }
    }
}

/// Leaves room for those who write, and only for them.
struct Pace {
    begun: Instant,
    head: Option<Seq>,
}

impl Pace {
    fn new() -> Pace {
        Pace { begun: Instant::now(), head: None }
    }

    /// Waits after a step at which the head of the log was this.
    fn wait(&mut self, head: Seq) {
        let is_alone = self.head.replace(head).is_none_or(|before| before == head);
        let pause = if is_alone { BREATH } else { self.begun.elapsed() * PAUSE };
        thread::sleep(pause.max(BREATH));
        self.begun = Instant::now();
    }
}

/// Deletes at most about `limit` of the oldest changes up to `target`: whole transactions, at least
/// one, unless somebody holds them.
pub(crate) fn step(tx: &Tx<'_>, target: Seq, limit: i64) -> Result<Step> {
    reservation::expire(tx)?;
    let info = log::info(tx)?;
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
fn batch_end(tx: &Tx<'_>, info: &log::LogInfo, target: Seq, limit: i64) -> Result<Seq> {
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
        tx.note("cut a seal", TAKE_FROM_SEAL, (block, digest))?;
    } else if block == seal::block_of(sealed.seq) {
        sealed.open -= gone.of_cut_block;
        tx.note("cut a seal", TAKE_FROM_OPEN, [sealed.open])?;
    }
    tx.note("delete changes", DELETE, [end.0])?;
    tx.note("delete seals", DELETE_SEALS, [block])?;
    tx.note("move the floor", MOVE_FLOOR, (end.0, gone.bytes)).map(|_| ())
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
