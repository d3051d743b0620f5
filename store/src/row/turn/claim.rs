//! Claiming: a worker gets a turn, and with it the right to write it.

use std::time::Duration;

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::id::{AgentId, OrgId};
use crate::row::account::{self, Limit};
use crate::row::lifecycle::instance::{self, Instance};
use crate::row::turn::admit::PATIENCE_MAX;
use crate::row::turn::conversation::{self, Conversation};
use crate::row::turn::event::{self, New};
use crate::row::turn::held::Held;
use crate::row::turn::row::{self, State, Turn};
use crate::row::turn::{agent, clock, end, snapshot};

/// What a worker asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The organisation of the agent.
    pub org: OrgId,
    /// The agent for which the worker answers.
    pub agent: AgentId,
    /// The process of the worker.
    pub worker: Instance,
    /// How long a turn may make no progress before it fails; at most [`PATIENCE_MAX`].
    pub silence: Duration,
}

/// A turn to run.
#[derive(Debug)]
pub struct Work {
    /// The right to write it.
    pub held: Held,
    /// The turn.
    pub turn: Turn,
    /// The conversation.
    pub conversation: Conversation,
    /// The message.
    pub input: String,
    /// What the agent remembers; `None` at the beginning and after a reset.
    pub snapshot: Option<String>,
}

/// What a worker gets.
#[derive(Debug)]
pub enum Claimed {
    /// A turn.
    Got(Box<Work>),
    /// Nothing is ready.
    Nothing,
    /// Nothing, while the account of the agent has reached a limit.
    Limited(Limit),
}

/// Whether a claim would get a turn: for a worker that waits, which need not write to find out.
///
/// # Errors
/// When the database cannot be read.
pub fn is_ready(snapshot: &Snapshot<'_>, org: &OrgId, agent: &AgentId) -> Result<bool> {
    Ok(clock::next(snapshot, org, agent)?.is_some())
}

/// Takes the turn of an agent that has been ready for the longest time. The turns of a conversation are
/// taken in their order, one at a time. Together with the turn, the snapshot is read with which it begins.
///
/// # Errors
/// `AGENT_NOT_FOUND`; `AGENT_IS_SESSION` for one that is a session, which takes its turns itself.
pub fn claim(tx: &Tx<'_>, claim: &Claim) -> Result<Claimed> {
    let agent = agent::require_for_worker(tx, &claim.org, &claim.agent)?;
    let Some(turn) = next(tx, claim)? else { return Ok(Claimed::Nothing) };
    if let Some(limit) = account::limit_of_account(tx, &agent.account, tx.now())? {
        return Ok(Claimed::Limited(limit));
    }
    if instance::get(tx, &claim.worker.id)?.is_none() {
        instance::register(tx, &claim.worker, &[])?;
    }
    start(tx, claim, turn).map(|work| Claimed::Got(Box::new(work)))
}

/// The next turn. One that is not the next of its conversation, as another program may have left it, waits
/// until the turn before it ends.
fn next(tx: &Tx<'_>, claim: &Claim) -> Result<Option<Turn>> {
    while let Some(id) = clock::next(tx, &claim.org, &claim.agent)? {
        let turn = row::require(tx, &id)?;
        if turn.state.has_ended() {
            clock::delete(tx, &id)?;
            end::release(tx, &turn.conversation)?;
            continue;
        }
        let first = row::first_open(tx, &turn.conversation)?;
        if turn.state == State::Queued && first.is_some_and(|first| first.id == id) {
            return Ok(Some(turn));
        }
        clock::set_aside(tx, &id)?;
    }
    Ok(None)
}

fn start(tx: &Tx<'_>, claim: &Claim, mut turn: Turn) -> Result<Work> {
    let found = conversation::require(tx, &turn.conversation)?;
    event::push(tx, &found.id, &New::status(&turn.id, "running"))?;
    turn.state = State::Running;
    turn.owner.clone_from(&claim.worker.id);
    turn.base_version = Some(found.head_version);
    turn.started_at = Some(tx.now());
    row::update(tx, &turn)?;
    let silence = claim.silence.clamp(Duration::from_millis(1), PATIENCE_MAX).as_millis();
    clock::set_running(tx, &turn.id, i64::try_from(silence).unwrap_or(i64::MAX))?;
    let text = snapshot::text_of(tx, &found.id, found.head_version)?;
    Ok(Work {
        held: Held::new(turn.id.clone(), claim.worker.id.clone()),
        input: row::input_of(tx, &turn.id)?,
        // An empty one is that of a reset.
        snapshot: text.filter(|text| !text.is_empty()),
        turn,
        conversation: found,
    })
}
