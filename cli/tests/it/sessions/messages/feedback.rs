//! `examples/route-feedback`: what CI and reviewers say reaches the agent once, and as soon as it can take it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Post, pasted};
use crate::support::finish;

/// Lets the example run until no change is left; what it prints.
fn route(post: &Post) -> String {
    let env = &post.lab.env;
    let binary = Path::new(env!("CARGO_BIN_EXE_ao-store")).parent().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/route-feedback");
    let mut command = env.clean(script);
    command
        .args(["--no-follow", "-q"])
        .env("PATH", format!("{}:{}", binary.display(), std::env::var("PATH").unwrap()))
        .env("AO_DATA_DIR", env.path("data"))
        .env("TMUX_TMPDIR", env.path("home"));
    let output = finish(&mut command, b"");
    assert_eq!(output.code, 0, "{}", output.stderr);
    output.stderr
}

fn observe(post: &Post, facts: &Value, run: &str) {
    let head = facts["head_sha"].as_str().unwrap();
    let document = json!({
        "pr": "octo/hello#7", "session": "demo-1", "facts": facts,
        "checks": [
            {"head_sha": head, "name": "build", "status": "failed", "conclusion": "failure",
                "external_id": run, "suite": "s", "url": format!("https://ci/{run}")},
            {"head_sha": head, "name": "lint", "status": "passed", "external_id": "9"},
        ],
        "reviews": [{"id": "R", "author": "ann", "state": "changes_requested", "body": "Add a test"}],
        "threads": [{"id": "T", "path": "src/a.rs", "line": 3, "is_resolved": false}],
    });
    post.lab.ok(&["observe", "apply", &post.lab.env.file("document.json", document.to_string())]);
}

#[test]
fn feedback_reaches_the_agent_once_per_head_check_and_result() {
    if Command::new("jq").arg("--version").output().is_err() {
        println!("skipped: not installed: jq");
        return;
    }
    let post = Post::new();
    let id = post.spawn(&[]);
    post.lab.sql("UPDATE project SET host = 'github.com', repo = 'octo/hello'");
    route(&post);
    let facts = |head: &str, ci: &str, review: &str| json!({"state": "open", "head_sha": head, "ci": ci, "review_decision": review});
    let failed = |run: &str| {
        pasted(&format!(
            "The check build of https://github.com/octo/hello/pull/7 has failed: https://ci/{run}"
        ))
    };
    observe(&post, &facts("abc", "failing", "none"), "1");
    assert_eq!(route(&post), "");
    let mut wanted = failed("1");
    post.until_heard(&id, &wanted);
    // Run again on the same head, it fails again.
    observe(&post, &facts("abc", "pending", "none"), "2");
    observe(&post, &facts("abc", "failing", "none"), "2");
    assert_eq!(route(&post), "");
    // The next head fails while the agent waits for a decision, and changes are requested.
    post.hook(&id, "Ask", r#"{"tool": "Bash", "text": "touch made"}"#);
    observe(&post, &facts("def", "pending", "none"), "3");
    observe(&post, &facts("def", "failing", "changes_requested"), "3");
    let printed = route(&post);
    assert!(
        printed.contains("demo-1 gets no message about def/build/failure: DECISION_PENDING"),
        "{printed}"
    );
    post.until_no_runner();
    assert_eq!(post.heard(&id), wanted);
    post.hook(&id, "Decided", "{}");
    post.hook(&id, "Stop", "{}");
    assert_eq!(route(&post), "");
    wanted += &failed("3");
    wanted += &pasted(
        "Changes are requested on https://github.com/octo/hello/pull/7:\n- ann: Add a test\n- src/a.rs:3 is discussed",
    );
    post.until_heard(&id, &wanted);
    let keys =
        post.lab.sql("SELECT group_concat(key) FROM (SELECT key FROM delivery ORDER BY rowid)");
    assert_eq!(keys, "abc/build/failure,def/build/failure,def/review/changes_requested");
}
