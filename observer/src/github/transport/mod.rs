//! Makes a call over HTTP. octocrab is the client, and nothing outside this module depends on it.
//!
//! Guarantees:
//!
//! * A call ends by its deadline, and holds no more of a body than its bounds allow.
//! * Nothing is retried, cached or decoded: every status except that of a redirected log is
//!   returned as it came, with its headers. A refusal is returned even if its body is truncated, because its status and headers suffice.
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
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, Method, Request as HttpRequest};
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

const MEDIA: &str = "application/vnd.github+json";
const VERSION: (&str, &str) = ("x-github-api-version", "2022-11-28");

/// An answer of which the body is still to be read.
type Response = http::Response<Body>;

/// An HTTP client of one server. It has no token of its own.
#[derive(Debug, Clone)]
pub struct Transport {
    client: Octocrab,
    rest: Url,
    graphql: Url,
}

impl Transport {
    /// A client of the server at `endpoints`.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] when they are not URLs of one origin, [`Error::Certificates`] when this
    /// machine has none to trust.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(endpoints: &Endpoints) -> Result<Transport> {
        let read = |url: &str| Url::parse(url).map_err(|_| Error::InvalidUrl("it is not a URL"));
        let (rest, graphql) = (read(&endpoints.rest)?, read(&endpoints.graphql)?);
        if rest.origin() != graphql.origin() {
            return Err(Error::InvalidUrl("the REST and GraphQL URLs have different origins"));
        }
        let client = client::of(&rest)?;
        Ok(Transport { client, rest, graphql })
    }

    /// Makes one call. The outcome is always a value.
    pub async fn send(&self, token: &Token, call: &Call) -> Reply {
        let started = Instant::now();
        let response = match timeout(call.deadline, self.request(token, &call.request)).await {
            Err(_) => return Reply::Failed(Failure::Timeout),
            Ok(Err(failure)) => return Reply::Failed(failure),
            Ok(Ok(response)) => response,
        };
        let left = call.deadline.saturating_sub(started.elapsed());
        match read(response, call, left).await {
            Err(failure) => Reply::Failed(failure),
            Ok(answer) => Reply::Answer(Answer { latency: started.elapsed(), ..answer }),
        }
    }

    /// Everything up to the headers of the answer that counts.
    async fn request(&self, token: &Token, request: &Request) -> Result<Response, Failure> {
        match request {
            Request::Graphql { body } => {
                self.execute(Method::POST, Some(token), &self.graphql, body.clone()).await
            }
            Request::JobLog { repo, job, .. } => {
                if PrRef::new("github.com", repo, 1).is_err() {
                    return Err(Failure::Broken("the repository is not owner/name".to_owned()));
                }
                let mut url = self.rest.clone();
                let base = url.path().trim_end_matches('/');
                url.set_path(&format!("{base}/repos/{repo}/actions/jobs/{job}/logs"));
                self.follow(token, url).await
            }
        }
    }

    /// Gets a log, following the redirects to the server that keeps it.
    async fn follow(&self, token: &Token, mut url: Url) -> Result<Response, Failure> {
        let origin = url.origin();
        // The last headers of GitHub itself: other servers do not report its limits.
        let mut headers = None;
        let mut is_github = true;
        for _ in 0..=REDIRECTS_MAX {
            // A chain that has left the origin does not get the token back by returning to it.
            is_github = is_github && url.origin() == origin;
            let token = is_github.then_some(token);
            let response = self.execute(Method::GET, token, &url, String::new()).await?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return if is_github { Ok(response) } else { stored(response, headers) };
            }
            url = target(&url, &response)?;
            if is_github {
                headers = Some(response.into_parts().0.headers);
            }
        }
        Err(Failure::Broken(format!("it was redirected more than {REDIRECTS_MAX} times")))
    }

    /// Sends a request. With a token its URL is a path below the base of the client, for octocrab
    /// adds the token to no other.
    async fn execute(
        &self,
        method: Method,
        token: Option<&Token>,
        url: &Url,
        body: String,
    ) -> Result<Response, Failure> {
        let mut request = HttpRequest::builder().method(&method);
        let client = match token {
            Some(token) => {
                let path = &url[Position::BeforePath..Position::AfterQuery];
                request = request.uri(path).header(ACCEPT, MEDIA).header(VERSION.0, VERSION.1);
                self.client.user_access_token(token.expose()).map_err(|it| failure::of(&it))?
            }
            None => {
                request = request.uri(&url[..Position::AfterQuery]);
                self.client.clone()
            }
        };
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(body).map_err(|error| Failure::Broken(error.to_string()))?;
        client.execute(request).await.map_err(|error| failure::of(&error))
    }
}

/// The URL of a redirect. It is in no message: that of a log is a secret.
fn target(from: &Url, response: &Response) -> Result<Url, Failure> {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok());
    let target = target.filter(|target| {
        target.scheme() == "https" || (target.scheme() == "http" && from.scheme() == "http")
    });
    target.ok_or_else(|| Failure::Broken("the redirect has no valid Location".to_owned()))
}

/// A log from the server that keeps it, with the headers of GitHub. A refusal of that server is
/// no evidence about the token or the repository.
fn stored(mut response: Response, headers: Option<HeaderMap>) -> Result<Response, Failure> {
    if !response.status().is_success() {
        let status = response.status().as_u16();
        return Err(Failure::Broken(format!("the server that keeps the log answered {status}")));
    }
    *response.headers_mut() = headers.unwrap_or_default();
    Ok(response)
}

/// Reads the body of an answer.
async fn read(mut response: Response, call: &Call, left: Duration) -> Result<Answer, Failure> {
    let is_success = response.status().is_success();
    let tail = match call.request {
        Request::JobLog { tail_bytes, .. } if is_success => Some(tail_bytes),
        _ => None,
    };
    let mut kept = Kept::new(tail.unwrap_or(call.max_bytes), call.max_bytes);
    let end = timeout(left, kept.read(response.body_mut())).await;
    let is_whole = matches!(end, Ok(End::Whole));
    let failure = match end {
        Ok(End::Whole) => None,
        Ok(End::Bound) => tail.is_none().then_some(Failure::TooLarge),
        Ok(End::Broken(reason)) => Some(Failure::Broken(reason)),
        Err(_) => Some(Failure::Timeout),
    };
    if let Some(failure) = failure.filter(|_| is_success) {
        return Err(failure);
    }
    let (body, is_cut) = kept.into_parts();
    Ok(Answer {
        status: response.status().as_u16(),
        headers: headers::read(response.headers()),
        truncated: is_cut || !is_whole,
        body,
        latency: Duration::ZERO,
    })
}
