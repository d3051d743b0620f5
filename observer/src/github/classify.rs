//! What an answer means for the next request. The first rule that applies decides (reference: the
//! documentation of GitHub's limits, and its own client libraries).

use std::time::Duration;

use crate::error::quoted;
use crate::github::answer::{GraphqlAnswer, GraphqlError};
use crate::github::call::{Answer, Failure, Headers};

/// What an answer means for the next request to the same host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// An answer, which is read item by item.
    Success,
    /// The credentials were refused.
    Unauthorized,
    /// The host states how long to wait.
    RetryAfter(Duration),
    /// The budget of the hour is used up.
    Exhausted,
    /// The secondary rate limit was exceeded, and the host does not state how long to wait.
    Secondary,
    /// The credentials may not see this one thing.
    Forbidden,
    /// This one thing does not exist.
    Missing,
    /// The request exceeded the host's resources; a smaller one may succeed.
    Heavy,
    /// The host, or the network to it, is down.
    Down,
}

/// The longest wait that a host can ask for, in seconds: a longer one means that a clock is wrong.
const RETRY_AFTER_MAX: u64 = 3_600;

/// Classifies the failure of a request.
pub(crate) fn failure(failure: &Failure) -> Signal {
    match failure {
        Failure::Timeout | Failure::TooLarge => Signal::Heavy,
        Failure::Connect(_) | Failure::Broken(_) => Signal::Down,
    }
}

/// Classifies the answer to a REST request.
pub(crate) fn rest(answer: &Answer) -> Signal {
    match answer.status {
        200..=299 | 304 => Signal::Success,
        404 | 410 | 451 => Signal::Missing,
        _ => refusal(answer, &message(&answer.body)),
    }
}

/// Classifies the answer to a GraphQL request.
pub(crate) fn graphql(answer: &Answer, answered: Option<&GraphqlAnswer<'_>>) -> Signal {
    if answer.status != 200 {
        return refusal(answer, &message(&answer.body));
    }
    let Some(answered) = answered else { return Signal::Down };
    if answered.errors.iter().any(is_rate_limit) {
        return limited(&answer.headers);
    }
    let is_heavy = |error: &GraphqlError| {
        error.is(&["RESOURCE_LIMITS_EXCEEDED"])
            || error.message.contains("Something went wrong while executing your query")
            || error.message.contains("Resource limits for this query exceeded")
    };
    if answered.errors.iter().any(is_heavy) {
        return Signal::Heavy;
    }
    if answered.has_data { Signal::Success } else { Signal::Down }
}

/// Why an answer is none, for people: the HTTP status, and what the host says about it.
pub(crate) fn cause(answer: &Answer, answered: Option<&GraphqlAnswer<'_>>) -> String {
    let error = answered.and_then(|answered| answered.errors.first());
    let said = error.map(|error| match &error.kind {
        Some(kind) => format!("{kind}: {}", error.message),
        None => error.message.clone(),
    });
    let text = match (answer.status, said) {
        (200, Some(said)) => said,
        (200, None) => "the answer is not that of a GraphQL interface".to_owned(),
        (status, Some(said)) => format!("HTTP {status}: {said}"),
        (status, None) => format!("HTTP {status}"),
    };
    quoted(&text)
}

fn is_rate_limit(error: &GraphqlError) -> bool {
    let message = error.message.to_ascii_lowercase();
    error.is(&["RATE_LIMITED", "RATE_LIMIT", "graphql_rate_limit"])
        || (error.path.is_none() && message.contains("rate limit"))
}

fn refusal(answer: &Answer, message: &str) -> Signal {
    let contains = |text: &str| message.contains(text);
    match answer.status {
        401 => Signal::Unauthorized,
        403 | 429 => {
            let is_limit = answer.headers.retry_after.is_some()
                || answer.headers.remaining == Some(0)
                || contains("secondary rate")
                || contains("abuse detection")
                || contains("rate limit")
                || answer.status == 429;
            if is_limit { limited(&answer.headers) } else { Signal::Forbidden }
        }
        // A host under maintenance states when to come back.
        500..=599 if answer.headers.retry_after.is_some() => limited(&answer.headers),
        502..=504 => Signal::Heavy,
        404 | 410 | 451 => Signal::Missing,
        _ => Signal::Down,
    }
}

fn limited(headers: &Headers) -> Signal {
    match headers.retry_after.as_deref() {
        Some(text) => Signal::RetryAfter(retry_after(text, headers.date_ms)),
        None if headers.remaining == Some(0) => Signal::Exhausted,
        None => Signal::Secondary,
    }
}

