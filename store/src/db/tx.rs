//! Transactions: [`Snapshot`] reads one state of the store, [`Tx`] also writes.
//!
//! A write to a captured table goes through [`Tx::execute_captured`], which first opens the change
//! context: from it the capture triggers take the transaction, its time and its actor.

use std::cell::Cell;
use std::ops::Deref;

use rusqlite::{CachedStatement, Connection, Params, Row};

use crate::db::{reading, schema};
use crate::error::{Context, Error, Result};
use crate::model::clock::{BootTime, ClockReading};
use crate::model::cursor::{Cursor, Epoch, Seq};
use crate::model::time::Timestamp;

/// Who makes a change, and when, by the caller's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// A short name, such as `cli` or `observer`; every change of the transaction carries it.
    pub actor: String,
    /// The time of the transaction. Times in the log never decrease: an older time is raised to the
    /// newest one.
    pub at: Timestamp,
    /// The time since the machine started, at the same time.
    pub boot: Option<BootTime>,
}

impl Cause {
    /// The given actor at the given time. A [`Timestamp`] alone does not show later that the clock was
    /// wrong, a [`ClockReading`] does.
    #[must_use]
    pub fn new(actor: &str, at: impl Into<ClockReading>) -> Cause {
        let ClockReading { at, boot } = at.into();
        Cause { actor: actor.to_owned(), at, boot }
    }

    /// The given actor now, for use at an edge only.
    #[must_use]
    pub fn now(actor: &str) -> Cause {
        Cause::new(actor, ClockReading::now())
    }

    /// What the clocks showed.
    #[must_use]
    pub fn reading(&self) -> ClockReading {
        ClockReading { at: self.at, boot: self.boot }
    }
}

/// One consistent state of the store. Every read function takes one; keep its lifetime short.
#[derive(Debug)]
pub struct Snapshot<'c> {
    conn: &'c Connection,
}

impl<'c> Snapshot<'c> {
    pub(crate) fn new(conn: &'c Connection) -> Snapshot<'c> {
        Snapshot { conn }
    }

    pub(crate) fn conn(&self) -> &'c Connection {
        self.conn
    }

    pub(crate) fn prepare(&self, step: &'static str, sql: &str) -> Result<CachedStatement<'c>> {
        #[cfg(test)]
        crate::db::plan::record(sql);
        self.conn.prepare_cached(sql).context(step)
    }

    /// At most one row.
    pub(crate) fn one<T>(
        &self,
        step: &'static str,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.prepare(step, sql)?;
        let mut rows = statement.query(params).context(step)?;
        rows.next().context(step)?.map(read).transpose().context(step)
    }

    /// Every row.
    pub(crate) fn list<T>(
        &self,
        step: &'static str,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.prepare(step, sql)?;
        let rows = statement.query_map(params, read).context(step)?;
        rows.collect::<rusqlite::Result<_>>().context(step)
    }

    /// The first `limit` rows that are wanted. Unless the query sorts, nothing after them is read.
    pub(crate) fn first<T>(
        &self,
        step: &'static str,
        sql: &str,
        params: impl Params,
        (limit, is_wanted): (usize, impl Fn(&T) -> bool),
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.prepare(step, sql)?;
        let rows = statement.query_map(params, read).context(step)?;
        let is_wanted = |row: &rusqlite::Result<T>| row.as_ref().map_or(true, &is_wanted);
        rows.filter(is_wanted).take(limit).collect::<rusqlite::Result<_>>().context(step)
    }

    /// The cursor of the newest change.
    ///
    /// # Errors
    /// When the log's identity cannot be read.
    pub fn head(&self) -> Result<Cursor> {
        let step = "read the head";
        let head = self.one(step, SELECT_HEAD, [], |row| {
            Ok((Cursor { epoch: Epoch(row.get(0)?), seq: Seq(row.get(1)?) }, row.get(2)?))
        })?;
        let (head, format) = head.ok_or(rusqlite::Error::QueryReturnedNoRows).context(step)?;
        // A newer program may have migrated the store since it was opened.
        schema::check_current(format)?;
        Ok(head)
    }
}

/// The newest seq ever used, in SQL. The log may be pruned to nothing, and a statement of a foreign
/// writer that stops halfway (`OR FAIL`) leaves `sqlite_sequence` behind the rows it inserted.
macro_rules! head_seq {
    () => {
        "max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change_log'), 0),
         coalesce((SELECT seq FROM change_log ORDER BY seq DESC LIMIT 1), 0),
         (SELECT floor FROM log_meta))"
    };
}
pub(crate) use head_seq;

const SELECT_HEAD: &str = concat!("SELECT epoch, ", head_seq!(), ", format FROM log_meta");

const OPEN_CONTEXT: &str =
    concat!("UPDATE change_context SET tx = 1 + ", head_seq!(), ", at = max(at, ?1), actor = ?2");

/// Closes the change context, so that every committed state has it closed, and stores how far the
/// log is sealed.
pub(crate) const CLOSE_CONTEXT: &str = "UPDATE change_context SET tx = NULL, actor = NULL,
    sealed = ?1, seal = ?2, logged_bytes = ?3";

/// A write transaction: a [`Snapshot`] that also writes. Only `Store::write` creates one.
#[derive(Debug)]
pub struct Tx<'c> {
    snapshot: Snapshot<'c>,
    cause: &'c Cause,
    context_opened: Cell<bool>,
    wakeup_requested: Cell<bool>,
}

impl<'c> Deref for Tx<'c> {
    type Target = Snapshot<'c>;

    fn deref(&self) -> &Snapshot<'c> {
        &self.snapshot
    }
}

impl<'c> Tx<'c> {
    pub(crate) fn new(conn: &'c Connection, cause: &'c Cause) -> Tx<'c> {
        Tx {
            snapshot: Snapshot::new(conn),
            cause,
            context_opened: Cell::new(false),
            wakeup_requested: Cell::new(false),
        }
    }

    /// The time of this transaction, as the caller gave it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.cause.at
    }

    /// What the clocks showed at that time.
    pub(crate) fn reading(&self) -> ClockReading {
        self.cause.reading()
    }

    /// Whether a captured table may have changed.
    pub(crate) fn has_changes(&self) -> bool {
        self.context_opened.get()
    }

    /// Whether the commit wakes listeners.
    pub(crate) fn wakes(&self) -> bool {
        self.context_opened.get() || self.wakeup_requested.get()
    }

    /// Wakes listeners after the commit, even if no captured table changes.
    pub(crate) fn request_wakeup(&self) {
        self.wakeup_requested.set(true);
    }

    /// Runs a statement that changes a captured table; returns the number of changed rows.
    pub(crate) fn execute_captured(
        &self,
        step: &'static str,
        sql: &str,
        params: impl Params,
    ) -> Result<usize> {
        if !self.context_opened.get() {
            self.execute_uncaptured(step, OPEN_CONTEXT, (self.cause.at.0, &self.cause.actor))?;
            reading::record(self.conn(), self.reading())?;
            self.context_opened.set(true);
        }
        self.execute_uncaptured(step, sql, params)
    }

    /// Runs a statement that changes tables which are not captured.
    pub(crate) fn execute_uncaptured(
        &self,
        step: &'static str,
        sql: &str,
        params: impl Params,
    ) -> Result<usize> {
        if self.conn().is_autocommit() {
            // An earlier error, such as a full disk, ended the transaction: this would commit alone.
            return Err(Error::GivenUp);
        }
        let mut statement = self.conn().prepare_cached(sql).context(step)?;
        statement.execute(params).context(step)
    }
}
