//! Many documents in one input: framing, positions, and the bounds while reading.

use std::io::{self, BufReader, Read};

use ao_observer::{DOCUMENT_MAX, Error, documents};
use ao_store::Code;

/// The reference, number and line of a document, or the code and message of its error.
type Outcome = Result<(String, u64, u64), (Code, String)>;

fn prs(input: &[u8]) -> Vec<Outcome> {
    documents(input)
        .map(|document| match document {
            Ok(document) => Ok((document.value.pr, document.number, document.line)),
            Err(error) => Err((error.code(), error.to_string())),
        })
        .collect()
}

#[test]
fn one_many_and_pretty_documents_are_read() {
    let a = "{\"pr\": \"o/r#1\"}";
    let pretty = "{\n  \"pr\": \"o/r#2\",\n  \"facts\": {\n  }\n}";
    let first = Ok(("o/r#1".to_owned(), 1, 1));
    let second = |line| Ok(("o/r#2".to_owned(), 2, line));
    assert_eq!(prs(a.as_bytes()), std::slice::from_ref(&first));
    assert_eq!(prs(format!("\u{feff}{a}\n").as_bytes()), std::slice::from_ref(&first));
    assert_eq!(prs(format!("{a}{pretty}").as_bytes()), [first.clone(), second(1)]);
    assert_eq!(prs(format!("{a}\r\n\r\n{pretty}\n\n").as_bytes()), [first, second(3)]);
}

#[test]
fn other_input_is_refused_with_its_position() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "the input has no document"),
        (b" \n\t ", "the input has no document"),
        (
            b"\n[{}]",
            "document 1, line 2: it is an array; give documents one after another (NDJSON)",
        ),
        (b"7", "document 1, line 1: a document is a JSON object"),
        (b"\xEF\xBBx", "document 1, line 1: a document is a JSON object"),
        (b"{\"pr\": \"o/r#1\"", "document 1, line 1: EOF while parsing an object"),
        (b"{\n\"pr\": 1}", "document 1, line 2: invalid type: integer `1`, expected a string"),
        (b"\n\n{\n\"pr\" 1}", "document 1, line 4: expected `:`"),
        (b"{\"pr\": \"\xFF\"}", "document 1, line 1: invalid unicode code point"),
    ];
    for (input, message) in cases {
        assert_eq!(prs(input), [Err((Code::InvalidJson, message.to_owned()))], "{input:?}");
    }
}

#[test]
fn nothing_is_read_after_an_error() {
    let found = prs(b"{\"pr\": \"o/r#1\"}\n{\"pr\": 2}\n{\"pr\": \"o/r#3\"}\n");
    assert_eq!(found.len(), 2);
    let (code, message) = found[1].as_ref().unwrap_err();
    assert_eq!(*code, Code::InvalidJson);
    assert!(message.starts_with("document 2, line 2: "), "{message}");
    assert_eq!(prs(b"{\"pr\": \"o/r#1\"},{\"pr\": \"o/r#2\"}").len(), 2);
}

#[test]
fn endless_input_ends_at_the_bound() {
    for (start, filling) in [("{\"x\": \"", b'a'), ("{\"x\": ", b'1'), ("{", b' '), ("", b'\n')] {
        let reader = BufReader::new(start.as_bytes().chain(io::repeat(filling)));
        let found: Vec<_> = documents(reader).collect();
        assert_eq!(found.len(), 1);
        assert!(matches!(found[0], Err(Error::TooLarge { document: 1, limit: DOCUMENT_MAX, .. })));
    }
    // Endless nesting ends as well, in a field that is read and in one that is skipped.
    for start in ["{\"x\": ", "{\"threads\": "] {
        let reader = BufReader::new(start.as_bytes().chain(io::repeat(b'[')));
        assert_eq!(documents(reader).filter(Result::is_err).count(), 1);
    }
}

#[test]
fn the_bound_applies_to_each_document() {
    let body = "x".repeat(9 << 20);
    let document = format!("{{\"pr\": \"o/r#1\", \"facts\": {{\"title\": \"{body}\"}}}}\n");
    let input = document.as_bytes().chain(document.as_bytes());
    let count = documents(BufReader::new(input)).filter(Result::is_ok).count();
    assert_eq!(count, 2);
}

#[test]
fn a_failing_reader_has_an_io_error_code() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    for start in ["", "{\"pr\": "] {
        let found: Vec<_> = documents(BufReader::new(start.as_bytes().chain(Broken))).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].as_ref().unwrap_err().code(), Code::ReadOnly);
    }
}

/// A pipe returns what it has: every split of the input reads the same.
#[test]
fn the_input_may_arrive_in_any_pieces() {
    let input = "\u{feff}{\"pr\": \"o/r#1\"}\n {\"pr\": \"o/r#2\"}";
    for size in 1..input.len() {
        let reader = BufReader::with_capacity(size, input.as_bytes());
        let numbers: Vec<_> = documents(reader).map(|document| document.unwrap().number).collect();
        assert_eq!(numbers, [1, 2]);
    }
}
