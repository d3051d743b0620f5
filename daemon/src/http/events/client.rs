//! One client of the stream: what it gets next. Nothing is made for it before its connection can take it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use ao_cdc::wire::Control;
use ao_cdc::{Filter, Polled, SnapshotReader, Start, Subscription};
use ao_store::{Cursor, LogInfo, Timestamp};
use axum::body::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use super::frame::Renderer;
use crate::app::App;
use crate::http::failure::Failure;
use crate::http::work::blocking;

/// How long one read of the log waits for something.
const READ: Duration = Duration::from_millis(50);

/// What comes next.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The rows of a snapshot.
    Rows(Box<SnapshotReader>),
    /// The changes.
    Changes(Subscription),
    /// Nothing.
    End,
}

/// A client and its position.
#[derive(Debug)]
pub(crate) struct Client {
    app: Arc<App>,
    phase: Phase,
    filter: Filter,
    start: Cursor,
    /// The log at the start, until it was described to the client.
    log: Option<LogInfo>,
    renderer: Renderer,
    /// The last sign of life.
    sent_at: Instant,
    /// How often it fell behind the others, and since when it reads the log.
    fallbacks: u64,
    behind_since: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

impl Client {
    pub(crate) fn new(
        app: Arc<App>,
        phase: Phase,
        filter: Filter,
        start: Cursor,
        log: LogInfo,
        renderer: Renderer,
        place: OwnedSemaphorePermit,
    ) -> Client {
        Client {
            app,
            phase,
            filter,
            start,
            log: Some(log),
            renderer,
            sent_at: Instant::now(),
            fallbacks: 0,
            behind_since: None,
            _place: place,
        }
    }

    /// After which change the stream begins.
    pub(crate) fn cursor(&self) -> Cursor {
        self.start
    }

    /// Its items.
    pub(crate) fn stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        unfold(self, async |mut client| {
            let text = client.next().await?;
            client.sent_at = Instant::now();
            Some((Ok(text), client))
        })
    }

    /// The next text; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(log) = self.log.take() {
            return Some(self.hello(&log));
        }
        loop {
            let text = match std::mem::replace(&mut self.phase, Phase::End) {
                Phase::End => return None,
                Phase::Rows(rows) => self.rows(rows).await,
                Phase::Changes(subscription) => self.changes(subscription).await,
            };
            match text {
                Ok(text) if text.is_empty() => {}
                Ok(text) => return Some(text),
                Err(failure) => return Some(self.error(&failure)),
            }
        }
    }

    fn hello(&mut self, log: &LogInfo) -> Bytes {
        let mut out = self.renderer.preface().into_bytes();
        let (cursor, lease) = (self.start, None);
        self.renderer.control(&Control::Hello { cursor, log, lease }, &mut out);
        if matches!(self.phase, Phase::Rows(_)) {
            self.renderer.control(&Control::SnapshotBegin(cursor), &mut out);
        }
        out.into()
    }

    /// A part of the rows; after the last one, the changes follow.
    async fn rows(&mut self, mut reader: Box<SnapshotReader>) -> Result<Bytes, Failure> {
        let (mut out, cursor) = (Vec::new(), self.start);
        let (app, filter) = (Arc::clone(&self.app), self.filter.clone());
        let turns = Arc::clone(&self.app);
        let _turn = turn(&turns).await?;
        let read = blocking(move || match reader.next_rows()? {
            Some(rows) => Ok((Some(rows), Phase::Rows(reader))),
            // While the snapshot is held, the changes after it are not pruned.
            None => Ok((
                None,
                Phase::Changes(app.streams.fanout.subscribe(Start::Cursor(cursor), filter)?),
            )),
        });
        let (rows, phase) = read.await?;
        self.phase = phase;
        match rows {
            None => self.renderer.control(&Control::SnapshotEnd(cursor), &mut out),
            Some(rows) => {
                for row in &rows.rows {
                    let entity = rows.entity;
                    self.renderer.control(&Control::Row { cursor, entity, row }, &mut out);
                }
            }
        }
        Ok(out.into())
    }

    async fn changes(&mut self, mut subscription: Subscription) -> Result<Bytes, Failure> {
        let stop = self.app.stop.clone();
        let polled = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(self.bye(subscription.cursor())),
            polled = poll_fn(|cx| subscription.poll_next(cx)) => polled?,
            () = sleep_until(self.sent_at + self.app.streams.limits.heartbeat) => {
                let text = self.bookmark(subscription.cursor()).await;
                self.phase = Phase::Changes(subscription);
                return text;
            }
        };
        let batch = match polled {
            Polled::Batch(batch) => {
                self.behind_since = None;
                Some(batch)
            }
            Polled::Behind => {
                if self.is_too_slow(&subscription) {
                    return Err(self.too_slow());
                }
                let turns = Arc::clone(&self.app);
                let _turn = turn(&turns).await?;
                let (read, batch) = blocking(move || {
                    let batch = subscription.next_within(READ)?;
                    Ok((subscription, batch))
                })
                .await?;
                subscription = read;
                batch
            }
        };
        let text = batch.map(|batch| self.renderer.batch(&batch)).transpose()?;
        self.phase = Phase::Changes(subscription);
        Ok(text.unwrap_or_default())
    }

    /// Whether it fell behind the others, and has not caught up in time. A client that asks for old changes
    /// has not fallen behind.
    fn is_too_slow(&mut self, subscription: &Subscription) -> bool {
        if subscription.fallbacks() > self.fallbacks {
            self.fallbacks = subscription.fallbacks();
            self.behind_since.get_or_insert_with(Instant::now);
        }
        self.behind_since.is_some_and(|since| since.elapsed() >= self.app.streams.limits.slow)
    }

    fn too_slow(&self) -> Failure {
        let what = "the client reads more slowly than changes are made; continue from the last id";
        Failure::new(http::StatusCode::SERVICE_UNAVAILABLE, "CLIENT_TOO_SLOW", what)
    }

    async fn bookmark(&mut self, cursor: Cursor) -> Result<Bytes, Failure> {
        let store = self.app.store.clone();
        let head = blocking(move || Ok(store.read(|snapshot| snapshot.head())?)).await?;
        let mut out = Vec::new();
        let at = Timestamp::now();
        self.renderer.control(&Control::Bookmark { cursor, head, at }, &mut out);
        Ok(out.into())
    }

    fn bye(&mut self, cursor: Cursor) -> Bytes {
        let mut out = Vec::new();
        self.renderer.control(&Control::Bye(cursor), &mut out);
        out.into()
    }

    /// The last item of a stream that cannot go on.
    fn error(&mut self, failure: &Failure) -> Bytes {
        let object = json!({
            "v": 1,
            "control": "error",
            "code": failure.code,
            "message": failure.message,
            "details": failure.details,
        });
        let mut out = Vec::new();
        self.renderer.error(&object.to_string(), &mut out);
        out.into()
    }
}

/// Waits for a turn to read the log.
async fn turn(app: &App) -> Result<SemaphorePermit<'_>, Failure> {
    app.streams.turns.acquire().await.map_err(|_| Failure::internal())
}
