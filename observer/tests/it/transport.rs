//! Calls over real sockets: what is sent, what is returned, and how each failure ends.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ao_observer::github::call::{Answer, Call, Failure, Reply, Request};
use ao_observer::github::host::Endpoints;
use ao_observer::github::token::Token;
use ao_observer::github::transport::Transport;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::wire::{Act, Server};

/// Of no use but here: a certificate for 127.0.0.1 that nobody trusts.
const CERTIFICATE: &[u8] = include_bytes!("tls/certificate.pem");
const KEY: &[u8] = include_bytes!("tls/key.pem");

const SECRET: &str = "ghp_secret1";

fn graphql() -> Call {
    let request = Request::Graphql { body: r#"{"query":"{viewer{login}}"}"#.to_owned() };
    Call { request, deadline: Duration::from_secs(10), max_bytes: 1 << 20 }
}

fn log(tail_bytes: usize, max_bytes: usize) -> Call {
    let request = Request::JobLog { repo: "octo/hello".to_owned(), job: 42, tail_bytes };
    Call { request, deadline: Duration::from_secs(10), max_bytes }
}

/// An HTTP answer with the right length.
fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn redirect(location: &str) -> Act {
    let headers = format!("x-ratelimit-remaining: 7\r\nLocation: {location}\r\n");
    Act::Send(http("302 Found", &headers, b""))
}

async fn send_to(url: &str, call: &Call) -> Reply {
    let transport = Transport::new(&Endpoints::from_api_url(url).unwrap()).unwrap();
    let token = Token::new(SECRET).unwrap();
    timeout(Duration::from_secs(20), transport.send(&token, call)).await.unwrap()
}

async fn answered(server: &Server, call: &Call) -> Answer {
    match send_to(&server.url, call).await {
        Reply::Answer(answer) => answer,
        Reply::Failed(failure) => panic!("{failure:?}"),
    }
}

/// The failure of a call, which may contain no secret and no address.
async fn failed(url: &str, call: &Call) -> Failure {
    match send_to(url, call).await {
        Reply::Answer(answer) => panic!("{answer:?}"),
        Reply::Failed(failure) => {
            let text = format!("{failure:?}");
            assert!(!text.contains(SECRET) && !text.contains("sig="), "{text}");
            failure
        }
    }
}

fn is_broken(failure: &Failure) -> bool {
    matches!(failure, Failure::Broken(reason) if !reason.is_empty())
}

/// The values of a header of a request.
fn values<'a>(request: &'a str, name: &str) -> Vec<&'a str> {
    let of = |line: &'a str| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    };
    request.lines().filter_map(of).collect()
}

#[tokio::test]
async fn a_query_is_sent_once_with_one_token_and_its_answer_is_unchanged() {
    let body = b"{\"data\":\xff\xfe}";
    let headers = "x-ratelimit-remaining: 4999\r\ndate: Tue, 15 Nov 1994 08:12:31 GMT\r\n";
    let server = Server::start([Act::Send(http("200 OK", headers, body))]).await;
    let answer = answered(&server, &graphql()).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &body[..]));
    assert_eq!(answer.headers.remaining, Some(4999));
    assert_eq!(answer.headers.date_ms, Some(784_887_151_000));
    assert!(!answer.truncated && answer.latency < Duration::from_secs(10));

    let [request] = &server.requests()[..] else { panic!("sent once") };
    assert!(request.starts_with("POST /graphql HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"query\":\"{viewer{login}}\"}"), "{request}");
    let agent = concat!("ao-store/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("authorization", "Bearer ghp_secret1"),
        ("user-agent", agent),
        ("accept", "application/vnd.github+json"),
        ("x-github-api-version", "2022-11-28"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(values(request, name), [value], "{request}");
    }
}

