//! The length and the digest of a text that is too large for a captured row.

use sha2::{Digest, Sha256};

/// The length in bytes, and the digest with its algorithm; of an empty text 0 and nothing.
pub(crate) type Summary = (i64, String);

/// Those of a text.
pub(crate) fn summary(text: &str) -> Summary {
    if text.is_empty() {
        return (0, String::new());
    }
    let bytes = i64::try_from(text.len()).unwrap_or(i64::MAX);
    (bytes, format!("sha256:{}", hex::encode(Sha256::digest(text))))
}
