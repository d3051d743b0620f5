//! Webhook deliveries as observations: every recorded one is read, and what each event means.

use ao_observer::webhook::{self, Delivery};
use ao_store::Code;
use ao_store::observation::{
    CheckKind, CheckStatus, CommentKind, Mergeable, Mode, PrState, ReviewState,
};
use serde_json::{Value, json};

use crate::support::{NOW, at, commit, delivered, one, pull_request, recorded, repository};

#[test]
fn every_recorded_webhook_delivery_is_read() {
    for event in webhook::events() {
        for payload in recorded(event) {
            let delivery = delivered(event, &payload).unwrap_or_else(|e| panic!("{event}: {e}"));
            let is_issue = event == "issue_comment" && payload["issue"]["pull_request"].is_null();
            let is_ignored = matches!(delivery, Delivery::Ignored { .. });
            assert_eq!(is_ignored, event == "push" || is_issue, "{event}");
        }
    }
}

#[test]
fn recorded_threads_are_resolved_and_unresolved() {
    let examples = recorded("pull_request_review_thread");
    let expected = [
        ("resolved", true, "octocat"),
        ("resolved", true, "Codertocat"),
        ("unresolved", false, ""),
    ];
    for (payload, (action, is_resolved, resolved_by)) in examples.iter().zip(expected) {
        assert_eq!(payload["action"], action);
        let observation = one("pull_request_review_thread", payload);
        assert_eq!(observation.threads.mode, Mode::Merge);
        let thread = &observation.threads.items[0];
        assert_eq!(thread.is_resolved, is_resolved);
        assert_eq!(thread.resolved_by, resolved_by);
        assert!(thread.line.is_some() && !thread.is_outdated && thread.side == "RIGHT");
        assert_eq!(observation.comments.items[0].thread_id, thread.id);
        assert_eq!(observation.facts.mergeable, None);
    }
    if let Some(payload) = examples.first() {
        let observation = one("pull_request_review_thread", payload);
        assert_eq!(observation.as_of, at("2022-03-21T09:21:38Z"));
        assert_eq!(observation.threads.items[0].id, "PRRT_kwDOEL39TM4w7XDQ");
    }
}

#[test]
fn a_recorded_review_is_dismissed() {
    for payload in recorded("pull_request_review") {
        if payload["action"] != "dismissed" {
            continue;
        }
        let observation = one("pull_request_review", &payload);
        assert_eq!(observation.pr.to_string(), "github.com/Codertocat/Hello-World#2");
        assert_eq!(observation.node_id, "MDExOlB1bGxSZXF1ZXN0MzcwMTIzNjQw");
        assert_eq!(observation.reviews.mode, Mode::Merge);
        let review = &observation.reviews.items[0];
        assert_eq!(review.state, ReviewState::Dismissed);
        assert_eq!(review.author, "Codertocat");
        assert_eq!(observation.facts.state, Some(PrState::Open));
        assert_eq!(observation.facts.additions, None);
    }
}

#[test]
fn a_recorded_check_fails() {
    for payload in recorded("check_run") {
        if payload["check_run"]["conclusion"] != "failure" {
            continue;
        }
        let observation = one("check_run", &payload);
        assert_eq!(observation.pr.number, 2);
        let check = &observation.checks.items[0];
        assert_eq!((check.kind, check.status), (CheckKind::Run, CheckStatus::Failed));
        assert_eq!(
            (check.app.as_str(), check.name.as_str()),
            ("github-actions", "Octocoders-linter")
        );
        assert_eq!(check.external_id, "MDg6Q2hlY2tSdW4xMjg2MjAyMjg=");
        assert_eq!(check.conclusion, "failure");
        assert_eq!(check.completed_at, Some(at("2019-05-15T15:21:12Z")));
        assert_eq!(observation.facts, Default::default());
    }
}

#[test]
fn recorded_pull_requests_have_their_states() {
    for payload in recorded("pull_request") {
        let observation = one("pull_request", &payload);
        let expected = match payload["action"].as_str().unwrap() {
            "closed" => PrState::Closed,
            "converted_to_draft" => PrState::Draft,
            _ => PrState::Open,
        };
        // The recording of a conversion back has the old value of `draft`.
        if payload["pull_request"]["draft"] == json!(expected == PrState::Draft) {
            assert_eq!(observation.facts.state, Some(expected));
        }
        assert_eq!(observation.provider_at, Some(observation.as_of));
        assert_eq!(observation.facts.head_ref.as_deref(), Some("changes"));
        assert_eq!(observation.facts.is_cross_repo, Some(false));
    }
}

fn pr_event(change: impl FnOnce(&mut Value)) -> Value {
    let mut payload = json!({"action": "edited", "repository": repository(),
        "pull_request": pull_request("2026-01-01T00:00:09Z")});
    change(&mut payload["pull_request"]);
    payload
}

