//! The events of a conversation as they are stored, as server-sent events or as NDJSON, after any position.
//!
//! Every refusal comes before the stream begins. What a client gets is read from the store, so that it does not
//! matter which process stored it, and a client that is slow delays no other.

use std::convert::Infallible;
use std::sync::Arc;

use ao_store::turn::event::{self, Event};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use futures_util::Stream;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};
use utoipa::IntoParams;

use crate::app::App;
use crate::document::turn as document;
use crate::http::caller::Asked;
use crate::http::events::Format;
use crate::http::failure::Failure;
use crate::http::work::blocking;

/// The most events of one read.
const READ: usize = 64;

/// From where.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct From {
    /// Begin after this position, or at the `end`; without it with the first event. The header `Last-Event-ID` beats
    /// it.
    from: Option<String>,
}

impl From {
    /// The position; `None` for the end.
    fn position(&self, last: Option<&HeaderValue>) -> Result<Option<i64>, Failure> {
        // A browser sends an empty one before it has received an id.
        let last = last.map(|last| last.to_str().unwrap_or("?")).filter(|last| !last.is_empty());
        match last.or(self.from.as_deref()) {
            None => Ok(Some(0)),
            Some("end") => Ok(None),
            Some(text) => match text.parse() {
                Ok(position) if position >= 0 => Ok(Some(position)),
                _ => Err(ao_store::Error::InvalidCursor(text.chars().take(80).collect()).into()),
            },
        }
    }
}

/// The events of a conversation as they are stored.
///
/// Each event has its position as `id`, its kind as `event`, and as `data` the line that `ao-store conversation tail`
/// prints. Items that only describe the stream (`hello`, `bookmark`, `bye`) have no `id`. A stream that ended is
/// continued from its last id, by `Last-Event-ID` or `from`.
#[utoipa::path(get, path = "/api/v1/conversations/{id}/events", tag = "conversations",
    params(("id" = String, Path, description = "The conversation"), From),
    responses(
        (status = 200, description = "a stream that does not end", content(
            (String = "text/event-stream"), (String = "application/x-ndjson"))),
        (status = 400, description = "`INVALID_CURSOR`, `CURSOR_IN_FUTURE`, `INVALID_REQUEST`"),
        (status = 503, description = "`TOO_MANY_CLIENTS`")))]
pub(crate) async fn follow(
    State(app): State<Arc<App>>,
    Extension(asked): Extension<Asked>,
    Path(id): Path<String>,
    headers: HeaderMap,
    from: Result<Query<From>, QueryRejection>,
) -> Result<Response, Failure> {
    let from = from.map_err(|error| Failure::invalid_request(error.body_text()))?.0;
    let Ok(place) = Arc::clone(&app.streams.places).try_acquire_owned() else {
        let what = "too many clients follow the changes";
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_CLIENTS", what));
    };
    let (wanted, format) =
        (from.position(headers.get("last-event-id"))?, Format::accepted(&headers));
    let opened = Arc::clone(&app);
    let client = blocking(move || {
        let app = opened;
        // Before the first read, so that no commit is missed.
        let commits = app.commits.subscribe()?;
        let (position, head) = app.store.read(|snapshot| {
            asked.conversation(snapshot, &id)?;
            let head = event::head(snapshot, &id)?;
            let position = wanted.unwrap_or(head);
            event::after(snapshot, &id, position, 1)?;
            Ok((position, head))
        })?;
        let hello = document::control_line("hello", &id, position, head);
        let first = Some(format.unnumbered("hello", &hello));
        let sent_at = Instant::now();
        Ok(Client {
            app,
            conversation: id,
            position,
            format,
            commits,
            first,
            sent_at,
            _place: place,
        })
    });
    let client: Client = client.await?;
    let response = Response::builder()
        .header(CONTENT_TYPE, format.content_type())
        .header(CACHE_CONTROL, "no-store")
        .header("x-accel-buffering", "no")
        .header("ao-start", client.position.to_string());
    response.body(Body::from_stream(client.stream())).map_err(|_| Failure::internal())
}

/// A client and its position.
struct Client {
    app: Arc<App>,
    conversation: String,
    position: i64,
    format: Format,
    commits: watch::Receiver<()>,
    /// What describes the stream, until it was sent.
    first: Option<String>,
    /// The last sign of life.
    sent_at: Instant,
    _place: OwnedSemaphorePermit,
}

impl Client {
    fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        unfold(Some(self), async |client| {
            let mut client = client?;
            let (text, is_last) = client.next().await;
            client.sent_at = Instant::now();
            Some((Ok(text.into()), (!is_last).then_some(client)))
        })
    }

    /// The next text, and whether it is the last one.
    async fn next(&mut self) -> (String, bool) {
        if let Some(first) = self.first.take() {
            return (self.format.preface() + &first, false);
        }
        loop {
            self.commits.mark_unchanged();
            let (events, head) = match self.read().await {
                Ok(read) => read,
                Err(failure) => return (self.error(&failure), true),
            };
            if let Some(last) = events.last() {
                self.position = last.seq;
                return (events.iter().map(|event| self.event(event)).collect(), false);
            }
            tokio::select! {
                biased;
                () = self.app.stop.cancelled() => return (self.control("bye", head), true),
                changed = self.commits.changed() => if changed.is_err() {
                    return (self.control("bye", head), true);
                },
                () = sleep_until(self.sent_at + self.app.streams.limits.heartbeat) => {
                    return (self.control("bookmark", head), false);
                }
            }
        }
    }

    /// What follows, and the position of the newest event.
    async fn read(&self) -> Result<(Vec<Event>, i64), Failure> {
        let _turn = self.app.streams.turns.acquire().await.map_err(|_| Failure::internal())?;
        let (store, id, position) =
            (self.app.store.clone(), self.conversation.clone(), self.position);
        blocking(move || {
            Ok(store.read(|snapshot| {
                let head = event::head(snapshot, &id)?;
                Ok((event::batch(snapshot, &id, position, READ)?, head))
            })?)
        })
        .await
    }

    fn event(&self, event: &Event) -> String {
        let line = document::event_line(&self.conversation, event);
        self.format.numbered(event.seq, event.kind.as_str(), &line)
    }

    fn control(&self, name: &str, head: i64) -> String {
        let line = document::control_line(name, &self.conversation, self.position, head);
        self.format.unnumbered(name, &line)
    }

    /// The last item of a stream that cannot go on.
    fn error(&self, failure: &Failure) -> String {
        let mut line: Value =
            document::control_line("error", &self.conversation, self.position, self.position);
        line["code"] = failure.code.into();
        line["message"] = failure.message.as_str().into();
        self.format.unnumbered("error", &line)
    }
}
