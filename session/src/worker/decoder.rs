//! Decodes text that arrives in pieces: what is not UTF-8 becomes replacement characters, as it would if the
//! text had arrived at once.

/// The state between two pieces: the beginning of a character.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    rest: Vec<u8>,
}

impl Decoder {
    /// Appends what a piece adds to a text.
    pub(super) fn push(&mut self, piece: &[u8], text: &mut String) {
        self.rest.extend_from_slice(piece);
        let mut end = 0;
        for chunk in self.rest.utf8_chunks() {
            let invalid = chunk.invalid();
            text.push_str(chunk.valid());
            end += chunk.valid().len();
            let is_last = end + invalid.len() == self.rest.len();
            let is_begun = std::str::from_utf8(invalid).is_err_and(|it| it.error_len().is_none());
            if is_last && is_begun {
                break;
            }
            end += invalid.len();
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.rest.drain(..end);
    }

    /// Appends what the end of all pieces adds.
    pub(super) fn finish(&mut self, text: &mut String) {
        if !std::mem::take(&mut self.rest).is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> String {
        let (mut decoder, mut text) = (Decoder::default(), String::new());
        pieces.for_each(|piece| decoder.push(piece, &mut text));
        decoder.finish(&mut text);
        text
    }

    #[test]
    fn pieces_are_decoded_as_the_whole_would_be() {
        let texts: [&[u8]; 9] = [
            b"",
            "a\u{e9}\u{20ac}\u{1f600}z".as_bytes(),
            b"\xff\xfe\x00\x80",
            b"\xe2\x82",
            b"\xe2\x82\xe2\x82\xac\xf0\x9f\x98",
            b"a\xf0\x9f\x98z\xc3",
            b"\xed\xa0\x80",
            b"\xc0\xaf\xf5\x80",
            b"\xf0\x90\x28\xbc",
        ];
        for text in texts {
            let expected = String::from_utf8_lossy(text);
            for size in 1..=text.len().max(1) {
                assert_eq!(decoded(text.chunks(size)), expected, "{text:?} by {size}");
            }
        }
    }
}
