//! The terminal of an agent: its bytes as they are printed, and keys.

use std::convert::Infallible;
use std::sync::Arc;

use ao_store::SessionId;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use futures_util::Stream;
use futures_util::stream::unfold;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::{IntoParams, ToSchema};

use super::failure::Failure;
use super::list::Nothing;
use super::work;
use crate::app::App;
use crate::terminals::{Part, Terminal};

/// From where.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct From {
    /// After this many bytes of the stream; from what is kept if it is absent.
    offset: Option<u64>,
    /// The `ao-terminal` of the stream that the offset is of.
    terminal: Option<String>,
}

/// What an agent prints in its terminal, as it is printed.
///
/// The newest MiB is kept. The header `ao-terminal` names the stream, and `ao-start` the offset of the first byte: it
/// is not the wanted one where that is not kept, or is of another stream. A stream begins with what draws the screen,
/// and ends with the launch, or when the client is behind what is kept.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/terminal", tag = "sessions",
    params(("id" = String, Path, description = "The session"), From),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 502, description = "`RUNTIME_FAILED`", body = ref("#/components/schemas/error"))))]
pub(crate) async fn follow(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(from): Query<From>,
) -> Result<Response, Failure> {
    let Ok(place) = Arc::clone(&app.terminals.places).try_acquire_owned() else {
        let what = "too many clients look at terminals";
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_CLIENTS", what));
    };
    let turn = Arc::clone(&app.terminals.turn).lock_owned().await;
    let (terminal, news) = work::run(&app, move |app| {
        // Until it is open, also when the client has gone.
        let _turn = turn;
        let id: SessionId = id.parse()?;
        Ok(app.terminals.open(&app.sessions, &id, &app.stop)?)
    })
    .await?;
    let start = terminal.start(from.terminal.as_deref(), from.offset);
    let response = Response::builder()
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CACHE_CONTROL, "no-store")
        .header("x-accel-buffering", "no")
        .header("ao-terminal", &terminal.id)
        .header("ao-start", start);
    let client = Client { terminal, news, offset: start, _place: place };
    response.body(Body::from_stream(client.stream())).map_err(|_| Failure::internal())
}

struct Client {
    terminal: Arc<Terminal>,
    news: watch::Receiver<()>,
    offset: u64,
    _place: OwnedSemaphorePermit,
}

impl Client {
    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        unfold(self, async |mut client| {
            loop {
                client.news.mark_unchanged();
                match client.terminal.part(client.offset) {
                    Part::Bytes(part) => {
                        client.offset += part.len() as u64;
                        return Some((Ok(part), client));
                    }
                    Part::Later => client.news.changed().await.ok()?,
                    Part::End => return None,
                }
            }
        })
    }
}

/// Keys.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    /// What is typed, with controls as a terminal sends them: `"\r"` is Enter; at most 4 KiB.
    text: String,
}

/// The most bytes that are typed at a time.
const KEYS_MAX: usize = 4 << 10;

/// Types into the terminal of an agent. Nothing keeps it from answering what the agent asks.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/terminal", tag = "sessions", request_body = Keys,
    params(("id" = String, Path, description = "The session")),
    responses((status = 204, description = "It is typed")))]
pub(crate) async fn type_keys(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(_): Query<Nothing>,
    Json(keys): Json<Keys>,
) -> Result<StatusCode, Failure> {
    if keys.text.len() > KEYS_MAX {
        return Err(Failure::invalid_request("text has more than 4 KiB"));
    }
    work::run(&app, move |app| {
        app.sessions.type_exactly(&id.parse()?, &keys.text)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
