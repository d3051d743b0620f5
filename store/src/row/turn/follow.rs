//! A turn follows the delivery that it is: what the store learns of the delivery, the turn becomes in the same
//! transaction, so that no process has to live for it.

use crate::db::tx::Tx;
use crate::error::Result;
use crate::model::text_digest::summary;
use crate::model::time::Timestamp;
use crate::row::delivery::{AGENT_ENDED, Delivery, END_NOT_REPORTED, Stage};
use crate::row::turn::end::{CANCELLED, Ending, end};
use crate::row::turn::event::{self, New};
use crate::row::turn::row::{self, Reason, State, Turn};
use crate::row::turn::{REPLY_MAX, clock, conversation};

/// How long the session of a turn may do nothing, in milliseconds; as its reports extend that only once half of it
/// is over, it is at least an hour, for which a tool of its agent may run.
const SILENCE_MS: i64 = 2 * 3_600_000;

/// Records what a stage of a delivery means for its turn. `reply` is what the agent said at its end.
pub(crate) fn follow(tx: &Tx<'_>, delivery: &Delivery, reply: &str) -> Result<()> {
    let Some(turn) = open(tx, delivery)? else { return Ok(()) };
    match delivery.stage {
        Stage::Accepted => Ok(()),
        Stage::Failed => fail(tx, turn, Reason::NotStarted, &delivery.reason),
        Stage::Ambiguous => fail(tx, turn, Reason::Ambiguous, &delivery.reason),
        Stage::Written if delivery.has_ended() => fail(tx, turn, Reason::Ambiguous, NO_REPORTS),
        Stage::Writing | Stage::Written | Stage::Submitted | Stage::Started => {
            run(tx, turn, delivery)
        }
        Stage::Finished => finish(tx, turn, &delivery.reason, reply),
    }
}

/// The agent does something with the delivery, which gives its turn more time.
pub(crate) fn works(tx: &Tx<'_>, delivery: &Delivery) -> Result<()> {
    match open(tx, delivery)? {
        Some(turn) if turn.cancel_requested_at.is_none() => clock::refresh(tx, &turn.id),
        _ => Ok(()),
    }
}

/// The account of the agent has reached a limit while it worked on the delivery.
pub(crate) fn limited(
    tx: &Tx<'_>,
    delivery: &Delivery,
    message: &str,
    until: Option<Timestamp>,
) -> Result<()> {
    let Some(turn) = open(tx, delivery)? else { return Ok(()) };
    let text = or(message, "the account of the agent has reached a limit");
    let failure = Ending::failure(State::Failed, Reason::Limited, text);
    end(tx, turn, &Ending { limit_ends_at: until, ..failure })
}

const NO_ANSWER: &str =
    "the agent of the session ended its turn without an answer, as when it is interrupted";
const NO_REPORTS: &str = "the agent of the session does not report what becomes of a message";

fn open(tx: &Tx<'_>, delivery: &Delivery) -> Result<Option<Turn>> {
    let Some(id) = delivery.turn() else { return Ok(None) };
    Ok(row::get(tx, id)?.filter(|turn| !turn.state.has_ended()))
}

/// The turn runs from the first byte that is written. Each stage is progress, as long as it is not to be cancelled.
fn run(tx: &Tx<'_>, mut turn: Turn, delivery: &Delivery) -> Result<()> {
    if turn.state == State::Running {
        return match turn.cancel_requested_at {
            Some(_) => Ok(()),
            None => clock::extend(tx, &turn.id),
        };
    }
    let found = conversation::require(tx, &turn.conversation)?;
    event::push(tx, &found.id, &New::status(&turn.id, "running"))?;
    turn.state = State::Running;
    turn.owner.clone_from(&delivery.id);
    turn.base_version = Some(found.head_version);
    turn.started_at = Some(tx.now());
    row::update(tx, &turn)?;
    clock::set_running(tx, &turn.id, SILENCE_MS)
}

fn finish(tx: &Tx<'_>, turn: Turn, failure: &str, reply: &str) -> Result<()> {
    if turn.cancel_requested_at.is_some() {
        return end(tx, turn, &Ending::failure(State::Cancelled, Reason::None, CANCELLED));
    }
    match failure {
        "" if reply.len() > REPLY_MAX => {
            fail(tx, turn, Reason::TooLarge, "the answer is larger than a reply may be")
        }
        "" | END_NOT_REPORTED if reply.is_empty() => fail(tx, turn, Reason::Interrupted, NO_ANSWER),
        // It is no more than a report of a hook has.
        "" => end(tx, turn, &Ending::reply(reply, &summary(reply))),
        AGENT_ENDED => fail(tx, turn, Reason::Exited, "the agent of the session ended"),
        failure => fail(tx, turn, Reason::AgentError, or(reply, failure)),
    }
}

fn fail(tx: &Tx<'_>, turn: Turn, reason: Reason, text: &str) -> Result<()> {
    end(tx, turn, &Ending::failure(State::Failed, reason, text))
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}
