//! Sessions: create a seed row, list, show, change name or branch, delete a seed row.

use ao_store::row::session::{
    self, Deleted, Filter, NewSession, Session, SessionKind, SharedBranch,
};
use ao_store::row::{pr, scm};
use ao_store::{Cursor, ProjectId, SessionId, Snapshot, Tx};
use serde_json::{Value, json};

use crate::args::{self, Session as Command};
use crate::confirm::{self, Answer};
use crate::context::{Context, cause};
use crate::error::Result;
use crate::{output, shared_branch, view};

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
        Command::Ls { project, all } => {
            let project = project.map(|id| id.parse()).transpose()?;
            list(context, &Filter { project, terminated: all })
        }
        Command::Get { id, at } => {
            get(context, &id.parse()?, at.map(|cursor| cursor.parse()).transpose()?)
        }
        Command::Rename { id, name } => {
            let id: SessionId = id.parse()?;
            change(context, "session.rename", "renamed", move |tx| session::rename(tx, &id, &name))
        }
        Command::Set { id, branch } => {
            let id: SessionId = id.parse()?;
            let set = move |tx: &Tx<'_>| session::set_branch(tx, &id, &branch);
            change(context, "session.set", "changed", set)
        }
        Command::Rm { id, consent } => {
            let id: SessionId = id.parse()?;
            context.open()?.read(|snapshot| require_seed(snapshot, &id))?;
            match confirm::ask(context, &format!("delete session {id}"), consent)? {
                Answer::No => Ok(()),
                Answer::Yes => remove(context, id),
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
    let written = context
        .open()?
        .write(cause(), move |tx| Ok((write(tx)?, session::shared_branches(tx)?)))?;
    let (session, shared) = written.value;
    if context.is_json {
        return output::document(kind, &document(&session, &shared));
    }
    output::say(&format!("session {} {what}", session.id));
    if let Some(shared) = shared_branch::of(&session.id, &shared) {
        warn(context, shared);
    }
    output::line(session.id.as_str())
}

fn document(session: &Session, shared: &[SharedBranch]) -> Value {
    let mut data = view::session(session);
    data["warnings"] = shared_branch::warnings(&session.id, shared);
    data
}

fn warn(context: &Context, shared: &SharedBranch) {
    context.say(&format!("warning: {}", shared_branch::message(shared)));
    context.say(shared_branch::FIX);
}

fn list(context: &Context, filter: &Filter) -> Result<()> {
    if let Some(project) = &filter.project {
        require_project(context, project)?;
    }
    let (sessions, shared) = context.open()?.read(|snapshot| {
        Ok((session::list(snapshot, filter)?, session::shared_branches(snapshot)?))
    })?;
    if context.is_json {
        let item = |session| document(session, &shared);
        return output::list("session.list", || sessions.iter().map(item));
    }
    if sessions.is_empty() {
        context.say("no sessions; create one: `ao-store session new --project ID`");
        return Ok(());
    }
    let listed = |shared: &&SharedBranch| {
        sessions.iter().any(|session| shared.sessions.contains(&session.id))
    };
    shared.iter().filter(listed).for_each(|shared| warn(context, shared));
    let rows = sessions.into_iter().map(|session| {
        let state = if session.is_terminated { "terminated" } else { session.activity.as_str() };
        vec![
            session.id.to_string(),
            session.kind.to_string(),
            state.to_owned(),
            or_dash(&session.branch),
            or_dash(&session.issue),
            or_dash(&session.name),
        ]
    });
    output::table(&["ID", "KIND", "STATE", "BRANCH", "ISSUE", "NAME"], rows.collect())
}

fn require_project(context: &Context, id: &ProjectId) -> Result<()> {
    let found = context.open()?.read(|snapshot| ao_store::row::project::get(snapshot, id))?;
    match found {
        Some(_) => Ok(()),
        None => Err(ao_store::Error::ProjectNotFound(id.clone()).into()),
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn get(context: &Context, id: &SessionId, at: Option<Cursor>) -> Result<()> {
    let (session, is_seed, prs, shared, skipped) = context.open()?.read(|snapshot| match at {
        None => {
            let session = session::require(snapshot, id)?;
            let of_session = pr::Filter { session: Some(id.clone()), ..pr::Filter::default() };
            let is_seed = session::is_seed(snapshot, &session)?;
            let shared = session::shared_branches(snapshot)?;
            let skipped = scm::skipped_prs(snapshot, Some(id))?;
            Ok((session, is_seed, pr::list(snapshot, &of_session)?, shared, skipped))
        }
        Some(cursor) => {
            let session = session::as_of(snapshot, id, cursor)?
                .ok_or_else(|| ao_store::Error::SessionNotFound(id.clone()))?;
            let mut prs = pr::list_as_of(snapshot, cursor)?;
            prs.retain(|pr| pr.session == *id);
            let is_seed = session.is_empty() && prs.is_empty();
            Ok((session, is_seed, prs, Vec::new(), Vec::new()))
        }
    })?;
    let mut data = document(&session, &shared);
    data["is_seed"] = is_seed.into();
    if context.is_json {
        data["prs"] = Value::Array(prs.iter().map(view::pr).collect());
        if at.is_none() {
            data["skipped"] = skipped.iter().map(view::skipped).collect();
        }
        return output::document("session.get", &data);
    }
    if let Some(shared) = shared_branch::of(id, &shared) {
        warn(context, shared);
    }
    data["warnings"].take();
    let mut text = view::fields(&data);
    for pr in prs {
        text +=
            &format!("{:<20}{} {} {}\n", "pr", pr.place(), pr.state, output::printable(&pr.title));
    }
    for skipped in &skipped {
        let skipped = context.invocation().complete(&view::describe_skipped(skipped));
        text += &format!("{:<20}{skipped}\n", "skipped");
    }
    output::text(&text)
}

/// Fails as the deletion itself would, before the user is asked.
fn require_seed(snapshot: &Snapshot<'_>, id: &SessionId) -> ao_store::Result<()> {
    match session::is_seed(snapshot, &session::require(snapshot, id)?)? {
        true => Ok(()),
        false => Err(ao_store::Error::SessionNotSeed(id.clone())),
    }
}

fn remove(context: &Context, id: SessionId) -> Result<()> {
    let wanted = id.clone();
    let deleted = context.open()?.write(cause(), move |tx| session::delete(tx, &id))?.value;
    match deleted {
        Deleted::Absent => Err(ao_store::Error::SessionNotFound(wanted).into()),
        Deleted::NotSeed => Err(ao_store::Error::SessionNotSeed(wanted).into()),
        Deleted::Deleted if context.is_json => {
            output::document("session.rm", &json!({"id": wanted.as_str(), "deleted": true}))
        }
        Deleted::Deleted => {
            output::say(&format!("session {wanted} deleted; its number is never reused"));
            Ok(())
        }
    }
}
