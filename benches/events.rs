//! Claim: a thousand clients of the live changes over HTTP cost little more than the bytes that they get. Budgets:
//! for one changed row, at most 50 times the processor time of the daemon with one client; as many bytes read
//! from files, because all clients share one read of the log; a p99 from the commit to the client of at most 50
//! ms. What a hundred clients cost, and cost when nothing changes, is measured without a budget.
//!
//! Each side has a daemon of its own, the program as it is installed, and its clients on connections to the port.
//! A row is changed, and the next one when all clients have the change. The clients are in one thread of this
//! process, which shares the cores with the daemon: the latency of the last ones is that of both. It begins where
//! the job ends, before COMMIT. The processor time is that of all threads of the daemon.
//!
//! It needs the program (run `cargo build --release -p ao-cli` first).
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::Duration;

use ao_benches::{
    Budget, Daemon, Fixture, Line, NewFixture, Run, Sample, at_most, cause, monotonic, observation,
    percentile, threads,
};
use ao_store::apply_observation;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CLIENTS: usize = 1_000;
const SOME: usize = 100;
const ROUNDS: usize = 5;
/// Changes of a round with one client, and with all of them.
const ALONE: u64 = 200;
const TOGETHER: u64 = 20;
/// The pause of the daemon before each change.
const PAUSE: Duration = Duration::from_millis(2);
/// How long nothing changes.
const IDLE: Duration = Duration::from_secs(3);

/// A daemon of a store, and its clients.
struct Served {
    // It ends before its store is removed.
    daemon: Daemon,
    fixture: Fixture,
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
    fn connect(daemon: &Daemon) -> Client {
        let mut stream = daemon.connect();
        daemon.get(&stream, "/api/v1/events", "text/event-stream");
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
        let daemon = Daemon::start(&dir);
        let before = resident(daemon.pid());
        let clients: Vec<_> = (0..clients).map(|_| Client::connect(&daemon)).collect();
        let memory = (resident(daemon.pid()) - before) / clients.len() as f64;
        let epoll = epoll::create(CreateFlags::CLOEXEC).expect("make an epoll");
        for (number, client) in clients.iter().enumerate() {
            let data = EventData::new_u64(number as u64);
            epoll::add(&epoll, &client.stream, data, EventFlags::IN).expect("watch a stream");
        }
        let (read, p99, variant) = (RefCell::default(), RefCell::default(), Cell::new(0));
        Served { daemon, fixture, clients, epoll, variant, read, p99, memory }
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
        let pid = self.daemon.pid();
        let (read, mut times) = (bytes_read(pid), Vec::new());
        let used = self.daemon.cpu(|| {
            for _ in 0..changes {
                sleep(PAUSE);
                let (since, id) = self.commit();
                self.receive(since, &id, &mut times);
            }
            changes
        });
        self.read.borrow_mut().push((bytes_read(pid) - read) / changes as f64);
        self.p99.borrow_mut().push(percentile(&mut times, 0.99));
        used
    }

    /// The processor time of the daemon while nothing changes, as a share of one core in percent.
    fn idle(&self) -> f64 {
        let used = self.daemon.cpu(|| {
            sleep(IDLE);
            1
        });
        used.nanos as f64 / IDLE.as_nanos() as f64 * 100.0
    }
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

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("raise the limit of open files");
    let one = Served::new(1);
    if run.is_selected("21") {
        thousand(run, &one);
    }
    if run.is_selected("21b") || run.is_selected("21d") {
        hundred(run, &one);
    }
}

/// All clients.
fn thousand(run: &mut Run, one: &Served) {
    let all = Served::new(CLIENTS);
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

/// Some clients.
fn hundred(run: &mut Run, one: &Served) {
    let some = Served::new(SOME);
    let work = "changed row to 100 clients over HTTP, CPU of the daemon";
    let line = Line::ratio("21b", work, "to one client", Budget::None);
    run.compare(line, ROUNDS, || one.round(TOGETHER), || some.round(TOGETHER));
    if run.is_selected("21d") {
        let work = "a daemon with 100 idle clients, CPU of one core";
        run.limit(Line::figure("21d", work, "%", Budget::None), vec![some.idle()]);
    }
}
