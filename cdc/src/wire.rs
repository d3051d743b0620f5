//! Changes as text: NDJSON and CloudEvents, built from the stored JSON without parsing it.
//!
//! One object per line. The images are valid JSON by construction (SQLite made them), so they are
//! copied unchanged; everything else is escaped. Formats only grow: readers ignore unknown fields.

use ao_store::LogInfo;
use ao_store::lease::Generation;
use ao_store::log::as_of::RowAt;
use ao_store::log::change::ChangeRef;
use ao_store::log::changed::changed_fields;
use ao_store::{Cursor, Epoch, Error, Timestamp};
use jiff::Timestamp as Instant;

/// Which row images a line contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Images {
    /// The row before and after.
    #[default]
    Full,
    /// The row after only.
    After,
    /// None: the key identifies the row.
    None,
}

/// Renders changes of one log into a buffer.
#[derive(Debug)]
pub struct Encoder {
    /// The `source` of CloudEvents, as JSON.
    source: String,
    epoch: Epoch,
    images: Images,
    second: i64,
    date: String,
}

impl Encoder {
    /// An encoder for a log in an epoch.
    #[must_use]
    pub fn new(log_id: &str, epoch: Epoch) -> Encoder {
        let source = serde_json::Value::from(format!("/ao-store/{log_id}")).to_string();
        let (images, second, date) = (Images::Full, i64::MIN, String::new());
        let mut encoder = Encoder { source, epoch, images, second, date };
        encoder.set_second(0);
        encoder
    }

    /// The same encoder with other images.
    #[must_use]
    pub fn with_images(self, images: Images) -> Encoder {
        Encoder { images, ..self }
    }

