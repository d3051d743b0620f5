//! What agents wait for a person to decide.

use std::sync::Arc;

use ao_store::SessionId;
use ao_store::row::decision::{self, Decision};
use ao_store::row::session;
use axum::Json;
use axum::extract::{Path, Query, State};
use serde_json::Value;

use super::deliveries::OfSession;
use super::failure::Failure;
use super::list::Page;
use super::work;
use crate::app::App;
use crate::document;

fn page(app: &App, asked: OfSession) -> Result<Json<Value>, Failure> {
    let OfSession { session, limit, after } = asked;
    let session: Option<SessionId> = session.as_deref().map(str::parse).transpose()?;
    let read = |after: Option<&str>, limit| {
        let after = after.unwrap_or_default();
        let open = app.store.read(|snapshot| match &session {
            None => decision::page(snapshot, after, limit),
            Some(id) => {
                session::require(snapshot, id)?;
                let open = decision::open(snapshot, id)?;
                Ok(open.filter(|it| it.session.as_str() > after).into_iter().collect())
            }
        });
        Ok(open?)
    };
    let key = |it: &Decision| it.session.to_string();
    Page { limit, after }.read("decision.list", read, key, document::decision)
}

/// The open decisions.
#[utoipa::path(get, path = "/api/v1/decisions", tag = "decisions", params(OfSession),
    responses((status = 200, description = "A page of decisions", body = ref("#/components/schemas/document.decision.list"))))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(asked): Query<OfSession>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| page(app, asked)).await
}

/// The open decision of a session, if it waits for one.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/decisions", tag = "sessions",
    params(("id" = String, Path, description = "The session"), Page),
    responses((status = 200, description = "A page of decisions", body = ref("#/components/schemas/document.decision.list"))))]
pub(crate) async fn of_session(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(Page { limit, after }): Query<Page>,
) -> Result<Json<Value>, Failure> {
    let asked = OfSession { session: Some(id), limit, after };
    work::run(&app, move |app| page(app, asked)).await
}
