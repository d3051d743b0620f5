//! Organisations, agents, conversations, turns, and the events and leases that belong to them.

use ao_store::log::consumer::Consumer;
use ao_store::turn::agent::{Agent, Member};
use ao_store::turn::conversation::Conversation;
use ao_store::turn::event::Event;
use ao_store::turn::finish::{self, Refused};
use ao_store::turn::org::Org;
use ao_store::turn::usage::Usage;
use ao_store::turn::{self, Turn, event};
use ao_store::{Result, Snapshot, Timestamp};
use serde_json::{Value, json};

use super::field::{Field, object, time};

/// An organisation.
#[must_use]
pub fn org(org: &Org) -> Value {
    object!(org => id, provisioned_at, created_at)
}

/// An agent.
#[must_use]
pub fn agent(agent: &Agent) -> Value {
    object!(agent => id, org_id = org, account, session_id = session, created_at)
}

/// An agent with its members.
#[must_use]
pub fn agent_with(found: &Agent, members: &[Member]) -> Value {
    let mut data = agent(found);
    data["members"] = members.iter().map(member).collect();
    data
}

/// A user who may send turns to an agent.
#[must_use]
pub fn member(member: &Member) -> Value {
    object!(member => platform, user_id = user)
}

/// A conversation.
#[must_use]
pub fn conversation(conversation: &Conversation) -> Value {
    object!(conversation => id, org_id = org, agent_id = agent, platform, user_id = user, thread, created_at,
        last_num, head_seq, head_version)
}

/// A turn, as a row of a list.
#[must_use]
pub fn listed(turn: &Turn) -> Value {
    let mut data = object!(turn => id, conversation_id = conversation, org_id = org, agent_id = agent, num,
        key, input_bytes, input_digest, accepted_at, state, reason, owner, base_version,
        cancel_requested_at, reply_bytes, reply_digest, completion_digest, started_at, ended_at);
    data["usage"] = Usage::parse(&turn.usage).json();
    data
}

/// A turn with its answer, or what failed; null while it has not ended.
///
/// # Errors
/// When the database cannot be read.
pub fn answered(snapshot: &Snapshot<'_>, turn: &Turn) -> Result<Value> {
    let mut data = listed(turn);
    data["text"] = event::last_of(snapshot, &turn.id)?.map(|last| last.text).into();
    Ok(data)
}

/// A turn with all that is stored of it.
///
/// # Errors
/// When the database cannot be read.
pub fn whole(snapshot: &Snapshot<'_>, turn: &Turn) -> Result<Value> {
    let mut data = answered(snapshot, turn)?;
    data["input"] = turn::input_of(snapshot, &turn.id)?.into();
    data["refused"] = finish::refused(snapshot, &turn.id)?.iter().map(refused).collect();
    Ok(data)
}

fn refused(refused: &Refused) -> Value {
    object!(refused => digest, text, at)
}

/// The version of the lines of a conversation.
const VERSION: i64 = 1;

/// An event of a conversation, as a line.
#[must_use]
pub fn event_line(conversation: &str, event: &Event) -> Value {
    let mut line = json!({"v": VERSION, "conversation_id": conversation});
    if let (Value::Object(line), Value::Object(fields)) =
        (&mut line, object!(event => seq, turn_id = turn, kind, reason, text, at))
    {
        line.extend(fields);
    }
    line
}

/// A line that is no event: everything up to `position` was sent.
#[must_use]
pub fn control_line(control: &str, conversation: &str, position: i64, head: i64) -> Value {
    json!({"v": VERSION, "control": control, "conversation_id": conversation, "position": position,
        "head": head})
}

/// The lease of a consumer; `None` if no process has it.
#[must_use]
pub fn lease(consumer: &Consumer, now: Timestamp) -> Option<Value> {
    let lease = consumer.live_lease(now)?;
    Some(json!({
        "kind": "consumer",
        "name": consumer.name.as_str(),
        "lease": consumer.generation.0,
        "owner": lease.owner.as_str(),
        "until": time(lease.until),
    }))
}
