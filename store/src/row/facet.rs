//! The four facets of a pull request, which are sets of rows: their columns and how they are read.

use std::sync::LazyLock;

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::log::as_of;
use crate::model::cursor::Cursor;
use crate::model::id::PrId;
use crate::model::observation::{Check, Comment, Review, Thread};
use crate::row::columns::{Columns, columns};
use crate::row::set::{SetRow, SetSql};

columns! {
    Check {
        head_sha, kind, app, workflow, event, name, suite, external_id;
        status, conclusion, is_required, url, started_at, completed_at,
    } ..Check::default()
}

impl SetRow for Check {
    fn sql() -> &'static SetSql {
        static SQL: LazyLock<SetSql> = LazyLock::new(|| SetSql::new::<Check>("pr_check"));
        &SQL
    }
}

const SELECT_LOG: &str = "SELECT tail FROM pr_check_log WHERE pr_id = ?1 AND external_id = ?2";

/// The last lines of the log of a check, if an observation contained them.
///
/// # Errors
/// When the database cannot be read.
pub fn log_tail(snapshot: &Snapshot<'_>, pr: &PrId, external_id: &str) -> Result<Option<String>> {
    snapshot.one("read a log tail", SELECT_LOG, (pr.as_str(), external_id), |row| text(row, 0))
}

/// The most bytes of the end of a log that are kept.
const LOG_MAX: usize = 64 << 10;

/// The part of a log that is kept.
pub(crate) fn end_of_log(log: &str) -> &str {
    &log[log.floor_char_boundary(log.len().saturating_sub(LOG_MAX))..]
}

const UPSERT_LOG: &str = "INSERT INTO pr_check_log (pr_id, external_id, tail) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET tail = excluded.tail WHERE tail <> excluded.tail";

const DELETE_LOGS: &str = "DELETE FROM pr_check_log WHERE pr_id = ?1 AND external_id NOT IN
    (SELECT external_id FROM pr_check WHERE pr_id = ?1)";

/// Stores the last lines of the log of a check, or an empty text when the log no longer exists.
/// Deletes the logs of checks that are no longer stored.
///
/// # Errors
/// When the database cannot be written.
pub fn set_log_tail(tx: &Tx<'_>, pr: &PrId, external_id: &str, log: &str) -> Result<()> {
    keep_log_tail(tx, pr, external_id, log)?;
    tx.execute_uncaptured("delete old log tails", DELETE_LOGS, [pr.as_str()]).map(|_| ())
}

/// Stores the last lines of a log whose check is stored later.
pub(crate) fn keep_log_tail(tx: &Tx<'_>, pr: &PrId, external_id: &str, log: &str) -> Result<()> {
    let params = (pr.as_str(), external_id, end_of_log(log));
    tx.execute_uncaptured("store a log tail", UPSERT_LOG, params).map(|_| ())
}

const SELECT_WITHOUT_LOG: &str = "SELECT external_id FROM pr_check WHERE pr_id = ?1
    AND status = 'failed' AND external_id <> ''
    AND external_id NOT IN (SELECT external_id FROM pr_check_log WHERE pr_id = ?1)";

/// The ids of the failed checks of a pull request whose logs are not stored.
///
/// # Errors
/// When the database cannot be read.
pub fn failed_without_log(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<String>> {
    snapshot.list("list failed checks", SELECT_WITHOUT_LOG, [pr.as_str()], |row| text(row, 0))
}

static SELECT_NAMESAKES: LazyLock<String> = LazyLock::new(|| {
    let columns = &Check::sql().columns;
    format!(
        "SELECT {columns} FROM pr_check WHERE pr_id = ?1 AND head_sha = ?2 AND kind = ?3
         AND ((external_id = ?4 AND external_id <> '') OR (app = ?5 AND name = ?6))"
    )
});

/// The stored checks that may be the given one, or earlier runs of it: that of its id, and its namesakes.
pub(crate) fn namesakes(snapshot: &Snapshot<'_>, pr: &PrId, check: &Check) -> Result<Vec<Check>> {
    let Check { head_sha, kind, external_id, app, name, .. } = check;
    let params = (pr.as_str(), head_sha, kind.as_str(), external_id, app, name);
    snapshot.list("find a check", &SELECT_NAMESAKES, params, Check::read)
}

/// The checks of a pull request, in key order, without their log tails.
///
/// # Errors
/// When the database cannot be read.
pub fn checks(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Check>> {
    snapshot.list("read checks", &Check::sql().select, [pr.as_str()], Check::read)
}

columns! {
    Thread {
        id;
        path, line, original_line, side, is_resolved, is_outdated, is_bot, resolved_by,
        comments_total,
    }
}

impl SetRow for Thread {
    fn sql() -> &'static SetSql {
        static SQL: LazyLock<SetSql> = LazyLock::new(|| SetSql::new::<Thread>("pr_review_thread"));
        &SQL
    }
}

/// The review threads of a pull request, in the order of their ids.
///
/// # Errors
/// When the database cannot be read.
pub fn threads(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Thread>> {
    snapshot.list("read threads", &Thread::sql().select, [pr.as_str()], Thread::read)
}

columns! {
    Review {
        id;
        author, is_bot, state, body, commit_sha, url, submitted_at,
    }
}

impl SetRow for Review {
    fn sql() -> &'static SetSql {
        static SQL: LazyLock<SetSql> = LazyLock::new(|| SetSql::new::<Review>("pr_review"));
        &SQL
    }
}

/// The reviews of a pull request, in the order of their ids.
///
/// # Errors
/// When the database cannot be read.
pub fn reviews(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Review>> {
    snapshot.list("read reviews", &Review::sql().select, [pr.as_str()], Review::read)
}

columns! {
    Comment {
        id;
        kind, thread_id, reply_to, author, is_bot, path, line, body, url, is_minimized, created_at,
        edited_at,
    }
}

impl SetRow for Comment {
    fn sql() -> &'static SetSql {
        static SQL: LazyLock<SetSql> = LazyLock::new(|| SetSql::new::<Comment>("pr_comment"));
        &SQL
    }
}

/// The comments of a pull request, in the order of their ids.
///
/// # Errors
/// When the database cannot be read.
pub fn comments(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Comment>> {
    snapshot.list("read comments", &Comment::sql().select, [pr.as_str()], Comment::read)
}

/// The four facets of a pull request at one cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "one list per facet")]
pub struct Facets {
    pub checks: Vec<Check>,
    pub threads: Vec<Thread>,
    pub reviews: Vec<Review>,
    pub comments: Vec<Comment>,
}

/// The four facets as they were at a cursor, without log tails.
///
/// # Errors
/// The cursor errors.
pub fn as_of(snapshot: &Snapshot<'_>, pr: &PrId, cursor: Cursor) -> Result<Facets> {
    Ok(Facets {
        checks: rows_as_of(snapshot, "pr_check", pr, cursor)?,
        threads: rows_as_of(snapshot, "pr_review_thread", pr, cursor)?,
        reviews: rows_as_of(snapshot, "pr_review", pr, cursor)?,
        comments: rows_as_of(snapshot, "pr_comment", pr, cursor)?,
    })
}

fn rows_as_of<R: SetRow>(
    snapshot: &Snapshot<'_>,
    entity: &str,
    pr: &PrId,
    cursor: Cursor,
) -> Result<Vec<R>> {
    let rows = as_of::with_prefix(snapshot, entity, cursor, pr.as_str())?;
    rows.iter().map(|row| as_of::typed(snapshot, &R::sql().columns, &row.image, R::read)).collect()
}
