//! What the daemon says about itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::reply;
use crate::app::App;
use crate::loops::LoopStatus;

/// The daemon: where it is, and what its loops do.
#[utoipa::path(get, path = "/api/v1/daemon", tag = "daemon", responses((status = 200, description = "`daemon.get`")))]
pub(crate) async fn get(State(app): State<Arc<App>>) -> Json<Value> {
    let mut data = json!(app.run_file);
    data["loops"] = app.loops.statuses().iter().map(of_loop).collect();
    reply::document("daemon.get", data)
}

fn of_loop(status: &LoopStatus) -> Value {
    let at = status.at.and_then(|at| jiff::Timestamp::from_millisecond(at.0).ok());
    json!({
        "name": status.name,
        "state": status.state.as_str(),
        "at": at,
        "outcome": status.outcome,
        "restarts": status.restarts,
    })
}
