//! What the writer does while nobody wants it: seals of foreign changes, the stored retention rules,
//! free pages given back.
//!
//! One small step at a time, with a pause three times as long after it, and put off by any job. No step
//! need be durable by itself; a commit that is acknowledged always is.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::db::connection::Durability;
use crate::db::tx::{Cause, Snapshot, Tx};
use crate::error::{Context, Error, Result};
use crate::log::info::LogInfo;
use crate::log::pruning::{PAUSE, step, vacuum};
use crate::log::retention::{self, Rules};
use crate::log::seal;
use crate::model::cursor::Seq;
use crate::model::time::Timestamp;

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
        let before = LogInfo::read(&Snapshot::new(conn))?.floor;
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
    use crate::db::connection::{self, Role};
    use crate::{Options, Store};

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
        let floor = || store.read(|snapshot| Ok(LogInfo::read(snapshot)?.floor)).unwrap();
        let first = floor();
        assert!(Seq(0) < first && first < Seq(390), "{first}");
        conn.execute_batch("UPDATE retention SET keep_events = NULL").unwrap();
        housekeeping.work(&conn, Timestamp(0)).unwrap();
        assert_eq!((housekeeping.patience(), floor()), (None, first));
    }
}
