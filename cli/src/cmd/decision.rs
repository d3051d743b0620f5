//! Lists what agents wait for a person to decide.

use ao_daemon::document;
use ao_store::SessionId;
use ao_store::row::decision::{self, Decision};
use ao_store::row::session;

use crate::args::Decision as Command;
use crate::context::Context;
use crate::error::Result;
use crate::listing::Listing;
use crate::table::{Cell, Column};

pub(crate) fn run(context: &Context, command: &Command) -> Result<()> {
    let Command::Ls { session, list } = command;
    let only = session.as_deref().map(str::parse::<SessionId>).transpose()?;
    let decisions = context.open()?.read(|snapshot| match &only {
        None => decision::list(snapshot),
        Some(id) => {
            session::require(snapshot, id)?;
            Ok(decision::open(snapshot, id)?.into_iter().collect())
        }
    })?;
    Listing {
        kind: "decision.list",
        columns: columns(),
        id: &|decision: &Decision| decision.id.clone(),
        document: &document::decision,
        empty: "no agent waits for a decision",
    }
    .print(context, list, decisions)
}

fn columns() -> Vec<Column<'static, Decision>> {
    type Of = Column<'static, Decision>;
    vec![
        Of::new("session", |it| Cell::text(it.session.as_str())),
        Of::new("kind", |it| Cell::text(it.kind.as_str())),
        Of::new("age", |it| Cell::age(it.requested_at)).rank(2),
        Of::text("tool", |it| it.tool.clone()).rank(1),
        Of::text("text", |it| it.text.clone()),
        Of::new("id", |it| Cell::text(&*it.id)).on_request(),
        Of::text("options", |it| it.options().join(", ")).on_request(),
        Of::new("launch", |it| Cell::text(&*it.launch)).on_request(),
    ]
}
