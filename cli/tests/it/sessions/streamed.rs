//! The terminal of an agent over HTTP: its bytes from any offset that is kept, and keys.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::lab::{set_executable, wait_until};
use super::routes::Served;
use crate::support::text;

/// Repeats each line until the end of its input.
const ECHO: &str = "#!/bin/sh
stty -echo
printf 'ready\\n'
while IFS= read -r line; do printf 'got %s.\\n' \"$line\"; done
printf 'bye\\n'
";

/// How many clients wait for a tmux server that hangs.
const CLIENTS: usize = 100;

/// A process that does nothing until this value ends.
struct Stopped(Pid);

impl Stopped {
    fn new(pid: i32) -> Stopped {
        let pid = Pid::from_raw(pid).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        Stopped(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// A client of the stream.
struct Client {
    stream: UnixStream,
    head: String,
    body: Vec<u8>,
}

impl Client {
    fn new(served: &Served, path: &str) -> Client {
        let mut stream = served.send("GET", path, None);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.0 200"), "{head}");
        Client { stream, head, body: Vec::new() }
    }

    fn header(&self, name: &str) -> &str {
        let value = self.head.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.strip_prefix(": ")).unwrap()
    }

    /// Reads until this text has come; where it begins.
    fn until(&mut self, text: &str) -> usize {
        loop {
            let found = self.body.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(at) = found {
                return at;
            }
            let mut part = [0; 4096];
            let length = self.stream.read(&mut part).unwrap();
            assert!(length > 0, "{text}: {}", String::from_utf8_lossy(&self.body));
            self.body.extend(&part[..length]);
        }
    }
}

#[test]
fn a_terminal_is_followed_from_an_offset_and_typed_into_until_its_end() {
    let served = Served::new();
    let file = served.lab.env.file("echo.sh", ECHO);
    set_executable(Path::new(&file));
    let spawn = ["spawn", "--project", "demo", "--harness", "custom", "--", &file];
    let id = served.lab.ok(&spawn).trim().to_owned();
    let path = format!("/api/v1/sessions/{id}/terminal");
    let press = |text: &str| {
        let reply = served.ask("POST", &path, Some(&json!({"text": text})));
        assert_eq!(reply.status, 204, "{text:?}: {}", String::from_utf8_lossy(&reply.body));
    };
    let mut first = Client::new(&served, &path);
    assert_eq!(first.header("ao-start"), "0");
    first.until("ready");
    // tmux takes none of it for a command or a format.
    press("a;#{pane_id} ; kill-server;\r");
    let at = first.until("got a;#{pane_id} ; kill-server;.");
    press("\u{e4}\r");
    first.until("got \u{e4}.");
    let name = first.header("ao-terminal").to_owned();
    let mut second = Client::new(&served, &format!("{path}?offset={at}&terminal={name}"));
    assert_eq!(
        (second.header("ao-start"), second.header("ao-terminal")),
        (&*at.to_string(), &*name)
    );
    assert_eq!(second.until("got a;"), 0);
    second.until("got \u{e4}.");
    for other in [format!("offset={at}&terminal=another"), "offset=999999999".to_owned()] {
        let client = Client::new(&served, &format!("{path}?{other}"));
        assert_eq!(client.header("ao-start"), "0", "{other}");
    }
    // The end of its input.
    press("\u{4}");
    for client in [&mut first, &mut second] {
        client.until("bye");
        client.stream.read_to_end(&mut client.body).unwrap();
    }
    served.refused("GET", &path, None, (409, "SESSION_NOT_RUNNING"));
    let text = json!({"text": "x"});
    served.refused("POST", &path, Some(&text), (409, "SESSION_NOT_RUNNING"));
}

#[test]
fn a_stream_ends_with_the_daemon_and_the_next_one_has_another() {
    let served = Served::new();
    let id = served.lab.spawn(&["--prompt", "p"]);
    let path = format!("/api/v1/sessions/{id}/terminal");
    let mut first = Client::new(&served, &path);
    first.until("started p");
    served.lab.ok(&["stop"]);
    first.stream.read_to_end(&mut first.body).unwrap();
    served.lab.ok(&["start", "--no-observe"]);
    let name = first.header("ao-terminal");
    let mut second = Client::new(&served, &format!("{path}?offset=9&terminal={name}"));
    assert_ne!(second.header("ao-terminal"), name);
    assert_eq!(second.header("ao-start"), "0");
    second.until("started p");
}

#[test]
fn the_pipes_of_a_killed_daemon_are_private_and_deleted_by_the_next_one() {
    let served = Served::new();
    let id = served.lab.spawn(&["--prompt", "p"]);
    let path = format!("/api/v1/sessions/{id}/terminal");
    let mut client = Client::new(&served, &path);
    client.until("started p");
    let all = served.lab.env.path("data/run/terminals");
    let pipes = || -> Vec<PathBuf> {
        let entries = fs::read_dir(&all).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let first = pipes();
    assert_eq!(first.len(), 1, "{first:?}");
    for dir in [&all, &first[0]] {
        assert_eq!(fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
    let status: Value =
        serde_json::from_str(&served.lab.ok(&["daemon", "status", "--json"])).unwrap();
    let pid = i32::try_from(status["data"]["pid"].as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    client.stream.read_to_end(&mut client.body).unwrap();
    assert_eq!(pipes(), first, "it had no time to delete them");
    served.lab.ok(&["start", "--no-observe"]);
    assert_eq!(pipes(), Vec::<PathBuf>::new());
    let mut client = Client::new(&served, &path);
    client.until("started p");
    served.lab.ok(&["stop"]);
    client.stream.read_to_end(&mut client.body).unwrap();
    wait_until("an orderly end deletes its own", || pipes().is_empty());
}

/// More clients than the daemon has threads for work that blocks.
#[test]
fn a_tmux_server_that_hangs_leaves_the_threads_to_other_requests() {
    let served = Served::new();
    let id = served.lab.spawn(&["--prompt", "p"]);
    let socket = served.lab.sockets().remove(0);
    let asked = ["-S", text(&socket), "display-message", "-p", "#{pid}"];
    let server = served.lab.env.clean("tmux").args(asked).output().unwrap().stdout;
    let server = String::from_utf8(server).unwrap().trim().parse().unwrap();
    let _stopped = Stopped::new(server);
    let path = format!("/api/v1/sessions/{id}/terminal");
    let waiting: Vec<_> = (0..CLIENTS).map(|_| served.send("GET", &path, None)).collect();
    assert_eq!(served.ask("GET", "/api/v1/status", None).status, 200);
    assert_eq!(served.ask("GET", &format!("/api/v1/sessions/{id}"), None).status, 200);
    // They were not answered because a terminal ran into its bound.
    let is_answered = |client: &&UnixStream| {
        let mut stream: &UnixStream = client;
        stream.set_nonblocking(true).unwrap();
        stream.read(&mut [0]).is_ok()
    };
    let answered = waiting.iter().filter(is_answered).count();
    assert!(answered < 8, "{answered} have been answered");
}

#[test]
fn keys_need_the_token_of_the_operator_and_a_terminal() {
    let served = Served::new();
    let id = served.lab.spawn(&["--runtime", "process"]);
    let path = format!("/api/v1/sessions/{id}/terminal");
    served.refused("GET", &path, None, (409, "NO_TERMINAL"));
    for query in ["offset=-1", "offset=99999999999999999999", "from=0"] {
        let path = format!("{path}?{query}");
        served.refused("GET", &path, None, (400, "INVALID_REQUEST"));
    }
    let long = json!({"text": "x".repeat(5000)});
    served.refused("POST", &path, Some(&long), (400, "INVALID_REQUEST"));
    served.refused("POST", &path, Some(&json!({"text": "x"})), (409, "NO_TERMINAL"));
    let token = served.lab.ok(&["token", "create", "--read", "board"]);
    let host = served.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let body = json!({"text": "x"}).to_string();
    let request = format!(
        "POST {path} HTTP/1.0\r\nhost: {host}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        token.trim(),
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("TOKEN_READ_ONLY"), "{answer}");
}
