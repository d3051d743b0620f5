//! Clients of the stream of changes that do not read, or read too slowly: nobody else notices, and they lose
//! nothing.

use std::ops::RangeInclusive;
use std::time::Duration;

use ao_daemon::ClientLimits;
use futures_util::StreamExt;
use futures_util::stream;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, UnixStream};
use tokio::time::{sleep, timeout};

use crate::served::{BOUND, Served, get, whole};

/// Clients that do not read.
const SLOW: usize = 1_000;
/// Changes, and how much text each of them has: together more than the buffers of a connection take.
const CHANGES: usize = 40;
const TEXT: usize = 3 << 10;
/// How many exports may be sent at a time.
const EXPORTS: usize = 16;
/// Both ends of each connection are in this process.
const FILES: u64 = 2 * SLOW as u64 + 500;
/// What the unread changes may add to the memory of the process, in KiB. A copy for each client would be more than
/// 100 MiB; other tests run beside this one.
const MEMORY: u64 = 48 << 10;

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A client that reads only when it is told to.
struct Client {
    stream: Box<dyn Connection>,
    /// What was received and is not a whole item.
    rest: String,
    /// The changes that were received whole.
    ids: Vec<usize>,
    /// The last item that is not a change.
    control: String,
}

impl Client {
    /// Asks for the changes, through the port or the socket, and reads nothing.
    async fn open(served: &Served, is_tcp: bool, last: Option<&str>) -> Client {
        let mut stream: Box<dyn Connection> = if is_tcp {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4 << 10).unwrap();
            Box::new(socket.connect(served.host().parse().unwrap()).await.unwrap())
        } else {
            Box::new(UnixStream::connect(served.run_file().socket).await.unwrap())
        };
        let (host, token) = (served.host(), served.token());
        let last = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
        let head = format!(
            "GET /api/v1/events?from=beginning HTTP/1.1\r\nhost: {host}\r\n\
             authorization: Bearer {token}\r\nconnection: close\r\n{last}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Client { stream, rest: String::new(), ids: Vec::new(), control: String::new() }
    }

    /// Reads once; `false` at the end of the connection.
    async fn read(&mut self) -> bool {
        let mut part = [0; 16 << 10];
        let read = timeout(BOUND, self.stream.read(&mut part)).await.expect("something in time");
        // What the server has not read when it closes makes it a reset.
        let length = read.unwrap_or(0);
        self.rest.push_str(std::str::from_utf8(&part[..length]).unwrap());
        while let Some(end) = self.rest.find("\n\n") {
            let item: String = self.rest.drain(..end + 2).collect();
            match item.lines().find_map(|line| line.strip_prefix("id: 1-")) {
                Some(id) => self.ids.push(id.parse().unwrap()),
                None => self.control = item,
            }
        }
        length > 0
    }

    /// Reads until it has this change.
    async fn until(&mut self, last: usize) {
        while self.ids.last() != Some(&last) {
            assert!(self.read().await, "the stream goes on after {:?}", self.ids.last());
        }
    }
}

fn all(count: usize) -> Vec<usize> {
    (1..=count).collect()
}

/// Adds changes, and waits for each until the client has it.
async fn grow(served: &Served, numbers: RangeInclusive<usize>, client: &mut Client) {
    for number in numbers {
        served.change_with(&format!("p{number}"), &"x".repeat(TEXT));
        client.until(number).await;
    }
}

/// How many clients follow the changes.
async fn followers(served: &Served) -> usize {
    let (_, _, text) = whole(served.ask(get("/metrics")).await).await;
    let text = String::from_utf8(text.to_vec()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("ao_store_daemon_followers "));
    line.unwrap().parse().unwrap()
}

