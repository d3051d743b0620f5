//! Requests and answers, as they are once HTTP is parsed.

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Method in upper case.
    pub method: String,
    /// Path and query.
    pub path_and_query: String,
    /// Headers, in any case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Request {
    /// A GET of `path_and_query` with the valid token of a new world.
    #[must_use]
    pub fn get(path_and_query: &str) -> Self {
        let pairs = [("user-agent", "test"), ("authorization", "Bearer token")];
        Self {
            method: "GET".to_owned(),
            path_and_query: path_and_query.to_owned(),
            headers: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: Vec::new(),
        }
    }

    /// A GraphQL request with the valid token of a new world.
    #[must_use]
    pub fn graphql(query: &str, variables: &serde_json::Value) -> Self {
        let body = serde_json::json!({"query": query, "variables": variables});
        let body = body.to_string().into_bytes();
        Self { method: "POST".to_owned(), body, ..Self::get("/graphql") }
    }

    /// The same request with one header more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A header by its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// How a connection misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// It is reset before a byte of the answer.
    ResetBefore,
    /// It is reset in the middle of the body.
    ResetMidBody,
    /// It ends in the middle of the body, before the promised length.
    ShortBody,
    /// The body is chunked, and the last chunk never comes.
    ChunkedWithoutEnd,
    /// The body comes byte by byte, with this many milliseconds between.
    Drip(u64),
    /// No answer ever comes.
    Silence,
    /// The body has this many bytes.
    Huge(u64),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers in lower case, without those of the connection.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// How long it takes. The server sleeps; a test with a virtual clock advances it.
    pub latency_ms: u64,
    /// How the connection misbehaves, if it does.
    pub transport: Option<Transport>,
}

impl Response {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string().into_bytes())
    }

    pub(crate) fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body, latency_ms: 0, transport: None }
    }

    pub(crate) fn message(status: u16, message: &str) -> Self {
        let documentation = "https://docs.github.com/rest";
        let body = serde_json::json!({"message": message, "documentation_url": documentation,
            "status": status.to_string()});
        Self::json(status, &body)
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.into()));
    }

    /// A header by its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}
