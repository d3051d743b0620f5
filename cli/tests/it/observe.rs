//! What was learned elsewhere is applied document by document: what is sound stands, what is not is
//! named, and what is known already changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Live, Output, TestEnv, text};

/// A store with `demo` and its session `demo-1` on branch `changes`.
pub(crate) fn ready() -> TestEnv {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo", "--branch", "changes"]);
    env
}

/// Applies what is given on standard input; the outcomes.
fn apply(env: &TestEnv, input: impl AsRef<[u8]>) -> Vec<Value> {
    outcomes(&env.feed(&["observe", "apply", "-", "--json"], input), "observe.apply")
}

fn deliver(env: &TestEnv, args: &[&str], input: impl AsRef<[u8]>) -> Vec<Value> {
    let args = [&["observe", "deliver", "-", "--json", "--event"], args].concat();
    outcomes(&env.feed(&args, input), "observe.deliver")
}

pub(crate) fn outcomes(output: &Output, kind: &str) -> Vec<Value> {
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let mut document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&document["schema_version"], &document["kind"]), (&json!(1), &json!(kind)));
    let Value::Array(outcomes) = document["data"].take() else { panic!("{document}") };
    outcomes
}

/// The error of a run with `--json` that failed.
pub(crate) fn error(output: &Output) -> Value {
    assert_eq!(output.stdout, "");
    let mut document: Value = serde_json::from_str(&output.stderr).expect(&output.stderr);
    assert_eq!(document["error"]["exit_code"], output.code);
    document["error"].take()
}

fn titled(number: u32, title: &str) -> String {
    format!(
        r#"{{"pr": "octo/hello#{number}", "session": "demo-1", "facts": {{"title": "{title}"}}}}"#
    )
}

