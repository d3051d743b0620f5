//! The headers of an answer that are about limits and access.

use http::HeaderMap;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::error::quoted;
use crate::github::call::Headers;

/// HTTP dates have the form of mail dates, in GMT.
static DATES: DateTimeParser = DateTimeParser::new();

/// Reads them; a value that does not have its form counts as missing.
pub(super) fn read(headers: &HeaderMap) -> Headers {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name| text(name).and_then(|text| text.parse().ok());
    let date = text("date").and_then(|date| DATES.parse_timestamp(date).ok());
    Headers {
        limit: number("x-ratelimit-limit"),
        remaining: number("x-ratelimit-remaining"),
        reset: number("x-ratelimit-reset"),
        retry_after: text("retry-after").map(quoted),
        date_ms: date.map(jiff::Timestamp::as_millisecond),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn of(lines: &[(&'static str, &[u8])]) -> Headers {
        let pair = |(name, value): &(&'static str, &[u8])| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        };
        read(&lines.iter().map(pair).collect())
    }

    #[test]
    fn valid_headers_are_read() {
        let headers = of(&[
            ("x-ratelimit-limit", b"5000"),
            ("x-ratelimit-remaining", b"0"),
            ("x-ratelimit-reset", b"1800000000"),
            ("retry-after", b"Wed, 21 Oct 2015 07:28:00 GMT"),
            ("date", b"Tue, 15 Nov 1994 08:12:31 GMT"),
        ]);
        let expected = Headers {
            limit: Some(5000),
            remaining: Some(0),
            reset: Some(1_800_000_000),
            retry_after: Some("Wed, 21 Oct 2015 07:28:00 GMT".to_owned()),
            date_ms: Some(784_887_151_000),
        };
        assert_eq!(headers, expected);
    }

    #[test]
    fn invalid_headers_count_as_missing() {
        let headers = of(&[
            ("x-ratelimit-limit", b"many"),
            ("x-ratelimit-remaining", b"99999999999999999999"),
            ("x-ratelimit-reset", b"1.5"),
            ("retry-after", b"\xff"),
            ("date", b"yesterday"),
        ]);
        assert_eq!(headers, Headers::default());
    }
}
