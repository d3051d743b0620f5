//! Sessions: create a seed row, list, show, rename, delete a seed row.

use ao_store::row::pr;
use ao_store::row::session::{self, Deleted, Filter, NewSession, Session, SessionKind};
use ao_store::{Cursor, ProjectId, SessionId, Snapshot};
use serde_json::{Value, json};

use crate::args::{self, Session as Command};
use crate::confirm::{self, Answer};
use crate::context::{Context, cause};
use crate::error::Result;
use crate::{output, view};

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
            let store = context.open()?;
            let renamed = store.write(cause(), move |tx| session::rename(tx, &id, &name))?;
            show(context, "session.rename", &renamed.value, "renamed")
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
    let created = context.open()?.write(cause(), move |tx| session::create(tx, &new))?;
    show(context, "session.new", &created.value, "created")
}

fn list(context: &Context, filter: &Filter) -> Result<()> {
    if let Some(project) = &filter.project {
        require_project(context, project)?;
    }
    let sessions = context.open()?.read(|snapshot| session::list(snapshot, filter))?;
    if context.is_json {
        let data: Vec<_> = sessions.iter().map(view::session).collect();
        return output::document("session.list", &Value::Array(data));
    }
    if sessions.is_empty() {
        context.say("no sessions; create one: `ao-store session new --project ID`");
        return Ok(());
    }
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
    let (session, is_seed, prs) = context.open()?.read(|snapshot| match at {
        None => {
            let session = session::require(snapshot, id)?;
            let of_session = pr::Filter { session: Some(id.clone()), ..pr::Filter::default() };
            let is_seed = session::is_seed(snapshot, &session)?;
            Ok((session, is_seed, pr::list(snapshot, &of_session)?))
        }
        Some(cursor) => {
            let session = session::as_of(snapshot, id, cursor)?
                .ok_or_else(|| ao_store::Error::SessionNotFound(id.clone()))?;
            let mut prs = pr::list_as_of(snapshot, cursor)?;
            prs.retain(|pr| pr.session == *id);
            let is_seed = session.is_empty() && prs.is_empty();
            Ok((session, is_seed, prs))
        }
    })?;
    let mut data = view::session(&session);
    data["is_seed"] = is_seed.into();
    if context.is_json {
        data["prs"] = Value::Array(prs.iter().map(view::pr).collect());
        return output::document("session.get", &data);
    }
    let mut text = view::fields(&data);
    for pr in prs {
        text +=
            &format!("{:<20}{} {} {}\n", "pr", pr.place(), pr.state, output::printable(&pr.title));
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

fn show(context: &Context, kind: &str, session: &Session, what: &str) -> Result<()> {
    if context.is_json {
        return output::document(kind, &view::session(session));
    }
    output::say(&format!("session {} {what}", session.id));
    output::line(session.id.as_str())
}
