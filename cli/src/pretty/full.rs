//! A change with everything that it has: its cursor, its time, and every field that differs.

use std::borrow::Cow;
use std::io::Write;

use anstyle::Style;
use ao_store::log::change::ChangeRef;
use ao_store::{Cursor, Epoch, Error, Timestamp};
use serde_json::Value;

use super::fields::Image;
use super::piece::of_op;
use crate::output::printable;
use crate::time;

/// Appends the change as a heading and one line per field.
pub(super) fn write(change: &ChangeRef<'_>, epoch: Epoch, out: &mut Vec<u8>) -> Result<(), Error> {
    let parse = |image: Option<Cow<'_, str>>| -> Image {
        image.and_then(|image| serde_json::from_str(&image).ok()).unwrap_or_default()
    };
    let (before, after) = (parse(change.before()?), parse(change.after()?));
    let (cursor, kind) = (Cursor { epoch, seq: change.seq() }, change.kind()?);
    let at = time::local(change.at()?).strftime("%Y-%m-%d %H:%M:%S%.3f %:z").to_string();
    let owner = change.session()?.or(change.project()?).unwrap_or_default();
    let actor = change.actor()?.map_or("another program".to_owned(), |actor| printable(&actor));
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{bold}{cursor}{bold:#}  {at}  ");
    for (style, text) in of_op(&change.op()?, printable(&kind)) {
        let _ = write!(out, "{style}{text}{style:#}");
    }
    let key: Vec<String> = serde_json::from_str(&change.key()?).unwrap_or_default();
    let key = printable(&key.join(" "));
    let _ = writeln!(out, "  {}  {key}  {dim}by {actor}{dim:#}", printable(&owner));
    let image = if after.is_empty() { &before } else { &after };
    let is_update = !before.is_empty() && !after.is_empty();
    for (name, value) in image {
        let old = before.get(name).unwrap_or(&Value::Null);
        let shown = match (is_update, old == value) {
            (true, true) => continue,
            (true, false) => format!("{} → {}", whole(name, old), whole(name, value)),
            (false, _) if matches!(value, Value::Null) || value == "" => continue,
            (false, _) => whole(name, value),
        };
        let _ = writeln!(out, "    {dim}{name:<20}{dim:#} {shown}");
    }
    Ok(())
}

/// A whole value; a time is local.
fn whole(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::String(text) => printable(text),
        Value::Number(number) if name.ends_with("_at") => {
            let at = number.as_i64().map(|at| time::local(Timestamp(at)));
            at.map_or(number.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S %:z").to_string())
        }
        other => other.to_string(),
    }
}
