//! Accounts that have reached a limit. While one has, nothing new is given to its agents.

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::id::SessionId;
use crate::model::time::Timestamp;

/// A limit that an account has reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The account: the name of the harness, followed by `/` and the name of the account where it is known.
    pub account: String,
    /// The session that reported it; empty if a turn did.
    pub session: SessionId,
    /// What its program printed.
    pub message: String,
    /// When it was reported.
    pub reported_at: Timestamp,
    /// When it ends, if that was reported.
    pub until: Option<Timestamp>,
}

impl Limit {
    /// Whether it is that of an account of this harness.
    #[must_use]
    pub fn is_of(&self, harness: &str) -> bool {
        self.account.split('/').next() == Some(harness)
    }

    /// Whether it holds. One without an end holds until an agent of the account works again.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// The account of a harness.
#[must_use]
pub fn name(harness: &str, account: &str) -> String {
    if account.is_empty() { harness.to_owned() } else { format!("{harness}/{account}") }
}

const SELECT: &str = "SELECT account, session_id, message, reported_at, ends_at FROM account_limit
    ORDER BY account";

/// All limits, also those that have ended.
///
/// # Errors
/// When the database cannot be read.
pub fn limits(snapshot: &Snapshot<'_>) -> Result<Vec<Limit>> {
    snapshot.list("list limits of accounts", SELECT, [], |row| {
        Ok(Limit {
            account: text(row, 0)?,
            session: SessionId::stored(text(row, 1)?),
            message: text(row, 2)?,
            reported_at: Timestamp(row.get(3)?),
            until: row.get::<_, Option<i64>>(4)?.map(Timestamp),
        })
    })
}

/// The limit that holds for a harness, of whichever account.
///
/// # Errors
/// When the database cannot be read.
pub fn limit_of(snapshot: &Snapshot<'_>, harness: &str, now: Timestamp) -> Result<Option<Limit>> {
    Ok(limits(snapshot)?.into_iter().find(|limit| limit.is_of(harness) && limit.holds(now)))
}

/// The limit that holds for an account: its own, or one of its harness whose account is not known. An agent
/// without an account has none.
///
/// # Errors
/// When the database cannot be read.
pub fn limit_of_account(
    snapshot: &Snapshot<'_>,
    account: &str,
    now: Timestamp,
) -> Result<Option<Limit>> {
    if account.is_empty() {
        return Ok(None);
    }
    let harness = account.split('/').next().unwrap_or(account);
    let is_its = |limit: &Limit| limit.account == account || limit.account == harness;
    Ok(limits(snapshot)?.into_iter().find(|limit| is_its(limit) && limit.holds(now)))
}

const STORE: &str = "INSERT INTO account_limit (account, session_id, message, reported_at, ends_at)
    VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT DO UPDATE SET session_id = excluded.session_id, message = excluded.message,
        reported_at = excluded.reported_at, ends_at = excluded.ends_at";

/// Stores a limit.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn store(tx: &Tx<'_>, limit: &Limit) -> Result<()> {
    let Limit { account, session, message, reported_at, until } = limit;
    let params = (account, session.as_str(), message, reported_at.0, until.map(|at| at.0));
    tx.execute_uncaptured("store the limit of an account", STORE, params).map(|_| ())
}

const CLEAR: &str = "DELETE FROM account_limit
    WHERE session_id = ?1 OR (ends_at <= ?3
        AND (account = ?2 OR substr(account, 1, length(?2) + 1) = ?2 || '/'))";

/// Removes the limit that a session reported: its agent works again. One of its harness that has ended would
/// hide the next one with the same message.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn clear(tx: &Tx<'_>, session: &SessionId, harness: &str) -> Result<()> {
    let params = (session.as_str(), harness, tx.now().0);
    tx.execute_uncaptured("clear the limit of an account", CLEAR, params).map(|_| ())
}

const WORKS: &str = "DELETE FROM account_limit WHERE account = ?1 AND reported_at < ?2";

/// Removes the limit of a harness that was reported before a turn that has ended well, for such a turn could
/// not have been made then. Which of several named accounts made it is not known.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn works(tx: &Tx<'_>, harness: &str, began_at: Timestamp) -> Result<()> {
    let params = (harness, began_at.0);
    tx.execute_uncaptured("clear the limit of an account", WORKS, params).map(|_| ())
}

const CLEAR_ACCOUNT: &str = "DELETE FROM account_limit WHERE account = ?1";

/// Removes the limit of an account. Returns whether there was one.
///
/// # Errors
/// When the database cannot be written.
pub fn clear_account(tx: &Tx<'_>, account: &str) -> Result<bool> {
    Ok(tx.execute_uncaptured("clear the limit of an account", CLEAR_ACCOUNT, [account])? > 0)
}
