//! Sessions: create a seed row, list, show, change name or branch, delete a seed row.

mod answer;
mod attach;
mod diff;
pub(super) mod lifecycle;
mod log;
mod tree;
mod wait;

use std::collections::{HashMap, HashSet};

use ao_daemon::document::session::{self as document, Past};
use ao_store::log::newest;
use ao_store::row::lifecycle::cleanup;
use ao_store::row::pr::{self, Pr};
use ao_store::row::scm;
use ao_store::row::session::{self, Filter, NewSession, Session, SessionKind};
use ao_store::row::shared_branch::{self, SharedBranch};
use ao_store::row::{decision, launch, project};
use ao_store::status::{self, Derived};
use ao_store::{Cursor, ProjectId, SessionId, Snapshot, Timestamp, Tx, attention};
use serde_json::Value;

use super::attention::next;
use crate::args::{self, ListArgs, Session as Command};
use crate::confirm::{self, Answer};
use crate::context::{Context, cause};
use crate::error::Result;
use crate::listing::Listing;
use crate::page::session::Shown;
use crate::page::{self, Page};
use crate::table::{Cell, Column};
use crate::{output, shared_branch as warning, view};

/// The changes of which a page shows the newest.
const LATEST: u32 = 100;

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::New { project, kind, harness, branch, issue, name } => {
            let kind = match kind {
                args::SessionKind::Worker => SessionKind::Worker,
                args::SessionKind::Orchestrator => SessionKind::Orchestrator,
            };
            let project = project.parse()?;
            create(context, NewSession { project, kind, harness, name, issue, branch })
        }
        Command::Ls { project, all, status, tree, list: args } => {
            let project = project.map(|id| id.parse()).transpose()?;
            let terminated =
                all || status.iter().any(|it| ["terminated", "merged"].contains(&it.as_str()));
            list(context, &Filter { project, terminated }, &status, tree, &args)
        }
        Command::Get { id, at } => {
            get(context, &id.parse()?, at.map(|cursor| cursor.parse()).transpose()?)
        }
        Command::Answer(args) => answer::run(context, args),
        Command::Wait(args) => wait::run(context, &args),
        Command::Log { id, lines, follow } => log::run(context, &id.parse()?, lines, follow),
        Command::Diff { id, stat } => diff::run(context, &id.parse()?, stat),
        Command::Attach { id, read_only } => attach::run(context, &id.parse()?, read_only),
        Command::Rename { id, name } => {
            let id: SessionId = id.parse()?;
            change(context, "session.rename", "renamed", move |tx| session::rename(tx, &id, &name))
        }
        Command::Set { id, branch } => {
            let id: SessionId = id.parse()?;
            let set = move |tx: &Tx<'_>| session::set_branch(tx, &id, &branch);
            change(context, "session.set", "changed", set)
        }
        Command::Kill { id, grace, yes: _ } => lifecycle::kill(context, &id.parse()?, grace.grace),
        Command::Restore { id } => lifecycle::restore(context, &id.parse()?),
        Command::Relaunch { id } => lifecycle::relaunch(context, &id.parse()?),
        Command::ClaimPr(args) => super::pr::claim(context, &args),
        Command::Cleanup { project, consent } => {
            let project = project.map(|id| id.parse()).transpose()?;
            lifecycle::cleanup(context, project.as_ref(), consent)
        }
        Command::Rm { id, consent } => {
            let id: SessionId = id.parse()?;
            context.open()?.read(|snapshot| require_seed(snapshot, &id))?;
            match confirm::ask(context, &format!("delete session {id}"), consent)? {
                Answer::No => Ok(()),
                Answer::Yes => remove(context, &id),
            }
        }
    }
}

fn create(context: &Context, new: NewSession) -> Result<()> {
    change(context, "session.new", "created", move |tx| session::create(tx, &new))
}

