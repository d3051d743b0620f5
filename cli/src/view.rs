//! What is stored, in words for people.

use std::slice;

use ao_store::row::scm::SkippedPr;
use serde_json::Value;

use crate::output::printable;

/// What a launch was started from, for people.
pub(crate) fn launch_kind(kind: &str) -> &'static str {
    match kind {
        "prompt" => "from its prompt",
        "resume" => "from its conversation",
        _ => "without a prompt",
    }
}

/// How a launch ended, for people.
pub(crate) fn launch_end(cause: &str, exit_status: Option<i64>, signal: Option<i64>) -> String {
    let how = match (exit_status, signal) {
        (Some(status), _) => format!("exited with status {status}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => String::new(),
    };
    match (cause, how.is_empty()) {
        ("exec_failed", _) => "could not be started".to_owned(),
        ("runtime_lost", _) => "runtime lost".to_owned(),
        ("stopped", true) => "stopped".to_owned(),
        ("stopped", false) => format!("stopped, {how}"),
        (_, true) => "disappeared".to_owned(),
        (_, false) => how,
    }
}

/// A skipped pull request for people, with what to do.
pub(crate) fn describe_skipped(skipped: &SkippedPr) -> String {
    let SkippedPr { host, repo, number, session, author, reason, .. } = skipped;
    let place = if host == "github.com" { String::new() } else { format!("{host}/") };
    let author = if author.is_empty() { "a deleted account" } else { author };
    let claim = format!("`ao-store pr claim {session} {place}{repo}#{number}`");
    let text =
        format!("{host}/{repo}#{number} of {author} is on the branch of {session} ({reason})");
    printable(&format!("{text}; to track it: {claim}"))
}

/// A duration in milliseconds for people, such as `3m 12s`.
pub(crate) fn duration(ms: u64) -> String {
    let rounded = if ms >= 1000 { ms / 1000 * 1000 } else { ms };
    humantime::format_duration(std::time::Duration::from_millis(rounded)).to_string()
}

/// A duration in milliseconds in its largest unit, such as `3h`.
pub(crate) fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The fields of an object for people, one per line, without the empty ones; a list has one line per
/// element.
pub(crate) fn fields(object: &Value) -> String {
    let mut text = String::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::String(value) if value.is_empty() => {}
            Value::String(value) => text += &format!("{name:<19} {}\n", printable(value)),
            Value::Array(items) => {
                for item in items {
                    text += &format!("{:<20}{}\n", name.trim_end_matches('s'), summary(item));
                }
            }
            Value::Object(parts) => {
                for (part, value) in parts {
                    let texts = value.as_array().map_or(slice::from_ref(value), Vec::as_slice);
                    let texts: Vec<_> = texts.iter().filter_map(scalar).collect();
                    if !texts.is_empty() {
                        let texts = printable(&texts.join(", "));
                        text += &format!("{:<20}{texts}\n", format!("{name} {part}"));
                    }
                }
            }
            other => text += &format!("{name:<19} {other}\n"),
        }
    }
    text
}

/// A text that is not empty, a number, or a truth value.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// An element of a list in one line: its most important values.
fn summary(item: &Value) -> String {
    let shown = |name: &str| match &item[name] {
        Value::String(text) if !text.is_empty() => Some(printable(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some(name.trim_start_matches("is_").to_owned()),
        _ => None,
    };
    let of_check = ["workflow", "event", "name", "status"];
    let of_others = ["state", "author", "path", "line", "is_resolved", "body"];
    let names = of_check.iter().chain(&of_others);
    let parts: Vec<_> = names.filter_map(|name| shown(name)).collect();
    parts.join(" ").chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_name_is_apart_from_its_value() {
        let shown = fields(&json!({"provider_merge_state": "clean", "state": "open"}));
        assert_eq!(shown, "provider_merge_state clean\nstate               open\n");
    }
}
