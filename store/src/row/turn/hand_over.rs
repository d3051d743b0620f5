//! Handing the next turn of a conversation to the session that is its agent, as a delivery.

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::id::SessionId;
use crate::row::account;
use crate::row::delivery::{self, Refusal, refusal};
use crate::row::session;
use crate::row::turn::agent::{self, Agent};
use crate::row::turn::clock;
use crate::row::turn::row::{self, Turn};

/// Makes a turn that is the next one of its conversation ready for a worker, or hands it to the session that is
/// its agent. What cannot be handed over now is not kept waiting: its time is over, so that it ends with the
/// reason that [`obstacle`] finds.
pub(super) fn hand_over(tx: &Tx<'_>, turn: &Turn) -> Result<()> {
    let Agent { account, session, .. } = agent::require(tx, &turn.org, &turn.agent)?;
    let Some(session) = session else { return clock::release(tx, &turn.id) };
    match clock::begin(tx, &turn.id)? {
        true => deliver(tx, turn, &account, &session),
        false => Ok(()),
    }
}

/// Makes a turn a delivery, unless it is one. One to a session whose agent has ended waits for its next launch.
pub(super) fn deliver(tx: &Tx<'_>, turn: &Turn, account: &str, session: &SessionId) -> Result<()> {
    let is_limited = account::limit_of_account(tx, account, tx.now())?.is_some();
    let obstacle = obstacle(tx, session)?.filter(|it| *it != Refusal::AgentEnded);
    if is_limited || obstacle.is_some() {
        return clock::condemn(tx, &turn.id);
    }
    if delivery::get(tx, &delivery::id_of_turn(&turn.id))?.is_some() {
        return Ok(());
    }
    let session = session::require(tx, session)?;
    let new = delivery::of_turn(&turn.id, row::input_of(tx, &turn.id)?);
    delivery::store(tx, &session, &new).map(|_| ())
}

/// Why nothing can be handed to a session, unless that will be over soon.
pub(super) fn obstacle(snapshot: &Snapshot<'_>, session: &SessionId) -> Result<Option<Refusal>> {
    let found = refusal(snapshot, &session::require(snapshot, session)?)?;
    Ok(found.filter(|it| !matches!(it, Refusal::Busy(_) | Refusal::Decision(_))))
}
