//! Whether a delivery was signed by who knows the secret of the webhook: HMAC-SHA256 over the bytes as
//! they were sent, compared in constant time, before anything of them is read.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};

/// Checks the value of the `X-Hub-Signature-256` header, which has the form `sha256=<hex>`.
///
/// # Errors
/// `WEBHOOK_SIGNATURE` when it has another form, or is not that of this body with this secret.
pub fn verify_signature(secret: &[u8], body: &[u8], signature: &str) -> Result<()> {
    let digest = signature.strip_prefix("sha256=").and_then(unhex);
    let digest = digest.ok_or(Error::Signature("it is not sha256= and 64 hexadecimal digits"))?;
    let wrong = Error::Signature("it is not that of this payload with this secret");
    // A key of any length is taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return Err(wrong) };
    mac.update(body);
    mac.verify_slice(&digest).map_err(|_| wrong)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use ao_store::Code;

    use super::*;

    /// The example of GitHub's documentation.
    const SECRET: &[u8] = b"It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const DIGEST: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn code(secret: &[u8], body: &[u8], signature: &str) -> Option<Code> {
        verify_signature(secret, body, signature).err().map(|error| error.code())
    }

    #[test]
    fn the_published_examples_hold() {
        // The others are the cases 1, 2 and 6 of RFC 4231.
        for (secret, body, digest) in [
            (SECRET, BODY, DIGEST),
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(code(secret, body, &format!("sha256={digest}")), None);
            assert_eq!(code(secret, body, &format!("sha256={}", digest.to_uppercase())), None);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let signature = format!("sha256={DIGEST}");
        let refused = Some(Code::WebhookSignature);
        assert_eq!(code(b"another", BODY, &signature), refused);
        assert_eq!(code(b"", BODY, &signature), refused);
        assert_eq!(code(SECRET, b"Hello, World!\n", &signature), refused);
        for position in 7..signature.len() {
            let mut other = signature.clone().into_bytes();
            other[position] = if other[position] == b'0' { b'1' } else { b'0' };
            let other = String::from_utf8(other).unwrap();
            assert_eq!(code(SECRET, BODY, &other), refused, "{other}");
        }
        for form in [
            "",
            "sha256=",
            DIGEST,
            &format!("sha1={DIGEST}"),
            &format!("SHA256={DIGEST}"),
            &format!("{signature}00"),
            &format!(" {signature}"),
            &signature[..70],
            &format!("sha256={}é", &DIGEST[2..]),
            &format!("sha256=+{}", &DIGEST[1..]),
        ] {
            assert_eq!(code(SECRET, BODY, form), refused, "{form:?}");
        }
    }
}
