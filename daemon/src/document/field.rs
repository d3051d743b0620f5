//! The values of documents: each field of a row has the name of its column in row images, and a time is text.

use ao_store::activity::{Activity, DecisionKind, Source};
use ao_store::attention;
use ao_store::observation::{
    CheckKind, CheckStatus, Ci, CommentKind, Completeness, Mergeability, Mergeable, PrState,
    ReviewDecision, ReviewState,
};
use ao_store::row::decision::Resolution;
use ao_store::row::delivery::{DeliveryKind, Stage};
use ao_store::row::launch::{LaunchKind, PromptStage};
use ao_store::row::scm::{Credential, Problem};
use ao_store::row::session::SessionKind;
use ao_store::turn::{self, event};
use ao_store::{AgentId, Delta, OrgId, PrId, ProjectId, SessionId, Timestamp};
use jiff::fmt::temporal::DateTimePrinter;
use serde_json::Value;

/// A value of a row in a document.
pub(super) trait Field {
    fn json(&self) -> Value;
}

macro_rules! fields {
    ($($type:ty)*: $value:ident => $json:expr) => {
        $(impl Field for $type {
            fn json(&self) -> Value {
                let $value = self;
                Value::from($json)
            }
        })*
    };
}

fields! { bool i64 u64: value => *value }
fields! { String: value => value.as_str() }
fields! { Timestamp: value => time(*value) }
fields! {
    ProjectId SessionId PrId OrgId AgentId turn::State turn::Reason event::Kind SessionKind Activity Source DecisionKind Resolution DeliveryKind Stage LaunchKind PromptStage PrState Ci ReviewDecision Mergeable Mergeability Completeness
    CheckKind CheckStatus ReviewState CommentKind Credential Problem attention::Kind: value => value.as_str()
}

impl<T: Field> Field for Option<T> {
    fn json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Field::json)
    }
}

/// An object of fields of a row, each under its own name or, as in `session_id = session`, another.
macro_rules! object {
    ($row:expr => $($name:ident $(= $field:ident)?),* $(,)?) => {{
        // With room for what a caller adds.
        let mut object = serde_json::Map::with_capacity([$(stringify!($name)),*].len() + 6);
        $(object.insert(stringify!($name).to_owned(), object!(@field $row, $name $($field)?));)*
        Value::Object(object)
    }};
    (@field $row:expr, $name:ident) => { $row.$name.json() };
    (@field $row:expr, $name:ident $field:ident) => { $row.$field.json() };
}

/// The first millisecond of a year that has four digits.
const YEAR_0: i64 = -62_167_219_200_000;

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// The time in RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn time(at: Timestamp) -> String {
    // A lease without end, or a damaged row, is out of range: the nearest time is the best text.
    let nearest = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let instant = jiff::Timestamp::from_millisecond(at.0).unwrap_or(nearest);
    match at.0 >= YEAR_0 {
        // Many times faster, but with more digits for a year before 0.
        true => PRINTER.timestamp_to_string(&instant),
        false => instant.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
    }
}

pub(super) use object;

impl Field for Delta {
    fn json(&self) -> Value {
        object!(self => inserted, updated, deleted, unchanged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_milliseconds_whatever_the_year() {
        for (ms, shown) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_800_000_000_120, "2027-01-15T08:00:00.120Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (YEAR_0, "0000-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-30T22:00:00.999Z"),
        ] {
            assert_eq!(time(Timestamp(ms)), shown);
        }
        for ms in [YEAR_0 - 1, i64::MIN] {
            let shown = time(Timestamp(ms));
            assert!(shown.starts_with('-') && shown.ends_with('Z'), "{shown}");
        }
    }
}
