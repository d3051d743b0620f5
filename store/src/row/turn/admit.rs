//! Accepting a message: from the commit on, it is owed an outcome.

use std::time::Duration;

use crate::db::tx::Tx;
use crate::error::{Error, Result};
use crate::model::id::SessionId;
use crate::model::label::check_label;
use crate::model::text_digest::summary;
use crate::row::columns;
use crate::row::delivery::{self, Refusal};
use crate::row::session;
use crate::row::turn::conversation::{self, Caller, Place};
use crate::row::turn::event::{self, New};
use crate::row::turn::hand_over::obstacle;
use crate::row::turn::row::{self, Reason, State, Turn};
use crate::row::turn::{INPUT_MAX, agent, check_text, clock, end};

/// How long a turn waits for a worker unless another time is asked for.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The longest time that can be asked for.
pub const PATIENCE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The most turns of a conversation that have not ended, counted from the oldest one.
pub const OPEN_MAX: i64 = 1000;

/// A message to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTurn {
    /// The id of the turn, unique for ever.
    pub id: String,
    /// The conversation.
    pub place: Place,
    /// The id of the conversation if it is new, unique for ever.
    pub conversation: String,
    /// The key that makes a repeated message the same turn.
    pub key: String,
    /// The message.
    pub input: String,
    /// How long it waits for a worker once it is the next one of its conversation.
    pub patience: Duration,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// It is a new turn.
    New(Turn),
    /// It was accepted before.
    Known(Turn),
    /// It was refused: the session that is the agent cannot take it.
    Refused(SessionId, Refusal),
}

/// Accepts a message, or finds the turn that has its key, whatever became of it.
///
/// # Errors
/// `AGENT_NOT_FOUND`, also for one of an organisation that does not exist; `TURN_KEY_USED` for another text;
/// `CONVERSATION_BUSY` when [`OPEN_MAX`] turns wait; `INVALID_PROMPT`, `INPUT_TOO_LARGE`, `INVALID_ID` for a key
/// or thread that is no plain text.
pub fn admit(tx: &Tx<'_>, caller: &Caller, new: &NewTurn) -> Result<Admitted> {
    check_text("the message", &new.input, INPUT_MAX)?;
    check_label("key", &new.key)?;
    conversation::authorize_agent(tx, caller, &new.place.org, &new.place.agent)?;
    let (mut found, is_new) = conversation::open(tx, &new.place, &new.conversation)?;
    conversation::authorize(tx, caller, &found)?;
    let (bytes, digest) = summary(&new.input);
    // The id of a new one may be that of another conversation by mistake: it then cannot be stored.
    let known = if is_new { None } else { row::of_key(tx, &found.id, &new.key)? };
    if let Some(known) = known {
        if known.input_digest != digest {
            return Err(Error::TurnKeyUsed(known.id));
        }
        return Ok(Admitted::Known(known));
    }
    let first = row::first_open(tx, &found.id)?;
    if let Some(first) = first.as_ref().filter(|first| found.last_num - first.num >= OPEN_MAX) {
        return Err(Error::ConversationBusy { conversation: found.id, turn: first.id.clone() });
    }
    if let Some((session, refusal)) = refusal_of(tx, &new.place, first.is_none())? {
        return Ok(Admitted::Refused(session, refusal));
    }
    found.last_num += 1;
    found.head_seq = event::head(tx, &found.id)? + 1;
    conversation::store(tx, (&found, is_new))?;
    let turn = Turn {
        id: new.id.clone(),
        conversation: found.id,
        org: found.org,
        agent: found.agent,
        num: found.last_num,
        key: new.key.clone(),
        input_bytes: bytes,
        input_digest: digest,
        accepted_at: tx.now(),
        state: State::Queued,
        reason: Reason::None,
        owner: String::new(),
        base_version: None,
        cancel_requested_at: None,
        reply_bytes: None,
        reply_digest: String::new(),
        completion_digest: String::new(),
        usage: String::new(),
        started_at: None,
        ended_at: None,
    };
    store(tx, &turn, new)?;
    // Also if another program has removed the turn before.
    end::release(tx, &turn.conversation)?;
    Ok(Admitted::New(turn))
}

/// Why a message is refused whose agent is a session. Behind others it waits, and a decision may be made meanwhile.
fn refusal_of(tx: &Tx<'_>, place: &Place, is_next: bool) -> Result<Option<(SessionId, Refusal)>> {
    let Some(id) = agent::require(tx, &place.org, &place.agent)?.session else { return Ok(None) };
    let found = match is_next {
        true => delivery::refusal(tx, &session::require(tx, &id)?)?,
        false => obstacle(tx, &id)?,
    };
    Ok(found.map(|refusal| (id, refusal)))
}

const INSERT_INPUT: &str = "INSERT INTO turn_input (turn_id, text) VALUES (?1, ?2)";

fn store(tx: &Tx<'_>, turn: &Turn, new: &NewTurn) -> Result<()> {
    columns::insert(tx, "accept a turn", turn)?;
    tx.execute_uncaptured("store a message", INSERT_INPUT, (&turn.id, &new.input))?;
    let patience = new.patience.clamp(Duration::from_millis(1), PATIENCE_MAX).as_millis();
    clock::insert(tx, turn, i64::try_from(patience).unwrap_or(i64::MAX))?;
    event::push(tx, &turn.conversation, &New::status(&turn.id, "accepted")).map(|_| ())
}
