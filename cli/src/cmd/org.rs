//! Organisations: add, list.

use ao_daemon::document::turn as document;
use ao_session::local_member;
use ao_store::OrgId;
use ao_store::turn::agent;
use ao_store::turn::org::{self, Org};

use crate::args::{ListArgs, Org as Command};
use crate::cmd::token;
use crate::context::{Context, cause};
use crate::error::Result;
use crate::listing::Listing;
use crate::output;
use crate::table::{Cell, Column};

pub(crate) fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::Add { name } => add(context, name.parse()?),
        Command::Ls { list: args } => list(context, args),
        Command::Token(command) => token::of_org(context, command),
    }
}

fn add(context: &Context, id: OrgId) -> Result<()> {
    let added = context.open()?.write(cause(), move |tx| {
        org::add(tx, &id)?;
        org::ensure_default_agent(tx, &id, &local_member())?;
        Ok((org::require(tx, &id)?, agent::list(tx, Some(&id))?))
    })?;
    let (added, agents) = added.value;
    if context.is_json {
        return output::document("org.add", &document::org(&added));
    }
    for agent in &agents {
        context.say(&format!("added organisation {} with agent {}", added.id, agent.id));
    }
    output::line(added.id.as_str())
}

fn list(context: &Context, args: &ListArgs) -> Result<()> {
    type Of = Column<'static, Org>;
    Listing {
        kind: "org.list",
        columns: vec![
            Of::new("id", |org| Cell::text(org.id.as_str())),
            Of::new("created", |org| Cell::age(org.created_at)),
        ],
        id: &|org: &Org| org.id.to_string(),
        document: &document::org,
        empty: "no organisations; the first turn makes the one of this machine: `ao-store turn send TEXT`",
    }
    .print(context, args, context.open()?.read(org::list)?)
}
