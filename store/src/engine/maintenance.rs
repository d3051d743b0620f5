//! Background maintenance by the writer: it seals foreign changes, applies the stored retention rules,
//! and frees pages.
//!
//! It runs one small step at a time, followed by a pause three times as long, and any job comes before
//! it. A step need not be durable by itself; a commit that is acknowledged always is.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::db::connection::{self, Durability};
use crate::db::tx::{Cause, Snapshot, Tx};
use crate::db::write_queue::Turn;
use crate::engine::schema_guard::SchemaGuard;
use crate::error::{Context, Result};
use crate::log::info::LogInfo;
use crate::log::pruning::{self, BATCH, PAGES, PAUSE, vacuum};
use crate::log::retention::{self, Rules};
use crate::log::seal;
use crate::model::clock::ClockReading;
use crate::model::cursor::Seq;

/// Which steps of maintenance are pending.
#[derive(Debug)]
pub(crate) struct Maintenance {
    durability: Durability,
    rules: Rules,
    target: Seq,
    is_vacuuming: bool,
    is_sealing: bool,
    /// When the next step may run.
    next: Instant,
    /// What came of the last plan or step, in words.
    outcome: String,
}

/// The number of free pages from which they are freed without a request: 4 MiB. Fewer are reused.
const WORTH_VACUUM: i64 = 1024;

impl Maintenance {
    pub(crate) fn new(durability: Durability) -> Maintenance {
        let (rules, target, next) = (Rules::default(), Seq(0), Instant::now());
        let (is_vacuuming, is_sealing) = (false, false);
        let outcome = String::new();
        Maintenance { durability, rules, target, is_vacuuming, is_sealing, next, outcome }
    }

    /// Drops the pending steps until the next [`Maintenance::plan`].
    pub(crate) fn reset(&mut self) {
        *self = Maintenance::new(self.durability);
    }

    /// What came of the last plan or step, in words.
    pub(crate) fn outcome(&self) -> String {
        self.outcome.clone()
    }

    /// How long the writer waits for jobs before it calls [`Maintenance::step`]; `None` when no step is
    /// pending.
    pub(crate) fn delay(&self) -> Option<Duration> {
        let is_pending = self.target > Seq(0) || self.is_vacuuming || self.is_sealing;
        is_pending.then(|| self.next.saturating_duration_since(Instant::now()))
    }

    /// Finds out whether the stored rules prune something, and whether foreign changes need a seal.
    pub(crate) fn plan(&mut self, conn: &Connection, now: ClockReading) -> Result<()> {
        let snapshot = Snapshot::new(conn);
        self.is_sealing = seal::sealed(conn)?.seq < snapshot.head()?.seq;
        self.rules = retention::rules(&snapshot)?;
        if self.rules.is_empty() {
            "no rule of retention is stored".clone_into(&mut self.outcome);
            return Ok(());
        }
        let plan = retention::plan(&snapshot, &self.rules, now)?;
        self.target = if plan.events() > 0 { plan.target } else { Seq(0) };
        self.outcome = match plan.events() {
            1.. => format!("{} changes are to be pruned", plan.events()),
            _ => "nothing to prune".to_owned(),
        };
        Ok(())
    }

    /// Runs one small step, in a transaction that need not be durable by itself: after a power loss the
    /// step is repeated.
    pub(crate) fn step(
        &mut self,
        conn: &Connection,
        guard: &SchemaGuard,
        turn: Turn,
        now: ClockReading,
    ) -> Result<()> {
        // A later commit syncs this one too, before any process gets an acknowledgement that depends on it.
        connection::suspend_sync(conn)?;
        let begun = Instant::now();
        let done = self.step_unsynced(conn, guard, turn, now);
        self.next = Instant::now() + begun.elapsed() * PAUSE;
        connection::resume_sync(conn, self.durability)?;
        done
    }

    fn step_unsynced(
        &mut self,
        conn: &Connection,
        guard: &SchemaGuard,
        turn: Turn,
        now: ClockReading,
    ) -> Result<()> {
        let commit = "commit maintenance";
        let transaction = guard.begin(conn, turn)?;
        if self.is_sealing {
            let before = seal::sealed(conn)?.seq;
            let after = seal::close(conn, 0)?.seq;
            transaction.commit(commit)?;
            if after > before {
                // Sealed changes may be pruned.
                return self.plan(conn, now);
            }
            // `verify` reports it.
            "a change is missing, and nothing after it can be sealed".clone_into(&mut self.outcome);
            self.is_sealing = false;
            return Ok(());
        }
        if self.is_vacuuming {
            let freed = vacuum(conn, PAGES)?;
            self.is_vacuuming = freed > 0;
            self.outcome = format!("freed {freed} pages");
            return transaction.commit(commit);
        }
        let cause = Cause::new("retention", now);
        let before = LogInfo::read(&Snapshot::new(conn))?.floor;
        let tx = Tx::new(conn, &cause);
        // The stored rules may have changed since the plan: then this step prunes nothing.
        let is_current = retention::rules(&tx)? == self.rules;
        let target = if is_current { self.target } else { before };
        let done = pruning::step(&tx, target, BATCH)?;
        transaction.commit(commit)?;
        self.outcome = format!("pruned up to change {}", done.floor);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::connection::Role;
    use crate::{Options, Store};

    #[test]
    fn removed_rules_stop_the_pruning_that_they_started() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        let (store, _) = Store::create(&path, Options::default()).unwrap();
        let conn = connection::open(&path, Role::Writer, Durability::Full, Duration::ZERO).unwrap();
        let many = "UPDATE retention SET keep_events = 10;
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
            INSERT INTO project (id, path, name, created_at, updated_at)
            SELECT i, i, '', 0, 0 FROM n;";
        conn.execute_batch(many).unwrap();
        let (mut maintenance, guard) = (Maintenance::new(Durability::Full), SchemaGuard::default());
        let now = ClockReading::now();
        maintenance.plan(&conn, now).unwrap();
        // The changes of a foreign writer are sealed first.
        maintenance.step(&conn, &guard, Turn::default(), now).unwrap();
        maintenance.step(&conn, &guard, Turn::default(), now).unwrap();
        let floor = || store.read(|snapshot| Ok(LogInfo::read(snapshot)?.floor)).unwrap();
        let first = floor();
        assert!(Seq(0) < first && first < Seq(390), "{first}");
        conn.execute_batch("UPDATE retention SET keep_events = NULL").unwrap();
        maintenance.step(&conn, &guard, Turn::default(), now).unwrap();
        assert_eq!((maintenance.delay(), floor()), (None, first));
    }
    #[test]
    fn no_step_is_taken_while_the_schema_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        drop(Store::create(&path, Options::default()).unwrap());
        let conn = connection::open(&path, Role::Writer, Durability::Full, Duration::ZERO).unwrap();
        let sealed = || seal::sealed(&conn).unwrap().seq;
        conn.execute_batch(
            "INSERT INTO project (id, path, name, created_at, updated_at) VALUES (1, 1, '', 0, 0);
             DROP TRIGGER capture_pr_delete",
        )
        .unwrap();
        let (mut maintenance, guard) = (Maintenance::new(Durability::Full), SchemaGuard::default());
        let now = ClockReading::now();
        maintenance.plan(&conn, now).unwrap();
        let refused = maintenance.step(&conn, &guard, Turn::default(), now).unwrap_err();
        assert_eq!((refused.code(), sealed()), (crate::Code::SchemaMismatch, Seq(0)));
        assert!(conn.is_autocommit());
    }
}
