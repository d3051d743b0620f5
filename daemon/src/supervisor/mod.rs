//! The supervisor link: a daemon that a program started for itself ends when that program does.
//!
//! The program connects to `supervise.sock`, sends the line `{"hello":"ao-store-supervisor"}`, gets what the
//! daemon has published about itself as one line of JSON, and holds the connection. Five seconds after the last
//! such connection has ended the daemon stops; a new one before that cancels it. What connects without the line
//! changes nothing, and neither does a daemon without clients stop.

mod link;

use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::listen::Socket;
use link::Link;

/// How long after the last client the daemon stops.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// What a client says first.
const HELLO: &str = "ao-store-supervisor";
/// How long it may take to say so.
const HELLO_TIME: Duration = Duration::from_secs(10);
/// The longest line that a client may send, in bytes.
const LINE_MAX: u64 = 1 << 10;
/// The most connections at a time; more wait.
const CLIENTS: usize = 64;

/// The first line of a client.
#[derive(Deserialize)]
struct Hello {
    hello: String,
}

/// What a connection tells the link.
enum Said {
    Joined,
    Left,
}

/// Serves the link until `stop` is cancelled, which it does itself when the last client is gone. A client that
/// greets gets `identity`, one line.
pub(crate) async fn serve(
    socket: Socket,
    identity: String,
    grace: Duration,
    stop: CancellationToken,
) {
    let (said, mut heard) = mpsc::channel(CLIENTS);
    // Their end is the end of the connections.
    let mut connections = JoinSet::new();
    let mut link = Link::new(grace);
    loop {
        let ends_at = link.ends_at();
        tokio::select! {
            () = stop.cancelled() => break,
            stream = socket.accept(), if connections.len() < CLIENTS => {
                connections.spawn(attend(stream, identity.clone(), said.clone()));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            event = heard.recv() => match event {
                Some(Said::Joined) => link.join(),
                Some(Said::Left) => link.leave(Instant::now()),
                None => break,
            },
            () = sleep_until(ends_at.unwrap_or_else(Instant::now)), if ends_at.is_some() => {
                if !joins(&mut heard, &mut link) {
                    tracing::warn!("the program that started this daemon is gone; it stops");
                    stop.cancel();
                }
            }
        }
    }
}

/// Whether a client greeted at the moment of the end.
fn joins(heard: &mut Receiver<Said>, link: &mut Link) -> bool {
    while let Ok(event) = heard.try_recv() {
        match event {
            Said::Joined => link.join(),
            Said::Left => link.leave(Instant::now()),
        }
    }
    link.ends_at().is_none_or(|at| at > Instant::now())
}

/// Attends to a connection until its end.
async fn attend(stream: UnixStream, identity: String, said: Sender<Said>) {
    let mut stream = BufReader::new(stream);
    let greeted = timeout(HELLO_TIME, greets(&mut stream)).await;
    if !matches!(greeted, Ok(true)) || said.send(Said::Joined).await.is_err() {
        return;
    }
    let answered = stream.get_mut().write_all(format!("{identity}\n").as_bytes()).await;
    if answered.is_ok() {
        let mut ignored = [0; 256];
        while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
    }
    // Without a receiver the daemon stops already.
    let _ = said.send(Said::Left).await;
}

/// Whether the first line is the greeting.
async fn greets(stream: &mut BufReader<UnixStream>) -> bool {
    let mut line = String::new();
    if stream.take(LINE_MAX).read_line(&mut line).await.is_err() || !line.ends_with('\n') {
        return false;
    }
    serde_json::from_str(&line).is_ok_and(|Hello { hello }| hello == HELLO)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any step takes on a loaded machine.
    const BOUND: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    struct Served {
        dir: tempfile::TempDir,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    impl Served {
        fn new(grace: Duration) -> Served {
            let dir = tempfile::tempdir().unwrap();
            let socket = Socket::bind(dir.path(), "supervise.sock").unwrap();
            let stop = CancellationToken::new();
            let task = tokio::spawn(serve(socket, "{\"pid\":1}".to_owned(), grace, stop.clone()));
            Served { dir, stop, task }
        }

        async fn connect(&self, line: &str) -> BufReader<UnixStream> {
            let path = self.dir.path().join("supervise.sock");
            let mut stream = UnixStream::connect(path).await.unwrap();
            // A connection that is closed early takes no more.
            let _ = stream.write_all(line.as_bytes()).await;
            BufReader::new(stream)
        }

        async fn greet(&self) -> BufReader<UnixStream> {
            let mut stream = self.connect("{\"hello\":\"ao-store-supervisor\"}\n").await;
            let mut line = String::new();
            timeout(BOUND, stream.read_line(&mut line)).await.unwrap().unwrap();
            assert_eq!(line, "{\"pid\":1}\n");
            stream
        }

        async fn ended(self) {
            timeout(BOUND, self.stop.cancelled()).await.expect("it stops");
            timeout(BOUND, self.task).await.unwrap().unwrap();
            assert!(!self.dir.path().join("supervise.sock").exists());
        }
    }

    #[tokio::test]
    async fn what_does_not_greet_is_closed_and_changes_nothing() {
        let served = Served::new(Duration::ZERO);
        let long = "x".repeat(2 << 10);
        for line in ["{\"hello\":\"other\"}\n", "GET / HTTP/1.1\r\n", "\n", &long, "\u{0}\n"] {
            let mut stream = served.connect(line).await;
            let mut rest = Vec::new();
            // What was sent and not read makes it a reset.
            let _ = timeout(BOUND, stream.read_to_end(&mut rest)).await.expect("it is closed");
            assert!(rest.is_empty() && !served.stop.is_cancelled());
        }
        drop(served.greet().await);
        served.ended().await;
    }

    #[tokio::test]
    async fn it_stops_when_the_last_of_two_clients_is_gone() {
        let served = Served::new(SHORT);
        let (first, second) = (served.greet().await, served.greet().await);
        drop(first);
        // As long as the other one is there nothing ends, however long it takes.
        tokio::time::sleep(SHORT * 4).await;
        assert!(!served.stop.is_cancelled());
        drop(second);
        served.ended().await;
    }

    #[tokio::test]
    async fn the_end_of_the_daemon_closes_its_connections() {
        let served = Served::new(GRACE);
        let mut stream = served.greet().await;
        served.stop.cancel();
        let mut rest = Vec::new();
        timeout(BOUND, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        served.ended().await;
    }
}
