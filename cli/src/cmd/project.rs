//! Projects: register a git work tree, list, show, change, archive.

use std::path::Path;

use ao_observer::run::unobservable;
use ao_program::Environment;
use ao_store::row::project::{self, NewProject, Project, Settings};
use ao_store::row::session;
use ao_store::{ProjectId, Snapshot, Store};
use serde_json::Value;

use crate::args::{ListArgs, Project as Command, Set};
use crate::confirm::{self, Answer};
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::git::{self, WorkTree};
use crate::listing::Listing;
use crate::table::{Cell, Column};
use crate::{output, view};

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Add { path, id, name, if_not_exists } => {
            let id = id.map(|id| id.parse()).transpose()?;
            add(context, &path, id, name, if_not_exists)
        }
        Command::Ls { all, list: args } => list(context, all, &args),
        Command::Get { id } => get(context, &id),
        Command::Set(args) => set(context, &args),
        Command::Rm { id, consent } => {
            let store = context.open()?;
            let id: ProjectId = id.parse()?;
            store.read(|snapshot| require_archivable(snapshot, &id))?;
            match confirm::ask(context, &format!("archive project {id}"), consent)? {
                Answer::No => Ok(()),
                Answer::Yes => archive(context, &store, id),
            }
        }
    }
}

fn add(
    context: &Context,
    path: &Path,
    id: Option<ProjectId>,
    name: Option<String>,
    may_exist: bool,
) -> Result<()> {
    let store = context.open()?;
    let tree = git::read(path)?;
    let added = match id.clone() {
        Some(id) => register(&store, &tree, id, name.clone()),
        None => register_under_free_id(&store, &tree, name.clone()),
    };
    match added {
        Err(Error::Store(ao_store::Error::PathAlreadyRegistered { path, owner })) if may_exist => {
            let known = store.read(|snapshot| project::require_active(snapshot, &owner))?;
            let is_same = known.path == path
                && id.is_none_or(|id| id == known.id)
                && name.is_none_or(|name| name == known.name);
            if !is_same {
                return Err(ao_store::Error::PathAlreadyRegistered { path, owner }.into());
            }
            show(context, "project.add", &known, "is registered already")
        }
        added => show(context, "project.add", &added?, "registered"),
    }
}

/// Registers a project whose id is the name of the directory, with a number appended if another
/// project has that id.
pub(crate) fn register_under_free_id(
    store: &Store,
    tree: &WorkTree,
    name: Option<String>,
) -> Result<Project> {
    let path = tree.root.to_string_lossy();
    if let Some(known) = store.read(|snapshot| project::at_path(snapshot, &path))? {
        return register(store, tree, known.id, name);
    }
    let base = id_from_directory(&tree.root);
    for number in 1..=100 {
        let id = if number == 1 { base.clone() } else { format!("{base}-{number}") };
        let is_other = |known: &Project| known.path != tree.root.to_string_lossy();
        let id: ProjectId = id.parse()?;
        if store.read(|snapshot| project::get(snapshot, &id))?.as_ref().is_some_and(is_other) {
            continue;
        }
        return register(store, tree, id, name);
    }
    Err(Error::Usage(format!("100 projects are named {base}; choose another id with --id")))
}

