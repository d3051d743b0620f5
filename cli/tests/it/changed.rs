//! Transitions from the command line: a script is woken by the change that it waits for and by no other,
//! `--changed` refuses what can never come, and names that the store does not have are reported.

use serde_json::{Value, json};

use crate::support::{TestEnv, parsed};

const WAKE: &[&str] =
    &["--changed", "ci=failing", "--changed", "review_decision=changes_requested"];

/// Stores the facts of a pull request of the first session.
fn observe(env: &TestEnv, number: u32, parts: Value) {
    let mut document = json!({"pr": format!("octo/hello#{number}"), "session": "demo-1"});
    document.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
    env.ok(&["observe", "apply", &env.file("document.json", document.to_string())]);
}

fn check(status: &str) -> Value {
    json!({"checks": [{"head_sha": "abc", "name": "build", "status": status}]})
}

fn facts(facts: Value) -> Value {
    json!({ "facts": facts })
}

fn world() -> TestEnv {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo"]);
    observe(&env, 1, facts(json!({"state": "open", "head_sha": "abc", "title": "One"})));
    env
}

fn once(env: &TestEnv, args: &[&str]) -> Vec<Value> {
    let tail = ["tail", "--no-follow", "--from", "beginning", "--format", "ndjson"];
    parsed(&env.ok(&[&tail, args].concat()))
}

/// The pull request of each change, and the names of what changed.
fn found(env: &TestEnv, args: &[&str]) -> Vec<(String, Value)> {
    let row = |line: &Value| (line["key"][0].as_str().unwrap().to_owned(), line["changed"].clone());
    once(env, args).iter().map(row).collect()
}

#[test]
fn a_script_is_woken_when_checks_fail_or_a_review_asks_for_changes() {
    let env = world();
    let wait = [&["--from", "end", "--format", "ndjson", "-c", "3"][..], WAKE].concat();
    let tail = env.tail(&wait);
    observe(&env, 1, check("in_progress"));
    observe(&env, 1, check("passed"));
    observe(&env, 1, facts(json!({"title": "Other", "review_decision": "approved"})));
    observe(&env, 1, check("failed"));
    let line = tail.change();
    assert_eq!((&line["after"]["ci"], &line["type"]), (&json!("failing"), &json!("pr_updated")));
    assert!(line["changed"].as_array().unwrap().contains(&json!("ci")), "{line}");
    // It still fails: nothing new.
    observe(&env, 1, facts(json!({"title": "Third"})));
    observe(&env, 1, facts(json!({"review_decision": "changes_requested"})));
    assert_eq!(tail.change()["changed"], json!(["review_decision"]));
    // A pull request that fails when it is first observed.
    let mut first = check("failed");
    first["facts"] = json!({"state": "open", "head_sha": "abc"});
    observe(&env, 2, first);
    let line = tail.change();
    let is_new = line["type"] == "pr_created" || line["changed"][0] == "ci";
    assert!(is_new && line["after"]["ci"] == "failing", "{line}");
    let (status, _) = tail.status();
    assert!(status.success());
}

#[test]
fn a_field_alone_selects_the_updates_that_changed_it() {
    let env = world();
    observe(&env, 1, facts(json!({"title": "Two"})));
    observe(&env, 1, facts(json!({"title": "a, b=c"})));
    observe(&env, 1, facts(json!({"state": "merged"})));
    let one = "github.com/octo/hello#1";
    let title = (one.to_owned(), json!(["title"]));
    assert_eq!(found(&env, &["--changed", "title"]), [title.clone(), title.clone()]);
    assert_eq!(found(&env, &["--changed", "title=a, b=c"]), [title]);
    assert_eq!(once(&env, &["--changed", "state=open"])[0]["type"], "pr_created");
    assert_eq!(once(&env, &["--changed", "state=merged"])[0]["type"], "pr_merged");
    assert_eq!(once(&env, &["--changed", "state", "--type", "pr_updated"]), [] as [Value; 0]);
}

#[test]
fn a_consumer_keeps_its_transitions() {
    let env = world();
    let create = [&["consumer", "create", "wake", "--from", "beginning"][..], WAKE].concat();
    let created = env.json("consumer.create", &create);
    let expected = json!(["ci=failing", "review_decision=changes_requested"]);
    assert_eq!(created["filter"]["changed"], expected);
    observe(&env, 1, check("failed"));
    let tail = ["tail", "--consumer", "wake", "--no-follow", "--format", "ndjson"];
    let lines = parsed(&env.ok(&tail));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["after"]["ci"], "failing");
    env.ok(&[&tail[..], WAKE].concat());
    let other = [&tail[..], &["--changed", "ci"]].concat();
    env.refused(&other, 5, "CONSUMER_FILTER_MISMATCH");
}

#[test]
fn a_transition_that_never_comes_is_refused_with_what_can_come() {
    let env = world();
    for (args, hint) in [
        (&["--changed", "cii"][..], "did you mean ci?"),
        (&["--changed", "zzz"], "the known ones are: accepted_at, "),
        (&["--changed", ""], "the known ones are: accepted_at, "),
        (&["--changed", "updated_at"], "hint: "),
        (&["--changed", "ci=failed"], "it can be: passing, failing, pending, unknown"),
        (&["--changed", "is_required=x"], "it can be: true, false, null"),
        (&["--changed", "number=one"], "it can be: an integer"),
        (&["--changed", "ci", "--entity", "session"], "it is a field of pr: select that entity"),
        (&["--changed", "state=approved", "--entity", "pr"], "it can be: draft, open, merged, "),
        (&["--changed", "state=merged", "--type", "pr_updated"], "omit --type"),
        (&["--changed", "ci", "--type", "pr_created,pr_deleted"], "omit --type"),
    ] {
        for command in [&["tail", "--no-follow"][..], &["consumer", "create", "x"]] {
            let stderr = env.refused(&[command, args].concat(), 2, "INVALID_FIELD");
            assert!(stderr.contains(hint), "{args:?}: {stderr}");
        }
    }
}

#[test]
fn a_project_or_session_that_does_not_exist_is_reported_once_and_no_error() {
    let env = world();
    let tail = ["tail", "--no-follow", "--from", "beginning"];
    let hello = |filter: &[&str]| {
        let output = env.run(&[&tail[..], filter].concat());
        assert_eq!(output.code, 0, "{output:?}");
        output.stderr
    };
    let stderr = hello(&["--project", "dem", "--project", "demo", "--session", "zzz-9"]);
    let lines: Vec<_> = stderr.lines().filter(|line| line.starts_with("there is no ")).collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(lines[0].starts_with("there is no project dem yet"), "{stderr}");
    assert!(lines[0].ends_with("did you mean demo?"), "{stderr}");
    assert!(lines[1].starts_with("there is no session zzz-9 yet"), "{stderr}");
    assert!(lines[1].contains("`ao-store session ls --all`"), "{stderr}");
    assert!(!hello(&["--project", "demo", "--session", "demo-1"]).contains("there is no"));
    let exec = ["tail", "--consumer", "new", "--exec", "true", "--no-follow", "--project", "dem"];
    let stderr = env.run(&exec).stderr;
    assert!(stderr.contains("there is no project dem yet"), "{stderr}");
    let output = env.run(&["consumer", "create", "x", "--session", "demo-7"]);
    assert!(output.stderr.contains("there is no session demo-7 yet"), "{output:?}");
    // What it waited for comes.
    let live = env.tail(&["--format", "ndjson", "--from", "end", "--session", "demo-2"]);
    env.ok(&["session", "new", "--project", "demo"]);
    assert_eq!(live.change()["type"], "session_created");
}
