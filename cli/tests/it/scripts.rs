//! What scripts rely on: no messages with `--quiet`, commands that can be repeated with `--if-not-exists`,
//! and failures instead of remarks with `--strict`.

use serde_json::Value;

use crate::support::{TestEnv, text};

#[test]
fn quiet_prints_data_and_errors_only() {
    let env = TestEnv::empty();
    let repo = env.repo("demo", "https://github.com/octo/hello.git");
    let quiet = |args: &[&str]| {
        let output = env.run(&[&["-q"], args].concat());
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{args:?}");
        output.stdout
    };
    assert_eq!(quiet(&["init"]), "");
    assert_eq!(quiet(&["project", "add", text(&repo)]), "demo\n");
    assert_eq!(quiet(&["session", "new", "--project", "demo", "--branch", "a"]), "demo-1\n");
    // A warning about the branch, which is no error.
    assert_eq!(quiet(&["session", "new", "--project", "demo", "--branch", "a"]), "demo-2\n");
    assert_eq!(quiet(&["consumer", "create", "idx", "--from", "beginning"]), "idx\n");
    assert_eq!(quiet(&["consumer", "ack", "idx", "1-1", "--quiet"]), "idx\n");
    assert_eq!(quiet(&["pr", "ls"]), "");
    assert_eq!(quiet(&["tail", "--from", "1-2", "--no-follow"]).lines().count(), 1);
    let document = r#"{"pr": "octo/hello#1", "session": "demo-1"}"#;
    assert_eq!(quiet(&["observe", "apply", &env.file("document.json", document)]), "");
    assert!(quiet(&["backup", "out.db"]).ends_with("  out.db\n"));
    assert_eq!(quiet(&["restore-db", "out.db", "--yes"]), "");
    let stderr = env.refused(&["-q", "project", "get", "other"], 3, "PROJECT_NOT_FOUND");
    assert!(stderr.contains("hint: "), "{stderr}");
    env.refused(&["-q", "restore-db", "out.db"], 2, "USAGE");
    env.refused(&["-q", "-v", "status"], 2, "USAGE");
    env.refused(&["-q", "status", "--nonsense"], 2, "USAGE");
}

#[test]
fn a_project_is_registered_once_and_the_same_again_succeeds() {
    let env = TestEnv::new();
    let repo = env.repo("demo", "https://github.com/octo/hello.git");
    let other = env.repo("other", "");
    let add = ["project", "add", text(&repo), "--if-not-exists"];
    assert_eq!(env.ok(&add), "demo\n");
    let head = env.head();
    assert_eq!(env.ok(&add), "demo\n");
    assert_eq!(env.ok(&[&add[..], &["--id", "demo", "--name", "demo"]].concat()), "demo\n");
    assert_eq!(env.json("project.add", &add)["id"], "demo");
    env.refused(&add[..3], 5, "PATH_ALREADY_REGISTERED");
    env.refused(&[&add[..], &["--id", "x"]].concat(), 5, "PATH_ALREADY_REGISTERED");
    env.refused(&[&add[..], &["--name", "x"]].concat(), 5, "PATH_ALREADY_REGISTERED");
    let taken = ["project", "add", text(&other), "--id", "demo", "--if-not-exists"];
    env.refused(&taken, 5, "ID_ALREADY_REGISTERED");
    assert_eq!(env.head(), head, "nothing was written");
}

