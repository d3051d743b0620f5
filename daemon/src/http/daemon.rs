//! What the daemon says about itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde_json::Value;

use super::list::Nothing;
use super::reply;
use crate::app::App;
use crate::document::status::{daemon_of, loops_of};
use crate::state;

/// The daemon: where it is, and what its loops do.
#[utoipa::path(get, path = "/api/v1/daemon", tag = "daemon",
    responses((status = 200, description = "The daemon", body = ref("#/components/schemas/document.daemon.status"))))]
pub(crate) async fn get(State(app): State<Arc<App>>, Query(_): Query<Nothing>) -> Json<Value> {
    let mut data = daemon_of(state::State::Ready, Some(&app.run_file));
    data["loops"] = loops_of(&app.loops());
    reply::document("daemon.status", data)
}
