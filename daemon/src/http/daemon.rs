//! What the daemon says about itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde_json::{Value, json};

use super::list::Nothing;
use super::reply;
use crate::app::App;
use crate::document::status::daemon_of;
use crate::document::time;
use crate::loops::LoopStatus;
use crate::state;

/// The daemon: where it is, and what its loops do.
#[utoipa::path(get, path = "/api/v1/daemon", tag = "daemon",
    responses((status = 200, description = "The daemon", body = ref("#/components/schemas/document.daemon.status"))))]
pub(crate) async fn get(State(app): State<Arc<App>>, Query(_): Query<Nothing>) -> Json<Value> {
    let mut data = daemon_of(state::State::Ready, Some(&app.run_file));
    data["loops"] = app.loops.statuses().iter().map(of_loop).collect();
    reply::document("daemon.status", data)
}

fn of_loop(status: &LoopStatus) -> Value {
    json!({
        "name": status.name,
        "state": status.state.as_str(),
        "at": status.at.map(time),
        "outcome": status.outcome,
        "restarts": status.restarts,
    })
}
