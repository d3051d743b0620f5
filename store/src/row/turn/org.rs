//! Organisations: they own agents and conversations.

use rusqlite::Row;

use crate::db::text::with;
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::id::{AgentId, OrgId};
use crate::model::time::Timestamp;
use crate::row::turn::agent::{self, Agent, Member};

/// The name of the organisation of who works on this machine.
pub const LOCAL: &str = "local";

/// The name of the agent that an organisation gets when it is made.
pub const DEFAULT_AGENT: &str = "default";

/// The id of [`LOCAL`].
#[must_use]
pub fn local() -> OrgId {
    OrgId::stored(LOCAL.to_owned())
}

/// The id of [`DEFAULT_AGENT`].
#[must_use]
pub fn default_agent() -> AgentId {
    AgentId::stored(DEFAULT_AGENT.to_owned())
}

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Org {
    /// Its name.
    pub id: OrgId,
    /// When it was decided whether it gets a default agent.
    pub provisioned_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT id, provisioned_at, created_at FROM org ", $tail)
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<Org> {
    Ok(Org {
        id: with(row, 0, |id| OrgId::stored(id.to_owned()))?,
        provisioned_at: row.get::<_, Option<i64>>(1)?.map(Timestamp),
        created_at: Timestamp(row.get(2)?),
    })
}

/// The organisation of this name.
///
/// # Errors
/// When the database cannot be read.
pub fn get(snapshot: &Snapshot<'_>, id: &OrgId) -> Result<Option<Org>> {
    snapshot.one("read an organisation", select!("WHERE id = ?1"), [id.as_str()], read)
}

/// The organisation of this name.
///
/// # Errors
/// `ORG_NOT_FOUND`.
pub fn require(snapshot: &Snapshot<'_>, id: &OrgId) -> Result<Org> {
    get(snapshot, id)?.ok_or_else(|| Error::OrgNotFound(id.to_string()))
}

/// All organisations, by name.
///
/// # Errors
/// When the database cannot be read.
pub fn list(snapshot: &Snapshot<'_>) -> Result<Vec<Org>> {
    snapshot.list("list organisations", select!("ORDER BY id"), [], read)
}

const INSERT: &str = "INSERT INTO org (id, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

/// Makes an organisation unless it exists; returns whether it was made.
///
/// # Errors
/// When the database cannot be written.
pub fn ensure(tx: &Tx<'_>, id: &OrgId) -> Result<bool> {
    let params = (id.as_str(), tx.now().0);
    Ok(tx.execute_uncaptured("add an organisation", INSERT, params)? > 0)
}

/// Makes an organisation.
///
/// # Errors
/// `ID_ALREADY_REGISTERED`.
pub fn add(tx: &Tx<'_>, id: &OrgId) -> Result<Org> {
    if !ensure(tx, id)? {
        return Err(Error::NameTaken { what: "organisation", name: id.to_string() });
    }
    require(tx, id)
}

/// What became of the default agent of an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provisioned {
    /// It was made.
    Inserted,
    /// The organisation has agents, so it gets none.
    HasAgents,
    /// It was decided before. An agent or a member that was removed since is not made again.
    Done,
    /// It was there without a member, and has one now.
    Healed,
}

const SET_PROVISIONED: &str = "UPDATE org SET provisioned_at = ?2 WHERE id = ?1";

/// Gives an organisation its default agent, once: the agent, its member and the decision are committed
/// together.
///
/// # Errors
/// `ORG_NOT_FOUND`.
pub fn ensure_default_agent(tx: &Tx<'_>, id: &OrgId, member: &Member) -> Result<Provisioned> {
    if require(tx, id)?.provisioned_at.is_some() {
        return Ok(Provisioned::Done);
    }
    let name = default_agent();
    if agent::get(tx, id, &name)?.is_some() && agent::members(tx, id, &name)?.is_empty() {
        agent::add_member(tx, id, &name, member)?;
        tx.execute_uncaptured("record a decision", SET_PROVISIONED, (id.as_str(), tx.now().0))?;
        return Ok(Provisioned::Healed);
    }
    let is_first = agent::list(tx, Some(id))?.is_empty();
    if is_first {
        agent::add(tx, &Agent::new(id.clone(), name.clone(), tx.now()))?;
        agent::add_member(tx, id, &name, member)?;
    }
    tx.execute_uncaptured("record a decision", SET_PROVISIONED, (id.as_str(), tx.now().0))?;
    Ok(if is_first { Provisioned::Inserted } else { Provisioned::HasAgents })
}
