//! Beats: a worker learns whether to go on. That it lives extends nothing; that its turn makes progress does.

use std::time::Duration;

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::row::turn::clock;
use crate::row::turn::held::Held;
use crate::row::turn::row::{self, State, Turn};

/// How long a turn may wait for something outside, from when it first reported so.
pub const WAITING_MAX: Duration = Duration::from_secs(3600);

/// What a worker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// To go on.
    Continue,
    /// To stop and to finish the turn, which is to be cancelled.
    Cancel,
    /// To stop at once: the turn has ended, or is another's. Nothing that it writes is accepted.
    Lost,
}

/// What a turn does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It makes progress.
    Working,
    /// It waits for something outside, such as the answer of a person.
    Waiting,
}

/// The running turn that is held; `None` if it was lost.
pub(super) fn running(snapshot: &Snapshot<'_>, held: &Held) -> Result<Option<Turn>> {
    let turn = row::get(snapshot, held.turn())?;
    Ok(turn.filter(|turn| turn.state == State::Running && turn.owner == held.owner()))
}

fn next(turn: Option<&Turn>) -> Beat {
    match turn {
        None => Beat::Lost,
        Some(turn) if turn.cancel_requested_at.is_some() => Beat::Cancel,
        Some(_) => Beat::Continue,
    }
}

/// Whether to go on: what a worker asks that only lives.
///
/// # Errors
/// When the database cannot be read.
pub fn look(snapshot: &Snapshot<'_>, held: &Held) -> Result<Beat> {
    Ok(next(running(snapshot, held)?.as_ref()))
}

/// Reports what the turn does, which gives it more time unless it is to be cancelled. It has no payload that
/// could fail.
///
/// # Errors
/// When the database cannot be written.
pub fn beat(tx: &Tx<'_>, held: &Held, activity: Activity) -> Result<Beat> {
    let beat = look(tx, held)?;
    if beat == Beat::Continue {
        match activity {
            Activity::Working => clock::extend(tx, held.turn())?,
            Activity::Waiting => {
                let horizon = i64::try_from(WAITING_MAX.as_millis()).unwrap_or(i64::MAX);
                clock::wait(tx, held.turn(), horizon)?;
            }
        }
    }
    Ok(beat)
}
