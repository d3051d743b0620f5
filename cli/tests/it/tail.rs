//! `tail` and `up` follow the log from another process: every change once, in order and in time,
//! from any start, in any format, to an orderly end.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Live, TestEnv, has_controls, parsed, text, without_colours};

const NDJSON: &[&str] = &["--format", "ndjson"];

/// A store with `demo` and so many sessions: one change more than that.
fn with_sessions(count: usize) -> TestEnv {
    let env = TestEnv::with_demo();
    for _ in 0..count {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    env
}

fn once(env: &TestEnv, args: &[&str]) -> Vec<Value> {
    parsed(&env.ok(&[&["tail", "--no-follow"], NDJSON, args].concat()))
}

fn seqs(changes: &[Value]) -> Vec<u64> {
    changes.iter().map(|change| change["seq"].as_u64().unwrap()).collect()
}

#[test]
fn a_live_tail_gets_what_other_processes_commit() {
    let env = TestEnv::with_demo();
    let tail = env.tail(&[&["--from", "end"], NDJSON].concat());
    for number in 1..=3 {
        env.ok(&["session", "new", "--project", "demo"]);
        let change = tail.change();
        assert_eq!(change["type"], "session_created");
        assert_eq!(change["session"], format!("demo-{number}"));
        assert_eq!(change["seq"], number + 1);
    }
    assert!(tail.is_quiet(), "each change comes once");
}

#[test]
fn a_change_has_the_fields_that_are_documented() {
    let env = with_sessions(1);
    env.ok(&["session", "rename", "demo-1", "Fix it"]);
    let changes = once(&env, &["--from", "beginning"]);
    let names = [
        "v", "seq", "cursor", "type", "entity", "op", "key", "project", "session", "at", "actor",
        "tx", "before", "after",
    ];
    for change in &changes {
        let keys = change.as_object().unwrap().keys().map(String::as_str);
        let keys: Vec<_> = keys.filter(|name| *name != "changed").collect();
        assert_eq!(keys, names);
        assert_eq!(change["v"], 1);
        assert_eq!(change["cursor"], format!("1-{}", change["seq"]));
        assert_eq!(change["actor"], "cli");
        assert!(change["at"].as_str().unwrap().ends_with('Z'));
    }
    let [created, _, renamed] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((&created["op"], &created["before"]), (&"insert".into(), &Value::Null));
    assert_eq!(renamed["type"], "session_updated");
    assert_eq!(renamed["key"], serde_json::json!(["demo-1"]));
    assert_eq!(
        (&renamed["before"]["name"], &renamed["after"]["name"]),
        (&"".into(), &"Fix it".into())
    );
    assert_eq!(renamed["changed"], serde_json::json!(["name"]));
    assert_eq!(created.get("changed"), None);
}

#[test]
fn a_tail_starts_at_the_given_position() {
    let env = with_sessions(14);
    assert_eq!(seqs(&once(&env, &["--from", "beginning"])), (1..=15).collect::<Vec<_>>());
    assert_eq!(seqs(&once(&env, &[])), (6..=15).collect::<Vec<_>>(), "the last 10");
    assert_eq!(seqs(&once(&env, &["--from", "-3"])), [13, 14, 15]);
    assert_eq!(seqs(&once(&env, &["--from=-3"])), [13, 14, 15]);
    assert_eq!(seqs(&once(&env, &["--from", "-99"])).len(), 15);
    assert_eq!(seqs(&once(&env, &["--from", "end"])), [0; 0]);
    assert_eq!(seqs(&once(&env, &["--from", "-0"])), [0; 0]);
    assert_eq!(seqs(&once(&env, &["--from", "1-0"])).len(), 15);
    for from in ["", "-", "--5", "-x", "5", "0-1", "1-1-1", "99999999999999999999-1", "1-1 "] {
        env.refused(&["tail", "--no-follow", &format!("--from={from}")], 2, "INVALID_CURSOR");
    }
}

#[test]
fn a_tail_resumed_from_a_cursor_gets_exactly_the_rest() {
    let env = with_sessions(6);
    let all = once(&env, &["--from", "beginning"]);
    for (seen, change) in all.iter().enumerate() {
        let rest = once(&env, &["--from", change["cursor"].as_str().unwrap()]);
        assert_eq!(rest, all[seen + 1..]);
    }
}

#[test]
fn a_count_ends_the_tail_exactly() {
    let env = with_sessions(4);
    assert_eq!(seqs(&once(&env, &["--from", "beginning", "-c", "2"])), [1, 2]);
    assert_eq!(seqs(&once(&env, &["--from", "beginning", "-c", "0"])), [0; 0]);
    assert_eq!(once(&env, &["--from", "beginning", "-c", "99"]).len(), 5, "--no-follow ends it");
    let live = env.tail(&[&["--from", "end", "-c", "1"], NDJSON].concat());
    env.ok(&["session", "new", "--project", "demo"]);
    let output = live.end();
    assert_eq!((output.code, output.stdout.lines().count()), (0, 1));
}

#[test]
fn filters_of_one_kind_are_alternatives_and_kinds_must_all_hold() {
    let env = with_sessions(2);
    let other = env.repo("other", "");
    env.ok(&["project", "add", text(&other)]);
    env.ok(&["session", "new", "--project", "other"]);
    env.ok(&["session", "rename", "demo-2", "two"]);
    let of = |args: &[&str]| seqs(&once(&env, &[&["--from", "beginning"], args].concat()));
    assert_eq!(of(&["--type", "project_created"]), [1, 4]);
    assert_eq!(of(&["--type", "project_created", "--type", "session_updated"]), [1, 4, 6]);
    assert_eq!(of(&["--project", "other"]), [4, 5]);
    assert_eq!(of(&["--session", "demo-2"]), [3, 6]);
    assert_eq!(of(&["--session", "demo-2", "--type", "session_updated"]), [6]);
    assert_eq!(of(&["--session", "demo-2", "--project", "other"]), [0; 0]);
    let last = seqs(&once(&env, &["--from", "-1", "--type", "session_created"]));
    assert_eq!(last, [5], "-N counts what passes the filter");
    env.refused(&["tail", "--project", "../x"], 2, "INVALID_ID");
    env.refused(&["tail", "--session", "demo"], 2, "INVALID_ID");
}

#[test]
fn cloudevents_have_what_their_specification_requires() {
    let env = with_sessions(2);
    let args = ["tail", "--no-follow", "--from", "beginning", "--format", "cloudevents"];
    let events = parsed(&env.ok(&args));
    assert_eq!(events.len(), 3);
    for event in &events {
        assert_eq!(event["specversion"], "1.0");
        for name in ["id", "source", "type", "time", "subject", "sequence"] {
            assert!(event[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {event}");
        }
        assert_eq!(event["datacontenttype"], "application/json");
        assert!(event["data"]["after"].is_object());
    }
    assert!(events.is_sorted_by_key(|event| event["sequence"].as_str().unwrap().to_owned()));
}

#[test]
fn no_title_drives_the_terminal_and_each_change_stays_one_line() {
    let env = with_sessions(1);
    let title = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\n\u{9b}31m\u{0}end";
    let body = "\u{1b}[31mred\nsecond line";
    let document = serde_json::json!({
        "pr": "octo/hello#1", "session": "demo-1",
        "facts": {"title": title, "state": "open"},
        "comments": [{"id": "C1", "kind": "issue", "author": "a\u{1b}[1mb", "body": body}],
    });
    env.feed(&["observe", "apply", "-"], document.to_string());
    let args = ["tail", "--no-follow", "--from", "beginning"];
    for more in [&["--format", "pretty"][..], &["--format", "pretty", "--color", "never"]] {
        let pretty = env.ok(&[&args[..], more].concat());
        assert!(!has_controls(&pretty), "{pretty:?}");
        assert_eq!(pretty.lines().count(), 3, "one line per transaction: {pretty}");
    }
    let coloured = env.ok(&[&args[..], &["--format", "pretty", "--color", "always"]].concat());
    assert!(coloured.contains('\u{1b}'));
    assert!(
        !coloured.contains("\u{1b}[2J")
            && !coloured.contains('\u{7}')
            && !coloured.contains('\u{9b}')
    );
    let exact = once(&env, &["--from", "beginning"]);
    assert_eq!(exact[2]["after"]["title"], title, "ndjson carries it unchanged");
    for args in [&["pr", "ls"][..], &["pr", "get", "octo/hello#1"], &["session", "get", "demo-1"]] {
        let shown = env.ok(&[args, &["--color", "always"]].concat());
        assert!(!has_controls(&without_colours(&shown)), "{args:?}: {shown:?}");
        assert!(shown.contains("\u{fffd}[2J"), "{args:?}: {shown:?}");
    }
}

#[test]
fn a_timeout_without_a_count_is_an_orderly_end_and_with_one_is_not() {
    let env = with_sessions(1);
    let begin = Instant::now();
    let output = env.run(&["tail", "--from", "end", "--timeout", "300ms"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{}", output.stderr);
    assert!(begin.elapsed() >= Duration::from_millis(300));
    let args = ["tail", "--from", "beginning", "-c", "5", "--timeout", "300ms", "--json"];
    let output = env.run(&args);
    assert_eq!(output.code, 8);
    assert_eq!(output.stdout.lines().count(), 2, "what came was printed");
    let error: Value = serde_json::from_str(output.stderr.trim_end()).unwrap();
    assert_eq!(error["error"]["details"], serde_json::json!({"seen": 2, "wanted": 5}));
    env.refused(&["tail", "--timeout", "soon"], 2, "USAGE");
}

#[test]
fn a_tail_whose_reader_left_ends_without_any_further_change() {
    let env = with_sessions(1);
    // The statuses of both ends of the pipe; `head` leaves after the first line.
    let script = r#"{ "$0" tail --from beginning 2>err; echo "status $?" >&2; } | head -n 1"#;
    let output = env.shell(script);
    assert_eq!(output.stdout.lines().count(), 1);
    assert_eq!(output.stderr, "status 141\n");
    let said = fs::read_to_string(env.path("err")).unwrap();
    assert!(!said.contains("error") && !said.contains("panic"), "{said}");
}

#[test]
fn signals_end_a_tail_in_order_and_name_the_cursor() {
    let env = with_sessions(3);
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let tail = env.tail(&[&["--from", "1-2"], NDJSON].concat());
        tail.signal(signal);
        let output = tail.end();
        assert_eq!(output.code, status);
        assert_eq!(seqs(&parsed(&output.stdout)), [3, 4]);
        assert_eq!(output.stderr, "stopped: cursor 1-4\n");
    }
}

#[test]
fn a_live_tail_prints_the_changes_of_a_foreign_writer() {
    let env = with_sessions(1);
    let tail = env.tail(&[&["--from", "end"], NDJSON].concat());
    if env.sqlite("UPDATE session SET name = 'by hand' WHERE id = 'demo-1';").is_none() {
        return;
    }
    let change = tail.change();
    assert_eq!(change["type"], "session_updated");
    assert_eq!(change["after"]["name"], "by hand");
    assert_eq!((&change["actor"], &change["tx"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_burst_reaches_every_one_of_four_tails_whole_and_in_order() {
    let env = with_sessions(1);
    let args = [&["--from", "end", "-c", "1001", "--timeout", "20s"], NDJSON].concat();
    let tails: Vec<_> = (0..4).map(|_| env.tail(&args)).collect();
    let comments: Vec<_> = (0..250).map(|id| format!(r#"{{"id":"C{id}","body":"b"}}"#)).collect();
    let comments = comments.join(",");
    let documents: Vec<_> = (1..=4)
        .map(|pr| {
            format!(r#"{{"pr":"octo/hello#{pr}","session":"demo-1","comments":[{comments}]}}"#)
        })
        .collect();
    let output = env.feed(&["observe", "apply", "-"], documents.join("\n"));
    assert_eq!(output.code, 0, "{}", output.stderr);
    for tail in tails {
        let output = tail.end();
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert_eq!(seqs(&parsed(&output.stdout)), (3..=1003).collect::<Vec<_>>());
    }
}

/// `up`, once it follows, with what it printed before.
fn up(env: &TestEnv, path: &str) -> Live {
    env.spawn(&["up", path])
}

#[test]
fn up_creates_the_store_registers_the_repository_and_follows() {
    let env = TestEnv::empty();
    let repo = env.repo("shop", "https://github.com/octo/shop");
    fs::create_dir(repo.join("deep")).unwrap();
    let live = up(&env, "shop/deep");
    live.until_printed(&format!("store {} created", env.database().display()));
    live.until_printed(&format!("project shop registered: {}", repo.display()));
    live.until_printed("next: `ao-store session new --project shop --branch BRANCH`");
    live.until_printed("ready: cursor 1-1");
    assert_eq!(live.change()["type"], "project_created", "its own registration comes first");
    env.ok(&["session", "new", "--project", "shop", "--branch", "b"]);
    assert_eq!(live.change()["type"], "session_created");
    live.signal(Signal::INT);
    let output = live.end();
    assert_eq!(output.code, 130);
    let mut lines = output.stderr.lines();
    assert!(lines.any(|line| line == "stopped: cursor 1-2"), "{}", output.stderr);
    let again = up(&env, "shop");
    again.until_printed("opened");
    again.until_printed("project shop is already registered: ");
    again.until_printed("ready: cursor 1-2");
}

#[test]
fn up_outside_a_repository_follows_all_the_same() {
    let env = TestEnv::empty();
    let live = up(&env, "home");
    live.until_printed("home is not a git repository; continuing without it");
    live.until_printed("ready: cursor 1-0");
    live.signal(Signal::INT);
    assert_eq!(live.end().code, 130);
    assert_eq!(env.ok(&["project", "ls"]), "");
    env.refused(&["up", "no/such/place"], 2, "INVALID_PATH");
}

#[test]
fn two_up_at_once_on_a_fresh_directory_both_work() {
    for _ in 0..3 {
        let env = TestEnv::empty();
        env.repo("shop", "");
        let both: Vec<_> = (0..4).map(|_| up(&env, "shop")).collect();
        for live in &both {
            live.until_printed("ready: cursor 1-1");
        }
        env.ok(&["session", "new", "--project", "shop"]);
        for live in both {
            // The second process may have started after the registration.
            let mut change = live.change();
            if change["type"] == "project_created" {
                change = live.change();
            }
            assert_eq!(change["type"], "session_created");
            live.signal(Signal::TERM);
            assert_eq!(live.end().code, 143);
        }
        assert_eq!(env.types(), ["project_created", "session_created"], "registered once");
    }
}

#[test]
fn images_are_left_out_where_they_are_not_wanted_and_the_changed_names_stay() {
    let env = with_sessions(1);
    env.ok(&["session", "rename", "demo-1", "Fix it"]);
    for (images, has) in
        [("full", (true, true)), ("after", (false, true)), ("none", (false, false))]
    {
        for format in ["ndjson", "cloudevents"] {
            let args =
                ["tail", "--no-follow", "--from", "-1", "--images", images, "--format", format];
            let line = &parsed(&env.ok(&args))[0];
            let event = if format == "ndjson" { line } else { &line["data"] };
            let found = (event.get("before").is_some(), event.get("after").is_some());
            assert_eq!(found, has, "{images} {format}: {line}");
            assert_eq!(event["changed"], serde_json::json!(["name"]), "{images} {format}");
        }
    }
}
