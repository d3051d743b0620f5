//! Transactions: [`Snapshot`] reads one state of the store, [`Tx`] also writes.
//!
//! A write to a captured table goes through [`Tx::change`], which opens the change context first,
//! so that the capture triggers know the transaction, its time and its actor.

use std::cell::Cell;
use std::ops::Deref;

use rusqlite::{Connection, Params, Row};

use crate::db::schema;
use crate::error::{Context, Error, Result};
use crate::model::cursor::{Cursor, Epoch, Seq};
use crate::model::time::Timestamp;

/// Who makes a change, and when by the clock of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// A short name, such as `cli` or `observer`; it stands on every change.
    pub actor: String,
    /// The time of the transaction. The log never goes back: an older time is raised to the newest.
    pub at: Timestamp,
}

impl Cause {
    /// A cause of the given actor at the given time.
    #[must_use]
    pub fn new(actor: &str, at: Timestamp) -> Cause {
        Cause { actor: actor.to_owned(), at }
    }
}

/// One consistent state of the store. Every read function takes one; keep it short.
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

    /// At most one row.
    pub(crate) fn one<T>(
        &self,
        step: &'static str,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.conn.prepare_cached(sql).context(step)?;
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
        let mut statement = self.conn.prepare_cached(sql).context(step)?;
        let rows = statement.query_map(params, read).context(step)?;
        rows.collect::<rusqlite::Result<_>>().context(step)
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

/// The newest seq ever given out, in SQL. The log may be pruned to nothing, and a statement of a
/// foreign writer that stops halfway (`OR FAIL`) leaves `sqlite_sequence` behind the rows it made.
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

/// Closes the change context, so that it is closed in every committed state, and stores how far the
/// log is sealed.
pub(crate) const CLOSE_CONTEXT: &str = "UPDATE change_context SET tx = NULL, actor = NULL,
    sealed = ?1, seal = ?2, logged_bytes = ?3";

/// A write transaction: everything a [`Snapshot`] does, and changes. Made by `Store::write` only.
#[derive(Debug)]
pub struct Tx<'c> {
    snapshot: Snapshot<'c>,
    cause: &'c Cause,
    opened: Cell<bool>,
    called: Cell<bool>,
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
            opened: Cell::new(false),
            called: Cell::new(false),
        }
    }

    /// The time of this transaction as its caller gave it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.cause.at
    }

    /// Whether a captured table may have been changed.
    pub(crate) fn has_changes(&self) -> bool {
        self.opened.get()
    }

    /// Whether listeners are to be woken when it is committed.
    pub(crate) fn wakes(&self) -> bool {
        self.opened.get() || self.called.get()
    }

    /// Wakes listeners although what was written is not captured: somebody waits for it.
    pub(crate) fn call(&self) {
        self.called.set(true);
    }

    /// Runs a statement that changes a captured table; returns the rows changed.
    pub(crate) fn change(
        &self,
        step: &'static str,
        sql: &str,
        params: impl Params,
    ) -> Result<usize> {
        if !self.opened.get() {
            self.note(step, OPEN_CONTEXT, (self.cause.at.0, &self.cause.actor))?;
            self.opened.set(true);
        }
        self.note(step, sql, params)
    }

    /// Runs a statement that changes bookkeeping, which is not captured.
    pub(crate) fn note(&self, step: &'static str, sql: &str, params: impl Params) -> Result<usize> {
        if self.conn().is_autocommit() {
            // An error before, as on a full disk, ended the transaction: this would commit alone.
            return Err(Error::GivenUp);
        }
        let mut statement = self.conn().prepare_cached(sql).context(step)?;
        statement.execute(params).context(step)
    }
}
