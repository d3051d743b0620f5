//! The programs in `examples/` that follow over HTTP do what they say: killed, or left by the daemon, they go on
//! and have every row in the end; they start over when their position cannot be resumed; and what comes twice
//! counts once.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::examples::{Rows, copied, has, row, rows};
use crate::support::{Live, Output, TestEnv, finish, text};

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follower {
    Python,
    Node,
}

impl Follower {
    /// The folder with its packages, which are fetched once; prints a note and gives none where that fails.
    fn packages(self) -> Option<&'static Path> {
        static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
        static NODE: OnceLock<Option<PathBuf>> = OnceLock::new();
        let fetched = match self {
            Follower::Python => PYTHON.get_or_init(|| {
                let fetch =
                    ["-m", "pip", "install", "-q", "httpx==0.28.1", "httpx-sse==0.4.3", "--target"];
                fetched("python-packages", "httpx_sse", "python3", &fetch)
            }),
            Follower::Node => NODE.get_or_init(|| {
                let fetch = ["install", "--silent", "eventsource@4.1.1", "--prefix"];
                fetched("node-packages", "node_modules/eventsource", "npm", &fetch)
            }),
        };
        fetched.as_deref()
    }

    fn command(self, env: &TestEnv, args: &[&str]) -> Option<Command> {
        let packages = self.packages()?;
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let mut command = match self {
            Follower::Python => {
                let mut command = env.clean("python3");
                command.arg(examples.join("follow.py")).env("PYTHONPATH", packages);
                command
            }
            Follower::Node => {
                // A module finds its packages by the folder that it is in.
                let script = packages.join(format!("follow-{}.mjs", std::process::id()));
                fs::copy(examples.join("follow.mjs"), &script).unwrap();
                let mut command = env.clean("node");
                command.arg(script);
                command
            }
        };
        command.args(args).env("AO_DATA_DIR", env.path("data"));
        Some(command)
    }

    /// Copies everything, and ends.
    fn once(self, env: &TestEnv) -> Option<Output> {
        let output = finish(&mut self.command(env, &["copy", "--once"])?, b"");
        assert_eq!(output.code, 0, "{}", output.stderr);
        Some(output)
    }

    fn copied(self, env: &TestEnv) -> Rows {
        if self == Follower::Python {
            return copied(env, "copy");
        }
        let copy: Value = serde_json::from_slice(&fs::read(env.path("copy")).unwrap()).unwrap();
        let one = |(name, value): (&String, &Value)| {
            let name: Value = serde_json::from_str(name).unwrap();
            row(&name[0], &name[1], value)
        };
        copy["rows"].as_object().unwrap().iter().map(one).collect()
    }
}

/// A folder with packages.
pub(crate) fn fetched(
    folder: &str,
    package: &str,
    program: &str,
    fetch: &[&str],
) -> Option<PathBuf> {
    if !has(&[program]) {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    if !folder.join(package).exists() {
        let mut command = Command::new(program);
        command.args(fetch).arg(text(&folder)).stdin(Stdio::null());
        let output = command.output().unwrap();
        if !output.status.success() {
            println!("skipped: {command:?}: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
    }
    Some(folder)
}

fn daemon(env: &TestEnv) -> Live {
    let daemon = Live::start(&mut env.command(&["daemon", "--no-observe"]));
    daemon.until_printed("the daemon is ready");
    daemon
}

fn follows_through_kills(follower: Follower) {
    let env = TestEnv::with_demo();
    for _ in 0..3 {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    let mut served = daemon(&env);
    if follower.once(&env).is_none() {
        return;
    }
    for round in 0..4 {
        let live = Live::start(&mut follower.command(&env, &["copy"]).unwrap());
        env.ok(&["session", "rename", "demo-1", &format!("a {round}")]);
        served.signal(Signal::KILL);
        drop(served);
        env.ok(&["session", "rename", "demo-2", &format!("b {round}")]);
        served = daemon(&env);
        env.ok(&["session", "rename", "demo-3", &format!("c {round}")]);
        live.signal(Signal::KILL);
    }
    assert_eq!(follower.once(&env).unwrap().stderr, "");
    assert_eq!(follower.copied(&env), rows(&env));
}

fn starts_over(follower: Follower, expired: &str, restored: &str) {
    let env = TestEnv::with_demo();
    env.ok(&["backup", "backup.db"]);
    let served = daemon(&env);
    if follower.once(&env).is_none() {
        return;
    }
    for _ in 0..3 {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    env.ok(&["prune", "--keep-events", "1", "--yes"]);
    let said = follower.once(&env).unwrap().stderr;
    assert!(said.contains(expired), "{said}");
    assert_eq!(follower.copied(&env), rows(&env));
    drop(served);
    env.ok(&["restore-db", "backup.db", "--yes"]);
    let _served = daemon(&env);
    let said = follower.once(&env).unwrap().stderr;
    assert!(said.contains(restored), "{said}");
    assert_eq!(follower.copied(&env), rows(&env));
}

/// A server that sends the same change twice, with another row the second time.
fn repeats(follower: Follower) {
    let env = TestEnv::empty();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    fs::create_dir_all(env.path("data/tokens")).unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    env.file("data/running.json", json!({ "url": url }).to_string());
    env.file("data/tokens/operator.token", "secret\n");
    let change = |seq: u64, key: &str, number: u64| json!({ "seq": seq, "cursor": format!("1-{seq}"), "entity": "e", "key": [key], "after": { "n": number } });
    let items = [
        json!({ "control": "hello", "cursor": "1-0", "log_id": "log", "head": "1-2" }),
        json!({ "control": "snapshot_end", "cursor": "1-0" }),
        change(1, "a", 1),
        change(1, "a", 2),
        change(2, "b", 3),
    ];
    thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let head: Vec<_> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let shown =
            head.iter().any(|line| line.eq_ignore_ascii_case("authorization: bearer secret"));
        let status = if shown { "200 OK" } else { "401 Unauthorized" };
        let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-type: text/event-stream\r\n\r\n");
        let _ = items.iter().try_for_each(|item| write!(stream, "data: {item}\n\n"));
        // The client ends the connection.
        let _ = BufReader::new(stream).lines().count();
    });
    if follower.once(&env).is_some() {
        let wanted = [("a", 1), ("b", 3)];
        let wanted = wanted.map(|(key, n)| row(&"e".into(), &json!([key]), &json!({ "n": n })));
        assert_eq!(follower.copied(&env), Rows::from(wanted));
    }
}

#[test]
fn the_python_follower_goes_on_after_it_or_the_daemon_was_killed() {
    follows_through_kills(Follower::Python);
}

#[test]
fn the_node_follower_goes_on_after_it_or_the_daemon_was_killed() {
    follows_through_kills(Follower::Node);
}

#[test]
fn the_python_follower_starts_over_after_a_prune_and_a_restore() {
    starts_over(Follower::Python, "CURSOR_EXPIRED", "CURSOR_EPOCH_MISMATCH");
}

#[test]
fn the_node_follower_starts_over_after_a_prune_and_a_restore() {
    starts_over(Follower::Node, "status 410", "status 409");
}

#[test]
fn the_python_follower_counts_once_what_comes_twice() {
    repeats(Follower::Python);
}

#[test]
fn the_node_follower_counts_once_what_comes_twice() {
    repeats(Follower::Node);
}
