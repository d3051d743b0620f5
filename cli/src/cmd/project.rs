//! Projects: register a git work tree, list, show, change, archive.

use std::path::Path;

use ao_daemon::document;
use ao_daemon::request::{Change, add_project, change_project, git};
use ao_observer::run::unobservable;
use ao_program::Environment;
use ao_store::row::project::{self, Project};
use ao_store::row::session;
use ao_store::{ProjectId, Snapshot, Store};

use crate::args::{ListArgs, Project as Command, Set};
use crate::confirm::{self, Answer};
use crate::context::{Context, cause};
use crate::error::Result;
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
    let tree = git::read(path)?;
    let added = add_project(&context.open()?, cause(), &tree, (id, name), may_exist)?;
    let what = if added.is_new { "registered" } else { "is registered already" };
    show(context, "project.add", &added.project, what)
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
        document: &document::project::document,
        empty: "no projects yet; register one: `ao-store project add PATH`",
    }
    .print(context, args, projects)
}

fn get(context: &Context, id: &str) -> Result<()> {
    let id: ProjectId = id.parse()?;
    let found = context.open()?.read(|snapshot| project::get(snapshot, &id))?;
    let project = found.ok_or(ao_store::Error::ProjectNotFound(id))?;
    if context.is_json {
        return output::document("project.get", &document::project::document(&project));
    }
    output::text(&view::fields(&document::project::document(&project)))
}

/// Changes the settings that are given.
fn set(context: &Context, args: &Set) -> Result<()> {
    let timeout = args.setup_timeout.map(|it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX));
    let globs: Vec<_> = args.copy.iter().filter(|glob| !glob.is_empty()).cloned().collect();
    let change = Change {
        copy: (!args.copy.is_empty()).then_some(globs),
        setup_command: args.setup.clone(),
        setup_timeout_ms: timeout,
        max_live: args.max_live.map(|limit| limit.0),
    };
    let changed = change_project(&context.open()?, cause(), args.id.parse()?, change)?;
    show(context, "project.set", &changed, "changed")
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
        return output::document(kind, &document::project::document(project));
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
