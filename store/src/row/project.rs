//! Projects: one git work tree each. A project is archived, never deleted.

use rusqlite::Row;

use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::id::{PrRef, ProjectId};
use crate::model::label::check_label;
use crate::model::time::Timestamp;

/// A registered project.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of the table project")]
pub struct Project {
    pub id: ProjectId,
    pub path: String,
    pub name: String,
    pub origin_url: String,
    pub host: String,
    pub repo: String,
    pub default_branch: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub archived_at: Option<Timestamp>,
}

/// What is needed to register a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    /// Its id.
    pub id: ProjectId,
    /// Canonical path of the work tree.
    pub path: String,
    /// Display name.
    pub name: String,
    /// The URL of `origin`, or empty.
    pub origin_url: String,
    /// Host of the origin, or empty.
    pub host: String,
    /// `owner/name` of the origin, or empty.
    pub repo: String,
    /// The branch that work starts from.
    pub default_branch: String,
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, path, name, origin_url, host, repo, default_branch, created_at,
    updated_at, archived_at FROM project ",
            $tail
        )
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: ProjectId::stored(row.get(0)?),
        path: row.get(1)?,
        name: row.get(2)?,
        origin_url: row.get(3)?,
        host: row.get(4)?,
        repo: row.get(5)?,
        default_branch: row.get(6)?,
        created_at: Timestamp(row.get(7)?),
        updated_at: Timestamp(row.get(8)?),
        archived_at: row.get::<_, Option<i64>>(9)?.map(Timestamp),
    })
}

/// The project of this id, archived or not.
///
/// # Errors
/// When the database cannot be read.
pub fn get(snapshot: &Snapshot<'_>, id: &ProjectId) -> Result<Option<Project>> {
    let sql = select!("WHERE id = ?1");
    snapshot.one("read a project", sql, [id.as_str()], read)
}

/// The active project at a canonical path.
///
/// # Errors
/// When the database cannot be read.
pub fn at_path(snapshot: &Snapshot<'_>, path: &str) -> Result<Option<Project>> {
    let sql = select!("WHERE path = ?1 AND archived_at IS NULL");
    snapshot.one("find a project", sql, [path], read)
}

/// The active projects, and with `archived` those too, in the order of their ids.
///
/// # Errors
/// When the database cannot be read.
pub fn list(snapshot: &Snapshot<'_>, archived: bool) -> Result<Vec<Project>> {
    let sql = select!("WHERE ?1 OR archived_at IS NULL ORDER BY id");
    snapshot.list("list projects", sql, [archived], read)
}

/// The project of this id when it can be worked with.
///
/// # Errors
/// `PROJECT_NOT_FOUND`, `PROJECT_ARCHIVED`.
pub fn require_active(snapshot: &Snapshot<'_>, id: &ProjectId) -> Result<Project> {
    let project = get(snapshot, id)?.ok_or_else(|| Error::ProjectNotFound(id.clone()))?;
    match project.archived_at {
        Some(_) => Err(Error::ProjectArchived(id.clone())),
        None => Ok(project),
    }
}

const INSERT: &str = "INSERT INTO project
    (id, path, name, origin_url, host, repo, default_branch, created_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)";

const RESTORE: &str = "UPDATE project SET name = ?3, origin_url = ?4, host = ?5, repo = ?6,
    default_branch = ?7, updated_at = ?8, archived_at = NULL WHERE id = ?1 AND path = ?2";

/// Registers a project. An archived one of the same id and path is restored.
///
/// # Errors
/// `ID_ALREADY_REGISTERED`, `PATH_ALREADY_REGISTERED`, `INVALID_ID` for the name.
pub fn add(tx: &Tx<'_>, new: &NewProject) -> Result<Project> {
    check_label("project name", &new.name)?;
    if let Some(owner) = at_path(tx, &new.path)? {
        return Err(Error::PathAlreadyRegistered { path: new.path.clone(), owner: owner.id });
    }
    let sql = match get(tx, &new.id)? {
        Some(known) if known.archived_at.is_some() && known.path == new.path => RESTORE,
        Some(_) => return Err(Error::IdAlreadyRegistered(new.id.clone())),
        None => INSERT,
    };
    let params = (
        new.id.as_str(),
        &new.path,
        &new.name,
        &new.origin_url,
        &new.host,
        &new.repo,
        &new.default_branch,
        tx.now().0,
    );
    tx.execute_captured("register a project", sql, params)?;
    get(tx, &new.id)?.ok_or_else(|| Error::ProjectNotFound(new.id.clone()))
}

const INSERT_WHOLE: &str = "INSERT INTO project (id, path, name, origin_url, host, repo,
    default_branch, created_at, updated_at, archived_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Inserts a row with a past, as an import brings it.
