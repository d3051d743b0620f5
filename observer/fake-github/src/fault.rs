//! Injected faults: on which requests, how often, and which.

use serde_json::{Value, json};

use crate::message::Transport;
use crate::state::Snapshot;

/// A fault to inject.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The requests that it applies to.
    pub on: On,
    /// How often.
    pub when: When,
    /// What happens.
    pub kind: Kind,
}

impl Fault {
    /// A fault of every request.
    #[must_use]
    pub const fn always(kind: Kind) -> Self {
        Self { on: On::All, when: When::Always, kind }
    }

    /// A fault of the next `times` requests.
    #[must_use]
    pub const fn times(times: u32, kind: Kind) -> Self {
        Self { on: On::All, when: When::Times(times), kind }
    }

    /// The same fault for some requests only.
    #[must_use]
    pub fn on(self, on: On) -> Self {
        Self { on, ..self }
    }

    /// The same fault until an instant of the world's clock.
    #[must_use]
    pub fn until(self, at_ms: i64) -> Self {
        Self { when: When::Until(at_ms), ..self }
    }
}

/// Which requests a fault applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// All.
    All,
    /// GraphQL.
    Graphql,
    /// The GraphQL operation of this name.
    Operation(String),
    /// Paths with this prefix, without `/api/v3`; logs on their own origin start with `/blob/`.
    Route(String),
    /// GraphQL that asks for more than this many nodes by the variable `ids`.
    Larger(usize),
    /// GraphQL that names this node in its variables.
    Node(String),
}

impl On {
    /// The GraphQL operation of this name.
    #[must_use]
    pub fn operation(name: &str) -> Self {
        Self::Operation(name.to_owned())
    }

    /// Paths with this prefix.
    #[must_use]
    pub fn route(prefix: &str) -> Self {
        Self::Route(prefix.to_owned())
    }
}

/// How often a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// For this many more requests.
    Times(u32),
    /// Each time.
    Always,
    /// Each time before this instant of the world's clock.
    Until(i64),
}

