//! Times that a person writes: a duration before now, a day or a time of the local time zone, or
//! RFC 3339. The time zone is that of `TZ`, otherwise of the machine.

use std::fs;
use std::sync::OnceLock;

use ao_store::Timestamp;
use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The value of an argument that names a time.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    read(text, &local(Timestamp::now())).ok_or_else(|| {
        "write a duration before now (10m, 2h, 3d), today, yesterday, a date (2026-11-01), a local \
         time (2026-11-01T10:00), or RFC 3339 (2026-11-01T10:00:00Z)"
            .to_owned()
    })
}

/// A time in the local time zone; a damaged one becomes the nearest time that exists.
pub(crate) fn local(at: Timestamp) -> Zoned {
    let nearest = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(nearest);
    at.to_zoned(ZONE.get_or_init(zone).clone())
}

static ZONE: OnceLock<TimeZone> = OnceLock::new();

/// The zone of the machine is in one file. The library would first list all zones that there are, which takes
/// longer than what most commands do.
fn zone() -> TimeZone {
    let is_chosen = std::env::var_os("TZ").is_some();
    let file = if is_chosen { None } else { fs::read("/etc/localtime").ok() };
    let zone = file.and_then(|file| TimeZone::tzif("local", &file).ok());
    zone.unwrap_or_else(TimeZone::system)
}

/// A day is its beginning.
fn read(text: &str, now: &Zoned) -> Option<Timestamp> {
    let midnight = match text {
        "today" => Some(now.date()),
        "yesterday" => Some(now.date().yesterday().ok()?),
        _ => None,
    };
    let civil = midnight.map(DateTime::from).or_else(|| text.parse().ok());
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(time.as_millisecond()));
    }
    // Otherwise a time zone in brackets would be ignored.
    if text.contains('[') {
        let zoned: Zoned = text.parse().ok()?;
        return Some(Timestamp(zoned.timestamp().as_millisecond()));
    }
    if let Some(civil) = civil {
        let time = civil.to_zoned(now.time_zone().clone()).ok()?;
        return Some(Timestamp(time.timestamp().as_millisecond()));
    }
    let ago = humantime::parse_duration(text).ok()?;
    let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    Some(Timestamp(now.timestamp().as_millisecond().saturating_sub(ago)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text means on a day on which Berlin has changed to winter time, in UTC.
    fn at(text: &str) -> Option<String> {
        let now: Zoned = "2026-10-25T12:00:00+01:00[Europe/Berlin]".parse().unwrap();
        let time = read(text, &now)?;
        Some(jiff::Timestamp::from_millisecond(time.0).unwrap().to_string())
    }

    #[test]
    fn days_and_times_are_those_of_the_time_zone() {
        for (text, expected) in [
            ("10m", "2026-10-25T10:50:00Z"),
            ("1h 30m", "2026-10-25T09:30:00Z"),
            ("today", "2026-10-24T22:00:00Z"),
            ("yesterday", "2026-10-23T22:00:00Z"),
            ("2026-11-01", "2026-10-31T23:00:00Z"),
            ("2026-11-01T10:00", "2026-11-01T09:00:00Z"),
            ("2026-11-01 10:00:30", "2026-11-01T09:00:30Z"),
            ("2026-11-01T10:00:00Z", "2026-11-01T10:00:00Z"),
            ("2026-11-01T10:00:00+05:30", "2026-11-01T04:30:00Z"),
            ("2026-11-01T10:00+05:30", "2026-11-01T04:30:00Z"),
            ("2026-11-01T10:00[Asia/Kolkata]", "2026-11-01T04:30:00Z"),
        ] {
            assert_eq!(at(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", " ", "soon", "10", "-10m", "2026-13-01", "2026-11", "today ", "25:00"] {
            assert_eq!(at(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_duration_without_a_beginning_is_the_beginning_of_time() {
        let now: Zoned = "2026-10-25T12:00:00+01:00[Europe/Berlin]".parse().unwrap();
        assert!(read("99999999y", &now).is_none_or(|at| at.0 < 0));
    }
}
