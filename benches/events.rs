//! Claim: a thousand clients of the live changes over HTTP cost little more than the bytes that they get. Budgets:
//! for one changed row, at most 50 times the processor time of the daemon with one client; as many bytes read
//! from files, because all clients share one read of the log; a p99 from the commit to the client of at most 50
//! ms.
//!
//! Each side has a daemon of its own, the program as it is installed, and its clients on connections to the port.
//! A row is changed, and the next one when all clients have the change. The clients are in one thread of this
//! process, which shares the cores with the daemon: the latency of the last ones is that of both. It begins where
//! the job ends, before COMMIT. The processor time is that of all threads of the daemon.
//!
//! It needs the program (run `cargo build --release -p ao-cli` first).
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use ao_benches::{
    Budget, Fixture, Line, NewFixture, Run, Sample, at_most, cause, monotonic, observation,
    percentile, program, threads,
};
use ao_store::apply_observation;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

const CLIENTS: usize = 1_000;
const ROUNDS: usize = 5;
/// Changes of a round with one client, and with all of them.
const ALONE: u64 = 200;
const TOGETHER: u64 = 20;
/// The pause of the daemon before each change.
const PAUSE: Duration = Duration::from_millis(2);

/// A daemon of a store, and its clients.
struct Served {
    fixture: Fixture,
    child: Child,
    clients: Vec<Client>,
    epoll: OwnedFd,
    variant: Cell<i64>,
    /// What the daemon had read from files before the round, and read for each change of a round.
    read: RefCell<Vec<f64>>,
    /// The p99 of each round, in milliseconds.
    p99: RefCell<Vec<f64>>,
    /// The memory of the daemon for each client, in KiB.
    memory: f64,
}

/// A client, and what it got since the last change.
struct Client {
    stream: TcpStream,
    text: RefCell<Vec<u8>>,
}

