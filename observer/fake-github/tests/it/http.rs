//! HTTP on a socket: keep-alive, conditional requests, the origin of logs, broken connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ao_fake_github::{CheckSpec, Conclusion, Fault, Kind, On, Server, Transport, World};

use crate::support::single;

struct Client(TcpStream);

impl Client {
    fn new(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        Self(stream)
    }

    fn send(&mut self, head: &str, body: &str) {
        let text = format!(
            "{head}Host: {}\r\nUser-Agent: test\r\nContent-Length: {}\r\n\r\n{body}",
            self.0.peer_addr().unwrap(),
            body.len()
        );
        self.0.write_all(text.as_bytes()).unwrap();
    }

    fn get(&mut self, path: &str, headers: &str) -> (String, Vec<u8>) {
        self.send(&format!("GET {path} HTTP/1.1\r\n{headers}"), "");
        self.answer()
    }

    /// Head and body of one answer, which says how long it is.
    fn answer(&mut self) -> (String, Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let len = field(&head, "content-length").map_or(0, |len| len.parse().unwrap());
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).unwrap();
        (head, body)
    }
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

const TOKEN: &str = "Authorization: Bearer token\r\n";

fn start() -> (Server, Arc<Mutex<World>>, String) {
    let (mut world, pr) = single();
    let run = world.check(&pr, &CheckSpec::job("ci", "build"), Conclusion::Failure);
    let route = format!("/repos/octo/hello/actions/jobs/{}/logs", world.job_id(&run));
    let world = Arc::new(Mutex::new(world));
    (Server::start(Arc::clone(&world)).unwrap(), world, route)
}

#[test]
fn a_connection_serves_many_requests() {
    let (server, world, _) = start();
    let mut client = Client::new(server.addr);
    let (head, body) = client.get("/user", TOKEN);
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("octo-dev"));
    let validator = format!("{TOKEN}If-None-Match: {}\r\n", field(&head, "etag").unwrap());
    assert!(client.get("/user", &validator).0.starts_with("HTTP/1.1 304"));
    client
        .send(&format!("POST /graphql HTTP/1.1\r\n{TOKEN}"), r#"{"query":"{ viewer{ login } }"}"#);
    let (_, body) = client.answer();
    assert_eq!(body, br#"{"data":{"viewer":{"login":"octo-dev"}}}"#);
    let world = world.lock().unwrap();
    assert_eq!((world.counters.total(), world.counters.in_flight_max), (3, 1));
    assert_eq!(world.counters.graphql_in_flight_max, 1);
}

#[test]
fn logs_have_their_own_origin_which_rejects_credentials() {
    let (server, world, route) = start();
    let (head, _) = Client::new(server.addr).get(&route, TOKEN);
    assert!(head.starts_with("HTTP/1.1 302"), "{head}");
    let origin = format!("http://{}", server.blob_addr);
    let path = field(&head, "location").unwrap().strip_prefix(&origin).unwrap();
    let mut client = Client::new(server.blob_addr);
    assert!(client.get(path, TOKEN).0.starts_with("HTTP/1.1 400"));
    let (head, body) = client.get(path, "");
    assert!(head.starts_with("HTTP/1.1 200"));
    assert!(String::from_utf8(body).unwrap().contains("##[error]"));
    let huge = Fault::times(1, Kind::Transport(Transport::Huge(3_000_000))).on(On::route("/blob/"));
    world.lock().unwrap().faults.push(huge);
    assert_eq!(client.get(path, "").1.len(), 3_000_000);
}

/// All bytes until the connection ends or pauses.
fn bytes_under(transport: Transport) -> (usize, Duration) {
    let (server, world, _) = start();
    world.lock().unwrap().faults.push(Fault::times(1, Kind::Transport(transport)));
    let mut client = Client::new(server.addr);
    client.0.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    client.send(&format!("GET /user HTTP/1.1\r\n{TOKEN}"), "");
    let (start, mut all) = (Instant::now(), Vec::new());
    let _ = client.0.read_to_end(&mut all);
    let text = String::from_utf8_lossy(&all).into_owned();
    (text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len()), start.elapsed())
}

#[test]
fn connections_break() {
    let (server, _world, _) = start();
    let len = Client::new(server.addr).get("/user", TOKEN).1.len();
    assert_eq!(bytes_under(Transport::ResetBefore).0, 0);
    for cut in [Transport::ResetMidBody, Transport::ShortBody] {
        assert_eq!(bytes_under(cut).0, len / 2, "{cut:?}");
    }
    let (chunked, waited) = bytes_under(Transport::ChunkedWithoutEnd);
    assert!(chunked > len && waited >= Duration::from_millis(90));
    assert_eq!(bytes_under(Transport::Silence).0, 0);
    let (dripped, _) = bytes_under(Transport::Drip(150));
    assert!(dripped < 2, "{dripped}");
}

#[test]
fn latency_is_real_and_the_server_stops_quickly() {
    let (server, world, _) = start();
    world.lock().unwrap().faults.push(Fault::times(1, Kind::Slow(60)));
    let start = Instant::now();
    Client::new(server.addr).get("/user", TOKEN);
    assert!(start.elapsed() >= Duration::from_millis(60));
    let mut idle = Client::new(server.addr);
    idle.get("/user", TOKEN);
    drop(server);
    assert_eq!(idle.0.read(&mut [0; 8]).unwrap_or(0), 0, "the connection ended");
}