pub(crate) fn insert(tx: &Tx<'_>, project: &Project) -> Result<()> {
    let params = (
        project.id.as_str(),
        &project.path,
        &project.name,
        &project.origin_url,
        &project.host,
        &project.repo,
        &project.default_branch,
        project.created_at.0,
        project.updated_at.0,
        project.archived_at.map(|at| at.0),
    );
    tx.execute_captured("insert a project", INSERT_WHOLE, params).map(|_| ())
}

const COUNT_LIVE: &str = "SELECT count(*) FROM session WHERE project_id = ?1 AND is_terminated = 0";

const ARCHIVE: &str =
    "UPDATE project SET archived_at = ?2, updated_at = ?2 WHERE id = ?1 AND archived_at IS NULL";

/// Archives a project.
///
/// # Errors
/// `PROJECT_NOT_FOUND`, `PROJECT_ARCHIVED`, `PROJECT_HAS_LIVE_SESSIONS`.
pub fn archive(tx: &Tx<'_>, id: &ProjectId) -> Result<Project> {
    require_active(tx, id)?;
    let live =
        tx.one("count live sessions", COUNT_LIVE, [id.as_str()], |row| row.get::<_, i64>(0))?;
    match live.unwrap_or(0).unsigned_abs() {
        0 => {}
        live => return Err(Error::ProjectHasLiveSessions { id: id.clone(), live }),
    }
    tx.execute_captured("archive a project", ARCHIVE, (id.as_str(), tx.now().0))?;
    get(tx, id)?.ok_or_else(|| Error::ProjectNotFound(id.clone()))
}

const SELECT_BY_REPO: &str = "SELECT id FROM project
    WHERE repo = ?2 COLLATE NOCASE AND host = ?1 COLLATE NOCASE AND archived_at IS NULL
    ORDER BY id";

/// The active projects whose origin is this repository.
///
/// # Errors
/// When the database cannot be read.
pub fn of_repo(snapshot: &Snapshot<'_>, host: &str, repo: &str) -> Result<Vec<ProjectId>> {
    snapshot.list("find the project of a repository", SELECT_BY_REPO, (host, repo), |row| {
        Ok(ProjectId::stored(row.get(0)?))
    })
}

/// The active projects whose origin is at this host, in the order of their ids.
pub(crate) fn of_host(snapshot: &Snapshot<'_>, host: &str) -> Result<Vec<Project>> {
    let sql = select!(
        "WHERE host = ?1 COLLATE NOCASE AND repo <> '' AND archived_at IS NULL ORDER BY id"
    );
    snapshot.list("list the projects of a host", sql, [host], read)
}

const SET_ORIGIN: &str = "UPDATE project SET origin_url = ?2, host = ?3, repo = ?4,
    updated_at = ?5 WHERE id = ?1 AND origin_url = '' AND archived_at IS NULL";

/// Gives a project the origin that its work tree got after it was registered. One that has an
/// origin keeps it. Says whether it was given.
///
/// # Errors
/// [`Error::InvalidPrRef`] when host or repository are not of their form.
pub fn set_origin(
    tx: &Tx<'_>,
    id: &ProjectId,
    origin_url: &str,
    host: &str,
    repo: &str,
) -> Result<bool> {
    PrRef::new(host, repo, 1)?;
    match get(tx, id)? {
        Some(project) if project.origin_url.is_empty() && project.archived_at.is_none() => {}
        _ => return Ok(false),
    }
    let params = (id.as_str(), origin_url, host, repo, tx.now().0);
    Ok(tx.execute_captured("give a project its origin", SET_ORIGIN, params)? > 0)
}

const RELOCATE: &str = "UPDATE project SET repo = ?3, updated_at = ?4
    WHERE repo = ?2 COLLATE NOCASE AND host = ?1 COLLATE NOCASE AND archived_at IS NULL
        AND repo <> ?3";

/// Follows a repository that was renamed or transferred: active projects of `old` become those of
/// `new`. The URL of their origin stays, as the work tree has it. Returns how many were changed.
///
/// # Errors
/// `INVALID_PR_REF` when `new` is not of the form `owner/name`.
pub fn relocate(tx: &Tx<'_>, host: &str, old: &str, new: &str) -> Result<u64> {
    PrRef::new(host, new, 1)?;
    let projects = of_host(tx, host)?;
    let mut affected = projects.iter().filter(|it| it.repo.eq_ignore_ascii_case(old));
    if affected.all(|it| it.repo == new) {
        return Ok(0);
    }
    let params = (host, old, new, tx.now().0);
    Ok(tx.execute_captured("follow a renamed repository", RELOCATE, params)? as u64)
}
