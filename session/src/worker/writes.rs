//! What a worker writes to the store for the turn that it holds.
//!
//! A store that is busy or full is tried again for some time: that is never taken for a turn that was lost,
//! and every write may be repeated.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_store::lease::Owner;
use ao_store::turn::append::{Appended, Response, append};
use ao_store::turn::beat::{Activity, Beat, beat};
use ao_store::turn::finish::{Completion, Finished, finish};
use ao_store::turn::{Held, REPLY_MAX, program};
use ao_store::{Cause, Store, Tx};

use super::outcome;
use crate::error::Result;
use crate::failpoint::step;

/// The actor of the changes of a worker.
pub(super) const ACTOR: &str = "worker";

/// How long a write is tried again.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(100);

/// What a text beside the reply counts at least, so that their number has a bound, too.
const SMALLEST: usize = 64;

/// Writes to the store, again and again while that may help and `is_wanted`.
pub(super) fn persist<T: Send + 'static>(
    store: &Store,
    is_wanted: &dyn Fn() -> bool,
    work: impl Fn(&Tx<'_>) -> ao_store::Result<T> + Clone + Send + 'static,
) -> Result<T> {
    let deadline = Instant::now() + WRITE_TIMEOUT;
    loop {
        match store.write(Cause::now(ACTOR), work.clone()) {
            Ok(written) => return Ok(written.value),
            Err(error)
                if error.code().is_retryable() && Instant::now() < deadline && is_wanted() =>
            {
                tracing::debug!(%error, "the store cannot be written");
            }
            Err(error) => return Err(error.into()),
        }
        sleep(RETRY);
    }
}

/// The responses of one turn.
#[derive(Debug)]
pub(super) struct Responses {
    store: Store,
    held: Arc<Held>,
    count: u64,
    bytes: usize,
}

impl Responses {
    pub(super) fn new(store: &Store, held: &Arc<Held>) -> Responses {
        Responses { store: store.clone(), held: Arc::clone(held), count: 0, bytes: 0 }
    }

    /// Records the program that was started for the turn, so that any process can stop it. If that is not possible
    /// now, it is found by its variables.
    pub(super) fn record(&self, leader: Option<&Owner>) {
        let Some(leader) = leader.cloned() else { return };
        let held = Arc::clone(&self.held);
        let recorded =
            self.store.write(Cause::now(ACTOR), move |tx| program::record(tx, &held, &leader));
        if let Err(error) = recorded {
            tracing::warn!(%error, "the program of a turn was not recorded");
        }
    }

    /// Counts a response that is to be stored; an error, as the end of a sentence, if the turn has then more
    /// than it may have.
    pub(super) fn count(&mut self, response: &Response) -> Result<(), String> {
        self.bytes += match response {
            Response::Delta(text) => text.len(),
            Response::Content(text) | Response::Ephemeral(text) | Response::Status(text) => {
                text.len().max(SMALLEST)
            }
        };
        if self.bytes > REPLY_MAX {
            return Err(outcome::too_large());
        }
        Ok(())
    }

    /// Stores a response, unless the turn is no longer wanted; it is then not known what became of it.
    pub(super) fn append(
        &mut self,
        response: Response,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Beat> {
        self.count += 1;
        let (held, name) = (Arc::clone(&self.held), format!("d{}", self.count));
        let appended =
            persist(&self.store, is_wanted, move |tx| append(tx, &held, &name, &response));
        step!("worker.appended");
        match appended {
            Ok(Appended::Stored(_) | Appended::Known) => Ok(Beat::Continue),
            Ok(Appended::Cancel) => Ok(Beat::Cancel),
            // Only another owner of the turn could have used this name.
            Ok(Appended::Lost | Appended::Conflict) => Ok(Beat::Lost),
            Err(error) if is_wanted() => Err(error),
            // What was asked meanwhile is done now.
            Err(error) => {
                tracing::debug!(%error, "a response was not stored");
                Ok(Beat::Continue)
            }
        }
    }

    /// Reports what the turn does.
    pub(super) fn beat(&self, activity: Activity, is_wanted: &dyn Fn() -> bool) -> Result<Beat> {
        let held = Arc::clone(&self.held);
        match persist(&self.store, is_wanted, move |tx| beat(tx, &held, activity)) {
            Err(error) if is_wanted() => Err(error),
            beat => Ok(beat.unwrap_or(Beat::Continue)),
        }
    }

    /// Ends the turn.
    pub(super) fn finish(&self, completion: Completion) -> Result<Finished> {
        step!("worker.finishing");
        let (held, prepared) = (Arc::clone(&self.held), Arc::new(completion.prepare()?));
        let finished = persist(&self.store, &|| true, move |tx| finish(tx, &held, &prepared))?;
        step!("worker.finished");
        Ok(finished)
    }
}
