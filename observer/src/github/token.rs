//! A token that cannot be printed by accident.
//!
//! `Debug` and `Display` print `[redacted]`, nothing serializes it, and only this module's
//! neighbours can read it. Its public identity is the [fingerprint](Token::fingerprint).

use std::fmt;

use sha2::{Digest, Sha256};

/// Longer than any token of GitHub.
const TOKEN_MAX: usize = 4096;

/// Keeps the fingerprint of a token from being found among published hashes of tokens.
const DOMAIN: &[u8] = b"ao-store github token\0";

/// A token of GitHub.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The token of a text; `None` when that is empty, too long, or contains a blank, a control
    /// character or anything else that no header may contain.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Option<Token> {
        let text = text.into();
        let is_word = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        (is_word && text.len() <= TOKEN_MAX).then_some(Token(text))
    }

    /// Sixteen hexadecimal digits that are the same for the same token, and do not reveal it.
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