impl Client {
    /// Connects, and waits for the begin of the stream.
    fn connect(host: &str, token: &str) -> Client {
        let mut stream = TcpStream::connect(host).expect("connect");
        let head = format!(
            "GET /api/v1/events HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("send a request");
        let mut text = String::new();
        let mut part = [0; 4096];
        while !text.contains("event: hello") || !text.ends_with("\n\n\r\n") {
            let length = stream.read(&mut part).expect("read the begin");
            assert!(length > 0, "the stream ended: {text}");
            text.push_str(&String::from_utf8_lossy(&part[..length]));
        }
        stream.set_nonblocking(true).expect("set a flag");
        Client { stream, text: RefCell::default() }
    }

    /// Reads what is there; returns whether the change with this id is.
    fn has(&self, id: &[u8]) -> bool {
        let (mut text, mut part) = (self.text.borrow_mut(), [0; 4096]);
        loop {
            match (&self.stream).read(&mut part) {
                Ok(0) => panic!("the stream ended"),
                Ok(length) => text.extend_from_slice(&part[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("read a change: {error}"),
            }
        }
        let is_here = text.windows(id.len()).any(|window| window == id);
        if is_here {
            text.clear();
        }
        is_here
    }
}

impl Served {
    fn new(clients: usize) -> Served {
        let fixture = NewFixture { prs: 10, threads: 1, ..NewFixture::default() }.create();
        let dir = fixture.path.parent().expect("a folder").to_owned();
        let child = started(&dir);
        let read = |path: &str| fs::read_to_string(dir.join(path)).expect("read a file");
        let published: Value = serde_json::from_str(&read("running.json")).expect("as JSON");
        let url = published["url"].as_str().expect("an address");
        let (host, token) =
            (url.strip_prefix("http://").expect("HTTP"), read("tokens/operator.token"));
        let before = resident(child.id());
        let connected = (0..clients).map(|_| Client::connect(host, token.trim()));
        let clients: Vec<_> = connected.collect();
        let memory = (resident(child.id()) - before) / clients.len() as f64;
        let epoll = epoll::create(CreateFlags::CLOEXEC).expect("make an epoll");
        for (number, client) in clients.iter().enumerate() {
            let data = EventData::new_u64(number as u64);
            epoll::add(&epoll, &client.stream, data, EventFlags::IN).expect("watch a stream");
        }
        let (read, p99, variant) = (RefCell::default(), RefCell::default(), Cell::new(0));
        Served { fixture, child, clients, epoll, variant, read, p99, memory }
    }

    /// Changes a row; returns when the job ended, and the id of the change.
    fn commit(&self) -> (u64, String) {
        self.variant.set(self.variant.get() + 1);
        let seen = observation(0, threads(0, 1, self.variant.get()));
        let written = self.fixture.store.write(cause(), move |tx| {
            apply_observation(tx, &seen)?;
            Ok(monotonic())
        });
        let written = written.expect("write");
        assert_eq!(written.changes, 1);
        let head = self.fixture.store.read(|snapshot| snapshot.head()).expect("read the head");
        (written.value, format!("id: {head}\n"))
    }

    /// Waits until all clients have a change; adds the time that each of them waited for it, in milliseconds.
    fn receive(&self, since: u64, id: &str, times: &mut Vec<f64>) {
        let mut events = Vec::with_capacity(64);
        let mut missing = self.clients.len();
        while missing > 0 {
            events.clear();
            let bound = rustix::time::Timespec { tv_sec: 10, tv_nsec: 0 };
            let buffer = rustix::buffer::spare_capacity(&mut events);
            let ready = epoll::wait(&self.epoll, buffer, Some(&bound)).expect("wait for changes");
            assert!(ready > 0, "{missing} clients did not get a change");
            for &Event { data, .. } in &events {
                let number = usize::try_from(data.u64()).expect("a number");
                if self.clients[number].has(id.as_bytes()) {
                    times.push(monotonic().saturating_sub(since) as f64 / 1e6);
                    missing -= 1;
                }
            }
        }
    }

    /// A round of changes, as the processor time of the daemon for each.
    fn round(&self, changes: u64) -> Sample {
        let pid = self.child.id();
        let (read, cpu, mut times) = (bytes_read(pid), thread_times(pid), Vec::new());
        for _ in 0..changes {
            sleep(PAUSE);
            let (since, id) = self.commit();
            self.receive(since, &id, &mut times);
        }
        let after = thread_times(pid);
        let used = after.iter().map(|(thread, nanos)| nanos - cpu.get(thread).unwrap_or(&0)).sum();
        self.read.borrow_mut().push((bytes_read(pid) - read) / changes as f64);
        self.p99.borrow_mut().push(percentile(&mut times, 0.99));
        Sample { units: changes, nanos: used }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // A failure has been reported already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon that is ready.
fn started(dir: &Path) -> Child {
    let mut command = Command::new(program());
    command.args(["daemon", "--no-observe", "--json"]).env("AO_DATA_DIR", dir);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("start the program");
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    output.read_line(&mut line).expect("read a line");
    assert!(line.contains("ready"), "the daemon did not start: {line}");
    child
}

fn file_of(pid: u32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).expect("read a file of the system")
}

/// A number of a file that has one on each line.
fn number(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
    line.split_whitespace().next().and_then(|text| text.parse().ok()).expect("a number")
}

/// The resident set, in KiB.
fn resident(pid: u32) -> f64 {
    number(&file_of(pid, "status"), "VmRSS:")
}

/// What was read from files, also from those in memory.
fn bytes_read(pid: u32) -> f64 {
    number(&file_of(pid, "io"), "rchar:")
}

/// The processor time of each thread, in nanoseconds.
fn thread_times(pid: u32) -> HashMap<String, u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("list the threads");
    let names = threads.flatten().map(|thread| thread.file_name().to_string_lossy().into_owned());
    let time = |name: String| {
        // A thread may end between the list and here.
        let stat = fs::read_to_string(format!("/proc/{pid}/task/{name}/schedstat")).ok()?;
        Some((name, stat.split(' ').next()?.parse().ok()?))
    };
    names.filter_map(time).collect()
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("raise the limit of open files");
    let (one, all) = (Served::new(1), Served::new(CLIENTS));
    let work = "changed row to 1,000 clients over HTTP, CPU of the daemon";
    let line = Line::ratio("21", work, "to one client", at_most(50.0));
    run.compare(line, ROUNDS, || one.round(ALONE), || all.round(TOGETHER));
    let pairs = all.read.borrow();
    let ratios = pairs.iter().zip(one.read.borrow().iter()).map(|(all, one)| all / one).collect();
    let line = Line::ratio("21", "the same, bytes read from files", "to one client", at_most(2.0));
    run.limit(line, ratios);
    let figure = |work, unit, budget| Line::figure("21", work, unit, budget);
    run.limit(figure("commit to client of 1,000, p99", "ms", at_most(50.0)), all.p99.take());
    run.limit(figure("commit to the only client, p99", "ms", Budget::None), one.p99.take());
    run.limit(figure("memory of an idle client", "KiB", Budget::None), vec![all.memory]);
}
