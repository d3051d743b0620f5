//! Printing: JSON documents, lines, tables and messages.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::signal::Signal;

/// The version of every JSON document this program prints; see docs/json.md.
const SCHEMA_VERSION: u32 = 1;

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    /// The command ran and found a problem: exit status 6.
    Findings,
    BySignal(Signal),
}

/// Prints one JSON document.
pub(crate) fn document(kind: &str, data: &Value) -> Result<()> {
    let document = json!({"schema_version": SCHEMA_VERSION, "kind": kind, "data": data});
    raw_bytes(format!("{}\n", unstyled(&document.to_string())).as_bytes())
}

/// JSON with DEL and the C1 control characters escaped, which could control a terminal.
fn unstyled(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, c| {
        match c {
            '\u{7f}'..='\u{9f}' => text += &format!("\\u{:04x}", u32::from(c)),
            _ => text.push(c),
        }
        text
    })
}

/// Prints one line of data.
pub(crate) fn line(text: &str) -> Result<()> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes data and flushes it.
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(stdout_error)
}

/// Writes data that contains no colour codes, without the search for them.
pub(crate) fn raw_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(stdout_error)
}

fn stdout_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::BrokenPipe,
        _ => Error::Stdout(error),
    }
}

/// Prints a message on stderr. A message that cannot be written is no reason to fail.
pub(crate) fn say(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Prints a table with a header and without borders.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)).collect::<Vec<_>>());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    line(&table.trim_fmt())
}

/// The text without control characters and without those that reorder or hide text, so that no title
/// can control the terminal.
pub(crate) fn printable(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// A path for people.
pub(crate) fn path(path: &Path) -> String {
    printable(&path.to_string_lossy())
}
