//! Makes a call over HTTP; octocrab is the client, and nothing outside of this module knows it.
//!
//! What is guaranteed:
//!
//! * A call ends by its deadline, and holds no more of a body than its bounds say.
//! * Nothing is repeated, cached or decoded: every status but that of a redirected log is handed
//!   out as it came, with its headers. A refusal is handed out even when its body does not come
//!   whole, for its status and headers say what to do.
//! * The token goes to the origin of the [`Endpoints`] and nowhere else. Redirects are followed
//!   here, for logs only, and without the token as soon as one leaves that origin: the layer that
//!   octocrab has for it (tower-http 0.6) sends it again at the second redirect elsewhere.
//!
//! The client speaks HTTP/1.1 and connects directly: the variables for proxies have no effect.

mod body;
mod client;
mod failure;
mod headers;

use std::time::Duration;

use ao_store::PrRef;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderMap, Request as HttpRequest, StatusCode, Uri};
use octocrab::Octocrab;
use tokio::time::{Instant, timeout};
use url::{Position, Url};

use self::body::{Body, End, Kept};
use crate::error::{Error, Result};
use crate::github::call::{Answer, Call, Failure, Reply, Request};
use crate::github::host::Endpoints;
use crate::github::token::Token;

/// GitHub needs one redirect for a log, and one more when the repository was renamed.
const REDIRECTS_MAX: usize = 5;

const AGENT: &str = concat!("ao-store/", env!("CARGO_PKG_VERSION"));
const MEDIA: &str = "application/vnd.github+json";
const VERSION: (&str, &str) = ("x-github-api-version", "2022-11-28");

/// An HTTP client of one server. It has no token of its own.
#[derive(Debug, Clone)]
pub struct Transport {
    client: Octocrab,
    rest: Url,
    graphql: Url,
}

/// An answer of which the body is still to be read.
struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

impl Transport {
    /// A client of the server at `endpoints`.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] when they are not URLs of one origin, [`Error::Certificates`] when this
    /// machine has none to trust.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, which the client needs from its first moment.
    pub fn new(endpoints: &Endpoints) -> Result<Transport> {
        let read = |url: &str| Url::parse(url).map_err(|_| Error::InvalidUrl("it is not a URL"));
        let (rest, graphql) = (read(&endpoints.rest)?, read(&endpoints.graphql)?);
        if rest.origin() != graphql.origin() {
            return Err(Error::InvalidUrl("its two interfaces have different origins"));
        }
        let client = client::of(&rest)?;
        Ok(Transport { client, rest, graphql })
    }

    /// Makes one call. What came of it is always a value.
    pub async fn send(&self, token: &Token, call: &Call) -> Reply {
        let started = Instant::now();
        let response = match timeout(call.deadline, self.ask(token, &call.request)).await {
            Err(_) => return Reply::Failed(Failure::Timeout),
            Ok(Err(failure)) => return Reply::Failed(failure),
            Ok(Ok(response)) => response,
        };
        let left = call.deadline.saturating_sub(started.elapsed());
        match finish(response, call, left).await {
            Err(failure) => Reply::Failed(failure),
            Ok(answer) => Reply::Answer(Answer { latency: started.elapsed(), ..answer }),
        }
    }

    /// Everything up to the headers of the answer that counts.
    async fn ask(&self, token: &Token, request: &Request) -> Result<Response, Failure> {
        match request {
            Request::Graphql { body } => self.post(token, &self.graphql, body.clone()).await,
            Request::JobLog { repo, job, .. } => {
                if PrRef::new("github.com", repo, 1).is_err() {
                    return Err(Failure::Broken("a log is of owner/name".to_owned()));
                }
                let mut url = self.rest.clone();
                let base = url.path().trim_end_matches('/');
                url.set_path(&format!("{base}/repos/{repo}/actions/jobs/{job}/logs"));
                self.follow(token, url).await
            }
        }
    }

