//! Sending a message to an agent: what the command line and HTTP do before the transaction that accepts it, and
//! in it. Everything that a message needs on first use is made in the transaction that accepts it.

use std::time::Duration;

use ao_store::row::decision::Decision;
use ao_store::row::delivery::Refusal;
use ao_store::turn::admit::{self, Admitted, NewTurn, PATIENCE};
use ao_store::turn::agent::{self, Agent, Member};
use ao_store::turn::conversation::{self, Caller, Place};
use ao_store::turn::org::{self, LOCAL};
use ao_store::turn::{INPUT_MAX, Turn, event};
use ao_store::{AgentId, Cause, OrgId, SessionId, Store, Tx};

use crate::error::{Error, Result};
use crate::lifecycle::send::{clean, refused};
use crate::lifecycle::{Sessions, new_id};

/// A message to an agent.
#[derive(Debug, Clone)]
pub struct TurnRequest {
    /// Who asks.
    pub caller: Caller,
    /// The organisation; `None` for that of the conversation, or that of this machine.
    pub org: Option<OrgId>,
    /// The agent; `None` for that of the conversation, or the default one.
    pub agent: Option<AgentId>,
    /// The id of a conversation, or its thread; `None` for the first one of the agent and the user.
    pub conversation: Option<String>,
    /// The user, where a conversation is not named by its id.
    pub member: Member,
    /// The key that makes a repeated message the same turn; `None` for one that is never repeated.
    pub key: Option<String>,
    /// The message.
    pub input: String,
    /// How long the turn waits for a worker; `None` for the usual time.
    pub expires: Option<Duration>,
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub struct SentTurn {
    /// Its turn.
    pub turn: Turn,
    /// Whether it was not accepted before.
    pub is_new: bool,
    /// The position in its conversation after which its answer comes.
    pub position: i64,
    /// The session that is its agent: a runner must be started for it.
    pub session: Option<SessionId>,
}

/// Accepts a message, or finds the turn that has its key.
///
/// # Errors
/// `INVALID_PROMPT`, `INPUT_TOO_LARGE`, `INVALID_ID`, `ORG_NOT_FOUND`, `AGENT_NOT_FOUND`,
/// `CONVERSATION_NOT_FOUND`, also for one of another agent than the named one; `TURN_KEY_USED`; of an agent that
/// is a session the refusals of [`Sessions::send`].
pub fn send_turn(store: &Store, cause: Cause, request: TurnRequest) -> Result<SentTurn> {
    if request.input.contains('\0') {
        return Err(Error::InvalidMessage("it contains a NUL character"));
    }
    let id = new_id('t');
    let (key, conversation) = (request.key.clone().unwrap_or_else(|| id.clone()), new_id('c'));
    // What a session gets is typed.
    let typed = clean(&request.input).ok();
    let sent = store.write(cause, move |tx| {
        let TurnRequest { caller, input, expires, .. } = &request;
        let place = place(tx, &request)?;
        let patience = expires.unwrap_or(PATIENCE);
        conversation::authorize_agent(tx, caller, &place.org, &place.agent)?;
        let session = agent::get(tx, &place.org, &place.agent)?.and_then(|agent| agent.session);
        let input = match &session {
            // One that is too long is refused as for any other agent.
            Some(_) if input.len() <= INPUT_MAX => {
                typed.ok_or(ao_store::Error::EmptyText("the message"))?
            }
            _ => input.clone(),
        };
        let new = NewTurn { id, place, conversation, key, input, patience };
        let (turn, is_new) = match admit::admit(tx, caller, &new)? {
            Admitted::New(turn) => (turn, true),
            Admitted::Known(turn) => (turn, false),
            Admitted::Refused(session, refusal) => {
                return Ok(Err(refused(session, without_question(caller, refusal))));
            }
        };
        Ok(Ok((turn, is_new, session)))
    })?;
    let (turn, is_new, session) = sent.value?;
    // Of one that was accepted before, the answer may have begun.
    let position = store.read(|snapshot| event::before_answer(snapshot, &turn))?;
    Ok(SentTurn { turn, is_new, position, session })
}

/// What an agent asks is for the operator.
fn without_question(caller: &Caller, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Decision(asked) if *caller != Caller::Operator => {
            let (tool, text) = (String::new(), String::new());
            Refusal::Decision(Box::new(Decision { tool, text, ..*asked }))
        }
        refusal => refusal,
    }
}

impl Sessions {
    /// Makes a session the one that answers for a new agent, whose account is that of its harness.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`; `STAGE_NOT_REPORTED` if its harness does not report what its agent answers;
    /// `INVALID_ID` for an account of its own.
    pub fn answers_for(&self, agent: Agent, session: &SessionId) -> Result<Agent> {
        let session = self.session(session)?;
        if !self.reports_answers(&session) {
            return Err(Error::AnswerNotReported(session.harness));
        }
        if !agent.account.is_empty() {
            let reason = "an agent that is a session has the account of its harness";
            let what = "account";
            return Err(ao_store::Error::InvalidId { what, value: agent.account, reason }.into());
        }
        Ok(Agent { account: session.harness, session: Some(session.id), ..agent })
    }
}

/// The user who runs this process, as a member.
#[must_use]
pub fn local_member() -> Member {
    Member { platform: LOCAL.to_owned(), user: rustix::process::getuid().as_raw().to_string() }
}

/// Makes the organisation of this machine with its default agent on its first use; others stay as they are.
///
/// # Errors
/// When the database cannot be written.
pub fn ensure_org(tx: &Tx<'_>, id: &OrgId) -> ao_store::Result<()> {
    if id.as_str() == LOCAL {
        org::ensure(tx, id)?;
        org::ensure_default_agent(tx, id, &local_member())?;
    }
    Ok(())
}

/// The conversation that is meant. An id is never a thread.
fn place(tx: &Tx<'_>, request: &TurnRequest) -> ao_store::Result<Place> {
    let TurnRequest { caller, org: wanted, agent, conversation, member, .. } = request;
    if let Some(id) = conversation.as_deref().filter(|name| is_conversation_id(name)) {
        let found = conversation::require(tx, id)?;
        conversation::authorize(tx, caller, &found)?;
        let is_other = wanted.as_ref().is_some_and(|org| *org != found.org)
            || agent.as_ref().is_some_and(|agent| *agent != found.agent);
        if is_other {
            return Err(ao_store::Error::ConversationNotFound(found.id));
        }
        return Ok(found.place());
    }
    if conversation.as_deref() == Some("") {
        let (what, value) = ("name of a conversation", String::new());
        return Err(ao_store::Error::InvalidId { what, value, reason: "it is empty" });
    }
    let org = wanted.clone().unwrap_or_else(org::local);
    if *caller == Caller::Operator {
        ensure_org(tx, &org)?;
        org::require(tx, &org)?;
    }
    Ok(Place {
        org,
        agent: agent.clone().unwrap_or_else(org::default_agent),
        member: member.clone(),
        thread: conversation.clone().unwrap_or_default(),
    })
}

/// Whether a text has the form of the id of a conversation.
fn is_conversation_id(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix('c').is_some_and(|rest| rest.len() == 16 && rest.bytes().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_of_a_conversation_has_the_form_of_one() {
        for _ in 0..100 {
            assert!(is_conversation_id(&new_id('c')));
        }
        for other in
            ["", "c", "release-2", "t0f3c5a7be1d24968", "c0f3c5a7be1d2496", "C0f3c5a7be1d24968"]
        {
            assert!(!is_conversation_id(other), "{other}");
        }
    }
}
