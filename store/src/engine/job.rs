//! A unit of work for the writer, and the result of a durable write.
//!
//! Only the closure of the caller knows the type of its value, so that little of the writer is compiled for
//! every kind of job.

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::db::tx::{Cause, Tx};
use crate::error::{Error, Result};
use crate::model::cursor::Cursor;

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

/// The head of the log after a job, and what its commit must do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) cursor: Cursor,
    pub(crate) changes: u64,
    pub(crate) has_changes: bool,
    pub(crate) wakes: bool,
}

/// What a job does; it keeps its value.
pub(crate) type Work = Box<dyn FnOnce(&Tx<'_>) -> Result<()> + Send>;

/// The outcome of a job. It is closed without one when the writer broke down.
pub(crate) type Reply = Receiver<Result<Done>>;

/// Work that is done once, and where its outcome goes.
pub(crate) struct Job {
    cause: Cause,
    needs_sync: bool,
    work: Option<Work>,
    reply: Sender<Result<Done>>,
}

impl Job {
    pub(crate) fn new(cause: Cause, needs_sync: bool, work: Work) -> (Job, Reply) {
        let (reply, outcome) = bounded(1);
        (Job { cause, needs_sync, work: Some(work), reply }, outcome)
    }

    /// Whether its commit must be durable when it is answered.
    pub(crate) fn needs_sync(&self) -> bool {
        self.needs_sync
    }

    pub(crate) fn cause(&self) -> &Cause {
        &self.cause
    }

    pub(crate) fn run(&mut self, tx: &Tx<'_>) -> Result<()> {
        self.work.take().ok_or(Error::Closed)?(tx)
    }

    pub(crate) fn finish(self, outcome: Result<Done>) {
        // The caller may be gone; the commit remains.
        let _ = self.reply.send(outcome);
    }
}

/// The value of a job, once it is done.
pub(crate) struct Value<T>(Arc<Mutex<Option<T>>>);

impl<T: Send + 'static> Value<T> {
    /// Work that keeps its value here.
    pub(crate) fn of(work: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static) -> (Value<T>, Work) {
        let kept = Arc::new(Mutex::new(None));
        let value = Value(Arc::clone(&kept));
        let keep = move |tx: &Tx<'_>| {
            let value = work(tx)?;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(())
        };
        (value, Box::new(keep))
    }

    pub(crate) fn committed(self, done: Done) -> Result<Committed<T>> {
        let value = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let value = value.ok_or(Error::Closed)?;
        Ok(Committed { value, cursor: done.cursor, changes: done.changes })
    }
}