/// Registers a project. One that is registered under this id and path follows an origin that has
/// changed since.
fn register(
    store: &Store,
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
    Ok(store.write(cause(), write)?.value)
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

fn list(context: &Context, all: bool, args: &ListArgs) -> Result<()> {
    let projects = context.open()?.read(|snapshot| project::list(snapshot, all))?;
    let state = |project: &Project| match project.archived_at {
        Some(_) => "archived".to_owned(),
        None => "active".to_owned(),
    };
    type Of = Column<'static, Project>;
    let columns = vec![
        Of::new("id", |project| Cell::text(project.id.as_str())),
        Of::state("state", state).rank(2),
        Of::text("repository", |project| project.repo.clone()),
        Of::text("branch", |project| project.default_branch.clone()).rank(1),
        Of::text("path", |project| project.path.clone()),
        Of::text("name", |project| project.name.clone()).on_request(),
        Of::text("origin", |project| project.origin_url.clone()).on_request(),
        Of::new("created", |project| Cell::age(project.created_at)).on_request(),
    ];
    Listing {
        kind: "project.list",
        columns,
        id: &|project: &Project| project.id.to_string(),
        document: &document,
        empty: "no projects yet; register one: `ao-store project add PATH`",
    }
    .print(context, args, projects)
}

fn get(context: &Context, id: &str) -> Result<()> {
    let id: ProjectId = id.parse()?;
    let found = context.open()?.read(|snapshot| project::get(snapshot, &id))?;
    let project = found.ok_or(ao_store::Error::ProjectNotFound(id))?;
    if context.is_json {
        return output::document("project.get", &document(&project));
    }
    output::text(&view::fields(&document(&project)))
}

/// Changes the settings that are given.
fn set(context: &Context, args: &Set) -> Result<()> {
    let id: ProjectId = args.id.parse()?;
    let globs: Vec<_> = args.copy.iter().filter(|glob| !glob.is_empty()).cloned().collect();
    globs.iter().try_for_each(|glob| ao_session::worktree::check_glob(glob))?;
    let (copy, setup) = ((!args.copy.is_empty()).then_some(globs), args.setup.clone());
    if setup.as_ref().is_some_and(|setup| setup.contains('\0') || setup.len() > SETUP_MAX) {
        return Err(Error::Usage("the setup command is longer than 4 KiB".to_owned()));
    }
    let timeout = args.setup_timeout.map(|it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX));
    if timeout == Some(0) {
        return Err(Error::Usage("--setup-timeout is at least 1ms".to_owned()));
    }
    let limit = args.max_live;
    let changed = context.open()?.write(cause(), move |tx| {
        let mut settings = Settings::of(&project::require_active(tx, &id)?);
        copy.into_iter().for_each(|globs| settings.set_copy(globs));
        setup.into_iter().for_each(|setup| settings.setup_command = setup);
        timeout.into_iter().for_each(|timeout| settings.setup_timeout_ms = timeout);
        limit.into_iter().for_each(|limit| settings.max_live = limit.0.map(i64::from));
        project::set(tx, &id, &settings)
    })?;
    show(context, "project.set", &changed.value, "changed")
}

/// The longest setup command, in bytes: it is in the log, where texts are short.
const SETUP_MAX: usize = 4 << 10;

/// A project with the reason why it can never be observed, if there is one.
fn document(project: &Project) -> Value {
    let mut data = view::project(project);
    data["unobservable_reason"] = unobservable(project, &Environment::of_process()).into();
    data
}

/// Fails as the archiving itself would, before the user is asked.
fn require_archivable(snapshot: &Snapshot<'_>, id: &ProjectId) -> ao_store::Result<()> {
    project::require_active(snapshot, id)?;
    let of_project = session::Filter { project: Some(id.clone()), terminated: false };
    match session::list(snapshot, &of_project)?.len() as u64 {
        0 => Ok(()),
        live => Err(ao_store::Error::ProjectHasLiveSessions { id: id.clone(), live }),
    }
}

fn archive(context: &Context, store: &Store, id: ProjectId) -> Result<()> {
    let project = store.write(cause(), move |tx| project::archive(tx, &id))?.value;
    show(context, "project.rm", &project, "archived")
}

fn show(context: &Context, kind: &str, project: &Project, what: &str) -> Result<()> {
    if context.is_json {
        return output::document(kind, &document(project));
    }
    let repo = if project.repo.is_empty() { "no remote repository" } else { &project.repo };
    let path = output::printable(&project.path);
    output::say(&format!("project {} {what}: {path} ({repo})", project.id));
    let reason = unobservable(project, &Environment::of_process());
    if let Some(reason) = reason.filter(|_| project.archived_at.is_none()) {
        output::say(&format!(
            "its pull requests cannot be observed: {}",
            output::printable(&reason)
        ));
    }
    output::line(project.id.as_str())
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
