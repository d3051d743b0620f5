//! A unit of work for the writer, and the result of a durable write.

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

/// A unit of work; only its caller knows the type of its result.
pub(crate) trait Job: Send {
    fn cause(&self) -> &Cause;
    fn run(&mut self, tx: &Tx<'_>) -> Result<()>;
    fn finish(self: Box<Self>, outcome: Result<Done>);
}

/// The head of the log after a job, and what its commit must do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) cursor: Cursor,
    pub(crate) changes: u64,
    pub(crate) has_changes: bool,
    pub(crate) wakes: bool,
}

struct TypedJob<T, F> {
    cause: Cause,
    work: Option<F>,
    value: Option<T>,
    reply: Sender<Result<Committed<T>>>,
}

/// The outcome of a job. It is closed without one when the writer broke down.
pub(crate) type Reply<T> = Receiver<Result<Committed<T>>>;

/// A job, and where its outcome arrives.
pub(crate) fn job<T, F>(cause: Cause, work: F) -> (Box<dyn Job>, Reply<T>)
where
    T: Send + 'static,
    F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
{
    let (reply, outcome) = bounded(1);
    (Box::new(TypedJob { cause, work: Some(work), value: None, reply }), outcome)
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
