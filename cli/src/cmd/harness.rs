//! Harnesses: which there are, where their programs are, and what they can do.

use std::path::PathBuf;

use ao_program::Environment;
use ao_session::harness::{self, Harness, Harnesses, NativeId};
use serde_json::{Value, json};

use crate::args::Harness as Command;
use crate::context::Context;
use crate::error::Result;
use crate::listing::Listing;
use crate::output;
use crate::table::{Cell, Column};

/// A harness with the path of its program, where that is installed.
struct Row<'a> {
    harness: &'a Harness,
    path: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, command: &Command) -> Result<()> {
    let Command::Ls { list } = command;
    let harnesses = Harnesses::load(context.harness_file().as_deref())?;
    let environment = Environment::of_process();
    let rows = harnesses.iter().map(|harness| {
        let found = harness::find(harness, &[], &environment);
        Row { harness, path: found.ok().map(|found| found.path) }
    });
    Listing {
        kind: "harness.list",
        columns: columns(),
        id: &|row: &Row<'_>| row.harness.name().to_owned(),
        document: &document,
        empty: "there is no harness",
    }
    .print(context, list, rows.collect())
}

fn columns<'a>() -> Vec<Column<'static, Row<'a>>> {
    type Of<'a> = Column<'static, Row<'a>>;
    vec![
        Of::new("name", |row| Cell::text(row.harness.name())),
        Of::text("program", |row| row.path.as_deref().map(output::path).unwrap_or_default()),
        Of::text("prompt", |row| row.harness.prompt().as_str().to_owned()).rank(2),
        Of::text("resume", |row| yes(row.harness.can_resume())).rank(1),
        Of::text("model", |row| yes(row.harness.takes_model())).rank(3),
        Of::text("label", |row| row.harness.label().to_owned()).on_request(),
    ]
}

fn yes(it: bool) -> String {
    if it { "yes".to_owned() } else { String::new() }
}

fn document(row: &Row<'_>) -> Value {
    let Row { harness, path } = row;
    json!({
        "name": harness.name(),
        "label": harness.label(),
        "programs": harness.programs(),
        "path": path.as_ref().map(|path| path.to_string_lossy()),
        "prompt": harness.prompt().as_str(),
        "native_id": harness.native_id().map(NativeId::as_str),
        "can_resume": harness.can_resume(),
        "takes_model": harness.takes_model(),
        "permission": harness.permission(),
    })
}
