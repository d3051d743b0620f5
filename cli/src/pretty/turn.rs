//! Turns and conversations in words: who is asked, where a turn is, and why it was not answered.

use serde_json::Value;

use super::fields::{self, Image, text};
use super::piece::{Piece, plain, short};
use crate::state_color;

/// A turn or a conversation as it is: new, deleted, or in a snapshot.
pub(super) fn identifying(image: &Image) -> Vec<Piece> {
    let to = format!("to {}", short(&text(image, "agent_id").into()));
    if image.contains_key("thread") {
        let user = format!("of {}", short(&text(image, "user_id").into()));
        return vec![plain(to), plain(user)];
    }
    let bytes = image.get("input_bytes").and_then(Value::as_i64).unwrap_or_default();
    let unit = if bytes == 1 { "byte" } else { "bytes" };
    vec![plain(format!("{bytes} {unit} {to}")), state(image)]
}

/// What of a turn changed.
pub(super) fn changed(before: &Image, after: &Image) -> Vec<Piece> {
    if before.get("state") == after.get("state") {
        return vec![fields::names(before, after)];
    }
    let mut pieces = vec![state(after)];
    let reason = text(after, "reason");
    if !reason.is_empty() {
        pieces.push(plain(short(&reason.into())));
    }
    pieces
}

fn state(image: &Image) -> Piece {
    let state = text(image, "state");
    vec![(state_color::style(state), short(&state.into()))]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(pieces: &[Piece]) -> String {
        let texts =
            pieces.iter().map(|piece| piece.iter().map(|(_, text)| text.as_str()).collect());
        texts.collect::<Vec<String>>().join(", ")
    }

    #[test]
    fn what_happened_to_a_turn_is_said_in_words() {
        let image = |state: &str, reason: &str| {
            let value = json!({"agent_id": "reviewer", "input_bytes": 5, "state": state,
                "reason": reason});
            value.as_object().cloned().unwrap_or_default()
        };
        let (new, failed) = (image("queued", ""), image("failed", "worker_died"));
        assert_eq!(words(&identifying(&new)), "5 bytes to reviewer, queued");
        assert_eq!(words(&changed(&new, &failed)), "failed, worker_died");
        let value = json!({"agent_id": "reviewer", "user_id": "1000", "thread": ""});
        let conversation = value.as_object().cloned().unwrap_or_default();
        assert_eq!(words(&identifying(&conversation)), "to reviewer, of 1000");
    }
}
