//! `GET /api/v1/events`: the changes as they are committed, as server-sent events or as NDJSON, from any position,
//! after the rows if wanted.
//!
//! Every refusal comes before the stream begins. All clients share one reader of the log; one that falls behind
//! reads the log itself, and disturbs no other.

mod client;
mod frame;
mod query;

use std::sync::Arc;

use ao_cdc::wire::Encoder;
use ao_cdc::{SnapshotReader, Start};
use ao_store::LogInfo;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use self::client::{Client, Phase};
pub(crate) use self::frame::Format;
use self::frame::Renderer;
use self::query::Query;
use super::failure::Failure;
use super::work::blocking;
use crate::app::App;

/// The changes as they are committed.
///
/// Each event has the cursor of its change as `id`, its type as `event`, and as `data` the change as
/// `ao-store tail --format ndjson` prints it. Items that only describe the stream (`hello`, `row`, `bookmark`,
/// `bye`, `error`) have no `id`. The header `ao-start` has the position after which the stream begins. A stream
/// that ended is continued from its last id, by `Last-Event-ID` or `after`.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(Query), responses(
    (status = 200, description = "a stream that does not end", content(
        (String = "text/event-stream"), (String = "application/x-ndjson"))),
    (status = 400, description = "`INVALID_CURSOR`, `CURSOR_IN_FUTURE`, `INVALID_EVENT_TYPE`, `INVALID_FIELD`, `INVALID_REQUEST`"),
    (status = 409, description = "`CURSOR_EPOCH_MISMATCH`"),
    (status = 410, description = "`CURSOR_EXPIRED`"),
    (status = 503, description = "`TOO_MANY_CLIENTS`")))]
pub(crate) async fn follow(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    query: Result<axum::extract::Query<Query>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failure> {
    let query = query.map_err(|error| Failure::invalid_request(error.body_text()))?.0;
    let Ok(place) = Arc::clone(&app.streams.places).try_acquire_owned() else {
        let what = "too many clients follow the changes";
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_CLIENTS", what));
    };
    let (start, filter) = (query.start(headers.get("last-event-id"))?, query.filter()?);
    let format = Format::accepted(&headers);
    let opened = Arc::clone(&app);
    let client = blocking(move || {
        let app = opened;
        let (phase, cursor) = match query.snapshot.is_some_and(|wanted| wanted != 0) {
            false => {
                let subscription = app.streams.fanout.subscribe(start, filter.clone())?;
                let cursor = subscription.cursor();
                (Phase::Changes(subscription), cursor)
            }
            true => {
                let holder = "a client of the daemon";
                // Without a position the rows are those of now.
                let rows = SnapshotReader::open(&app.store, start, filter.clone(), holder)?;
                let cursor = rows.cursor();
                (Phase::Rows(Box::new(rows)), cursor)
            }
        };
        let log = app.store.read(LogInfo::read)?;
        let encoder = Encoder::new(&log.log_id, cursor.epoch);
        let renderer = Renderer::new(format, encoder, query.unnamed.is_some_and(|it| it != 0));
        Ok(Client::new(app, phase, filter, cursor, log, renderer, place))
    });
    let client: Client = client.await?;
    let cursor = client.cursor();
    let response = Response::builder()
        .header(CONTENT_TYPE, format.content_type())
        .header(CACHE_CONTROL, "no-store")
        .header("x-accel-buffering", "no")
        .header("ao-start", cursor.to_string());
    response.body(Body::from_stream(client.stream())).map_err(|_| Failure::internal())
}

/// Where a client begins that says nothing.
const DEFAULT: Start = Start::End;
