//! A webhook delivery and an answer about the same object make the same facts of it, apart from those
//! that a delivery lacks: else a fact would alternate between its sources.

use ao_store::Timestamp;
use ao_store::observation::{
    Check, CheckKind, Comment, CommentKind, Observation, PrFacts, Review, Thread,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Delivery, read};
use crate::github::node::{CommentNode, PartNode, PrNode, ReviewNode, checks_and_jobs};
use crate::github::query::Level;

const SHA: &str = "aaa";

fn node<T: DeserializeOwned>(answer: &Value) -> T {
    serde_json::from_value(answer.clone()).unwrap()
}

/// The observation of a webhook delivery of this event, whose payload has `object` under `part`.
fn delivered(event: &str, action: &str, part: &str, object: &Value) -> Observation {
    let repository = json!({"id": 1, "full_name": "octo/hello",
        "html_url": "https://github.com/octo/hello"});
    let mut payload = json!({"action": action, "repository": repository,
        "sender": {"login": "mona", "type": "User"}, "issue": {"number": 7, "pull_request": {}},
        "pull_request": {"number": 7}});
    match part {
        "" => payload.as_object_mut().unwrap().extend(object.as_object().unwrap().clone()),
        part => payload[part] = object.clone(),
    }
    match read(event, payload.to_string().as_bytes(), None, Timestamp(0)).unwrap() {
        Delivery::Prs(mut prs) => prs.remove(0),
        Delivery::Commit(facts) => {
            let mut observation = Observation::new("octo/hello#7".parse().unwrap(), facts.as_of);
            observation.checks.items = facts.checks;
            observation
        }
        other => panic!("{event}: {other:?}"),
    }
}

fn run(status: &str, conclusion: Option<&str>, ended: Option<&str>) -> (Check, Check) {
    let payload = json!({"id": 101, "node_id": "CR_101", "head_sha": SHA, "name": "bu\0ild",
        "status": status, "conclusion": conclusion, "started_at": "2026-01-01T10:00:00Z",
        "completed_at": ended, "html_url": "https://github.com/octo/hello/runs/101",
        "details_url": "https://ci.example/1", "app": {"slug": "github-actions"},
        "check_suite": {"id": 11}, "pull_requests": []});
    let upper = |text: &str| text.to_ascii_uppercase();
    let answer = json!({"__typename": "CheckRun", "id": "CR_101", "databaseId": 101,
        "name": "bu\0ild", "status": upper(status), "conclusion": conclusion.map(upper),
        "startedAt": "2026-01-01T10:00:00Z", "completedAt": ended, "isRequired": true,
        "url": "https://github.com/octo/hello/runs/101", "detailsUrl": "https://ci.example/1",
        "checkSuite": {"databaseId": 11, "app": {"slug": "github-actions"},
            "workflowRun": {"id": "WFR_1", "event": "push", "workflow": {"name": "ci"}}}});
    let delivery =
        delivered("check_run", "completed", "check_run", &payload).checks.items.remove(0);
    (delivery, checks_and_jobs(vec![node(&answer)], SHA).0.remove(0))
}

#[test]
fn of_a_check_run() {
    let ended = Some("2026-01-01T10:01:00Z");
    for (status, conclusion, ended) in [
        ("queued", None, None),
        ("in_progress", None, None),
        ("completed", Some("success"), ended),
        ("completed", Some("cancelled"), ended),
        ("completed", Some("action_required"), ended),
        ("completed", Some("startup_failure"), ended),
    ] {
        let (delivery, answer) = run(status, conclusion, ended);
        let Check { workflow, event, is_required, .. } = answer.clone();
        assert_eq!(Check { workflow, event, is_required, ..delivery }, answer);
    }
}

#[test]
fn of_a_commit_status() {
    for state in ["pending", "success", "failure", "error"] {
        let payload = json!({"sha": SHA, "context": "ci/x", "state": state,
            "target_url": "https://ci.example/1", "created_at": "2026-01-01T10:00:00Z",
            "updated_at": "2026-01-01T10:00:00Z"});
        let answer = json!({"__typename": "StatusContext", "id": "SC_1", "context": "ci/x",
            "state": state.to_ascii_uppercase(), "targetUrl": "https://ci.example/1",
            "createdAt": "2026-01-01T10:00:00Z", "isRequired": false});
        let delivery = delivered("status", "", "", &payload).checks.items.remove(0);
        let answer = checks_and_jobs(vec![node(&answer)], SHA).0.remove(0);
        assert_eq!(Check { is_required: answer.is_required, ..delivery }, answer);
    }
}

