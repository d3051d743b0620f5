//! How the text of an input begins: one answer for every reader of a file or of standard input.

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How many bytes [`without_mark`] needs, where more follow.
pub const BEGINNING: usize = 4;

/// Why text cannot be read: UTF-16, which Windows writes, and UTF-32 are not converted.
pub const NOT_UTF8: &str = "it is not UTF-8 but UTF-16 or UTF-32; save it as UTF-8";

/// The text of an input without the byte order mark of UTF-8.
///
/// # Errors
/// [`NOT_UTF8`] for text in UTF-16 or UTF-32, with a byte order mark or in ASCII characters.
pub fn without_mark(text: &[u8]) -> Result<&[u8], &'static str> {
    match text {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, ..] | [_, 0, ..] => Err(NOT_UTF8),
        _ => Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_mark_of_utf_8_is_removed_and_only_once() {
        for (text, expected) in [
            (&b""[..], &b""[..]),
            (b"{}", b"{}"),
            (b"\xEF\xBB\xBF", b""),
            (b"\xEF\xBB\xBF{}", b"{}"),
            (b"\xEF\xBB\xBF\xEF\xBB\xBF{}", b"\xEF\xBB\xBF{}"),
            (b"\xEF\xBB", b"\xEF\xBB"),
            (b" \xEF\xBB\xBF{}", b" \xEF\xBB\xBF{}"),
            (b"\xFF", b"\xFF"),
        ] {
            assert_eq!(without_mark(text), Ok(expected), "{text:?}");
        }
        for other in [
            &b"\xFF\xFE{\0}\0"[..],
            b"\xFE\xFF\0{\0}",
            b"{\0}\0",
            b"\0{\0}",
            b"\xFF\xFE\0\0{\0\0\0",
            b"\0\0\xFE\xFF\0\0\0{",
        ] {
            assert_eq!(without_mark(other), Err(NOT_UTF8), "{other:?}");
        }
    }
}
