//! Harnesses: which there are, where their programs are, and what they can do.

mod limits;
mod probe;

use std::path::PathBuf;
use std::thread;

use ao_program::Environment;
use ao_session::harness::{self, Harness, Harnesses, NativeId};
use serde_json::{Value, json};

use crate::args::{Harness as Command, ListArgs};
use crate::context::Context;
use crate::error::Result;
use crate::listing::Listing;
use crate::output;
use crate::table::{Cell, Column};

/// A harness with the path of its program, where that is installed, and its version, if that is asked for.
struct Row<'a> {
    harness: &'a Harness,
    path: Option<PathBuf>,
    version: Option<String>,
}

impl Row<'_> {
    /// Whether the screens of the installed version were seen, as far as that is known.
    fn is_seen(&self) -> Option<bool> {
        Some(self.harness.screen()?.covers(self.version.as_deref()?))
    }
}

pub(crate) fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::Ls { versions, list } => print(context, *versions, list),
        Command::Probe { harness, out, time } => probe::run(context, harness, out, *time),
        Command::Limits { clear, list } => limits::run(context, clear.as_deref(), list),
    }
}

fn print(context: &Context, versions: bool, list: &ListArgs) -> Result<()> {
    let harnesses = Harnesses::load(context.harness_file().as_deref())?;
    let environment = Environment::of_process();
    let rows = harnesses.iter().map(|harness| {
        let found = harness::find(harness, &[], &environment);
        Row { harness, path: found.ok().map(|found| found.path), version: None }
    });
    let mut rows: Vec<_> = rows.collect();
    if versions {
        find_versions(&mut rows, &environment);
    }
    Listing {
        kind: "harness.list",
        columns: columns(versions),
        id: &|row: &Row<'_>| row.harness.name().to_owned(),
        document: &document,
        empty: "there is no harness",
    }
    .print(context, list, rows)
}

/// Asks each program for its version, all at the same time: some take seconds.
fn find_versions(rows: &mut [Row<'_>], environment: &Environment) {
    thread::scope(|scope| {
        for row in rows {
            let Some(path) = row.path.clone() else { continue };
            scope.spawn(move || row.version = harness::version(&path, environment));
        }
    });
}

fn columns<'a>(with_versions: bool) -> Vec<Column<'static, Row<'a>>> {
    type Of<'a> = Column<'static, Row<'a>>;
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
fn version(row: &Row<'_>) -> String {
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

fn document(row: &Row<'_>) -> Value {
    let Row { harness, path, version } = row;
    json!({
        "name": harness.name(),
        "label": harness.label(),
        "programs": harness.programs(),
        "path": path.as_ref().map(|path| path.to_string_lossy()),
        "version": version,
        "screen_versions": harness.screen().map_or(&[][..], |screen| &screen.versions()[..]),
        "is_version_seen": row.is_seen(),
        "prompt": harness.prompt().as_str(),
        "native_id": harness.native_id().map(NativeId::as_str),
        "can_resume": harness.can_resume(),
        "takes_model": harness.takes_model(),
        "permission": harness.permission(),
    })
}
