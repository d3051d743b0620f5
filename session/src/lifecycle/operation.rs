//! The verb that runs on a session: recorded before its first effect, removed with its last one.

use ao_store::row::lifecycle::operation::{self, Verb};
use ao_store::{SessionId, Tx};

use super::again::again;
use super::{Sessions, new_id};
use crate::error::Result;

/// A verb that this instance runs on a session.
#[derive(Debug)]
pub(super) struct Running<'a> {
    sessions: &'a Sessions,
    pub(super) session: SessionId,
    pub(super) instance: String,
}

impl Sessions {
    /// Begins a verb on a session. An abandoned one is finished or undone first.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`, also when the abandoned verb was the creation of the session;
    /// `SESSION_BUSY`.
    pub(super) fn begin(&self, id: &SessionId, verb: Verb) -> Result<Running<'_>> {
        let instance = self.instance()?;
        loop {
            let (session, owner) = (id.clone(), instance.clone());
            let abandoned = self.write(move |tx| {
                ao_store::row::session::require(tx, &session)?;
                operation::begin(tx, &session, verb, &owner)
            })?;
            match abandoned {
                None => return Ok(Running { sessions: self, session: id.clone(), instance }),
                Some(abandoned) => drop(self.settle(&abandoned)?),
            }
        }
    }

    /// A verb that is recorded on a session already.
    pub(super) fn running(&self, session: &SessionId, instance: &str) -> Running<'_> {
        Running { sessions: self, session: session.clone(), instance: instance.to_owned() }
    }
}

impl Running<'_> {
    /// Writes the result of the verb, and ends it in the same transaction.
    pub(super) fn end<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>, &SessionId) -> ao_store::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (session, instance) = (self.session.clone(), self.instance.clone());
        self.sessions.write(move |tx| {
            let value = work(tx, &session)?;
            operation::end(tx, &session, &instance)?;
            Ok(value)
        })
    }

    /// Leaves the verb half-done, as if this instance had ended: the next verb or reconciliation settles it.
    pub(super) fn abandon(&self) {
        let (session, from, nobody) = (self.session.clone(), self.instance.clone(), new_id('i'));
        let work = move |tx: &Tx<'_>| operation::hand_over(tx, &session, &from, &nobody);
        let abandoned =
            again(&self.session, "abandon an operation", || self.sessions.write(work.clone()));
        if let Err(error) = abandoned {
            let error = error.chain();
            tracing::warn!(session = %self.session, error, "cannot abandon an operation");
        }
    }

    /// Ends the verb, whose effects were undone. A failure leaves it to the next verb.
    pub(super) fn give_up(&self) {
        let ended = again(&self.session, "end an operation", || self.end(|_, _| Ok(())));
        if let Err(error) = ended {
            let error = error.chain();
            tracing::warn!(session = %self.session, error, "cannot end an operation");
        }
    }
}