/// Writes a session, and shows it with the warnings about it.
fn change(
    context: &Context,
    kind: &str,
    what: &str,
    write: impl FnOnce(&Tx<'_>) -> ao_store::Result<Session> + Send + 'static,
) -> Result<()> {
    let written = context.open()?.write(cause(), move |tx| {
        let session = write(tx)?;
        let shared = shared_branch::of(tx, &session)?;
        Ok((session, shared))
    })?;
    let (session, shared) = written.value;
    if context.is_json {
        return output::document(kind, &document::changed(&session, shared.as_ref()));
    }
    output::say(&format!("session {} {what}", session.id));
    if let Some(shared) = &shared {
        warn(context, shared);
    }
    output::line(session.id.as_str())
}

fn warn(context: &Context, shared: &SharedBranch) {
    context.say(&format!("warning: {}", document::shared_branch_message(shared)));
    context.say(warning::FIX);
}

fn list(
    context: &Context,
    filter: &Filter,
    states: &[String],
    is_tree: bool,
    args: &ListArgs,
) -> Result<()> {
    let (mut sessions, shared) = context.open()?.read(|snapshot| {
        let sessions = selected(snapshot, filter)?;
        let listed = sessions.iter().map(|(session, _)| session);
        let shared = shared_branch::of_list(snapshot, filter, listed)?;
        Ok((sessions, shared))
    })?;
    sessions.retain(|(_, derived)| {
        states.is_empty() || states.iter().any(|it| it == derived.status.as_str())
    });
    if !shared.is_empty() {
        let listed: HashSet<_> = sessions.iter().map(|(session, _)| &session.id).collect();
        let is_listed =
            |shared: &&SharedBranch| shared.sessions.iter().any(|id| listed.contains(id));
        shared.iter().filter(is_listed).for_each(|shared| warn(context, shared));
    }
    let empty = match (states.is_empty(), filter.terminated) {
        (false, _) => "no session has that status",
        (true, true) => "no sessions yet; spawn one: `ao-store spawn --project ID --harness NAME`",
        (true, false) => {
            "no live sessions; all: `ao-store session ls --all`, a new one: `ao-store spawn --project ID --harness NAME`"
        }
    };
    let indents = if is_tree { tree::order(&mut sessions) } else { HashMap::new() };
    print_list(context, sessions, &shared, &indents, empty, args)
}

/// A session with its status.
type Row = (Session, Derived);

fn print_list(
    context: &Context,
    sessions: Vec<Row>,
    shared: &[SharedBranch],
    indents: &HashMap<SessionId, String>,
    empty: &str,
    args: &ListArgs,
) -> Result<()> {
    let of_session = shared.iter().flat_map(|it| it.sessions.iter().map(move |id| (id, it)));
    let shared: HashMap<_, _> = of_session.collect();
    Listing {
        kind: "session.list",
        columns: columns(indents),
        id: &|(session, _): &Row| session.id.to_string(),
        document: &|(session, derived)| {
            document::listed(session, derived, shared.get(&session.id).copied())
        },
        empty,
    }
    .print(context, args, sessions)
}

/// `indents` are in front of the ids of a tree.
fn columns(indents: &HashMap<SessionId, String>) -> Vec<Column<'_, Row>> {
    type Of<'a> = Column<'a, Row>;
    let id = |(session, _): &Row| {
        let indent = indents.get(&session.id).map_or("", String::as_str);
        Cell::text(format!("{indent}{}", session.id))
    };
    vec![
        Of::new("id", id),
        Of::new("kind", |(session, _)| Cell::text(session.kind.as_str())).rank(3),
        Of::state("status", |(_, derived)| derived.status.as_str().to_owned()),
        Of::new("age", |(_, derived)| derived.since.map_or(Cell::absent(), Cell::age)).rank(4),
        Of::text("branch", |(session, _)| session.branch.clone()),
        Of::text("issue", |(session, _)| session.issue.clone()).rank(2),
        Of::text("name", |(session, _)| session.name.clone()).rank(1),
        Of::text("reason", |(_, derived)| derived.reason.clone()).rank(1),
        Of::new("project", |(session, _)| Cell::text(session.project.as_str())).on_request(),
        Of::text("harness", |(session, _)| session.harness.clone()).on_request(),
        Of::text("worktree", |(session, _)| session.worktree_path.clone()).on_request(),
        Of::new("created", |(session, _)| Cell::age(session.created_at)).on_request(),
    ]
}

/// The sessions that a filter selects, with their statuses.
///
/// # Errors
/// `PROJECT_NOT_FOUND`.
fn selected(snapshot: &Snapshot<'_>, filter: &Filter) -> ao_store::Result<Vec<(Session, Derived)>> {
    filter.project.as_ref().map_or(Ok(()), |project| require_project(snapshot, project))?;
    status::list(snapshot, filter)
}

/// Lists the sessions of a kind.
pub(super) fn list_of_kind(
    context: &Context,
    filter: &Filter,
    kind: SessionKind,
    args: &ListArgs,
) -> Result<()> {
    let mut sessions = context.open()?.read(|snapshot| selected(snapshot, filter))?;
    sessions.retain(|(session, _)| session.kind == kind);
    let empty =
        "no orchestrators; spawn one: `ao-store orchestrator ensure --project ID --harness NAME`";
    print_list(context, sessions, &[], &HashMap::new(), empty, args)
}

