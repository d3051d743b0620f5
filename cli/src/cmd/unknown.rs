//! Reports the projects and sessions of a filter that do not exist: no error, since they may be created.

use ao_cdc::{Filter, Unknown};
use ao_store::row::{project, session};
use ao_store::{Snapshot, Store};

use crate::context::Context;
use crate::error::Result;
use crate::nearest::nearest;

/// Says once which projects and sessions of the filter do not exist, with the nearest that does.
pub(crate) fn report(context: &Context, store: &Store, filter: &Filter) -> Result<()> {
    let lines = store.read(|snapshot| {
        let unknown = filter.unknown(snapshot)?;
        unknown.iter().map(|unknown| line(snapshot, unknown)).collect::<ao_store::Result<Vec<_>>>()
    })?;
    lines.iter().for_each(|line| context.say(line));
    Ok(())
}

fn line(snapshot: &Snapshot<'_>, unknown: &Unknown) -> ao_store::Result<String> {
    let (what, id, known): (_, _, Vec<String>) = match unknown {
        Unknown::Project(id) => {
            let known = project::list(snapshot, true)?;
            ("project", id.as_str(), known.iter().map(|it| it.id.to_string()).collect())
        }
        Unknown::Session(id) => {
            let all = session::Filter { terminated: true, ..session::Filter::default() };
            let known = session::list(snapshot, &all)?;
            ("session", id.as_str(), known.iter().map(|it| it.id.to_string()).collect())
        }
    };
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    let next = match nearest(id, &known) {
        Some(known) => format!("did you mean {known}?"),
        None => format!("list them: `ao-store {what} ls --all`"),
    };
    Ok(format!("there is no {what} {id} yet: its changes come once it is created; {next}"))
}
