//! What the observer cannot read although it is to be observed, with the reason: the origins of active
//! projects, and tracked pull requests.

use crate::db::text::text;
use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::time::Timestamp;

/// A repository or a pull request that cannot be read, or of which a part cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The host.
    pub host: String,
    /// The current `owner/name`.
    pub repo: String,
    /// The pull request; `None` means the repository.
    pub number: Option<i64>,
    /// Why, as in [`Access`](super::Access) or [`Problem`](super::Problem).
    pub reason: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// The most that are listed.
const UNREAD_MAX: i64 = 100;

const SELECT: &str =
    "SELECT r.host, iif(r.name <> '', r.name, r.repo), NULL, r.access, r.access_since
    FROM scm_repo r WHERE r.access IN ('partial', 'forbidden', 'missing')
        AND EXISTS (SELECT 1 FROM project p WHERE p.host = r.host COLLATE NOCASE
            AND p.repo = r.repo COLLATE NOCASE AND p.archived_at IS NULL)
    UNION ALL
    SELECT p.host, p.repo, p.number, o.problem, o.problem_since
    FROM pr_poll o JOIN pr p ON p.id = o.pr_id WHERE o.problem <> ''
    ORDER BY 1, 2, 3 LIMIT ?1";

/// What cannot be read, by host and repository, each repository before its pull requests; at most 100.
///
/// # Errors
/// When the database cannot be read.
pub fn unread(snapshot: &Snapshot<'_>) -> Result<Vec<Unread>> {
    snapshot.list("list what cannot be read", SELECT, [UNREAD_MAX], |row| {
        Ok(Unread {
            host: text(row, 0)?,
            repo: text(row, 1)?,
            number: row.get(2)?,
            reason: text(row, 3)?,
            since: row.get::<_, Option<i64>>(4)?.map(Timestamp),
        })
    })
}
