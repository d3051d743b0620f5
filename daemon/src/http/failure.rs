//! Why a request is refused: the errors of the store and of sessions under their own codes, and those of HTTP.

use std::any::Any;

use ao_store::Code;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::Value;

/// A refused request. [`super::reply::finish`] writes it.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) details: Option<Value>,
}

impl Failure {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> Failure {
        Failure { status, code, message: message.into(), details: None }
    }

    pub(crate) fn route_not_found() -> Failure {
        Failure::new(
            StatusCode::NOT_FOUND,
            "ROUTE_NOT_FOUND",
            "there is no such route; see /openapi.json",
        )
    }

    pub(crate) fn method_not_allowed() -> Failure {
        let what = "the route does not accept this method; see /openapi.json";
        Failure::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", what)
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message)
    }

    /// A defect of this program.
    pub(crate) fn internal() -> Failure {
        let what = "a defect of this program";
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", what)
    }

    /// An error of the registry. What is wrong with the machine or with this program is for the log, not for a
    /// client.
    pub(crate) fn of(code: Code, message: String, details: Value) -> Failure {
        let status =
            StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(code = code.name(), message, "a request failed");
            return Failure::new(status, code.name(), code.meaning());
        }
        let details = details.as_object().is_some_and(|it| !it.is_empty()).then_some(details);
        Failure { details, ..Failure::new(status, code.name(), message) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// The answer to a request whose handler panicked.
pub(crate) fn of_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = text, "the handler of a request panicked");
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "a defect of this program")
        .into_response()
}

impl From<ao_store::Error> for Failure {
    fn from(error: ao_store::Error) -> Failure {
        Failure::of(error.code(), error.to_string(), error.details())
    }
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Failure {
        Failure::of(error.code(), crate::loops::reason(&error), Value::Null)
    }
}

impl From<ao_session::Error> for Failure {
    fn from(error: ao_session::Error) -> Failure {
        Failure::of(error.code(), error.to_string(), error.details())
    }
}

impl From<ao_cdc::Error> for Failure {
    fn from(error: ao_cdc::Error) -> Failure {
        match error {
            ao_cdc::Error::Store(error) => error.into(),
            error => Failure::of(error.code(), error.to_string(), Value::Null),
        }
    }
}

impl From<crate::request::Error> for Failure {
    fn from(error: crate::request::Error) -> Failure {
        Failure::of(error.code(), error.to_string(), error.details())
    }
}
