//! Fingerprints: what a query read, in 16 bytes, which tells whether the next query read the same.

use std::hash::Hash;

use xxhash_rust::xxh3::Xxh3;

/// The hash of what a query read. Equal fingerprints mean equal content, but for a chance of 2^-64
/// in each comparison. It is stored, so it must not change with the compiler: xxh3 of derived
/// `Hash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of a value.
    #[must_use]
    pub fn of(value: &impl Hash) -> Fingerprint {
        let mut hasher = Xxh3::new();
        value.hash(&mut hasher);
        Fingerprint(hasher.digest128().to_le_bytes())
    }

    /// The bytes, as they are stored.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }
}
