//! Asks the daemon of a data directory through its Unix socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use axum::body::{self, Body, Bytes};
use http::header::HOST;
use http::{Method, Request, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::error::{Error, Result};

/// How long an answer may take.
const BOUND: Duration = Duration::from_secs(2);
/// The longest answer that is read.
const ANSWER_MAX: usize = 1 << 20;

/// Whether the daemon with this socket answers that it is ready.
///
/// # Errors
/// It does not answer within two seconds.
pub fn is_ready(socket: &Path) -> Result<bool> {
    Ok(ask(socket, Method::GET, "/readyz")?.0 == StatusCode::OK)
}

/// What the daemon with this socket says about itself, as in docs/json.md.
///
/// # Errors
/// It does not answer within two seconds.
pub fn describe(socket: &Path) -> Result<Value> {
    let (_, body) = ask(socket, Method::GET, "/api/v1/daemon")?;
    let mut document: Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(document["data"].take())
}

/// Asks the daemon with this socket to stop.
///
/// # Errors
/// It does not answer within two seconds.
pub fn shut_down(socket: &Path) -> Result<()> {
    ask(socket, Method::POST, "/shutdown").map(|_| ())
}

fn ask(socket: &Path, method: Method, path: &str) -> Result<(StatusCode, Bytes)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::Thread)?;
    let asked = async {
        match tokio::time::timeout(BOUND, send(socket, method, path)).await {
            Ok(answered) => answered,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        }
    };
    let answered = runtime.block_on(asked);
    answered.map_err(|source| Error::Unanswered { socket: socket.to_owned(), source })
}

async fn send(socket: &Path, method: Method, path: &str) -> io::Result<(StatusCode, Bytes)> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::builder().method(method).uri(path).header(HOST, "localhost");
    let request = request.body(Body::empty()).map_err(io::Error::other)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = response.into_parts();
        let body = body::to_bytes(Body::new(body), ANSWER_MAX).await.map_err(io::Error::other)?;
        Ok((head.status, body))
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        answered = &mut answer => answered,
        // What was received before the end is still to be read.
        _ = connection => answer.await,
    }
}
