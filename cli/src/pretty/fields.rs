//! The fields of a row in the order in which they matter to a person, and which of them matter.

use anstyle::Style;
use serde_json::{Map, Value};

use super::piece::{Piece, dim, plain, short, state};

/// The row image of a change.
pub(super) type Image = Map<String, Value>;

/// The fields that are shown, and their names for people, the most important first.
const WEIGHTED: &[(&str, &str)] = &[
    ("state", "state"),
    ("is_terminated", "terminated"),
    (SPAWNED, "spawned"),
    ("activity", "activity"),
    ("ci", "ci"),
    ("review_decision", "review"),
    ("mergeability", "merge"),
    ("session_id", "session"),
    ("title", "title"),
    ("name", "name"),
    ("branch", "branch"),
    ("issue", "issue"),
    ("harness", "harness"),
    ("is_in_merge_queue", "merge queue"),
    ("is_auto_merge", "auto-merge"),
    ("head_sha", "head"),
    ("head_ref", "head"),
    ("base_ref", "base"),
    ("repo", "repo"),
    ("number", "number"),
    ("author", "author"),
    ("path", "path"),
    ("origin_url", "origin"),
    ("default_branch", "default branch"),
    ("worktree_path", "worktree"),
    ("base_commit", "base commit"),
    ("model", "model"),
    ("parent_id", "parent"),
    ("changed_files", "files"),
    ("additions", "additions"),
    ("deletions", "deletions"),
];

/// A time that says only that something happened.
const SPAWNED: &str = "spawned_at";

/// Those whose values are states.
const STATES: &[&str] = &["state", "activity", "ci", "review_decision", "mergeability"];

/// Of a new row. A title can be long, so what comes after it would be cut first.
const IDENTIFYING: &[&str] = &["state", "ci", "review_decision", "title", "name", "path", "branch"];

/// The fields that differ, and that the verb does not say already.
pub(super) fn changed(before: &Image, after: &Image, verb: &str) -> Vec<Piece> {
    let differs = |name: &str| before.get(name) != after.get(name);
    let is_said = |name: &str| match verb {
        "merged" | "closed" | "reopened" => matches!(name, "state" | "mergeability"),
        "terminated" | "restored" => name == "is_terminated",
        _ => false,
    };
    let shown = WEIGHTED.iter().filter(|(name, _)| differs(name) && !is_said(name));
    let value = |image: &Image, name: &str| image.get(name).cloned().unwrap_or_default();
    shown
        .map(|(name, label)| transition(name, label, &value(before, name), &value(after, name)))
        .collect()
}

/// The names of all fields that differ, for a line that would say nothing else.
pub(super) fn names(before: &Image, after: &Image) -> Piece {
    let differs = |name: &&String| before.get(*name) != after.get(*name) && *name != "updated_at";
    let names: Vec<_> = after.keys().filter(differs).map(String::as_str).collect();
    dim(if names.is_empty() { "updated".to_owned() } else { names.join(", ") })
}

fn transition(name: &str, label: &str, before: &Value, after: &Value) -> Piece {
    if name == SPAWNED {
        return plain(label);
    }
    let mut piece = plain(format!("{label} "));
    let (before, after) = (short(before), short(after));
    if STATES.contains(&name) {
        piece.extend([state(&before), (Style::new(), " → ".to_owned()), state(&after)]);
    } else {
        piece.push((Style::new(), format!("{before} → {after}")));
    }
    piece
}

/// What identifies a row that is new or deleted, and its states.
pub(super) fn identifying(image: &Image) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for name in IDENTIFYING {
        let Some(Value::String(value)) = image.get(*name) else { continue };
        match *name {
            _ if value.is_empty() || value == "unknown" || value == "none" => {}
            "state" => pieces.push(vec![state(value)]),
            "ci" => pieces.push(vec![(Style::new(), "ci ".to_owned()), state(value)]),
            "review_decision" => pieces.push(vec![state(value)]),
            "branch" => pieces.push(plain(format!("branch {}", short(&image[*name])))),
            _ => pieces.push(plain(short(&image[*name]))),
        }
    }
    pieces
}

/// A text of an image.
pub(super) fn text<'a>(image: &'a Image, name: &str) -> &'a str {
    image.get(name).and_then(Value::as_str).unwrap_or_default()
}
