//! The capture probe: writes, changes and deletes rows in a transaction that is rolled back, and checks
//! that capture works. The existence of triggers proves less: they can be disabled, or fail.

use rusqlite::Connection;

use crate::code::Code;
use crate::db::connection::{self, Role};
use crate::db::tx::Snapshot;
use crate::db::write_queue::take_turn;
use crate::engine::store::Store;
use crate::error::{Context, Result};

/// The statements, in order, and the types of the changes that each must cause. No id of this program
/// begins with `~`, and everything is rolled back.
const SCRIPT: &[(&str, &[&str])] = &[
    (
        "INSERT INTO project (id, path, name, created_at, updated_at) VALUES ('~', '~', '~', 0, 0)",
        &["project_created"],
    ),
    ("UPDATE project SET name = '' WHERE id = '~'", &["project_updated"]),
    (
        "INSERT INTO session (id, project_id, num, kind, activity_at, created_at, updated_at)
         VALUES ('~-1', '~', 1, 'worker', 0, 0, 0)",
        &["session_created"],
    ),
    ("UPDATE session SET is_terminated = 1 WHERE id = '~-1'", &["session_terminated"]),
    (
        "INSERT INTO pr (id, session_id, project_id, host, repo, number, url, created_at,
         updated_at) VALUES ('~', '~-1', '~', '~', '~', 1, '~', 0, 0)",
        &["pr_created"],
    ),
    ("UPDATE pr SET title = '~' WHERE id = '~'", &["pr_updated"]),
    (
        "INSERT INTO pr_check VALUES ('~', '', 'run', '', '', '', '~', '', '', 'queued', '', NULL,
         '', NULL, NULL)",
        &["pr_check_recorded"],
    ),
    ("UPDATE pr_check SET status = 'failed' WHERE pr_id = '~'", &["pr_check_recorded"]),
    (
        "INSERT INTO pr_review_thread VALUES ('~', '~', '', NULL, NULL, '', 0, 0, 0, '', NULL)",
        &["pr_review_thread_added"],
    ),
    (
        "UPDATE pr_review_thread SET is_resolved = 1 WHERE pr_id = '~'",
        &["pr_review_thread_resolved"],
    ),
    (
        "INSERT INTO pr_review VALUES ('~', '~', '', 0, 'pending', '', '', '', NULL)",
        &["pr_review_added"],
    ),
    ("UPDATE pr_review SET state = 'approved' WHERE pr_id = '~'", &["pr_review_updated"]),
    (
        "INSERT INTO pr_comment VALUES ('~', '~', 'issue', '', '', '', 0, '', NULL, '', '', 0,
         NULL, NULL)",
        &["pr_comment_added"],
    ),
    ("UPDATE pr_comment SET body = '~' WHERE pr_id = '~'", &["pr_comment_updated"]),
    (
        "DELETE FROM pr WHERE id = '~'",
        &[
            "pr_check_removed",
            "pr_comment_removed",
            "pr_deleted",
            "pr_review_removed",
            "pr_review_thread_removed",
        ],
    ),
    ("DELETE FROM session WHERE id = '~-1'", &["session_deleted"]),
    ("DELETE FROM project WHERE id = '~'", &["project_deleted"]),
];

impl Store {
    /// Proves that every captured table is captured: writes to each like a foreign writer and rolls the
    /// writes back. Returns the failures of capture; none for a sound store.
    ///
    /// # Errors
    /// `BUSY`; when the store cannot be written.
    pub fn probe_capture(&self) -> Result<Vec<String>> {
        let options = self.options();
        let conn = connection::open(self.path(), Role::Writer, options.durability, options.busy)?;
        let _turn = take_turn(self.path(), &conn, options.busy)?;
        conn.execute_batch("BEGIN IMMEDIATE").context("begin the capture probe")?;
        let found = run(&conn);
        if !conn.is_autocommit() {
            conn.execute_batch("ROLLBACK").context("roll the capture probe back")?;
        }
        found
    }
}

const SELECT_TYPES: &str = "SELECT type FROM change_log WHERE seq > ?1 ORDER BY type";

fn run(conn: &Connection) -> Result<Vec<String>> {
    let snapshot = Snapshot::new(conn);
    let mut found = Vec::new();
    for (sql, expected) in SCRIPT {
        let head = snapshot.head()?.seq;
        let done = conn.execute(sql, []).context("write the capture probe");
        let made: Vec<String> =
            snapshot.list("read the capture probe", SELECT_TYPES, [head.0], |row| row.get(0))?;
        let what = sql.split(['(', '\n']).next().unwrap_or_default().trim();
        match done {
            // A failure of the disk or a lock of another process proves nothing about capture.
            Err(error)
                if matches!(
                    error.code(),
                    Code::Busy | Code::DiskFull | Code::Io | Code::ReadOnly
                ) =>
            {
                return Err(error);
            }
            Err(error) => found.push(format!("{what}: {}", error.chain())),
            Ok(_) if made != *expected => {
                let made = if made.is_empty() { "nothing".to_owned() } else { made.join(", ") };
                found.push(format!("{what}: gave {made} instead of {}", expected.join(", ")));
            }
            Ok(_) => {}
        }
        if conn.is_autocommit() {
            // The failure ended the transaction: further writes would be committed.
            break;
        }
    }
    Ok(found)
}
