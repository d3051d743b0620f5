//! Failing turns that their worker cannot finish: it ended, or it makes no progress.
//!
//! Whoever finds that may fail the turn; what it found is checked again in the transaction, so that a turn
//! that was finished or went on meanwhile is not failed.

use crate::db::tx::Tx;
use crate::error::Result;
use crate::row::lifecycle::instance;
use crate::turn::clock::{self, Shows};
use crate::turn::end::{CANCELLED, Ending, end};
use crate::turn::row::{self, Reason, State, Turn};

/// Why a turn may be ended by another process than its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The process of its worker has ended.
    OwnerDead,
    /// Its time is over.
    Overdue,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The turn was ended.
    Won,
    /// It was not: it has ended, or what was found is not so any more.
    Lost,
}

/// Ends a turn for a reason that must still hold.
///
/// # Errors
/// `TURN_NOT_FOUND`.
pub fn fail(tx: &Tx<'_>, id: &str, guard: Guard) -> Result<Failed> {
    let turn = row::require(tx, id)?;
    if turn.state.has_ended() {
        // Another program ended it by hand.
        clock::delete(tx, id)?;
        return Ok(Failed::Lost);
    }
    let ending = match guard {
        Guard::OwnerDead if turn.state == State::Running && is_dead(tx, &turn)? => {
            Some(failure(Reason::WorkerDied, "the worker of the turn ended"))
        }
        Guard::OwnerDead => None,
        Guard::Overdue => overdue(tx, &turn)?,
    };
    let Some(ending) = ending else { return Ok(Failed::Lost) };
    end(tx, turn, &ending)?;
    Ok(Failed::Won)
}

fn is_dead(tx: &Tx<'_>, turn: &Turn) -> Result<bool> {
    Ok(instance::get(tx, &turn.owner)?.is_none_or(|owner| owner.is_dead()))
}

/// What a turn ends with whose time is over, if it is. After a start of the machine, a turn that waits for a
/// worker waits anew, and one that ran has lost its worker.
fn overdue(tx: &Tx<'_>, turn: &Turn) -> Result<Option<Ending<'static>>> {
    let shows = match clock::get(tx, &turn.id)? {
        Some(clock) => clock.shows(tx.reading().awake()),
        None => Shows::Nothing,
    };
    let is_running = turn.state == State::Running;
    Ok(match shows {
        Shows::Nothing | Shows::TimeLeft => None,
        Shows::OtherBoot if is_running => {
            Some(failure(Reason::WorkerDied, "the machine was started anew while the turn ran"))
        }
        Shows::OtherBoot => {
            clock::set_ready(tx, &turn.id)?;
            None
        }
        Shows::Overdue if turn.cancel_requested_at.is_some() => {
            Some(Ending::failure(State::Cancelled, Reason::None, CANCELLED))
        }
        Shows::Overdue if is_running => {
            Some(failure(Reason::Unresponsive, "the worker of the turn made no progress in time"))
        }
        Shows::Overdue => {
            let text = "no worker took the turn in time";
            Some(Ending::failure(State::Expired, Reason::NoWorker, text))
        }
    })
}

fn failure(reason: Reason, text: &str) -> Ending<'_> {
    Ending::failure(State::Failed, reason, text)
}

/// Ends all turns that an instance runs, which stops or was found dead; returns how many. What is queued stays
/// for the next worker.
///
/// # Errors
/// When the database cannot be written.
pub fn fail_instance(tx: &Tx<'_>, instance: &str, reason: Reason, text: &str) -> Result<usize> {
    let mut failed = 0;
    for turn in row::running(tx)?.into_iter().filter(|turn| turn.owner == instance) {
        end(tx, turn, &failure(reason, text))?;
        failed += 1;
    }
    Ok(failed)
}
