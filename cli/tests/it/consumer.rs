//! Durable consumers, snapshots and point-in-time reads, as a program that follows the store uses them.

use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{BOUND, Live, TestEnv, parsed, text};

/// The project, so many sessions, and a consumer at the beginning.
fn world(sessions: usize) -> TestEnv {
    let env = TestEnv::with_demo();
    env.ok(&["consumer", "create", "idx", "--from", "beginning"]);
    for _ in 0..sessions {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    env
}

fn acked(env: &TestEnv) -> String {
    env.json("consumer.get", &["consumer", "get", "idx"])["acked"].as_str().unwrap().to_owned()
}

fn controls(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["control"].as_str()).collect()
}

fn seqs(lines: &[Value]) -> Vec<u64> {
    lines.iter().filter_map(|line| line["seq"].as_u64()).collect()
}

#[test]
fn a_consumer_is_created_listed_moved_and_deleted() {
    let env = world(2);
    let list = env.json("consumer.list", &["consumer", "ls"]);
    assert_eq!(list[0]["name"], "idx");
    assert_eq!((&list[0]["lag_events"], &list[0]["acked"]), (&json!(3), &json!("1-0")));
    assert!(list[0]["lag_bytes"].as_u64().unwrap() > 500);
    assert_eq!(env.json("consumer.ack", &["consumer", "ack", "idx", "1-2"])["acked"], "1-2");
    assert_eq!(env.json("consumer.ack", &["consumer", "ack", "idx", "1-1"])["acked"], "1-2");
    env.refused(&["consumer", "ack", "idx", "1-99"], 2, "CURSOR_IN_FUTURE");
    env.refused(&["consumer", "ack", "idx", "2-1"], 7, "CURSOR_EPOCH_MISMATCH");
    let moved = env.json("consumer.seek", &["consumer", "seek", "idx", "--to", "beginning"]);
    assert_eq!(moved["acked"], "1-0");
    env.refused(&["consumer", "seek", "idx", "--to", "1-99"], 2, "CURSOR_IN_FUTURE");
    env.refused(&["consumer", "seek", "idx", "--to", "-3"], 2, "USAGE");
    env.refused(&["consumer", "rm", "idx"], 2, "USAGE");
    env.ok(&["consumer", "rm", "idx", "--yes"]);
    assert_eq!(env.json("consumer.list", &["consumer", "ls"]), json!([]));
}

#[test]
fn what_is_nearly_a_name_gets_the_right_one_as_hint() {
    let env = world(0);
    let stderr = env.refused(&["consumer", "get", "idxx"], 3, "CONSUMER_NOT_FOUND");
    assert!(stderr.contains("hint: did you mean idx?"), "{stderr}");
    let stderr = env.refused(&["tail", "--consumer", "other"], 3, "CONSUMER_NOT_FOUND");
    assert!(stderr.contains("ao-store consumer create other"), "{stderr}");
    let stderr = env.refused(&["tail", "--entity", "pr_coment"], 2, "INVALID_EVENT_TYPE");
    assert!(stderr.contains("did you mean pr_comment?"), "{stderr}");
    for name in ["-x", "", "a b", "../x", "a;b", "#(id)"] {
        let stderr = env.refused(&["consumer", "create", "--", name], 2, "INVALID_ID");
        assert!(stderr.contains("use letters, digits"), "{stderr}");
    }
    env.refused(&["consumer", "create", "x", "--policy", "bounded"], 2, "USAGE");
    env.refused(&["consumer", "create", "x", "--max-events", "3"], 2, "USAGE");
    env.refused(&["consumer", "create", "x", "--from", "1-99"], 2, "CURSOR_IN_FUTURE");
}

