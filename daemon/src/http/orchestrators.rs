//! The orchestrators of projects.

use std::sync::Arc;

use ao_store::SessionId;
use ao_store::row::session::{self, SessionKind};
use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::failure::Failure;
use super::list::Nothing;
use super::sessions::{self, described};
use super::spawn::Spawn;
use super::work;
use crate::app::App;

/// Which orchestrators.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Only that of this project.
    project: Option<String>,
    /// Include terminated ones.
    #[serde(default)]
    all: bool,
    /// The number of items; 100 if it is absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// The orchestrators.
#[utoipa::path(get, path = "/api/v1/orchestrators", tag = "orchestrators", params(Filter),
    responses((status = 200, description = "A page of sessions", body = ref("#/components/schemas/document.session.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Failure> {
    let Filter { project, all, limit, after } = filter;
    let filter = sessions::Filter { project, all, status: None, limit, after };
    work::run(&app, move |app| {
        filter.page(app, |session| session.kind == SessionKind::Orchestrator)
    })
    .await
}

/// The orchestrator that a project is to have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ensure {
    /// Replace the active one.
    #[serde(default)]
    replace: bool,
    /// What is spawned if there is none, or if it is replaced. Its `kind` is not used.
    spawn: Spawn,
}

/// Ensures that a project has an orchestrator. Any number of callers at the same time get the same session.
#[utoipa::path(post, path = "/api/v1/orchestrators", tag = "orchestrators", request_body = Ensure,
    responses(
        (status = 201, description = "It was spawned", body = ref("#/components/schemas/document.orchestrator.ensure")),
        (status = 200, description = "It was active", body = ref("#/components/schemas/document.orchestrator.ensure"))))]
pub(crate) async fn ensure(
    State(app): State<Arc<App>>,
    Query(_): Query<Nothing>,
    Json(asked): Json<Ensure>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    work::run(&app, move |app| {
        let request = asked.spawn.request(app)?;
        let ensured = app.sessions.ensure_orchestrator(&request, asked.replace)?;
        let status = if ensured.is_new { StatusCode::CREATED } else { StatusCode::OK };
        let document = described(app, "orchestrator.ensure", &ensured.session, &ensured.warnings)?;
        Ok((status, document))
    })
    .await
}

/// One orchestrator.
#[utoipa::path(get, path = "/api/v1/orchestrators/{id}", tag = "orchestrators",
    params(("id" = String, Path, description = "The session")),
    responses((status = 200, description = "The session", body = ref("#/components/schemas/document.session.get"))))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let id: SessionId = id.parse()?;
        let found = app.store.read(|snapshot| session::require(snapshot, &id))?;
        match found.kind {
            SessionKind::Orchestrator => described(app, "session.get", &id, &[]),
            _ => Err(ao_store::Error::SessionNotFound(id).into()),
        }
    })
    .await
}
