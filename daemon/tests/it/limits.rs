//! Heads and bodies beyond the limits, and requests that two readers could understand differently, as bytes on a
//! real connection.

use std::time::Duration;

use ao_daemon::ClientLimits;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::served::{BOUND, Served, get};

/// Sends bytes on a connection of their own, and returns everything that is answered until it is closed.
async fn raw(served: &Served, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.host()).await.unwrap();
    let mut answer = Vec::new();
    let talk = async {
        // The server may refuse and close before it has read everything, which resets the connection.
        let _ = stream.write_all(bytes).await;
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut part).await {
            answer.extend_from_slice(&part[..length]);
        }
    };
    tokio::time::timeout(BOUND, talk).await.expect("the connection is closed");
    String::from_utf8(answer).unwrap()
}

fn statuses(answer: &str) -> Vec<&str> {
    answer.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.split(' ').next()).collect()
}

/// The head of a request with the token of the operator, without its end.
fn head(served: &Served, line: &str) -> String {
    format!("{line}\r\nHost: {}\r\nAuthorization: Bearer {}\r\n", served.host(), served.token())
}

#[test]
fn what_is_too_long_is_refused_before_anything_is_done() {
    let served = Served::new();
    let target = format!("GET /api/v1/daemon?{} HTTP/1.1", "x".repeat(9 << 10));
    let header = format!("X-Long: {}\r\n", "x".repeat(30 << 10));
    let announced = "Content-Type: application/json\r\nContent-Length: 2097152\r\n";
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    let many = "X-Many: x\r\n".repeat(200);
    let cases = [
        ("414", format!("{}Connection: close\r\n\r\n", head(&served, &target))),
        ("431", format!("{}{header}\r\n", head(&served, "GET /healthz HTTP/1.1"))),
        ("431", format!("{}{many}\r\n", head(&served, "GET /healthz HTTP/1.1"))),
        ("413", format!("{}{announced}\r\n", head(&served, "POST /shutdown HTTP/1.1"))),
        (
            "413",
            format!(
                "{}Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}",
                head(&served, "POST /shutdown HTTP/1.1")
            ),
        ),
    ];
    served.runtime.block_on(async {
        for (status, request) in &cases {
            let answer = raw(&served, request.as_bytes()).await;
            assert_eq!(statuses(&answer), [*status], "{answer}");
        }
        assert_eq!(served.ask(get("/readyz")).await.status(), StatusCode::OK);
    });
}

#[test]
fn no_request_is_smuggled_in_another() {
    let served = Served::new();
    let inner = format!("{}\r\n", head(&served, "POST /shutdown HTTP/1.1"));
    let start = head(&served, "GET /healthz HTTP/1.1");
    let length = inner.len();
    let chunked = format!("0\r\n\r\n{inner}");
    let cases = [
        // Two lengths: the body of the one is a request of the other.
        ("400", format!("{start}Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{inner}")),
        ("400", format!("{start}Content-Length: {length}, 0\r\n\r\n{inner}")),
        ("400", format!("{start}Content-Length: +{length}\r\n\r\n{inner}")),
        ("400", format!("{start}Transfer-Encoding: gzip\r\n\r\n{inner}")),
        ("400", format!("{start}Transfer-Encoding: chunked, identity\r\n\r\n{chunked}")),
        ("400", format!("{start}Transfer-Encoding : chunked\r\n\r\n{chunked}")),
        ("400", format!("{start}X-Folded: a\r\n Content-Length: {length}\r\n\r\n{inner}")),
        ("400", format!("{start}X-Bare: a\rContent-Length: {length}\r\n\r\n{inner}")),
        // Both kinds of length: the chunks count, and nothing after them on this connection.
        (
            "200",
            format!(
                "{start}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}",
                chunked.len()
            ),
        ),
        (
            "200",
            format!(
                "{start}Transfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n{chunked}",
                chunked.len()
            ),
        ),
        // A line may end with a line feed only; a body of that length is still no request.
        ("200", format!("{start}Content-Length: {length}\nConnection: close\r\n\r\n{inner}")),
    ];
    served.runtime.block_on(async {
        for (status, request) in &cases {
            let answer = raw(&served, request.as_bytes()).await;
            assert_eq!(statuses(&answer), [*status], "{request:?}: {answer}");
        }
        assert_eq!(served.ask(get("/readyz")).await.status(), StatusCode::OK, "it still serves");
    });
}

/// That one which ends in time is answered is a test of the command line.
#[test]
fn a_request_that_is_slower_than_the_end_of_the_daemon_is_cut_off() {
    let drain = Duration::from_millis(200);
    let mut served = Served::with(ClientLimits { drain, ..ClientLimits::default() });
    let body = "Expect: 100-continue\r\nContent-Length: 2\r\n";
    let request = format!("{}{body}\r\n", head(&served, "POST /shutdown HTTP/1.1"));
    let mut stream = served.runtime.block_on(async {
        let mut stream = TcpStream::connect(served.host()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut asked_for = [0; 25];
        stream.read_exact(&mut asked_for).await.unwrap();
        assert_eq!(&asked_for, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    });
    served.stop();
    let mut answer = Vec::new();
    served.runtime.block_on(async {
        let cut = tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await;
        // It may be reset.
        let _ = cut.expect("its connection is closed");
    });
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
}
