//! A piece of a line for people: a text that cannot control the terminal, with its style.

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::output::printable;
use crate::{state_color, table};

/// The maximum width of a value in a line; the rest is cut.
const VALUE_MAX: usize = 40;

/// Parts of a line that belong together; there is a gap before the next piece.
pub(super) type Piece = Vec<(Style, String)>;

/// A piece with one style.
pub(super) fn plain(text: impl Into<String>) -> Piece {
    vec![(Style::new(), text.into())]
}

pub(super) fn dim(text: impl Into<String>) -> Piece {
    vec![(Style::new().dimmed(), text.into())]
}

/// What was done to a row or to several: green for an insert, red for a delete, otherwise yellow.
pub(super) fn of_op(op: &str, text: impl Into<String>) -> Piece {
    let color = match op {
        "insert" => AnsiColor::Green,
        "delete" => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    vec![(color.on_default(), text.into())]
}

/// A state in its colour.
pub(super) fn state(text: &str) -> (Style, String) {
    (state_color::style(text), printable(text))
}

/// A value in few words: no 40-digit hash, no line breaks, and what is empty is visible.
pub(super) fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::Bool(value) => if *value { "yes" } else { "no" }.to_owned(),
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::String(text) if is_hash(text) => text[..7].to_owned(),
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    table::cut(&printable(&text), VALUE_MAX)
}

fn is_hash(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
