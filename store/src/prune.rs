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
use crate::connection::Durability;
use crate::cursor::Seq;
use crate::digest::{Digest, Hasher};
use crate::error::{Context, Error, Result};
use crate::retention::{self, Plan, Rules};
use crate::row::change::{IMAGES, select_changes};
use crate::row::{log, reservation};
use crate::seal;
use crate::store::{Options, Store};
use crate::time::Timestamp;
use crate::tx::{Cause, Snapshot, Tx};

/// Changes in one transaction when pruning is asked for.
const BATCH: i64 = 250;
/// How much longer than a step the pause after it is while others write: pruning takes a quarter of
/// the writer's time.
const PAUSE: u32 = 3;
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

/// Applies the stored rules in the writer's idle time, a little at a time.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    durability: Durability,
    rules: Rules,
    target: Seq,
    is_vacuuming: bool,
    is_sealing: bool,
    /// When the next step may be taken.
    next: Instant,
}

/// What SQLite calls `FULL`.
const SYNCHRONOUS_FULL: i64 = 2;
/// Changes in one transaction of idle work: a job that comes meanwhile waits 0.2 ms.
const IDLE_BATCH: i64 = 100;
/// Pages in one step of idle work.
const IDLE_PAGES: u32 = 64;
/// Free pages that are worth giving back without being asked: 4 MiB. Fewer are used again.
const WORTH_VACUUM: i64 = 1024;

impl Housekeeping {
    pub(crate) fn new(durability: Durability) -> Housekeeping {
        let (rules, target, next) = (Rules::default(), Seq(0), Instant::now());
        let (is_vacuuming, is_sealing) = (false, false);
        Housekeeping { durability, rules, target, is_vacuuming, is_sealing, next }
    }

    /// Forgets what it was about to do.
    pub(crate) fn put_off(&mut self) {
        *self = Housekeeping::new(self.durability);
    }

    /// How long to wait for jobs before [`Housekeeping::work`] is called; `None` when it has nothing to
    /// do.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let is_pending = self.target > Seq(0) || self.is_vacuuming || self.is_sealing;
        is_pending.then(|| self.next.saturating_duration_since(Instant::now()))
    }

    /// Looks whether the stored rules let something go, and whether foreign changes want a seal.
    pub(crate) fn look(&mut self, conn: &Connection, now: Timestamp) -> Result<()> {
        let snapshot = Snapshot::new(conn);
        self.is_sealing = seal::sealed(conn)?.seq < snapshot.head()?.seq;
        self.rules = retention::rules(&snapshot)?;
        if self.rules.is_empty() {
            return Ok(());
        }
        let plan = retention::plan(&snapshot, &self.rules, now)?;
        self.target = if plan.events() > 0 { plan.target } else { Seq(0) };
        Ok(())
    }

    /// One small step, in a transaction that need not be durable by itself: when power is lost the
    /// changes are there again.
    pub(crate) fn work(&mut self, conn: &Connection, now: Timestamp) -> Result<()> {
        // Not synced by itself: a later commit syncs it too, before anything of it is acknowledged.
        conn.execute_batch("PRAGMA synchronous = NORMAL").context("begin housekeeping")?;
        let begun = Instant::now();
        let done = self.work_unsynced(conn, now);
        self.next = Instant::now() + begun.elapsed() * PAUSE;
        if self.durability == Durability::Full {
            // Not allowed inside a transaction: one that could not be rolled back is given up here, or
            // later commits would be acknowledged unsynced.
            let restored = conn.execute_batch("PRAGMA synchronous = FULL");
            let level = conn.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0));
            if restored.is_err() || level != Ok(SYNCHRONOUS_FULL) {
                return Err(Error::Unsynced);
            }
        }
        done
    }

    fn work_unsynced(&mut self, conn: &Connection, now: Timestamp) -> Result<()> {
        if self.is_sealing {
            let before = seal::sealed(conn)?.seq;
            let after = in_transaction(conn, || Ok(seal::close(conn, 0)?.seq))?;
            if after > before {
                // What has a seal may go.
                return self.look(conn, now);
            }
            // What is missing cannot be sealed, and is for `verify` to tell.
            self.is_sealing = false;
            return Ok(());
        }
        if self.is_vacuuming {
            self.is_vacuuming = in_transaction(conn, || vacuum(conn, IDLE_PAGES))? > 0;
            return Ok(());
        }
        let cause = Cause::new("retention", now);
        let before = log::info(&Snapshot::new(conn))?.floor;
        let done = in_transaction(conn, || {
            let tx = Tx::new(conn, &cause);
            // Other rules may have been stored since: nothing more goes by the old ones.
            let is_still = retention::rules(&tx)? == self.rules;
            step(&tx, if is_still { self.target } else { before }, IDLE_BATCH)
        })?;
        if done.floor >= self.target || done.floor == before {
            tracing::debug!(floor = done.floor.0, "retention has pruned the log");
            self.target = Seq(0);
            let free = "PRAGMA freelist_count";
            let free: i64 = conn.query_row(free, [], |row| row.get(0)).context(free)?;
            self.is_vacuuming = free >= WORTH_VACUUM;
        }
        Ok(())
    }
}

fn in_transaction<T>(conn: &Connection, work: impl FnOnce() -> Result<T>) -> Result<T> {
    conn.execute_batch("BEGIN IMMEDIATE").context("begin housekeeping")?;
    let done = work().and_then(|value| {
        conn.execute_batch("COMMIT").context("commit housekeeping")?;
        Ok(value)
    });
    if done.is_err() && !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK").context("give housekeeping up")?;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{self, Role};

    #[test]
    fn rules_that_are_taken_back_stop_what_they_began() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        let (store, _) = Store::create(&path, Options::default()).unwrap();
        let conn = connection::open(&path, Role::Writer, Durability::Full, Duration::ZERO).unwrap();
        let many = "UPDATE retention SET keep_events = 10;
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
            INSERT INTO project (id, path, name, created_at, updated_at)
            SELECT i, i, '', 0, 0 FROM n;";
        conn.execute_batch(many).unwrap();
        let mut housekeeping = Housekeeping::new(Durability::Full);
        housekeeping.look(&conn, Timestamp(0)).unwrap();
        // What a foreign writer made is sealed first.
        housekeeping.work(&conn, Timestamp(0)).unwrap();
        housekeeping.work(&conn, Timestamp(0)).unwrap();
        let floor = || store.read(|snapshot| Ok(log::info(snapshot)?.floor)).unwrap();
        let first = floor();
        assert!(Seq(0) < first && first < Seq(390), "{first}");
        conn.execute_batch("UPDATE retention SET keep_events = NULL").unwrap();
        housekeeping.work(&conn, Timestamp(0)).unwrap();
        assert_eq!((housekeeping.patience(), floor()), (None, first));
    }
}
