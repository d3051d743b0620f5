//! `POST /webhooks/github`: the facts of webhook deliveries, as `ao-store observe deliver` applies them. GitHub has no
//! token: it signs the body with the secret of the webhook.
//!
//! It is answered in time whatever the store does: what is not stored by then is accepted, stored later, and counts
//! as one of a bounded number. GitHub does not send an accepted delivery again; if the daemon ends before it is
//! stored, the next poll reads what it was about.

use std::sync::Arc;
use std::time::Duration;

use ao_observer::webhook::{self, verify_signature};
use ao_store::{Cause, Code, Timestamp, Tx};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::failure::Failure;
use super::limit::{closing, overloaded, with_whole_body};
use super::reply;
use super::work::blocking;
use crate::app::App;
use crate::document;

/// The route, which needs no token.
pub(super) const PATH: &str = "/webhooks/github";
/// The largest body of a delivery: that of GitHub.
const BODY_MAX: usize = 25 << 20;
/// How long a body may take to come. GitHub waits 10 s for the answer.
const BODY_TIME: Duration = Duration::from_secs(4);
/// How long the store may take before the answer.
const STORE_TIME: Duration = Duration::from_secs(4);
/// How long after a store was busy it is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Applies a webhook delivery of GitHub.
///
/// The body is at most 25 MiB. A delivery of an id that was applied before is not applied again.
#[utoipa::path(post, path = "/webhooks/github", tag = "webhooks", request_body = Object,
    params(
        ("x-github-event" = String, Header, description = "the event"),
        ("x-github-delivery" = String, Header, description = "the id of the delivery"),
        ("x-hub-signature-256" = String, Header, description = "`sha256=` and the HMAC of the body")),
    responses(
        (status = 200, description = "It is stored", body = ref("#/components/schemas/document.observe.deliver")),
        (status = 202, description = "It will be stored", body = Object),
        (status = 400, description = "`INVALID_DELIVERY`, `INVALID_JSON`, `INVALID_ID`, `INVALID_PR_REF`, `INVALID_REQUEST`"),
        (status = 401, description = "`WEBHOOK_SIGNATURE`"),
        (status = 404, description = "`WEBHOOK_NOT_CONFIGURED`"),
        (status = 408, description = "`REQUEST_TIMEOUT`"),
        (status = 413, description = "`INPUT_TOO_LARGE`"),
        (status = 503, description = "`OVERLOADED`: send it again")))]
pub(crate) async fn github(State(app): State<Arc<App>>, request: Request) -> Response {
    let Some(secret) = &app.access.webhooks.secret else {
        let what = "the daemon has no secret of a webhook: start it with AO_WEBHOOK_SECRET";
        return Failure::new(StatusCode::NOT_FOUND, "WEBHOOK_NOT_CONFIGURED", what).into_response();
    };
    let headers = request.headers().clone();
    let body = {
        let Ok(_place) = app.access.webhooks.bodies.try_acquire() else {
            return overloaded("too many webhook deliveries come at once");
        };
        match with_whole_body(request, BODY_MAX, BODY_TIME).await {
            Ok(whole) => Bytes::from_request(whole, &()).await,
            Err(failure) => return closing(failure),
        }
    };
    let accepted = match body {
        Ok(body) => accept(&app, secret, &headers, body).await,
        Err(_) => Err(Failure::internal()),
    };
    accepted.unwrap_or_else(IntoResponse::into_response)
}

/// Checks a delivery before anything of it is read, and stores it.
async fn accept(
    app: &Arc<App>,
    secret: &[u8],
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    verify_signature(secret, &body, header("x-hub-signature-256").unwrap_or_default())?;
    let (Some(event), Some(id)) = (header("x-github-event"), header("x-github-delivery")) else {
        let what = "the headers X-GitHub-Event and X-GitHub-Delivery are missing";
        return Err(Failure::invalid_request(what));
    };
    let (event, id) = (event.to_owned(), id.to_owned());
    let Ok(place) = Arc::clone(&app.access.webhooks.queue).try_acquire_owned() else {
        return Ok(overloaded("too many webhook deliveries wait for the store"));
    };
    let at = Arc::clone(app);
    let stored = tokio::spawn(blocking(move || {
        let _place = place;
        store(&at, &event, &id, &body)
    }));
    match tokio::time::timeout(STORE_TIME, stored).await {
        Ok(Ok(outcomes)) => {
            Ok(reply::document("observe.deliver", outcomes?.into()).into_response())
        }
        Ok(Err(_)) => Err(Failure::internal()),
        Err(_) => Ok((StatusCode::ACCEPTED, Json(json!({}))).into_response()),
    }
}

/// Stores a delivery. A store that is busy is waited for: GitHub may have been told that the delivery is accepted.
fn store(app: &App, event: &str, id: &str, body: &[u8]) -> Result<Vec<Value>, Failure> {
    let delivery = Arc::new(webhook::read(event, body, None, Timestamp::now())?);
    loop {
        let (delivery, recorded) = (Arc::clone(&delivery), id.to_owned());
        let work = move |tx: &Tx<'_>| webhook::record(tx, &delivery, Some(&recorded));
        match app.store.write(Cause::now("webhook"), work) {
            Ok(done) => return Ok(document::delivered(&done.value, id)),
            Err(error) if error.code() == Code::Busy && !app.stop.is_cancelled() => {
                std::thread::sleep(RETRY);
            }
            Err(error) => {
                tracing::warn!(%error, "a webhook delivery was not stored");
                return Err(error.into());
            }
        }
    }
}

impl From<ao_observer::Error> for Failure {
    fn from(error: ao_observer::Error) -> Failure {
        Failure::of(error.code(), error.to_string(), Value::Null)
    }
}
