//! The steps of a session's life that a verb records: its seed, its mark as spawned, its termination and
//! its return.

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::id::{ProjectId, SessionId};
use crate::model::label::check_label;
use crate::model::text_digest::summary;
use crate::row::delivery;
use crate::row::lifecycle::operation::{self, Verb};
use crate::row::project;
use crate::row::session::{self, NewSession, Session};

/// What a session is started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// Its prompt; may be empty.
    pub prompt: String,
    /// The command of the caller; empty for that of the harness.
    pub argv: Vec<String>,
    /// Whether the session that spawned it gets no report when a turn ends.
    pub is_silent: bool,
}

/// What a spawned session is, besides what every new session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSpawn {
    /// The model that its harness is to use; may be empty.
    pub model: String,
    /// The permission mode that its harness is to use; may be empty.
    pub permission: String,
    /// The session that spawned it.
    pub parent: Option<SessionId>,
    /// The instance that spawns it.
    pub instance: String,
    /// What it runs in.
    pub runtime: String,
    /// What it is started with.
    pub start: Start,
    /// The orchestrator whose place it takes, which is terminated in the same transaction.
    pub replaces: Option<SessionId>,
}

const COUNT_LIVE: &str = "SELECT count(*) FROM session WHERE project_id = ?1 AND is_terminated = 0";

fn check_admission(snapshot: &Snapshot<'_>, project: &ProjectId) -> Result<()> {
    let Some(limit) = project::require_active(snapshot, project)?.max_live else { return Ok(()) };
    let key = [project.as_str()];
    let live = snapshot.one("count live sessions", COUNT_LIVE, key, |row| row.get(0))?;
    match live.unwrap_or(0_i64) {
        live if live >= limit => {
            Err(Error::AdmissionLimit { project: project.clone(), live, limit })
        }
        _ => Ok(()),
    }
}

const INSERT_START: &str =
    "INSERT INTO session_start (session_id, prompt, argv, is_reported) VALUES (?1, ?2, ?3, ?4)";

/// Creates the seed row of a session that an instance spawns, and begins the operation `spawn` on it.
/// `place` gets the new id and gives its branch and the path of its worktree.
///
/// # Errors
/// Those of [`session::create`]; `SESSION_NOT_FOUND` for the parent; `ADMISSION_LIMIT`.
pub fn seed(
    tx: &Tx<'_>,
    new: &NewSession,
    spawn: &NewSpawn,
    place: impl FnOnce(&SessionId) -> (String, String),
) -> Result<Session> {
    if let Some(replaced) = &spawn.replaces {
        terminate(tx, replaced, "it is replaced", "")?;
    }
    if let Some(parent) = &spawn.parent {
        session::require(tx, parent)?;
    }
    if !spawn.model.is_empty() {
        check_label("model", &spawn.model)?;
    }
    check_admission(tx, &new.project)?;
    let mut row = session::seed(tx, new)?;
    (row.branch, row.worktree_path) = place(&row.id);
    row.model.clone_from(&spawn.model);
    row.permission.clone_from(&spawn.permission);
    row.parent = spawn.parent.as_ref().map(SessionId::to_string).unwrap_or_default();
    row.spawner.clone_from(&spawn.instance);
    row.runtime_kind.clone_from(&spawn.runtime);
    (row.prompt_bytes, row.prompt_digest) = summary(&spawn.start.prompt);
    session::insert(tx, &row)?;
    keep_start(tx, &row.id, &spawn.start)?;
    operation::begin(tx, &row.id, Verb::Spawn, &spawn.instance)?;
    if let Some(replaced) = &spawn.replaces {
        operation::replaces(tx, &row.id, replaced)?;
    }
    Ok(row)
}

/// Stores what a session is started with.
pub(crate) fn keep_start(tx: &Tx<'_>, session: &SessionId, start: &Start) -> Result<()> {
    let argv = serde_json::Value::from(start.argv.clone()).to_string();
    let params = (session.as_str(), &start.prompt, argv, !start.is_silent);
    tx.execute_uncaptured("store what a session is started with", INSERT_START, params).map(|_| ())
}

const SELECT_START: &str =
    "SELECT prompt, argv, is_reported FROM session_start WHERE session_id = ?1";

