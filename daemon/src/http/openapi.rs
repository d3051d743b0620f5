//! The document that describes the routes: what their handlers declare, with the schemas of docs/json.md and the
//! errors that every route can answer.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use http::header;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;
use utoipa::{PartialSchema, ToSchema};

use super::list::Nothing;
use crate::document::contract;

/// The document, as it is served.
#[derive(Debug, Clone)]
pub(crate) struct Document(pub(crate) Bytes);

/// Why a request was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Error {
    /// The status in words.
    error: String,
    /// The code: see docs/errors.md and docs/http.md.
    code: String,
    /// What is wrong, for people.
    message: String,
    /// The id of the request, which the log has, too.
    #[serde(rename = "requestId")]
    request_id: String,
    /// Machine-readable fields of some codes.
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
}

/// The errors of every route.
const ALWAYS: &[u16] = &[400, 401, 403, 405, 408, 414, 421, 500, 503];
/// The errors of what the store says about a request.
const OF_READ: &[u16] = &[404, 409, 410];
/// The errors of changes.
const OF_CHANGE: &[u16] = &[404, 409, 410, 413, 415, 422, 429, 502, 504, 507];

/// Completes what the handlers declare.
pub(crate) fn complete(generated: &OpenApi) -> Document {
    let mut document = serde_json::to_value(generated).unwrap_or_default();
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, operations) in paths {
            for (method, operation) in operations.as_object_mut().into_iter().flatten() {
                add_errors(path, method, operation);
            }
        }
    }
    let mut schemas = contract::components();
    for (name, schema) in &mut schemas {
        if name.ends_with(".list") {
            let what = "The `after` of the next page; null at the end.";
            schema["properties"]["next"] = json!({"type": ["string", "null"], "description": what});
        }
    }
    schemas.insert("error".to_owned(), json!(Error::schema()));
    let rollback =
        ["session.rm", "session.kill"].map(|kind| reference(&format!("document.{kind}")));
    schemas.insert("rollback".to_owned(), json!({"anyOf": rollback}));
    let declared = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    schemas.extend(declared);
    document["components"]["schemas"] = Value::Object(schemas);
    let bearer = json!({"type": "http", "scheme": "bearer"});
    document["components"]["securitySchemes"] = json!({"token": bearer});
    document["security"] = json!([{}, {"token": []}]);
    Document(document.to_string().into())
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn add_errors(path: &str, method: &str, operation: &mut Value) {
    let is_read = method == "get";
    let of_kind = if is_read { OF_READ } else { OF_CHANGE };
    // What answers without the store has no error of it.
    let of_kind = if path.starts_with("/api/") { of_kind } else { &[] };
    let body = json!({"application/json": {"schema": reference("error")}});
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for status in ALWAYS.iter().chain(of_kind) {
        let described = json!({"description": words(*status), "content": body});
        responses.insert(status.to_string(), described);
    }
    let mut sorted: Vec<_> = std::mem::take(responses).into_iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    *responses = Map::from_iter(sorted);
}

fn words(status: u16) -> String {
    let status = http::StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("Error").to_owned()
}

/// The document of the routes.
#[utoipa::path(get, path = "/openapi.json", tag = "daemon",
    responses((status = 200, description = "The document", body = Object)))]
pub(crate) async fn get(
    Extension(Document(text)): Extension<Document>,
    Query(_): Query<Nothing>,
) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The same.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "daemon",
    responses((status = 200, description = "The document", body = Object)))]
pub(crate) async fn get_versioned(
    document: Extension<Document>,
    query: Query<Nothing>,
) -> Response {
    get(document, query).await
}
