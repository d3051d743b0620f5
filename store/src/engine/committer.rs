//! Commits of the one write connection of a process: the waiting jobs in one transaction, and between
//! transactions the checkpoints and the maintenance.
//!
//! The first job of a group runs directly, each further one in a SAVEPOINT. It is committed when no job waits
//! or the group is full. A job that fails or panics is rolled back alone. After a failed write to the file
//! the writer halts: SQLite would continue, but after a failed fsync no write can be trusted to be on
//! disk.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::code::Code;
use crate::db::checkpoint::Checkpointer;
use crate::db::connection::{self, Durability};
use crate::db::identity::Identity;
use crate::db::options::Options;
use crate::db::tx::{Snapshot, Tx};
use crate::db::wakeup::{LocalListeners, Notifier, data_version};
use crate::db::write_queue::{Turn, WriteQueue};
use crate::engine::background::Recorder;
use crate::engine::job::{Done, Job};
use crate::engine::jobs::Jobs;
use crate::engine::maintenance::Maintenance;
use crate::engine::schema_guard::SchemaGuard;
use crate::error::{Context, Error, Result};
use crate::log::{head_file, seal};
use crate::model::clock::ClockReading;
use crate::model::cursor::Cursor;

/// The maximum number of jobs in one commit.
const BATCH: usize = 512;
/// How long a batch may collect jobs before it commits.
const BATCH_TIME: Duration = Duration::from_millis(2);
/// How often maintenance is planned.
const PLAN_EVERY: Duration = Duration::from_secs(30);
/// How often the head file is written while there are jobs.
const RECORD_EVERY: Duration = Duration::from_secs(1);

/// A job that ran and awaits the commit.
type Ran = (Job, Done);

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

/// Whether a transaction has begun for the waiting jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    Yes,
    /// Another process writes.
    Busy,
    /// It cannot, and the jobs were answered so.
    Refused,
}

/// The write connection and all that belongs to it. Who leads has it.
pub(crate) struct Committer {
    conn: Connection,
    guard: SchemaGuard,
    identity: Identity,
    queue: Arc<WriteQueue>,
    local: Arc<LocalListeners>,
    notifier: Notifier,
    background: Arc<Recorder>,
    busy: Duration,
    durability: Durability,
    /// Whether the transaction that has begun is synced when it commits.
    is_synced: bool,
    halted: Option<String>,
    checkpointer: Checkpointer,
    maintenance: Maintenance,
    /// When maintenance was planned.
    planned: Option<Instant>,
    /// When the head file was written, and whether it has the newest change of this writer.
    recorded: Instant,
    is_recorded: bool,
}

impl Committer {
    pub(crate) fn new(
        conn: Connection,
        guard: SchemaGuard,
        identity: Identity,
        queue: Arc<WriteQueue>,
        local: Arc<LocalListeners>,
        background: Arc<Recorder>,
        Options { durability, busy, .. }: Options,
    ) -> Committer {
        let notifier = Notifier::new(identity.path(), &local);
        Committer {
            conn,
            guard,
            identity,
            queue,
            local,
            notifier,
            background,
            busy,
            durability,
            is_synced: true,
            halted: None,
            checkpointer: Checkpointer::new(),
            maintenance: Maintenance::new(durability),
            planned: None,
            recorded: Instant::now(),
            is_recorded: true,
        }
    }

    /// The record of what happens in the background.
    pub(crate) fn background(&self) -> Arc<Recorder> {
        Arc::clone(&self.background)
    }

    /// A number that is another one after each commit of another process, if it can be read.
    pub(crate) fn version(&self) -> Option<i64> {
        data_version(&self.conn).ok()
    }

    /// Begins the transaction of the next group, for which it waits up to `wait`.
    pub(crate) fn begin(&mut self, jobs: &Jobs, wait: Duration) -> Begun {
        if let Some(reason) = self.halted.clone() {
            refuse(jobs, || Error::Halted(reason.clone()));
            return Begun::Refused;
        }
        // A commit into a file that no process opens again would be lost.
        let begun = self.identity.check_for_write().and_then(|()| {
            self.is_synced = jobs.needs_sync();
            if !self.is_synced {
                connection::suspend_sync(&self.conn)?;
            }
            self.conn.busy_timeout(wait).context("set the busy timeout")?;
            let begun = self.execute("BEGIN IMMEDIATE");
            self.conn.busy_timeout(self.busy).context("set the busy timeout")?;
            begun
        });
        match begun {
            Ok(()) => Begun::Yes,
            Err(error) if error.code() == Code::Busy && self.resume_sync() => Begun::Busy,
            Err(error) => {
                self.fail(jobs, &error);
                self.resume_sync();
                Begun::Refused
            }
        }
    }

