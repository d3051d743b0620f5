//! The one writer of a process. It commits in groups, led by one thread at a time, which runs the waiting jobs and
//! commits for all: a caller that alone writes leads itself, without a switch between threads.
//!
//! A caller gets `Ok` only after the commit that contains its job is durable, unless it asked for one without a sync, and without a wait for more than
//! that: the writer's thread runs the checkpoints and the maintenance. It leads for several callers and where
//! the leader must wait for another process. A short command needs no thread, and each caller ends its own wait
//! for another process.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use crate::db::options::Options;
use crate::db::tx::{Cause, Tx};
use crate::db::write_queue::{Turn, WriteQueue};
use crate::engine::background::Recorder;
use crate::engine::committer::{Begun, Committer, panic_text};
use crate::engine::job::{Committed, Done, Job, Reply, Value};
use crate::engine::jobs::{Call, Jobs, Pushed};
use crate::error::{Error, Result};

/// The number of commits after which a busy writer runs one step of maintenance.
const BUSY_COMMITS: u64 = 64;
/// How long no job must be committed before the WAL is truncated.
const IDLE: Duration = Duration::from_secs(1);
/// The longest time between two looks of a caller at why it still waits.
const LOOK: Duration = Duration::from_millis(50);

/// What callers and the thread share.
struct Shared {
    jobs: Jobs,
    /// Who leads has it, except while waiting for another process; none once the writer is closed.
    committer: Mutex<Option<Committer>>,
    queue: Arc<WriteQueue>,
    background: Arc<Recorder>,
    busy: Duration,
    is_brief: bool,
}

