//! The form of every answer: an id, headers that keep browsers from guessing, and one body for all errors.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, body};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::failure::Failure;

/// What an answer contains that a browser would act upon: nothing.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'";

/// What the head of a refusal says besides its status.
const KEPT: [HeaderName; 3] = [header::ALLOW, header::CONNECTION, header::RETRY_AFTER];

/// A document as the command line prints it with `--json`.
pub(crate) fn document(kind: &str, data: Value) -> Json<Value> {
    Json(json!({"schema_version": 1, "kind": kind, "data": data}))
}

/// Gives an answer its id, and an error its body.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let id = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let kept = KEPT.map(|name| response.headers_mut().remove(name));
        let failure = match response.extensions_mut().remove::<Failure>() {
            Some(failure) => failure,
            None => of_library(response).await,
        };
        tracing::debug!(id, %method, path, code = failure.code, "a request was refused");
        response = render(failure, &id);
        for (name, value) in KEPT.into_iter().zip(kept) {
            response.headers_mut().extend(value.map(|value| (name, value)));
        }
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    protect(headers);
    response
}

fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry("cross-origin-opener-policy").or_insert(HeaderValue::from_static("same-origin"));
}

/// What axum refused by itself: a body that is no JSON, too large, or of another type.
async fn of_library(response: Response) -> Failure {
    let status = response.status();
    let text = body::to_bytes(response.into_body(), 4 << 10).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "INPUT_TOO_LARGE",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "UNSUPPORTED_CONTENT_TYPE",
        StatusCode::REQUEST_TIMEOUT => "REQUEST_TIMEOUT",
        StatusCode::METHOD_NOT_ALLOWED => "METHOD_NOT_ALLOWED",
        _ if status.is_server_error() => "INTERNAL_ERROR",
        _ => "INVALID_REQUEST",
    };
    // A body of the right form with a wrong field is a bad request, as on the command line.
    let status =
        if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status };
    Failure::new(status, code, text)
}

fn render(failure: Failure, id: &str) -> Response {
    let Failure { status, code, message, details } = failure;
    let kind = status.canonical_reason().unwrap_or("error").to_lowercase();
    let mut body = Map::new();
    body.insert("error".to_owned(), kind.replace([' ', '-'], "_").into());
    body.insert("code".to_owned(), code.into());
    body.insert("message".to_owned(), message.into());
    body.insert("requestId".to_owned(), id.into());
    if let Some(details) = details {
        body.insert("details".to_owned(), details);
    }
    (status, Json(Value::Object(body))).into_response()
}
