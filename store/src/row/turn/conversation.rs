//! Conversations: identified by a tuple, never by a text that is made of it. Who may see one is decided here.

use std::cell::Cell;

use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::id::{AgentId, OrgId};
use crate::model::label::check_label;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Columns, table};
use crate::row::turn::agent::{self, Member};
use crate::row::turn::row::Turn;

/// What identifies a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The organisation that owns it.
    pub org: OrgId,
    /// The agent that answers.
    pub agent: AgentId,
    /// The user who asks.
    pub member: Member,
    /// Tells conversations of the same agent and user apart; empty for the first one.
    pub thread: String,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of the table conversation")]
pub struct Conversation {
    pub id: String,
    pub org: OrgId,
    pub agent: AgentId,
    pub platform: String,
    pub user: String,
    pub thread: String,
    pub created_at: Timestamp,
    pub last_num: i64,
    /// The newest event of its stream when a turn was last accepted or ended.
    pub head_seq: i64,
    /// Its newest snapshot; 0 if there is none.
    pub head_version: i64,
}

table! {
    Conversation in "conversation" {
        id, org = org_id, agent = agent_id, platform, user = user_id, thread, created_at;
        last_num, head_seq, head_version,
    }
}

impl Conversation {
    /// What identifies it.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            org: self.org.clone(),
            agent: self.agent.clone(),
            member: Member { platform: self.platform.clone(), user: self.user.clone() },
            thread: self.thread.clone(),
        }
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", names!(), " FROM conversation ", $tail)
    };
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Who may read and write the file, and so everything in it.
    Operator,
    /// A program that has a token of an organisation.
    Org(OrgId),
    /// A user of a platform, whose token may be bound to an organisation. An organisation that is only
    /// the usual one of a user is not one of these: it neither grants nor denies.
    User {
        /// The organisation that the token is bound to.
        org: Option<OrgId>,
        /// The user.
        member: Member,
    },
}

impl Caller {
    /// Whether the caller may send turns to an agent.
    fn may_use(&self, snapshot: &Snapshot<'_>, org: &OrgId, agent: &AgentId) -> Result<bool> {
        match self {
            Caller::Operator => Ok(true),
            Caller::Org(own) => Ok(own == org),
            Caller::User { org: own, member } => Ok(own.as_ref().is_none_or(|own| own == org)
                && agent::has_member(snapshot, org, agent, member)?),
        }
    }

    /// Whether the caller may see a conversation, and write to it.
    fn may_see(&self, snapshot: &Snapshot<'_>, found: &Conversation) -> Result<bool> {
        let is_own = match self {
            Caller::Operator | Caller::Org(_) => true,
            Caller::User { member, .. } => {
                (&member.platform, &member.user) == (&found.platform, &found.user)
            }
        };
        Ok(is_own && self.may_use(snapshot, &found.org, &found.agent)?)
    }
}

/// Refuses a conversation that the caller may not see, as if it did not exist.
///
/// # Errors
/// `CONVERSATION_NOT_FOUND`.
pub fn authorize(snapshot: &Snapshot<'_>, caller: &Caller, found: &Conversation) -> Result<()> {
    if caller.may_see(snapshot, found)? {
        return Ok(());
    }
    Err(Error::ConversationNotFound(found.id.clone()))
}

/// The conversation of a turn; the turn does not exist for who may not see it. That it cannot be read is another
/// error.
///
/// # Errors
/// `TURN_NOT_FOUND`.
pub fn of_turn(snapshot: &Snapshot<'_>, caller: &Caller, turn: &Turn) -> Result<Conversation> {
    let found = require(snapshot, &turn.conversation)?;
    if caller.may_see(snapshot, &found)? {
        return Ok(found);
    }
    Err(Error::TurnNotFound(turn.id.clone()))
}

/// Refuses an agent that the caller may not use, as if it did not exist.
///
/// # Errors
/// `AGENT_NOT_FOUND`.
pub fn authorize_agent(
    snapshot: &Snapshot<'_>,
    caller: &Caller,
    org: &OrgId,
    agent: &AgentId,
) -> Result<()> {
    let is_there = agent::get(snapshot, org, agent)?.is_some();
    if is_there && caller.may_use(snapshot, org, agent)? {
        return Ok(());
    }
    Err(agent::unknown(org, agent))
}

/// The conversation of this id.
///
/// # Errors
/// `CONVERSATION_NOT_FOUND`; `INVALID_ID` for what cannot be an id.
pub fn require(snapshot: &Snapshot<'_>, id: &str) -> Result<Conversation> {
    let sql = select!("WHERE id = ?1");
    if let Some(found) = snapshot.one("read a conversation", sql, [id], Conversation::read)? {
        return Ok(found);
    }
    check_label("id of a conversation", id)?;
    Err(Error::ConversationNotFound(id.to_owned()))
}

/// The conversation at a place.
///
/// # Errors
/// When the database cannot be read.
pub fn find(snapshot: &Snapshot<'_>, place: &Place) -> Result<Option<Conversation>> {
    let sql = select!(
        "WHERE org_id = ?1 AND agent_id = ?2 AND platform = ?3 AND user_id = ?4 AND thread = ?5"
    );
    let Place { org, agent, member, thread } = place;
    let key = (org.as_str(), agent.as_str(), &member.platform, &member.user, thread);
    snapshot.one("find a conversation", sql, key, Conversation::read)
}

/// The first `limit` wanted conversations after an id that a caller may see, in the order of ids, which
/// never change.
///
/// # Errors
/// When the database cannot be read.
pub fn page(
    snapshot: &Snapshot<'_>,
    caller: &Caller,
    (after, limit): (&str, usize),
    is_wanted: impl Fn(&Conversation) -> bool,
) -> Result<Vec<Conversation>> {
    let sql = select!("WHERE id > ?1 ORDER BY id");
    let failed = Cell::new(None);
    let may_see = |found: &Conversation| {
        caller.may_see(snapshot, found).unwrap_or_else(|error| {
            failed.set(Some(error));
            false
        })
    };
    let is_seen = |found: &Conversation| is_wanted(found) && may_see(found);
    let found =
        snapshot.first("list conversations", sql, [after], (limit, is_seen), Conversation::read)?;
    failed.take().map_or(Ok(found), Err)
}

/// The conversation at a place, which is made with this id if it is new; and whether it is.
///
/// # Errors
/// `AGENT_NOT_FOUND`; `INVALID_ID` for a thread that is no plain text.
pub(crate) fn open(tx: &Tx<'_>, place: &Place, id: &str) -> Result<(Conversation, bool)> {
    if let Some(found) = find(tx, place)? {
        return Ok((found, false));
    }
    agent::require(tx, &place.org, &place.agent)?;
    if !place.thread.is_empty() {
        check_label("name of a conversation", &place.thread)?;
    }
    let new = Conversation {
        id: id.to_owned(),
        org: place.org.clone(),
        agent: place.agent.clone(),
        platform: place.member.platform.clone(),
        user: place.member.user.clone(),
        thread: place.thread.clone(),
        created_at: tx.now(),
        last_num: 0,
        head_seq: 0,
        head_version: 0,
    };
    Ok((new, true))
}

/// Stores a conversation that [`open`] made, or changed.
pub(crate) fn store(tx: &Tx<'_>, (found, is_new): (&Conversation, bool)) -> Result<()> {
    if is_new {
        columns::insert(tx, "add a conversation", found)
    } else {
        columns::update(tx, "record a turn of a conversation", found)
    }
}
