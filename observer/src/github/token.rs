//! A token that nobody can print by accident.
//!
//! `Debug` and `Display` print `[redacted]`, nothing serializes it, and only this module's
//! neighbours can read it. What tells tokens apart in public is the
//! [fingerprint](Token::fingerprint).

use std::fmt;

use sha2::{Digest, Sha256};

/// Longer than any token of GitHub.
const TOKEN_MAX: usize = 4096;

/// Makes the fingerprint of a token useless for looking it up among hashes of tokens.
const DOMAIN: &[u8] = b"ao-store github token\0";

/// A token of GitHub.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token out of its text; `None` when that is empty, overlong, or has a blank, a control
    /// character or anything else in it that no header may carry.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Option<Token> {
        let text = text.into();
        let is_word = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        (is_word && text.len() <= TOKEN_MAX).then_some(Token(text))
    }

    /// Sixteen hexadecimal digits that are the same for the same token, and do not give it away.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let sum = Sha256::new().chain_update(DOMAIN).chain_update(&self.0).finalize();
        hex::encode(&sum[..8])
    }

    /// The token itself, for the header of a request.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word() {
        for bad in ["", " ", "ghp_a b", "ghp_a\n", "\tghp_a", "ghp_\0", "ghp_\u{7f}", "ghp_é"] {
            assert!(Token::new(bad).is_none(), "{bad:?}");
        }
        assert!(Token::new("x".repeat(TOKEN_MAX + 1)).is_none());
        assert_eq!(Token::new("ghp_Abc.1-2~").unwrap().expose(), "ghp_Abc.1-2~");
    }

    #[test]
    fn a_token_is_not_printed_but_can_be_told_apart() {
        let (one, other) = (Token::new("ghp_one").unwrap(), Token::new("ghp_other").unwrap());
        assert_eq!(
            format!("{one} {one:?} {:?}", Some(&one)),
            "[redacted] [redacted] Some([redacted])"
        );
        assert_eq!(one.fingerprint(), one.clone().fingerprint());
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert_eq!(one.fingerprint().len(), 16);
        assert!(one.fingerprint().bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