#[tokio::test]
async fn requests_go_to_the_paths_of_the_endpoints() {
    let server = Server::start([Act::Send(http("200 OK", "", b"{}"))]).await;
    let url = format!("{}/api/v3", server.url);
    for call in [graphql(), log(10, 10)] {
        assert!(matches!(send_to(&url, &call).await, Reply::Answer(_)));
    }
    let requests = server.requests();
    assert!(requests[0].starts_with("POST /api/graphql HTTP"), "{}", requests[0]);
    let path = "GET /api/v3/repos/octo/hello/actions/jobs/42/logs HTTP";
    assert!(requests[1].starts_with(path), "{}", requests[1]);
}

#[tokio::test]
async fn each_call_sends_its_own_token() {
    let server = Server::start([Act::Send(http("200 OK", "", b"{}"))]).await;
    let transport = Transport::new(&Endpoints::from_api_url(&server.url).unwrap()).unwrap();
    for token in ["one", "two"] {
        transport.send(&Token::new(token).unwrap(), &graphql()).await;
    }
    let sent: Vec<_> = server.requests();
    let sent: Vec<_> = sent.iter().flat_map(|request| values(request, "authorization")).collect();
    assert_eq!(sent, ["Bearer one", "Bearer two"]);
}

#[tokio::test]
async fn every_status_is_returned_with_its_headers_and_nothing_is_retried() {
    for status in [200, 304, 401, 403, 404, 410, 429, 451, 500, 502, 503, 504, 301, 307] {
        let headers = "retry-after: 60\r\nx-ratelimit-remaining: 0\r\n";
        let body: &[u8] = if status == 304 { b"" } else { b"<html>no" };
        let server = Server::start([Act::Send(http(&format!("{status} X"), headers, body))]).await;
        let answer = answered(&server, &graphql()).await;
        assert_eq!((answer.status, answer.body.as_slice()), (status, body));
        assert_eq!(answer.headers.retry_after.as_deref(), Some("60"), "{status}");
        assert_eq!(answer.headers.remaining, Some(0), "{status}");
        assert!(!answer.truncated, "{status}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn an_incomplete_body_is_a_failure() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"da\r\n";
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"data\":";
    for (name, act) in [
        ("wrong length", Act::Send(short.to_vec())),
        ("cut chunks", Act::Send(chunked.to_vec())),
        ("cut chunk", Act::Send([&chunked[..], b"ff\r\nab"].concat())),
        ("bad chunk", Act::Send([&chunked[..], b"zz\r\nab"].concat())),
        ("reset within the body", Act::Reset(short.to_vec())),
        ("reset within the headers", Act::Reset(b"HTTP/1.1 200 OK\r\nConten".to_vec())),
        ("reset at once", Act::Reset(Vec::new())),
        ("hangs up", Act::Send(Vec::new())),
        ("no HTTP", Act::Send(b"220 smtp.example ESMTP\r\n".to_vec())),
    ] {
        let server = Server::start([act]).await;
        for call in [graphql(), log(1000, 1000)] {
            let failure = failed(&server.url, &call).await;
            assert!(is_broken(&failure), "{name}: {failure:?}");
        }
        assert_eq!(server.requests().len(), 2, "{name}");
    }
}

#[tokio::test]
async fn the_deadline_ends_every_kind_of_waiting() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n";
    for (name, act) in [
        ("no answer", Act::Stall(Vec::new())),
        ("half a header", Act::Stall(head[..9].to_vec())),
        ("no body", Act::Stall(head.to_vec())),
        ("a dripping body", Act::Drip(head.to_vec())),
        ("dripping headers", Act::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec())),
    ] {
        let server = Server::start([act]).await;
        let call = Call { deadline: Duration::from_millis(150), ..graphql() };
        let started = Instant::now();
        assert_eq!(failed(&server.url, &call).await, Failure::Timeout, "{name}");
        let took = started.elapsed();
        assert!(took >= call.deadline && took < Duration::from_secs(5), "{name}: {took:?}");
    }
    let call = Call { deadline: Duration::MAX, ..graphql() };
    let server = Server::start([Act::Send(http("200 OK", "", b"{}"))]).await;
    assert_eq!(answered(&server, &call).await.body, b"{}");
}

