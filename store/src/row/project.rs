//! Projects: registered git work trees. A project is archived, never deleted.

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::{Error, Result};
use crate::model::id::{PrRef, ProjectId};
use crate::model::label::check_label;
use crate::model::time::Timestamp;
use crate::row::columns::{self, Columns, table};

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
    /// A JSON array of patterns: see [`Project::copy_globs`].
    pub copy: String,
    pub setup_command: String,
    pub setup_timeout_ms: i64,
    pub max_live: Option<i64>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub archived_at: Option<Timestamp>,
}

/// The remote repository of a work tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The URL that git fetches from, without credentials; empty when there is no origin.
    pub url: String,
    /// Its host, or empty.
    pub host: String,
    /// `owner/name`, or empty.
    pub repo: String,
    /// The branch that its `HEAD` names; empty when it is unknown.
    pub default_branch: String,
}

impl Project {
    /// The patterns of the files that are copied into the worktree of a new session.
    #[must_use]
    pub fn copy_globs(&self) -> Vec<String> {
        serde_json::from_str(&self.copy).unwrap_or_default()
    }

    /// Whether this origin is stored.
    #[must_use]
    pub fn has_origin(&self, origin: &Origin) -> bool {
        self.is_at(origin) && self.default_branch == origin.default_branch
    }

    /// Whether the URL is stored. The repository of an equal URL may have another name since: see
    /// [`relocate`].
    fn is_at(&self, origin: &Origin) -> bool {
        self.origin_url == origin.url && self.host.eq_ignore_ascii_case(&origin.host)
    }
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
    /// The URL of its origin, or empty.
    pub origin_url: String,
    /// Host of the origin, or empty.
    pub host: String,
    /// `owner/name` of the origin, or empty.
    pub repo: String,
    /// The branch that work starts from; empty when it is unknown.
    pub default_branch: String,
}

table! {
    Project in "project" {
        id, path, created_at;
        name, origin_url, host, repo, default_branch, copy = copy_globs, setup_command,
        setup_timeout_ms, max_live, updated_at, archived_at,
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", names!(), " FROM project ", $tail)
    };
}

/// The project of this id, archived or not.
///
/// # Errors
/// When the database cannot be read.
pub fn get(snapshot: &Snapshot<'_>, id: &ProjectId) -> Result<Option<Project>> {
    let sql = select!("WHERE id = ?1");
    snapshot.one("read a project", sql, [id.as_str()], Project::read)
}

/// The active project at a canonical path.
///
/// # Errors
/// When the database cannot be read.
pub fn at_path(snapshot: &Snapshot<'_>, path: &str) -> Result<Option<Project>> {
    let sql = select!("WHERE path = ?1 AND archived_at IS NULL");
    snapshot.one("find a project", sql, [path], Project::read)
}

/// The active projects, or with `archived` all of them, in the order of their ids.
///
/// # Errors
/// When the database cannot be read.
pub fn list(snapshot: &Snapshot<'_>, archived: bool) -> Result<Vec<Project>> {
    let sql = select!("WHERE ?1 OR archived_at IS NULL ORDER BY id");
    snapshot.list("list projects", sql, [archived], Project::read)
}

/// The active project of this id.
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

/// Registers a project. An archived one of the same id and path is restored.
///
/// # Errors
/// `ID_ALREADY_REGISTERED`, `PATH_ALREADY_REGISTERED`, `INVALID_ID` for the name.
pub fn add(tx: &Tx<'_>, new: &NewProject) -> Result<Project> {
    check_label("project name", &new.name)?;
    if let Some(owner) = at_path(tx, &new.path)? {
        return Err(Error::PathAlreadyRegistered { path: new.path.clone(), owner: owner.id });
    }
    let known = get(tx, &new.id)?;
    let settings = known.as_ref().map_or_else(Settings::default, Settings::of);
    let project = Project {
        id: new.id.clone(),
        path: new.path.clone(),
        name: new.name.clone(),
        origin_url: new.origin_url.clone(),
        host: new.host.clone(),
        repo: new.repo.clone(),
        default_branch: new.default_branch.clone(),
        copy: settings.copy,
        setup_command: settings.setup_command,
        setup_timeout_ms: settings.setup_timeout_ms,
        max_live: settings.max_live,
        created_at: known.as_ref().map_or(tx.now(), |known| known.created_at),
        updated_at: tx.now(),
        archived_at: None,
    };
    match known {
        Some(known) if known.archived_at.is_some() && known.path == new.path => {
            columns::update(tx, "restore a project", &project)?;
        }
        Some(_) => return Err(Error::IdAlreadyRegistered(new.id.clone())),
        None => insert(tx, &project)?,
    }
    Ok(project)
}

