//! `digest` counts what happened in a time, by session and pull request.

use serde_json::{Value, json};

use crate::support::{TestEnv, parsed};

fn apply(env: &TestEnv, document: &Value) {
    let output = env.feed(&["observe", "apply", "-"], document.to_string());
    assert_eq!(output.code, 0, "{}", output.stderr);
}

/// One pull request that failed, passed and was merged, and one that is open.
fn world() -> TestEnv {
    let env = TestEnv::with_demo();
    for _ in 1..=2 {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    let facts = |state: &str, ci: &str, review: &str| {
        json!({"pr": "octo/hello#7", "session": "demo-1",
            "facts": {"state": state, "ci": ci, "review_decision": review}})
    };
    apply(&env, &facts("open", "failing", "none"));
    apply(&env, &facts("open", "failing", "changes_requested"));
    let mut reviewed = facts("open", "pending", "changes_requested");
    reviewed["threads"] = json!([{"id": "T1", "path": "a.rs", "is_resolved": false}]);
    reviewed["reviews"] = json!([{"id": "R1", "author": "bo", "state": "changes_requested"}]);
    reviewed["comments"] = json!([{"id": "C1", "kind": "issue", "author": "bo", "body": "?"}]);
    apply(&env, &reviewed);
    apply(&env, &facts("open", "failing", "changes_requested"));
    let mut passed = facts("open", "passing", "approved");
    passed["threads"] = json!([{"id": "T1", "path": "a.rs", "is_resolved": true}]);
    apply(&env, &passed);
    apply(&env, &facts("merged", "passing", "approved"));
    apply(&env, &json!({"pr": "octo/hello#8", "session": "demo-2", "facts": {"state": "open"}}));
    env
}

fn row<'a>(rows: &'a Value, session: &str, pr: Option<&str>) -> &'a Value {
    let is_row = |row: &&Value| row["session"] == session && row["pr"].as_str() == pr;
    rows.as_array().unwrap().iter().find(is_row).unwrap_or_else(|| panic!("{session}: {rows}"))
}

#[test]
fn it_counts_what_matters_by_session_and_pull_request() {
    let env = world();
    let rows = env.json("digest.list", &["digest", "--since", "1h"]);
    let seven = row(&rows, "demo-1", Some("github.com/octo/hello#7"));
    for (name, count) in [
        ("opened", 1),
        ("merged", 1),
        ("closed", 0),
        ("reopened", 0),
        ("ci_failed", 2),
        ("ci_passed", 1),
        ("changes_requested", 1),
        ("approved", 1),
        ("reviews", 1),
        ("threads_opened", 1),
        ("threads_resolved", 1),
        ("comments", 1),
        ("sessions_started", 0),
    ] {
        assert_eq!(seven[name], count, "{name}: {seven}");
    }
    assert_eq!(row(&rows, "demo-2", None)["sessions_started"], 1);
    assert_eq!(row(&rows, "demo-2", Some("github.com/octo/hello#8"))["opened"], 1);
    let total: u64 =
        rows.as_array().unwrap().iter().map(|row| row["changes"].as_u64().unwrap()).sum();
    assert_eq!(usize::try_from(total).unwrap(), env.changes().len());
}

#[test]
fn only_the_given_time_counts() {
    let env = world();
    let changes = env.changes();
    let at = |seq: usize| changes[seq - 1]["at"].as_str().unwrap();
    let rows = env.json("digest.list", &["digest", "--since", at(4), "--until", at(5)]);
    let within = |change: &&Value| (at(4)..at(5)).contains(&change["at"].as_str().unwrap());
    let total: u64 =
        rows.as_array().unwrap().iter().map(|row| row["changes"].as_u64().unwrap()).sum();
    assert_eq!(usize::try_from(total).unwrap(), changes.iter().filter(within).count());
    let never = ["digest", "--since", "2020-01-01", "--until", "2020-02-01"];
    assert_eq!(env.json("digest.list", &never), json!([]));
    assert!(env.run(&never).stderr.contains("nothing changed"));
    env.refused(&["digest", "--since", "today", "--until", "yesterday"], 2, "USAGE");
    env.refused(&["digest", "--since", "soon"], 2, "USAGE");
}

#[test]
fn people_get_a_table_and_the_totals() {
    let env = world();
    let output = env.run(&["digest", "--since", "1h"]);
    assert!(output.stderr.contains("sessions started 2, opened 2, merged 1"), "{}", output.stderr);
    let header = output.stdout.lines().next().unwrap();
    assert!(header.contains("SESSION") && header.contains("CI FAIL"), "{header}");
    assert!(!header.contains("REOPENED"), "nothing was: {header}");
    assert!(output.stdout.contains("demo-1   octo/hello#7"), "{}", output.stdout);
    let failing =
        env.ok(&["digest", "--since", "1h", "--sort", "-ci_fail", "--limit", "1", "-o", "name"]);
    assert_eq!(failing, "github.com/octo/hello#7\n");
    assert_eq!(parsed(&env.ok(&["digest", "--since", "1h", "-o", "ndjson"])).len(), 5);
}

#[test]
fn pruned_changes_are_reported() {
    let env = world();
    env.ok(&["prune", "--keep-events", "2", "--yes"]);
    let said = env.run(&["digest", "--since", "1h"]).stderr;
    assert!(said.contains("were pruned and are not counted"), "{said}");
}