#[test]
fn of_a_workflow_that_waits() {
    for (status, conclusion) in [("queued", None), ("completed", Some("action_required"))] {
        let payload = json!({"id": 1, "node_id": "WFR_1", "head_sha": SHA, "name": "ci",
            "event": "push", "status": status, "conclusion": conclusion, "check_suite_id": 11,
            "html_url": "https://github.com/octo/hello/actions/runs/1", "pull_requests": [],
            "created_at": "2026-01-01T10:00:00Z", "updated_at": "2026-01-01T10:01:00Z",
            "run_started_at": "2026-01-01T10:00:00Z"});
        let upper = |text: &str| text.to_ascii_uppercase();
        let answer = json!({"id": "PR_7", "number": 7, "state": "OPEN", "headRefOid": SHA,
            "headRef": {"target": {"oid": SHA, "checkSuites": {"totalCount": 1, "nodes": [{
                "id": "CS_11", "databaseId": 11, "status": upper(status),
                "conclusion": conclusion.map(upper), "app": {"slug": "github-actions"},
                "workflowRun": {"id": "WFR_1", "event": "push", "workflow": {"name": "ci"},
                    "url": "https://github.com/octo/hello/actions/runs/1"}}]}}}});
        let delivery = delivered("workflow_run", "requested", "workflow_run", &payload);
        let pr: PrNode = node(&answer);
        let answers: Vec<_> = pr.waiting_suites().map(|suite| suite.waiting_check(SHA)).collect();
        assert_eq!(delivery.checks.items, answers);
        assert_eq!(answers[0].kind, CheckKind::Workflow);
    }
}

#[test]
fn of_a_review() {
    for (state, user, author) in [
        ("approved", json!({"login": "mona", "type": "User"}), actor("User", "mona")),
        ("changes_requested", json!({"login": "x[bot]", "type": "Bot"}), actor("Bot", "x")),
        ("dismissed", json!({"login": "ghost", "type": "User"}), Value::Null),
        ("commented", Value::Null, Value::Null),
    ] {
        let payload = json!({"node_id": "PRR_1", "user": user, "state": state, "body": null,
            "commit_id": SHA, "html_url": "https://github.com/octo/hello/pull/7#1",
            "submitted_at": "2026-01-01T10:00:00Z"});
        let answer = json!({"id": "PRR_1", "author": author, "state": state.to_ascii_uppercase(),
            "body": "", "commit": {"oid": SHA}, "url": "https://github.com/octo/hello/pull/7#1",
            "submittedAt": "2026-01-01T10:00:00Z"});
        let delivery = delivered("pull_request_review", "submitted", "review", &payload);
        let answer: Review = node::<ReviewNode>(&answer).review().unwrap();
        assert_eq!(delivery.reviews.items, [answer]);
    }
}

fn actor(kind: &str, login: &str) -> Value {
    json!({"__typename": kind, "login": login})
}

/// A comment of a review thread, as a payload and as an answer have it. The answer names what it replies
/// to by another kind of id.
fn posted(line: Option<i64>, original_line: Option<i64>) -> (Value, Value) {
    let payload = json!({"id": 2, "node_id": "PRRC_2", "user": {"login": "mona", "type": "User"},
        "body": "Why?", "path": "a.rs", "line": line, "original_line": original_line,
        "side": "RIGHT", "html_url": "https://github.com/octo/hello/pull/7#r2",
        "created_at": "2026-01-01T10:00:00Z", "updated_at": "2026-01-01T10:05:00Z"});
    let answer = json!({"id": "PRRC_2", "author": actor("User", "mona"), "body": "Why?",
        "path": "a.rs", "line": line, "originalLine": original_line, "replyTo": null,
        "url": "https://github.com/octo/hello/pull/7#r2", "createdAt": "2026-01-01T10:00:00Z",
        "lastEditedAt": "2026-01-01T10:05:00Z", "isMinimized": false});
    (payload, answer)
}

/// Current, outdated, and on a whole file.
const LINES: [(Option<i64>, Option<i64>); 3] = [(Some(5), Some(4)), (None, Some(4)), (None, None)];

#[test]
fn of_a_comment_on_a_line() {
    for (line, original_line) in LINES {
        let (payload, answer) = posted(line, original_line);
        let delivery = delivered("pull_request_review_comment", "edited", "comment", &payload);
        let answer = node::<CommentNode>(&answer).comment(Some("PRRT_1")).unwrap();
        let delivery = delivery.comments.items[0].clone();
        assert_eq!(Comment { thread_id: answer.thread_id.clone(), ..delivery }, answer);
    }
}

