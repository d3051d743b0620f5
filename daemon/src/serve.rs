//! Accepts connections and answers their requests until the daemon stops. An error of one connection, or of
//! accepting one, never ends the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::listen::{Socket, retry};

/// How long a client may take to send the head of a request.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(10);
/// The largest head of a request, and the size of the buffers of a connection.
const HEAD_MAX: usize = 24 << 10;
/// The most connections to the port, where the limit of open files allows more.
const CONNECTIONS: usize = 16_384;
/// How many descriptors are left for everything else.
const RESERVE: usize = 256;
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
    head_time: Duration,
    stop: CancellationToken,
) {
    let server = Server { router, graceful: GracefulShutdown::new(), head_time };
    let places = Arc::new(Semaphore::new(connections_max()));
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = tcp.accept() => match accepted.and_then(|(stream, _)| Ok((stream.local_addr()?, stream))) {
                Ok((local, stream)) => {
                    // Each event is one small write.
                    let _ = stream.set_nodelay(true);
                    match Arc::clone(&places).try_acquire_owned() {
                        Ok(place) => server.spawn(stream, Peer::Tcp { local }, Some(place)),
                        Err(_) => tracing::warn!("too many connections; one was closed"),
                    }
                }
                Err(error) => retry(&error).await,
            },
            stream = socket.accept() => server.spawn(stream, Peer::User, None),
        }
    }
    drop((tcp, socket));
    if tokio::time::timeout(DRAIN, server.graceful.shutdown()).await.is_err() {
        tracing::warn!("requests had not ended after 10 s; they were cut off");
    }
}

/// How many connections of other users and of browsers there may be: descriptors are left for the store, for
/// programs, and for this user's own connections.
fn connections_max() -> usize {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(CONNECTIONS).min(CONNECTIONS);
    limit - (limit / 2).min(RESERVE)
}

/// What all connections have.
struct Server {
    router: Router,
    graceful: GracefulShutdown,
    head_time: Duration,
}

impl Server {
    /// Answers the requests of a connection in a task of its own, which holds its place.
    fn spawn<S>(&self, stream: S, peer: Peer, place: Option<OwnedSemaphorePermit>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = TowerToHyperService::new(self.router.clone().layer(Extension(peer)));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.head_time);
        builder.max_buf_size(HEAD_MAX);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let watched = self.graceful.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = watched.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_head_that_does_not_end_is_cut_off_and_disturbs_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let socket = Socket::bind(dir.path(), "s").unwrap();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (stop, brief) = (CancellationToken::new(), Duration::from_millis(200));
        let router = Router::new().fallback(async || "answer");
        let server = tokio::spawn(serve(tcp, socket, router, brief, stop.clone()));
        let bound = Duration::from_secs(60);
        let drip = async {
            let mut slow = TcpStream::connect(address).await.unwrap();
            slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
            // A byte from time to time does not prolong it.
            while slow.write_all(b"x").await.is_ok() {
                tokio::time::sleep(brief / 10).await;
            }
        };
        let idle = async {
            let mut idle = TcpStream::connect(address).await.unwrap();
            idle.read_to_end(&mut Vec::new()).await.unwrap()
        };
        let quick = async {
            let mut quick = TcpStream::connect(address).await.unwrap();
            quick.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let mut answer = [0; 15];
            quick.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200 OK");
        };
        let all = async { tokio::join!(drip, idle, quick) };
        let (_, sent, _) = tokio::time::timeout(bound, all).await.expect("each is cut off");
        assert_eq!(sent, 0, "a connection without a request gets no answer");
        stop.cancel();
        tokio::time::timeout(bound, server).await.expect("it ends").unwrap();
    }
}
