//! Stops what was started for a turn, whichever process started it: nothing may run beside the next turn.

use ao_store::turn::sweep::{self, Swept};
use ao_store::turn::{self, State, program};
use ao_store::{Cause, Store};

use crate::error::Result;
use crate::runtime::processes::{self, Ended};

/// Ends the turns that no worker will end: see [`ao_store::turn::sweep`]. What their workers had started on
/// this machine is stopped before.
///
/// # Errors
/// When the database cannot be read.
pub fn sweep_turns(store: &Store, cause: &Cause) -> Result<Swept> {
    Ok(sweep::sweep(store, cause, |turn| of_swept(store, turn))?)
}

fn of_swept(store: &Store, id: &str) {
    match store.read(|snapshot| program::of(snapshot, id)) {
        Ok(Some(leader)) => report(id, processes::kill_of_group(&leader)),
        Ok(None) => {}
        Err(error) => tracing::warn!(turn = id, %error, "the program of the turn cannot be read"),
    }
    // What left that process group, and what was started and not recorded.
    of_turn(id);
    // It may have been finished meanwhile, and its worker may have begun another one.
    match store.read(|snapshot| turn::require(snapshot, id)) {
        Ok(turn) if turn.state == State::Running => {
            of_worker(&turn.owner);
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(turn = id, %error, "the turn cannot be read"),
    }
}

/// Stops what was started for one turn alone.
pub(super) fn of_turn(id: &str) {
    report(id, processes::kill_of_turn(id));
}

/// Stops what a worker keeps from one turn to the next.
pub(super) fn of_worker(instance: &str) {
    report(instance, processes::kill_of_worker(instance));
}

fn report(of: &str, ended: Result<Ended>) {
    match ended {
        Ok(Ended::Remaining(pids)) => {
            tracing::warn!(of, ?pids, "processes could not be killed");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(of, %error, "the processes cannot be found"),
    }
}
