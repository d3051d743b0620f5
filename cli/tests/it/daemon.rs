//! The daemon as a process: started and stopped, alone on its data directory, found again after it was killed.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{BOUND, Live, TestEnv, finish};

/// A daemon in the background that ends with this value.
struct Started<'a>(&'a TestEnv);

impl Started<'_> {
    fn new(env: &TestEnv) -> (Started<'_>, Value) {
        let started = env.json("daemon.start", &["start", "--no-observe"]);
        (Started(env), started)
    }
}

impl Drop for Started<'_> {
    fn drop(&mut self) {
        self.0.run(&["stop"]);
    }
}

fn state(env: &TestEnv) -> String {
    let status = env.json("daemon.status", &["daemon", "status"]);
    status["state"].as_str().unwrap().to_owned()
}

#[test]
fn start_and_stop_can_be_repeated_and_status_tells_the_state() {
    let env = TestEnv::new();
    assert_eq!(state(&env), "stopped");
    assert_eq!(env.json("daemon.stop", &["stop"])["state"], "stopped");
    let (daemon, first) = Started::new(&env);
    assert_eq!(first["state"], "ready");
    let again = env.json("daemon.start", &["start"]);
    assert_eq!(first["pid"], again["pid"], "a second start finds the first daemon");
    let status = env.json("daemon.status", &["daemon", "status"]);
    assert_eq!((&status["state"], &status["url"]), (&Value::from("ready"), &first["url"]));
    let names: Vec<_> = status["loops"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["reconcile", "reaper", "deliveries", "turns", "retention", "checkpoint"]);
    assert_eq!(env.json("store.status", &["status"])["daemon"]["pid"], first["pid"]);
    env.refused(&["daemon"], 9, "DAEMON_RUNNING");
    drop(daemon);
    assert_eq!(state(&env), "stopped");
    assert!(!env.path("data/running.json").exists() && !env.path("data/daemon.sock").exists());
}

#[test]
fn the_token_of_the_operator_survives_a_restart() {
    let env = TestEnv::new();
    let file = env.path("data/tokens/operator.token");
    let read = || fs::read_to_string(&file).unwrap();
    drop(Started::new(&env));
    let first = read();
    assert_eq!((first.lines().count(), first.trim().len()), (1, 64));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    drop(Started::new(&env));
    assert_eq!(read(), first);
}

