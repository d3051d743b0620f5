//! Accepts connections and answers their requests until the daemon stops. An error of one connection, or of
//! accepting one, never ends the server.

use std::net::SocketAddr;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::listen::{Socket, retry};

/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The largest head of a request, and the size of the buffers of a connection.
const HEAD_MAX: usize = 24 << 10;
/// How long requests may take to end once the daemon stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A process of the same user, through the Unix socket.
    User,
    /// Any process of this machine, through this port.
    Tcp {
        /// The address that it connected to.
        local: SocketAddr,
    },
}

/// Serves until `stop` is cancelled, and then until the requests have ended, for ten seconds at most.
pub(crate) async fn serve(
    tcp: TcpListener,
    socket: Socket,
    router: Router,
    stop: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = tcp.accept() => match accepted.and_then(|(stream, _)| Ok((stream.local_addr()?, stream))) {
                Ok((local, stream)) => {
                    // Each event is one small write.
                    let _ = stream.set_nodelay(true);
                    spawn(stream, Peer::Tcp { local }, &router, &graceful);
                }
                Err(error) => retry(&error).await,
            },
            stream = socket.accept() => spawn(stream, Peer::User, &router, &graceful),
        }
    }
    drop((tcp, socket));
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests had not ended after 10 s; they were cut off");
    }
}

/// Answers the requests of a connection in a task of its own.
fn spawn<S>(stream: S, peer: Peer, router: &Router, graceful: &GracefulShutdown)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = TowerToHyperService::new(router.clone().layer(Extension(peer)));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = watched.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}