#[tokio::test]
async fn an_absent_server_is_a_failed_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failure = failed(&url, &graphql()).await;
    assert!(matches!(&failure, Failure::Connect(text) if text.contains("refused")), "{failure:?}");

    // Something answers, but does not speak TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        listener.accept().await.unwrap();
    });
    let failure = failed(&url, &graphql()).await;
    assert!(matches!(failure, Failure::Connect(_)), "{failure:?}");
}

#[tokio::test]
async fn a_body_has_a_bound() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n";
    let server = Server::start([Act::Endless(head.to_vec())]).await;
    assert_eq!(failed(&server.url, &graphql()).await, Failure::TooLarge);

    let server = Server::start([Act::Send(http("200 OK", "", b"12345678"))]).await;
    let exact = Call { max_bytes: 8, ..graphql() };
    assert_eq!(answered(&server, &exact).await.body, b"12345678");
    let less = Call { max_bytes: 7, ..graphql() };
    assert_eq!(failed(&server.url, &less).await, Failure::TooLarge);
}

#[tokio::test]
async fn a_refusal_with_an_incomplete_body_is_an_answer() {
    let head = "HTTP/1.1 429 X\r\nRetry-After: 9\r\nContent-Length: 9999999\r\n\r\nslow down";
    for act in [Act::Send, Act::Stall, Act::Drip, Act::Endless, Act::Reset] {
        let server = Server::start([act(head.into())]).await;
        for call in [graphql(), log(4, 100)] {
            let call = Call { deadline: Duration::from_millis(150), max_bytes: 100, ..call };
            let answer = answered(&server, &call).await;
            assert_eq!((answer.status, answer.truncated), (429, true));
            assert_eq!(answer.headers.retry_after.as_deref(), Some("9"));
            assert!(answer.body.starts_with(b"slow down") && answer.body.len() <= 100);
        }
    }
}

#[tokio::test]
async fn only_the_end_of_a_log_is_kept() {
    let lines: String = (0..100_000).map(|number| format!("line {number}\n")).collect();
    let server = Server::start([Act::Send(http("200 OK", "", lines.as_bytes()))]).await;
    let whole = answered(&server, &log(lines.len(), lines.len())).await;
    assert!(whole.body == lines.as_bytes() && !whole.truncated);
    let tail = answered(&server, &log(11, lines.len())).await;
    assert_eq!((tail.body.as_slice(), tail.truncated), (&b"line 99999\n"[..], true));
    // Nothing beyond the bound is read: the end is that of what was read.
    let bound = answered(&server, &log(6, 13)).await;
    assert_eq!((bound.body.as_slice(), bound.truncated), (&b"line 1"[..], true));
}

#[tokio::test]
async fn an_endless_log_ends_at_its_bound() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    let server = Server::start([Act::Endless(head.to_vec())]).await;
    let answer = answered(&server, &log(1000, 32 << 20)).await;
    assert_eq!((answer.body.len(), answer.truncated), (1000, true));
    assert!(answer.body.capacity() <= 64 << 10, "{} bytes held", answer.body.capacity());
}

#[tokio::test]
async fn a_redirected_log_is_fetched_without_the_token() {
    let moved = Act::Send(http("301 Moved", "Location: /repositories/1/log\r\n", b""));
    let storage = Server::start([
        redirect("/second?sig=1"),
        Act::Send(http("200 OK", "x-ratelimit-remaining: 1\r\n", b"done\n")),
    ])
    .await;
    let home = Server::start([moved, redirect(&format!("{}/first?sig=1", storage.url))]).await;
    let answer = answered(&home, &log(100, 100)).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"done\n"[..]));
    assert_eq!(answer.headers.remaining, Some(7), "the headers of GitHub count");

    let asked = home.requests();
    assert!(asked[1].starts_with("GET /repositories/1/log HTTP"), "{}", asked[1]);
    assert!(asked.iter().all(|request| values(request, "authorization").len() == 1));
    // Also at the second redirect elsewhere: tower-http would send the token again.
    let stored = storage.requests();
    assert!(stored[0].starts_with("GET /first?sig=1 HTTP"), "{}", stored[0]);
    assert!(stored[1].starts_with("GET /second?sig=1 HTTP"), "{}", stored[1]);
    for request in &stored {
        assert!(!request.contains("ghp_") && values(request, "authorization").is_empty());
        assert_eq!(values(request, "host"), [storage.url.trim_start_matches("http://")]);
    }
}

