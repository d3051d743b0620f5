//! `tail` starts and stops at the places and times that a person names; what contradicts itself is a
//! usage error.

use std::time::Duration;

use serde_json::Value;

use crate::support::{TestEnv, finish, parsed};

/// A store with `demo` and so many sessions: one change more than that, each at a time of its own.
fn with_sessions(count: usize) -> TestEnv {
    let env = TestEnv::with_demo();
    for _ in 0..count {
        std::thread::sleep(Duration::from_millis(2));
        env.ok(&["session", "new", "--project", "demo"]);
    }
    env
}

fn seqs(lines: &str) -> Vec<u64> {
    parsed(lines).iter().map(|change| change["seq"].as_u64().unwrap()).collect()
}

fn of(env: &TestEnv, args: &[&str]) -> Vec<u64> {
    seqs(&env.ok(&[&["tail", "--format", "ndjson"], args].concat()))
}

fn time_of(env: &TestEnv, seq: usize) -> String {
    env.changes()[seq - 1]["at"].as_str().unwrap().to_owned()
}

#[test]
fn n_is_the_last_changes_that_pass_and_f_follows() {
    let env = with_sessions(14);
    assert_eq!(of(&env, &["-n", "3", "--no-follow"]), [13, 14, 15]);
    assert_eq!(of(&env, &["-n3", "--no-follow", "--session", "demo-2"]), [3]);
    assert_eq!(of(&env, &["-n", "0", "--no-follow"]), [0; 0]);
    assert_eq!(of(&env, &["-n", "99", "--no-follow"]).len(), 15);
    let tail = env.tail(&["-n", "0", "-f", "--format", "ndjson"]);
    env.ok(&["session", "new", "--project", "demo"]);
    assert_eq!(tail.change()["seq"], 16);
}

#[test]
fn a_count_without_a_start_is_the_newest_changes_when_nothing_is_awaited() {
    let env = with_sessions(14);
    assert_eq!(of(&env, &["-c", "1", "--no-follow"]), [15]);
    assert_eq!(of(&env, &["-c", "12", "--no-follow"]), (4..=15).collect::<Vec<_>>());
    assert_eq!(of(&env, &["-c", "1", "--no-follow", "--session", "demo-2"]), [3]);
    assert_eq!(of(&env, &["-c", "1", "--no-follow", "-n", "5"]), [11], "a start stays one");
    assert_eq!(of(&env, &["-c", "2", "--no-follow", "--from", "beginning"]), [1, 2]);
    let time = time_of(&env, 10);
    assert_eq!(of(&env, &["-c", "1", "--until", &time]), [9], "that time has passed");
}

#[test]
fn since_and_until_are_times() {
    let env = with_sessions(5);
    let (third, fifth) = (time_of(&env, 3), time_of(&env, 5));
    assert_eq!(of(&env, &["--since", &third, "--until", &fifth]), [3, 4]);
    assert_eq!(of(&env, &["--until", &third]), [1, 2], "the last 10 before it");
    assert_eq!(of(&env, &["-n", "1", "--until", &fifth]), [4]);
    assert_eq!(of(&env, &["--from", "-1", "--until", &fifth]), [4]);
    assert_eq!(of(&env, &["--from", "1-3", "--until", &fifth]), [4]);
    assert_eq!(of(&env, &["--since", "1h", "--no-follow"]).len(), 6);
    assert_eq!(of(&env, &["--since", "yesterday", "--no-follow"]).len(), 6);
    assert_eq!(of(&env, &["--since", "2020-01-01", "--until", "2020-02-01"]), [0; 0]);
    let none = ["--since", &third, "--until", &fifth, "--type", "project_created"];
    assert_eq!(of(&env, &none), [0; 0], "it also ends when nothing passes");
    let lines = env.ok(&[
        &["tail", "--format", "ndjson", "--heartbeat", "1m"][..],
        &["--from", "beginning", "--until", &third],
    ]
    .concat());
    let bye = parsed(&lines).pop().unwrap();
    assert_eq!(bye["cursor"], "1-2", "a later tail continues where it ended: {lines}");
}

#[test]
fn until_a_time_in_the_future_it_follows() {
    let env = with_sessions(1);
    let until = jiff::Timestamp::now() + Duration::from_millis(1500);
    let tail = env.tail(&["--from", "end", "--until", &until.to_string(), "--format", "ndjson"]);
    env.ok(&["session", "new", "--project", "demo"]);
    let output = tail.end();
    assert_eq!(output.code, 0, "{}", output.stderr);
    let is_in_time = env.changes()[2]["at"].as_str().unwrap() < until.to_string().as_str();
    assert_eq!(seqs(&output.stdout).len(), usize::from(is_in_time));
}

#[test]
fn a_time_without_a_zone_is_local() {
    let env = with_sessions(1);
    let at: jiff::Timestamp = time_of(&env, 2).parse().unwrap();
    let there = at.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(14)));
    let since = there.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let count = |zone: &str| {
        let args = ["tail", "--no-follow", "--format", "ndjson", "--since", &since];
        let output = finish(env.command(&args).env("TZ", zone), b"");
        assert_eq!(output.code, 0, "{}", output.stderr);
        output.stdout.lines().count()
    };
    assert!(count("AAA-14") > 0);
    assert_eq!(count("UTC"), 0, "there it is 14 hours later");
}

#[test]
fn a_time_that_is_none_is_refused_with_what_is_accepted() {
    let env = with_sessions(1);
    for text in ["soon", "", "2026-13-01", "10"] {
        for flag in ["--since", "--until"] {
            let said = env.refused(&["tail", "--no-follow", flag, text], 2, "USAGE");
            assert!(said.contains(flag) && said.contains("2026-11-01"), "{said}");
        }
    }
}

#[test]
fn starts_and_ends_that_contradict_each_other_are_refused() {
    let env = with_sessions(1);
    for args in [
        &["-n", "1", "--from", "end"][..],
        &["-n", "1", "--since", "1h"],
        &["-n", "1", "--consumer", "x"],
        &["--since", "1h", "--from", "end"],
        &["--since", "1h", "--consumer", "x"],
        &["-f", "--no-follow"],
        &["-f", "--until", "yesterday"],
        &["--since", "today", "--until", "yesterday"],
        &["-n", "-1"],
        &["-n", "x"],
    ] {
        let output = env.run(&[&["tail"], args].concat());
        assert_eq!(output.code, 2, "{args:?}: {}", output.stderr);
        assert_eq!(output.stdout, "");
    }
    let said = env.run(&["tail", "-f", "--until", "yesterday", "--json"]).stderr;
    let error: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(error["error"]["code"], "USAGE");
}
