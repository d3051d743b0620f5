//! Projects: register a git work tree, list, show, archive.

use std::path::Path;

use ao_observer::run::unobservable;
use ao_program::Environment;
use ao_store::row::project::{self, NewProject, Project};
use ao_store::row::session;
use ao_store::{ProjectId, Snapshot, Store};
use serde_json::Value;

use crate::args::Project as Command;
use crate::confirm::{self, Answer};
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::git::{self, WorkTree};
use crate::{output, view};

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Add { path, id, name } => add(context, &path, id.as_deref(), name),
        Command::Ls { all } => list(context, all),
        Command::Get { id } => get(context, &id),
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

fn add(context: &Context, path: &Path, id: Option<&str>, name: Option<String>) -> Result<()> {
    let store = context.open()?;
    let tree = git::read(path)?;
    let project = match id {
        Some(id) => register(&store, &tree, id.parse()?, name)?,
        None => register_under_free_id(&store, &tree, name)?,
    };
    show(context, "project.add", &project, "registered")
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

fn list(context: &Context, all: bool) -> Result<()> {
    let projects = context.open()?.read(|snapshot| project::list(snapshot, all))?;
    if context.is_json {
        return output::list("project.list", || projects.iter().map(document));
    }
    if projects.is_empty() {
        context.say("no projects yet; register one: `ao-store project add PATH`");
        return Ok(());
    }
    let rows = projects.into_iter().map(|project| {
        let state = if project.archived_at.is_some() { "archived" } else { "active" };
        let repo = if project.repo.is_empty() { "-".to_owned() } else { project.repo };
        vec![project.id.to_string(), state.to_owned(), repo, project.default_branch, project.path]
    });
    output::table(&["ID", "STATE", "REPOSITORY", "BRANCH", "PATH"], rows.collect())
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
