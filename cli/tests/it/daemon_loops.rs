//! What the loops of a daemon did last, and what the writer of its store did, is in `status` and in the metrics.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{TestEnv, has_sqlite};

/// Longer than the pause between two plans of maintenance.
const BOUND: Duration = Duration::from_secs(120);

/// A daemon in the background that ends with this value.
struct Started<'a>(&'a TestEnv);

impl Drop for Started<'_> {
    fn drop(&mut self) {
        self.0.run(&["stop"]);
    }
}

fn start(env: &TestEnv) -> Started<'_> {
    env.ok(&["start", "--no-observe"]);
    Started(env)
}

/// A loop as `status` shows it; null while the daemon is too slow to answer.
fn shown(env: &TestEnv, name: &str) -> Value {
    let status = env.json("store.status", &["status"]);
    let Some(loops) = status["daemon"]["loops"].as_array() else { return Value::Null };
    loops.iter().find(|it| it["name"] == name).unwrap().clone()
}

/// Waits until a loop is as wanted.
fn wait_for(env: &TestEnv, name: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let by = Instant::now() + BOUND;
    loop {
        let found = shown(env, name);
        if is_wanted(&found) {
            return found;
        }
        assert!(Instant::now() < by, "{found}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn metrics(env: &TestEnv) -> String {
    let mut stream = UnixStream::connect(env.path("data/daemon.sock")).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn retention_and_checkpoints_show_what_they_did_last() {
    let env = TestEnv::with_demo();
    for _ in 0..5 {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    env.ok(&["retention", "set", "--keep-events", "3", "--yes"]);
    assert_eq!(env.json("store.status", &["status"])["daemon"]["loops"], Value::Null);
    let _daemon = start(&env);
    for (name, outcomes) in [
        ("retention", ["pruned up to change ", "nothing to prune"]),
        ("checkpoint", ["the write-ahead log was copied", "a reader or another checkpoint"]),
    ] {
        let is_one = |outcome: &str| outcomes.iter().any(|known| outcome.starts_with(known));
        let found = wait_for(&env, name, |it| is_one(it["outcome"].as_str().unwrap()));
        assert_eq!((&found["state"], &found["restarts"]), (&"running".into(), &0.into()));
        assert!(found["at"].is_string(), "{found}");
    }
    let deliveries = wait_for(&env, "deliveries", |it| it["at"].is_string());
    let expected = "messages of 0 sessions are due and not being written, 0 writers started";
    assert_eq!(deliveries["outcome"], expected);
    let figures = metrics(&env);
    for name in ["retention", "checkpoint", "deliveries"] {
        for line in [
            format!("ao_store_daemon_loop_state{{name=\"{name}\",state=\"running\"}} 1\n"),
            format!("ao_store_daemon_loop_outcome_age_seconds{{name=\"{name}\"}} "),
        ] {
            assert!(figures.contains(&line), "{line}: {figures}");
        }
    }
}

#[test]
fn a_loop_that_fails_shows_why_and_goes_on_when_it_can() {
    if !has_sqlite() {
        return;
    }
    let env = TestEnv::new();
    let _daemon = start(&env);
    let ran = wait_for(&env, "reaper", |it| it["at"].is_string());
    assert!(ran["outcome"].as_str().unwrap().ends_with("0 limits of accounts hold"), "{ran}");
    env.sqlite("ALTER TABLE account_limit RENAME TO aside").unwrap();
    let failed = wait_for(&env, "reaper", |it| it["state"] == "failed");
    assert!(failed["outcome"].as_str().unwrap().contains("account_limit"), "{failed}");
    let line = "ao_store_daemon_loop_state{name=\"reaper\",state=\"failed\"} 1\n";
    let by = Instant::now() + BOUND;
    while !metrics(&env).contains(line) {
        assert!(Instant::now() < by, "the metrics do not show it");
    }
    assert_eq!(shown(&env, "deliveries")["state"], "running");
    env.sqlite("ALTER TABLE aside RENAME TO account_limit").unwrap();
    let again = wait_for(&env, "reaper", |it| {
        it["state"] == "running" && it["outcome"].as_str().unwrap().contains("probed")
    });
    assert_ne!(again["restarts"], 0);
}