/// The handle. It is dropped when no write waits; then it closes the connection.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn new(committer: Committer, queue: Arc<WriteQueue>, options: Options) -> Writer {
        let Options { busy, is_brief, .. } = options;
        let (jobs, background) = (Jobs::new(), committer.background());
        let committer = Mutex::new(Some(committer));
        let shared = Shared { jobs, committer, queue, background, busy, is_brief };
        Writer { shared: Arc::new(shared), thread: Mutex::default() }
    }

    /// Runs `work` in a write transaction and waits until it is committed, and durable if it needs a sync.
    pub(crate) fn write<T, F>(
        &self,
        cause: Cause,
        needs_sync: bool,
        work: F,
    ) -> Result<Committed<T>>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (value, work) = Value::of(work);
        let (job, reply) = Job::new(cause, needs_sync, work);
        value.committed(self.run(job, &reply)?)
    }

    fn run(&self, job: Job, reply: &Reply) -> Result<Done> {
        let (since, shared) = (Instant::now(), &self.shared);
        let (id, pushed) = shared.jobs.push(job)?;
        match pushed {
            Pushed::Lead => shared.isolate(|| self.lead()),
            Pushed::Pass => self.pass_to_thread(false),
            Pushed::Wait => {}
        }
        self.answer(id, reply, since)
    }

    /// Waits for the answer to a job. It is refused if the leader still waits for another process at the
    /// end of the bound.
    fn answer(&self, id: u64, reply: &Reply, since: Instant) -> Result<Done> {
        let Shared { jobs, busy, .. } = &*self.shared;
        let (mut left, mut seen) = (busy.saturating_sub(since.elapsed()), None);
        let mut wait = left.min(LOOK);
        loop {
            match reply.recv_timeout(wait) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Closed),
                Err(RecvTimeoutError::Timeout) => {}
            }
            left = busy.saturating_sub(since.elapsed());
            if jobs.is_stuck(id) {
                self.shared.isolate(|| self.look(&mut seen, left.is_zero()));
                if left.is_zero() && jobs.remove(id).is_some() {
                    let waited_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                    return Err(Error::Busy { waited_ms });
                }
            }
            wait = if left.is_zero() { LOOK } else { left.min(LOOK) };
        }
    }

    /// A caller waits while the thread waits for its turn. If no process has committed since the last look, at
    /// which it saw `seen`, and none has SQLite's lock now, a process is stopped in the queue: the caller
    /// commits without a turn, and everyone goes on with a new queue. If it is late, it tries in any case.
    fn look(&self, seen: &mut Option<i64>, is_late: bool) {
        let Shared { jobs, queue, committer, .. } = &*self.shared;
        // Otherwise the thread waits for SQLite's lock.
        let Ok(mut slot) = committer.try_lock() else { return };
        let Some(committer) = slot.as_mut() else { return };
        let version = committer.version();
        let is_stopped = version.is_some() && version == std::mem::replace(seen, version);
        if (is_stopped || is_late) && committer.begin(jobs, Duration::ZERO) == Begun::Yes {
            committer.commit_group(jobs, Turn::default());
            if is_stopped {
                queue.renew();
            }
        }
        if !queue.is_in_place() && self.give_up_thread() {
            drop(slot);
            self.lead();
        }
    }

    /// The thread waits for files that no other process uses any more: the next one is started instead.
    fn give_up_thread(&self) -> bool {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let is_given_up = self.shared.jobs.give_up_thread();
        if is_given_up {
            thread.take();
        }
        is_given_up
    }

    /// Commits once for all that wait. What arrives meanwhile is passed on.
    fn lead(&self) {
        let Shared { jobs, queue, is_brief, .. } = &*self.shared;
        let mut slot = self.shared.committer();
        let Some(committer) = slot.as_mut() else { return jobs.break_down() };
        let Some(turn) = queue.try_enter() else { return self.pass_to_thread(true) };
        match committer.begin(jobs, Duration::ZERO) {
            Begun::Yes => committer.commit_group(jobs, turn),
            Begun::Busy => return self.pass_to_thread(true),
            Begun::Refused => {}
        }
        let is_due = committer.is_follow_up_due(jobs);
        let has_thread = if *is_brief && jobs.commits() == 1 {
            // If no other write follows, no thread does this later.
            committer.record_head();
            false
        } else {
            self.try_start_thread()
        };
        if is_due && !has_thread {
            committer.follow_up();
        }
        drop(slot);
        if (is_due && has_thread) || !jobs.end_lead() {
            self.pass_to_thread(false);
        }
    }

    fn try_start_thread(&self) -> bool {
        let started = self.start_thread();
        if let Err(error) = &started {
            tracing::warn!(%error, "maintenance is postponed");
        }
        started.is_ok()
    }

    fn pass_to_thread(&self, is_blocked: bool) {
        match self.start_thread() {
            Ok(()) => self.shared.jobs.pass_to_thread(is_blocked),
            Err(error) => {
                tracing::error!(%error, "the writer has no thread");
                self.shared.jobs.break_down();
            }
        }
    }

    fn start_thread(&self) -> std::io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let (shared, number) = (Arc::clone(&self.shared), self.shared.jobs.thread());
            let run = move || shared.isolate(|| shared.run(number));
            *thread = Some(thread::Builder::new().name("ao-store-writer".to_owned()).spawn(run)?);
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let is_blocked = self.shared.jobs.close();
        if let Some(mut committer) = self.shared.committer().take() {
            committer.finish();
        }
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // One that waits for another process ends after that; it has nothing left to do.
        if let Some(thread) = thread.filter(|_| !is_blocked) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn committer(&self) -> MutexGuard<'_, Option<Committer>> {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs what a leader does. If it panics, which a job alone cannot cause, nothing is known about the
    /// transaction: it is rolled back with its connection, and every caller is answered.
    fn isolate(&self, lead: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(lead)) {
            let reason = format!("the writer ended after a panic: {}", panic_text(&*panic));
            // Its value might panic when it is dropped.
            mem::forget(panic);
            tracing::error!("{reason}");
            self.background.end(&reason);
            self.jobs.break_down();
            drop(self.committer().take());
        }
    }

    /// The thread: it leads when it is asked to, and runs the maintenance when no job was committed for a while, or
    /// many were: the log must not grow without bound.
    fn run(&self, number: u64) {
        let (mut delay, mut seen, mut maintained, mut is_wanted) = (IDLE, 0, 0, false);
        loop {
            let call = self.jobs.wait_to_lead(delay);
            let commits = self.jobs.commits();
            let is_quiet = commits == mem::replace(&mut seen, commits);
            let is_due = commits - maintained >= BUSY_COMMITS;
            match call {
                Call::End => return,
                Call::Lead => {
                    if !self.lead_for_all(number) {
                        return;
                    }
                    // What a caller that committed itself has left.
                    self.follow_up();
                }
                // A pending step has paused for long enough, also between jobs that follow each other quickly.
                Call::Time if is_quiet || is_due || delay < IDLE => {
                    is_wanted = !self.jobs.want_lead();
                    if is_wanted {
                        continue;
                    }
                }
                Call::Time => continue,
            }
            let is_called = matches!(call, Call::Lead);
            if mem::take(&mut is_wanted) || is_due || !is_called {
                maintained = commits;
                let is_idle = !is_called && is_quiet && delay >= IDLE;
                let Some(next) = self.maintain(number, is_idle) else { return };
                delay = next;
            }
            while !self.jobs.end_lead() {
                if !self.lead_for_all(number) {
                    return;
                }
            }
        }
    }

    /// Commits until no job waits. Each time it waits for its turn in the queue, and then for a foreign writer.
    /// Returns whether the thread with this number goes on.
    fn lead_for_all(&self, number: u64) -> bool {
        let (jobs, mut groups) = (&self.jobs, 0);
        while !jobs.is_empty() {
            let Some(turn) = self.enter(number) else { return false };
            let mut slot = self.committer();
            let Some(committer) = slot.as_mut() else { return false };
            let mut begun = committer.begin(jobs, Duration::ZERO);
            while begun == Begun::Busy && !jobs.is_empty() && jobs.set_blocked(true) {
                begun = committer.begin(jobs, self.busy);
            }
            jobs.set_blocked(false);
            if begun == Begun::Yes {
                committer.commit_group(jobs, turn);
                if committer.is_follow_up_due(jobs) {
                    committer.follow_up();
                }
            }
            drop(slot);
            groups += 1;
            if groups % BUSY_COMMITS == 0 && self.maintain(number, false).is_none() {
                return false;
            }
        }
        true
    }

    fn follow_up(&self) {
        if let Some(committer) = self.committer().as_mut() {
            committer.follow_up();
        }
    }

    /// Waits for the turn, unless the writer is closed; nothing else is held meanwhile. `None` when the thread
    /// with this number was given up: it must end.
    fn enter(&self, number: u64) -> Option<Turn> {
        if let Some(turn) = self.queue.try_enter() {
            return Some(turn);
        }
        let turn = if self.jobs.set_blocked(true) { self.queue.enter() } else { Turn::default() };
        self.jobs.unblock(number).then_some(turn)
    }

    /// Runs one step of maintenance, or what is due when nothing was written for a while; returns when to
    /// come back, or `None` when the thread with this number must end.
    fn maintain(&self, number: u64, is_idle: bool) -> Option<Duration> {
        let pending = self.committer().as_mut().map(|committer| {
            if is_idle {
                committer.record_head();
            }
            let pending = committer.plan();
            if pending.is_none() && is_idle {
                committer.rest();
            }
            pending
        })?;
        if pending == Some(Duration::ZERO) {
            let turn = self.enter(number)?;
            let next = self.committer().as_mut().and_then(|committer| committer.maintain(turn));
            return Some(next.unwrap_or(IDLE));
        }
        Some(pending.unwrap_or(IDLE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::db::connection::{self, Durability, Role};
    use crate::db::identity::Identity;
    use crate::db::wakeup::LocalListeners;
    use crate::engine::schema_guard::SchemaGuard;
    use rusqlite::Connection;
    use std::path::Path;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn open(path: &Path) -> Connection {
        connection::open(path, Role::Writer, Durability::Full, Duration::ZERO).unwrap()
    }

    fn writer(path: &Path, options: Options) -> Writer {
        let (queue, identity) = (Arc::new(WriteQueue::of(path)), Identity::of(path).unwrap());
        let local = Arc::new(LocalListeners::new());
        let (conn, guard) = (open(path), SchemaGuard::default());
        let (turns, record) = (Arc::clone(&queue), Arc::default());
        let committer = Committer::new(conn, guard, identity, turns, local, record, options);
        Writer::new(committer, queue, options)
    }

    /// More than a checkpoint leaves in the WAL, written by another process.
    fn fill(conn: &Connection) {
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
            INSERT INTO project (id, path, name, created_at, updated_at)
            SELECT i, hex(randomblob(2000)), '', 0, 0 FROM n";
        conn.execute_batch(many).unwrap();
    }

    /// The pages that no checkpoint has copied yet.
    fn backlog(conn: &Connection) -> i64 {
        let sql = "PRAGMA wal_checkpoint(NOOP)";
        conn.query_row(sql, [], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)).unwrap()
    }

    /// A writer of a store whose WAL waits for a checkpoint.
    fn with_backlog(is_brief: bool) -> (tempfile::TempDir, Connection, Writer) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        drop(Store::create(&path, Options::default()).unwrap());
        let conn = open(&path);
        fill(&conn);
        assert!(backlog(&conn) > 1000);
        let writer = writer(&path, Options { busy: PATIENCE, is_brief, ..Options::default() });
        // The size of the WAL is measured at intervals.
        thread::sleep(LOOK);
        (dir, conn, writer)
    }

    #[test]
    fn a_caller_that_commits_itself_leaves_the_checkpoint_to_the_thread() {
        let (_dir, conn, writer) = with_backlog(false);
        // A thread that does nothing yet.
        let (begin, begun) = crossbeam_channel::bounded::<()>(0);
        let shared = Arc::clone(&writer.shared);
        let thread = thread::spawn(move || {
            begun.recv().unwrap();
            shared.run(0);
        });
        *writer.thread.lock().unwrap() = Some(thread);
        writer.write(Cause::now("test"), true, |_| Ok(())).unwrap();
        assert!(backlog(&conn) > 1000, "the caller was answered first");
        assert!(matches!(writer.shared.jobs.wait_to_lead(Duration::ZERO), Call::Lead));
        begin.send(()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while backlog(&conn) > 0 {
            assert!(Instant::now() < deadline, "the thread never ran it");
            thread::sleep(Duration::from_millis(1));
        }
        writer.write(Cause::now("test"), true, |_| Ok(())).unwrap();
    }

    #[test]
    fn without_a_thread_the_caller_runs_the_checkpoint() {
        let (_dir, conn, writer) = with_backlog(true);
        writer.write(Cause::now("test"), true, |_| Ok(())).unwrap();
        assert!(writer.thread.lock().unwrap().is_none());
        assert_eq!(backlog(&conn), 0);
    }

    #[test]
    fn a_job_that_needs_a_sync_is_not_committed_without() {
        let (_dir, _conn, writer) = with_backlog(false);
        let writer = Arc::new(writer);
        let level = |tx: &Tx<'_>| {
            let sql = "PRAGMA synchronous";
            tx.one(sql, sql, [], |row| row.get::<_, i64>(0))
        };
        let (begin, begun) = crossbeam_channel::bounded::<()>(0);
        let (runs, running) = crossbeam_channel::bounded::<()>(1);
        thread::scope(|scope| {
            let unsynced = scope.spawn(|| {
                let wait = move |tx: &Tx<'_>| {
                    runs.send(()).expect("the test waits");
                    begun.recv_timeout(PATIENCE).expect("the other job waits");
                    level(tx)
                };
                writer.write(Cause::now("test"), false, wait).unwrap().value
            });
            running.recv_timeout(PATIENCE).expect("the first job runs");
            let deadline = Instant::now() + PATIENCE;
            let synced =
                scope.spawn(|| writer.write(Cause::now("test"), true, level).unwrap().value);
            while writer.shared.jobs.is_empty() {
                assert!(Instant::now() < deadline, "the second job never waited");
                thread::sleep(Duration::from_millis(1));
            }
            begin.send(()).unwrap();
            assert_eq!((unsynced.join().unwrap(), synced.join().unwrap()), (Some(1), Some(2)));
        });
    }
}
