//! Everything that is stored, as lines.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;

use super::failure::Failure;
use super::list::Nothing;
use super::work;
use crate::app::App;

/// Everything that is stored, as lines of JSON that `ao-store import` reads. Without its last line, `end`, it is
/// cut off.
#[utoipa::path(get, path = "/api/v1/export", tag = "store",
    responses((status = 200, description = "Lines as `ao-store export` writes them",
        body = String, content_type = "application/x-ndjson")))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Query(_): Query<Nothing>,
) -> Result<Response, Failure> {
    work::lines(&app, |app, out| match app.store.export(out) {
        // The client is gone.
        Ok(_) | Err(ao_store::Error::Output(_)) => Ok(()),
        Err(error) => Err(error.into()),
    })
    .await
}
