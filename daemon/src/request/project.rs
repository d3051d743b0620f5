//! Projects: register a git work tree, and change how the sessions of a project are made.

use std::path::Path;

use ao_store::row::project::{self, NewProject, Project, Settings};
use ao_store::{Cause, ProjectId, Store};

use super::git::{self, WorkTree};
use super::{Error, Result};

/// The longest setup command, in bytes: it is in the log, where texts are short.
const SETUP_MAX: usize = 4 << 10;

/// A project that was registered, now or before.
#[derive(Debug)]
pub struct Registered {
    /// The project.
    pub project: Project,
    /// Whether it was registered now, or its origin was read again.
    pub is_new: bool,
}

/// Registers a work tree under an id, by default the name of its directory, and a name, by default the id. With
/// `may_exist`, one that is registered with both is found.
///
/// # Errors
/// `ID_ALREADY_REGISTERED`, `PATH_ALREADY_REGISTERED`, `INVALID_ID`.
pub fn add_project(
    store: &Store,
    cause: Cause,
    tree: &WorkTree,
    (id, name): (Option<ProjectId>, Option<String>),
    may_exist: bool,
) -> Result<Registered> {
    let added = match id.clone() {
        Some(id) => register(store, &cause, tree, id, name.clone()),
        None => register_under_free_id(store, &cause, tree, name.clone()),
    };
    match added {
        Err(Error::Store(ao_store::Error::PathAlreadyRegistered { path, owner })) if may_exist => {
            let project = store.read(|snapshot| project::require_active(snapshot, &owner))?;
            let is_same = project.path == path
                && id.is_none_or(|id| id == project.id)
                && name.is_none_or(|name| name == project.name);
            if !is_same {
                return Err(ao_store::Error::PathAlreadyRegistered { path, owner }.into());
            }
            Ok(Registered { project, is_new: false })
        }
        added => Ok(Registered { project: added?, is_new: true }),
    }
}

/// New settings of a project; `None` leaves one as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The files that are copied into a new worktree.
    pub copy: Option<Vec<String>>,
    /// The command that is run in a new worktree; may be empty.
    pub setup_command: Option<String>,
    /// How long that may take, in milliseconds.
    pub setup_timeout_ms: Option<i64>,
    /// How many sessions may be live; `Some(None)` for any number.
    pub max_live: Option<Option<u32>>,
}

/// Changes settings of a project.
///
/// # Errors
/// A setting is not possible; `PROJECT_NOT_FOUND`, `PROJECT_ARCHIVED`.
pub fn change_project(
    store: &Store,
    cause: Cause,
    id: ProjectId,
    change: Change,
) -> Result<Project> {
    let globs = change.copy.iter().flatten();
    globs.into_iter().try_for_each(|glob| ao_session::worktree::check_glob(glob))?;
    let is_bad = |setup: &String| setup.contains('\0') || setup.len() > SETUP_MAX;
    if change.setup_command.as_ref().is_some_and(is_bad) {
        return Err(Error::Invalid("the setup command is longer than 4 KiB".to_owned()));
    }
    if change.setup_timeout_ms.is_some_and(|timeout| timeout < 1) {
        return Err(Error::Invalid("the timeout of the setup command is at least 1ms".to_owned()));
    }
    if change.max_live == Some(Some(0)) {
        return Err(Error::Invalid("the number of live sessions is at least 1".to_owned()));
    }
    let changed = store.write(cause, move |tx| {
        let Change { copy, setup_command, setup_timeout_ms, max_live } = change;
        let mut settings = Settings::of(&project::require_active(tx, &id)?);
        copy.into_iter().for_each(|globs| settings.set_copy(globs));
        setup_command.into_iter().for_each(|setup| settings.setup_command = setup);
        setup_timeout_ms.into_iter().for_each(|timeout| settings.setup_timeout_ms = timeout);
        max_live.into_iter().for_each(|limit| settings.max_live = limit.map(i64::from));
        project::set(tx, &id, &settings)
    })?;
    Ok(changed.value)
}

