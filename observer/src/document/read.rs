//! Reads documents from a stream, one at a time: memory is bounded by one document, and a document by
//! [`DOCUMENT_MAX`] while it is read.

use std::io::{self, BufRead, Read};

use serde::Deserialize;

use crate::document::Document;
use crate::error::{Error, Result, reason};
use crate::json::Object;

/// The largest document that is read, in bytes, with the white space before it.
pub const DOCUMENT_MAX: u64 = 16 << 20;

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// A value and its position in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered<T> {
    /// Which document of the input it is, from 1.
    pub number: u64,
    /// The line of its beginning, from 1.
    pub line: u64,
    /// The value.
    pub value: T,
}

/// Reads one JSON object, on one line or many, or any number of them one after another (NDJSON or
/// just concatenated). After an error nothing more is read.
///
/// The items are `INVALID_JSON` for an input that is no JSON, cut off, empty, or an array;
/// `INPUT_TOO_LARGE` beyond [`DOCUMENT_MAX`]; an I/O code when the reader fails.
pub fn documents(reader: impl BufRead) -> impl Iterator<Item = Result<Numbered<Document>>> {
    let mut input = Input { reader, line: 1, left: 0 };
    let mut number = 0;
    let mut is_ended = false;
    std::iter::from_fn(move || {
        if is_ended {
            return None;
        }
        number += 1;
        let document = next(&mut input, number).transpose();
        is_ended = !matches!(document, Some(Ok(_)));
        document
    })
}

/// The document of this number, or `None` at the end of the input.
fn next(input: &mut Input<impl BufRead>, number: u64) -> Result<Option<Numbered<Document>>> {
    input.left = DOCUMENT_MAX;
    let begin = input.begin(number == 1);
    let refused = |line, reason: &str| {
        Err(Error::InvalidJson { document: number, line, reason: reason.to_owned() })
    };
    let line = input.line;
    match begin.map_err(|error| failed(error, number, line))? {
        Some(b'{') => {}
        Some(b'[') => {
            return refused(line, "it is an array; give documents one after another (NDJSON)");
        }
        Some(_) => return refused(line, "a document is a JSON object"),
        None if number == 1 => return Err(Error::NoDocument),
        None => return Ok(None),
    }
    // Nothing is read ahead: an object ends with its brace.
    let mut deserializer = serde_json::Deserializer::from_reader(&mut *input);
    match Object::deserialize(&mut deserializer) {
        Ok(Object(value)) => Ok(Some(Numbered { number, line, value })),
        Err(error) if error.is_io() => Err(failed(error.into(), number, input.line)),
        Err(error) => Err(Error::InvalidJson {
            document: number,
            line: line + (error.line() as u64).saturating_sub(1),
            reason: reason(&error),
        }),
    }
}

fn failed(error: io::Error, document: u64, line: u64) -> Error {
    match error.kind() {
        io::ErrorKind::FileTooLarge => Error::TooLarge { document, line, limit: DOCUMENT_MAX },
        _ => Error::Read(error),
    }
}

/// A reader that counts lines and fails with `FileTooLarge` once the bound is used up.
struct Input<R> {
    reader: R,
    line: u64,
    left: u64,
}

impl<R: BufRead> Input<R> {
    /// Skips to the first byte of a document and returns it.
    fn begin(&mut self, at_start: bool) -> io::Result<Option<u8>> {
        if at_start && self.peek()? == Some(BYTE_ORDER_MARK[0]) {
            let mut mark = Vec::new();
            self.by_ref().take(3).read_to_end(&mut mark)?;
            if mark != BYTE_ORDER_MARK {
                return Ok(mark.first().copied());
            }
        }
        loop {
            match self.peek()? {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.read_exact(&mut [0])?,
                other => return Ok(other),
            }
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.reader.fill_buf() {
                Ok(buffer) => return Ok(buffer.first().copied()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R: BufRead> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let buffer = self.reader.fill_buf()?;
        let count = buffer.len().min(out.len());
        if count == 0 {
            return Ok(0);
        }
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let count = count.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let (read, _) = buffer.split_at(count);
        for (to, from) in out.iter_mut().zip(read) {
            *to = *from;
            self.line += u64::from(*from == b'\n');
        }
        self.reader.consume(count);
        self.left -= count as u64;
        Ok(count)
    }
}