#[test]
fn merged_takes_precedence_over_closed_and_draft() {
    let cases = [
        (json!("closed"), true, json!(true), PrState::Merged),
        (json!("closed"), true, json!(false), PrState::Closed),
        (json!("open"), true, json!(false), PrState::Draft),
        (json!("open"), false, json!(null), PrState::Open),
        (json!("frozen"), false, json!(null), PrState::Unknown),
    ];
    for (state, draft, merged, expected) in cases {
        let payload = pr_event(|pr| {
            pr["state"] = state;
            pr["draft"] = json!(draft);
            pr["merged"] = merged;
            pr["merge_commit_sha"] = json!("ccc");
        });
        let facts = one("pull_request", &payload).facts;
        assert_eq!(facts.state, Some(expected));
        // Before the merge it is the commit of a trial merge.
        assert_eq!(facts.merge_commit_sha.is_some(), expected == PrState::Merged);
    }
}

#[test]
fn null_and_absent_differ_where_both_mean_something() {
    let unknown = one("pull_request", &pr_event(|pr| pr["auto_merge"] = Value::Null)).facts;
    assert_eq!(unknown.mergeable, Some(Mergeable::Unknown));
    assert_eq!(unknown.is_auto_merge, Some(false));
    let absent = one(
        "pull_request",
        &pr_event(|pr| {
            pr.as_object_mut().unwrap().remove("mergeable");
        }),
    );
    assert_eq!((absent.facts.mergeable, absent.facts.is_auto_merge), (None, None));
    let dirty = one(
        "pull_request",
        &pr_event(|pr| {
            pr["mergeable"] = json!(false);
            pr["mergeable_state"] = json!("DIRTY");
            pr["auto_merge"] = json!({"merge_method": "squash"});
        }),
    );
    assert_eq!(dirty.facts.mergeable, Some(Mergeable::Conflicting));
    assert_eq!(dirty.facts.merge_state.as_deref(), Some("dirty"));
    assert_eq!(dirty.facts.is_auto_merge, Some(true));
}

#[test]
fn forks_and_bots_are_recognized() {
    let deleted = one("pull_request", &pr_event(|pr| pr["head"]["repo"] = Value::Null)).facts;
    assert_eq!((deleted.head_repo, deleted.is_cross_repo), (None, Some(true)));
    let fork = one(
        "pull_request",
        &pr_event(|pr| {
            pr["head"]["repo"] = json!({"id": 2, "full_name": "mona/hello"});
            pr["user"] = json!({"login": "renovate[bot]"});
        }),
    );
    assert_eq!(fork.facts.head_repo.as_deref(), Some("mona/hello"));
    assert_eq!(fork.facts.is_cross_repo, Some(true));
    assert_eq!(fork.facts.is_author_bot, Some(true));
    let ghost = one("pull_request", &pr_event(|pr| pr["user"] = Value::Null)).facts;
    let gone = (Some(String::new()), Some(false));
    assert_eq!((ghost.author, ghost.is_author_bot), gone, "a deleted account, as polls read it");
    let short = |pr: &mut Value| drop(pr.as_object_mut().unwrap().remove("user"));
    let absent = one("pull_request", &pr_event(short)).facts;
    assert_eq!((absent.author, absent.is_author_bot), (None, None));
}

#[test]
fn an_issue_comment_counts_only_on_a_pull_request() {
    let mut payload = json!({"action": "edited", "repository": repository(),
        "issue": {"number": 7, "pull_request": {"url": "x"}},
        "comment": {"node_id": "IC_1", "user": {"login": "mona", "type": "User"}, "body": "Hi",
            "created_at": "2026-01-01T00:00:01Z", "updated_at": "2026-01-01T00:00:05Z"}});
    let edited = one("issue_comment", &payload);
    let comment = &edited.comments.items[0];
    assert_eq!((comment.kind, comment.body.as_str()), (CommentKind::Issue, "Hi"));
    assert_eq!(comment.edited_at, Some(at("2026-01-01T00:00:05Z")));
    assert_eq!(edited.as_of, at("2026-01-01T00:00:05Z"));
    payload["action"] = json!("deleted");
    let deleted = one("issue_comment", &payload);
    assert_eq!(deleted.comments.removed, ["IC_1"]);
    assert!(deleted.comments.items.is_empty());
    assert_eq!(deleted.as_of, NOW);
    payload["issue"] = json!({"number": 7});
    assert_eq!(
        delivered("issue_comment", &payload).unwrap(),
        Delivery::Ignored { reason: "not a pull request", location: None }
    );
}

#[test]
fn a_reply_in_a_thread_names_the_answered_comment() {
    let payload = json!({"action": "resolved", "repository": repository(),
        "pull_request": pull_request("2026-01-01T00:00:09Z"), "sender": {"login": "hubot"},
        "thread": {"node_id": "T", "comments": [
            {"id": 1, "node_id": "C1", "path": "a.rs", "line": null, "original_line": 4,
             "user": {"login": "x[bot]"}},
            {"id": 2, "node_id": "C2", "in_reply_to_id": 1, "user": {"login": "y", "type": "Bot"}}]}});
    let observation = one("pull_request_review_thread", &payload);
    let thread = &observation.threads.items[0];
    assert!(thread.is_bot && thread.is_outdated);
    assert_eq!((thread.path.as_str(), thread.original_line), ("a.rs", Some(4)));
    assert_eq!((thread.resolved_by.as_str(), thread.comments_total), ("hubot", Some(2)));
    assert_eq!(observation.comments.items[1].reply_to, "C1");
}

