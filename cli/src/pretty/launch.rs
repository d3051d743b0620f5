//! Launches in words: what they were started from, how far their prompts got, and how they ended.

use serde_json::Value;

use super::fields::{self, Image, text};
use super::piece::{Piece, of_op, plain, short};
use crate::{state_color, view};

/// A launch as it is: new, deleted, or in a snapshot.
pub(super) fn identifying(image: &Image) -> Vec<Piece> {
    let mut pieces = vec![plain(view::launch_kind(text(image, "kind")))];
    pieces.extend(is_set(image, "ended_at").then(|| end(image)));
    pieces
}

/// What of a launch changed.
pub(super) fn changed(before: &Image, after: &Image) -> Vec<Piece> {
    let differs = |name: &str| before.get(name) != after.get(name);
    let mut pieces = Vec::new();
    if differs("started_at") {
        pieces.push(of_op("insert", "started"));
    }
    if differs("prompt_stage") {
        pieces.push(plain(format!("prompt {}", short(&text(after, "prompt_stage").into()))));
    }
    if differs("native_id") {
        pieces.push(plain(format!("conversation {}", short(&text(after, "native_id").into()))));
    }
    if differs("ended_at") {
        pieces.push(end(after));
    } else if differs("exit_status") || differs("signal") {
        // A verb had stopped it, and now it is known how the program ended.
        pieces.push(how(after, ""));
    }
    if pieces.is_empty() {
        pieces.push(fields::names(before, after));
    }
    pieces
}

fn end(image: &Image) -> Piece {
    how(image, text(image, "cause"))
}

fn how(image: &Image, cause: &str) -> Piece {
    let number = |name: &str| image.get(name).and_then(Value::as_i64);
    let words = view::launch_end(cause, number("exit_status"), number("signal"));
    let is_good = number("exit_status") == Some(0) || text(image, "cause") == "stopped";
    let style = state_color::style(if is_good { "ended" } else { "failed" });
    vec![(style, words)]
}

fn is_set(image: &Image, name: &str) -> bool {
    image.get(name).is_some_and(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(before: Value, after: Value) -> String {
        let image = |value: Value| value.as_object().cloned().unwrap_or_default();
        let pieces = changed(&image(before), &image(after));
        let texts =
            pieces.iter().map(|piece| piece.iter().map(|(_, text)| text.as_str()).collect());
        texts.collect::<Vec<String>>().join(", ")
    }

    #[test]
    fn what_happened_to_a_launch_is_said_in_words() {
        let ended = |cause: &str, exit_status: Option<i64>, signal: Option<i64>| {
            let after = json!({"ended_at": 1, "cause": cause, "exit_status": exit_status, "signal": signal});
            words(json!({"ended_at": null}), after)
        };
        for (cause, exit_status, signal, expected) in [
            ("exited", Some(0), None, "exited with status 0"),
            ("exited", Some(3), None, "exited with status 3"),
            ("killed", None, Some(9), "killed by signal 9"),
            ("killed", None, None, "disappeared"),
            ("runtime_lost", None, Some(1), "runtime lost"),
            ("exec_failed", None, None, "could not be started"),
            ("stopped", None, None, "stopped"),
            ("stopped", None, Some(15), "stopped, killed by signal 15"),
        ] {
            assert_eq!(ended(cause, exit_status, signal), expected);
        }
        let changed = |name: &str, before: Value, after: Value| {
            words(json!({name: before}), json!({name: after}))
        };
        assert_eq!(changed("started_at", Value::Null, 1.into()), "started");
        let written = changed("prompt_stage", "pending".into(), "written".into());
        assert_eq!(written, "prompt written");
        assert_eq!(changed("native_id", "".into(), "abc".into()), "conversation abc");
        assert_eq!(changed("signal", Value::Null, 15.into()), "killed by signal 15");
        assert_eq!(changed("boot_id", "a".into(), "b".into()), "boot_id");
    }
}
