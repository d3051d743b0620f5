//! Checkpoints: the writer's work, between its transactions, never automatic.
//!
//! While a reader holds a snapshot, an automatic checkpoint runs at every commit and makes commits
//! eight times slower. Therefore a PASSIVE checkpoint runs when the queue is empty and the backlog is
//! large enough, or at a fixed interval when the queue is never empty; the WAL is truncated when
//! nothing was written for a second. These wait for no reader.
//!
//! SQLite begins the WAL anew only in a moment without a reader of it. Short reads that overlap may never
//! leave one, so from a certain size on, a checkpoint waits for the readers that there are; those that
//! begin meanwhile need the WAL no more. If a reader stays, the next attempt comes at twice the size.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::db::write_queue::WriteQueue;
use crate::error::{Context, Result};

/// The backlog in pages from which a checkpoint runs when the queue is empty: 4 MiB.
const BACKLOG: i64 = 1000;
/// The backlog in pages from which one runs even while jobs wait: 16 MiB.
const BACKLOG_FORCED: i64 = 4000;
/// The interval of checkpoints while jobs wait.
const FORCED_EVERY: Duration = Duration::from_millis(250);
/// The size of the WAL in pages from which a checkpoint waits for readers: 32 MiB.
const LARGE: i64 = 8000;
/// How long it waits: a short read has ended by then. No process can write meanwhile.
const LARGE_WAIT: Duration = Duration::from_millis(20);
/// The interval at which the backlog is measured when the queue is empty.
const MEASURE_EVERY: Duration = Duration::from_millis(10);

/// A checkpoint that is due.
#[derive(Debug, Clone, Copy)]
enum Due {
    Passive,
    /// It waits for readers; the size of the WAL, in pages.
    Restart(i64),
}

#[derive(Debug)]
pub(crate) struct Checkpointer {
    last: Instant,
    measured: Instant,
    is_clean: bool,
    due: Option<Due>,
    /// The size of the WAL at which the next checkpoint waits for readers.
    large: i64,
    wait: Duration,
    /// What came of the last checkpoint, until it is taken.
    outcome: Option<std::result::Result<String, String>>,
}

impl Checkpointer {
    pub(crate) fn new() -> Checkpointer {
        let (last, measured) = (Instant::now(), Instant::now());
        let (is_clean, due, large, wait) = (false, None, LARGE, LARGE_WAIT);
        Checkpointer { last, measured, is_clean, due, large, wait, outcome: None }
    }

    /// What came of the last checkpoint, in words, if one has run since this was asked.
    pub(crate) fn take_outcome(&mut self) -> Option<std::result::Result<String, String>> {
        self.outcome.take()
    }

    /// Whether a checkpoint was blocked, if it ran; only a failed write to the file is an error.
    fn record(&mut self, ran: Result<i64>) -> Result<Option<i64>> {
        self.outcome = Some(match &ran {
            Ok(0) => Ok("the write-ahead log was copied".to_owned()),
            Ok(_) => Ok("a reader or another checkpoint holds it back".to_owned()),
            Err(error) => Err(error.chain()),
        });
        match ran {
            Ok(blocked) => Ok(Some(blocked)),
            Err(error) if error.is_failed_write() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "a checkpoint did not run");
                Ok(None)
            }
        }
    }

    /// After a commit: whether a checkpoint is due, which [`Checkpointer::run_due`] then runs, here or in
    /// another thread. `is_calm`: no job waits, and no maintenance is pending that would soon cause
    /// another checkpoint.
    pub(crate) fn is_due(&mut self, conn: &Connection, is_calm: bool) -> bool {
        self.is_clean = false;
        let is_time = if is_calm {
            self.measured.elapsed() >= MEASURE_EVERY
        } else {
            self.last.elapsed() >= FORCED_EVERY
        };
        if is_time {
            self.measured = Instant::now();
            self.due = self.measure(Wal::of(conn), if is_calm { BACKLOG } else { BACKLOG_FORCED });
        }
        self.due.is_some()
    }

    fn measure(&mut self, Wal { pages, backlog }: Wal, bound: i64) -> Option<Due> {
        if pages < LARGE {
            // It began anew: the reader that stayed has ended.
            self.large = LARGE;
        }
        if pages > self.large {
            return Some(Due::Restart(pages));
        }
        (backlog > bound).then_some(Due::Passive)
    }

    /// Runs the checkpoint that is due, if any. `timeout` is the busy timeout of the connection.
    pub(crate) fn run_due(
        &mut self,
        conn: &Connection,
        queue: &WriteQueue,
        timeout: Duration,
    ) -> Result<()> {
        match self.due.take() {
            Some(Due::Restart(pages)) => {
                let restart = "PRAGMA wal_checkpoint(RESTART)";
                let ran = run_waiting(conn, queue, restart, (self.wait, timeout));
                let blocked = self.record(ran)?;
                self.large = if blocked == Some(0) { LARGE } else { pages.saturating_mul(2) };
            }
            Some(Due::Passive) => {
                self.last = Instant::now();
                self.record(run(conn, "PRAGMA wal_checkpoint(PASSIVE)"))?;
            }
            None => {}
        }
        Ok(())
    }

    /// Nothing was written for a while: copies all pages to the database and truncates the WAL, unless a
    /// reader blocks it. `timeout` is the busy timeout of the connection, which is suspended meanwhile.
    pub(crate) fn idle(
        &mut self,
        conn: &Connection,
        queue: &WriteQueue,
        timeout: Duration,
    ) -> Result<()> {
        if self.is_clean {
            return Ok(());
        }
        let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
        let ran = run_waiting(conn, queue, truncate, (Duration::ZERO, timeout));
        self.is_clean = self.record(ran)? == Some(0);
        Ok(())
    }

    /// The process ends: a WAL that other processes keep open must not grow without bound.
    pub(crate) fn finish(&self, conn: &Connection) {
        if !self.is_clean && Wal::of(conn).backlog > BACKLOG {
            // No caller is left to receive an error; the next writer finds it.
            let _ = run(conn, "PRAGMA wal_checkpoint(PASSIVE)");
        }
    }
}

