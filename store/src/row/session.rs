//! Sessions, named `<project>-<num>` by a number that is never used again.

use rusqlite::Row;

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Context, Error, Result};
use crate::log::as_of;
use crate::model::activity::{Activity, Source, State};
use crate::model::attribution::Candidate;
use crate::model::branch::check_branch;
use crate::model::cursor::Cursor;
use crate::model::id::{ProjectId, SessionId};
use crate::model::label::check_label;
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Column, Columns, enum_columns, table};
use crate::row::project;

text_enum! {
    /// What a session is for.
    SessionKind {
        /// Works on one task.
        Worker = "worker",
        /// Directs the workers of a project; at most one is active.
        Orchestrator = "orchestrator",
    } else Worker
}

enum_columns!(SessionKind, Activity, Source);

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of the table session")]
pub struct Session {
    pub id: SessionId,
    pub project: ProjectId,
    pub num: i64,
    pub kind: SessionKind,
    pub harness: String,
    pub model: String,
    pub permission: String,
    pub parent: String,
    pub name: String,
    pub issue: String,
    pub branch: String,
    pub base_ref: String,
    pub base_commit: String,
    pub worktree_path: String,
    pub runtime_kind: String,
    pub runtime_socket: String,
    pub runtime_pane: String,
    pub launch: String,
    pub spawner: String,
    pub prompt_bytes: i64,
    pub prompt_digest: String,
    pub activity: Activity,
    pub activity_source: Source,
    pub activity_cause: String,
    pub activity_call: String,
    pub limit_ends_at: Option<Timestamp>,
    pub activity_at: Timestamp,
    pub activity_revision: i64,
    pub is_terminated: bool,
    pub terminated_at: Option<Timestamp>,
    pub terminated_reason: String,
    pub terminated_by: String,
    pub spawned_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Session {
    /// Whether it has produced nothing yet. A session that owns a pull request is not a seed either: see
    /// [`is_seed`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.is_terminated && self.spawned_at.is_none()
    }

    /// Whether another program runs it, so that it is never launched, probed or stopped here.
    #[must_use]
    pub fn is_external(&self) -> bool {
        self.spawner.is_empty()
    }

    /// What its agent does, with the evidence.
    #[must_use]
    pub fn state(&self) -> State {
        State {
            activity: self.activity,
            source: self.activity_source,
            cause: self.activity_cause.clone(),
            call: self.activity_call.clone(),
            until: self.limit_ends_at,
            has_prompt: false,
            at: self.activity_at,
            revision: self.activity_revision,
        }
    }
}

/// What is needed to create a session row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// The project it works in.
    pub project: ProjectId,
    /// Worker or orchestrator.
    pub kind: SessionKind,
    /// The harness, such as `codex`; may be empty.
    pub harness: String,
    /// Display name; may be empty.
    pub name: String,
    /// The issue it works on; may be empty.
    pub issue: String,
    /// Its branch; may be empty.
    pub branch: String,
}

table! {
    Session in "session" {
        id, project = project_id, num, kind, created_at;
        harness, model, permission, parent = parent_id, name, issue, branch, base_ref, base_commit, worktree_path,
        runtime_kind, runtime_socket, runtime_pane, launch = launch_id, spawner, prompt_bytes,
        prompt_digest, activity, activity_source, activity_cause, activity_call, limit_ends_at,
        activity_at, activity_revision, is_terminated, terminated_at, terminated_reason, terminated_by,
        spawned_at, updated_at,
    }
}

macro_rules! select {
    ($tail:expr) => {
        concat!("SELECT ", names!(), " FROM session ", $tail)
    };
}

// Below the macros, which it uses.
mod list;
pub use self::list::{Filter, Key, START, key_of, list};
pub(crate) use self::list::{LIST, list_sql, of_filter};

/// The session of this id.
///
/// # Errors
/// When the database cannot be read.
pub fn get(snapshot: &Snapshot<'_>, id: &SessionId) -> Result<Option<Session>> {
    let sql = select!("WHERE id = ?1");
    snapshot.one("read a session", sql, [id.as_str()], Session::read)
}

