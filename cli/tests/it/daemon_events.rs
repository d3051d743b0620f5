//! Clients follow the changes over real sockets while processes write and the daemon is killed. Each client must
//! have exactly the changes of the log that pass its filter: in order, each once, none missing, with the same
//! text. Each position that a stream reports must be the one after which it goes on.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{BOUND, Live, TestEnv};

const CLIENTS: usize = 50;
/// How often the daemon is killed.
const KILLS: usize = 6;
/// Processes that write at a time.
const WRITERS: usize = 4;

/// What a client asks for, and the same for `tail`.
const FILTERS: [(&str, &[&str]); 5] = [
    ("", &[]),
    ("&type=session_updated", &["--type", "session_updated"]),
    ("&session=demo-2,demo-3", &["--session", "demo-2", "--session", "demo-3"]),
    ("&entity=project", &["--entity", "project"]),
    ("&project=demo&changed=name", &["--project", "demo", "--changed", "name"]),
];

/// What all clients share with the test.
struct Scene<'a> {
    env: &'a TestEnv,
    /// How many streams were opened.
    opened: AtomicUsize,
    /// The position of the last change that each filter lets pass, once that is known.
    ends: OnceLock<Vec<String>>,
}

/// One client, through all of its connections.
struct Client<'a> {
    scene: &'a Scene<'a>,
    filter: usize,
    is_sse: bool,
    /// The position of the newest change, from which it goes on.
    last: Option<String>,
    /// The text of each change.
    received: Vec<String>,
    connections: usize,
}

impl Client<'_> {
    fn new<'a>(scene: &'a Scene<'a>, number: usize) -> Client<'a> {
        let (filter, is_sse) = (number % FILTERS.len(), number.is_multiple_of(2));
        Client { scene, filter, is_sse, last: None, received: Vec::new(), connections: 0 }
    }

    fn is_complete(&self) -> bool {
        let ends = self.scene.ends.get();
        ends.is_some_and(|ends| self.last.as_ref() == Some(&ends[self.filter]))
    }

    /// Follows, and connects again whenever the connection ends.
    fn run(mut self) -> Self {
        let deadline = Instant::now() + 3 * BOUND;
        while !self.is_complete() {
            assert!(Instant::now() < deadline, "client of {:?} ends in time", FILTERS[self.filter]);
            if self.follow().is_err() {
                thread::sleep(Duration::from_millis(20));
            }
        }
        self
    }

    fn request(&self, host: &str) -> String {
        let data = self.scene.env.path("data/tokens/operator.token");
        let token = fs::read_to_string(data).unwrap();
        let filter = FILTERS[self.filter].0;
        let (form, place) = match (&self.last, self.is_sse) {
            (Some(last), true) => ("text/event-stream", format!("\r\nlast-event-id: {last}")),
            (_, true) => ("text/event-stream", String::new()),
            (_, false) => ("application/x-ndjson", String::new()),
        };
        let from = match (&self.last, self.is_sse) {
            (Some(last), false) => last,
            _ => "beginning",
        };
        let (token, head) = (token.trim(), "HTTP/1.1");
        format!(
            "GET /api/v1/events?from={from}{filter} {head}\r\nhost: {host}\r\naccept: {form}\r\n\
             authorization: Bearer {token}{place}\r\n\r\n"
        )
    }

    /// One connection, until it ends or the client has everything.
    fn follow(&mut self) -> io::Result<()> {
        let run_file = fs::read_to_string(self.scene.env.path("data/running.json"))?;
        let run_file: Value = serde_json::from_str(&run_file)?;
        let host = run_file["url"].as_str().unwrap().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(BOUND))?;
        stream.write_all(self.request(host).as_bytes())?;
        let mut body = Body::open(BufReader::new(stream))?;
        self.connections += 1;
        let asked = self.last.clone();
        if let Some(asked) = &asked {
            assert_eq!(&body.start, asked, "the stream begins where the client ended");
        }
        let mut id = None;
        loop {
            let line = body.line()?;
            let (field, text) = match self.is_sse {
                true => line.split_once(": ").unwrap_or(("", "")),
                false => ("data", line.as_str()),
            };
            match field {
                "id" => id = Some(text.to_owned()),
                "data" => self.take(text, id.take(), asked.as_deref()),
                _ => {}
            }
            if self.is_complete() {
                return Ok(());
            }
        }
    }

    /// One item.
    fn take(&mut self, text: &str, id: Option<String>, asked: Option<&str>) {
        let item: Value = serde_json::from_str(text).unwrap();
        let cursor = item["cursor"].as_str().map(str::to_owned);
        if let Some(control) = item["control"].as_str() {
            assert_eq!(id, None, "a control item has no id: {text}");
            assert_ne!(control, "error", "{text}");
            if control == "hello" {
                self.scene.opened.fetch_add(1, Ordering::Relaxed);
                assert_eq!(cursor.as_deref(), Some(asked.unwrap_or("1-0")), "{text}");
            }
            return;
        }
        assert!(!self.is_sse || id == cursor, "the id is the position: {id:?}, {text}");
        self.last = cursor;
        self.received.push(text.to_owned());
    }
}