/// What a session was started with; nothing for an external one.
///
/// # Errors
/// When the database cannot be read.
pub fn start(snapshot: &Snapshot<'_>, session: &SessionId) -> Result<Start> {
    let found =
        snapshot.one("read the start of a session", SELECT_START, [session.as_str()], |row| {
            let argv = serde_json::from_str(&text(row, 1)?).unwrap_or_default();
            Ok(Start { prompt: text(row, 0)?, argv, is_silent: !row.get::<_, bool>(2)? })
        })?;
    Ok(found.unwrap_or_default())
}

const SET_BASE: &str = "UPDATE session SET base_ref = ?2, base_commit = ?3, updated_at = ?4
    WHERE id = ?1 AND (base_ref, base_commit) IS NOT (?2, ?3)";

/// Records what the branch of a session was started from.
///
/// # Errors
/// When the database cannot be written.
pub fn set_base(tx: &Tx<'_>, session: &SessionId, base: &str, commit: &str) -> Result<()> {
    let params = (session.as_str(), base, commit, tx.now().0);
    tx.execute_captured("record the base of a session", SET_BASE, params).map(|_| ())
}

/// Where the program of a session runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The runtime: `tmux` or `process`.
    pub kind: String,
    /// The socket of its server; empty without one.
    pub socket: String,
    /// The pane or process in it.
    pub pane: String,
}

const SET_PLACE: &str = "UPDATE session
    SET runtime_kind = ?2, runtime_socket = ?3, runtime_pane = ?4, updated_at = ?5
    WHERE id = ?1 AND (runtime_kind, runtime_socket, runtime_pane) IS NOT (?2, ?3, ?4)";

/// Records where the program of a session runs, or is about to.
///
/// # Errors
/// When the database cannot be written.
pub fn set_place(tx: &Tx<'_>, session: &SessionId, place: &Place) -> Result<()> {
    let params = (session.as_str(), &place.kind, &place.socket, &place.pane, tx.now().0);
    tx.execute_captured("record the runtime of a session", SET_PLACE, params).map(|_| ())
}

const MARK: &str = "UPDATE session SET spawned_at = ?2, updated_at = ?2
    WHERE id = ?1 AND spawned_at IS NULL";

/// Marks a session as spawned: from now on its row is never deleted.
///
/// # Errors
/// When the database cannot be written.
pub fn mark(tx: &Tx<'_>, session: &SessionId) -> Result<()> {
    tx.execute_captured("mark a session as spawned", MARK, (session.as_str(), tx.now().0))
        .map(|_| ())
}

const TERMINATE: &str = "UPDATE session SET is_terminated = 1, terminated_at = ?2,
    terminated_reason = ?3, terminated_by = ?4, updated_at = ?2 WHERE id = ?1 AND is_terminated = 0";

/// Terminates a session: it should not run any more. Returns whether it was not terminated before.
///
/// # Errors
/// When the database cannot be written.
pub fn terminate(tx: &Tx<'_>, session: &SessionId, reason: &str, by: &str) -> Result<bool> {
    let params = (session.as_str(), tx.now().0, reason, by);
    let is_news = tx.execute_captured("terminate a session", TERMINATE, params)? > 0;
    delivery::proof::session_ended(tx, session)?;
    Ok(is_news)
}

const REVIVE: &str = "UPDATE session SET is_terminated = 0, terminated_at = NULL,
    terminated_reason = '', terminated_by = '', updated_at = ?2 WHERE id = ?1 AND is_terminated = 1";

/// Checks that a terminated session may run again.
///
/// # Errors
/// `ORCHESTRATOR_ALREADY_ACTIVE` when its project has another orchestrator by now; `PROJECT_ARCHIVED`;
/// `ADMISSION_LIMIT`.
pub fn check_revival(snapshot: &Snapshot<'_>, row: &Session) -> Result<()> {
    check_admission(snapshot, &row.project)?;
    if row.kind == session::SessionKind::Orchestrator
        && let Some(other) = session::orchestrator(snapshot, &row.project)?
    {
        return Err(Error::OrchestratorActive { project: row.project.clone(), session: other });
    }
    Ok(())
}

/// Makes a terminated session one that should run again. An undo makes it what it was, whatever became of
/// its project; everyone else checks first whether it may ([`check_revival`]).
///
/// # Errors
/// When the database cannot be written.
pub fn revive(tx: &Tx<'_>, session: &SessionId) -> Result<()> {
    tx.execute_captured("restore a session", REVIVE, (session.as_str(), tx.now().0)).map(|_| ())
}
