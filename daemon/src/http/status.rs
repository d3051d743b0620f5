//! The figures of the store.

use std::sync::Arc;

use ao_observer::run::running;
use ao_store::ClockReading;
use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::Value;

use super::failure::Failure;
use super::list::Nothing;
use super::{reply, work};
use crate::app::App;
use crate::disk::Space;
use crate::document::metrics::{self, OfDaemon};
use crate::document::status::{Status, loops_of};
use crate::wal_reader::wal_readers;

/// The figures of the store.
#[utoipa::path(get, path = "/api/v1/status", tag = "store",
    responses((status = 200, description = "The figures", body = ref("#/components/schemas/document.store.status"))))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Query(_): Query<Nothing>,
) -> Result<Json<Value>, Failure> {
    work::run(&app, move |app| {
        let (reading, database) = (ClockReading::now(), app.store.path());
        let status = Status {
            database,
            stats: &app.store.stats(reading)?,
            space: Space::of(database).ok(),
            readers: &wal_readers(database),
            observer: &running(database),
            daemon: (crate::State::Ready, Some(&app.run_file)),
            loops: &loops_of(&app.loops()),
            now: reading.at,
        };
        Ok(reply::document("store.status", status.document()))
    })
    .await
}

/// The same, and what the daemon does, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "store",
    responses((status = 200, description = "The figures", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(
    State(app): State<Arc<App>>,
    Query(_): Query<Nothing>,
) -> Result<Response, Failure> {
    let text = work::run(&app, move |app| {
        let stats = app.store.stats(ClockReading::now())?;
        let readers = wal_readers(app.store.path()).len();
        let space = Space::of(app.store.path()).ok();
        let daemon = OfDaemon { loops: app.loops(), followers: app.streams.count() };
        Ok(metrics::render(&stats, space, readers, Some(&daemon)))
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