    /// The epoch of the log.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Appends the change as one line of the native format, documented in `docs/json.md`.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn ndjson(&mut self, change: &ChangeRef<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        raw(out, "{\"v\":1,\"seq\":");
        integer(out, change.seq().0);
        raw(out, ",\"cursor\":\"");
        self.cursor(change, out);
        raw(out, "\",\"type\":");
        string(out, &change.kind()?);
        raw(out, ",\"entity\":");
        subject(change, out)?;
        raw(out, ",\"at\":\"");
        self.time(change.at()?, out);
        raw(out, "\"");
        facts(change, self.images, out)?;
        raw(out, "}\n");
        Ok(())
    }

    /// Appends the change as one line of CloudEvents 1.0 in JSON. `source` and `id` together are
    /// the key to recognise a duplicate; `sequence` sorts as text.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn cloudevents(&mut self, change: &ChangeRef<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        raw(out, "{\"specversion\":\"1.0\",\"id\":\"");
        self.cursor(change, out);
        raw(out, "\",\"source\":");
        raw(out, &self.source);
        raw(out, ",\"sequence\":\"");
        raw(out, &format!("{:020}", change.seq().0));
        raw(out, "\",\"type\":");
        string(out, &change.kind()?);
        raw(out, ",\"subject\":");
        string(out, &format!("{}{}", change.entity()?, change.key()?));
        raw(out, ",\"time\":\"");
        self.time(change.at()?, out);
        raw(out, "\",\"datacontenttype\":\"application/json\",\"data\":{\"entity\":");
        subject(change, out)?;
        facts(change, self.images, out)?;
        raw(out, "}}\n");
        Ok(())
    }

    /// Appends a control line of the native format. It is no event, so it has no `seq`.
    pub fn control(&mut self, control: &Control<'_>, out: &mut Vec<u8>) {
        raw(out, "{\"v\":1,\"control\":\"");
        raw(out, control.name());
        raw(out, "\",\"cursor\":\"");
        raw(out, &control.cursor().to_string());
        raw(out, "\"");
        self.control_fields(control, out);
        raw(out, "}\n");
    }

    /// Appends a control line as a CloudEvent of the type `ao_store.<control>`. No event has its `id`.
    pub fn control_cloudevent(&mut self, control: &Control<'_>, at: Timestamp, out: &mut Vec<u8>) {
        raw(out, "{\"specversion\":\"1.0\",\"id\":");
        let subject = match control {
            Control::Row { entity, row, .. } => format!("{entity}{}", row.key),
            _ => at.0.to_string(),
        };
        string(out, &format!("{}/{}/{subject}", control.name(), control.cursor()));
        raw(out, ",\"source\":");
        raw(out, &self.source);
        raw(out, ",\"type\":\"ao_store.");
        raw(out, control.name());
        raw(out, "\",\"time\":\"");
        self.time(at, out);
        raw(out, "\",\"datacontenttype\":\"application/json\",\"data\":{\"cursor\":\"");
        raw(out, &control.cursor().to_string());
        raw(out, "\"");
        self.control_fields(control, out);
        raw(out, "}}\n");
    }

    /// The fields of a control line other than its cursor, each with a comma before it.
    fn control_fields(&mut self, control: &Control<'_>, out: &mut Vec<u8>) {
        match control {
            Control::Hello { log, lease, .. } => {
                raw(out, ",\"log_id\":");
                string(out, &log.log_id);
                for (name, seq) in [("floor", log.floor), ("head", log.head)] {
                    raw(out, &format!(",\"{name}\":\"{}\"", log.cursor(seq)));
                }
                raw(out, &format!(",\"schema_version\":{}", ao_store::SCHEMA_VERSION));
                if let Some(lease) = lease {
                    raw(out, &format!(",\"lease\":{}", lease.0));
                }
            }
            Control::Row { entity, row, .. } => {
                raw(out, ",\"entity\":");
                string(out, entity);
                raw(out, ",\"key\":");
                raw(out, &row.key);
                raw(out, ",\"project\":");
                optional(out, row.project.as_deref());
                raw(out, ",\"session\":");
                optional(out, row.session.as_deref());
                raw(out, ",\"row\":");
                raw(out, &row.image);
            }
            Control::Position { resume, .. } => {
                raw(out, &format!(",\"resume\":\"{resume}\""));
            }
            Control::Bookmark { head, at, .. } => {
                raw(out, &format!(",\"head\":\"{head}\",\"at\":\""));
                self.time(*at, out);
                raw(out, "\"");
            }
            Control::SnapshotBegin(_) | Control::SnapshotEnd(_) | Control::Bye(_) => {}
        }
    }

    fn cursor(&self, change: &ChangeRef<'_>, out: &mut Vec<u8>) {
        integer(out, self.epoch.0);
        raw(out, "-");
        integer(out, change.seq().0);
    }

    /// Appends RFC 3339 UTC with milliseconds. The changes of a second share its rendering.
    pub fn time(&mut self, at: Timestamp, out: &mut Vec<u8>) {
        let (second, ms) = (at.0.div_euclid(1000), at.0.rem_euclid(1000));
        if second != self.second {
            self.set_second(second);
        }
        raw(out, &self.date);
        // Exactly three digits: 7 becomes 1007, whose last three are 007.
        raw(out, ".");
        raw(out, &itoa::Buffer::new().format(ms + 1000)[1..]);
        raw(out, "Z");
    }

    fn set_second(&mut self, second: i64) {
        // No writer can choose a time, so one out of range is damage: show the nearest.
        let nearest = if second < 0 { Instant::MIN } else { Instant::MAX };
        let instant = Instant::from_second(second).unwrap_or(nearest);
        self.date = instant.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        self.second = second;
    }
}

/// A line of a stream that is not an event.
#[derive(Debug, Clone, Copy)]
pub enum Control<'a> {
    /// The first line.
    Hello {
        /// The position at which the stream begins.
        cursor: Cursor,
        /// The identity and bounds of the log.
        log: &'a LogInfo,
        /// The lease under which another process acknowledges.
        lease: Option<Generation>,
    },
    /// The rows that follow are as of this cursor.
    SnapshotBegin(Cursor),
    /// A row of a snapshot.
    Row {
        /// The cursor of the snapshot.
        cursor: Cursor,
        /// The captured table.
        entity: &'a str,
        /// The row.
        row: &'a RowAt,
    },
    /// Every row before this line was sent: `tail --snapshot --resume` resumes after them.
    Position {
        /// The cursor of the snapshot.
        cursor: Cursor,
        /// Where to resume.
        resume: &'a str,
    },
    /// The snapshot is complete; the changes after this cursor follow.
    SnapshotEnd(Cursor),
    /// Every change up to here was sent or does not pass the filter.
    Bookmark {
        /// The position.
        cursor: Cursor,
        /// The newest change: it shows how far behind the receiver is.
        head: Cursor,
        /// The time of the bookmark.
        at: Timestamp,
    },
    /// The last line of a stream that ends in order.
    Bye(Cursor),
}

