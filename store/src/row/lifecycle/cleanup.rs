//! What was done to the worktree and the branch of a session when it ended, and why.

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::id::SessionId;
use crate::model::time::Timestamp;

/// What was done to the worktree and the branch of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleanup {
    /// Whether the worktree is gone.
    pub is_worktree_removed: bool,
    /// Why it was removed or kept.
    pub worktree_reason: String,
    /// Whether the branch is gone.
    pub is_branch_deleted: bool,
    /// Why it was deleted or kept.
    pub branch_reason: String,
    /// The ref that has the work that was not committed; or empty.
    pub preserved_ref: String,
    /// When.
    pub at: Timestamp,
}

const SELECT: &str =
    "SELECT worktree = 'removed', worktree_reason, branch = 'deleted', branch_reason,
    preserved_ref, at FROM session_cleanup WHERE session_id = ?1";

/// What was done for a session; `None` if nothing was tried.
///
/// # Errors
/// When the database cannot be read.
pub fn get(snapshot: &Snapshot<'_>, session: &SessionId) -> Result<Option<Cleanup>> {
    snapshot.one("read a cleanup", SELECT, [session.as_str()], |row| {
        Ok(Cleanup {
            is_worktree_removed: row.get(0)?,
            worktree_reason: text(row, 1)?,
            is_branch_deleted: row.get(2)?,
            branch_reason: text(row, 3)?,
            preserved_ref: text(row, 4)?,
            at: Timestamp(row.get(5)?),
        })
    })
}

const STORE: &str = "INSERT INTO session_cleanup
    (session_id, worktree, worktree_reason, branch, branch_reason, preserved_ref, at)
    VALUES (?1, iif(?2, 'removed', 'kept'), ?3, iif(?4, 'deleted', 'kept'), ?5, ?6, ?7)
    ON CONFLICT DO UPDATE SET worktree = excluded.worktree,
        worktree_reason = excluded.worktree_reason, branch = excluded.branch,
        branch_reason = excluded.branch_reason, preserved_ref = excluded.preserved_ref,
        at = excluded.at";

/// Stores what was done for a session.
///
/// # Errors
/// When the database cannot be written.
pub fn set(tx: &Tx<'_>, session: &SessionId, done: &Cleanup) -> Result<()> {
    let params = (
        session.as_str(),
        done.is_worktree_removed,
        &done.worktree_reason,
        done.is_branch_deleted,
        &done.branch_reason,
        &done.preserved_ref,
        done.at.0,
    );
    tx.execute_uncaptured("store a cleanup", STORE, params).map(|_| ())
}

const DELETE: &str = "DELETE FROM session_cleanup WHERE session_id = ?1";

/// Forgets what was done, because the session is restored.
///
/// # Errors
/// When the database cannot be written.
pub fn forget(tx: &Tx<'_>, session: &SessionId) -> Result<()> {
    tx.execute_uncaptured("forget a cleanup", DELETE, [session.as_str()]).map(|_| ())
}