fn run(status: &str, conclusion: Option<&str>) -> Value {
    json!({"action": "completed", "repository": repository(), "check_run": {
        "head_sha": "aaa", "name": "build", "node_id": "CR_1", "status": status,
        "conclusion": conclusion, "started_at": "2026-01-01T00:00:01Z",
        "app": {"slug": "ci"}, "details_url": "https://ci.example/1", "pull_requests": []}})
}

#[test]
fn a_conclusion_takes_precedence_over_a_status() {
    let cases = [
        ("queued", None, CheckStatus::Queued),
        ("waiting", None, CheckStatus::Queued),
        ("in_progress", None, CheckStatus::InProgress),
        ("completed", None, CheckStatus::Unknown),
        ("completed", Some("success"), CheckStatus::Passed),
        ("completed", Some("neutral"), CheckStatus::Passed),
        ("queued", Some("failure"), CheckStatus::Failed),
        ("completed", Some("startup_failure"), CheckStatus::Failed),
        ("completed", Some("action_required"), CheckStatus::Failed),
        ("completed", Some("cancelled"), CheckStatus::Cancelled),
        ("completed", Some("stale"), CheckStatus::Skipped),
        ("completed", Some("later"), CheckStatus::Unknown),
    ];
    for (status, conclusion, expected) in cases {
        let facts = commit("check_run", &run(status, conclusion));
        assert_eq!((facts.host.as_str(), facts.repo.as_str()), ("github.com", "octo/hello"));
        assert_eq!((facts.sha.as_str(), facts.checks[0].status), ("aaa", expected));
        assert_eq!(facts.checks[0].url, "https://ci.example/1");
    }
}

#[test]
fn only_pull_requests_of_the_repository_are_addressed() {
    let mut payload = run("queued", None);
    payload["check_run"]["pull_requests"] = json!([
        {"number": 9, "base": {"repo": {"id": 2, "url": "https://api.github.com/repos/up/hello"}}},
        {"number": 7, "base": {"repo": {"url": "https://api.github.com/repos/Octo/Hello"}}},
        {"number": 7, "base": {"repo": {"id": 1}}},
        {"number": 5}]);
    assert_eq!(one("check_run", &payload).pr.number, 7);
    payload["check_run"]["pull_requests"] = json!([{"number": 9, "base": {"repo": {"id": 2}}}]);
    assert_eq!(commit("check_run", &payload).sha, "aaa");
}

#[test]
fn statuses_suites_and_workflows_are_checks() {
    for (state, expected) in [
        ("pending", CheckStatus::InProgress),
        ("success", CheckStatus::Passed),
        ("error", CheckStatus::Failed),
        ("failure", CheckStatus::Failed),
        ("?", CheckStatus::Unknown),
    ] {
        let payload = json!({"sha": "aaa", "context": "ci/x", "state": state,
            "updated_at": "2026-01-01T00:00:01+00:00", "repository": repository()});
        let check = commit("status", &payload).checks.remove(0);
        assert_eq!((check.kind, check.name.as_str()), (CheckKind::Status, "ci/x"));
        assert_eq!(check.status, expected);
    }
    let payload = json!({"repository": repository(), "check_suite": {"head_sha": "aaa",
        "status": "completed", "conclusion": "failure", "app": {"slug": "ci"}}});
    let facts = commit("check_suite", &payload);
    assert_eq!((facts.checks[0].kind, facts.checks[0].name.as_str()), (CheckKind::Suite, "ci"));
    assert!(facts.as_of >= NOW);
    let payload = json!({"repository": repository(), "workflow": {"name": "CI"}, "workflow_run":
        {"head_sha": "aaa", "name": "", "event": "push", "status": "in_progress"}});
    let check = commit("workflow_run", &payload).checks.remove(0);
    assert_eq!(check.kind, CheckKind::Workflow);
    assert_eq!((check.workflow.as_str(), check.event.as_str()), ("CI", "push"));
}

#[test]
fn invalid_webhook_deliveries_have_their_error_codes() {
    let code = |event: &str, payload: &str| {
        webhook::read(event, payload.as_bytes(), None, NOW).unwrap_err().code()
    };
    assert_eq!(code("gollum", "{}"), Code::InvalidDelivery);
    assert_eq!(code("status", "{}"), Code::InvalidJson);
    assert_eq!(code("status", "{"), Code::InvalidJson);
    assert_eq!(code("status", "[]"), Code::InvalidJson);
    assert_eq!(code("push", "null"), Code::InvalidJson);
    let mut payload = pr_event(|pr| pr["number"] = json!(0));
    assert_eq!(code("pull_request", &payload.to_string()), Code::InvalidPrRef);
    payload["repository"]["html_url"] = json!("/etc/passwd");
    assert_eq!(code("pull_request", &payload.to_string()), Code::InvalidPrRef);
    let error = webhook::read("ping\u{7}", b"{}", None, NOW).unwrap_err().to_string();
    assert!(error.contains("pull_request_review_thread") && !error.contains('\u{7}'), "{error}");
}
