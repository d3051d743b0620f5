//! `tail --exec` runs a command for each change and acknowledges the change when it succeeds: killed at
//! any time it loses none.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BOUND, TestEnv, parsed};

/// Runs `command` for each change of the consumer `c`, from the beginning of the log.
fn exec<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["tail", "--consumer", "c", "--exec", command][..], more].concat()
}

/// A store with `demo`, so many sessions, and a consumer that begins before them.
fn world(sessions: usize) -> TestEnv {
    let env = TestEnv::with_demo();
    env.ok(&["consumer", "create", "c"]);
    for _ in 0..sessions {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    env
}

fn acked(env: &TestEnv) -> String {
    env.json("consumer.get", &["consumer", "get", "c"])["acked"].as_str().unwrap().to_owned()
}

fn lines(env: &TestEnv, name: &str) -> Vec<String> {
    let text = fs::read_to_string(env.path(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_command_gets_the_event_and_its_facts() {
    let env = world(1);
    let document = json!({"pr": "octo/hello#7", "session": "demo-1", "facts": {"state": "open"}});
    assert_eq!(env.feed(&["observe", "apply", "-"], document.to_string()).code, 0);
    env.ok(&["session", "rename", "demo-1", "A name"]);
    let show = r#"cat; echo "$AO_TYPE|$AO_SEQ|$AO_CURSOR|$AO_ENTITY|$AO_OP|$AO_PROJECT|$AO_SESSION|$AO_PR|$AO_CHANGED""#;
    let shown = env.ok(&exec(show, &["--no-follow"]));
    let (events, facts): (Vec<_>, Vec<_>) = shown.lines().partition(|line| line.starts_with('{'));
    assert_eq!(parsed(&events.join("\n")), env.changes()[1..]);
    assert_eq!(
        facts,
        [
            "session_created|2|1-2|session|insert|demo|demo-1||",
            "pr_created|3|1-3|pr|insert|demo|demo-1|github.com/octo/hello#7|",
            "session_updated|4|1-4|session|update|demo|demo-1||name",
        ]
    );
    assert_eq!(acked(&env), "1-4");
    assert_eq!(env.ok(&exec("echo again", &["--no-follow"])), "", "each change comes once");
    env.ok(&["session", "new", "--project", "demo"]);
    let nested = format!("{} project ls -o name", env!("CARGO_BIN_EXE_ao-store"));
    assert_eq!(env.ok(&exec(&nested, &["--no-follow"])), "demo\n", "it uses the same store");
}

#[test]
fn a_consumer_that_does_not_exist_is_created_with_the_filter() {
    let env = TestEnv::with_demo();
    let args = ["tail", "--consumer", "wake", "--type", "session_created", "--exec"];
    let live = env.spawn(&[&args[..], &["echo $AO_SESSION", "-c", "2"]].concat());
    let said = live.until_printed("consumer wake created after 1-1");
    assert!(said.contains("ao-store consumer rm wake"), "{said}");
    live.until_printed("ready: cursor 1-1");
    env.ok(&["session", "new", "--project", "demo"]);
    env.ok(&["session", "rename", "demo-1", "not a session that is new"]);
    env.ok(&["session", "new", "--project", "demo"]);
    let output = live.end();
    assert_eq!((output.code, output.stdout.as_str()), (0, "demo-1\ndemo-2\n"));
    let other = ["tail", "--consumer", "wake", "--type", "pr_created", "--exec", "true"];
    env.refused(&other, 5, "CONSUMER_FILTER_MISMATCH");
    let shown = env.ok(&["consumer", "get", "wake"]);
    assert!(shown.contains("filter types        session_created\n"), "{shown}");
}

#[test]
fn a_failing_command_stops_and_is_repeated() {
    let env = world(3);
    let fails = "echo $AO_SEQ; test $AO_SEQ != 3 || exit 7";
    let output = env.run(&exec(fails, &["--no-follow"]));
    assert_eq!((output.code, output.stdout.as_str()), (1, "2\n3\n"), "{}", output.stderr);
    assert!(output.stderr.contains("error[COMMAND_FAILED]: the command ended with exit status 7"));
    assert!(output.stderr.contains("ao-store consumer ack c 1-3"), "{}", output.stderr);
    assert_eq!(acked(&env), "1-2");
    let output = env.run(&exec("kill -9 $$", &["--no-follow", "--json"]));
    let error: Value = serde_json::from_str(output.stderr.trim_end()).unwrap();
    let details = json!({"consumer": "c", "cursor": "1-3", "status": null, "signal": 9});
    assert_eq!(error["error"]["details"], details);
    env.refused(&exec("no-such-command", &["--no-follow"]), 1, "COMMAND_FAILED");
    assert_eq!(env.ok(&exec("echo $AO_SEQ", &["--no-follow"])), "3\n4\n");
}

#[test]
fn a_killed_process_loses_no_change_and_repeats_at_most_one() {
    let env = world(12);
    let note = "echo $AO_SEQ >> done; sleep 0.02";
    for round in 1..=3 {
        let live = env.spawn(&exec(note, &[]));
        let deadline = Instant::now() + BOUND;
        while lines(&env, "done").len() < round * 3 {
            assert!(Instant::now() < deadline, "no progress");
            std::thread::sleep(Duration::from_millis(1));
        }
        live.signal(Signal::KILL);
        let _ = live.status();
    }
    env.ok(&exec(note, &["--no-follow"]));
    let mut seqs: Vec<u64> = lines(&env, "done").iter().map(|seq| seq.parse().unwrap()).collect();
    assert!(seqs.len() <= 12 + 3, "each kill repeats at most one: {seqs:?}");
    seqs.dedup();
    assert_eq!(seqs, (2..=13).collect::<Vec<_>>(), "in order, without a gap");
}

#[test]
fn a_signal_ends_it_after_the_running_command() {
    let env = world(2);
    let live = env.spawn(&exec("echo begun; sleep 0.3; echo ended", &[]));
    assert_eq!(live.line(), "begun");
    live.signal(Signal::TERM);
    let output = live.end();
    assert_eq!((output.code, output.stdout.as_str()), (143, "ended\n"), "{}", output.stderr);
    assert_eq!(acked(&env), "1-2", "what succeeded is acknowledged");
}

#[test]
fn broken_pipes_end_a_command_and_a_large_event_need_not_be_read() {
    let env = world(1);
    let name = "n".repeat(150);
    env.ok(&["session", "rename", "demo-1", &name]);
    let shown = env.ok(&exec("kill -PIPE $$; echo survived", &["--no-follow", "-c", "0"]));
    assert_eq!(shown, "");
    let output = env.run(&exec("kill -PIPE $$; echo survived", &["--no-follow"]));
    assert!(output.stderr.contains("was ended by signal 13"), "{}", output.stderr);
    let body = "b".repeat(200_000);
    let document = json!({"pr": "octo/hello#7", "session": "demo-1",
        "comments": [{"id": "C1", "kind": "issue", "body": body}]});
    assert_eq!(env.feed(&["observe", "apply", "-"], document.to_string()).code, 0);
    env.ok(&exec("true", &["--no-follow"]));
    assert_eq!(acked(&env), env.head());
}

#[test]
fn what_contradicts_it_is_refused() {
    let env = world(1);
    for args in [
        &["tail", "--exec", "true"][..],
        &exec("true", &["--format", "ndjson"]),
        &exec("true", &["--snapshot"]),
        &exec("true", &["--from", "end"]),
        &exec("true", &["--images", "none"]),
        &exec("true", &["-f", "--until", "yesterday"]),
    ] {
        env.refused(args, 2, "USAGE");
    }
    assert_eq!(acked(&env), "1-1");
}
