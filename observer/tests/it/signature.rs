//! Signatures of webhook deliveries.

use ao_observer::webhook::verify_signature;
use ao_store::Code;

/// The example of GitHub's documentation.
const SECRET: &[u8] = b"It's a Secret to Everybody";
const BODY: &[u8] = b"Hello, World!";
const DIGEST: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn code(secret: &[u8], body: &[u8], signature: &str) -> Option<Code> {
    verify_signature(secret, body, signature).err().map(|error| error.code())
}

#[test]
fn published_examples_are_valid() {
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
