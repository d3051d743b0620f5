//! The one writer of a process: a thread that owns the write connection and commits in groups.
//!
//! Jobs arrive over a bounded channel. The writer begins IMMEDIATE and runs the waiting jobs: the first
//! directly, each further one in a SAVEPOINT. It commits when the queue is empty or the batch is full. A
//! caller gets `Ok` only after the commit that contains its job is durable. A job that fails or panics
//! is rolled back alone. After a failed write to the file the writer halts: SQLite would continue, but
//! after a failed fsync no write can be trusted to be on disk.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::Connection;

use crate::code::Code;
use crate::db::checkpoint::Checkpointer;
use crate::db::identity::Identity;
use crate::db::options::Options;
use crate::db::tx::{Cause, Snapshot, Tx};
use crate::db::wakeup::{LocalListeners, Notifier};
use crate::engine::maintenance::Maintenance;
use crate::engine::schema_guard::SchemaGuard;
use crate::error::{Context, Error, Result};
use crate::log::{head_file, seal};
use crate::model::clock::ClockReading;
use crate::model::cursor::Cursor;

/// The maximum number of waiting jobs; a further caller blocks until there is room.
const QUEUE: usize = 1024;
/// The maximum number of jobs in one commit.
const BATCH: usize = 512;
/// How long a batch may collect jobs before it commits.
const BATCH_TIME: Duration = Duration::from_millis(2);
/// How often maintenance is planned.
const PLAN_EVERY: Duration = Duration::from_secs(30);
/// The number of batches after which a busy writer runs one step of maintenance.
const BUSY_BATCHES: u32 = 64;
/// How long the queue must be empty before the WAL is truncated.
const IDLE: Duration = Duration::from_secs(1);
/// How often the head file is written while there are jobs.
const RECORD_EVERY: Duration = Duration::from_secs(1);

/// The result of a durable write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<T> {
    /// The value that the job returned.
    pub value: T,
    /// The head of the log right after the job: a reader at this cursor has read its changes.
    pub cursor: Cursor,
    /// The number of changes that the job made.
    pub changes: u64,
}

/// A unit of work; only its caller knows the type of its result.
pub(crate) trait Job: Send {
    fn cause(&self) -> &Cause;
    fn run(&mut self, tx: &Tx<'_>) -> Result<()>;
    fn finish(self: Box<Self>, outcome: Result<Done>);
}

/// The head of the log after a job, and what its commit must do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    cursor: Cursor,
    changes: u64,
    has_changes: bool,
    wakes: bool,
}

pub(crate) struct TypedJob<T, F> {
    cause: Cause,
    work: Option<F>,
    value: Option<T>,
    reply: Sender<Result<Committed<T>>>,
}

