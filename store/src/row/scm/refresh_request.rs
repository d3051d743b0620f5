//! Requests to observe a pull request or a repository now, before its next poll is due.

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::id::PrRef;
use crate::model::time::Timestamp;

/// A request to observe something now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRequest {
    /// The host.
    pub host: String,
    /// `owner/name`.
    pub repo: String,
    /// The pull request; 0 means the whole repository.
    pub number: i64,
    /// When it was requested.
    pub at: Timestamp,
}

/// The most pull requests of one repository that are requested one by one. Further requests are
/// merged into one for the whole repository.
pub const REFRESH_REQUESTS_MAX: u64 = 100;

const COUNT: &str = "SELECT count(*) FROM scm_refresh_request WHERE host = ?1 AND repo = ?2";

const UPSERT: &str = "INSERT INTO scm_refresh_request (host, repo, number, at)
    VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET at = excluded.at WHERE at < excluded.at";

const DELETE_OF_PRS: &str =
    "DELETE FROM scm_refresh_request WHERE host = ?1 AND repo = ?2 AND number > 0";

/// Requests that the observer of the host reads a pull request now, or with number 0 the whole
/// repository, and wakes listeners. A repeated request keeps the newest time.
///
/// # Errors
/// `INVALID_PR_REF`; when the database cannot be written.
pub fn request_refresh(
    tx: &Tx<'_>,
    host: &str,
    repo: &str,
    number: i64,
    at: Timestamp,
) -> Result<()> {
    PrRef::new(host, repo, if number == 0 { 1 } else { number })?;
    let step = "request a refresh";
    let mut number = number;
    let waiting = tx.one(step, COUNT, (host, repo), |row| row.get::<_, i64>(0))?;
    if number > 0 && waiting.unwrap_or(0).unsigned_abs() >= REFRESH_REQUESTS_MAX {
        tx.execute_uncaptured(step, DELETE_OF_PRS, (host, repo))?;
        number = 0;
    }
    if tx.execute_uncaptured(step, UPSERT, (host, repo, number, at.0))? > 0 {
        tx.request_wakeup();
    }
    Ok(())
}

const SELECT: &str = "SELECT host, repo, number, at FROM scm_refresh_request WHERE host = ?1
    ORDER BY repo, number";

/// The open requests at a host.
///
/// # Errors
/// When the database cannot be read.
pub fn refresh_requests(snapshot: &Snapshot<'_>, host: &str) -> Result<Vec<RefreshRequest>> {
    snapshot.list("list refresh requests", SELECT, [host], |row| {
        Ok(RefreshRequest {
            host: text(row, 0)?,
            repo: text(row, 1)?,
            number: row.get(2)?,
            at: Timestamp(row.get(3)?),
        })
    })
}

const DELETE: &str = "DELETE FROM scm_refresh_request
    WHERE host = ?1 AND repo = ?2 AND number = ?3 AND at <= ?4";

/// Deletes requests that were served, as [`refresh_requests`] returned them. A request that was
/// repeated since then stays.
///
/// # Errors
/// When the database cannot be written.
pub fn delete_refresh_requests(tx: &Tx<'_>, served: &[RefreshRequest]) -> Result<()> {
    for RefreshRequest { host, repo, number, at } in served {
        tx.execute_uncaptured("delete a refresh request", DELETE, (host, repo, number, at.0))?;
    }
    Ok(())
}
