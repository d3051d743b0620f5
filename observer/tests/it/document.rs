//! Documents as observations: the facts of each field, what is refused, and that no incomplete listing
//! deletes.

use ao_observer::{Document, Error, Result, documents};
use ao_store::Code;
use ao_store::observation::{
    CheckKind, CheckStatus, Ci, CommentKind, Completeness, Mergeable, Mode, Observation, PrState,
    ReviewDecision, ReviewState,
};
use serde_json::{Value, json};

use crate::support::{NOW, at};

fn read(document: &Value) -> Result<Document> {
    let text = document.to_string();
    documents(text.as_bytes()).next().unwrap().map(|document| document.value)
}

fn observe(document: &Value) -> Result<Observation> {
    read(document)?.into_observation(NOW)
}

#[test]
fn an_absent_field_is_not_observed() {
    let observation = observe(&json!({"pr": "octo/hello#7", "future": {"a": [1]}})).unwrap();
    let expected = Observation::new("octo/hello#7".parse().unwrap(), NOW);
    assert_eq!(observation, expected);
}

#[test]
fn null_counts_as_absent() {
    let document = json!({"pr": "octo/hello#7", "node_id": null, "session": null, "as_of": null,
        "provider_updated_at": null, "mode": null, "facts": null, "checks": null, "threads": null,
        "reviews": null, "comments": {"mode": null, "completeness": null, "removed": null,
        "items": [{"id": "C", "kind": null, "line": null, "body": null, "created_at": null}]}});
    let observation = observe(&document).unwrap();
    assert_eq!(observation.threads.mode, Mode::Preserve);
    assert_eq!(observation.comments.mode, Mode::Replace);
    assert_eq!(observation.comments.items[0].body, "");
}

#[test]
fn every_field_becomes_a_fact() {
    let document = json!({
        "pr": "https://ghe.example/octo/hello/pull/7", "node_id": "PR_7", "session": "demo-3",
        "as_of": "2026-01-02T03:04:05.678+01:00", "provider_updated_at": "2026-01-02T00:00:00Z",
        "facts": {"title": "T", "author": "a", "is_author_bot": true, "state": "merged",
            "head_ref": "h", "head_repo": "octo/hello", "head_sha": "s", "base_ref": "main",
            "base_sha": "b", "is_cross_repo": false, "additions": 1, "deletions": 2,
            "changed_files": 3, "ci": "failing", "review_decision": "approved",
            "mergeable": "conflicting", "merge_state": "dirty", "is_in_merge_queue": true,
            "is_auto_merge": true, "merge_commit_sha": "m", "url": "https://x",
            "created_at": "2026-01-01T00:00:00Z", "merged_at": "2026-01-02T00:00:00Z",
            "closed_at": "2026-01-03T00:00:00Z"},
        "checks": [{"head_sha": "s", "name": "build", "status": "passed", "log_tail": "ok"}],
        "reviews": [{"id": "R", "state": "changes_requested", "is_bot": true}],
        "comments": [{"id": "C1", "thread_id": "T"}, {"id": "C2"}]
    });
    let observation = observe(&document).unwrap();
    assert_eq!(observation.pr.to_string(), "ghe.example/octo/hello#7");
    assert_eq!(observation.session.unwrap().as_str(), "demo-3");
    assert_eq!(observation.as_of, at("2026-01-02T02:04:05.678Z"));
    assert_eq!(observation.provider_at, Some(at("2026-01-02T00:00:00Z")));
    let facts = observation.facts;
    assert_eq!(facts.state, Some(PrState::Merged));
    assert_eq!(facts.ci, Some(Ci::Failing));
    assert_eq!(facts.review_decision, Some(ReviewDecision::Approved));
    assert_eq!(facts.mergeable, Some(Mergeable::Conflicting));
    assert_eq!((facts.additions, facts.changed_files), (Some(1), Some(3)));
    assert_eq!(facts.closed_at, Some(at("2026-01-03T00:00:00Z")));
    let check = &observation.checks.items[0];
    assert_eq!((check.kind, check.status), (CheckKind::Run, CheckStatus::Passed));
    assert_eq!(check.log_tail.as_deref(), Some("ok"));
    assert_eq!(observation.reviews.items[0].state, ReviewState::ChangesRequested);
    let kinds: Vec<_> = observation.comments.items.iter().map(|comment| comment.kind).collect();
    assert_eq!(kinds, [CommentKind::Review, CommentKind::Issue]);
}

