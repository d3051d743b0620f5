//! A server that sends exactly the bytes that a test specifies, on real sockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// What the server does with a connection after it has read the request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Sends this and closes the connection.
    Send(Vec<u8>),
    /// Sends this, and then nothing more.
    Stall(Vec<u8>),
    /// Sends this, and then one byte at a time.
    Drip(Vec<u8>),
    /// Sends this, and then as much as the client reads.
    Endless(Vec<u8>),
    /// Sends this, and then resets the connection.
    Reset(Vec<u8>),
}

/// A server on its own port. It ends with the runtime of its test.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// A server that does the nth act on the nth connection, and the last one from then on.
    pub(crate) async fn start(acts: impl IntoIterator<Item = Act>) -> Server {
        Server::start_at("127.0.0.1:0".parse().unwrap(), acts).await
    }

    /// The same at a given address.
    pub(crate) async fn start_at(
        address: SocketAddr,
        acts: impl IntoIterator<Item = Act>,
    ) -> Server {
        let acts: Vec<_> = acts.into_iter().collect();
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&requests);
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let act = acts[number.min(acts.len() - 1)].clone();
                tokio::spawn(serve(stream, act, Arc::clone(&received)));
            }
        });
        Server { url, requests }
    }

    /// The requests so far, each with its headers and body, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, act: Act, received: Arc<Mutex<Vec<String>>>) {
    let request = request(&mut stream).await;
    received.lock().unwrap().push(request);
    // The client may close the connection at any byte.
    let (Act::Send(head)
    | Act::Stall(head)
    | Act::Drip(head)
    | Act::Endless(head)
    | Act::Reset(head)) = &act;
    if stream.write_all(head).await.is_err() {
        return;
    }
    match act {
        Act::Send(_) => {}
        Act::Stall(_) => sleep(Duration::from_secs(60)).await,
        Act::Drip(_) => {
            while stream.write_all(b" ").await.is_ok() {
                sleep(Duration::from_millis(50)).await;
            }
        }
        Act::Endless(_) => while stream.write_all(&[b'x'; 64 << 10]).await.is_ok() {},
        Act::Reset(_) => {
            // The bytes have to arrive first.
            sleep(Duration::from_millis(50)).await;
            stream.set_zero_linger().unwrap();
        }
    }
}

/// The text of a request up to the end of its body.
async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}
