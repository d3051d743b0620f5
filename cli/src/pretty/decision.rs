//! Decisions in words: what an agent waits for a person to decide, and what became of it.

use super::fields::{self, Image, text};
use super::piece::{Piece, plain, short};
use crate::state_color;

/// A decision as it is: new, deleted, or in a snapshot.
pub(super) fn identifying(image: &Image) -> Vec<Piece> {
    let asked = ["tool", "text"].map(|name| text(image, name));
    let asked = asked.into_iter().filter(|asked| !asked.is_empty());
    let mut pieces = vec![plain(short(&text(image, "kind").into()))];
    pieces.extend(asked.map(|asked| plain(short(&asked.into()))));
    pieces.extend(resolution(image));
    pieces
}

/// What of a decision changed.
pub(super) fn changed(before: &Image, after: &Image) -> Vec<Piece> {
    match resolution(after).filter(|_| before.get("resolution") != after.get("resolution")) {
        Some(how) => vec![how],
        None => vec![fields::names(before, after)],
    }
}

/// What became of it; `None` while it is open.
fn resolution(image: &Image) -> Option<Piece> {
    let how = Some(text(image, "resolution")).filter(|how| !how.is_empty())?;
    let mut words = vec![(state_color::style(how), short(&how.into()))];
    let answer = text(image, "answer");
    if !answer.is_empty() {
        words.extend(plain(format!(": {}", short(&answer.into()))));
    }
    Some(words)
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
    fn what_is_asked_and_what_became_of_it_is_said_in_words() {
        let image = |resolution: &str, answer: &str| {
            let value = json!({"kind": "permission", "tool": "Bash", "text": "touch x",
                "resolution": resolution, "answer": answer});
            value.as_object().cloned().unwrap_or_default()
        };
        let open = image("", "");
        assert_eq!(words(&identifying(&open)), "permission, Bash, touch x");
        assert_eq!(words(&changed(&open, &image("answered", "allow"))), "answered: allow");
        assert_eq!(words(&changed(&open, &image("released", ""))), "released");
        assert_eq!(words(&changed(&open, &image("", "x"))), "answer");
    }
}
