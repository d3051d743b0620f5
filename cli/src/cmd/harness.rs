//! Harnesses: which there are, where their programs are, and what they can do.

mod limits;
mod probe;

use ao_daemon::document::harness::{Installed, all};
use ao_session::harness::Harnesses;

use crate::args::{Harness as Command, ListArgs};
use crate::context::Context;
use crate::error::Result;
use crate::listing::Listing;
use crate::output;
use crate::table::{Cell, Column};

pub(crate) fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::Ls { versions, list } => print(context, *versions, list),
        Command::Probe { harness, out, time } => probe::run(context, harness, out, *time),
        Command::Limits { clear, list } => limits::run(context, clear.as_deref(), list),
    }
}

fn print(context: &Context, versions: bool, list: &ListArgs) -> Result<()> {
    let harnesses = Harnesses::load(context.harness_file().as_deref())?;
    let rows = all(&harnesses, versions);
    Listing {
        kind: "harness.list",
        columns: columns(versions),
        id: &|row: &Installed<'_>| row.harness.name().to_owned(),
        document: &Installed::document,
        empty: "there is no harness",
    }
    .print(context, list, rows)
}

fn columns<'a>(with_versions: bool) -> Vec<Column<'static, Installed<'a>>> {
    type Of<'a> = Column<'static, Installed<'a>>;
    let version = Of::text("version", version);
    vec![
        Of::new("name", |row| Cell::text(row.harness.name())),
        Of::text("program", |row| row.path.as_deref().map(output::path).unwrap_or_default()),
        if with_versions { version } else { version.on_request() },
        Of::text("prompt", |row| row.harness.prompt().as_str().to_owned()).rank(2),
        Of::text("resume", |row| yes(row.harness.can_resume())).rank(1),
        Of::text("model", |row| yes(row.harness.takes_model())).rank(3),
        Of::text("label", |row| row.harness.label().to_owned()).on_request(),
    ]
}

/// The version, and that its screens are not used.
fn version(row: &Installed<'_>) -> String {
    let version = row.version.clone().unwrap_or_default();
    match (row.is_seen(), row.harness.screen()) {
        (Some(false), Some(screen)) => {
            let [from, to] = screen.versions();
            let seen = if from == to { from.clone() } else { format!("{from} to {to}") };
            format!("{version} (screens of {seen} only)")
        }
        _ => version,
    }
}

fn yes(it: bool) -> String {
    if it { "yes".to_owned() } else { String::new() }
}
