//! The four sets of facts that hang on a pull request: how each is stored, diffed and read.

use std::sync::LazyLock;

use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::log::as_of;
use crate::model::cursor::Cursor;
use crate::model::id::PrId;
use crate::model::observation::{
    Check, CheckKind, CheckStatus, Comment, CommentKind, Review, ReviewState, Thread,
};
use crate::model::time::Timestamp;
use crate::row::set::{SetRow, SetSql, flag, optional, text};

fn time(value: Option<Timestamp>) -> ValueRef<'static> {
    optional(value.map(|at| at.0))
}

fn read_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

impl SetRow for Check {
    const KEY: usize = 6;
    type Fields<'a> = [ValueRef<'a>; 13];

    fn sql() -> &'static SetSql {
        static SQL: LazyLock<SetSql> = LazyLock::new(|| {
            SetSql::new(
                "pr_check",
                &["head_sha", "kind", "app", "workflow", "event", "name"],
                &[
                    "external_id",
                    "status",
                    "conclusion",
                    "is_required",
                    "url",
                    "started_at",
                    "completed_at",
                ],
            )
        });
        &SQL
    }

    fn fields(&self) -> Self::Fields<'_> {
        [
            text(&self.head_sha),
            text(self.kind.as_str()),
            text(&self.app),
            text(&self.workflow),
            text(&self.event),
            text(&self.name),
            text(&self.external_id),
            text(self.status.as_str()),
            text(&self.conclusion),
            optional(self.is_required.map(i64::from)),
            text(&self.url),
            time(self.started_at),
            time(self.completed_at),
        ]
    }
}

const SELECT_LOG: &str = "SELECT tail FROM pr_check_log WHERE pr_id = ?1 AND external_id = ?2";

/// The last lines of the log of a check, when an observation brought them.
///
/// # Errors
/// When the database cannot be read.
pub fn log_tail(snapshot: &Snapshot<'_>, pr: &PrId, external_id: &str) -> Result<Option<String>> {
    snapshot.one("read a log tail", SELECT_LOG, (pr.as_str(), external_id), |row| row.get(0))
}

/// The most of a log that is kept, in bytes: its end.
const LOG_MAX: usize = 64 << 10;

/// The end of a log, as much of it as is kept.
pub(crate) fn end_of_log(log: &str) -> &str {
    &log[log.floor_char_boundary(log.len().saturating_sub(LOG_MAX))..]
}

const UPSERT_LOG: &str = "INSERT INTO pr_check_log (pr_id, external_id, tail) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET tail = excluded.tail WHERE tail <> excluded.tail";

const DELETE_LOGS: &str = "DELETE FROM pr_check_log WHERE pr_id = ?1 AND external_id NOT IN
    (SELECT external_id FROM pr_check WHERE pr_id = ?1)";

/// Stores the last lines of the log of a check; of a log that is gone, an empty one. Those of checks
/// that are not stored any more go.
///
/// # Errors
/// When the database cannot be written.
pub fn set_log_tail(tx: &Tx<'_>, pr: &PrId, external_id: &str, log: &str) -> Result<()> {
    keep_log_tail(tx, pr, external_id, log)?;
    tx.execute_uncaptured("drop old log tails", DELETE_LOGS, [pr.as_str()]).map(|_| ())
}

/// Stores the last lines of a log whose check is stored later.
pub(crate) fn keep_log_tail(tx: &Tx<'_>, pr: &PrId, external_id: &str, log: &str) -> Result<()> {
    let params = (pr.as_str(), external_id, end_of_log(log));
    tx.execute_uncaptured("store a log tail", UPSERT_LOG, params).map(|_| ())
}

const SELECT_LOGGED: &str = "SELECT external_id FROM pr_check_log WHERE pr_id = ?1";

/// The ids of the checks of a pull request whose logs are stored.
///
/// # Errors
/// When the database cannot be read.
pub fn logged(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<String>> {
    snapshot.list("list log tails", SELECT_LOGGED, [pr.as_str()], |row| row.get(0))
}

/// The checks of a pull request, in key order, without their log tails.
///
/// # Errors
/// When the database cannot be read.
pub fn checks(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Check>> {
    snapshot.list("read checks", &Check::sql().select, [pr.as_str()], read_check)
}

fn read_check(row: &Row<'_>) -> rusqlite::Result<Check> {
    Ok(Check {
        head_sha: row.get(0)?,
        kind: CheckKind::parse(row.get_ref(1)?.as_str()?),
        app: row.get(2)?,
        workflow: row.get(3)?,
        event: row.get(4)?,
        name: row.get(5)?,
        external_id: row.get(6)?,
        status: CheckStatus::parse(row.get_ref(7)?.as_str()?),
        conclusion: row.get(8)?,
        is_required: row.get(9)?,
        url: row.get(10)?,
        started_at: read_time(row, 11)?,
        completed_at: read_time(row, 12)?,
        log_tail: None,
    })
}

impl SetRow for Thread {
    const KEY: usize = 1;
    type Fields<'a> = [ValueRef<'a>; 10];

    fn sql() -> &'static SetSql {
        static SQL: LazyLock<SetSql> = LazyLock::new(|| {
            SetSql::new(
                "pr_review_thread",
                &["id"],
                &[
                    "path",
                    "line",
                    "original_line",
                    "side",
                    "is_resolved",
                    "is_outdated",
                    "is_bot",
                    "resolved_by",
                    "comments_total",
                ],
            )
        });
        &SQL
    }

    fn fields(&self) -> Self::Fields<'_> {
        [
            text(&self.id),
            text(&self.path),
            optional(self.line),
            optional(self.original_line),
            text(&self.side),
            flag(self.is_resolved),
            flag(self.is_outdated),
            flag(self.is_bot),
            text(&self.resolved_by),
            optional(self.comments_total),
        ]
    }
}