#[test]
fn an_unknown_enum_value_is_unknown() {
    let document = json!({"pr": "octo/hello#7", "facts": {"state": "frozen", "ci": ""},
        "checks": [{"head_sha": "s", "name": "n", "kind": "x", "status": "PASSED"}]});
    let observation = observe(&document).unwrap();
    assert_eq!(observation.facts.state, Some(PrState::Unknown));
    assert_eq!(observation.facts.ci, Some(Ci::Unknown));
    assert_eq!(observation.checks.items[0].kind, CheckKind::Unknown);
    assert_eq!(observation.checks.items[0].status, CheckStatus::Unknown);
}

/// Every combination of the mode of the document, the mode of the facet, and completeness.
#[test]
fn an_incomplete_listing_never_replaces() {
    let modes = [Value::Null, json!("preserve"), json!("replace"), json!("merge")];
    let completenesses =
        [Value::Null, json!("complete"), json!("partial"), json!("failed"), json!("?")];
    for of_document in &modes {
        for of_facet in &modes {
            for completeness in &completenesses {
                let document = json!({"pr": "octo/hello#7", "mode": of_document, "threads":
                    {"mode": of_facet, "completeness": completeness, "items": []}});
                let is_whole = completeness.is_null() || completeness == "complete";
                match observe(&document) {
                    Ok(observation) if observation.threads.mode == Mode::Replace => {
                        assert!(is_whole, "{document}");
                    }
                    Ok(_) => assert!(!(is_whole && of_facet == "replace"), "{document}"),
                    Err(error) => {
                        assert_eq!(error.code(), Code::InvalidObservation, "{document}");
                        assert!(!is_whole && of_facet == "replace", "{document}");
                    }
                }
            }
        }
    }
}

#[test]
fn completeness_decides_where_there_is_no_mode() {
    let cases = [
        (json!([]), Mode::Replace, None),
        (json!({"items": []}), Mode::Replace, None),
        (
            json!({"items": [], "completeness": "complete"}),
            Mode::Replace,
            Some(Completeness::Complete),
        ),
        (json!({"items": [], "completeness": "partial"}), Mode::Merge, Some(Completeness::Partial)),
        (json!({"completeness": "failed"}), Mode::Preserve, Some(Completeness::Failed)),
        (json!({"mode": "merge", "removed": ["T"]}), Mode::Merge, None),
    ];
    for (facet, mode, completeness) in cases {
        let observation = observe(&json!({"pr": "octo/hello#7", "threads": facet})).unwrap();
        assert_eq!(observation.threads.mode, mode, "{facet}");
        assert_eq!(observation.threads.completeness, completeness, "{facet}");
    }
}

#[test]
fn contradictory_documents_are_refused() {
    let cases = [
        (json!({"pr": "nonsense"}), Code::InvalidPrRef),
        (json!({"pr": "octo/hello#7", "session": "x y"}), Code::InvalidId),
        (json!({"pr": "octo/hello#7", "threads": {}}), Code::InvalidObservation),
        (json!({"pr": "octo/hello#7", "threads": {"removed": ["T"]}}), Code::InvalidObservation),
        (
            json!({"pr": "octo/hello#7", "threads": {"items": [], "removed": ["T"]}}),
            Code::InvalidObservation,
        ),
        (
            json!({"pr": "octo/hello#7", "checks": {"mode": "merge", "removed": ["C"]}}),
            Code::InvalidObservation,
        ),
    ];
    for (document, code) in cases {
        assert_eq!(observe(&document).unwrap_err().code(), code, "{document}");
    }
}

#[test]
fn a_field_of_another_type_is_refused_and_located() {
    let cases = [
        json!({}),
        json!({"pr": 7}),
        json!({"pr": "octo/hello#7", "mode": "upsert"}),
        json!({"pr": "octo/hello#7", "as_of": "yesterday"}),
        json!({"pr": "octo/hello#7", "as_of": 1}),
        json!({"pr": "octo/hello#7", "facts": ["x"]}),
        json!({"pr": "octo/hello#7", "facts": {"additions": 1.5}}),
        json!({"pr": "octo/hello#7", "threads": 1}),
        json!({"pr": "octo/hello#7", "threads": [["T"]]}),
        json!({"pr": "octo/hello#7", "threads": {"items": [["T"]]}}),
        json!({"pr": "octo/hello#7", "threads": [{"path": "no id"}]}),
        json!({"pr": "octo/hello#7", "checks": [{"name": "no commit"}]}),
    ];
    for document in cases {
        let error = read(&document).unwrap_err();
        assert!(matches!(error, Error::InvalidJson { document: 1, line: 1, .. }), "{document}");
        assert_eq!(error.code(), Code::InvalidJson);
    }
}

#[test]
fn a_message_is_short_and_has_no_control_characters() {
    let document = json!({"pr": "octo/hello#7", "mode": format!("\u{1b}[2J{}", "x".repeat(9_999))});
    let message = read(&document).unwrap_err().to_string();
    assert!(message.len() < 400 && !message.contains('\u{1b}'), "{message}");
}
