//! The stages of a delivery, of which each is recorded by `update`: with the delivery, the turn changes that it
//! is.

use super::{Delivery, DeliveryKind, Refusal, Stage, being_written, due, refusal, require};
use crate::db::tx::Tx;
use crate::error::Result;
use crate::model::id::SessionId;
use crate::row::columns;
use crate::row::session;
use crate::row::turn::follow::follow;

/// What became of the request to write a delivery again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resent {
    /// It waits for its turn again.
    Accepted(Delivery),
    /// It is neither ambiguous nor failed.
    NotEnded(Delivery),
    /// Nothing can be written to the session for now.
    Refused(SessionId, Refusal),
}

/// Lets a delivery be written again that is ambiguous or failed, as a person decided.
///
/// # Errors
/// `DELIVERY_NOT_FOUND`.
pub fn resend(tx: &Tx<'_>, id: &str) -> Result<Resent> {
    let found = require(tx, id)?;
    if !found.can_be_resent() {
        return Ok(Resent::NotEnded(found));
    }
    let session = session::require(tx, &found.session)?;
    if let Some(refusal) = refusal(tx, &session)? {
        return Ok(Resent::Refused(session.id, refusal));
    }
    update(tx, found.again()).map(Resent::Accepted)
}

/// What a runner may do next for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// To write this delivery, which is recorded as being written.
    Write(Box<Delivery>),
    /// To look at the screen first, and to ask again: what is due now was not when the runner looked.
    Look,
    /// To wait: another runner writes.
    Wait,
    /// Nothing is to be written.
    Nothing,
}

/// Takes the oldest accepted delivery of a session that can be written now for a runner, before its first
/// byte is written. What a runner that ended was writing becomes ambiguous. `last_stage` is the last one
/// that the harness of the session can prove, and `seen` the launch whose screen the runner has looked at
/// while something was due.
///
/// # Errors
/// When the database cannot be written.
pub fn take(
    tx: &Tx<'_>,
    id: &SessionId,
    runner: &str,
    last_stage: Stage,
    seen: Option<&str>,
) -> Result<Turn> {
    if let Some((other, is_dead)) = being_written(tx, id)? {
        if !is_dead {
            return Ok(Turn::Wait);
        }
        let reason = "the process that wrote it ended".to_owned();
        update(tx, Delivery { stage: Stage::Ambiguous, reason, ..other })?;
    }
    let session = session::require(tx, id)?;
    let Some(found) = due(tx, &session)? else { return Ok(Turn::Nothing) };
    if seen != Some(session.launch.as_str()) {
        return Ok(Turn::Look);
    }
    let (runner, launch) = (runner.to_owned(), session.launch);
    update(tx, Delivery { stage: Stage::Writing, last_stage, runner, launch, ..found })
        .map(|it| Turn::Write(Box::new(it)))
}

/// Records that a runner has written a delivery that it had taken, whose stage may have been passed by the
/// agent's report already.
///
/// # Errors
/// `DELIVERY_NOT_FOUND`.
pub fn written(tx: &Tx<'_>, taken: &Delivery) -> Result<Delivery> {
    let found = require(tx, &taken.id)?;
    if !found.is_written_as(taken) {
        return Ok(found);
    }
    update(tx, Delivery { stage: Stage::Written, written_at: Some(tx.now()), ..found })
}

/// Ends a delivery that a runner had taken and that was not written, or of which that is not known. One that
/// has ended, or is to be written again, stays as it is.
///
/// # Errors
/// `DELIVERY_NOT_FOUND`.
pub fn give_up(tx: &Tx<'_>, taken: &Delivery, stage: Stage, reason: &str) -> Result<Delivery> {
    let found = require(tx, &taken.id)?;
    if !found.is_written_as(taken) {
        return Ok(found);
    }
    update(tx, Delivery { stage, reason: reason.to_owned(), ..found })
}

/// Records a stage of a delivery, and what that means for the turn that it is.
pub(super) fn update(tx: &Tx<'_>, delivery: Delivery) -> Result<Delivery> {
    finish(tx, delivery, "")
}

/// The same, with what the agent said at the end of its turn.
pub(super) fn finish(tx: &Tx<'_>, delivery: Delivery, reply: &str) -> Result<Delivery> {
    columns::update(tx, "record the stage of a delivery", &delivery)?;
    if delivery.kind == DeliveryKind::Turn {
        follow(tx, &delivery, reply)?;
    }
    Ok(delivery)
}
