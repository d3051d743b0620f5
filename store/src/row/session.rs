//! Sessions: runs of one agent each, named `<project>-<num>` by a number that is never used again.

use rusqlite::Row;

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Context, Error, Result};
use crate::log::as_of;
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

enum_columns!(SessionKind);

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of the table session")]
pub struct Session {
    pub id: SessionId,
    pub project: ProjectId,
    pub num: i64,
    pub kind: SessionKind,
    pub harness: String,
    pub name: String,
    pub issue: String,
    pub branch: String,
    pub workspace_path: String,
    pub runtime_handle: String,
    pub agent_session_id: String,
    pub prompt: String,
    pub activity: String,
    pub activity_at: Timestamp,
    pub is_terminated: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Session {
    /// Whether it has produced nothing yet. A session that owns a pull request is not a seed either: see
    /// [`is_seed`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let produced =
            [&self.workspace_path, &self.runtime_handle, &self.agent_session_id, &self.prompt];
        !self.is_terminated && produced.iter().all(|text| text.is_empty())
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
        harness, name, issue, branch, workspace_path, runtime_handle, agent_session_id, prompt,
        activity, activity_at, is_terminated, updated_at,
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", names!(), " FROM session ", $tail)
    };
}

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

/// Which sessions to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Include terminated sessions.
    pub terminated: bool,
}

/// Sessions in the order of project and number.
///
/// # Errors
/// When the database cannot be read.
pub fn list(snapshot: &Snapshot<'_>, filter: &Filter) -> Result<Vec<Session>> {
    let sql = select!(
        "WHERE (?1 IS NULL OR project_id = ?1) AND (?2 OR is_terminated = 0)
         ORDER BY project_id, num"
    );
    let project = filter.project.as_ref().map(ProjectId::as_str);
    snapshot.list("list sessions", sql, (project, filter.terminated), Session::read)
}

/// Another program may have lowered or deleted the counter, which never stops a session.
const SELECT_LAST_NUM: &str = "SELECT max(
    coalesce((SELECT last_num FROM session_counter WHERE project_id = ?1), 0),
    coalesce((SELECT max(num) FROM session WHERE project_id = ?1), 0))";

const SELECT_ORCHESTRATOR: &str = "SELECT id FROM session
    WHERE project_id = ?1 AND kind = 'orchestrator' AND is_terminated = 0";

/// Creates a seed row under the next number of its project.
///
/// # Errors
/// `PROJECT_NOT_FOUND`, `PROJECT_ARCHIVED`, `ORCHESTRATOR_ALREADY_ACTIVE`, `INVALID_ID`.
pub fn create(tx: &Tx<'_>, new: &NewSession) -> Result<Session> {
    project::require_active(tx, &new.project)?;
    for (what, text) in [("harness", &new.harness), ("name", &new.name), ("issue", &new.issue)] {
        if !text.is_empty() {
            check_label(what, text)?;
        }
    }
    if !new.branch.is_empty() {
        check_branch(&new.branch)?;
    }
    let project = new.project.as_str();
    if new.kind == SessionKind::Orchestrator {
        let active = tx.one("find the orchestrator", SELECT_ORCHESTRATOR, [project], |row| {
            text(row, 0).map(SessionId::stored)
        })?;
        if let Some(session) = active {
            return Err(Error::OrchestratorActive { project: new.project.clone(), session });
        }
    }
    let last = tx.one("read the last number", SELECT_LAST_NUM, [project], |row| row.get(0))?;
    let num = last.unwrap_or(0_i64).checked_add(1);
    // Only a foreign writer can have stored the largest number.
    let num =
        num.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, i64::MAX)).context("number it")?;
    let id = SessionId::new(&new.project, num);
    let session = Session {
        id,
        project: new.project.clone(),
        num,
        kind: new.kind,
        harness: new.harness.clone(),
        name: new.name.clone(),
        issue: new.issue.clone(),
        branch: new.branch.clone(),
        workspace_path: String::new(),
        runtime_handle: String::new(),
        agent_session_id: String::new(),
        prompt: String::new(),
        activity: "idle".to_owned(),
        activity_at: tx.now(),
        is_terminated: false,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    insert(tx, &session)?;
    Ok(session)
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

/// Sessions that push to one repository and work on one branch, so that only one of them gets its pull
/// request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedBranch {
    /// The branch.
    pub branch: String,
    /// The sessions that are not terminated, by project and number.
    pub sessions: Vec<SessionId>,
}

/// Projects with one origin share its branches; a project whose origin is not known has its own. No id of
/// a project contains a slash.
const SELECT_SHARED: &str = "WITH live AS (
        SELECT s.id, s.project_id, s.num, s.branch,
            iif(p.repo = '', p.id, lower(p.host || '/' || p.repo)) AS place
        FROM session s JOIN project p ON p.id = s.project_id
        WHERE s.is_terminated = 0 AND s.branch <> '' AND p.archived_at IS NULL)
    SELECT id, place, branch FROM
        (SELECT *, count(*) OVER (PARTITION BY place, branch) AS sharers FROM live)
    WHERE sharers > 1 ORDER BY place, branch, project_id, num";

/// The branches of a repository on which several sessions work that are not terminated.
///
/// # Errors
/// When the database cannot be read.
pub fn shared_branches(snapshot: &Snapshot<'_>) -> Result<Vec<SharedBranch>> {
    let rows = snapshot.list("find shared branches", SELECT_SHARED, [], |row| {
        let place: (String, String) = (text(row, 1)?, text(row, 2)?);
        Ok((place, SessionId::stored(text(row, 0)?)))
    })?;
    let groups = rows.chunk_by(|(a, _), (b, _)| a == b).map(|group| SharedBranch {
        branch: group[0].0.1.clone(),
        sessions: group.iter().map(|(_, session)| session.clone()).collect(),
    });
    Ok(groups.collect())
}

/// Whether [`delete`] would delete it: it has produced nothing and owns no pull request.
///
/// # Errors
/// When the database cannot be read.
pub fn is_seed(snapshot: &Snapshot<'_>, session: &Session) -> Result<bool> {
    let owned =
        snapshot.one("find its pull requests", SELECT_OWNED, [session.id.as_str()], |_| Ok(()));
    Ok(session.is_empty() && owned?.is_none())
}

const SELECT_OWNED: &str = "SELECT 1 FROM pr WHERE session_id = ?1 LIMIT 1";

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

const DELETE_SEED: &str = "DELETE FROM session WHERE id = ?1 AND is_terminated = 0
    AND workspace_path = '' AND runtime_handle = '' AND agent_session_id = '' AND prompt = ''
    AND NOT EXISTS (SELECT 1 FROM pr WHERE session_id = ?1)";

/// Deletes a seed session: not terminated, without workspace, runtime, agent session, prompt and
/// pull request. Check and deletion are one statement, so that no race can lose a session.
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