impl<T, F> Job for TypedJob<T, F>
where
    T: Send,
    F: FnOnce(&Tx<'_>) -> Result<T> + Send,
{
    fn cause(&self) -> &Cause {
        &self.cause
    }

    fn run(&mut self, tx: &Tx<'_>) -> Result<()> {
        let work = self.work.take().ok_or(Error::Closed)?;
        self.value = Some(work(tx)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<Done>) {
        let TypedJob { value, reply, .. } = *self;
        let answer = outcome.and_then(|Done { cursor, changes, .. }| {
            let value = value.ok_or(Error::Closed)?;
            Ok(Committed { value, cursor, changes })
        });
        // The caller may be gone; the commit remains.
        let _ = reply.send(answer);
    }
}

struct Queued {
    job: Box<dyn Job>,
    since: Instant,
}

/// The handle: it sends jobs, and joins the thread when it is dropped.
pub(crate) struct Writer {
    jobs: Option<Sender<Queued>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(
        conn: Connection,
        guard: SchemaGuard,
        identity: Identity,
        local: Arc<LocalListeners>,
        options: Options,
    ) -> Result<Writer> {
        let Options { durability, busy } = options;
        let (jobs, queue) = bounded(QUEUE);
        let path = identity.path().to_owned();
        let notifier = Notifier::new(&path, &local);
        let state = Thread {
            conn,
            guard,
            identity,
            queue,
            local,
            notifier,
            busy,
            halted: None,
            checkpointer: Checkpointer::new(),
            maintenance: Maintenance::new(durability),
            planned: None,
            recorded: Instant::now(),
            is_recorded: true,
        };
        let thread = thread::Builder::new()
            .name("ao-store-writer".to_owned())
            .spawn(move || state.run())
            .map_err(|source| Error::File { action: "start the writer of", path, source })?;
        Ok(Writer { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `work` in a write transaction and waits until it is durable.
    pub(crate) fn write<T, F>(&self, cause: Cause, work: F) -> Result<Committed<T>>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let own = self.thread.as_ref().map(|writer| writer.thread().id());
        if own == Some(thread::current().id()) {
            return Err(Error::Nested);
        }
        let (reply, answer) = bounded(1);
        let job = TypedJob { cause, work: Some(work), value: None, reply };
        let queued = Queued { job: Box::new(job), since: Instant::now() };
        let jobs = self.jobs.as_ref().ok_or(Error::Closed)?;
        jobs.send(queued).map_err(|_| Error::Closed)?;
        answer.recv().map_err(|_| Error::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A job that ran and awaits the commit.
type Ran = (Box<dyn Job>, Done);

/// The jobs of one transaction.
#[derive(Default)]
struct Batch {
    done: Vec<Ran>,
    has_changes: bool,
    /// The commit wakes listeners.
    wakes: bool,
    /// Why the whole transaction is rolled back: its first job failed, or the disk is full.
    lost: Option<Error>,
}

struct Thread {
    conn: Connection,
    guard: SchemaGuard,
    identity: Identity,
    queue: Receiver<Queued>,
    local: Arc<LocalListeners>,
    notifier: Notifier,
    busy: Duration,
    halted: Option<String>,
    checkpointer: Checkpointer,
    maintenance: Maintenance,
    /// When maintenance was planned.
    planned: Option<Instant>,
    /// When the head file was written, and whether it has the newest change of this writer.
    recorded: Instant,
    is_recorded: bool,
}

impl Thread {
    fn run(mut self) {
        let mut batches: u32 = 0;
        loop {
            let delay = self.maintenance.delay().unwrap_or(IDLE);
            match self.queue.recv_timeout(delay) {
                Ok(first) => {
                    let mut waiting = vec![first];
                    while !waiting.is_empty() {
                        waiting = self.batch(waiting);
                    }
                    batches = batches.wrapping_add(1);
                    // Even if the queue is never empty, the log must not grow without bound.
                    if batches.is_multiple_of(BUSY_BATCHES) {
                        self.run_maintenance();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.record_head();
                    if !self.run_maintenance() {
                        let checkpointed = self.checkpointer.idle(&self.conn, self.busy);
                        self.halt_on_failed_write(checkpointed);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.record_head();
        self.checkpointer.finish(&self.conn);
    }

    fn record_head(&mut self) {
        if self.is_recorded || self.halted.is_some() || self.identity.check().is_err() {
            return;
        }
        let path = self.identity.path();
        let recorded = head_file::record(&self.conn, path, |conn| self.guard.begin(conn));
        (self.is_recorded, self.recorded) = (true, Instant::now());
        self.halt_on_failed_write(recorded);
    }

    /// Plans maintenance or runs one step of it; returns whether a step is pending.
    fn run_maintenance(&mut self) -> bool {
        // A replaced file is left alone, too.
        if self.halted.is_some() || self.identity.check_for_write().is_err() {
            self.maintenance.reset();
            return false;
        }
        let is_due = self.planned.is_none_or(|planned| planned.elapsed() >= PLAN_EVERY);
        let was_pending = self.maintenance.delay().is_some();
        let done = if was_pending {
            self.maintenance.step(&self.conn, &self.guard, ClockReading::now())
        } else if is_due {
            self.planned = Some(Instant::now());
            self.maintenance.plan(&self.conn, ClockReading::now())
        } else {
            return false;
        };
        if let Err(error) = done {
            tracing::debug!(%error, "maintenance is postponed");
            self.maintenance.reset();
            self.halt_on(&error);
            return false;
        }
        if was_pending {
            // Not calm: a job may arrive at any time, and a checkpoint would delay it.
            let checkpointed = self.checkpointer.after_commit(&self.conn, false, self.busy);
            self.halt_on_failed_write(checkpointed);
        }
        self.maintenance.delay().is_some()
    }

    /// One commit. Returns the jobs that must wait for the next attempt.
    fn batch(&mut self, mut waiting: Vec<Queued>) -> Vec<Queued> {
        if let Some(reason) = &self.halted {
            for queued in waiting {
                queued.job.finish(Err(Error::Halted(reason.clone())));
            }
            return Vec::new();
        }
        // A commit into a file that no process opens again would be lost.
        if let Err(error) = self.identity.check_for_write() {
            self.fail(waiting, &error);
            return Vec::new();
        }
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            return self.refuse(waiting, &error);
        }
        let head = Snapshot::new(&self.conn).head();
        let head = match head.and_then(|head| self.guard.check(&self.conn).map(|()| head)) {
            Ok(head) => head,
            Err(error) => {
                self.fail(waiting, &error);
                return Vec::new();
            }
        };
        let batch = self.run_jobs(&mut waiting, head);
        match &batch.lost {
            Some(error) => self.fail_all(batch.done, error),
            None => self.commit(batch),
        }
        waiting
    }

    /// BEGIN failed: the jobs that waited for the whole bound are refused, the others stay for the next
    /// attempt, with those that arrived meanwhile.
    fn refuse(&mut self, mut waiting: Vec<Queued>, error: &Error) -> Vec<Queued> {
        if error.code() != Code::Busy {
            self.fail(waiting, error);
            return Vec::new();
        }
        waiting.extend(self.queue.try_iter());
        let (old, young): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|queued| queued.since.elapsed() >= self.busy);
        for Queued { job, since } in old {
            let waited_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            job.finish(Err(Error::Busy { waited_ms }));
        }
        young
    }

    /// Runs the waiting jobs and those that arrive meanwhile. The first runs without a savepoint, which
    /// would slow a large job down; if it fails, the others run in a new transaction.
    fn run_jobs(&mut self, waiting: &mut Vec<Queued>, mut head: Cursor) -> Batch {
        let started = Instant::now();
        let mut batch = Batch::default();
        let mut next = std::mem::take(waiting).into_iter();
        while let Some(queued) = next.next().or_else(|| {
            let is_full = batch.done.len() >= BATCH || started.elapsed() >= BATCH_TIME;
            if is_full { None } else { self.queue.try_recv().ok() }
        }) {
            let mut job = queued.job;
            let is_first = batch.done.is_empty();
            let ran = if is_first {
                self.run_job(job.as_mut(), head)
            } else {
                self.run_in_savepoint(job.as_mut(), head)
            };
            match ran {
                Ok(outcome) => {
                    head = outcome.cursor;
                    batch.has_changes |= outcome.has_changes;
                    batch.wakes |= outcome.wakes;
                    batch.done.push((job, outcome));
                }
                Err(error) if is_first || self.conn.is_autocommit() || self.halted.is_some() => {
                    batch.lost = Some(error.shared());
                    job.finish(Err(error));
                    waiting.extend(next);
                    return batch;
                }
                Err(error) => job.finish(Err(error)),
            }
        }
        batch
    }

    /// A job that joins others: if it fails, it alone is rolled back.
    fn run_in_savepoint(&mut self, job: &mut dyn Job, head: Cursor) -> Result<Done> {
        self.execute("SAVEPOINT job")?;
        let outcome = self.run_job(job, head);
        let undone = if outcome.is_err() { self.execute_in_tx("ROLLBACK TO job") } else { Ok(()) };
        if let Err(error) = undone.and_then(|()| self.execute_in_tx("RELEASE job")) {
            // A part of a job must not be committed with the others.
            if let Err(stuck) = self.execute_in_tx("ROLLBACK") {
                self.halted = Some(stuck.chain());
            }
            return Err(error);
        }
        outcome
    }

    fn run_job(&self, job: &mut dyn Job, head: Cursor) -> Result<Done> {
        let cause = job.cause().clone();
        let tx = Tx::new(&self.conn, &cause);
        catch_unwind(AssertUnwindSafe(|| job.run(&tx)))
            .unwrap_or_else(|panic| Err(Error::Panicked(panic_text(&*panic))))?;
        if self.conn.is_autocommit() {
            return Err(Error::GivenUp);
        }
        let (has_changes, wakes) = (tx.has_changes(), tx.wakes());
        let cursor = if has_changes { tx.head()? } else { head };
        let changes = u64::try_from(cursor.seq.0 - head.seq.0).unwrap_or(0);
        Ok(Done { cursor, changes, has_changes, wakes })
    }

    fn commit(&mut self, Batch { done, has_changes, wakes, .. }: Batch) {
        if done.is_empty() {
            // Every job failed: there is nothing to commit.
            let _ = self.execute("ROLLBACK");
            return;
        }
        let own: u64 = done.iter().map(|(_, outcome)| outcome.changes).sum();
        let closed = if has_changes { seal::close(&self.conn, own).map(|_| ()) } else { Ok(()) };
        if let Err(error) = closed.and_then(|()| self.execute("COMMIT")) {
            self.fail_all(done, &error);
            return;
        }
        if wakes {
            self.local.notify();
        }
        for (job, outcome) in done {
            job.finish(Ok(outcome));
        }
        if wakes {
            self.notifier.notify();
        }
        // Maintenance fills the WAL too; while it is pending, checkpoints run only when they must, so that
        // they delay as few jobs as possible.
        self.is_recorded &= !has_changes;
        if self.recorded.elapsed() >= RECORD_EVERY {
            self.record_head();
        }
        let is_calm = has_changes && self.queue.is_empty() && self.maintenance.delay().is_none();
        let checkpointed = self.checkpointer.after_commit(&self.conn, is_calm, self.busy);
        self.halt_on_failed_write(checkpointed);
    }

    fn execute(&self, sql: &'static str) -> Result<()> {
        let mut statement = self.conn.prepare_cached(sql).context(sql)?;
        statement.execute([]).map(|_| ()).context(sql)
    }

    /// The same, unless SQLite ended the transaction already.
    fn execute_in_tx(&self, sql: &'static str) -> Result<()> {
        if self.conn.is_autocommit() { Ok(()) } else { self.execute(sql) }
    }

    fn fail(&mut self, waiting: Vec<Queued>, error: &Error) {
        self.abandon(error);
        for queued in waiting {
            queued.job.finish(Err(error.shared()));
        }
    }

    /// Reports that the batch was not committed.
    fn fail_all(&mut self, done: Vec<Ran>, error: &Error) {
        self.abandon(error);
        for (job, _) in done {
            job.finish(Err(error.shared()));
        }
    }

    /// Rolls the transaction back, and halts after a failed write to the file.
    fn abandon(&mut self, error: &Error) {
        if !self.conn.is_autocommit() {
            let _ = self.execute("ROLLBACK");
        }
        self.halt_on(error);
    }

    fn halt_on_failed_write(&mut self, done: Result<()>) {
        if let Err(error) = done {
            self.halt_on(&error);
        }
    }

    fn halt_on(&mut self, error: &Error) {
        if error.is_failed_write() {
            tracing::error!(%error, "the writer halts: a write to the database file failed");
            self.halted = Some(error.chain());
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
