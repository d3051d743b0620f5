//! What needs a person, as the command shows it: for people, for programs, and while it changes.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::Value;

use crate::documented;
use crate::fleet;
use crate::pty;
use crate::support::{Live, TestEnv, parsed};

/// With an open pull request whose head fails, or passes, one check.
fn ready() -> TestEnv {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo", "--branch", "fix-1"]);
    check(&env, "failed");
    env
}

fn check(env: &TestEnv, status: &str) {
    let document = format!(
        r#"{{"pr": "octo/hello#7", "session": "demo-1",
            "facts": {{"state": "open", "title": "Fix it", "head_sha": "abc"}},
            "checks": [{{"head_sha": "abc", "name": "build", "kind": "run", "status": "{status}",
                "completed_at": "2026-11-20T10:00:00Z", "url": "https://ci.example.com/1"}}]}}"#
    );
    env.ok(&["observe", "apply", &env.file("document.json", document)]);
}

fn items(env: &TestEnv, args: &[&str]) -> Vec<Value> {
    env.json("attention.list", &[&["attention"], args].concat()).as_array().unwrap().clone()
}

#[test]
fn nothing_to_do_is_said_and_passes() {
    let env = TestEnv::with_demo();
    let output = env.run(&["attention", "--exit-code"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
    let expected = "nothing needs you\nno observer has run yet: `ao-store observe`\n";
    assert_eq!(output.stderr, expected);
    assert_eq!(items(&env, &[]), Vec::<Value>::new());
}

#[test]
fn a_failed_check_is_shown_with_its_name_its_time_and_the_next_command() {
    let env = ready();
    let output = env.run(&["attention", "--exit-code"]);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (6, "next: `ao-store pr get octo/hello#7`\n")
    );
    let mut lines = output.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["KIND", "WHAT", "SESSION", "SINCE", "DETAIL"]);
    let row = lines.next().unwrap();
    assert_eq!([row[0], row[1], row[2], row[4]], ["ci_failing", "octo/hello#7", "demo-1", "build"]);
    let found = items(&env, &[]);
    assert_eq!(found[0]["since"], "2026-11-20T10:00:00.000Z");
    assert_eq!(found[0]["url"], "https://ci.example.com/1");
    assert_eq!((&found[0]["count"], &found[0]["title"]), (&1.into(), &"Fix it".into()));
    assert_eq!(found[0]["next"], "ao-store pr get octo/hello#7");
    assert_eq!(env.ok(&["attention", "-o", "name"]), "octo/hello#7\n");
}

#[test]
fn the_filter_selects_and_refuses_what_does_not_exist() {
    let env = ready();
    for (args, count) in [
        (["--project", "demo"], 1),
        (["--session", "demo-1"], 1),
        (["--kind", "ci_failing,conflicting"], 1),
        (["--kind", "conflicting"], 0),
    ] {
        assert_eq!(items(&env, &args).len(), count, "{args:?}");
    }
    env.refused(&["attention", "--project", "none"], 3, "PROJECT_NOT_FOUND");
    env.refused(&["attention", "--session", "demo-9"], 3, "SESSION_NOT_FOUND");
    env.refused(&["attention", "--kind", "ci"], 2, "USAGE");
    env.refused(&["attention", "--watch", "--exit-code"], 2, "USAGE");
}

fn next_event(live: &Live) -> (String, String) {
    let line = live.change();
    let keys: Vec<_> = line.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["v", "event", "at", "item"]);
    documented::check("attention.list", &vec![line["item"].clone()].into());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&line["event"]), text(&line["item"]["kind"]))
}

#[test]
fn a_watch_prints_what_is_added_changed_and_removed() {
    let env = ready();
    let live = env.spawn(&["attention", "--watch"]);
    live.until_printed("ready: ");
    assert_eq!(next_event(&live), ("added".to_owned(), "ci_failing".to_owned()));
    let document =
        r#"{"pr": "octo/hello#7", "facts": {"title": "Another", "mergeable": "conflicting"}}"#;
    env.ok(&["observe", "apply", &env.file("document.json", document)]);
    let mut events = BTreeSet::new();
    while events.len() < 2 {
        events.insert(next_event(&live));
    }
    let expected = [("added", "conflicting"), ("changed", "ci_failing")];
    assert_eq!(events, expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    check(&env, "passed");
    assert_eq!(next_event(&live).0, "removed");
    live.signal(Signal::INT);
    assert_eq!(live.end().code, 130);
}

#[test]
fn a_watch_on_a_terminal_draws_the_list_again() {
    let env = ready();
    let shown = pty::run_until(&env, &["attention", "--watch"], &[], 60, Some("ready: "));
    assert!(shown.contains("\u{1b}[2J") && shown.contains("octo/hello#7"), "{shown}");
    let plain = anstream::adapter::strip_str(&shown).to_string();
    assert!(plain.lines().all(|line| line.chars().count() <= 60), "{plain}");
}

#[test]
fn a_closed_output_ends_a_watch() {
    let env = ready();
    let output = env.shell("\"$0\" attention --watch | head -1");
    assert_eq!((output.code, output.stdout.lines().count()), (0, 1));
}

#[test]
fn of_many_sessions_and_pull_requests_exactly_what_needs_attention_is_listed() {
    for (sessions, prs) in [(40, 30), (500, 500)] {
        let env = TestEnv::empty();
        let expected = fleet::create(&env, sessions, prs);
        let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
        let found = items(&env, &[]);
        let names: BTreeSet<_> =
            found.iter().map(|item| (text(item, "kind"), text(item, "name"))).collect();
        assert_eq!((names, found.len()), (expected.clone(), expected.len()));
        let times: Vec<_> = found.iter().map(|item| text(item, "since")).collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");
        let lines = parsed(&env.ok(&["attention", "-o", "ndjson", "--project", "project-0"]));
        let of_project = expected.iter().filter(|(_, name)| name.contains("project-0#")).count();
        assert_eq!(lines.len(), of_project);
    }
}
