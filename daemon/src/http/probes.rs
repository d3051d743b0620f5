//! What supervisors ask: whether the daemon lives, whether it is ready, and that it stops.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::failure::Failure;
use crate::app::App;

/// That it lives.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`, or `stopping`.
    status: &'static str,
    /// Always `ao-store`.
    service: &'static str,
    /// The process id.
    pid: u32,
}

fn health(app: &App, status: &'static str) -> Json<Health> {
    Json(Health { status, service: "ao-store", pid: app.run_file.pid })
}

/// Whether the daemon lives.
#[utoipa::path(get, path = "/healthz", tag = "daemon", responses((status = 200, body = Health)))]
pub(crate) async fn healthz(State(app): State<Arc<App>>) -> Json<Health> {
    health(&app, if app.stop.is_cancelled() { "stopping" } else { "ok" })
}

/// Whether the daemon serves: the store is migrated and can be read. This never waits for GitHub.
#[utoipa::path(get, path = "/readyz", tag = "daemon",
    responses((status = 200, body = Health), (status = 503, description = "not yet, or not any more")))]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Health>, Failure> {
    let store = app.store.clone();
    let read = tokio::task::spawn_blocking(move || store.read(|snapshot| snapshot.head()));
    match (app.is_ready(), read.await) {
        (true, Ok(Ok(_))) => Ok(health(&app, "ready")),
        _ => {
            let what = "the daemon does not serve yet, or not any more";
            Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_READY", what))
        }
    }
}

/// Stops the daemon. Sessions go on.
#[utoipa::path(post, path = "/shutdown", tag = "daemon", responses((status = 202, body = Health)))]
pub(crate) async fn shutdown(State(app): State<Arc<App>>) -> (StatusCode, Json<Health>) {
    app.stop.cancel();
    (StatusCode::ACCEPTED, health(&app, "stopping"))
}
