//! `history` prints the changes of one thing, all of them and only them, and says when the log no longer
//! has the older ones.

use serde_json::{Value, json};

use crate::support::{TestEnv, parsed};

/// Two sessions with a pull request each; `octo/hello#7` has a check, a thread and a comment.
fn world() -> TestEnv {
    let env = TestEnv::with_demo();
    for _ in 1..=2 {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    let check =
        |status: &str| json!([{"head_sha": "a", "kind": "run", "name": "lint", "status": status}]);
    for document in [
        json!({"pr": "octo/hello#7", "session": "demo-1", "facts": {"state": "open"}}),
        json!({"pr": "octo/hello#8", "session": "demo-2", "facts": {"state": "open"}, "checks": check("failed")}),
        json!({"pr": "octo/hello#7", "session": "demo-1", "checks": check("queued"),
            "threads": [{"id": "T1", "path": "a.rs", "is_resolved": false}],
            "comments": [{"id": "C1", "kind": "issue", "author": "al", "body": "hm"}]}),
        json!({"pr": "octo/hello#7", "session": "demo-1", "checks": check("passed")}),
        json!({"pr": "octo/hello#7", "session": "demo-1", "facts": {"state": "merged"}}),
    ] {
        let output = env.feed(&["observe", "apply", "-"], document.to_string());
        assert_eq!(output.code, 0, "{}", output.stderr);
    }
    env.ok(&["session", "rename", "demo-1", "A name"]);
    env
}

/// The types of the changes, after hello.
fn types(env: &TestEnv, args: &[&str]) -> Vec<String> {
    let lines = parsed(&env.ok(&[&["history"], args].concat()));
    assert_eq!(lines[0]["control"], "hello", "{args:?}");
    lines[1..].iter().map(|line| line["type"].as_str().unwrap().to_owned()).collect()
}

/// The same from the whole log.
fn expected(env: &TestEnv, passes: impl Fn(&Value) -> bool) -> Vec<String> {
    let changes = env.changes();
    let passing = changes.iter().filter(|change| passes(change));
    passing.map(|change| change["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_history_of_a_thing_is_its_changes_and_no_others() {
    let env = world();
    let key = |change: &Value, id: &str| change["key"][0] == id;
    let seven = "github.com/octo/hello#7";
    let of_pr = expected(&env, |change| key(change, seven));
    assert!(of_pr.len() > 5, "{of_pr:?}");
    for name in ["octo/hello#7", seven, "https://github.com/octo/hello/pull/7"] {
        assert_eq!(types(&env, &["pr", name]), of_pr, "{name}");
    }
    let only = expected(&env, |change| key(change, seven) && change["entity"] == "pr");
    assert_eq!(types(&env, &["pr", "octo/hello#7", "--only"]), only);
    let of_session = expected(&env, |change| change["session"] == "demo-1");
    assert_eq!(types(&env, &["session", "demo-1"]), of_session);
    let row = ["session_created", "session_updated"];
    assert_eq!(types(&env, &["session", "demo-1", "--only"]), row);
    assert_eq!(types(&env, &["project", "demo"]), ["project_created"]);
    let checks = ["pr_check_recorded", "pr_check_recorded"];
    assert_eq!(types(&env, &["check", "octo/hello#7", "lint"]), checks);
    assert_eq!(types(&env, &["thread", "octo/hello#7", "T1"]), ["pr_review_thread_added"]);
    assert_eq!(types(&env, &["comment", "octo/hello#7", "C1"]), ["pr_comment_added"]);
    assert_eq!(types(&env, &["review", "octo/hello#7", "none"]), [""; 0]);
    let newest = types(&env, &["session", "demo-1", "-n", "2"]);
    assert_eq!(newest, of_session[of_session.len() - 2..]);
    assert_eq!(types(&env, &["session", "demo-1", "--json"]), of_session);
    let at = env.changes()[5]["at"].as_str().unwrap().to_owned();
    let later = expected(&env, |change| key(change, seven) && change["at"].as_str() >= Some(&at));
    assert_eq!(types(&env, &["pr", "octo/hello#7", "--since", &at]), later);
    assert_eq!(types(&env, &["pr", "octo/hello#7", "--since", "2099-01-01"]), [""; 0]);
}

#[test]
fn for_people_it_is_as_in_tail() {
    let env = world();
    let shown = env.ok(&["history", "pr", "octo/hello#7", "--format", "pretty"]);
    assert!(shown.lines().all(|line| line.contains("  demo-1  octo/hello#7  ")), "{shown}");
    assert!(shown.contains("+1 check  +1 thread  +1 comment"), "{shown}");
    assert!(shown.ends_with("merged\n"), "{shown}");
}

#[test]
fn pruned_changes_are_reported() {
    let env = world();
    let complete = env.run(&["history", "pr", "octo/hello#7"]);
    assert!(!complete.stderr.contains("pruned"), "{}", complete.stderr);
    env.ok(&["prune", "--keep-events", "2", "--yes"]);
    let output = env.run(&["history", "pr", "octo/hello#7"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let lines = parsed(&output.stdout);
    let floor = lines[0]["floor"].as_str().unwrap();
    assert_eq!(lines[0]["cursor"], floor);
    assert!(output.stderr.contains(&format!("pruned: the log begins after {floor}")));
    assert_eq!(lines[1..].len(), 1, "the merge: {}", output.stdout);
    let newest = env.run(&["history", "pr", "octo/hello#7", "-n", "1"]);
    assert!(!newest.stderr.contains("pruned"), "{}", newest.stderr);
}

#[test]
fn what_does_not_exist_is_refused() {
    let env = world();
    env.refused(&["history", "pr", "octo/hello#99"], 3, "PR_NOT_FOUND");
    env.refused(&["history", "session", "demo-99"], 3, "SESSION_NOT_FOUND");
    env.refused(&["history", "project", "nope"], 3, "PROJECT_NOT_FOUND");
    env.refused(&["history", "check", "octo/hello#7"], 2, "USAGE");
    env.refused(&["history", "pr", "octo/hello#7", "x"], 2, "USAGE");
    env.refused(&["history", "x", "octo/hello#7"], 2, "USAGE");
    env.refused(&["history", "pr", "-x"], 2, "USAGE");
    // The log still has a session that was deleted.
    env.ok(&["session", "new", "--project", "demo"]);
    env.ok(&["session", "rm", "demo-3", "--yes"]);
    assert_eq!(types(&env, &["session", "demo-3"]), ["session_created", "session_deleted"]);
}
