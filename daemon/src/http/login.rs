//! Logins of browsers, which cannot send a token with every request: a link from the operator, and a cookie for it.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use ao_store::Timestamp;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::failure::Failure;
use super::list::Nothing;
use super::reply;
use crate::app::App;
use crate::browser::{LINK_TIME, SESSION_TIME};

/// The route of logins, which needs no token.
pub(super) const PATH: &str = "/api/v1/login";

/// What a browser shows to be let in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The secret of a link: what is after `#t=`.
    secret: String,
}

/// Creates a link with which a browser logs in once, within 60 s.
#[utoipa::path(post, path = "/api/v1/login-links", tag = "login", responses(
    (status = 201, description = "The link", body = ref("#/components/schemas/document.login.link"))))]
pub(crate) async fn link(
    State(app): State<Arc<App>>,
    Query(_): Query<Nothing>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let secret = app.access.browsers.link(Instant::now()).map_err(|error| {
        tracing::error!(%error, "there are no random numbers");
        Failure::internal()
    })?;
    let url = format!("{}/#t={secret}", app.run_file.url);
    let expires_at = jiff::Timestamp::now() + LINK_TIME;
    let data = json!({"url": url, "secret": secret, "expires_at": expires_at});
    Ok((StatusCode::CREATED, reply::document("login.link", data)))
}

/// Logs a browser in: the answer sets a cookie, which is as good as the token of the operator for 12 h, also after a
/// restart of the daemon. The link is used up.
#[utoipa::path(post, path = "/api/v1/login", tag = "login", request_body = Login, responses(
    (status = 204, description = "the header `set-cookie` has the cookie"),
    (status = 400, description = "`INVALID_REQUEST`"),
    (status = 401, description = "`LOGIN_LINK_INVALID`: it is unknown, used or too old")))]
pub(crate) async fn login(
    State(app): State<Arc<App>>,
    Query(_): Query<Nothing>,
    login: Result<Json<Login>, JsonRejection>,
) -> Result<Response, Failure> {
    // The text of the parser would quote what was sent.
    let Json(login) =
        login.map_err(|_| Failure::invalid_request("send {\"secret\": …} as application/json"))?;
    let session = app.access.browsers.login(&login.secret, Instant::now(), Timestamp::now());
    let Some(session) = session else {
        let what = "the link is unknown, used or too old";
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "LOGIN_LINK_INVALID", what));
    };
    let name = cookie_name(app.run_file.url.rsplit(':').next().unwrap_or_default());
    let age = SESSION_TIME.as_secs();
    let cookie = format!("{name}={session}; SameSite=Strict; HttpOnly; Path=/; Max-Age={age}");
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

/// The name of the cookie: browsers send cookies to every port of a host, so each daemon has its own.
fn cookie_name(port: impl Display) -> String {
    format!("ao_store_{port}")
}

/// The secret of the session in the cookies of a request to this port.
pub(super) fn session(headers: &HeaderMap, port: u16) -> Option<&str> {
    let name = cookie_name(port);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut pairs = cookies.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}
