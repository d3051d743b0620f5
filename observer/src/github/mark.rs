//! Marks: what a look saw, in 16 bytes, so that the next look is known to have seen the same.

use std::hash::{Hash, Hasher};

use xxhash_rust::xxh3::Xxh3;

/// The hash of what was seen: two looks with one mark saw the same, but for a chance of 2^-64 in
/// each comparison. It is stored, so it must not change with the compiler: xxh3 of derived `Hash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark([u8; 16]);

impl Mark {
    /// The mark of a value.
    #[must_use]
    pub fn of(value: &impl Hash) -> Mark {
        let mut hasher = Hashed(Xxh3::new());
        value.hash(&mut hasher);
        Mark(hasher.0.digest128().to_le_bytes())
    }

    /// As it is stored.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// From what was stored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Mark> {
        bytes.try_into().ok().map(Mark)
    }
}

struct Hashed(Xxh3);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.digest()
    }
}
