//! Failing turns that their worker cannot finish: it ended, or it makes no progress.
//!
//! Any process that finds that may fail the turn; what it found is checked again in the transaction, so that a turn
//! that was finished or went on meanwhile is not failed.

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::row::account;
use crate::row::delivery::{self, Refusal};
use crate::row::lifecycle::instance::{self, Instance};
use crate::row::turn::agent::{self, Agent};
use crate::row::turn::clock::{self, Shows};
use crate::row::turn::end::{self, CANCELLED, Ending, end};
use crate::row::turn::hand_over::{deliver, obstacle};
use crate::row::turn::row::{self, Reason, State, Turn};

/// Why a turn may be ended by another process than its worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// The process of its worker has ended.
    OwnerDead(Dead),
    /// Its time is over.
    Overdue,
}

/// A worker whose process was found to have ended, as it was registered. That can be found only before a transaction
/// that writes, and stays so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead(Option<Instance>);

impl Dead {
    /// Looks for the process that runs a turn; `None` while it is not known to have ended, and for a turn that a
    /// session runs. One that is not registered has ended.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn find(snapshot: &Snapshot<'_>, turn: &Turn) -> Result<Option<Dead>> {
        if turn.state != State::Running || turn.is_delivery() {
            return Ok(None);
        }
        let owner = instance::get(snapshot, &turn.owner)?;
        Ok(owner.as_ref().is_none_or(Instance::is_dead).then_some(Dead(owner)))
    }

    /// Whether it is the one that runs a turn. It may not be registered any more.
    fn is_still(&self, tx: &Tx<'_>, turn: &Turn) -> Result<bool> {
        Ok(instance::get(tx, &turn.owner)?.is_none_or(|now| self.0 == Some(now)))
    }
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
pub fn fail(tx: &Tx<'_>, id: &str, guard: &Guard) -> Result<Failed> {
    let turn = row::require(tx, id)?;
    if turn.state.has_ended() {
        // Another program ended it by hand.
        clock::delete(tx, id)?;
        end::release(tx, &turn.conversation)?;
        return Ok(Failed::Lost);
    }
    let found = match guard {
        Guard::OwnerDead(dead) if turn.state == State::Running && dead.is_still(tx, &turn)? => {
            Some(Found::Died("the worker of the turn ended"))
        }
        Guard::OwnerDead(_) => None,
        Guard::Overdue => overdue(tx, &turn)?,
    };
    let Some(found) = found else { return Ok(Failed::Lost) };
    match &found {
        Found::Died(text) => end(tx, turn, &failure(Reason::WorkerDied, text))?,
        Found::Unresponsive => {
            let text = if turn.is_delivery() { SILENT } else { UNRESPONSIVE };
            end(tx, turn, &failure(Reason::Unresponsive, text))?;
        }
        Found::NotStarted(text) => end(tx, turn, &failure(Reason::NotStarted, text))?,
        Found::Limited(text) => end(tx, turn, &failure(Reason::Limited, text))?,
        Found::Cancelled => {
            end(tx, turn, &Ending::failure(State::Cancelled, Reason::None, CANCELLED))?;
        }
        Found::NoWorker => {
            end(tx, turn, &Ending::failure(State::Expired, Reason::NoWorker, NO_WORKER))?;
        }
    }
    Ok(Failed::Won)
}

const UNRESPONSIVE: &str = "the worker of the turn made no progress in time";
const SILENT: &str = "the agent of the session reported nothing in time";
const NO_WORKER: &str = "no worker took the turn in time";

/// Why a turn ends.
enum Found {
    Died(&'static str),
    Unresponsive,
    Cancelled,
    NoWorker,
    /// Its session cannot take it.
    NotStarted(String),
    /// No worker could take it: this limit of the account holds.
    Limited(String),
}

/// Ends the time of a running turn whose time is over; returns whether it is. From then on, nothing that it does
/// keeps it from being failed, so that its processes can be stopped first.
pub(super) fn condemn(tx: &Tx<'_>, id: &str) -> Result<bool> {
    let turn = row::require(tx, id)?;
    let is_late = turn.state == State::Running && overdue(tx, &turn)?.is_some();
    if is_late {
        clock::condemn(tx, id)?;
    }
    Ok(is_late)
}

/// Why a turn ends whose time is over, if it is. After a start of the machine, a turn that waits for a worker
/// waits anew, and one that ran has lost its worker.
fn overdue(tx: &Tx<'_>, turn: &Turn) -> Result<Option<Found>> {
    let Some(clock) = clock::get(tx, &turn.id)? else { return Ok(None) };
    let is_running = turn.state == State::Running;
    Ok(match clock.shows(tx.reading().awake()) {
        Shows::Nothing | Shows::TimeLeft => None,
        Shows::OtherBoot if is_running => {
            Some(Found::Died("the machine was started anew while the turn ran"))
        }
        Shows::OtherBoot => {
            wait_anew(tx, turn)?;
            None
        }
        Shows::Overdue if turn.cancel_requested_at.is_some() => Some(Found::Cancelled),
        Shows::Overdue if is_running => Some(Found::Unresponsive),
        Shows::Overdue => not_taken(tx, turn)?,
    })
}

/// A turn that waits has all of its time again.
fn wait_anew(tx: &Tx<'_>, turn: &Turn) -> Result<()> {
    let Agent { account, session, .. } = agent::require(tx, &turn.org, &turn.agent)?;
    let Some(session) = session else { return clock::set_ready(tx, &turn.id) };
    clock::restart(tx, &turn.id)?;
    deliver(tx, turn, &account, &session)
}

/// Why no worker has taken a turn in time, or no session. One that waits for the turn of another conversation in its
/// session waits on.
fn not_taken(tx: &Tx<'_>, turn: &Turn) -> Result<Option<Found>> {
    let Agent { account, session, .. } = agent::require(tx, &turn.org, &turn.agent)?;
    if let Some(limit) = account::limit_of_account(tx, &account, tx.now())? {
        let text = format!("account {account} has reached a limit: {}", limit.message);
        return Ok(Some(Found::Limited(text)));
    }
    let Some(session) = session else { return Ok(Some(Found::NoWorker)) };
    let obstacle = obstacle(tx, &session)?;
    if obstacle.is_none() && delivery::runs_turn(tx, &session)? {
        wait_anew(tx, turn)?;
        return Ok(None);
    }
    Ok(Some(Found::NotStarted(match obstacle {
        Some(Refusal::Terminated) => format!("session {session} is terminated"),
        Some(Refusal::External) => format!("session {session} is run by another program"),
        Some(Refusal::NoTerminal) => format!("session {session} has no terminal"),
        Some(_) => format!("the agent of session {session} has ended"),
        None => format!("the message could not be written to session {session} in time"),
    })))
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
