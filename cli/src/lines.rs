//! The lines of a stream in each of its formats: changes, rows of a snapshot, and control lines.
//!
//! Lines are collected while the store is read and written when the read has ended.

use std::time::{Duration, Instant};

use ao_cdc::Rows;
use ao_cdc::wire::{Control, Encoder, Hello};
use ao_store::row::change::ChangeRef;
use ao_store::row::consumer::Generation;
use ao_store::row::log::LogInfo;
use ao_store::{Cursor, Seq, Timestamp};

use crate::args::Format;
use crate::error::Result;
use crate::{output, pretty};

/// A position that moved without an event is told this long after the last line.
const MOVED_EVERY: Duration = Duration::from_secs(1);

/// Renders a stream and writes it to standard output.
pub(crate) struct Lines {
    encoder: Encoder,
    format: Format,
    /// How often a control line comes at least; `None` for a stream without any.
    heartbeat: Option<Duration>,
    text: Vec<u8>,
    /// The last change that was appended.
    last: Option<Seq>,
    /// The position that the last line told, and when.
    told: Option<Cursor>,
    at: Instant,
}

impl Lines {
    pub(crate) fn new(encoder: Encoder, format: Format, heartbeat: Option<Duration>) -> Lines {
        let (text, last, told, at) = (Vec::new(), None, None, Instant::now());
        Lines { encoder, format, heartbeat, text, last, told, at }
    }

    pub(crate) fn hello(
        &mut self,
        cursor: Cursor,
        log: &LogInfo,
        lease: Option<Generation>,
    ) -> Result<()> {
        self.control(&Control::Hello { log: Hello { cursor, log }, lease })?;
        self.told = Some(cursor);
        Ok(())
    }

    pub(crate) fn snapshot_begin(&mut self, cursor: Cursor) -> Result<()> {
        self.control(&Control::SnapshotBegin(cursor))
    }

    pub(crate) fn snapshot_end(&mut self, cursor: Cursor) -> Result<()> {
        self.told = Some(cursor);
        self.control(&Control::SnapshotEnd(cursor))
    }

    /// Rows of a snapshot, and where it could be resumed after them.
    pub(crate) fn rows(&mut self, cursor: Cursor, rows: &Rows) -> Result<()> {
        for row in &rows.rows {
            if self.format == Format::Pretty {
                pretty::write_row(rows.entity, row, &mut self.text);
            } else {
                self.render(&Control::Row { cursor, entity: rows.entity, row });
            }
        }
        // A filter may hold long tables back: the position says that it goes on.
        let is_silent = self.heartbeat.is_some_and(|heartbeat| self.at.elapsed() >= heartbeat);
        if !rows.rows.is_empty() || is_silent {
            self.render(&Control::Position { cursor, resume: &rows.position });
        }
        self.write()
    }

    /// The last line of a stream that ended in order.
    pub(crate) fn bye(&mut self, cursor: Cursor) -> Result<()> {
        self.control(&Control::Bye(cursor))
    }

    /// A position that is worth telling although nothing came.
    pub(crate) fn bookmark(&mut self, cursor: Cursor, head: Cursor) -> Result<()> {
        self.told = Some(cursor);
        self.control(&Control::Bookmark { cursor, head, at: Timestamp::now() })
    }

    /// Appends a change.
    pub(crate) fn change(&mut self, change: &ChangeRef<'_>) -> Result<(), ao_store::Error> {
        self.last = Some(change.seq());
        match self.format {
            Format::Pretty => pretty::write(change, &mut self.text),
            Format::Ndjson => self.encoder.ndjson(change, &mut self.text),
            Format::Cloudevents => self.encoder.cloudevents(change, &mut self.text),
        }
    }

    /// Writes what was collected up to `cursor`, and a bookmark where one is due: after the events
    /// that it covers.
    pub(crate) fn flush(
        &mut self,
        cursor: Cursor,
        head: impl FnOnce() -> Result<Cursor>,
    ) -> Result<()> {
        if let Some(seq) = self.last.take() {
            // What followed it and did not pass is worth telling when nothing else comes.
            self.told = Some(Cursor { seq, ..cursor });
            return self.write();
        }
        let Some(heartbeat) = self.heartbeat else { return Ok(()) };
        let silence = self.at.elapsed();
        let has_moved = self.told != Some(cursor);
        if silence >= heartbeat || (has_moved && silence >= MOVED_EVERY) {
            return self.bookmark(cursor, head()?);
        }
        Ok(())
    }

    fn control(&mut self, control: &Control<'_>) -> Result<()> {
        if self.heartbeat.is_none() {
            return Ok(());
        }
        self.render(control);
        self.write()
    }

    fn render(&mut self, control: &Control<'_>) {
        match self.format {
            // A person sees the changes; the rest is for programs.
            Format::Pretty => {}
            Format::Ndjson => self.encoder.control(control, &mut self.text),
            Format::Cloudevents => {
                self.encoder.control_cloudevent(control, Timestamp::now(), &mut self.text);
            }
        }
    }

    fn write(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        // Also where nothing is shown to a person, or the next bookmark would be due at once.
        self.at = Instant::now();
        if text.is_empty() {
            return Ok(());
        }
        match self.format {
            Format::Pretty => output::bytes(&text),
            Format::Ndjson | Format::Cloudevents => output::raw_bytes(&text),
        }
    }
}