/// The review threads of a pull request, in the order of their ids.
///
/// # Errors
/// When the database cannot be read.
pub fn threads(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Thread>> {
    snapshot.list("read threads", &Thread::sql().select, [pr.as_str()], read_thread)
}

fn read_thread(row: &Row<'_>) -> rusqlite::Result<Thread> {
    Ok(Thread {
        id: row.get(0)?,
        path: row.get(1)?,
        line: row.get(2)?,
        original_line: row.get(3)?,
        side: row.get(4)?,
        is_resolved: row.get(5)?,
        is_outdated: row.get(6)?,
        is_bot: row.get(7)?,
        resolved_by: row.get(8)?,
        comments_total: row.get(9)?,
    })
}

impl SetRow for Review {
    const KEY: usize = 1;
    type Fields<'a> = [ValueRef<'a>; 8];

    fn sql() -> &'static SetSql {
        static SQL: LazyLock<SetSql> = LazyLock::new(|| {
            SetSql::new(
                "pr_review",
                &["id"],
                &["author", "is_bot", "state", "body", "commit_sha", "url", "submitted_at"],
            )
        });
        &SQL
    }

    fn fields(&self) -> Self::Fields<'_> {
        [
            text(&self.id),
            text(&self.author),
            flag(self.is_bot),
            text(self.state.as_str()),
            text(&self.body),
            text(&self.commit_sha),
            text(&self.url),
            time(self.submitted_at),
        ]
    }
}

/// The reviews of a pull request, in the order of their ids.
///
/// # Errors
/// When the database cannot be read.
pub fn reviews(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Review>> {
    snapshot.list("read reviews", &Review::sql().select, [pr.as_str()], read_review)
}

fn read_review(row: &Row<'_>) -> rusqlite::Result<Review> {
    Ok(Review {
        id: row.get(0)?,
        author: row.get(1)?,
        is_bot: row.get(2)?,
        state: ReviewState::parse(row.get_ref(3)?.as_str()?),
        body: row.get(4)?,
        commit_sha: row.get(5)?,
        url: row.get(6)?,
        submitted_at: read_time(row, 7)?,
    })
}

impl SetRow for Comment {
    const KEY: usize = 1;
    type Fields<'a> = [ValueRef<'a>; 13];

    fn sql() -> &'static SetSql {
        static SQL: LazyLock<SetSql> = LazyLock::new(|| {
            SetSql::new(
                "pr_comment",
                &["id"],
                &[
                    "kind",
                    "thread_id",
                    "reply_to",
                    "author",
                    "is_bot",
                    "path",
                    "line",
                    "body",
                    "url",
                    "is_minimized",
                    "created_at",
                    "edited_at",
                ],
            )
        });
        &SQL
    }

    fn fields(&self) -> Self::Fields<'_> {
        [
            text(&self.id),
            text(self.kind.as_str()),
            text(&self.thread_id),
            text(&self.reply_to),
            text(&self.author),
            flag(self.is_bot),
            text(&self.path),
            optional(self.line),
            text(&self.body),
            text(&self.url),
            flag(self.is_minimized),
            time(self.created_at),
            time(self.edited_at),
        ]
    }
}

/// The comments of a pull request, in the order of their ids.
///
/// # Errors
/// When the database cannot be read.
pub fn comments(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Comment>> {
    snapshot.list("read comments", &Comment::sql().select, [pr.as_str()], read_comment)
}

fn read_comment(row: &Row<'_>) -> rusqlite::Result<Comment> {
    Ok(Comment {
        id: row.get(0)?,
        kind: CommentKind::parse(row.get_ref(1)?.as_str()?),
        thread_id: row.get(2)?,
        reply_to: row.get(3)?,
        author: row.get(4)?,
        is_bot: row.get(5)?,
        path: row.get(6)?,
        line: row.get(7)?,
        body: row.get(8)?,
        url: row.get(9)?,
        is_minimized: row.get(10)?,
        created_at: read_time(row, 11)?,
        edited_at: read_time(row, 12)?,
    })
}

/// The four sets of a pull request at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "one list a facet")]
pub struct Facets {
    pub checks: Vec<Check>,
    pub threads: Vec<Thread>,
    pub reviews: Vec<Review>,
    pub comments: Vec<Comment>,
}

/// The four sets as they were at a cursor. Log tails are not kept.
///
/// # Errors
/// The cursor errors.
pub fn as_of(snapshot: &Snapshot<'_>, pr: &PrId, cursor: Cursor) -> Result<Facets> {
    Ok(Facets {
        checks: rows_as_of::<Check>(snapshot, "pr_check", pr, cursor, read_check)?,
        threads: rows_as_of::<Thread>(snapshot, "pr_review_thread", pr, cursor, read_thread)?,
        reviews: rows_as_of::<Review>(snapshot, "pr_review", pr, cursor, read_review)?,
        comments: rows_as_of::<Comment>(snapshot, "pr_comment", pr, cursor, read_comment)?,
    })
}

fn rows_as_of<R: SetRow>(
    snapshot: &Snapshot<'_>,
    entity: &str,
    pr: &PrId,
    cursor: Cursor,
    read: fn(&Row<'_>) -> rusqlite::Result<R>,
) -> Result<Vec<R>> {
    let rows = as_of::with_prefix(snapshot, entity, cursor, pr.as_str())?;
    rows.iter().map(|row| as_of::typed(snapshot, &R::sql().columns, &row.image, read)).collect()
}