#[test]
fn a_stranded_consumer_gets_a_hint_how_to_continue() {
    let env = world(3);
    env.ok(&["consumer", "create", "aaa", "--policy", "none", "--from", "beginning"]);
    env.ok(&["consumer", "ack", "idx", "1-4"]);
    env.ok(&["prune", "--keep-events", "1", "--yes"]);
    for args in [["consumer", "pull", "aaa"], ["tail", "--consumer", "aaa"]] {
        let stderr = env.refused(&args, 7, "CURSOR_EXPIRED");
        assert!(stderr.contains("`ao-store consumer seek aaa --to beginning`"), "{stderr}");
    }
    env.ok(&["consumer", "seek", "aaa", "--to", "beginning"]);
    assert_eq!(seqs(&parsed(&env.ok(&["consumer", "pull", "aaa"]))), [4]);
    let held = ["consumer", "pull", "aaa", "--lease", "500000000y"];
    env.ok(&held);
    let stderr = env.refused(&held, 9, "LEASE_HELD");
    assert!(stderr.contains("`ao-store consumer get aaa` shows it"), "{stderr}");
    let held = env.json("consumer.get", &["consumer", "get", "aaa"]);
    assert!(held["lease_until"].as_str().unwrap().starts_with("9999-"), "{held}");
}

#[test]
fn a_tail_acknowledges_exactly_what_it_printed() {
    let env = world(5);
    let first = parsed(&env.ok(&["tail", "--consumer", "idx", "-c", "2"]));
    assert_eq!((seqs(&first), acked(&env)), (vec![1, 2], "1-2".to_owned()));
    let rest = parsed(&env.ok(&["tail", "--consumer", "idx", "--no-follow"]));
    assert_eq!((seqs(&rest), acked(&env)), (vec![3, 4, 5, 6], "1-6".to_owned()));
    assert_eq!(env.ok(&["tail", "--consumer", "idx", "--no-follow"]), "");
    let lease = &env.json("consumer.get", &["consumer", "get", "idx"])["lease_owner"];
    assert_eq!(lease, &Value::Null, "an orderly end gives the lease up");
}

#[test]
fn a_killed_owner_gives_way_at_once_and_a_live_one_does_not() {
    let env = world(1);
    let follow = ["--consumer", "idx", "--format", "ndjson"];
    let first = env.tail(&follow);
    assert_eq!(
        (first.change()["seq"].as_u64(), first.change()["seq"].as_u64()),
        (Some(1), Some(2))
    );
    env.refused(&["tail", "--consumer", "idx", "--no-follow"], 9, "LEASE_HELD");
    env.refused(&["consumer", "seek", "idx", "--to", "end"], 9, "LEASE_HELD");
    first.signal(Signal::KILL);
    drop(first);
    let second = env.tail(&follow);
    env.ok(&["session", "new", "--project", "demo"]);
    until_seq(&second, 3);
    let third = env.tail(&[&follow[..], &["--take-over"]].concat());
    env.ok(&["session", "new", "--project", "demo"]);
    until_seq(&third, 4);
    let lost = second.end();
    assert_eq!(lost.code, 5, "{}", lost.stderr);
    assert!(lost.stderr.contains("error[LEASE_LOST]"), "{}", lost.stderr);
}

/// At least once: what was not acknowledged before a kill may come again.
fn until_seq(live: &Live, seq: u64) {
    while live.change()["seq"].as_u64().unwrap() < seq {}
}

#[test]
fn pull_leaves_the_position_and_its_bookmark_acknowledges() {
    let env = world(3);
    let lines = parsed(&env.ok(&["consumer", "pull", "idx", "-n", "2"]));
    assert_eq!(controls(&lines), ["hello", "bookmark"]);
    assert_eq!((seqs(&lines), acked(&env)), (vec![1, 2], "1-0".to_owned()));
    assert_eq!(lines[3]["cursor"], "1-2");
    let leased = parsed(&env.ok(&["consumer", "pull", "idx", "--lease", "1h"]));
    let lease = leased[0]["lease"].to_string();
    env.refused(&["consumer", "ack", "idx", "1-2"], 9, "LEASE_HELD");
    env.ok(&["consumer", "ack", "idx", "1-2", "--lease", &lease]);
    env.ok(&["consumer", "seek", "idx", "--to", "1-3", "--force"]);
    env.refused(&["consumer", "ack", "idx", "1-4", "--lease", &lease], 5, "LEASE_LOST");
    assert_eq!(acked(&env), "1-3");
    let waiting = env.spawn(&["consumer", "pull", "idx", "--wait", "20s"]);
    waiting.line();
    waiting.line();
    assert_eq!(waiting.end().code, 0);
}