    /// After a transaction without a sync; returns whether the next one has it again.
    fn resume_sync(&mut self) -> bool {
        if !mem::replace(&mut self.is_synced, true) {
            let resumed = connection::resume_sync(&self.conn, self.durability);
            self.halt_on_failed_write(resumed);
        }
        self.halted.is_none()
    }

    /// Runs the waiting jobs and those that arrive meanwhile, commits them in the transaction that has begun,
    /// and answers them. The next process gets its turn right after the commit.
    pub(crate) fn commit_group(&mut self, jobs: &Jobs, turn: Turn) {
        let head = Snapshot::new(&self.conn).head();
        match head.and_then(|head| self.guard.check(&self.conn).map(|()| head)) {
            Ok(head) => {
                let batch = self.run_jobs(jobs, head);
                match &batch.lost {
                    Some(error) => self.fail_all(batch.done, error),
                    None => self.commit(batch, turn),
                }
            }
            Err(error) => self.fail(jobs, &error),
        }
        self.resume_sync();
        jobs.rest();
    }

    /// Runs jobs until none waits or the group is full. The first runs without a savepoint, which would slow a
    /// large job down; if it fails, the others run in a new transaction.
    fn run_jobs(&mut self, jobs: &Jobs, mut head: Cursor) -> Batch {
        let started = Instant::now();
        let mut batch = Batch::default();
        while batch.done.is_empty() || (batch.done.len() < BATCH && started.elapsed() < BATCH_TIME)
        {
            let Some(mut job) = jobs.pop(self.is_synced) else { break };
            let is_first = batch.done.is_empty();
            let ran = if is_first {
                self.run_job(&mut job, head)
            } else {
                self.run_in_savepoint(&mut job, head)
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
                    break;
                }
                Err(error) => job.finish(Err(error)),
            }
        }
        batch
    }

    /// A job that joins others: if it fails, it alone is rolled back.
    fn run_in_savepoint(&mut self, job: &mut Job, head: Cursor) -> Result<Done> {
        self.execute("SAVEPOINT job")?;
        let outcome = self.run_job(job, head);
        let undone = if outcome.is_err() { self.execute_in_tx("ROLLBACK TO job") } else { Ok(()) };
        if let Err(error) = undone.and_then(|()| self.execute_in_tx("RELEASE job")) {
            // A part of a job must not be committed with the others.
            if let Err(stuck) = self.execute_in_tx("ROLLBACK") {
                self.halt(stuck.chain());
            }
            return Err(error);
        }
        outcome
    }

    fn run_job(&self, job: &mut Job, head: Cursor) -> Result<Done> {
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

    fn commit(&mut self, batch: Batch, turn: Turn) {
        let Batch { done, has_changes, wakes, .. } = batch;
        if done.is_empty() {
            // No caller waits any more.
            let _ = self.execute("ROLLBACK");
            return;
        }
        let own: u64 = done.iter().map(|(_, outcome)| outcome.changes).sum();
        let closed = if has_changes { seal::close(&self.conn, own).map(|_| ()) } else { Ok(()) };
        if let Err(error) = closed.and_then(|()| self.execute("COMMIT")) {
            self.fail_all(done, &error);
            return;
        }
        drop(turn);
        if wakes {
            self.local.notify();
        }
        for (job, outcome) in done {
            job.finish(Ok(outcome));
        }
        if wakes {
            self.notifier.notify();
        }
        self.is_recorded &= !has_changes;
    }

    /// After a commit: whether the head file or a checkpoint is due. No caller has to wait for either.
    pub(crate) fn is_follow_up_due(&mut self, jobs: &Jobs) -> bool {
        // Maintenance fills the WAL too; while it is pending, checkpoints run only when they must, so that
        // they delay as few jobs as possible.
        let is_calm = jobs.is_empty() && self.maintenance.delay().is_none();
        let is_head_due = !self.is_recorded && self.recorded.elapsed() >= RECORD_EVERY;
        self.checkpointer.is_due(&self.conn, is_calm) || is_head_due
    }

    /// Does what is due after a commit.
    pub(crate) fn follow_up(&mut self) {
        if self.recorded.elapsed() >= RECORD_EVERY {
            self.record_head();
        }
        if self.halted.is_none() {
            let done = self.checkpointer.run_due(&self.conn, &self.queue, self.busy);
            self.checkpointed(done);
        }
    }

    /// Writes the head file if it lacks a change of this writer.
    pub(crate) fn record_head(&mut self) {
        if self.is_recorded || self.halted.is_some() || self.identity.check().is_err() {
            return;
        }
        let (path, queue) = (self.identity.path(), &self.queue);
        let recorded = head_file::record(&self.conn, path, |conn| {
            self.guard.begin(conn, queue.enter_within(self.busy))
        });
        (self.is_recorded, self.recorded) = (true, Instant::now());
        self.halt_on_failed_write(recorded);
    }

    /// Plans maintenance if that is due; returns whether a step is pending, and after which time it may run.
    pub(crate) fn plan(&mut self) -> Option<Duration> {
        // A replaced file is left alone, too.
        if self.halted.is_some() || self.identity.check_for_write().is_err() {
            self.maintenance.reset();
            return None;
        }
        let is_due = self.planned.is_none_or(|planned| planned.elapsed() >= PLAN_EVERY);
        if is_due && self.maintenance.delay().is_none() {
            self.planned = Some(Instant::now());
            let planned = self.maintenance.plan(&self.conn, ClockReading::now());
            self.postpone_on_error(planned);
        }
        self.maintenance.delay()
    }

    /// Runs one step of maintenance; returns whether another one is pending, and after which time.
    pub(crate) fn maintain(&mut self, turn: Turn) -> Option<Duration> {
        let done = self.maintenance.step(&self.conn, &self.guard, turn, ClockReading::now());
        if self.postpone_on_error(done) {
            // Not calm: a job may arrive at any time, and a checkpoint would delay it.
            self.checkpointer.is_due(&self.conn, false);
            self.follow_up();
        }
        self.maintenance.delay()
    }

    fn postpone_on_error(&mut self, done: Result<()>) -> bool {
        self.background.retention(done.as_ref().map(|()| self.maintenance.outcome()));
        if let Err(error) = &done {
            tracing::debug!(%error, "maintenance is postponed");
            self.maintenance.reset();
            self.halt_on(error);
        }
        done.is_ok()
    }

    /// Nothing was written for a while, and no maintenance is pending.
    pub(crate) fn rest(&mut self) {
        if self.halted.is_some() || self.identity.check_for_write().is_err() {
            return;
        }
        let done = self.checkpointer.idle(&self.conn, &self.queue, self.busy);
        self.checkpointed(done);
    }

    fn checkpointed(&mut self, done: Result<()>) {
        if let Some(outcome) = self.checkpointer.take_outcome() {
            self.background.checkpoint(outcome);
        }
        self.halt_on_failed_write(done);
    }

    /// Before the connection is closed.
    pub(crate) fn finish(&mut self) {
        self.record_head();
        self.checkpointer.finish(&self.conn);
    }

    fn execute(&self, sql: &'static str) -> Result<()> {
        let mut statement = self.conn.prepare_cached(sql).context(sql)?;
        statement.execute([]).map(|_| ()).context(sql)
    }

    /// The same, unless SQLite ended the transaction already.
    fn execute_in_tx(&self, sql: &'static str) -> Result<()> {
        if self.conn.is_autocommit() { Ok(()) } else { self.execute(sql) }
    }

    /// Refuses every job that waits now.
    fn fail(&mut self, jobs: &Jobs, error: &Error) {
        self.abandon(error);
        refuse(jobs, || error.shared());
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
            self.halt(error.chain());
        }
    }

    fn halt(&mut self, reason: String) {
        self.background.end(&format!("the writer halts: {reason}"));
        self.halted = Some(reason);
    }
}

/// Answers every job that waits now with an error.
fn refuse(jobs: &Jobs, error: impl Fn() -> Error) {
    while let Some(job) = jobs.pop_any() {
        job.finish(Err(error()));
    }
    jobs.rest();
}

/// The message of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