/// How long a setup command may take unless the project says otherwise.
pub(crate) const SETUP_TIMEOUT_MS: i64 = 600_000;

/// How the sessions of a project are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A JSON array of patterns of files that are copied into a new worktree.
    copy: String,
    /// The command that prepares a new worktree; or empty.
    pub setup_command: String,
    /// How long it may take, in milliseconds.
    pub setup_timeout_ms: i64,
    /// How many sessions may be live; `None` for any number.
    pub max_live: Option<i64>,
}

impl Default for Settings {
    fn default() -> Settings {
        let copy = "[]".to_owned();
        let setup_command = String::new();
        Settings { copy, setup_command, setup_timeout_ms: SETUP_TIMEOUT_MS, max_live: None }
    }
}

impl Settings {
    /// Those of a project.
    #[must_use]
    pub fn of(project: &Project) -> Settings {
        Settings {
            copy: project.copy.clone(),
            setup_command: project.setup_command.clone(),
            setup_timeout_ms: project.setup_timeout_ms,
            max_live: project.max_live,
        }
    }

    /// Replaces the patterns of the files to copy.
    pub fn set_copy(&mut self, globs: Vec<String>) {
        self.copy = serde_json::Value::from(globs).to_string();
    }
}

/// Changes how the sessions of a project are made. Equal settings write nothing.
///
/// # Errors
/// `PROJECT_NOT_FOUND`, `PROJECT_ARCHIVED`.
pub fn set(tx: &Tx<'_>, id: &ProjectId, settings: &Settings) -> Result<Project> {
    let old = require_active(tx, id)?;
    if Settings::of(&old) == *settings {
        return Ok(old);
    }
    let Settings { copy, setup_command, setup_timeout_ms, max_live } = settings.clone();
    let updated_at = tx.now();
    let new = Project { copy, setup_command, setup_timeout_ms, max_live, updated_at, ..old };
    columns::update(tx, "change the settings of a project", &new)?;
    Ok(new)
}

/// Inserts a project.
pub(crate) fn insert(tx: &Tx<'_>, project: &Project) -> Result<()> {
    columns::insert(tx, "insert a project", project)
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
        Ok(ProjectId::stored(text(row, 0)?))
    })
}

/// The active projects whose origin is at this host, in the order of their ids.
pub(crate) fn of_host(snapshot: &Snapshot<'_>, host: &str) -> Result<Vec<Project>> {
    let sql = select!(
        "WHERE host = ?1 COLLATE NOCASE AND repo <> '' AND archived_at IS NULL ORDER BY id"
    );
    snapshot.list("list the projects of a host", sql, [host], Project::read)
}

const SET_ORIGIN: &str = "UPDATE project SET origin_url = ?2, host = ?3, repo = ?4,
    default_branch = ?5, updated_at = ?6 WHERE id = ?1 AND archived_at IS NULL";

/// Follows the origin of a work tree and its default branch. Returns whether they differ from what was
/// stored.
///
/// # Errors
/// [`Error::InvalidPrRef`] when host or repository have an invalid form.
pub fn set_origin(tx: &Tx<'_>, id: &ProjectId, origin: &Origin) -> Result<bool> {
    if !origin.host.is_empty() {
        PrRef::new(&origin.host, &origin.repo, 1)?;
    }
    let project = match get(tx, id)? {
        Some(project) if project.archived_at.is_none() && !project.has_origin(origin) => project,
        _ => return Ok(false),
    };
    let repo = if project.is_at(origin) { &project.repo } else { &origin.repo };
    let Origin { url, host, default_branch, .. } = origin;
    let params = (id.as_str(), url, host, repo, default_branch, tx.now().0);
    Ok(tx.execute_captured("store the origin of a project", SET_ORIGIN, params)? > 0)
}

const RELOCATE: &str = "UPDATE project SET repo = ?3, updated_at = ?4
    WHERE repo = ?2 COLLATE NOCASE AND host = ?1 COLLATE NOCASE AND archived_at IS NULL
        AND repo <> ?3";

/// Follows a renamed or transferred repository: active projects of `old` become projects of `new`.
/// The URL of their origin stays equal to that of the work tree. Returns the number of changed
/// projects.
///
/// # Errors
/// `INVALID_PR_REF` when `new` does not have the form `owner/name`.
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
