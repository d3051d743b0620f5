//! Reads documents from a stream, one at a time: memory is bounded by one document, and a document by
//! [`DOCUMENT_MAX`] while it is read.

use std::io::{self, BufRead, Cursor, Read};

use ao_store::text_input::{BEGINNING, without_mark};
use serde::Deserialize;

use crate::document::Document;
use crate::error::{Error, Result, quoted, reason};
use crate::json::Object;

/// The largest document that is read, in bytes, with the white space before it.
pub const DOCUMENT_MAX: u64 = 16 << 20;

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
    documents_with(reader, UnknownFields::Ignore)
}

/// What a field that no document has means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownFields {
    /// It is ignored: a newer program may have written it.
    Ignore,
    /// The document is `INVALID_JSON`.
    Refuse,
}

/// The same, with a choice what an unknown field means.
pub fn documents_with(
    reader: impl BufRead,
    unknown: UnknownFields,
) -> impl Iterator<Item = Result<Numbered<Document>>> {
    let mut input = Input { beginning: Cursor::default(), reader, line: 1, left: 0 };
    let mut number = 0;
    let mut is_ended = false;
    std::iter::from_fn(move || {
        if is_ended {
            return None;
        }
        number += 1;
        let document = next(&mut input, number, unknown).transpose();
        is_ended = !matches!(document, Some(Ok(_)));
        document
    })
}

/// The document of this number, or `None` at the end of the input.
fn next(
    input: &mut Input<impl BufRead>,
    number: u64,
    unknown: UnknownFields,
) -> Result<Option<Numbered<Document>>> {
    let refused = |line, reason: &str| {
        Err(Error::InvalidJson { document: number, line, reason: reason.to_owned() })
    };
    if number == 1
        && let Err(reason) = input.skip_mark().map_err(Error::Read)?
    {
        return Err(Error::NotText(reason));
    }
    input.left = DOCUMENT_MAX;
    let begin = input.begin();
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
    let mut ignored = None;
    let mut ignore = |path: serde_ignored::Path<'_>| {
        // The path has a question mark for each field that may be absent.
        ignored.get_or_insert_with(|| path.to_string().replace("?.", ""));
    };
    let read = match unknown {
        UnknownFields::Ignore => Object::deserialize(&mut deserializer),
        UnknownFields::Refuse => serde_ignored::deserialize(&mut deserializer, &mut ignore),
    };
    if let (Ok(_), Some(field)) = (&read, ignored) {
        return refused(line, &format!("the field {} is unknown", quoted(&field)));
    }
    match read {
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
    /// The first bytes of the input, which were looked at.
    beginning: Cursor<Vec<u8>>,
    reader: R,
    line: u64,
    left: u64,
}

impl<R: BufRead> Input<R> {
    /// Skips the byte order mark at the beginning of the input, or returns why it cannot be read.
    fn skip_mark(&mut self) -> io::Result<Result<(), &'static str>> {
        let mut first = Vec::new();
        self.reader.by_ref().take(BEGINNING as u64).read_to_end(&mut first)?;
        Ok(without_mark(&first).map(|text| self.beginning = Cursor::new(text.to_owned())))
    }

    /// Skips to the first byte of a document and returns it.
    fn begin(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.read_exact(&mut [0])?,
                other => return Ok(other),
            }
        }
    }

    /// What is read next.
    fn buffer(&mut self) -> io::Result<&[u8]> {
        match self.beginning.position() < self.beginning.get_ref().len() as u64 {
            true => self.beginning.fill_buf(),
            false => self.reader.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self.beginning.position() < self.beginning.get_ref().len() as u64 {
            true => self.beginning.consume(count),
            false => self.reader.consume(count),
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.buffer() {
                Ok(buffer) => return Ok(buffer.first().copied()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R: BufRead> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let buffer = self.buffer()?;
        let count = buffer.len().min(out.len());
        if count == 0 {
            return Ok(0);
        }
        if left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let count = count.min(left);
        let (read, _) = buffer.split_at(count);
        let mut lines = 0;
        for (to, from) in out.iter_mut().zip(read) {
            *to = *from;
            lines += u64::from(*from == b'\n');
        }
        self.line += lines;
        self.consume(count);
        self.left -= count as u64;
        Ok(count)
    }
}
