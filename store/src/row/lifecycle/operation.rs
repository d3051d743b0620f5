//! Operations: the verb that runs on a session, and the instance that runs it. The database lets one run
//! at a time.

use rusqlite::Row;

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::id::SessionId;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::columns::{Column, enum_columns};
use crate::row::lifecycle::instance;

text_enum! {
    /// What runs on a session.
    Verb {
        /// It is created.
        Spawn = "spawn",
        /// It is terminated.
        Kill = "kill",
        /// It is brought back after its termination.
        Restore = "restore",
        /// Its agent is started again.
        Relaunch = "relaunch",
        /// Another session takes its place, after which it is terminated.
        Replace = "replace",
        /// What it left is removed.
        Cleanup = "cleanup",
        /// The decision that its agent waits for is answered.
        Answer = "answer",
        /// Reconciliation makes it as it should be.
        Reconcile = "reconcile",
    } else Reconcile
}

enum_columns!(Verb);

/// An operation on a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The session.
    pub session: SessionId,
    /// What runs.
    pub verb: Verb,
    /// The instance that runs it.
    pub instance: String,
    /// The commit at which it creates the branch of the session; empty if the branch was there before.
    pub created_at_commit: String,
    /// The session that this one takes the place of; or empty.
    pub replaces: String,
    /// When it began.
    pub started_at: Timestamp,
}

impl Operation {
    /// Whether the instance that runs it is known to have ended.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn is_abandoned(&self, snapshot: &Snapshot<'_>) -> Result<bool> {
        Ok(instance::get(snapshot, &self.instance)?.is_none_or(|instance| instance.is_dead()))
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT session_id, verb, instance, created_at_commit, replaces, started_at
            FROM session_operation ",
            $tail
        )
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<Operation> {
    Ok(Operation {
        session: Column::read(row, 0)?,
        verb: Column::read(row, 1)?,
        instance: text(row, 2)?,
        created_at_commit: text(row, 3)?,
        replaces: text(row, 4)?,
        started_at: Column::read(row, 5)?,
    })
}

/// The operation on a session, if one runs or was abandoned.
///
/// # Errors
/// When the database cannot be read.
pub fn get(snapshot: &Snapshot<'_>, session: &SessionId) -> Result<Option<Operation>> {
    let sql = select!("WHERE session_id = ?1");
    snapshot.one("read an operation", sql, [session.as_str()], read)
}

/// The operation that lets another session take the place of this one.
///
/// # Errors
/// When the database cannot be read.
pub fn replacing(snapshot: &Snapshot<'_>, session: &SessionId) -> Result<Option<Operation>> {
    Ok(list(snapshot)?.into_iter().find(|operation| operation.replaces == session.as_str()))
}

/// All operations.
///
/// # Errors
/// When the database cannot be read.
pub fn list(snapshot: &Snapshot<'_>) -> Result<Vec<Operation>> {
    snapshot.list("list operations", select!("ORDER BY session_id"), [], read)
}

const INSERT: &str = "INSERT INTO session_operation (session_id, verb, instance, started_at)
    VALUES (?1, ?2, ?3, ?4)";

/// Begins an operation on a session. One that was abandoned must be finished or undone first: it is
/// returned, and nothing is written.
///
/// # Errors
/// `SESSION_BUSY` while another one runs.
pub fn begin(
    tx: &Tx<'_>,
    session: &SessionId,
    verb: Verb,
    instance: &str,
) -> Result<Option<Operation>> {
    if let Some(running) = get(tx, session)? {
        if running.is_abandoned(tx)? {
            return Ok(Some(running));
        }
        return Err(Error::SessionBusy { session: session.clone(), verb: running.verb.as_str() });
    }
    let params = (session.as_str(), verb.as_str(), instance, tx.now().0);
    tx.execute_uncaptured("begin an operation", INSERT, params)?;
    Ok(None)
}

const HAND_OVER: &str = "UPDATE session_operation SET instance = ?3
    WHERE session_id = ?1 AND instance = ?2";

/// Gives an operation from one instance to another, which finishes or undoes it. One that is not registered
/// leaves it abandoned. Returns whether no other instance was faster.
///
/// # Errors
/// When the database cannot be written.
pub fn hand_over(tx: &Tx<'_>, session: &SessionId, from: &str, to: &str) -> Result<bool> {
    let params = (session.as_str(), from, to);
    Ok(tx.execute_uncaptured("hand an operation over", HAND_OVER, params)? > 0)
}

const SET_CREATED: &str =
    "UPDATE session_operation SET created_at_commit = ?2 WHERE session_id = ?1";

/// Records, before it is done, that the operation creates the branch of its session at a commit.
///
/// # Errors
/// When the database cannot be written.
pub fn creates_branch(tx: &Tx<'_>, session: &SessionId, commit: &str) -> Result<()> {
    let params = (session.as_str(), commit);
    tx.execute_uncaptured("record that a branch is created", SET_CREATED, params).map(|_| ())
}

const SET_REPLACES: &str = "UPDATE session_operation SET replaces = ?2 WHERE session_id = ?1";

/// Records that the session of the operation takes the place of another one.
///
/// # Errors
/// When the database cannot be written.
pub fn replaces(tx: &Tx<'_>, session: &SessionId, replaced: &SessionId) -> Result<()> {
    let params = (session.as_str(), replaced.as_str());
    tx.execute_uncaptured("record what is replaced", SET_REPLACES, params).map(|_| ())
}

const DELETE: &str = "DELETE FROM session_operation WHERE session_id = ?1 AND instance = ?2";

/// Ends an operation of this instance.
///
/// # Errors
/// When the database cannot be written.
pub fn end(tx: &Tx<'_>, session: &SessionId, instance: &str) -> Result<()> {
    let params = (session.as_str(), instance);
    tx.execute_uncaptured("end an operation", DELETE, params).map(|_| ())
}