/// The body of a response in chunks, as lines. What a killed daemon left incomplete is not a line.
struct Body {
    stream: BufReader<TcpStream>,
    start: String,
    text: Vec<u8>,
}

impl Body {
    fn open(mut stream: BufReader<TcpStream>) -> io::Result<Body> {
        let mut start = None;
        let mut status = head_line(&mut stream)?;
        assert_eq!(status, "HTTP/1.1 200 OK");
        while !status.is_empty() {
            status = head_line(&mut stream)?;
            start = status.strip_prefix("ao-start: ").map(str::to_owned).or(start);
        }
        Ok(Body { stream, start: start.expect("the header ao-start"), text: Vec::new() })
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.text.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return Ok(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            let size = head_line(&mut self.stream)?;
            let size = usize::from_str_radix(&size, 16).unwrap();
            if size == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk)?;
            self.text.extend_from_slice(&chunk[..size]);
        }
    }
}

/// A line that ends as those of HTTP do.
fn head_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.strip_suffix("\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(line.to_owned())
}

/// A process that starts processes that write, until the file `stop` is there.
fn writer(env: &TestEnv, number: usize) -> Live {
    let script = "i=0; until [ -e stop ]; do i=$((i + 1)); \
        \"$0\" session rename demo-$1 \"$1 $i\" && \"$0\" session new --project demo && \
        \"$0\" project set demo --setup \"echo $1 $i\" || exit 1; done";
    let mut shell = env.clean("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_ao-store"), &number.to_string()]);
    shell.env("AO_DATA_DIR", env.path("data")).stdout(Stdio::piped());
    Live::start(&mut shell)
}

/// The changes that pass a filter, as `tail` prints them.
fn truth(env: &TestEnv, filter: usize) -> Vec<String> {
    let args = ["tail", "--from", "beginning", "--no-follow", "--format", "ndjson"];
    let lines = env.ok(&[&args, FILTERS[filter].1].concat());
    let changes = lines.lines().filter(|line| !line.contains("\"control\":"));
    changes.map(str::to_owned).collect()
}

fn daemon(env: &TestEnv) -> Live {
    let daemon = Live::start(&mut env.command(&["daemon", "--no-observe"]));
    daemon.until_printed("the daemon is ready");
    daemon
}

/// Waits until this many streams have been opened.
fn until_opened(scene: &Scene<'_>, count: usize) {
    let deadline = Instant::now() + BOUND;
    while scene.opened.load(Ordering::Relaxed) < count {
        assert!(Instant::now() < deadline, "{count} streams are open in time");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Kills the daemon while all clients follow and processes write; at the end the log is at rest.
fn disturb(scene: &Scene<'_>) {
    let env = scene.env;
    let writers: Vec<_> = (1..=WRITERS).map(|number| writer(env, number)).collect();
    for kill in 1..=KILLS {
        let daemon = daemon(env);
        until_opened(scene, CLIENTS * kill);
        // At another point of its work each time.
        thread::sleep(Duration::from_millis(97 * kill as u64));
        daemon.signal(Signal::KILL);
    }
    env.file("stop", "");
    for writer in writers {
        let end = writer.end();
        assert_eq!(end.code, 0, "{}", end.stderr);
    }
}

#[test]
fn fifty_clients_miss_and_repeat_nothing_while_the_daemon_is_killed_and_processes_write() {
    let env = TestEnv::with_demo();
    for _ in 0..WRITERS {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    let scene = Scene { env: &env, opened: AtomicUsize::new(0), ends: OnceLock::new() };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn({
                    let client = Client::new(&scene, number);
                    || client.run()
                })
            })
            .collect();
        disturb(&scene);
        let _daemon = daemon(&env);
        // The start of a daemon may write; every later one finds nothing to do.
        let truths: Vec<_> = (0..FILTERS.len()).map(|filter| truth(&env, filter)).collect();
        let last = |lines: &Vec<String>| {
            let change: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
            change["cursor"].as_str().unwrap().to_owned()
        };
        scene.ends.set(truths.iter().map(last).collect()).unwrap();
        // A client that waits for more learns by the end of its connection that there is none.
        drop(_daemon);
        let _daemon = daemon(&env);
        for client in clients {
            let client = client.join().unwrap();
            assert!(client.connections > KILLS, "{} connections", client.connections);
            let wanted = &truths[client.filter];
            let differs = client.received.iter().zip(wanted).position(|(got, line)| got != line);
            assert_eq!(differs, None, "ordered, unique, the same");
            assert_eq!(client.received.len(), wanted.len(), "complete: {:?}", client.last);
        }
        println!("changes by filter: {:?}", truths.iter().map(Vec::len).collect::<Vec<_>>());
    });
}
