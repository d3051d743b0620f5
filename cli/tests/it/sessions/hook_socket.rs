//! Hooks while a daemon runs: it records for them, and they record themselves where it does not.

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, listen, socket_with};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::sessions::Lab;
use crate::sessions::hooks::{calling, hook};
use crate::sessions::lab::wait_until;
use crate::support::{Live, can_trace, finish, text, under_strace};

/// A daemon that ends with this value.
struct Started<'a> {
    lab: &'a Lab,
    pid: Pid,
}

impl Started<'_> {
    fn new(lab: &Lab) -> Started<'_> {
        let started = lab.ok(&["start", "--no-observe", "--json"]);
        let started: Value = serde_json::from_str(&started).unwrap();
        let pid = started["data"]["pid"].as_i64().unwrap();
        // One that is stopped in a transaction of its first passes would keep all others waiting.
        wait_until("the first passes of the loops", || {
            let status = lab.env.json("daemon.status", &["daemon", "status"]);
            let loops = status["loops"].as_array().unwrap().clone();
            let names = ["reconcile", "reaper", "deliveries", "turns"];
            let has_passed = |name: &&str| {
                let found = loops.iter().find(|it| it["name"] == **name).unwrap();
                found["outcome"].as_str().is_some_and(|outcome| !outcome.is_empty())
            };
            names.iter().all(has_passed)
        });
        Started { lab, pid: Pid::from_raw(i32::try_from(pid).unwrap()).unwrap() }
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }
}

impl Drop for Started<'_> {
    fn drop(&mut self) {
        let _ = kill_process(self.pid, Signal::CONT);
        self.lab.run(&["stop"]);
    }
}

/// How many changes hooks have made.
fn by_hooks(lab: &Lab) -> String {
    lab.sql("SELECT count(*) FROM change_log WHERE actor = 'hook'")
}

fn started() -> (Lab, String, String) {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    let launch = lab.sql("SELECT launch_id FROM session");
    (lab, id, launch)
}

#[test]
fn the_daemon_records_and_the_hook_does_not_open_the_store() {
    let (lab, id, launch) = started();
    if !can_trace() {
        return;
    }
    let _daemon = Started::new(&lab);
    let opened = |event: &str| {
        let log = lab.env.path("strace.log");
        let mut hook = calling(&lab, (&id, &launch), event);
        hook.stdin(Stdio::piped());
        let options = ["-o", text(&log), "-e", "trace=openat"];
        let output = finish(&mut under_strace(&hook, &options), br#"{"session_id": "n"}"#);
        assert_eq!(output.code, 0, "{}", output.stderr);
        fs::read_to_string(log).unwrap().contains("ao.db\"")
    };
    assert!(!opened("UserPromptSubmit"));
    let session = lab.get(&id);
    assert_eq!(
        (&session["activity"], &session["launch"]["native_id"]),
        (&"active".into(), &"n".into())
    );
    assert!(!opened("Stop"));
    assert_eq!(lab.get(&id)["activity"], "idle");
    lab.ok(&["stop"]);
    assert!(opened("UserPromptSubmit"), "without a daemon it records itself");
    assert_eq!(lab.get(&id)["activity"], "active");
}

#[test]
fn a_daemon_that_hangs_costs_a_hook_a_part_of_its_bound_and_records_nothing_later() {
    let (lab, id, launch) = started();
    lab.set_busy_timeout("16s");
    let daemon = Started::new(&lab);
    daemon.signal(Signal::STOP);
    hook(&lab, &launch, "UserPromptSubmit", r#"{"session_id": "n"}"#);
    assert_eq!(lab.get(&id)["activity"], "active");
    let before = by_hooks(&lab);
    daemon.signal(Signal::CONT);
    // It comes to the stale report before this one: they are read in their order, or not at all.
    hook(&lab, &launch, "PreToolUse", r#"{"session_id": "n"}"#);
    lab.ok(&["stop"]);
    assert_eq!(by_hooks(&lab), before, "what it came to late is not recorded");
}

#[test]
fn where_the_daemon_must_wait_for_long_the_report_is_not_lost() {
    let (lab, id, launch) = started();
    lab.set_busy_timeout("16s");
    let _daemon = Started::new(&lab);
    let mut other = Live::start(lab.env.sqlite_shell().stdin(Stdio::piped()));
    other.say("BEGIN IMMEDIATE; SELECT 'held';\n");
    assert_eq!(other.line(), "held");
    thread::scope(|scope| {
        let reports = || hook(&lab, &launch, "UserPromptSubmit", r#"{"session_id": "n"}"#);
        let reported = scope.spawn(reports);
        // Longer than the daemon may take to begin.
        thread::sleep(Duration::from_secs(3));
        other.say("COMMIT;\n");
        reported.join().unwrap();
    });
    assert_eq!(lab.get(&id)["activity"], "active");
    let transactions = "SELECT count(DISTINCT tx) FROM change_log WHERE actor = 'hook'";
    assert_eq!(lab.sql(transactions), "1");
}

#[test]
fn after_the_daemon_was_killed_its_socket_is_no_obstacle() {
    let (lab, id, launch) = started();
    let daemon = Started::new(&lab);
    daemon.signal(Signal::KILL);
    assert!(lab.env.path("data/hook.sock").exists());
    hook(&lab, &launch, "UserPromptSubmit", r#"{"session_id": "n"}"#);
    assert_eq!(lab.get(&id)["activity"], "active");
}

/// What a hook that connects would wait for: nobody accepts, and no more may wait.
#[test]
fn a_hook_does_not_wait_in_a_full_backlog() {
    let (lab, id, launch) = started();
    lab.set_busy_timeout("16s");
    let path = lab.env.path("data/hook.sock");
    let listener = UnixListener::bind(&path).unwrap();
    listen(&listener, 0).unwrap();
    let connect = || {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(&path)?).map(|()| socket)
    };
    let mut waiting = Vec::new();
    let full = loop {
        match connect() {
            Ok(socket) => waiting.push(socket),
            Err(error) => break error,
        }
    };
    assert_eq!(full, Errno::AGAIN);
    hook(&lab, &launch, "UserPromptSubmit", r#"{"session_id": "n"}"#);
    let log = fs::read_to_string(lab.env.path("data/run/hook.log")).unwrap_or_default();
    assert_eq!((&lab.get(&id)["activity"], &*log), (&"active".into(), ""));
}

#[test]
fn what_is_no_report_is_not_answered_and_nothing_is_recorded() {
    use std::io::{Read, Write};
    let (lab, _, _) = started();
    let _daemon = Started::new(&lab);
    let before = lab.env.head();
    let long = "x".repeat(6 << 20);
    for sent in ["", "\n", "{}\n{}", "{\"heard\":{},\"until_ms\":1}\n{}", "\u{0}\n", &long] {
        let mut stream =
            std::os::unix::net::UnixStream::connect(lab.env.path("data/hook.sock")).unwrap();
        // What is longer than a report is not read to its end.
        let _ = stream.write_all(sent.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(lab.env.head(), before);
}