/// Seconds, or a date; within one second and one hour, and a minute for what is neither.
fn retry_after(text: &str, date_ms: Option<i64>) -> Duration {
    let text = text.trim();
    let seconds = match text.parse::<i64>() {
        Ok(seconds) => u64::try_from(seconds).unwrap_or(0),
        Err(_) => {
            let until = jiff::fmt::rfc2822::parse(text).map(|time| time.timestamp());
            match (until, date_ms) {
                (Ok(until), Some(now)) => {
                    u64::try_from(until.as_millisecond().saturating_sub(now) / 1000).unwrap_or(0)
                }
                _ => 60,
            }
        }
    };
    Duration::from_secs(seconds.clamp(1, RETRY_AFTER_MAX))
}

/// The beginning of a body in lower case. It contains the text that distinguishes refusals.
fn message(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(2_048)]).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: Headers, body: &str) -> Answer {
        Answer { status, headers, body: body.as_bytes().to_vec(), ..Answer::default() }
    }

    fn headers(remaining: Option<i64>, retry_after: Option<&str>) -> Headers {
        Headers {
            remaining,
            retry_after: retry_after.map(str::to_owned),
            date_ms: Some(1_000_000_000_000),
            ..Headers::default()
        }
    }

    #[test]
    fn refusals_are_classified_by_status() {
        let none = || headers(None, None);
        let secs = |secs| Signal::RetryAfter(Duration::from_secs(secs));
        for (status, headers, body, expected) in [
            (401, none(), "", Signal::Unauthorized),
            (403, headers(Some(0), None), "", Signal::Exhausted),
            (403, headers(Some(0), Some("7")), "", secs(7)),
            (403, none(), "You have exceeded a secondary rate limit", Signal::Secondary),
            (403, none(), "You have triggered an abuse detection mechanism", Signal::Secondary),
            (403, none(), "Resource not accessible by integration", Signal::Forbidden),
            (403, none(), "Resource protected by organization SAML", Signal::Forbidden),
            (429, none(), "", Signal::Secondary),
            (429, headers(None, Some("0")), "", secs(1)),
            (429, headers(None, Some("-5")), "", secs(1)),
            (429, headers(None, Some("1000000000")), "", secs(3_600)),
            (429, headers(None, Some("soon")), "", secs(60)),
            (429, headers(None, Some("Sun, 09 Sep 2001 01:47:00 GMT")), "", secs(20)),
            (404, none(), "", Signal::Missing),
            (410, none(), "", Signal::Missing),
            (500, none(), "", Signal::Down),
            (502, none(), "<html>", Signal::Heavy),
            (503, headers(None, Some("120")), "", secs(120)),
            (504, none(), "<html>", Signal::Heavy),
        ] {
            assert_eq!(rest(&answer(status, headers, body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn an_answer_with_errors_is_classified_by_their_types() {
        let classified = |body: &str, headers| {
            let answer = answer(200, headers, body);
            graphql(&answer, GraphqlAnswer::read(&answer.body).as_ref())
        };
        let none = || headers(None, None);
        let limit = r#"{"errors":[{"type":"RATE_LIMITED","message":"x"}]}"#;
        assert_eq!(classified(limit, headers(Some(0), None)), Signal::Exhausted);
        let limit =
            r#"{"errors":[{"type":"RATE_LIMIT","code":"graphql_rate_limit","message":"x"}]}"#;
        assert_eq!(classified(limit, none()), Signal::Secondary);
        let limit = r#"{"data":null,"errors":[{"message":"API rate limit already exceeded"}]}"#;
        assert_eq!(classified(limit, none()), Signal::Secondary);
        let heavy = r#"{"data":{"nodes":[null]},"errors":[{"type":"RESOURCE_LIMITS_EXCEEDED"}]}"#;
        assert_eq!(classified(heavy, none()), Signal::Heavy);
        let heavy =
            r#"{"errors":[{"message":"Something went wrong while executing your query."}]}"#;
        assert_eq!(classified(heavy, none()), Signal::Heavy);
        let one = r#"{"data":{"nodes":[null]},"errors":[{"type":"NOT_FOUND","path":["nodes",0]}]}"#;
        assert_eq!(classified(one, none()), Signal::Success);
        for broken in ["", "{", "[]", "{}", r#"{"data":{"nodes":["#, r#"{"data":null}"#] {
            assert_eq!(classified(broken, none()), Signal::Down, "{broken}");
        }
    }
}