#[test]
fn a_consumer_is_created_once_and_the_same_again_stays_where_it_is() {
    let env = TestEnv::with_demo();
    let create = ["consumer", "create", "idx", "--from", "1-0", "--if-not-exists"];
    let bounded = ["--policy", "bounded", "--max-events", "3"];
    assert_eq!(env.ok(&create), "idx\n");
    env.ok(&["session", "new", "--project", "demo"]);
    env.ok(&["consumer", "ack", "idx", "1-2"]);
    env.ok(&["session", "new", "--project", "demo"]);
    env.ok(&["prune", "--keep-events", "1", "--yes"]);
    // Its start has expired, and it has moved on.
    let again = env.run(&create);
    assert_eq!((again.code, again.stdout.as_str()), (0, "idx\n"), "{}", again.stderr);
    assert!(again.stderr.contains("consumer idx exists already: it is at 1-2"), "{}", again.stderr);
    let stderr = env.refused(&[&create[..], &bounded].concat(), 5, "CONSUMER_EXISTS");
    assert!(stderr.contains("with the policy block"), "{stderr}");
    let filtered = [&create[..], &["--type", "pr_created"]].concat();
    env.refused(&filtered, 5, "CONSUMER_FILTER_MISMATCH");
    env.refused(&["consumer", "create", "idx"], 5, "CONSUMER_EXISTS");
    let create = ["consumer", "create", "near", "--if-not-exists"];
    let create = [&create[..], &bounded].concat();
    env.ok(&create);
    env.ok(&create);
    let stderr = env.refused(&create[..4], 5, "CONSUMER_EXISTS");
    assert!(stderr.contains("with the policy bounded to 3 events"), "{stderr}");
}

/// What a strict application fails with: its code and its details.
fn strict(env: &TestEnv, documents: &str) -> (String, Value) {
    let args = ["observe", "apply", "--strict", "--json", "-"];
    let output = env.feed(&args, documents);
    assert_eq!(output.stdout, "");
    let mut error: Value = serde_json::from_str(&output.stderr).unwrap();
    (error["error"]["code"].as_str().unwrap().to_owned(), error["error"]["details"].take())
}

#[test]
fn strict_fails_on_what_is_only_reported_otherwise() {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo"]);
    let known = r#"{"pr": "octo/hello#1", "node_id": "A", "session": "demo-1", "facts": {"state": "open"}}"#;
    let unknown = r#"{"pr": "octo/hello#2", "session": "demo-1", "checks": {"items":
        [{"head_sha": "a", "name": "b", "stats": "failed"}]}}"#;
    let (code, details) = strict(&env, &format!("{known}\n{unknown}"));
    assert_eq!((code.as_str(), &details["applied"]), ("INVALID_JSON", &Value::from(1)));
    let output = env.feed(&["observe", "apply", "--strict", "-"], unknown);
    let reason = "document 1, line 1: the field checks.items.0.stats is unknown";
    assert!(output.stderr.contains(reason), "{}", output.stderr);
    env.refused(&["pr", "get", "octo/hello#2"], 3, "PR_NOT_FOUND");

    let unowned = r#"{"pr": "octo/other#3"}"#;
    let (code, details) = strict(&env, unowned);
    assert_eq!(
        (code.as_str(), &details["outcome"]),
        ("OBSERVATION_NOT_APPLIED", &"unattributed".into())
    );
    assert_eq!(details["applied"], 0);
    let output = env.feed(&["observe", "apply", "--strict", "-"], unowned);
    assert_eq!(output.code, 5, "{}", output.stderr);
    assert!(
        output.stderr.contains("nothing was stored: github.com/octo/other#3: "),
        "{}",
        output.stderr
    );
    let recreated = known.replace(r#""A""#, r#""B""#);
    let (code, details) = strict(&env, &recreated);
    assert_eq!(
        (code.as_str(), &details["outcome"]),
        ("OBSERVATION_NOT_APPLIED", &"mismatched".into())
    );

    for documents in [unknown, unowned, &recreated] {
        assert_eq!(env.feed(&["observe", "apply", "-"], documents).code, 0, "{documents}");
    }
    assert_eq!(env.feed(&["observe", "apply", "--strict", "-"], known).code, 0);
}

#[test]
fn strict_accepts_every_field_of_the_schema() {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo"]);
    let document = r#"{"pr": "octo/hello#1", "session": "demo-1", "as_of": null, "mode": "replace",
        "facts": {"state": "open", "title": "x", "additions": 1},
        "checks": [{"head_sha": "a", "name": "b", "status": "failed", "log_tail": "c"}],
        "threads": {"completeness": "partial", "items": [{"id": "T", "path": "a", "line": null}], "removed": []},
        "reviews": null, "comments": [{"id": "C", "kind": "issue", "body": "x"}]}"#;
    let output = env.feed(&["observe", "apply", "--strict", "-"], document);
    assert_eq!(output.code, 0, "{}", output.stderr);
}
