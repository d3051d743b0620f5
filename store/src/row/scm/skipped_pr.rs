//! Open pull requests on the branch of a session that are not tracked, and why: those of somebody else.

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::id::SessionId;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Columns, table};

/// A pull request that was listed and is not tracked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedPr {
    /// The host.
    pub host: String,
    /// `owner/name`.
    pub repo: String,
    /// Its number.
    pub number: i64,
    /// Since when it is skipped; [`set_skipped_prs`] keeps the stored time.
    pub since: Timestamp,
    /// The session on whose branch it is.
    pub session: SessionId,
    /// Its head branch.
    pub head_ref: String,
    /// The login of its author, or empty.
    pub author: String,
    /// The code of the [`Reason`](crate::attribution::Reason).
    pub reason: String,
}

/// The most that are stored of one repository.
pub const SKIPPED_PRS_MAX: usize = 100;

/// The most that are shown at once.
const SHOWN_MAX: i64 = 100;

table! {
    SkippedPr in "scm_skipped_pr" {
        host, repo, number, since;
        session = session_id, head_ref, author, reason,
    }
}

const DELETE_OTHERS: &str = "DELETE FROM scm_skipped_pr WHERE host = ?1 AND repo = ?2
    AND number NOT IN (SELECT value FROM json_each(?3))";

/// Makes these the skipped pull requests of a repository, of which the first
/// [`SKIPPED_PRS_MAX`] are stored.
///
/// # Errors
/// When the database cannot be written.
pub fn set_skipped_prs(tx: &Tx<'_>, host: &str, repo: &str, prs: &[SkippedPr]) -> Result<()> {
    let step = "store skipped pull requests";
    let prs = &prs[..prs.len().min(SKIPPED_PRS_MAX)];
    let numbers: Vec<_> = prs.iter().map(|pr| pr.number).collect();
    tx.execute_uncaptured(
        step,
        DELETE_OTHERS,
        (host, repo, serde_json::json!(numbers).to_string()),
    )?;
    for pr in prs {
        columns::upsert(tx, step, pr)?;
    }
    Ok(())
}

macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            names!(),
            " FROM scm_skipped_pr k WHERE ",
            $condition,
            " EXISTS (SELECT 1 FROM session s WHERE s.id = k.session_id AND s.is_terminated = 0)
                AND NOT EXISTS (SELECT 1 FROM pr p WHERE p.host = k.host COLLATE NOCASE
                    AND p.repo = k.repo COLLATE NOCASE AND p.number = k.number)
            ORDER BY host, repo, number LIMIT ?1"
        )
    };
}

/// The skipped pull requests of a session, or of all sessions that are not terminated; at most 100.
///
/// # Errors
/// When the database cannot be read.
pub fn skipped_prs(snapshot: &Snapshot<'_>, session: Option<&SessionId>) -> Result<Vec<SkippedPr>> {
    let step = "list skipped pull requests";
    match session.map(SessionId::as_str) {
        None => snapshot.list(step, select!(""), [SHOWN_MAX], SkippedPr::read),
        Some(id) => {
            let sql = select!("k.session_id = ?2 AND");
            snapshot.list(step, sql, (SHOWN_MAX, id), SkippedPr::read)
        }
    }
}
