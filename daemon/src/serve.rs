//! Accepts connections and answers their requests until the daemon stops. An error of one connection, or of
//! accepting one, never ends the server.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;
use tower::Layer;

use crate::client_limits::ClientLimits;
use crate::listen::{Socket, retry};

/// The largest head of a request, and the size of the buffers of a connection.
const HEAD_MAX: usize = 24 << 10;
/// The most connections to the port, where the limit of open files allows more.
const CONNECTIONS: usize = 16_384;
/// How many descriptors are left for everything else.
const RESERVE: usize = 256;

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

/// Serves until `stop` is cancelled, and then until the requests have ended, if they do within their limit.
pub(crate) async fn serve(
    tcp: TcpListener,
    socket: Socket,
    router: Router,
    limits: ClientLimits,
    stop: CancellationToken,
) {
    let server = Server { router, graceful: GracefulShutdown::new(), limits };
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
    if tokio::time::timeout(limits.drain, server.graceful.shutdown()).await.is_err() {
        tracing::warn!(after = ?limits.drain, "requests had not ended; they were cut off");
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
    limits: ClientLimits,
}

impl Server {
    /// Answers the requests of a connection in a task of its own, which holds its place.
    fn spawn<S>(&self, stream: S, peer: Peer, place: Option<OwnedSemaphorePermit>)
    where
        S: AsyncRead + AsyncWrite + AsFd + Send + 'static,
    {
        if let Err(error) = set_socket_send_buffer_size(&stream, self.limits.send_buffer) {
            tracing::debug!(%error, "a connection has a buffer of another size");
        }
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(self.limits.write));
        // Around the router, not in it: each of its routes would be made anew for every connection.
        let service = TowerToHyperService::new(Extension(peer).layer(self.router.clone()));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.limits.head);
        builder.max_buf_size(HEAD_MAX);
        let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), service);
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
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    const BOUND: Duration = Duration::from_secs(60);

    /// A server, and how it is reached and ended.
    struct Served {
        address: SocketAddr,
        dir: tempfile::TempDir,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    impl Served {
        async fn new(router: Router, limits: ClientLimits) -> Served {
            let dir = tempfile::tempdir().unwrap();
            let socket = Socket::bind(dir.path(), "s").unwrap();
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = tcp.local_addr().unwrap();
            let stop = CancellationToken::new();
            let task = tokio::spawn(serve(tcp, socket, router, limits, stop.clone()));
            Served { address, dir, stop, task }
        }

        async fn ended(self) {
            self.stop.cancel();
            tokio::time::timeout(BOUND, self.task).await.expect("it ends").unwrap();
        }
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_cut_off_and_disturbs_nobody() {
        let brief = Duration::from_millis(200);
        let router = Router::new().fallback(async || "answer");
        let served =
            Served::new(router, ClientLimits { head: brief, ..ClientLimits::default() }).await;
        let address = served.address;
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
        let (_, sent, _) = tokio::time::timeout(BOUND, all).await.expect("each is cut off");
        assert_eq!(sent, 0, "a connection without a request gets no answer");
        served.ended().await;
    }

    /// Counts the answers that the server has given up.
    struct Answer(Arc<Semaphore>);

    impl Drop for Answer {
        fn drop(&mut self) {
            self.0.add_permits(1);
        }
    }

    /// Answers without end, and how many of them have been given up.
    fn endless() -> (Router, Arc<Semaphore>) {
        let ended = Arc::new(Semaphore::new(0));
        let counted = Arc::clone(&ended);
        let body = move || {
            let answer = Answer(Arc::clone(&counted));
            let parts = futures_util::stream::repeat_with(move || {
                // It belongs to the stream.
                let _ = &answer;
                Ok::<_, std::convert::Infallible>([0; 16 << 10].as_slice())
            });
            std::future::ready(axum::body::Body::from_stream(parts))
        };
        (Router::new().fallback(body), ended)
    }

    async fn ask(mut stream: impl AsyncWrite + Unpin) -> impl Sized {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        stream
    }

    #[tokio::test]
    async fn who_reads_nothing_of_an_answer_is_cut_off_at_both_addresses() {
        let (router, ended) = endless();
        let brief = Duration::from_millis(200);
        let served =
            Served::new(router, ClientLimits { write: brief, ..ClientLimits::default() }).await;
        let path = served.dir.path().join("s");
        let _at_port = ask(TcpStream::connect(served.address).await.unwrap()).await;
        let _at_socket = ask(tokio::net::UnixStream::connect(path).await.unwrap()).await;
        let both = tokio::time::timeout(BOUND, ended.acquire_many(2)).await;
        assert!(both.expect("each is cut off").is_ok());
        served.ended().await;
    }
}
