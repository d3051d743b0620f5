//! Checkpoints: the writer's work, between its transactions, never automatic.
//!
//! While a reader holds a snapshot, an automatic checkpoint runs at every commit and makes commits
//! eight times slower. Therefore a PASSIVE checkpoint runs when the queue is empty and the backlog is
//! large enough, or at a fixed interval when the queue is never empty; the WAL is truncated when
//! nothing was written for a second. No checkpoint waits for a reader.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use crate::error::{Context, Result};

/// The backlog in pages from which a checkpoint runs when the queue is empty: 4 MiB.
const BACKLOG: i64 = 1000;
/// The backlog in pages from which one runs even while jobs wait: 16 MiB.
const BACKLOG_FORCED: i64 = 4000;
/// The interval of checkpoints while jobs wait.
const FORCED_EVERY: Duration = Duration::from_millis(250);
/// The interval at which the backlog is measured when the queue is empty.
const MEASURE_EVERY: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Checkpointer {
    last: Instant,
    measured: Instant,
    is_clean: bool,
}

impl Checkpointer {
    pub(crate) fn new() -> Checkpointer {
        Checkpointer { last: Instant::now(), measured: Instant::now(), is_clean: false }
    }

    /// `is_calm`: no job waits, and no maintenance is pending that would soon cause another checkpoint.
    pub(crate) fn after_commit(&mut self, conn: &Connection, is_calm: bool) -> Result<()> {
        self.is_clean = false;
        let is_due = if is_calm {
            self.measured.elapsed() >= MEASURE_EVERY
        } else {
            self.last.elapsed() >= FORCED_EVERY
        };
        if !is_due {
            return Ok(());
        }
        self.measured = Instant::now();
        let bound = if is_calm { BACKLOG } else { BACKLOG_FORCED };
        if backlog(conn) > bound {
            self.last = Instant::now();
            run(conn, "PRAGMA wal_checkpoint(PASSIVE)")?;
        }
        Ok(())
    }

    /// Nothing was written for a while: copies all pages to the database and truncates the WAL, unless a
    /// reader blocks it. `timeout` is the busy timeout of the connection, which is suspended meanwhile.
    pub(crate) fn idle(&mut self, conn: &Connection, timeout: Duration) -> Result<()> {
        if self.is_clean {
            return Ok(());
        }
        let busy = conn.busy_timeout(Duration::ZERO);
        let blocked = run(conn, "PRAGMA wal_checkpoint(TRUNCATE)");
        if busy.and_then(|()| conn.busy_timeout(timeout)).is_err() {
            tracing::warn!("the busy timeout could not be set");
        }
        self.is_clean = blocked? == Some(0);
        Ok(())
    }

    /// The process ends: a WAL that other processes keep open must not grow without bound.
    pub(crate) fn finish(&self, conn: &Connection) {
        if !self.is_clean && backlog(conn) > BACKLOG {
            // No caller is left to receive an error; the next writer finds it.
            let _ = run(conn, "PRAGMA wal_checkpoint(PASSIVE)");
        }
    }
}

/// Pages in the WAL that are not in the database file yet.
fn backlog(conn: &Connection) -> i64 {
    let pages = conn.prepare_cached("PRAGMA wal_checkpoint(NOOP)").and_then(|mut statement| {
        statement.query_row([], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))
    });
    pages.unwrap_or(0)
}

/// Runs a checkpoint; the value is 0 when no reader blocked it. Only a failed write to the file is an
/// error: a second attempt after it could seem to succeed.
fn run(conn: &Connection, sql: &'static str) -> Result<Option<i64>> {
    match conn.query_row(sql, [], |row| row.get(0)) {
        Ok(blocked) => Ok(Some(blocked)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
            Err(error).context(sql)
        }
        Err(error) => {
            tracing::warn!(%error, "a checkpoint did not run");
            Ok(None)
        }
    }
}
