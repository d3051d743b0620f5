//! The supervisor link: a daemon that a program started for itself ends when that program does, and no other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::Value;

use crate::support::{BOUND, Live, TestEnv};

const HELLO: &[u8] = b"{\"hello\":\"ao-store-supervisor\"}\n";

fn owned_by_app(env: &TestEnv) -> Live {
    let daemon = Live::start(&mut env.command(&["daemon", "--no-observe", "--owner", "app"]));
    daemon.until_printed("the daemon is ready");
    daemon
}

fn published(env: &TestEnv) -> Value {
    serde_json::from_slice(&fs::read(env.path("data/running.json")).unwrap()).unwrap()
}

fn greeting(env: &TestEnv) -> BufReader<UnixStream> {
    let path = published(env)["supervisor"].as_str().unwrap().to_owned();
    assert_eq!(Path::new(&path), env.path("data/supervise.sock").canonicalize().unwrap());
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.write_all(HELLO).unwrap();
    BufReader::new(stream)
}

fn answer(stream: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// A process that holds the link, without any code of this project.
fn client(env: &TestEnv) -> Live {
    let script = "import json, socket, sys\n\
        link = socket.socket(socket.AF_UNIX)\n\
        link.connect(json.load(open(sys.argv[1]))['supervisor'])\n\
        link.sendall(b'{\"hello\":\"ao-store-supervisor\"}\\n')\n\
        print(link.makefile().readline(), end='', flush=True)\n\
        sys.stdin.read()\n";
    let mut command = Command::new("python3");
    command.args(["-c", script]).arg(env.path("data/running.json"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Live::start(&mut command)
}

#[test]
fn the_daemon_of_an_app_ends_five_seconds_after_its_last_client_was_killed() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3");
        return;
    }
    let env = TestEnv::new();
    let daemon = owned_by_app(&env);
    let client = client(&env);
    assert_eq!(client.change()["pid"], daemon.id());
    // It was cancelled by another client: the time begins anew.
    let mut second = greeting(&env);
    assert_eq!(answer(&mut second), published(&env));
    client.signal(Signal::KILL);
    drop(client);
    let left = Instant::now();
    drop(second);
    let ended = daemon.end();
    assert!(left.elapsed() >= Duration::from_secs(5), "{:?}", left.elapsed());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("is gone; it stops"), "{}", ended.stderr);
    assert!(!env.path("data/running.json").exists() && !env.path("data/supervise.sock").exists());
}

#[test]
fn a_daemon_without_an_app_has_no_link() {
    let env = TestEnv::new();
    for owner in [&[][..], &["--owner", "persistent"]] {
        let args = [&["daemon", "--no-observe"][..], owner].concat();
        let daemon = Live::start(&mut env.command(&args));
        daemon.until_printed("the daemon is ready");
        assert_eq!(published(&env).get("supervisor"), None);
        assert!(!env.path("data/supervise.sock").exists());
    }
}

#[test]
fn a_link_that_cannot_be_made_is_reported_and_the_daemon_serves() {
    let env = TestEnv::new();
    // A folder is no socket that can be replaced.
    fs::create_dir_all(env.path("data/supervise.sock/x")).unwrap();
    let daemon = Live::start(&mut env.command(&["daemon", "--no-observe", "--owner", "app"]));
    daemon.until_printed("there is no supervisor link");
    daemon.until_printed("the daemon is ready");
    assert_eq!(published(&env).get("supervisor"), None);
    assert_eq!(env.json("daemon.status", &["daemon", "status"])["state"], "ready");
}

/// The processor time that a process has used.
fn processor_time(process: &Live) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    // Linux reports hundredths of a second, whatever its clock is.
    Duration::from_millis(10 * ticks)
}

#[test]
fn a_lack_of_file_descriptors_delays_a_client_and_ends_nothing() {
    let env = TestEnv::new();
    let daemon = owned_by_app(&env);
    let pid = Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    let limit = |current: u64, maximum| {
        prlimit(pid, Resource::Nofile, Rlimit { current: Some(current), maximum }).unwrap()
    };
    let before = limit(1, Some(1 << 10));
    let mut stream = greeting(&env);
    let (since, used) = (Instant::now(), processor_time(&daemon));
    for _ in 0..5 {
        daemon.until_printed("a connection cannot be accepted");
    }
    // All of it waits, also what has to wait without a descriptor to spare.
    let used = processor_time(&daemon) - used;
    assert!(used < since.elapsed() / 4, "{used:?} of {:?}", since.elapsed());
    limit(1 << 10, Some(1 << 10));
    assert_eq!(answer(&mut stream)["pid"], daemon.id());
    assert!(before.current.is_none_or(|limit| limit > 1));
}
