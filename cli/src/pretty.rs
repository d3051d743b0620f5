//! A change or a row as a line for people: time, type, owner, and the fields that changed.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use ao_store::log::as_of::RowAt;
use ao_store::log::change::ChangeRef;
use ao_store::{Error, Timestamp};
use serde_json::{Map, Value};

use crate::output::printable;

/// The maximum length of a value in characters; the rest is cut.
const VALUE_MAX: usize = 40;
/// The maximum number of changed fields in a line.
const FIELDS_MAX: usize = 4;

/// Appends the change as one line.
pub(crate) fn write(change: &ChangeRef<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let kind = change.kind()?;
    let session = change.session()?;
    let owner = session.or(change.project()?).unwrap_or_default();
    let style = style(&change.op()?);
    let dim = Style::new().dimmed();
    let what = what(change)?;
    // Writing to a Vec cannot fail.
    let _ = writeln!(
        out,
        "{dim}{:>6} {}{dim:#} {style}{kind:<26}{style:#} {:<16} {what}",
        change.seq(),
        clock(change.at()?),
        printable(&owner),
    );
    Ok(())
}

/// Appends a row of a snapshot as one line.
pub(crate) fn write_row(entity: &str, row: &RowAt, out: &mut Vec<u8>) {
    let image: Map<String, Value> = serde_json::from_str(&row.image).unwrap_or_default();
    let key: Vec<Value> = serde_json::from_str(&row.key).unwrap_or_default();
    let owner = row.session.as_ref().or(row.project.as_ref()).map_or("", String::as_str);
    let mut parts = vec![key.iter().map(short).collect::<Vec<_>>().join(" ")];
    parts.extend(main_values(&image));
    // Writing to a Vec cannot fail.
    let _ = writeln!(out, "{entity:<18} {:<16} {}", printable(owner), parts.join("  "));
}

fn style(op: &str) -> Style {
    match op {
        "insert" => AnsiColor::Green.on_default(),
        "delete" => AnsiColor::Red.on_default(),
        _ => AnsiColor::Yellow.on_default(),
    }
}

fn clock(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    instant.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The key, and the fields that changed.
fn what(change: &ChangeRef<'_>) -> Result<String, Error> {
    let parse = |image: Option<std::borrow::Cow<'_, str>>| -> Map<String, Value> {
        image.and_then(|image| serde_json::from_str(&image).ok()).unwrap_or_default()
    };
    let (before, after) = (parse(change.before()?), parse(change.after()?));
    let key: Vec<Value> = serde_json::from_str(&change.key()?).unwrap_or_default();
    let mut parts = vec![key.iter().map(short).collect::<Vec<_>>().join(" ")];
    if !before.is_empty() && !after.is_empty() {
        let changed = after
            .iter()
            .filter(|(name, value)| before.get(*name) != Some(*value) && *name != "updated_at");
        let changed: Vec<_> = changed
            .map(|(name, value)| {
                format!(
                    "{name} {} → {}",
                    short(before.get(name).unwrap_or(&Value::Null)),
                    short(value)
                )
            })
            .collect();
        parts.extend(changed.iter().take(FIELDS_MAX).cloned());
        if changed.len() > FIELDS_MAX {
            parts.push(format!("and {} more", changed.len() - FIELDS_MAX));
        }
    } else {
        let image = if after.is_empty() { &before } else { &after };
        parts.extend(main_values(image));
    }
    Ok(parts.join("  "))
}

/// The values of a row that identify it for a person.
fn main_values(image: &Map<String, Value>) -> Vec<String> {
    let named = ["title", "path", "status", "state", "name", "branch", "body"];
    let values = named.iter().filter_map(|name| image.get(*name));
    values.map(short).filter(|text| !text.is_empty()).take(2).collect()
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    };
    if text.chars().count() <= VALUE_MAX {
        return text;
    }
    text.chars().take(VALUE_MAX - 1).chain(['…']).collect()
}