/// How large the WAL is, in pages.
#[derive(Debug, Clone, Copy, Default)]
struct Wal {
    pages: i64,
    /// Those that are not in the database file yet.
    backlog: i64,
}

impl Wal {
    fn of(conn: &Connection) -> Wal {
        let read = conn.prepare_cached("PRAGMA wal_checkpoint(NOOP)").and_then(|mut statement| {
            statement.query_row([], |row| {
                let (pages, done): (i64, i64) = (row.get(1)?, row.get(2)?);
                Ok(Wal { pages, backlog: pages - done })
            })
        });
        read.unwrap_or_default()
    }
}

/// Runs a checkpoint that waits for readers up to `wait`; `timeout` is the busy timeout otherwise. It locks
/// writers out, so they queue meanwhile, if no process is before it.
fn run_waiting(
    conn: &Connection,
    queue: &WriteQueue,
    sql: &'static str,
    (wait, timeout): (Duration, Duration),
) -> Result<i64> {
    let _turn = queue.try_enter();
    let busy = conn.busy_timeout(wait);
    let blocked = run(conn, sql);
    if busy.and_then(|()| conn.busy_timeout(timeout)).is_err() {
        tracing::warn!("the busy timeout could not be set");
    }
    blocked
}

/// Runs a checkpoint; the value is 0 when no reader blocked it. A failed write to the file must be heeded: a
/// second attempt after it could seem to succeed.
fn run(conn: &Connection, sql: &'static str) -> Result<i64> {
    conn.query_row(sql, [], |row| row.get(0)).context(sql)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    fn open(path: &Path) -> Connection {
        let conn = Connection::open(path).unwrap();
        let mode = "PRAGMA journal_mode = WAL";
        conn.query_row(mode, [], |row| row.get::<_, String>(0)).unwrap();
        conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0").unwrap();
        conn.busy_timeout(Duration::from_secs(20)).unwrap();
        conn
    }

    /// Ends the readers, also when the writer fails.
    struct End<'a>(&'a AtomicBool);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    /// Two readers take turns: each begins its next read before the other ends its own.
    struct Turns {
        meeting: Barrier,
        is_over: AtomicBool,
        /// What the first reader saw of `is_over`, so that both end in the same turn.
        ends: AtomicBool,
    }

    impl Turns {
        fn read(&self, path: &Path, is_first: bool) {
            let conn = open(path);
            let begin = || {
                conn.execute_batch("BEGIN").unwrap();
                conn.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
            };
            let mut is_mine = is_first;
            if is_first {
                begin();
            }
            while !self.ends.load(Ordering::SeqCst) {
                self.meeting.wait();
                if !is_mine {
                    begin();
                }
                self.meeting.wait();
                if is_mine {
                    conn.execute_batch("COMMIT").unwrap();
                }
                is_mine = !is_mine;
                if is_first {
                    self.ends.store(self.is_over.load(Ordering::SeqCst), Ordering::SeqCst);
                }
                self.meeting.wait();
            }
        }
    }

    #[test]
    fn a_reader_that_stays_delays_at_each_doubling_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        let (writer, reader, queue) = (open(&path), open(&path), WriteQueue::of(&path));
        writer.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
        let mut checkpointer = Checkpointer::new();
        checkpointer.wait = Duration::ZERO;
        let mut write = |bytes: i64| {
            writer.execute("UPDATE t SET x = randomblob(?1)", [bytes]).unwrap();
            checkpointer.measured = Instant::now() - MEASURE_EVERY;
            checkpointer.is_due(&writer, true);
            checkpointer.run_due(&writer, &queue, Duration::ZERO).unwrap();
            (checkpointer.large, Wal::of(&writer).pages)
        };
        reader.execute_batch("BEGIN").unwrap();
        reader.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
        let (large, pages) = write(40_000_000);
        assert!(pages > LARGE && large == 2 * pages, "{large} at {pages} pages");
        assert_eq!(write(1).0, large, "no attempt before that");
        reader.execute_batch("COMMIT").unwrap();
        // A passive checkpoint has copied everything, so the next write begins the WAL anew.
        write(1);
        assert_eq!(write(1).0, LARGE);
    }

    #[test]
    fn reads_that_overlap_without_end_do_not_make_the_wal_grow_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        let conn = open(&path);
        conn.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(400000))").unwrap();
        let no = || AtomicBool::new(false);
        let turns = Turns { meeting: Barrier::new(2), is_over: no(), ends: no() };
        let mut most = 0;
        thread::scope(|scope| {
            for is_first in [true, false] {
                let (path, turns) = (&path, &turns);
                scope.spawn(move || turns.read(path, is_first));
            }
            let _end = End(&turns.is_over);
            let (mut checkpointer, queue) = (Checkpointer::new(), WriteQueue::of(&path));
            checkpointer.wait = Duration::from_secs(20);
            // 40,000 pages.
            for _ in 0..400 {
                conn.execute("UPDATE t SET x = randomblob(400000)", []).unwrap();
                checkpointer.measured = Instant::now() - MEASURE_EVERY;
                checkpointer.is_due(&conn, true);
                checkpointer.run_due(&conn, &queue, Duration::from_secs(20)).unwrap();
                most = most.max(Wal::of(&conn).pages);
            }
        });
        assert!(most <= 2 * LARGE, "{most} pages");
    }
}
