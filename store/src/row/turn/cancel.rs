//! Cancelling a turn: the one that is named, never the one after it.

use std::time::Duration;

use crate::db::tx::Tx;
use crate::error::Result;
use crate::row::turn::clock;
use crate::row::turn::conversation::{self, Caller};
use crate::row::turn::end::{CANCELLED, Ending, end};
use crate::row::turn::event::{self, New};
use crate::row::turn::row::{self, Reason, State};

/// How long the worker of a turn has to finish it after it was asked to cancel it.
pub const GRACE: Duration = Duration::from_secs(10);

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited, and is cancelled.
    Now,
    /// It runs: its worker is asked to stop, and has [`GRACE`] for it.
    Requested,
    /// It had ended before.
    Ended(State),
}

/// Cancels a turn. A repeated request changes nothing.
///
/// # Errors
/// `TURN_NOT_FOUND`, also for one that the caller may not see.
pub fn cancel(tx: &Tx<'_>, caller: &Caller, id: &str) -> Result<Cancelled> {
    let mut turn = row::require(tx, id)?;
    let found = conversation::of_turn(tx, caller, &turn)?;
    match turn.state {
        State::Queued => {
            end(tx, turn, &Ending::failure(State::Cancelled, Reason::None, CANCELLED))?;
            Ok(Cancelled::Now)
        }
        State::Running if turn.cancel_requested_at.is_some() => Ok(Cancelled::Requested),
        State::Running => {
            turn.cancel_requested_at = Some(tx.now());
            row::update(tx, &turn)?;
            event::push(tx, &found.id, &New::status(id, "cancelling"))?;
            clock::shorten(tx, id, i64::try_from(GRACE.as_millis()).unwrap_or(i64::MAX))?;
            Ok(Cancelled::Requested)
        }
        state => Ok(Cancelled::Ended(state)),
    }
}