/// The session of this id as it was at a cursor.
///
/// # Errors
/// The cursor errors.
pub fn as_of(snapshot: &Snapshot<'_>, id: &SessionId, cursor: Cursor) -> Result<Option<Session>> {
    let rows = as_of::with_prefix(snapshot, "session", cursor, id.as_str())?;
    let row = rows.first().map(|row| as_of::typed(snapshot, names!(), &row.image, Session::read));
    row.transpose()
}

/// The session of this id, or an error if it does not exist.
///
/// # Errors
/// `SESSION_NOT_FOUND`.
pub fn require(snapshot: &Snapshot<'_>, id: &SessionId) -> Result<Session> {
    get(snapshot, id)?.ok_or_else(|| Error::SessionNotFound(id.clone()))
}

macro_rules! select_stopped {
    ($condition:literal) => {
        select!(concat!(
            "WHERE ",
            $condition,
            " is_terminated = 0 AND (activity IN ('exited', 'blocked', 'waiting', 'limited')
                OR EXISTS (SELECT 1 FROM launch l WHERE l.id = launch_id AND l.ended_at IS NOT NULL))
                AND project_id IN (SELECT id FROM project WHERE archived_at IS NULL)
            ORDER BY project_id, num"
        ))
    };
}

/// The sessions of active projects that are not terminated and whose agent ended, cannot continue, or
/// waits for input; or only this one.
///
/// # Errors
/// When the database cannot be read.
pub fn stopped(snapshot: &Snapshot<'_>, only: Option<&SessionId>) -> Result<Vec<Session>> {
    let step = "list sessions that stopped";
    match only {
        None => snapshot.list(step, select_stopped!(""), [], Session::read),
        Some(id) => {
            snapshot.list(step, select_stopped!("id = ?1 AND"), [id.as_str()], Session::read)
        }
    }
}

/// Another program may have lowered or deleted the counter, which never stops a session.
const SELECT_LAST_NUM: &str = "SELECT max(
    coalesce((SELECT last_num FROM session_counter WHERE project_id = ?1), 0),
    coalesce((SELECT max(num) FROM session WHERE project_id = ?1), 0))";

const SELECT_ORCHESTRATOR: &str = "SELECT id FROM session
    WHERE project_id = ?1 AND kind = 'orchestrator' AND is_terminated = 0";

/// Creates a seed row of an external session under the next number of its project.
///
/// # Errors
/// `PROJECT_NOT_FOUND`, `PROJECT_ARCHIVED`, `ORCHESTRATOR_ALREADY_ACTIVE`, `INVALID_ID`.
pub fn create(tx: &Tx<'_>, new: &NewSession) -> Result<Session> {
    let session = seed(tx, new)?;
    insert(tx, &session)?;
    Ok(session)
}

/// The row of a new session under the next number of its project, not yet inserted.
pub(crate) fn seed(tx: &Tx<'_>, new: &NewSession) -> Result<Session> {
    project::require_active(tx, &new.project)?;
    for (what, text) in [("harness", &new.harness), ("name", &new.name), ("issue", &new.issue)] {
        if !text.is_empty() {
            check_label(what, text)?;
        }
    }
    if !new.branch.is_empty() {
        check_branch(&new.branch)?;
    }
    if new.kind == SessionKind::Orchestrator
        && let Some(session) = orchestrator(tx, &new.project)?
    {
        return Err(Error::OrchestratorActive { project: new.project.clone(), session });
    }
    let num = next_num(tx, &new.project)?;
    Ok(Session {
        id: SessionId::new(&new.project, num),
        project: new.project.clone(),
        num,
        kind: new.kind,
        harness: new.harness.clone(),
        model: String::new(),
        permission: String::new(),
        parent: String::new(),
        name: new.name.clone(),
        issue: new.issue.clone(),
        branch: new.branch.clone(),
        base_ref: String::new(),
        base_commit: String::new(),
        worktree_path: String::new(),
        runtime_kind: String::new(),
        runtime_socket: String::new(),
        runtime_pane: String::new(),
        launch: String::new(),
        spawner: String::new(),
        prompt_bytes: 0,
        prompt_digest: String::new(),
        activity: Activity::Unknown,
        activity_source: Source::None,
        activity_cause: String::new(),
        activity_call: String::new(),
        limit_ends_at: None,
        activity_at: tx.now(),
        activity_revision: 0,
        is_terminated: false,
        terminated_at: None,
        terminated_reason: String::new(),
        terminated_by: String::new(),
        spawned_at: None,
        created_at: tx.now(),
        updated_at: tx.now(),
    })
}