    async fn post(&self, token: &Token, url: &Url, body: String) -> Result<Response, Failure> {
        let request = HttpRequest::post(path_of(url)?)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, MEDIA)
            .header(VERSION.0, VERSION.1)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        execute(&self.client, Some(token), request).await
    }

    /// Gets a log from where the server says that it is.
    async fn follow(&self, token: &Token, mut url: Url) -> Result<Response, Failure> {
        let home = url.origin();
        // What GitHub itself said last: other servers know nothing of its limits.
        let mut said = None;
        let mut is_home = true;
        for _ in 0..=REDIRECTS_MAX {
            // Who has left does not get the token back by coming home.
            is_home = is_home && url.origin() == home;
            let response = self.get(is_home.then_some(token), &url).await?;
            if !is_redirect(response.status) {
                return at_home(response, is_home, said);
            }
            url = target(&url, &response)?;
            if is_home {
                said = Some(response.headers);
            }
        }
        Err(Failure::Broken(format!("it was redirected more than {REDIRECTS_MAX} times")))
    }

    async fn get(&self, token: Option<&Token>, url: &Url) -> Result<Response, Failure> {
        let request = match token {
            Some(_) => HttpRequest::get(path_of(url)?)
                .header(USER_AGENT, AGENT)
                .header(ACCEPT, MEDIA)
                .header(VERSION.0, VERSION.1)
                .body(String::new()),
            None => HttpRequest::get(&url[..Position::AfterQuery])
                .header(USER_AGENT, AGENT)
                .body(String::new()),
        };
        execute(&self.client, token, request).await
    }
}

/// Sends a request; with a token it has no authority of its own and goes to the base.
async fn execute(
    client: &Octocrab,
    token: Option<&Token>,
    request: http::Result<HttpRequest<String>>,
) -> Result<Response, Failure> {
    let request = request.map_err(|error| Failure::Broken(error.to_string()))?;
    let sent = match token {
        Some(token) => match client.user_access_token(token.expose()) {
            Ok(client) => client.execute(request).await,
            Err(error) => Err(error),
        },
        None => client.execute(request).await,
    };
    let (parts, body) = sent.map_err(|error| failure::of(&error))?.into_parts();
    Ok(Response { status: parts.status, headers: parts.headers, body })
}

/// Path and query of a URL, for a request to the base of the client.
fn path_of(url: &Url) -> Result<Uri, Failure> {
    Uri::builder()
        .path_and_query(&url[Position::BeforePath..Position::AfterQuery])
        .build()
        .map_err(|error| Failure::Broken(error.to_string()))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads. Its URL is in no message: that of a log is a secret.
fn target(from: &Url, response: &Response) -> Result<Url, Failure> {
    let location = response.headers.get(LOCATION).and_then(|location| location.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok());
    let target = target.filter(|target| {
        target.scheme() == "https" || (target.scheme() == "http" && from.scheme() == "http")
    });
    target.ok_or_else(|| Failure::Broken("it was redirected to nowhere".to_owned()))
}

/// The answer to a request for a log, as one of GitHub. A refusal of the server that keeps the log
/// says nothing about the token or the repository.
fn at_home(
    response: Response,
    is_home: bool,
    said: Option<HeaderMap>,
) -> Result<Response, Failure> {
    if is_home {
        return Ok(response);
    }
    if !response.status.is_success() {
        let status = response.status.as_u16();
        return Err(Failure::Broken(format!("the server that keeps the log answered {status}")));
    }
    Ok(Response { headers: said.unwrap_or_default(), ..response })
}

/// Reads the body of an answer.
async fn finish(mut response: Response, call: &Call, left: Duration) -> Result<Answer, Failure> {
    let is_success = response.status.is_success();
    let tail = match call.request {
        Request::JobLog { tail_bytes, .. } if is_success => Some(tail_bytes),
        _ => None,
    };
    let mut kept = Kept::new(tail.unwrap_or(call.max_bytes), call.max_bytes);
    let end = timeout(left, kept.read(&mut response.body)).await;
    let is_whole = matches!(end, Ok(End::Whole));
    let failure = match end {
        Ok(End::Whole) => None,
        Ok(End::Bound) if tail.is_some() => None,
        Ok(End::Bound) => Some(Failure::TooLarge),
        Ok(End::Broken(reason)) => Some(Failure::Broken(reason)),
        Err(_) => Some(Failure::Timeout),
    };
    if let Some(failure) = failure.filter(|_| is_success) {
        return Err(failure);
    }
    let (body, is_cut) = kept.into_parts();
    Ok(Answer {
        status: response.status.as_u16(),
        headers: headers::read(&response.headers),
        truncated: is_cut || !is_whole,
        body,
        latency: Duration::ZERO,
    })
}
