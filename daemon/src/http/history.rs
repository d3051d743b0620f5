//! The changes of one session, as lines.

use std::io::Write;
use std::sync::Arc;

use ao_cdc::wire::{Control, Encoder};
use ao_cdc::{History, Thing};
use ao_store::row::session;
use ao_store::{SessionId, Timestamp};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::failure::Failure;
use super::work;
use crate::app::App;

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Only the last changes, of this number.
    lines: Option<u64>,
    /// Only the changes since this time, in milliseconds since 1970-01-01 UTC.
    since_ms: Option<i64>,
    /// Omit those of its pull requests.
    #[serde(default)]
    only: bool,
}

/// The changes of a session, oldest first, as lines of JSON: first `hello`, then one line a change.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/history", tag = "sessions",
    params(("id" = String, Path, description = "The session"), Asked),
    responses((status = 200, description = "Lines as `ao-store history --format ndjson` prints them",
        body = String, content_type = "application/x-ndjson")))]
pub(crate) async fn of_session(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    work::lines(&app, move |app, out| {
        let id: SessionId = id.parse()?;
        let missing = app.store.read(|snapshot| Ok(session::require(snapshot, &id).err()))?;
        let thing = Thing::Session { id, with_prs: !asked.only };
        let since = asked.since_ms.map(Timestamp);
        let mut history = History::open(&app.store, thing, since, asked.lines)?;
        if let Some(error) = missing.filter(|_| !history.is_found()) {
            return Err(error.into());
        }
        let (log, cursor) = (history.log().clone(), history.cursor());
        let mut encoder = Encoder::new(&log.log_id, log.epoch);
        let mut lines = Vec::new();
        encoder.control(&Control::Hello { cursor, log: &log, lease: None }, &mut lines);
        loop {
            let has_more = history.visit(|change| encoder.ndjson(change, &mut lines))?;
            if out.write_all(&lines).is_err() || !has_more {
                // A client that is gone wants no more.
                return Ok(());
            }
            lines.clear();
        }
    })
    .await
}