/// An answer instead of the real one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, which replace those of the same name.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
    /// Whether the request is charged, as one that timed out is.
    pub is_charged: bool,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Another answer.
    Reply(Reply),
    /// These headers on an otherwise good answer.
    Headers(Vec<(String, String)>),
    /// This element of `nodes` is null, with an error entry of this type or without.
    NodeNull(usize, Option<String>),
    /// The element of `nodes` with this id is null, and no error entry says so.
    NodeGone(String),
    /// The field of this alias is null, with an error entry of this type or without. A field
    /// further down is named by its path, such as `nodes/0/rollup`.
    AliasNull(String, Option<String>),
    /// Only this percentage of `nodes` and of aliases is there; the error says why.
    ResourceLimits(usize),
    /// Every page claims a next one, and names no cursor.
    NextPageWithoutCursor,
    /// Every page claims a next one, which is the first again.
    CursorLoop,
    /// The first node of each connection comes twice.
    DuplicateNodes,
    /// Fields of this response key have a value that no client knows.
    UnknownEnum(String),
    /// Fields of this response key are null.
    NullField(String),
    /// The answer is about the world as it was.
    Stale(Snapshot),
    /// The answer is about the world before this many mutations; see `Options::history`.
    StaleBy(usize),
    /// The answer comes later.
    Slow(u64),
    /// The JSON ends in the middle, and the Content-Length agrees.
    TruncatedJson,
    /// The body is not UTF-8.
    InvalidUtf8,
    /// The body is UTF-8 and not JSON.
    InvalidJson,
    /// The connection misbehaves; only the HTTP server can do that.
    Transport(Transport),
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Kind {
    fn reply(status: u16, pairs: &[(&str, &str)], body: &str) -> Self {
        let (headers, body) = (headers(pairs), body.to_owned());
        Self::Reply(Reply { status, headers, body, is_charged: false })
    }

    fn message(status: u16, pairs: &[(&str, &str)], message: &str) -> Self {
        let body = json!({"message": message, "documentation_url": "https://docs.github.com/rest"});
        Self::reply(status, pairs, &body.to_string())
    }

    fn graphql(pairs: &[(&str, &str)], body: &Value) -> Self {
        Self::reply(200, pairs, &body.to_string())
    }

    /// 502, 503 or 504 with a page of HTML. The request is charged.
    #[must_use]
    pub fn gateway(status: u16) -> Self {
        Self::Reply(Reply {
            status,
            headers: headers(&[("content-type", "text/html; charset=utf-8")]),
            body: "<html><head><title>Unicorn!</title></head><body>We couldn't respond to your \
                   request in time.</body></html>"
                .to_owned(),
            is_charged: true,
        })
    }

    /// 500 with a JSON message.
    #[must_use]
    pub fn internal() -> Self {
        Self::message(500, &[], "Server Error")
    }

    /// 401.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::message(401, &[], "Bad credentials")
    }

    /// 403 with nothing remaining: the primary limit.
    #[must_use]
    pub fn primary_limit() -> Self {
        let spent = [("x-ratelimit-remaining", "0")];
        Self::message(403, &spent, "API rate limit exceeded for user ID 1.")
    }

    /// 403 of the secondary limit, with a `retry-after` or without.
    #[must_use]
    pub fn secondary_limit(retry_after: Option<&str>) -> Self {
        Self::limited(403, retry_after)
    }

    /// 429, with a `retry-after` or without.
    #[must_use]
    pub fn too_many_requests(retry_after: Option<&str>) -> Self {
        Self::limited(429, retry_after)
    }

    fn limited(status: u16, retry_after: Option<&str>) -> Self {
        let pair = retry_after.map(|value| ("retry-after", value));
        let text = "You have exceeded a secondary rate limit. Please wait a few minutes before \
                    you try again.";
        Self::message(status, pair.as_slice(), text)
    }

    /// 403 with GitHub's former wording.
    #[must_use]
    pub fn abuse() -> Self {
        let text = "You have triggered an abuse detection mechanism. Please wait a few minutes \
                    before you try again.";
        Self::message(403, &[], text)
    }

    /// 403 that demands single sign-on.
    #[must_use]
    pub fn sso() -> Self {
        let header = [("x-github-sso", "required; url=https://github.com/orgs/octo/sso?x=1")];
        Self::message(403, &header, "Resource protected by organization SAML enforcement.")
    }

    /// 403 for a missing permission.
    #[must_use]
    pub fn not_accessible() -> Self {
        Self::message(403, &[], "Resource not accessible by personal access token")
    }

    /// 200 with an error of type RATE_LIMITED, and nothing remaining.
    #[must_use]
    pub fn graphql_rate_limited() -> Self {
        let error = json!({"type": "RATE_LIMITED", "message": "API rate limit exceeded"});
        Self::graphql(&[("x-ratelimit-remaining", "0")], &json!({"errors": [error]}))
    }

    /// 200 with an error of type RATE_LIMIT and its code, and nothing remaining.
    #[must_use]
    pub fn graphql_rate_limit_code() -> Self {
        let error = json!({"type": "RATE_LIMIT", "code": "graphql_rate_limit",
            "message": "API rate limit already exceeded for user ID 1."});
        Self::graphql(&[("x-ratelimit-remaining", "0")], &json!({"errors": [error]}))
    }

    /// 200 with the message of an internal failure.
    #[must_use]
    pub fn something_went_wrong() -> Self {
        let text = "Something went wrong while executing your query. Please include \
                    `ABCD:1234` when reporting this issue.";
        Self::graphql(&[], &json!({"data": null, "errors": [{"message": text}]}))
    }

    /// 200 with `data: null`, with an error or without.
    #[must_use]
    pub fn data_null(error: Option<&str>) -> Self {
        let body = error.map_or_else(
            || json!({"data": null}),
            |message| json!({"data": null, "errors": [{"message": message}]}),
        );
        Self::graphql(&[], &body)
    }

    /// Some other answer.
    #[must_use]
    pub fn status(status: u16, body: &str) -> Self {
        Self::reply(status, &[], body)
    }
}