async fn until_followers(served: &Served, count: usize) {
    let wait = async {
        while followers(served).await != count {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(BOUND, wait).await.unwrap_or_else(|_| panic!("{count} clients follow"));
}

/// The resident set of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What a client gets that reads again after its connection was ended: the rest, then the end; and the changes
/// after that when it connects again.
async fn resumes(served: &Served, number: usize, mut client: Client, last: usize) {
    while client.read().await {}
    let mut ids = client.ids;
    assert_eq!(ids, all(ids.len()), "client {number}: ordered, without a gap");
    assert!(ids.len() < last, "client {number} has not read everything");
    let resume = format!("1-{}", ids.len());
    let resume = (!ids.is_empty()).then_some(resume.as_str());
    let mut again = Client::open(served, number.is_multiple_of(2), resume).await;
    again.until(last).await;
    ids.extend(again.ids);
    assert_eq!(ids, all(last), "client {number}: nothing is lost or repeated");
}

#[test]
fn a_thousand_clients_that_never_read_are_ended_and_nobody_else_notices() {
    let hard = getrlimit(Resource::Nofile).maximum;
    if hard.is_some_and(|hard| hard < FILES) {
        println!("skipped: a process may have {hard:?} open files, not {FILES}");
        return;
    }
    // Starting, the daemon raises the limit of this process to that.
    let served = Served::with(ClientLimits {
        write: Duration::from_secs(2),
        ring: 64 << 10,
        send_buffer: 4 << 10,
        ..ClientLimits::default()
    });
    served.runtime.block_on(async {
        let mut normal = Client::open(&served, false, None).await;
        normal.read().await;
        let mut slow = Vec::new();
        for number in 0..SLOW {
            slow.push(Client::open(&served, number.is_multiple_of(2), None).await);
        }
        until_followers(&served, SLOW + 1).await;
        let before = resident();
        grow(&served, 1..=CHANGES, &mut normal).await;
        let added = resident().saturating_sub(before);
        assert!(added < MEMORY, "{added} KiB");
        until_followers(&served, 1).await;
        let last = CHANGES + 5;
        grow(&served, CHANGES + 1..=last, &mut normal).await;
        assert_eq!(normal.ids, all(last));
        let numbered = stream::iter(slow.into_iter().enumerate());
        let resumed = |(number, client)| resumes(&served, number, client, last);
        numbered.for_each_concurrent(50, resumed).await;
        println!("{added} KiB more for {SLOW} clients that do not read");
    });
}

/// Asks for an export.
async fn export(served: &Served) -> Response<Incoming> {
    served.ask(get("/api/v1/export")).await
}

/// A store whose export is more than what waits for a client, and as many clients as may have one, none of which
/// reads it.
async fn exporting(served: &Served) -> Vec<Response<Incoming>> {
    for number in 0..40 {
        served.change_with(&format!("p{number}"), &"x".repeat(64 << 10));
    }
    let mut exports = Vec::new();
    for _ in 0..EXPORTS {
        exports.push(export(served).await);
    }
    exports
}

/// Waits until there is a place for another export.
async fn until_exported(served: &Served) {
    let wait = async {
        while export(served).await.status() != StatusCode::OK {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(BOUND, wait).await.expect("an export in time");
}

#[test]
fn exports_that_are_not_read_leave_threads_to_others_and_end() {
    let served = Served::with(ClientLimits { write: 2 * BOUND, ..ClientLimits::default() });
    served.runtime.block_on(async {
        let exports = exporting(&served).await;
        assert!(exports.iter().all(|export| export.status() == StatusCode::OK));
        let (status, headers, body) = whole(export(&served).await).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(headers["retry-after"], "1");
        assert!(String::from_utf8_lossy(&body).contains("OVERLOADED"));
        assert_eq!(served.ask(get("/api/v1/projects")).await.status(), StatusCode::OK);
        drop(exports);
        until_exported(&served).await;
    });
    let brief = Duration::from_millis(200);
    let served = Served::with(ClientLimits { write: brief, ..ClientLimits::default() });
    served.runtime.block_on(async {
        let _unread = exporting(&served).await;
        until_exported(&served).await;
    });
}

#[test]
fn a_client_that_falls_behind_is_told_and_closed_and_continues() {
    let served = Served::with(ClientLimits {
        write: BOUND,
        slow: Duration::ZERO,
        ring: 1,
        send_buffer: 4 << 10,
        ..ClientLimits::default()
    });
    served.runtime.block_on(async {
        for (round, is_tcp) in [true, false].into_iter().enumerate() {
            let (first, last) = (round * CHANGES + 1, (round + 1) * CHANGES);
            let start = (round > 0).then(|| format!("1-{}", first - 1));
            let mut normal = Client::open(&served, false, start.as_deref()).await;
            normal.read().await;
            let mut slow = Client::open(&served, is_tcp, start.as_deref()).await;
            until_followers(&served, 2).await;
            grow(&served, first..=last, &mut normal).await;
            while slow.read().await {}
            assert!(slow.control.contains("\"code\":\"CLIENT_TOO_SLOW\""), "{}", slow.control);
            let got = slow.ids.last().copied().unwrap();
            assert_eq!(slow.ids, (first..=got).collect::<Vec<_>>());
            let mut again = Client::open(&served, is_tcp, Some(&format!("1-{got}"))).await;
            again.until(last).await;
            assert_eq!(again.ids, (got + 1..=last).collect::<Vec<_>>());
            drop((normal, again));
            until_followers(&served, 0).await;
        }
    });
}
