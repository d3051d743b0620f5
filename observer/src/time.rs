//! Times in JSON: RFC 3339 text, kept in whole milliseconds.

use ao_store::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

/// A point in time, read from RFC 3339 text such as `2026-01-02T03:04:05Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(from = "jiff::Timestamp")]
#[schemars(with = "jiff::Timestamp", inline)]
pub struct Time(
    /// The time as the store keeps it.
    pub Timestamp,
);

impl From<jiff::Timestamp> for Time {
    fn from(time: jiff::Timestamp) -> Time {
        Time(Timestamp(time.as_millisecond()))
    }
}

impl From<Time> for Timestamp {
    fn from(time: Time) -> Timestamp {
        time.0
    }
}

/// The newest of several times, when there is one.
pub(crate) fn newest(times: impl IntoIterator<Item = Option<Time>>) -> Option<Timestamp> {
    times.into_iter().flatten().max().map(Timestamp::from)
}
