//! Work that may wait for the disk or for programs: it runs in a thread of its own, and to its end, even if the
//! client that asked for it has gone.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, header};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::failure::Failure;
use super::limit;
use crate::app::App;

/// How much of a stream is sent at a time, and how many such parts wait for a slow client.
const PART: usize = 64 << 10;
const PARTS: usize = 4;

/// Runs the work of a request. It goes on to its end when the client goes away, or when the bound of an answer that
/// only reads (`limit.rs`) has passed.
pub(crate) async fn run<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let app = Arc::clone(app);
    blocking(move || work(&app)).await
}

/// Runs `work` where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let place = limit::place();
    let work = move || {
        let _place = place;
        work()
    };
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Failure::internal()),
    }
}

/// Lines of JSON that are made while they are sent. An error before its first part is the answer; a later one cuts it
/// off. When the client goes away, writing fails. Only so many are sent at a time: each has a thread
/// of those that all requests share.
pub(crate) async fn lines(
    app: &Arc<App>,
    work: impl FnOnce(&App, &mut Out) -> Result<(), Failure> + Send + 'static,
) -> Result<Response, Failure> {
    let Ok(place) = Arc::clone(&app.lines).try_acquire_owned() else {
        return Ok(limit::overloaded("too many exports or histories are sent; try again"));
    };
    let (send, mut receive) = mpsc::channel(PARTS);
    let app = Arc::clone(app);
    spawn_blocking(move || {
        let _place = place;
        let mut out = Out { send, part: Vec::with_capacity(PART) };
        let done = work(&app, &mut out);
        // A client that is gone misses nothing.
        let _ = match done {
            Ok(()) => io::Write::flush(&mut out),
            Err(failure) => out.send.blocking_send(Err(failure)).map_err(io::Error::other),
        };
    });
    let first = receive.recv().await.transpose()?;
    let rest = stream::poll_fn(move |context| receive.poll_recv(context));
    let parts = stream::iter(first.map(Ok)).chain(rest);
    Ok(respond(parts.map(|part| part.map_err(|failure| io::Error::other(failure.message)))))
}

fn respond(parts: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Response {
    let mut response = Response::new(Body::from_stream(parts));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

/// Where the work of a stream writes.
pub(crate) struct Out {
    send: mpsc::Sender<Result<Bytes, Failure>>,
    part: Vec<u8>,
}

impl io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        if self.part.len() >= PART {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        let part = std::mem::replace(&mut self.part, Vec::with_capacity(PART));
        let sent = self.send.blocking_send(Ok(part.into()));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
