//! One call to GitHub and its outcome, as plain values: the engine that decides about calls depends
//! on neither an HTTP library nor a token.
//!
//! A reply carries everything that the decision about the next call needs, and no secret.

use std::fmt;
use std::time::Duration;

/// A request and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is asked for.
    pub request: Request,
    /// How long the whole call may take: connecting, headers and body.
    pub deadline: Duration,
    /// How much of a body is read.
    pub max_bytes: usize,
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A GraphQL query.
    Graphql {
        /// The complete JSON of the request, with `query` and `variables`.
        body: String,
    },
    /// The end of the log of an Actions job.
    JobLog {
        /// `owner/name`.
        repo: String,
        /// The id of the job.
        job: i64,
        /// How much of the end of a log is kept.
        tail_bytes: usize,
    },
}

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The server answered, with any status.
    Answer(Answer),
    /// There is no usable answer.
    Failed(Failure),
}

/// An answer of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers that are about limits and access.
    pub headers: Headers,
    /// The bytes of the body; of a log only its end.
    pub body: Vec<u8>,
    /// Whether bytes of the body are missing: a log was longer than what was read or kept, or the body of a refusal was truncated.
    pub truncated: bool,
    /// How long the call took.
    pub latency: Duration,
}

/// The headers of an answer that are read. One that is missing or invalid is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// `x-ratelimit-limit`.
    pub limit: Option<i64>,
    /// `x-ratelimit-remaining`.
    pub remaining: Option<i64>,
    /// `x-ratelimit-reset`, in seconds since 1970.
    pub reset: Option<i64>,
    /// `retry-after`, unparsed: seconds or a date.
    pub retry_after: Option<String>,
    /// `date`, in milliseconds since 1970.
    pub date_ms: Option<i64>,
}

/// Why there is no answer. No text in it contains a token or the query of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The deadline passed.
    Timeout,
    /// No connection was made.
    Connect(String),
    /// The body is longer than its bound.
    TooLarge,
    /// The connection broke, or the answer is not HTTP.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Timeout => out.write_str("no answer in time"),
            Failure::Connect(reason) => write!(out, "cannot connect: {reason}"),
            Failure::TooLarge => out.write_str("the answer is too large"),
            Failure::Broken(reason) => out.write_str(reason),
        }
    }
}