#[test]
fn a_filtered_consumer_moves_on_without_a_match() {
    let env = TestEnv::with_demo();
    env.ok(&["consumer", "create", "idx", "--type", "pr_created", "--from", "beginning"]);
    env.ok(&["session", "new", "--project", "demo"]);
    assert_eq!(env.ok(&["tail", "--consumer", "idx", "--no-follow"]), "");
    assert_eq!(acked(&env), "1-2");
    let wrong = ["tail", "--consumer", "idx", "--type", "pr_deleted", "--no-follow"];
    env.refused(&wrong, 5, "CONSUMER_FILTER_MISMATCH");
    env.ok(&["tail", "--consumer", "idx", "--type", "pr_created", "--no-follow"]);
}

#[test]
fn bookmarks_come_to_a_stream_that_is_filtered_or_idle() {
    let env = world(0);
    let tail = env.spawn(&[
        "tail",
        "--from",
        "beginning",
        "--type",
        "pr_created",
        "--heartbeat",
        "300ms",
        "--format",
        "ndjson",
    ]);
    let hello = tail.change();
    assert_eq!((&hello["control"], &hello["cursor"]), (&json!("hello"), &json!("1-0")));
    let moved = tail.change();
    assert_eq!((&moved["control"], &moved["cursor"]), (&json!("bookmark"), &json!("1-1")));
    let idle = tail.change();
    assert_eq!((&idle["control"], &idle["cursor"]), (&json!("bookmark"), &json!("1-1")));
    tail.signal(Signal::INT);
    let rest = tail.end();
    assert_eq!(rest.code, 130);
    let last = parsed(&rest.stdout).pop().unwrap();
    assert_eq!(last["control"], "bye");
}

#[test]
fn a_bookmark_covers_filtered_changes_before_the_heartbeat() {
    let env = world(2);
    let filter = ["--type", "project_created", "--from", "beginning"];
    let tail =
        env.spawn(&[&["tail", "--heartbeat", "1h", "--format", "ndjson"][..], &filter].concat());
    let lines: Vec<_> = (0..3).map(|_| tail.change()).collect();
    assert_eq!((controls(&lines), seqs(&lines)), (vec!["hello", "bookmark"], vec![1]));
    assert_eq!(lines[2]["cursor"], "1-3");
}

#[test]
fn a_snapshot_gives_the_rows_then_the_stream() {
    let env = world(2);
    let args = ["tail", "--snapshot", "--no-follow", "--format", "ndjson"];
    let lines = parsed(&env.ok(&args));
    let shown = controls(&lines);
    assert_eq!((shown[0], shown[1]), ("hello", "snapshot_begin"));
    assert_eq!(shown[shown.len() - 2..], ["snapshot_end", "bye"]);
    let rows: Vec<_> = lines.iter().filter(|line| line["control"] == "row").collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["entity"], "project");
    assert_eq!(rows[2]["row"]["id"], "demo-2");
    // As of an earlier cursor: a session created later is an event, not a row.
    let earlier = parsed(&env.ok(&[&args[..], &["--from", "1-2"]].concat()));
    let rows = earlier.iter().filter(|line| line["control"] == "row").count();
    assert_eq!((rows, seqs(&earlier)), (2, vec![3]));
    let only = parsed(&env.ok(&[&args[..], &["--entity", "session"]].concat()));
    let entities: Vec<_> = only.iter().filter_map(|line| line["entity"].as_str()).collect();
    assert_eq!(entities, ["session", "session"]);
    let position = only.iter().find_map(|line| line["resume"].as_str()).unwrap();
    let resume = ["--entity", "session", "--resume", position];
    let resumed = parsed(&env.ok(&[&args[..], &resume].concat()));
    assert!(controls(&resumed).contains(&"snapshot_end"));
    assert!(!controls(&resumed).contains(&"row"), "those rows were given");
    // What came since is still to come, so no line before the rows names a later position.
    env.ok(&["session", "new", "--project", "demo"]);
    let resumed = parsed(&env.ok(&[&args[..], &resume].concat()));
    assert_eq!((resumed[0]["cursor"].as_str(), seqs(&resumed)), (Some("1-3"), vec![4]));
    for position in [position, "zz"] {
        let refused = ["tail", "--snapshot", "--heartbeat", "1s", "--resume", position];
        env.refused(&refused, 2, "INVALID_CURSOR");
        assert_eq!(env.run(&refused).stdout, "");
    }
    let status = env.json("store.status", &["status"]);
    assert_eq!(status["reservations"], json!([]), "given up at the end");
}

