//! Agents: identities of an organisation to which turns are sent, and the users who may send them.

use rusqlite::Row;

use crate::db::text::{optional_text, text};
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::id::{AgentId, OrgId, SessionId};
use crate::model::label::check_label;
use crate::model::time::Timestamp;
use crate::row::session;

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The organisation that owns it.
    pub org: OrgId,
    /// Its name.
    pub id: AgentId,
    /// The account that its program uses; empty if it has none.
    pub account: String,
    /// The session that answers; `None` if workers do.
    pub session: Option<SessionId>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Agent {
    /// An agent without an account, for which workers answer.
    #[must_use]
    pub fn new(org: OrgId, id: AgentId, created_at: Timestamp) -> Agent {
        Agent { org, id, account: String::new(), session: None, created_at }
    }
}

/// A user of a platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The platform that names the user, such as `local`.
    pub platform: String,
    /// The user.
    pub user: String,
}

impl Member {
    /// A user of a platform.
    ///
    /// # Errors
    /// `INVALID_ID` for a name that is empty, too long, or has control characters.
    pub fn new(platform: &str, user: &str) -> Result<Member> {
        check_label("platform", platform)?;
        check_label("user", user)?;
        Ok(Member { platform: platform.to_owned(), user: user.to_owned() })
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT org_id, id, account, session_id, created_at FROM agent ", $tail)
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<Agent> {
    Ok(Agent {
        org: OrgId::stored(text(row, 0)?),
        id: AgentId::stored(text(row, 1)?),
        account: text(row, 2)?,
        session: optional_text(row, 3)?.map(SessionId::stored),
        created_at: Timestamp(row.get(4)?),
    })
}

/// The agent of this name.
///
/// # Errors
/// When the database cannot be read.
pub fn get(snapshot: &Snapshot<'_>, org: &OrgId, id: &AgentId) -> Result<Option<Agent>> {
    let sql = select!("WHERE org_id = ?1 AND id = ?2");
    snapshot.one("read an agent", sql, (org.as_str(), id.as_str()), read)
}

/// The agent of this name.
///
/// # Errors
/// `AGENT_NOT_FOUND`.
pub fn require(snapshot: &Snapshot<'_>, org: &OrgId, id: &AgentId) -> Result<Agent> {
    get(snapshot, org, id)?.ok_or_else(|| unknown(org, id))
}

/// The agent of this name, for a worker.
///
/// # Errors
/// `AGENT_NOT_FOUND`; `AGENT_IS_SESSION` for one that is a session, which takes its turns itself.
pub fn require_for_worker(snapshot: &Snapshot<'_>, org: &OrgId, id: &AgentId) -> Result<Agent> {
    let agent = require(snapshot, org, id)?;
    match agent.session {
        Some(session) => Err(Error::AgentIsSession { agent: agent.id.to_string(), session }),
        None => Ok(agent),
    }
}

/// The one error for an agent that does not exist and for one that may not be used.
pub(crate) fn unknown(org: &OrgId, id: &AgentId) -> Error {
    Error::AgentUnknown { org: org.to_string(), agent: id.to_string() }
}

/// All agents, or those of an organisation, by name.
///
/// # Errors
/// When the database cannot be read.
pub fn list(snapshot: &Snapshot<'_>, org: Option<&OrgId>) -> Result<Vec<Agent>> {
    let step = "list agents";
    match org {
        None => snapshot.list(step, select!("ORDER BY org_id, id"), [], read),
        Some(org) => {
            snapshot.list(step, select!("WHERE org_id = ?1 ORDER BY id"), [org.as_str()], read)
        }
    }
}

const INSERT: &str = "INSERT INTO agent (org_id, id, account, session_id, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";

const ORG: &str = "SELECT 1 FROM org WHERE id = ?1";

/// Adds an agent.
///
/// # Errors
/// `ORG_NOT_FOUND`, `SESSION_NOT_FOUND`, `ID_ALREADY_REGISTERED`, `INVALID_ID` for an account that is no plain text.
pub fn add(tx: &Tx<'_>, new: &Agent) -> Result<()> {
    let is_there = tx.one("find an organisation", ORG, [new.org.as_str()], |_| Ok(()))?;
    is_there.ok_or_else(|| Error::OrgNotFound(new.org.to_string()))?;
    if !new.account.is_empty() {
        check_label("account", &new.account)?;
    }
    if let Some(session) = &new.session {
        session::require(tx, session)?;
    }
    let Agent { org, id, account, session, created_at } = new;
    let session = session.as_ref().map(SessionId::as_str);
    let params = (org.as_str(), id.as_str(), account, session, created_at.0);
    if tx.execute_uncaptured("add an agent", INSERT, params)? == 0 {
        return Err(Error::NameTaken { what: "agent", name: id.to_string() });
    }
    Ok(())
}

const SELECT_MEMBERS: &str = "SELECT platform, user_id FROM agent_member
    WHERE org_id = ?1 AND agent_id = ?2 ORDER BY platform, user_id";

/// The users who may send turns to an agent.
///
/// # Errors
/// When the database cannot be read.
pub fn members(snapshot: &Snapshot<'_>, org: &OrgId, id: &AgentId) -> Result<Vec<Member>> {
    let key = (org.as_str(), id.as_str());
    snapshot.list("list members", SELECT_MEMBERS, key, |row| {
        Ok(Member { platform: text(row, 0)?, user: text(row, 1)? })
    })
}

const IS_MEMBER: &str = "SELECT 1 FROM agent_member
    WHERE org_id = ?1 AND agent_id = ?2 AND platform = ?3 AND user_id = ?4";

/// Whether a user may send turns to an agent.
///
/// # Errors
/// When the database cannot be read.
pub fn has_member(
    snapshot: &Snapshot<'_>,
    org: &OrgId,
    id: &AgentId,
    member: &Member,
) -> Result<bool> {
    let key = (org.as_str(), id.as_str(), &member.platform, &member.user);
    Ok(snapshot.one("find a member", IS_MEMBER, key, |_| Ok(()))?.is_some())
}

const INSERT_MEMBER: &str = "INSERT INTO agent_member (org_id, agent_id, platform, user_id)
    VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";

/// Lets a user send turns to an agent; returns whether that is new.
///
/// # Errors
/// `AGENT_NOT_FOUND`.
pub fn add_member(tx: &Tx<'_>, org: &OrgId, id: &AgentId, member: &Member) -> Result<bool> {
    require(tx, org, id)?;
    let params = (org.as_str(), id.as_str(), &member.platform, &member.user);
    Ok(tx.execute_uncaptured("add a member", INSERT_MEMBER, params)? > 0)
}

const DELETE_MEMBER: &str = "DELETE FROM agent_member
    WHERE org_id = ?1 AND agent_id = ?2 AND platform = ?3 AND user_id = ?4";

/// Ends that a user may send turns to an agent; returns whether it was so.
///
/// # Errors
/// `AGENT_NOT_FOUND`.
pub fn remove_member(tx: &Tx<'_>, org: &OrgId, id: &AgentId, member: &Member) -> Result<bool> {
    require(tx, org, id)?;
    let params = (org.as_str(), id.as_str(), &member.platform, &member.user);
    Ok(tx.execute_uncaptured("remove a member", DELETE_MEMBER, params)? > 0)
}
