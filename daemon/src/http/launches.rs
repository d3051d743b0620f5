//! The launches of the agent of a session.

use std::sync::Arc;

use ao_store::SessionId;
use ao_store::row::{launch, session};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde_json::Value;

use super::failure::Failure;
use super::list::{self, Page};
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
        let read = |after: Option<&str>, limit| {
            let after = list::key(after, 0, |text| text.parse().ok())?;
            let launches = app.store.read(|snapshot| {
                session::require(snapshot, &id)?;
                launch::page(snapshot, &id, after, limit)
            });
            Ok(launches?)
        };
        page.read("launch.list", read, |it| it.num.to_string(), document::launch)
    })
    .await
}