/// Registers a project whose id is the name of the directory, with a number appended if another
/// project has that id.
///
/// # Errors
/// `PATH_ALREADY_REGISTERED` when another work tree of the repository is registered.
pub fn register_under_free_id(
    store: &Store,
    cause: &Cause,
    tree: &WorkTree,
    name: Option<String>,
) -> Result<Project> {
    let path = tree.root.to_string_lossy();
    if let Some(known) = store.read(|snapshot| project::at_path(snapshot, &path))? {
        return register(store, cause, tree, known.id, name);
    }
    let base = id_from_directory(&tree.root);
    for number in 1..=100 {
        let id = if number == 1 { base.clone() } else { format!("{base}-{number}") };
        let is_other = |known: &Project| known.path != tree.root.to_string_lossy();
        let id: ProjectId = id.parse()?;
        if store.read(|snapshot| project::get(snapshot, &id))?.as_ref().is_some_and(is_other) {
            continue;
        }
        return register(store, cause, tree, id, name);
    }
    Err(Error::Invalid(format!("100 projects are named {base}; choose another id")))
}

/// Registers a project. One that is registered under this id and path follows an origin that has
/// changed since.
fn register(
    store: &Store,
    cause: &Cause,
    tree: &WorkTree,
    id: ProjectId,
    name: Option<String>,
) -> Result<Project> {
    require_other_repository(store, tree)?;
    let origin = tree.origin.clone();
    let new = NewProject {
        name: name.unwrap_or_else(|| id.to_string()),
        id,
        path: tree.root.to_string_lossy().into_owned(),
        origin_url: origin.url.clone(),
        host: origin.host.clone(),
        repo: origin.repo.clone(),
        default_branch: origin.default_branch.clone(),
    };
    let write = move |tx: &ao_store::Tx<'_>| {
        let known = project::at_path(tx, &new.path)?.filter(|known| known.id == new.id);
        match known {
            Some(known) if project::set_origin(tx, &known.id, &origin)? => {
                project::require_active(tx, &known.id)
            }
            _ => project::add(tx, &new),
        }
    };
    Ok(store.write(cause.clone(), write)?.value)
}

/// A repository is one project, also when another of its work trees is registered: that happens
/// where git cannot name a main one, as of a bare repository.
fn require_other_repository(store: &Store, tree: &WorkTree) -> Result<()> {
    if !tree.common_dir.join("worktrees").is_dir() {
        return Ok(());
    }
    let same = |project: &Project| {
        let path = Path::new(&project.path);
        let common_dir = |path| git::work_tree(path).ok().map(|tree| tree.common_dir);
        path != tree.root && common_dir(path).as_ref() == Some(&tree.common_dir)
    };
    let projects = store.read(|snapshot| project::list(snapshot, false))?;
    match projects.into_iter().find(same) {
        Some(Project { path, id: owner, .. }) => {
            Err(ao_store::Error::PathAlreadyRegistered { path, owner }.into())
        }
        None => Ok(()),
    }
}

/// The name of a directory, reduced to what an id may contain.
fn id_from_directory(root: &Path) -> String {
    let name = root.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut id: String = name
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(64)
        .collect();
    while id.contains("..") {
        id = id.replace("..", ".");
    }
    let id = id.trim_end_matches(['.', '-']).trim_end_matches(".lock");
    if id.is_empty() { "project".to_owned() } else { id.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_name_gives_an_id_that_is_allowed() {
        for name in ["demo", "my app", "..x", "ä", "-rf", "a..b", "x.lock", "#(id)", "a\nb", "."] {
            let id = id_from_directory(&Path::new("/src").join(name));
            assert!(id.parse::<ProjectId>().is_ok(), "{name:?} gave {id:?}");
        }
        assert_eq!(id_from_directory(Path::new("/")), "project");
        assert_eq!(id_from_directory(Path::new("/src/My_App.v2")), "My_App.v2");
    }
}
