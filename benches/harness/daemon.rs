//! A daemon that a bench has started: the program as it is installed. It ends with its value.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::clock::Sample;
use super::process::program;

/// A daemon that is ready.
pub struct Daemon {
    child: Child,
    host: String,
    token: String,
}

impl Daemon {
    /// Starts one that observes nothing, on the store of this data directory.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start(dir: &Path) -> Daemon {
        let mut command = Command::new(program());
        command.args(["daemon", "--no-observe", "--json"]).env("AO_DATA_DIR", dir);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("start the program");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("read a line");
        assert!(line.contains("ready"), "the daemon did not start: {line}");
        let read = |path: &str| fs::read_to_string(dir.join(path)).expect("read a file");
        let published: Value = serde_json::from_str(&read("running.json")).expect("as JSON");
        let url = published["url"].as_str().expect("an address");
        let host = url.strip_prefix("http://").expect("HTTP").to_owned();
        let token = read("tokens/operator.token").trim().to_owned();
        Daemon { child, host, token }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.host).expect("connect")
    }

    /// Sends the request of this path that accepts this type.
    ///
    /// # Panics
    /// When the connection is closed.
    pub fn get(&self, mut stream: &TcpStream, path: &str, accept: &str) {
        let Daemon { host, token, .. } = self;
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
             accept: {accept}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("send a request");
    }

    /// Measures work by the processor time of all threads of the daemon. `work` returns its units.
    pub fn cpu(&self, work: impl FnOnce() -> u64) -> Sample {
        let before = self.thread_times();
        let units = work();
        let used = self.thread_times().into_iter();
        let used = used.map(|(thread, nanos)| nanos - before.get(&thread).unwrap_or(&0)).sum();
        Sample { units, nanos: used }
    }

    /// The processor time of each thread, in nanoseconds.
    fn thread_times(&self) -> HashMap<String, u64> {
        let tasks = format!("/proc/{}/task", self.pid());
        let threads = fs::read_dir(&tasks).expect("list the threads");
        let names = threads.flatten().map(|it| it.file_name().to_string_lossy().into_owned());
        let time = |name: String| {
            // A thread may end between the list and here.
            let stat = fs::read_to_string(format!("{tasks}/{name}/schedstat")).ok()?;
            Some((name, stat.split(' ').next()?.parse().ok()?))
        };
        names.filter_map(time).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A failure has been reported already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
