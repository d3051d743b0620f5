//! Handing the next turn of a conversation to the session that is its agent, as a delivery.

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::id::SessionId;
use crate::row::account;
use crate::row::delivery::{self, Refusal, refusal};
use crate::row::session;
use crate::row::turn::row::{self, Turn};
use crate::row::turn::{agent, clock};

/// Makes a turn that is the next one of its conversation ready for a worker, or hands it to the session that is
/// its agent. What cannot be handed over now is not kept waiting: its time is over, so that it ends with the
/// reason that [`obstacle`] finds.
pub(super) fn hand_over(tx: &Tx<'_>, turn: &Turn) -> Result<()> {
    let agent = agent::require(tx, &turn.org, &turn.agent)?;
    let Some(session) = agent.session else { return clock::release(tx, &turn.id) };
    if !clock::begin(tx, &turn.id)? {
        return Ok(());
    }
    let is_limited = account::limit_of_account(tx, &agent.account, tx.now())?.is_some();
    if is_limited || obstacle(tx, &session)?.is_some() {
        return clock::condemn(tx, &turn.id);
    }
    let session = session::require(tx, &session)?;
    let new = delivery::of_turn(&turn.id, row::input_of(tx, &turn.id)?);
    delivery::store(tx, &session, &new).map(|_| ())
}

/// Why nothing can be handed to a session, unless that will be over soon.
pub(super) fn obstacle(snapshot: &Snapshot<'_>, session: &SessionId) -> Result<Option<Refusal>> {
    let found = refusal(snapshot, &session::require(snapshot, session)?)?;
    Ok(found.filter(|it| !matches!(it, Refusal::Busy(_) | Refusal::Decision(_))))
}