#[test]
fn a_document_is_applied_from_a_file_and_reported() {
    let env = ready();
    let file = env.file("observation.json", titled(1, "One"));
    let output = env.run(&["observe", "apply", &file]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
    assert_eq!(output.stderr, "github.com/octo/hello#1 (demo-1): new\n");
    let output = env.run(&["observe", "apply", &file]);
    assert_eq!(output.stderr, "github.com/octo/hello#1 (demo-1): nothing changed\n");
    assert_eq!(env.json("pr.get", &["pr", "get", "octo/hello#1"])["title"], "One");
}

#[test]
fn many_documents_come_one_a_line_or_just_one_after_another() {
    let env = ready();
    for (from, between) in [(1, "\n"), (11, ""), (21, "\r\n\r\n  ")] {
        let documents: Vec<_> = (from..from + 5).map(|number| titled(number, "x")).collect();
        let outcomes = apply(&env, documents.join(between) + between);
        assert_eq!(outcomes.len(), 5, "{between:?}");
        for outcome in outcomes {
            assert_eq!(
                (&outcome["outcome"], &outcome["is_new"]),
                (&json!("applied"), &json!(true))
            );
        }
    }
    assert_eq!(env.json("pr.list", &["pr", "ls"]).as_array().unwrap().len(), 15);
}

#[test]
fn documents_before_a_bad_one_stay_applied_and_are_reported() {
    let other = r#"{"pr": "octo/hello#1", "session": "demo-9"}"#;
    for (number, (bad, code, exit)) in [
        (r#"{"pr": "octo/hello#9", "fac"#, "INVALID_JSON", 2),
        ("not json", "INVALID_JSON", 2),
        (r#"["octo/hello#9"]"#, "INVALID_JSON", 2),
        (r#"{"facts": {}}"#, "INVALID_JSON", 2),
        (r#"{"pr": "octo/hello#9", "facts": {"title": 7}}"#, "INVALID_JSON", 2),
        (r#"{"pr": "nowhere"}"#, "INVALID_PR_REF", 2),
        (r#"{"pr": "octo/hello#9", "threads": {"mode": "replace"}}"#, "INVALID_OBSERVATION", 2),
        (other, "SESSION_NOT_FOUND", 3),
    ]
    .into_iter()
    .enumerate()
    {
        let env = ready();
        let input = format!("{}\n{}\n{bad}\n{}", titled(1, "a"), titled(2, "b"), titled(3, "c"));
        let is_plain = number % 2 == 0;
        let more: &[&str] = if is_plain { &[] } else { &["--json"] };
        let output = env.feed(&[&["observe", "apply", "-"], more].concat(), &input);
        assert_eq!(output.code, exit, "{bad}: {}", output.stderr);
        if is_plain {
            let stderr = &output.stderr;
            assert!(
                stderr.contains("2 document(s) before the error were applied and stay applied"),
                "{stderr}"
            );
            assert!(stderr.contains(&format!("error[{code}]: ")), "{stderr}");
        } else {
            let error = error(&output);
            assert_eq!((&error["code"], &error["details"]["applied"]), (&json!(code), &json!(2)));
        }
        let list = env.json("pr.list", &["pr", "ls"]);
        assert_eq!(list.as_array().unwrap().len(), 2, "{bad}: the third is not applied");
    }
}

#[test]
fn a_bad_document_is_named_by_number_and_line() {
    let env = ready();
    let input = format!("{}\n\n{{\"pr\": 7}}", titled(1, "a"));
    let output = env.feed(&["observe", "apply", "-"], input);
    assert!(output.stderr.contains("document 2, line 3: "), "{}", output.stderr);
}

#[test]
fn an_input_without_a_document_is_refused() {
    let env = ready();
    for input in ["", " \n\t", "\u{feff}"] {
        for args in [&["apply"][..], &["deliver", "--event", "push"]] {
            let output = env.feed(&[&["observe"], args, &["-", "--json"]].concat(), input);
            let error = error(&output);
            assert_eq!(error["code"], "INVALID_JSON", "{args:?} {input:?}");
        }
    }
    env.refused(&["observe", "apply", "missing.json"], 2, "INVALID_PATH");
    env.refused(&["observe", "deliver", "--event", "push", "home"], 2, "INVALID_PATH");
    env.refused(&["observe", "apply", "/proc/self/mem"], 1, "IO_ERROR");
}

#[test]
fn a_newer_provider_is_understood_as_far_as_possible() {
    let env = ready();
    let document = json!({
        "pr": "octo/hello#1", "session": "demo-1", "future": {"a": [1]},
        "facts": {"title": "x", "state": "hibernating", "mergeable": "perhaps", "mood": "good",
            "review_decision": "shrug", "author": null},
        "checks": [{"name": "build", "head_sha": "a", "status": "dreaming", "new": 1}],
        "reviews": [{"id": "R1", "state": "applauded"}],
    });
    assert_eq!(apply(&env, document.to_string())[0]["is_new"], true);
    let pr = env.json("pr.get", &["pr", "get", "octo/hello#1"]);
    for field in ["state", "provider_mergeable", "review_decision"] {
        assert_eq!(pr[field], "unknown", "{field}");
    }
    assert_eq!(pr["checks"][0]["status"], "unknown");
    assert_eq!(pr["reviews"][0]["state"], "unknown");
}

#[test]
fn checks_of_one_name_are_told_apart_by_workflow_suite_and_id() {
    let env = ready();
    let check = |more: Value| {
        let mut check = json!({"head_sha": "a", "name": "build", "status": "passed"});
        check.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        check
    };
    let checks = [
        check(json!({"workflow": "ci", "event": "push", "status": "failed"})),
        check(json!({"workflow": "ci", "event": "schedule"})),
        check(json!({"workflow": "release", "event": "push"})),
        check(json!({"suite": "11"})),
        check(json!({"suite": "22"})),
        check(json!({"suite": "22", "external_id": "CR_1"})),
    ];
    let facts = json!({"head_ref": "changes", "head_sha": "a", "state": "open"});
    apply(&env, json!({"pr": "octo/hello#1", "facts": facts, "checks": checks}).to_string());
    let stored = env.json("pr.get", &["pr", "get", "octo/hello#1"]);
    assert_eq!((stored["checks"].as_array().unwrap().len(), &stored["ci"]), (6, &json!("failing")));
    let shown = env.ok(&["pr", "get", "octo/hello#1", "-v"]);
    for line in ["ci push build failed", "ci schedule build passed", "release push build passed"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[test]
fn a_large_document_is_applied_and_a_repeated_one_changes_nothing() {
    let env = ready();
    let body = "x".repeat(500);
    let comments: Vec<_> =
        (0..2000).map(|id| json!({"id": format!("C{id}"), "body": body})).collect();
    let document = json!({"pr": "octo/hello#1", "session": "demo-1", "as_of": "2026-01-01T00:00:00Z",
        "facts": {"title": "t"}, "comments": comments, "threads": [{"id": "T1"}]});
    let document = document.to_string();
    assert_eq!(apply(&env, &document)[0]["comments"]["inserted"], 2000);
    let head = env.head();
    assert_eq!(head, "1-2004", "project, session, pull request, thread and comments");
    for _ in 0..2 {
        let again = apply(&env, &document).remove(0);
        assert_eq!((&again["is_new"], &again["is_updated"]), (&json!(false), &json!(false)));
        assert_eq!(
            again["comments"],
            json!({"inserted": 0, "updated": 0, "deleted": 0, "unchanged": 2000})
        );
        assert_eq!(env.head(), head);
    }
}

#[test]
fn an_older_observation_does_not_win() {
    let env = ready();
    let at = |time: &str, title: &str| {
        let facts = json!({"title": title});
        json!({"pr": "octo/hello#1", "session": "demo-1", "as_of": time, "facts": facts,
            "threads": [{"id": title}]})
        .to_string()
    };
    apply(&env, at("2026-01-02T00:00:00Z", "new"));
    let head = env.head();
    let outcome = apply(&env, at("2026-01-01T00:00:00Z", "old")).remove(0);
    assert!(outcome["stale"].as_array().unwrap().contains(&json!("threads")), "{outcome}");
    assert_eq!(env.head(), head);
    let pr = env.json("pr.get", &["pr", "get", "octo/hello#1"]);
    assert_eq!((&pr["title"], &pr["threads"][0]["id"]), (&json!("new"), &json!("new")));
}

#[test]
fn an_unattributed_pull_request_is_an_outcome_and_not_an_error() {
    let env = ready();
    let head = env.head();
    for (document, code) in [
        (r#"{"pr": "nobody/knows#1", "facts": {"head_ref": "changes"}}"#, "no_project"),
        (r#"{"pr": "octo/hello#1", "facts": {"head_ref": "other"}}"#, "no_session"),
        (r#"{"pr": "octo/hello#1"}"#, "head_branch_unknown"),
    ] {
        let outcome = apply(&env, document).remove(0);
        assert_eq!((&outcome["outcome"], &outcome["code"]), (&"unattributed".into(), &code.into()));
        assert!(!outcome["reason"].as_str().unwrap().is_empty());
        let output = env.feed(&["observe", "apply", "-"], document);
        assert!(output.stderr.starts_with("unattributed: "), "{}", output.stderr);
    }
    assert_eq!(env.head(), head);
    let found = apply(&env, r#"{"pr": "Octo/Hello#1", "facts": {"head_ref": "changes"}}"#);
    assert_eq!(found[0]["session_id"], "demo-1", "found by repository and branch");
}

#[test]
fn another_pull_request_under_the_same_number_is_not_mixed_in() {
    let env = ready();
    let with_node =
        |id: &str| format!(r#"{{"pr":"octo/hello#1","session":"demo-1","node_id":"{id}"}}"#);
    apply(&env, with_node("PR_a"));
    let outcome = apply(&env, with_node("PR_b")).remove(0);
    assert_eq!(outcome["outcome"], "mismatched");
    assert_eq!(
        (&outcome["stored_node_id"], &outcome["observed_node_id"]),
        (&json!("PR_a"), &json!("PR_b"))
    );
}

pub(crate) const OPENED: &str = r#"{"action": "opened", "number": 5, "pull_request": {"number": 5,
    "state": "open", "title": "Hi", "updated_at": "2026-01-01T00:00:00Z",
    "html_url": "https://github.com/octo/hello/pull/5", "head": {"ref": "unseen", "sha": "abc"},
    "base": {"ref": "main", "sha": "def"}},
    "repository": {"full_name": "octo/hello", "html_url": "https://github.com/octo/hello"}}"#;

#[test]
fn the_session_given_with_a_delivery_owns_what_it_names() {
    let env = ready();
    assert_eq!(deliver(&env, &["pull_request"], OPENED)[0]["outcome"], "unattributed");
    let given = deliver(&env, &["pull_request", "--session", "demo-1"], OPENED);
    assert_eq!(
        (&given[0]["outcome"], &given[0]["session_id"]),
        (&json!("applied"), &json!("demo-1"))
    );
    let args = ["observe", "deliver", "--event", "pull_request", "-", "--json", "--session"];
    for (session, code) in [("demo-9", "SESSION_NOT_FOUND"), ("demo", "INVALID_ID")] {
        let output = env.feed(&[&args[..], &[session]].concat(), OPENED);
        assert_eq!(error(&output)["code"], code);
    }
}

#[test]
fn an_unknown_event_or_a_payload_of_another_shape_is_refused() {
    let env = ready();
    for (event, payload, code) in [
        ("gollum", "{}", "INVALID_DELIVERY"),
        ("", "{}", "INVALID_DELIVERY"),
        ("Pull_Request", OPENED, "INVALID_DELIVERY"),
        ("pull_request", "{}", "INVALID_JSON"),
        ("pull_request", "[]", "INVALID_JSON"),
        ("pull_request", "{\"action\": \"opened\"", "INVALID_JSON"),
        ("push", "nonsense", "INVALID_JSON"),
    ] {
        let event = format!("--event={event}");
        let output = env.feed(&["observe", "deliver", "-", "--json", &event], payload);
        assert_eq!(error(&output)["code"], code, "{event} {payload}");
    }
    let two = format!("{OPENED}\n{{\"action\": \"opened\"}}");
    let output = env.feed(&["observe", "deliver", "-", "--event=pull_request"], two);
    assert_eq!(output.code, 2);
    assert!(
        output.stderr.contains("1 document(s) before the error were applied and stay applied"),
        "{}",
        output.stderr
    );
    assert_eq!(deliver(&env, &["push"], "{}{}").len(), 2, "ignored, each of them");
}

/// The recorded deliveries: event and payloads, one a line. `None` when they are not there.
fn recorded() -> Option<Vec<(String, Vec<Value>)>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/fixtures/github/webhooks");
    let Ok(entries) = fs::read_dir(Path::new(folder)) else {
        println!("skipped: there are no recorded deliveries at {folder}");
        return None;
    };
    let mut found: Vec<_> = entries
        .map(|entry| {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            let mut file: Value = serde_json::from_slice(&bytes).unwrap();
            let examples = file["examples"].as_array_mut().unwrap().drain(..).collect();
            (file["event"].as_str().unwrap().to_owned(), examples)
        })
        .collect();
    // The pull request itself first: what hangs on it is attributed by it.
    found.sort_by_key(|(event, _)| (event != "pull_request", event.clone()));
    Some(found)
}

/// The resident memory of a process, in KiB.
fn memory_kib(process: &Live) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn an_endless_input_needs_the_memory_of_one_document() {
    let env = ready();
    let mut command = env.command(&["observe", "apply", "-"]);
    let mut live = Live::start(command.stdin(Stdio::piped()));
    let mut feed = |count: usize| {
        // In parts that fit into the pipes, so that neither side waits for the other.
        for _ in 0..count / 100 {
            live.say(&format!("{}\n", titled(1, "One")).repeat(100));
            (0..100).for_each(|_| drop(live.until_printed("octo/hello#1")));
        }
        memory_kib(&live)
    };
    let (warm, later) = (feed(2_000), feed(8_000));
    assert!(later <= warm + 1_024, "{warm} KiB after 2,000 documents, {later} after 10,000");
}

#[test]
fn every_recorded_delivery_is_taken_and_becomes_changes() {
    let Some(recorded) = recorded() else { return };
    let env = TestEnv::new();
    let repo = env.repo("hello", "https://github.com/Codertocat/Hello-World");
    env.ok(&["project", "add", text(&repo)]);
    env.ok(&["session", "new", "--project", "hello", "--branch", "changes"]);
    let mut delivered = 0;
    for (event, payloads) in recorded {
        let lines: Vec<_> = payloads.iter().map(Value::to_string).collect();
        let outcomes = deliver(&env, &[&event], lines.join("\n"));
        assert!(outcomes.len() >= payloads.len(), "{event}: every delivery has an outcome");
        let kinds: BTreeSet<_> = outcomes.iter().map(|o| o["outcome"].as_str().unwrap()).collect();
        let known = BTreeSet::from(["applied", "ignored", "mismatched", "unattributed"]);
        assert!(kinds.is_subset(&known), "{event}: {kinds:?}");
        // Their examples are about issues, or about commits of no tracked pull request.
        let others = ["push", "status", "workflow_run", "issue_comment"];
        let is_about_others = others.contains(&event.as_str());
        assert!(is_about_others || kinds.contains("applied"), "{event}: {outcomes:?}");
        delivered += payloads.len();
    }
    assert!(delivered >= 80, "{delivered}");
    let types: BTreeSet<_> = env.types().into_iter().collect();
    for expected in [
        "pr_created",
        "pr_updated",
        "pr_check_recorded",
        "pr_review_added",
        "pr_comment_added",
        "pr_comment_updated",
        "pr_comment_removed",
        "pr_review_thread_added",
        "pr_review_thread_reopened",
    ] {
        assert!(types.contains(expected), "{expected} is not among {types:?}");
    }
    let list = env.json("pr.list", &["pr", "ls", "--session", "hello-1"]);
    assert!(list.as_array().unwrap().iter().any(|pr| pr["number"] == 2), "{list}");
}
