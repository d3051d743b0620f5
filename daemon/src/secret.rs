//! Secrets: made at random, and compared by their digests, so that the time that it takes says nothing about them.

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// 256 bits from the operating system, in hexadecimal digits.
pub(crate) fn random() -> io::Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// What is kept and compared instead of a secret.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
