//! Checkpoints: the writer's work, between its transactions, never automatic.
//!
//! An automatic checkpoint under a reader that holds a snapshot runs at every commit and makes
//! commits eight times slower. So a PASSIVE one runs when the queue is empty and the backlog is
//! worth it, or at a distance in time when the queue never empties; the file is cut back when
//! nothing was written for a second. None of them waits for a reader.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use crate::error::{Context, Result};

/// Pages in the WAL that make a checkpoint worth it when the queue is empty: 4 MiB.
const BACKLOG: i64 = 1000;
/// Pages that force one while jobs wait: 16 MiB.
const BACKLOG_FORCED: i64 = 4000;
/// The distance of forced checkpoints.
const FORCED_EVERY: Duration = Duration::from_millis(250);
/// How often an empty queue is worth a look at the backlog.
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Checkpointer {
    last: Instant,
    looked: Instant,
    is_clean: bool,
}

impl Checkpointer {
    pub(crate) fn new() -> Checkpointer {
        Checkpointer { last: Instant::now(), looked: Instant::now(), is_clean: false }
    }

    /// `is_calm`: no job waits, and no work goes on that would make the next checkpoint come soon.
    pub(crate) fn after_commit(&mut self, conn: &Connection, is_calm: bool) -> Result<()> {
        self.is_clean = false;
        let is_due = if is_calm {
            self.looked.elapsed() >= LOOK_EVERY
        } else {
            self.last.elapsed() >= FORCED_EVERY
        };
        if !is_due {
            return Ok(());
        }
        self.looked = Instant::now();
        let bound = if is_calm { BACKLOG } else { BACKLOG_FORCED };
        if backlog(conn) > bound {
            self.last = Instant::now();
            run(conn, "PRAGMA wal_checkpoint(PASSIVE)")?;
        }
        Ok(())
    }

    /// Nothing was written for a while: move everything and cut the file back to nothing, unless a
    /// reader is in the way. `timeout` is the busy timeout of the connection, which is lifted for this.
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

    /// The process leaves: a WAL that other processes keep open must not grow for ever.
    pub(crate) fn finish(&self, conn: &Connection) {
        if !self.is_clean && backlog(conn) > BACKLOG {
            // Nobody is left to be told; the next writer finds what is wrong.
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

/// Runs a checkpoint; the value is 0 when nobody was in the way. A failed write to the file is the
/// only failure that matters: after it a second try could look like a success.
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
