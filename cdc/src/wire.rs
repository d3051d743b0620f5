//! Changes as text: NDJSON and CloudEvents, spliced from the stored JSON without parsing it.
//!
//! One object a line. The images are valid JSON by construction (SQLite made them), so they are
//! copied as they are; everything else is escaped. Formats only grow: readers ignore unknown fields.

use std::io::Write;

use ao_store::row::change::ChangeRef;
use ao_store::{Epoch, Error, Timestamp};
use jiff::Timestamp as Instant;

/// Renders changes of one log into a buffer.
#[derive(Debug)]
pub struct Encoder {
    /// The `source` of CloudEvents, as JSON.
    source: String,
    epoch: Epoch,
    second: i64,
    date: String,
}

impl Encoder {
    /// An encoder for a log in an epoch.
    #[must_use]
    pub fn new(log_id: &str, epoch: Epoch) -> Encoder {
        let source = serde_json::Value::from(format!("/ao-store/{log_id}")).to_string();
        let mut encoder = Encoder { source, epoch, second: i64::MIN, date: String::new() };
        encoder.set_second(0);
        encoder
    }

    /// Appends the change as one line of the native format, documented in `docs/json.md`.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn ndjson(&mut self, change: &ChangeRef<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let (seq, epoch) = (change.seq(), self.epoch);
        splice(out, format_args!("{{\"v\":1,\"seq\":{seq},\"cursor\":\"{epoch}-{seq}\",\"type\":"));
        string(out, &change.kind()?);
        splice(out, format_args!(",\"entity\":"));
        string(out, &change.entity()?);
        splice(out, format_args!(",\"op\":"));
        string(out, &change.op()?);
        splice(out, format_args!(",\"key\":{},\"project\":", change.key()?));
        optional(out, change.project()?.as_deref());
        splice(out, format_args!(",\"session\":"));
        optional(out, change.session()?.as_deref());
        splice(out, format_args!(",\"at\":\""));
        self.time(change.at()?, out);
        splice(out, format_args!("\",\"actor\":"));
        optional(out, change.actor()?.as_deref());
        match change.tx()? {
            Some(tx) => splice(out, format_args!(",\"tx\":{tx}")),
            None => splice(out, format_args!(",\"tx\":null")),
        }
        images(change, out)?;
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    /// Appends the change as one line of CloudEvents 1.0 in JSON. `source` and `id` together are
    /// the key to recognise a duplicate; `sequence` sorts as text.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn cloudevents(&mut self, change: &ChangeRef<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let (seq, epoch, source) = (change.seq(), self.epoch, &self.source);
        splice(
            out,
            format_args!(
                "{{\"specversion\":\"1.0\",\"id\":\"{epoch}-{seq}\",\"source\":{source},\
                 \"sequence\":\"{:020}\",\"type\":",
                seq.0
            ),
        );
        string(out, &change.kind()?);
        splice(out, format_args!(",\"subject\":"));
        string(out, &format!("{}{}", change.entity()?, change.key()?));
        splice(out, format_args!(",\"time\":\""));
        self.time(change.at()?, out);
        splice(
            out,
            format_args!("\",\"datacontenttype\":\"application/json\",\"data\":{{\"entity\":"),
        );
        string(out, &change.entity()?);
        splice(out, format_args!(",\"op\":"));
        string(out, &change.op()?);
        splice(out, format_args!(",\"key\":{},\"project\":", change.key()?));
        optional(out, change.project()?.as_deref());
        splice(out, format_args!(",\"session\":"));
        optional(out, change.session()?.as_deref());
        splice(out, format_args!(",\"actor\":"));
        optional(out, change.actor()?.as_deref());
        match change.tx()? {
            Some(tx) => splice(out, format_args!(",\"tx\":{tx}")),
            None => splice(out, format_args!(",\"tx\":null")),
        }
        images(change, out)?;
        out.extend_from_slice(b"}}\n");
        Ok(())
    }

    /// Appends RFC 3339 UTC with milliseconds. The changes of a second share its rendering.
    pub fn time(&mut self, at: Timestamp, out: &mut Vec<u8>) {
        let (second, ms) = (at.0.div_euclid(1000), at.0.rem_euclid(1000));
        if second != self.second {
            self.set_second(second);
        }
        splice(out, format_args!("{}.{ms:03}Z", self.date));
    }

    fn set_second(&mut self, second: i64) {
        // A foreign writer cannot choose a time, so one out of range is damage: show the nearest.
        let nearest = if second < 0 { Instant::MIN } else { Instant::MAX };
        let instant = Instant::from_second(second).unwrap_or(nearest);
        self.date = instant.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        self.second = second;
    }
}

fn images(change: &ChangeRef<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    for (name, image) in [("before", change.before()?), ("after", change.after()?)] {
        splice(out, format_args!(",\"{name}\":{}", image.as_deref().unwrap_or("null")));
    }
    Ok(())
}

/// Writing to a `Vec` cannot fail.
fn splice(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn string(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}

fn optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"null"),
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