#[test]
fn a_tail_can_begin_at_a_time() {
    let env = world(1);
    let all = parsed(&env.ok(&["tail", "--since", "1h", "--no-follow"]));
    assert_eq!(seqs(&all), [1, 2]);
    let at = all[1]["at"].as_str().unwrap();
    let later = parsed(&env.ok(&["tail", "--since", at, "--no-follow"]));
    assert_eq!(seqs(&later), [2]);
    assert_eq!(env.ok(&["tail", "--since", "2099-01-01T00:00:00Z", "--no-follow"]), "");
    for bad in ["soon", "", "2026-13-01T00:00:00Z"] {
        env.refused(&["tail", "--since", bad], 2, "USAGE");
    }
}

#[test]
fn a_session_and_a_pull_request_are_shown_as_they_were() {
    let env = world(1);
    env.ok(&["session", "rename", "demo-1", "first"]);
    let document = r#"{"pr": "octo/hello#1", "session": "demo-1", "facts": {"title": "old"},
        "threads": {"mode": "replace", "items": [{"id": "T1", "path": "a.rs"}]}}"#;
    env.ok(&["observe", "apply", &env.file("one.json", document)]);
    let then = env.head();
    let document = r#"{"pr": "octo/hello#1", "session": "demo-1", "facts": {"title": "new"},
        "threads": {"mode": "replace", "items": []}}"#;
    env.ok(&["observe", "apply", &env.file("two.json", document)]);
    env.ok(&["session", "rename", "demo-1", "second"]);
    let session = |at: &str| env.json("session.get", &["session", "get", "demo-1", "--at", at]);
    assert_eq!((&session("1-2")["name"], &session("1-2")["is_seed"]), (&json!(""), &json!(true)));
    assert_eq!(
        (&session(&then)["name"], session(&then)["prs"].as_array().unwrap().len()),
        (&json!("first"), 1)
    );
    assert_eq!(session(&env.head())["name"], "second");
    let pr = |at: &str| env.json("pr.get", &["pr", "get", "octo/hello#1", "--at", at]);
    assert_eq!(
        (&pr(&then)["title"], pr(&then)["threads"].as_array().unwrap().len()),
        (&json!("old"), 1)
    );
    assert_eq!(
        (&pr(&env.head())["title"], &pr(&env.head())["threads"]),
        (&json!("new"), &json!([]))
    );
    env.refused(&["pr", "get", "octo/hello#1", "--at", "1-2"], 3, "PR_NOT_FOUND");
    env.refused(&["session", "get", "demo-1", "--at", "1-1"], 3, "SESSION_NOT_FOUND");
    env.refused(&["session", "get", "demo-1", "--at", "1-99"], 2, "CURSOR_IN_FUTURE");
    env.ok(&["consumer", "rm", "idx", "--yes"]);
    env.ok(&["prune", "--keep-events", "1", "--yes"]);
    env.refused(&["session", "get", "demo-1", "--at", &then], 7, "CURSOR_EXPIRED");
}

#[test]
fn status_shows_which_consumer_is_in_use() {
    let env = world(1);
    let tail = env.tail(&["--consumer", "idx"]);
    // What was printed is acknowledged within a tenth of a second.
    let deadline = Instant::now() + BOUND;
    let mut status = env.ok(&["status"]);
    while !status.contains("consumer  idx at 1-2: 0 changes") {
        assert!(Instant::now() < deadline, "{status}");
        status = env.ok(&["status"]);
    }
    assert!(status.contains("in use"), "{status}");
    tail.signal(Signal::TERM);
    assert_eq!(tail.end().code, 143);
    let metrics = env.ok(&["metrics"]);
    assert!(metrics.contains("ao_store_consumer_lag_events{consumer=\"idx\"} 0"), "{metrics}");
    assert!(metrics.contains("ao_store_head_seq 2\n") && metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(text(&env.database()).ends_with("ao.db"));
}
