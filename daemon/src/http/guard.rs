//! Which requests are let in. Through the Unix socket come processes of the same user, which need no token.
//! On the port, a page of any web site in a browser of the user could connect: such requests are refused by
//! their host and origin, and every other one needs a token.

use std::sync::Arc;

use ao_store::Timestamp;
use ao_store::turn::conversation::Caller;
use axum::Extension;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};

use super::caller::Asked;
use super::failure::Failure;
use super::{login, webhook};
use crate::app::App;
use crate::serve::Peer;
use crate::token::Scope;

/// The routes that need no token: the probes say nothing; a login shows the secret of a link, and a webhook delivery
/// its signature.
const OPEN: [&str; 4] = ["/healthz", "/readyz", login::PATH, webhook::PATH];

/// Refuses a request, or passes it on.
pub(crate) async fn check(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    match check_request(&app, peer, &request) {
        Ok(caller) => {
            request.extensions_mut().insert(Asked(caller));
            next.run(request).await
        }
        Err(failure) => failure.into_response(),
    }
}

fn check_request(app: &App, peer: Peer, request: &Request) -> Result<Caller, Failure> {
    let headers = request.headers();
    let mut caller = Caller::Operator;
    if let Peer::Tcp { local } = peer {
        check_host(request, local.port())?;
        check_origin(headers, local.port())?;
        if !OPEN.contains(&request.uri().path()) {
            caller = check_token(app, request, local.port())?;
        }
    }
    check_content(request.method(), headers)?;
    Ok(caller)
}

/// Whether a route is for tokens of organisations: it answers for the caller alone. What is changed there are
/// turns and conversations.
fn is_of_orgs(path: &str, reads: bool) -> bool {
    let Some(path) = path.strip_prefix("/api/v1/") else { return false };
    let parts: Vec<_> = path.split('/').collect();
    match parts[..] {
        ["turns" | "conversations", ..] => true,
        ["orgs", _, "agents", ..] => reads,
        _ => false,
    }
}

/// The names under which a local program reaches the port. Any other means that a name of a web site was made
/// to point here.
fn own_hosts(port: u16) -> [String; 3] {
    ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}"))
}

fn check_host(request: &Request, port: u16) -> Result<(), Failure> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let host = named.next().filter(|_| named.next().is_none()).and_then(|host| host.to_str().ok());
    let is_own = |host: &str| own_hosts(port).iter().any(|own| own.eq_ignore_ascii_case(host));
    // A request to a proxy names the host in its target, too.
    let target = request.uri().authority().is_none_or(|target| is_own(target.as_str()));
    match host.is_some_and(is_own) && target {
        true => Ok(()),
        false => {
            let what = "the request is for another host";
            Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, "HOST_NOT_ALLOWED", what))
        }
    }
}

fn check_origin(headers: &HeaderMap, port: u16) -> Result<(), Failure> {
    let own = own_hosts(port).map(|host| format!("http://{host}"));
    let is_own = |origin: &[u8]| own.iter().any(|own| own.as_bytes() == origin);
    let origin = headers.get_all(header::ORIGIN).iter().all(|origin| is_own(origin.as_bytes()));
    let site = headers.get_all("sec-fetch-site").iter();
    let site = site.into_iter().all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    match origin && site {
        true => Ok(()),
        false => {
            let what = "a page of another site sent the request";
            Err(Failure::new(StatusCode::FORBIDDEN, "ORIGIN_FORBIDDEN", what))
        }
    }
}

fn check_token(app: &App, request: &Request, port: u16) -> Result<Caller, Failure> {
    let (headers, reads) =
        (request.headers(), matches!(*request.method(), Method::GET | Method::HEAD));
    let Some(shown) = headers.get(header::AUTHORIZATION) else {
        return check_session(app, headers, port, reads).map(|()| Caller::Operator);
    };
    let token = shown.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
    let scope =
        token.and_then(|token| app.access.tokens.scope(token.trim())).ok_or_else(token_required)?;
    match scope {
        Scope::Operator => Ok(Caller::Operator),
        Scope::Read if reads => Ok(Caller::Operator),
        Scope::Read => {
            Err(Failure::new(StatusCode::FORBIDDEN, "TOKEN_READ_ONLY", "this token may only read"))
        }
        Scope::Org(org) if is_of_orgs(request.uri().path(), reads) => Ok(Caller::Org(org)),
        Scope::Org(_) => {
            let what = "the token of an organisation is for its turns, conversations and agents";
            Err(Failure::new(StatusCode::FORBIDDEN, "TOKEN_OF_ORG", what))
        }
    }
}

/// A browser that has logged in sends its cookie with every request, also with those that a page of another port of
/// this host makes it send. What changes something must therefore name its origin, which was found to be our own.
fn check_session(app: &App, headers: &HeaderMap, port: u16, reads: bool) -> Result<(), Failure> {
    let session = login::session(headers, port);
    if !session.is_some_and(|secret| app.access.browsers.is_session(secret, Timestamp::now())) {
        return Err(token_required());
    }
    match reads || headers.contains_key(header::ORIGIN) {
        true => Ok(()),
        false => {
            let what = "a browser changes something from an own page only";
            Err(Failure::new(StatusCode::FORBIDDEN, "ORIGIN_FORBIDDEN", what))
        }
    }
}

fn token_required() -> Failure {
    let what =
        "send a token: `Authorization: Bearer …`; the operator's is in tokens/operator.token";
    Failure::new(StatusCode::UNAUTHORIZED, "TOKEN_REQUIRED", what)
}

/// What changes something has a JSON body, or none: the form of a web page can send neither.
fn check_content(method: &Method, headers: &HeaderMap) -> Result<(), Failure> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
    let is_json = |kind: &str| {
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    };
    match kind.is_none_or(is_json) {
        true => Ok(()),
        false => {
            let what = "send a body of type application/json";
            Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_CONTENT_TYPE", what))
        }
    }
}
