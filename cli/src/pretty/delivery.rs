//! Deliveries in words: who sends what, how far it got, and why it got no further.

use serde_json::Value;

use super::fields::{self, Image, text};
use super::piece::{Piece, plain, short};
use crate::state_color;

/// A delivery as it is: new, deleted, or in a snapshot.
pub(super) fn identifying(image: &Image) -> Vec<Piece> {
    let bytes = image.get("bytes").and_then(Value::as_i64).unwrap_or_default();
    let unit = if bytes == 1 { "byte" } else { "bytes" };
    let mut words = format!("{} of {bytes} {unit}", text(image, "kind"));
    let sender = text(image, "sender");
    if !sender.is_empty() {
        words += &format!(" from {}", short(&sender.into()));
    }
    vec![plain(words), stage(image)]
}

/// What of a delivery changed.
pub(super) fn changed(before: &Image, after: &Image) -> Vec<Piece> {
    if before.get("stage") == after.get("stage") {
        return vec![fields::names(before, after)];
    }
    let mut pieces = vec![stage(after)];
    let reason = text(after, "reason");
    if !reason.is_empty() {
        pieces.push(plain(short(&reason.into())));
    }
    pieces
}

fn stage(image: &Image) -> Piece {
    let stage = text(image, "stage");
    vec![(state_color::style(stage), short(&stage.into()))]
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
    fn what_happened_to_a_message_is_said_in_words() {
        let image = |stage: &str, reason: &str| {
            let value = json!({"kind": "message", "sender": "demo-2", "bytes": 5, "stage": stage,
                "reason": reason});
            value.as_object().cloned().unwrap_or_default()
        };
        let (new, written) = (image("accepted", ""), image("written", ""));
        assert_eq!(words(&identifying(&new)), "message of 5 bytes from demo-2, accepted");
        assert_eq!(words(&changed(&new, &written)), "written");
        let lost = image("ambiguous", "the process that wrote it ended");
        assert_eq!(words(&changed(&new, &lost)), "ambiguous, the process that wrote it ended");
        let longer = {
            let mut it = new.clone();
            it.insert("bytes".to_owned(), 9.into());
            it
        };
        assert_eq!(words(&changed(&new, &longer)), "bytes");
    }
}
