//! Times as they stand in JSON: RFC 3339 text, kept in whole milliseconds.

use std::borrow::Cow;
use std::fmt;

use ao_store::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Unexpected, Visitor};

/// A point in time, read from RFC 3339 text such as `2026-01-02T03:04:05Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(
    /// The time as the store keeps it.
    pub Timestamp,
);

impl From<Time> for Timestamp {
    fn from(time: Time) -> Timestamp {
        time.0
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TimeVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RFC 3339 time")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Time, E> {
        let time: jiff::Timestamp =
            text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
        Ok(Time(Timestamp(time.as_millisecond())))
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// The newest of several times, when there is one.
pub(crate) fn newest(times: impl IntoIterator<Item = Option<Time>>) -> Option<Timestamp> {
    times.into_iter().flatten().max().map(Timestamp::from)
}