impl Control<'_> {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Control::Hello { .. } => "hello",
            Control::SnapshotBegin(_) => "snapshot_begin",
            Control::Row { .. } => "row",
            Control::Position { .. } => "snapshot_position",
            Control::SnapshotEnd(_) => "snapshot_end",
            Control::Bookmark { .. } => "bookmark",
            Control::Bye(_) => "bye",
        }
    }

    const fn cursor(&self) -> Cursor {
        match self {
            Control::SnapshotBegin(cursor)
            | Control::SnapshotEnd(cursor)
            | Control::Bye(cursor)
            | Control::Hello { cursor, .. }
            | Control::Row { cursor, .. }
            | Control::Position { cursor, .. }
            | Control::Bookmark { cursor, .. } => *cursor,
        }
    }
}

/// The row that changed, from the value of `entity` on.
fn subject(change: &ChangeRef<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    string(out, &change.entity()?);
    raw(out, ",\"op\":");
    string(out, &change.op()?);
    raw(out, ",\"key\":");
    raw(out, &change.key()?);
    raw(out, ",\"project\":");
    optional(out, change.project()?.as_deref());
    raw(out, ",\"session\":");
    optional(out, change.session()?.as_deref());
    Ok(())
}

/// The actor, the transaction and the images.
fn facts(change: &ChangeRef<'_>, images: Images, out: &mut Vec<u8>) -> Result<(), Error> {
    raw(out, ",\"actor\":");
    optional(out, change.actor()?.as_deref());
    raw(out, ",\"tx\":");
    match change.tx()? {
        Some(tx) => integer(out, tx.0),
        None => raw(out, "null"),
    }
    let (before, after) = (change.before()?, change.after()?);
    if let (Some(before), Some(after)) = (&before, &after) {
        changed(before, after, out);
    }
    if images == Images::Full {
        raw(out, ",\"before\":");
        raw(out, before.as_deref().unwrap_or("null"));
    }
    if images != Images::None {
        raw(out, ",\"after\":");
        raw(out, after.as_deref().unwrap_or("null"));
    }
    Ok(())
}

/// The names of the fields that an update changed. The images name them in JSON already.
fn changed(before: &str, after: &str, out: &mut Vec<u8>) {
    raw(out, ",\"changed\":[");
    for (index, field) in changed_fields(before, after).enumerate() {
        raw(out, if index == 0 { "\"" } else { ",\"" });
        raw(out, field.name);
        raw(out, "\"");
    }
    raw(out, "]");
}

fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn integer(out: &mut Vec<u8>, number: i64) {
    raw(out, itoa::Buffer::new().format(number));
}

/// A JSON string. Almost no text needs an escape, and one scan is faster than a lookup per byte.
fn string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        // Writing to a `Vec` cannot fail.
        let _ = serde_json::to_writer(out, text);
        return;
    }
    out.push(b'"');
    raw(out, text);
    out.push(b'"');
}

fn optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => string(out, text),
        None => raw(out, "null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        let mut encoder = Encoder::new("x", Epoch(1));
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_233_959_390, "2026-11-21T04:05:59.390Z"),
            (1_795_233_959_007, "2026-11-21T04:05:59.007Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            let mut out = Vec::new();
            encoder.time(Timestamp(ms), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        let mut out = Vec::new();
        encoder.time(Timestamp(i64::MAX), &mut out);
        assert!(!out.is_empty());
    }
}