/// The document of `session get`, as the session is now.
fn document_of(context: &Context, id: &SessionId) -> Result<Value> {
    Ok(context.open()?.read(|snapshot| document::now(snapshot, id))?)
}

fn require_project(snapshot: &Snapshot<'_>, id: &ProjectId) -> ao_store::Result<()> {
    let found = project::get(snapshot, id)?;
    found.map(|_| ()).ok_or_else(|| ao_store::Error::ProjectNotFound(id.clone()))
}

fn get(context: &Context, id: &SessionId, at: Option<Cursor>) -> Result<()> {
    if let Some(cursor) = at {
        return get_as_of(context, id, cursor);
    }
    if context.is_json {
        return output::document("session.get", &document_of(context, id)?);
    }
    let now = Timestamp::now();
    let (shown, shared, skipped) = context.open()?.read(|snapshot| {
        let shown = shown(snapshot, id, now)?;
        let shared = shared_branch::of(snapshot, &shown.session)?;
        let skipped = scm::skipped_prs(snapshot, Some(id))?;
        Ok((shown, shared, skipped))
    })?;
    if let Some(shared) = &shared {
        warn(context, shared);
    }
    for skipped in &skipped {
        context.say(&view::describe_skipped(skipped));
    }
    if context.is_verbose {
        return print_fields(document_of(context, id)?, &shown.prs);
    }
    let mut page = Page::new();
    page::session::write(&mut page, &shown, now);
    page.print()?;
    if let Some(item) = shown.attention.first() {
        context.say(&format!("next: {}", next(context, item)));
    }
    Ok(())
}

fn shown(snapshot: &Snapshot<'_>, id: &SessionId, now: Timestamp) -> ao_store::Result<Shown> {
    let session = session::require(snapshot, id)?;
    let of_session = pr::Filter { session: Some(id.clone()), ..pr::Filter::default() };
    let in_attention = attention::Filter { session: Some(id.clone()), ..Default::default() };
    Ok(Shown {
        derived: Some(status::of(snapshot, &session)?),
        launch: launch::get(snapshot, &session.launch)?,
        decision: decision::open(snapshot, id)?,
        output: launch::output(snapshot, &session.launch)?.unwrap_or_default(),
        cleanup: cleanup::get(snapshot, id)?,
        prs: pr::list(snapshot, &of_session)?,
        attention: attention::attention(snapshot, &in_attention, now)?,
        newest: newest::newest_of(snapshot, id, page::session::SEARCHED, LATEST)?,
        session,
    })
}

fn get_as_of(context: &Context, id: &SessionId, cursor: Cursor) -> Result<()> {
    let past = context.open()?.read(|snapshot| Past::read(snapshot, id, cursor))?;
    let data = past.document();
    if context.is_json {
        return output::document("session.get", &data);
    }
    if context.is_verbose {
        return print_fields(data, &past.prs);
    }
    let Past { session, launch, prs } = past;
    let shown = Shown { launch, prs, ..Shown::of(session) };
    let mut page = Page::new();
    page::session::write(&mut page, &shown, Timestamp::now());
    page.print()
}

/// Prints every field, one per line.
fn print_fields(mut data: Value, prs: &[Pr]) -> Result<()> {
    // These are messages already, or have lines of their own.
    for name in ["warnings", "skipped", "prs"] {
        data[name].take();
    }
    if let Some(output) = data.pointer_mut("/launch/output") {
        output.take();
    }
    let prs = prs.iter().map(|pr| format!("{:<20}{}\n", "pr", pr.place())).collect::<String>();
    output::text(&(view::fields(&data) + &prs))
}

/// Fails as the deletion itself would, before the user is asked.
fn require_seed(snapshot: &Snapshot<'_>, id: &SessionId) -> ao_store::Result<()> {
    match session::is_seed(snapshot, &session::require(snapshot, id)?)? {
        true => Ok(()),
        false => Err(ao_store::Error::SessionNotSeed(id.clone())),
    }
}

fn remove(context: &Context, id: &SessionId) -> Result<()> {
    context.sessions()?.remove(id)?;
    if context.is_json {
        return output::document("session.rm", &document::deleted(id));
    }
    output::say(&format!("session {id} deleted; its number is never reused"));
    Ok(())
}