#[test]
fn of_a_comment_in_the_conversation() {
    let (mut payload, mut answer) = posted(None, None);
    payload["path"] = Value::Null;
    answer["path"] = Value::Null;
    let delivery = delivered("issue_comment", "edited", "comment", &payload);
    let answer = node::<CommentNode>(&answer).comment(None).unwrap();
    assert_eq!(answer.kind, CommentKind::Issue);
    assert_eq!(delivery.comments.items, [answer]);
}

#[test]
fn of_a_review_thread_and_its_comments() {
    for (line, original_line) in LINES {
        for (action, by) in [("resolved", json!({"login": "mona"})), ("unresolved", Value::Null)] {
            let (payload, comment) = posted(line, original_line);
            let thread = json!({"node_id": "PRRT_1", "comments": [payload]});
            let delivery = delivered("pull_request_review_thread", action, "thread", &thread);
            let answer = json!({"isResolved": action == "resolved", "resolvedBy": by,
                "isOutdated": line.is_none() && original_line.is_some(), "path": "a.rs",
                "line": line, "originalLine": original_line, "diffSide": "RIGHT"});
            let answer: Thread = node::<PartNode>(&answer).thread("PRRT_1", 1);
            assert_eq!(delivery.threads.items, [answer]);
            let comment = node::<CommentNode>(&comment).comment(Some("PRRT_1")).unwrap();
            // Only the delivery of the edit tells that it was edited.
            let edited_at = comment.edited_at;
            let delivery = delivery.comments.items[0].clone();
            assert_eq!(Comment { edited_at, ..delivery }, comment);
        }
    }
}

fn pull_request(state: &str, is_merged: bool, is_draft: bool) -> (PrFacts, PrFacts) {
    let ended = (state == "closed").then_some("2026-01-02T10:00:00Z");
    let merged = ended.filter(|_| is_merged);
    let repo = json!({"id": 1, "full_name": "octo/hello"});
    let payload = json!({"number": 7, "node_id": "PR_7", "title": "Add it", "state": state,
        "html_url": "https://github.com/octo/hello/pull/7", "draft": is_draft, "merged": is_merged,
        "user": {"login": "x[bot]", "type": "Bot"}, "created_at": "2026-01-01T10:00:00Z",
        "updated_at": "2026-01-02T10:00:00Z", "closed_at": ended, "merged_at": merged,
        "head": {"ref": "fix", "sha": SHA, "repo": repo}, "base": {"ref": "main", "sha": "bbb",
            "repo": repo}, "additions": 1, "deletions": 2, "changed_files": 3, "mergeable": true,
        "mergeable_state": "has_hooks", "auto_merge": null, "merge_commit_sha": "ccc"});
    let text = if is_merged { "MERGED".to_owned() } else { state.to_ascii_uppercase() };
    let answer = json!({"id": "PR_7", "number": 7, "title": "Add it", "state": text,
        "url": "https://github.com/octo/hello/pull/7", "isDraft": is_draft, "merged": is_merged,
        "closed": ended.is_some(), "author": actor("Bot", "x"), "createdAt": "2026-01-01T10:00:00Z",
        "updatedAt": "2026-01-02T10:00:00Z", "closedAt": ended, "mergedAt": merged,
        "headRefName": "fix", "headRefOid": SHA, "baseRefName": "main", "baseRefOid": "bbb",
        "headRepository": {"nameWithOwner": "octo/hello"}, "isCrossRepository": false,
        "additions": 1, "deletions": 2, "changedFiles": 3, "mergeable": "MERGEABLE",
        "mergeStateStatus": "HAS_HOOKS", "autoMergeRequest": null, "isInMergeQueue": false,
        "mergeCommit": merged.map(|_| json!({"oid": "ccc"})), "reviewDecision": "APPROVED"});
    let delivery = delivered("pull_request", "edited", "pull_request", &payload).facts;
    (delivery, node::<PrNode>(&answer).facts(Level::Full, false))
}

#[test]
fn of_a_pull_request() {
    for (state, is_merged, is_draft) in [
        ("open", false, false),
        ("open", false, true),
        ("closed", false, true),
        ("closed", true, false),
    ] {
        let (delivery, answer) = pull_request(state, is_merged, is_draft);
        let PrFacts { ci, review_decision, is_in_merge_queue, .. } = answer.clone();
        assert_eq!(PrFacts { ci, review_decision, is_in_merge_queue, ..delivery }, answer);
    }
}
