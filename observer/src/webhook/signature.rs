//! Whether a webhook delivery was signed with the secret of the webhook: HMAC-SHA256 over the bytes
//! as they were sent, compared in constant time, before anything of them is read.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};

/// Checks the value of the `X-Hub-Signature-256` header, which has the form `sha256=<hex>`.
///
/// # Errors
/// `WEBHOOK_SIGNATURE` when it has another form, or is not that of this body with this secret.
pub fn verify_signature(secret: &[u8], body: &[u8], signature: &str) -> Result<()> {
    let mut digest = [0; 32];
    let hex = signature.strip_prefix("sha256=").unwrap_or_default();
    hex::decode_to_slice(hex, &mut digest)
        .map_err(|_| Error::Signature("it is not sha256= and 64 hexadecimal digits"))?;
    let wrong = Error::Signature("it is not that of this payload with this secret");
    // HMAC accepts a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return Err(wrong) };
    mac.update(body);
    mac.verify_slice(&digest).map_err(|_| wrong)
}