#[tokio::test]
async fn a_redirect_back_to_the_origin_has_no_token() {
    // The two lead to each other, so their addresses have to be known first.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let storage = Server::start([redirect(&format!("http://{address}/home"))]).await;
    let home = Server::start_at(
        address,
        [redirect(&format!("{}/away", storage.url)), Act::Send(http("200 OK", "", b"x"))],
    )
    .await;
    assert_eq!(answered(&home, &log(9, 9)).await.body, b"x");
    let sent: Vec<_> =
        home.requests().iter().map(|request| values(request, "authorization").len()).collect();
    assert_eq!(sent, [1, 0]);
}

#[tokio::test]
async fn redirects_without_an_end_or_a_target_fail() {
    let server = Server::start([redirect("/again?sig=1")]).await;
    assert!(is_broken(&failed(&server.url, &log(9, 9)).await));
    assert_eq!(server.requests().len(), 6, "five redirects are followed");
    for bad in ["", "ftp://127.0.0.1/x?sig=1", "http://?sig=1", "file:///etc/passwd"] {
        let act = if bad.is_empty() { Act::Send(http("302 X", "", b"")) } else { redirect(bad) };
        let server = Server::start([act]).await;
        assert!(is_broken(&failed(&server.url, &log(9, 9)).await), "{bad}");
    }
}

#[tokio::test]
async fn a_refusal_by_the_storage_of_logs_is_not_one_by_github() {
    for status in ["401 X", "403 X", "404 X", "429 X", "500 X"] {
        let storage = Server::start([Act::Send(http(status, "retry-after: 9\r\n", b""))]).await;
        let home = Server::start([redirect(&format!("{}/?sig=1", storage.url))]).await;
        let failure = failed(&home.url, &log(9, 9)).await;
        assert!(matches!(&failure, Failure::Broken(text) if text.contains(&status[..3])));
    }
}

#[tokio::test]
async fn a_repository_must_be_owner_and_name() {
    for repo in ["", "octo", "octo/../hello", "octo/hello/x", "octo/he?llo", "../user", "o/x\r\n"] {
        let request = Request::JobLog { repo: repo.to_owned(), job: 1, tail_bytes: 9 };
        let call = Call { request, ..graphql() };
        assert!(is_broken(&failed("http://127.0.0.1:9", &call).await), "{repo}");
    }
}

/// Serves one connection with `act`; returns its https URL.
fn tls_server(act: impl FnOnce(std::net::TcpStream) + Send + 'static) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || act(listener.accept().unwrap().0));
    url
}

/// The failure says that it is about TLS.
async fn assert_tls(url: &str, reason: &str) {
    match failed(url, &graphql()).await {
        Failure::Connect(text) => {
            assert!(text.starts_with("TLS: ") && text.contains(reason), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_reported_as_such() {
    let url = tls_server(|mut stream| {
        let mut hello = [0; 1];
        stream.read_exact(&mut hello).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        // Until the client has closed: a reset would overtake the answer.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_tls(&url, "corrupt message").await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_reported_as_such() {
    let url = tls_server(|mut stream| {
        let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        // The client refuses the certificate.
        connection.complete_io(&mut stream).unwrap_err();
    });
    assert_tls(&url, "invalid peer certificate: UnknownIssuer").await;
}

/// The queue of a server that accepts nothing is full, so that a connection is never made.
#[tokio::test]
async fn a_server_that_accepts_no_connection_cannot_be_reached() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let wait = Duration::from_millis(300);
    let mut waiting = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, wait) {
        waiting.push(stream);
        assert!(waiting.len() < 10_000, "the queue has no end");
    }
    let call = Call { deadline: Duration::from_secs(60), ..graphql() };
    match failed(&format!("http://{address}"), &call).await {
        Failure::Connect(_) => {}
        other => panic!("{other:?}"),
    }
}
