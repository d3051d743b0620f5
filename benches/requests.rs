//! Claim: a page of a list costs what is on it. Budget: the first page of the sessions in a store of 10,000 at most
//! 1.5 times that of one of 50. Without a budget: to replay the whole log as NDJSON over HTTP, against
//! `ao-store tail --format ndjson --no-follow` of the same store.
//!
//! Both are of the wall clock. A replay is from the request, or from the start of the process, to the last change;
//! this process reads both and shares the cores with them. The page comes over a connection that stays.
//!
//! It needs the program (run `cargo build --release -p ao-cli` first).
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use ao_benches::{Budget, Daemon, Fixture, Line, NewFixture, Run, Sample, at_most, program, wall};

const ROUNDS: usize = 5;
/// One change each, as each of their 20 threads is.
const PRS: usize = 1_000;
/// Sessions of the large store, and of the small one, which is one page.
const MANY: usize = 10_000;
const PAGE: usize = 50;
/// Pages of a round.
const PAGES: u64 = 20;

fn dir_of(fixture: &Fixture) -> &Path {
    fixture.path.parent().expect("a folder")
}

/// Reads lines up to the one that has this text; returns how many changes are among them.
fn changes(input: impl Read, last: &str) -> u64 {
    let (mut input, mut line, mut count) = (BufReader::new(input), Vec::new(), 0);
    loop {
        line.clear();
        let length = input.read_until(b'\n', &mut line).expect("read a line");
        assert!(length > 0, "the stream ended before {last}");
        // Anything else is a part of the protocol, or describes the stream.
        if line.starts_with(b"{\"v\":1,\"seq\":") {
            count += 1;
            if line.windows(last.len()).any(|window| window == last.as_bytes()) {
                return count;
            }
        }
    }
}

/// Compares the two ways to read the whole log.
fn replay(run: &mut Run) {
    let fixture = NewFixture { prs: PRS, ..NewFixture::default() }.create();
    let head = fixture.store.read(|snapshot| snapshot.head()).expect("read the head");
    let last = format!("\"cursor\":\"{head}\"");
    let daemon = Daemon::start(dir_of(&fixture));
    let work = "replay of 21,000 changes as NDJSON over HTTP";
    let tail = || {
        wall(|| {
            let mut command = Command::new(program());
            command.args(["tail", "--from", "beginning", "--no-follow", "--format", "ndjson"]);
            command.env("AO_DATA_DIR", dir_of(&fixture)).stdout(Stdio::piped());
            let mut child = command.spawn().expect("start the program");
            let count = changes(child.stdout.take().expect("its output"), &last);
            assert!(child.wait().expect("end the process").success(), "tail failed");
            count
        })
    };
    let http = || {
        wall(|| {
            let stream = daemon.connect();
            daemon.get(&stream, "/api/v1/events?from=beginning", "application/x-ndjson");
            changes(&stream, &last)
        })
    };
    run.compare(Line::ratio("21c", work, "`tail`", Budget::None), ROUNDS, tail, http);
}

/// A daemon of a store with sessions, and a connection to it.
struct Listed {
    // It ends before its store is removed.
    daemon: Daemon,
    _fixture: Fixture,
    stream: TcpStream,
}

impl Listed {
    fn new(sessions: usize) -> Listed {
        let fixture = NewFixture { sessions, prs: 0, ..NewFixture::default() }.create();
        let daemon = Daemon::start(dir_of(&fixture));
        let stream = daemon.connect();
        Listed { daemon, _fixture: fixture, stream }
    }

    /// Reads the first page.
    fn page(&self) {
        let path = format!("/api/v1/sessions?limit={PAGE}");
        self.daemon.get(&self.stream, &path, "application/json");
        let (mut input, mut length, mut line) = (BufReader::new(&self.stream), 0, String::new());
        while line != "\r\n" {
            line.clear();
            assert!(input.read_line(&mut line).expect("read a line") > 0, "no response");
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body).expect("read the page");
        let document: serde_json::Value = serde_json::from_slice(&body).expect("as JSON");
        assert_eq!(document["data"].as_array().map(Vec::len), Some(PAGE));
    }

    fn pages(&self) -> Sample {
        wall(|| {
            (0..PAGES).for_each(|_| self.page());
            PAGES
        })
    }
}

/// Compares the first page of two stores.
fn first_page(run: &mut Run) {
    let (small, large) = (Listed::new(PAGE), Listed::new(MANY));
    let work = "first page of 10,000 sessions over HTTP";
    let line = Line::ratio("21e", work, "of 50 sessions", at_most(1.5));
    run.compare(line, ROUNDS, || small.pages(), || large.pages());
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    if run.is_selected("21c") {
        replay(run);
    }
    if run.is_selected("21e") {
        first_page(run);
    }
}
