//! Times as GitHub writes them: ISO 8601 with whole seconds, and the dates of HTTP.

use jiff::Timestamp;

/// A time in milliseconds since 1970.
fn format(ms: i64, format: &str) -> String {
    Timestamp::from_millisecond(ms).unwrap_or_default().strftime(format).to_string()
}

pub(crate) fn iso(ms: i64) -> String {
    format(ms, "%Y-%m-%dT%H:%M:%SZ")
}

pub(crate) fn http_date(ms: i64) -> String {
    format(ms, "%a, %d %b %Y %H:%M:%S GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso(1_900_000_000_999), "2030-03-17T17:46:40Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
