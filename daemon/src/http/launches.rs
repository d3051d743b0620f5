//! The launches of the agent of a session.

use std::sync::Arc;

use ao_store::SessionId;
use ao_store::row::{launch, session};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde_json::Value;

use super::failure::Failure;
use super::list::Page;
use super::work;
use crate::app::App;
use crate::document;

/// The launches of the agent of a session.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/launches", tag = "sessions",
    params(("id" = String, Path, description = "The session"), Page),
    responses((status = 200, description = "A page of launches", body = ref("#/components/schemas/document.launch.list"))))]
pub(crate) async fn of_session(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let id: SessionId = id.parse()?;
        let launches = app.store.read(|snapshot| {
            session::require(snapshot, &id)?;
            launch::of_session(snapshot, &id)
        })?;
        page.of("launch.list", launches, |it| it.id.clone(), document::launch)
    })
    .await
}