const SET_STATE: &str = "UPDATE session SET activity = ?2, activity_source = ?3, activity_cause = ?4,
    activity_call = ?5, limit_ends_at = ?6, activity_at = ?7, activity_revision = ?8, updated_at = ?9,
    launch_id = ?10
    WHERE id = ?1";

/// Records what the agent of a session does, with the launch of which that is evidence.
///
/// # Errors
/// When the database cannot be written.
pub(crate) fn set_state(tx: &Tx<'_>, id: &SessionId, launch: &str, state: &State) -> Result<()> {
    let params = (
        id.as_str(),
        state.activity.as_str(),
        state.source.as_str(),
        &state.cause,
        &state.call,
        state.until.map(|at| at.0),
        state.at.0,
        state.revision,
        tx.now().0,
        launch,
    );
    tx.execute_captured("record an activity", SET_STATE, params).map(|_| ())
}

/// The active orchestrator of a project.
///
/// # Errors
/// When the database cannot be read.
pub fn orchestrator(snapshot: &Snapshot<'_>, project: &ProjectId) -> Result<Option<SessionId>> {
    snapshot.one("find the orchestrator", SELECT_ORCHESTRATOR, [project.as_str()], |row| {
        text(row, 0).map(SessionId::stored)
    })
}

fn next_num(tx: &Tx<'_>, project: &ProjectId) -> Result<i64> {
    let last =
        tx.one("read the last number", SELECT_LAST_NUM, [project.as_str()], |row| row.get(0))?;
    let num = last.unwrap_or(0_i64).checked_add(1);
    // Only a foreign writer can have stored the largest number.
    num.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, i64::MAX)).context("number it")
}

/// Inserts a session. Those of one project must be inserted in the order of their numbers.
pub(crate) fn insert(tx: &Tx<'_>, session: &Session) -> Result<()> {
    columns::insert(tx, "insert a session", session)
}

const RAISE_COUNTER: &str = "INSERT INTO session_counter (project_id, last_num) VALUES (?1, ?2)
    ON CONFLICT DO UPDATE SET last_num = excluded.last_num WHERE last_num < excluded.last_num";

/// Marks the session numbers of a project up to `num` as used.
pub(crate) fn use_up(tx: &Tx<'_>, project: &ProjectId, num: i64) -> Result<()> {
    tx.execute_uncaptured("mark session numbers as used", RAISE_COUNTER, (project.as_str(), num))
        .map(|_| ())
}

const RENAME: &str =
    "UPDATE session SET name = ?2, updated_at = ?3 WHERE id = ?1 AND name IS NOT ?2";

/// Changes the display name of a session. An equal name writes nothing.
///
/// # Errors
/// `SESSION_NOT_FOUND`, `INVALID_ID`.
pub fn rename(tx: &Tx<'_>, id: &SessionId, name: &str) -> Result<Session> {
    check_label("name", name)?;
    if require(tx, id)?.name != name {
        tx.execute_captured("rename a session", RENAME, (id.as_str(), name, tx.now().0))?;
    }
    require(tx, id)
}

const SET_BRANCH: &str =
    "UPDATE session SET branch = ?2, updated_at = ?3 WHERE id = ?1 AND branch IS NOT ?2";