#[test]
fn a_named_token_is_printed_once_and_ends_with_its_revocation() {
    let env = TestEnv::new();
    env.ok(&["init"]);
    let shown = env.run(&["token", "create", "--read", "board"]);
    let token = shown.stdout.trim();
    assert_eq!((shown.code, token.len()), (0, 64), "{}", shown.stderr);
    assert!(!shown.stderr.contains(token));
    let stored = fs::read_to_string(env.path("data/tokens/read/board")).unwrap();
    assert_ne!(stored.trim(), token);
    let created = env.json("token.create", &["token", "create", "--read", "second"]);
    assert_eq!(
        (&created["name"], created["token"].as_str().unwrap().len()),
        (&"second".into(), 64)
    );
    let listed = env.json("token.list", &["token", "ls"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(env.ok(&["token", "ls", "-o", "name"]), "board\nsecond\n");
    assert!(!env.ok(&["token", "ls", "--json"]).contains(token));
    assert_eq!(env.json("token.revoke", &["token", "revoke", "second"])["deleted"], true);
    for name in ["../operator.token", ".hidden", "-x", "a/b"] {
        env.refused(&["token", "revoke", "--", name], 2, "INVALID_ID");
        env.refused(&["token", "create", &format!("--read={name}")], 2, "INVALID_ID");
    }
}

#[test]
fn a_killed_daemon_is_stale_and_the_next_one_takes_its_place() {
    let env = TestEnv::new();
    let daemon = Live::start(&mut env.command(&["daemon", "--no-observe"]));
    daemon.until_printed("the daemon is ready");
    assert_eq!(state(&env), "ready");
    daemon.signal(Signal::KILL);
    drop(daemon);
    assert_eq!(state(&env), "stale");
    assert_eq!(env.json("daemon.stop", &["stop"])["state"], "stale");
    let (_daemon, started) = Started::new(&env);
    assert_eq!(started["state"], "ready");
}

#[test]
fn a_signal_ends_the_daemon_in_order() {
    let env = TestEnv::new();
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let daemon = Live::start(&mut env.command(&["daemon", "--no-observe"]));
        daemon.until_printed("the daemon is ready");
        daemon.signal(signal);
        assert_eq!(daemon.end().code, status);
        assert_eq!(state(&env), "stopped");
    }
}

/// Begins a request, and sends its body of two bytes later.
fn begin_request(env: &TestEnv) -> UnixStream {
    let mut stream = UnixStream::connect(env.path("data/daemon.sock")).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let head = "POST /api/v1/projects HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
                Content-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut asked_for = [0; 25];
    stream.read_exact(&mut asked_for).unwrap();
    assert_eq!(&asked_for, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// Sends a daemon a signal, and waits until it accepts nothing more.
fn begin_end(env: &TestEnv, daemon: &Live, signal: Signal) {
    daemon.signal(signal);
    let until = Instant::now() + BOUND;
    while env.path("data/daemon.sock").exists() {
        assert!(Instant::now() < until, "it does not begin to end");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_request_under_way_is_answered_before_the_daemon_ends() {
    let env = TestEnv::new();
    let daemon = Live::start(&mut env.command(&["daemon", "--no-observe"]));
    daemon.until_printed("the daemon is ready");
    let mut request = begin_request(&env);
    begin_end(&env, &daemon, Signal::TERM);
    // Long enough for a daemon to end that waits for nothing.
    thread::sleep(Duration::from_millis(500));
    request.write_all(b"{}").unwrap();
    let mut answer = String::new();
    request.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"INVALID_REQUEST\""), "{answer}");
    let ended = daemon.end();
    assert_eq!((ended.code, state(&env).as_str()), (143, "stopped"), "{}", ended.stderr);
}

#[test]
fn a_second_signal_ends_a_daemon_at_once_that_waits_for_a_request() {
    let env = TestEnv::new();
    let daemon = Live::start(&mut env.command(&["daemon", "--no-observe"]));
    daemon.until_printed("the daemon is ready");
    let _request = begin_request(&env);
    begin_end(&env, &daemon, Signal::TERM);
    daemon.signal(Signal::INT);
    let ended = daemon.end();
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    // It neither said that it stopped nor removed its run-file.
    assert!(!ended.stderr.contains("stopped"), "{}", ended.stderr);
    assert_eq!(state(&env), "stale");
}

#[test]
fn without_file_descriptors_it_waits_and_then_serves_again() {
    let env = TestEnv::new();
    let mut shell = env.clean("sh");
    let script = "ulimit -n 96 && exec \"$0\" daemon --no-observe";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_ao-store")]);
    let daemon = Live::start(shell.env("AO_DATA_DIR", env.path("data")));
    daemon.until_printed("the daemon is ready");
    let published = fs::read(env.path("data/running.json")).unwrap();
    let published: Value = serde_json::from_slice(&published).unwrap();
    let host = published["url"].as_str().unwrap().strip_prefix("http://").unwrap();
    let socket = published["socket"].as_str().unwrap();
    for _ in 0..5 {
        let held: Vec<_> = (0..200)
            .map(|_| (TcpStream::connect(host).unwrap(), UnixStream::connect(socket).unwrap()))
            .collect();
        daemon.until_printed("a connection cannot be accepted");
        drop(held);
    }
    let until = Instant::now() + BOUND;
    while state(&env) != "ready" {
        assert!(Instant::now() < until, "it does not answer any more");
    }
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code, 143);
}

#[test]
fn it_has_the_secret_of_the_webhook_from_a_file_or_the_environment() {
    let env = TestEnv::new();
    let asked = |socket: &Value| {
        let mut stream = UnixStream::connect(socket.as_str().unwrap()).unwrap();
        let request = "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        serde_json::from_str::<Value>(body).unwrap()["code"].clone()
    };
    let (daemon, started) = Started::new(&env);
    assert_eq!(asked(&started["socket"]), "WEBHOOK_NOT_CONFIGURED");
    drop(daemon);
    env.file("secret", "a secret\n");
    let args = ["start", "--no-observe", "--webhook-secret-file", "secret"];
    let started = env.json("daemon.start", &args);
    let daemon = Started(&env);
    assert_eq!(asked(&started["socket"]), "WEBHOOK_SIGNATURE");
    drop(daemon);
    let started = finish(
        env.command(&["start", "--no-observe", "--json"]).env("AO_WEBHOOK_SECRET", "x"),
        b"",
    );
    let _daemon = Started(&env);
    let started: Value = serde_json::from_str(&started.stdout).unwrap();
    assert_eq!(asked(&started["data"]["socket"]), "WEBHOOK_SIGNATURE");
    env.file("empty", " \n");
    env.refused(&["daemon", "--webhook-secret-file", "empty"], 2, "USAGE");
}
