//! One item of the stream as text.

use ao_cdc::Batch;
use ao_cdc::wire::{Control, Encoder};
use ao_store::log::change::{Change, ChangeRef};
use axum::body::Bytes;
use http::HeaderMap;
use http::header::ACCEPT;
use serde_json::Value;

/// How items are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Server-sent events.
    Sse,
    /// One JSON object per line.
    Ndjson,
}

impl Format {
    /// NDJSON for a client that asks for it.
    pub(crate) fn accepted(headers: &HeaderMap) -> Format {
        let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
        let wants_lines = accepted.any(|accept| accept.contains("application/x-ndjson"));
        if wants_lines { Format::Ndjson } else { Format::Sse }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Sse => "text/event-stream",
            Format::Ndjson => "application/x-ndjson",
        }
    }

    /// What comes before everything else.
    pub(crate) fn preface(self) -> String {
        match self {
            Format::Sse => "retry: 2000\n\n".to_owned(),
            Format::Ndjson => String::new(),
        }
    }

    /// An item that moves the position of a client. The name has no line end.
    pub(crate) fn numbered(self, id: i64, name: &str, line: &Value) -> String {
        match self {
            Format::Sse => format!("id: {id}\n{}", self.unnumbered(name, line)),
            Format::Ndjson => self.unnumbered(name, line),
        }
    }

    /// An item that moves none.
    pub(crate) fn unnumbered(self, name: &str, line: &Value) -> String {
        match self {
            Format::Sse => format!("event: {name}\ndata: {line}\n\n"),
            Format::Ndjson => format!("{line}\n"),
        }
    }
}

/// All changes of one read as text, in one buffer, and where each of them ends.
struct Frames {
    format: Format,
    text: Bytes,
    ends: Vec<usize>,
}

/// Renders the items of one client.
#[derive(Debug)]
pub(crate) struct Renderer {
    format: Format,
    encoder: Encoder,
    line: Vec<u8>,
    /// Without the field `event`.
    is_unnamed: bool,
}

impl Renderer {
    pub(crate) fn new(format: Format, encoder: Encoder, is_unnamed: bool) -> Renderer {
        Renderer { format, encoder, line: Vec::new(), is_unnamed }
    }

    /// What comes before everything else.
    pub(crate) fn preface(&self) -> String {
        self.format.preface()
    }

    /// What shows that the connection lives.
    pub(crate) fn control(&mut self, control: &Control<'_>, out: &mut Vec<u8>) {
        self.line.clear();
        self.encoder.control(control, &mut self.line);
        self.unnumbered(control.name(), out);
    }

    /// Why the stream ends, as a JSON object on one line.
    pub(crate) fn error(&mut self, object: &str, out: &mut Vec<u8>) {
        self.line.clear();
        self.line.extend_from_slice(object.as_bytes());
        self.line.push(b'\n');
        self.unnumbered("error", out);
    }

    /// An item that moves no client's position: it has no id.
    fn unnumbered(&self, name: &str, out: &mut Vec<u8>) {
        if self.format == Format::Sse {
            if !self.is_unnamed {
                out.extend_from_slice(format!("event: {name}\n").as_bytes());
            }
            out.extend_from_slice(b"data: ");
        }
        out.extend_from_slice(&self.line);
        if self.format == Format::Sse {
            out.push(b'\n');
        }
    }

    fn change(&mut self, change: &ChangeRef<'_>, out: &mut Vec<u8>) -> ao_store::Result<()> {
        if self.format == Format::Ndjson {
            return self.encoder.ndjson(change, out);
        }
        self.line.clear();
        self.encoder.ndjson(change, &mut self.line)?;
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(format!("{}-{}", self.encoder.epoch(), change.seq().0).as_bytes());
        if !self.is_unnamed {
            out.extend_from_slice(b"\nevent: ");
            // A foreign writer may have stored anything.
            let kind = change.kind()?;
            out.extend(kind.bytes().map(|byte| if byte < b' ' { b'_' } else { byte }));
        }
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(&self.line);
        out.push(b'\n');
        Ok(())
    }

    /// The changes of a batch that pass. Their text is made once for all clients of the same kind.
    pub(crate) fn batch(&mut self, batch: &Batch) -> ao_store::Result<Bytes> {
        if !self.is_unnamed {
            let shared = batch.rendered(|changes| self.frames(changes));
            if let Some(Ok(frames)) =
                shared.filter(|it| it.as_ref().is_ok_and(|it| it.format == self.format))
            {
                return Ok(frames.select(batch.indexes()));
            }
        }
        let mut out = Vec::new();
        for change in batch.iter() {
            self.change(&change.borrowed(), &mut out)?;
        }
        Ok(out.into())
    }

    fn frames(&mut self, changes: &[Change]) -> ao_store::Result<Frames> {
        let (mut text, mut ends) = (Vec::new(), Vec::with_capacity(changes.len()));
        for change in changes {
            self.change(&change.borrowed(), &mut text)?;
            ends.push(text.len());
        }
        Ok(Frames { format: self.format, text: text.into(), ends })
    }
}

impl Frames {
    /// The text of these changes; no copy of it if they follow one another.
    fn select(&self, indexes: impl Iterator<Item = usize>) -> Bytes {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for index in indexes {
            let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
            match runs.last_mut() {
                Some(run) if run.1 == start => run.1 = self.ends[index],
                _ => runs.push((start, self.ends[index])),
            }
        }
        match runs[..] {
            [(start, end)] => self.text.slice(start..end),
            _ => runs.iter().flat_map(|&(start, end)| &self.text[start..end]).copied().collect(),
        }
    }
}