/// Changes the branch of a session; an empty one is none. Pull requests that are found from now on are
/// attributed by it, and those that the session owns stay. An equal branch writes nothing.
///
/// # Errors
/// `SESSION_NOT_FOUND`, `INVALID_ID`.
pub fn set_branch(tx: &Tx<'_>, id: &SessionId, branch: &str) -> Result<Session> {
    if !branch.is_empty() {
        check_branch(branch)?;
    }
    if require(tx, id)?.branch != branch {
        let params = (id.as_str(), branch, tx.now().0);
        tx.execute_captured("change the branch of a session", SET_BRANCH, params)?;
    }
    require(tx, id)
}

/// Whether [`delete`] would delete it: it has produced nothing, owns no pull request, and is no agent.
///
/// # Errors
/// When the database cannot be read.
pub fn is_seed(snapshot: &Snapshot<'_>, session: &Session) -> Result<bool> {
    let owned =
        snapshot.one("find what belongs to it", SELECT_OWNED, [session.id.as_str()], |_| Ok(()));
    Ok(session.is_empty() && owned?.is_none())
}

const SELECT_OWNED: &str = "SELECT 1 FROM pr WHERE session_id = ?1
    UNION ALL SELECT 1 FROM agent WHERE session_id = ?1 LIMIT 1";

/// What [`delete`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It was a seed row and was deleted; the log records `session_deleted`.
    Deleted,
    /// It is no seed row; nothing was changed.
    NotSeed,
    /// There is no such session.
    Absent,
}

const DELETE_SEED: &str = "DELETE FROM session
    WHERE id = ?1 AND is_terminated = 0 AND spawned_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM pr WHERE session_id = ?1)
    AND NOT EXISTS (SELECT 1 FROM agent WHERE session_id = ?1)";

/// Deletes a seed session: not terminated, never marked as spawned, without a pull request, and no agent. Check and deletion are one statement, so that no race can lose a session.
///
/// # Errors
/// When the database cannot be written.
pub fn delete(tx: &Tx<'_>, id: &SessionId) -> Result<Deleted> {
    match get(tx, id)? {
        None => return Ok(Deleted::Absent),
        Some(session) if !is_seed(tx, &session)? => return Ok(Deleted::NotSeed),
        Some(_) => {}
    }
    let deleted = tx.execute_captured("delete a seed session", DELETE_SEED, [id.as_str()])?;
    Ok(if deleted == 1 { Deleted::Deleted } else { Deleted::NotSeed })
}

macro_rules! select_candidates {
    ($condition:literal) => {
        concat!(
            "SELECT s.project_id, s.id, s.num, s.branch, p.repo, s.is_terminated, s.created_at
            FROM session s JOIN project p ON p.id = s.project_id
            WHERE p.host = ?1 COLLATE NOCASE AND p.repo <> '' AND p.archived_at IS NULL
                AND s.kind = 'worker' AND s.branch <> '' AND ",
            $condition,
            " ORDER BY s.project_id, s.num"
        )
    };
}

/// The sessions that push to this repository, and so may own a pull request whose head is there.
pub(crate) fn candidates(
    snapshot: &Snapshot<'_>,
    host: &str,
    repo: &str,
) -> Result<Vec<Candidate>> {
    let sql = select_candidates!("p.repo = ?2 COLLATE NOCASE");
    snapshot.list("list the sessions of a repository", sql, (host, repo), read_candidate)
}

/// The sessions that may own pull requests at this host; of the terminated ones those that changed
/// last at `ended_after` or later.
pub(crate) fn candidates_of_host(
    snapshot: &Snapshot<'_>,
    host: &str,
    ended_after: Timestamp,
) -> Result<Vec<Candidate>> {
    let sql = select_candidates!("(s.is_terminated = 0 OR s.updated_at >= ?2)");
    snapshot.list("list the sessions of a host", sql, (host, ended_after.0), read_candidate)
}

fn read_candidate(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    Ok(Candidate {
        project: Column::read(row, 0)?,
        session: Column::read(row, 1)?,
        num: Column::read(row, 2)?,
        branch: Column::read(row, 3)?,
        origin: Column::read(row, 4)?,
        is_terminated: Column::read(row, 5)?,
        created_at: Column::read(row, 6)?,
    })
}
