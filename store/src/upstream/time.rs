//! Times as the Go tool `ao` stores them: two forms of text in one column, and other values that it may
//! contain. A value in none of the forms is unreadable.

use rusqlite::types::ValueRef;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::model::time::Timestamp;

/// The value of a time column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Time {
    /// NULL, an empty text, or the zero time of Go.
    #[default]
    Absent,
    /// A time since 1970.
    At(Timestamp),
    /// Something else.
    Unreadable,
}

/// Numbers from here on are milliseconds; as seconds this is the year 5138.
const SECONDS_END: i64 = 100_000_000_000;

/// The zero time of Go, 0001-01-01T00:00:00Z, in seconds.
const GO_ZERO: i64 = -62_135_596_800;

/// The longest text that is parsed.
const TEXT_MAX: usize = 100;

pub(super) fn parse(value: ValueRef<'_>) -> Time {
    match value {
        ValueRef::Null | ValueRef::Integer(0) => Time::Absent,
        ValueRef::Integer(number @ 1..SECONDS_END) => Time::At(Timestamp(number * 1000)),
        ValueRef::Integer(number @ SECONDS_END..) => Time::At(Timestamp(number)),
        ValueRef::Text(bytes) if bytes.len() <= TEXT_MAX => {
            std::str::from_utf8(bytes).map_or(Time::Unreadable, from_text)
        }
        _ => Time::Unreadable,
    }
}

/// Reads `2006-01-02 15:04:05.999999999 +0000 UTC` (perhaps with ` m=+0.1`),
/// `2006-01-02 15:04:05` and RFC 3339; without an offset it is UTC.
fn from_text(text: &str) -> Time {
    let mut words = text.split(" m=").next().unwrap_or_default().split_ascii_whitespace();
    let Some(date) = words.next() else { return Time::Absent };
    let text = match (words.next(), words.next()) {
        (None, _) => date.to_owned(),
        (Some(clock), offset) => format!("{date}T{clock}{}", offset.map_or("".into(), with_colon)),
    };
    let parsed = OffsetDateTime::parse(&text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339));
    match parsed {
        Ok(time) if time.unix_timestamp() == GO_ZERO => Time::Absent,
        Ok(time) if time.unix_timestamp() >= 0 => {
            let ms = time.unix_timestamp() * 1000 + i64::from(time.millisecond());
            Time::At(Timestamp(ms))
        }
        _ => Time::Unreadable,
    }
}

/// `+0200` in the form of RFC 3339.
fn with_colon(offset: &str) -> String {
    match offset.split_at_checked(3) {
        _ if offset == "UTC" => "Z".to_owned(),
        Some((hours, minutes)) if minutes.len() == 2 => format!("{hours}:{minutes}"),
        _ => offset.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Time {
        parse(ValueRef::Text(text.as_bytes()))
    }

    #[test]
    fn every_form_gives_the_same_instant() {
        let at = |ms| Time::At(Timestamp(ms));
        for (form, ms) in [
            ("2026-06-07 12:34:56.789012345 +0000 UTC", 1_780_835_696_789),
            ("2026-06-07 12:34:56.7 +0000 UTC", 1_780_835_696_700),
            ("2026-06-07 12:34:56 +0000 UTC", 1_780_835_696_000),
            ("2026-06-07 14:34:56.789 +0200 CEST", 1_780_835_696_789),
            ("2026-06-07 09:34:56.789 -0300 -03", 1_780_835_696_789),
            ("2026-06-07 18:04:56.789 +0530 IST m=+0.1", 1_780_835_696_789),
            ("2026-06-07 12:34:56.789 +0000 UTC m=-12.000000001", 1_780_835_696_789),
            ("2026-06-07 12:34:56", 1_780_835_696_000),
            ("2026-06-07 12:34:56 UTC", 1_780_835_696_000),
            ("2026-06-07 12:34:56.789+00:00", 1_780_835_696_789),
            ("2026-06-07T12:34:56Z", 1_780_835_696_000),
            ("2026-06-07T12:34:56.789Z", 1_780_835_696_789),
            ("2026-06-07T14:34:56.789+02:00", 1_780_835_696_789),
            ("2026-06-07T12:34:56", 1_780_835_696_000),
            ("1970-01-01 00:00:00", 0),
        ] {
            assert_eq!(text(form), at(ms), "{form}");
        }
        assert_eq!(parse(ValueRef::Integer(1_780_835_696)), at(1_780_835_696_000));
        assert_eq!(parse(ValueRef::Integer(1_780_835_696_789)), at(1_780_835_696_789));
    }

    #[test]
    fn nothing_is_absent_and_anything_else_is_unreadable() {
        for form in ["", "  ", "0001-01-01 00:00:00 +0000 UTC", "0001-01-01T00:00:00Z"] {
            assert_eq!(text(form), Time::Absent, "{form:?}");
        }
        assert_eq!(parse(ValueRef::Null), Time::Absent);
        assert_eq!(parse(ValueRef::Integer(0)), Time::Absent);
        for form in [
            "yesterday",
            "2026-06-07",
            "2026-13-07 12:34:56",
            "2026-06-07 25:34:56 +0000 UTC",
            "2026-06-07 12:34:56 +0000x UTC",
            "2026-06-07 12:34:56 é00é UTC",
            "1969-12-31 23:59:59",
            "2026-06-07 12:34:56\0",
            &"9".repeat(200),
        ] {
            assert_eq!(text(form), Time::Unreadable, "{form:?}");
        }
        for value in [ValueRef::Integer(-1), ValueRef::Real(1.5), ValueRef::Blob(b"2026")] {
            assert_eq!(parse(value), Time::Unreadable);
        }
        assert_eq!(parse(ValueRef::Text(b"\xff")), Time::Unreadable);
    }
}
