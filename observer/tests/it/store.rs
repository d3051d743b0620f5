//! Webhook deliveries in a real store: what they change, and that the newest fact is kept in any
//! order.

use ao_observer::documents;
use ao_observer::webhook::{Recorded, record};
use ao_store::log::change;
use ao_store::observation::{CheckStatus, Ci, Observation, ReviewState};
use ao_store::row::{facet, pr, project, session};
use ao_store::{
    Applied, Cause, Options, Outcome, Result, Seq, Store, Timestamp, apply_observation,
};
use serde_json::{Value, json};

use crate::support::{NOW, delivered, pull_request, recorded, repository};

/// A store with one project and one session on a branch.
pub(crate) struct World {
    pub(crate) store: Store,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(repo: &str, branch: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::create(&folder.path().join("ao.db"), Options::default()).unwrap();
        let project = project::NewProject {
            id: "demo".parse().unwrap(),
            path: "/src/demo".to_owned(),
            name: "demo".to_owned(),
            origin_url: format!("https://github.com/{repo}.git"),
            host: "github.com".to_owned(),
            repo: repo.to_owned(),
            default_branch: "main".to_owned(),
        };
        let session = session::NewSession {
            project: project.id.clone(),
            kind: session::SessionKind::Worker,
            harness: String::new(),
            name: String::new(),
            issue: String::new(),
            branch: branch.to_owned(),
        };
        let cause = Cause::new("test", NOW);
        store
            .write(cause, move |tx| {
                project::add(tx, &project)?;
                session::create(tx, &session)
            })
            .unwrap();
        World { store, _folder: folder }
    }

    fn apply(&self, observation: Observation) -> Applied {
        let cause = Cause::new("test", NOW);
        let committed =
            self.store.write(cause, move |tx| apply_observation(tx, &observation)).unwrap();
        applied(committed.value)
    }

    /// Records a webhook delivery as a caller does.
    pub(crate) fn record(
        &self,
        event: &str,
        payload: &Value,
        id: Option<&str>,
    ) -> Result<Recorded> {
        let (delivery, id) = (delivered(event, payload).unwrap(), id.map(str::to_owned));
        let cause = Cause::new("test", NOW);
        Ok(self.store.write(cause, move |tx| record(tx, &delivery, id.as_deref()))?.value)
    }

    /// The changes of a webhook delivery; a commit of no tracked pull request changes nothing.
    pub(crate) fn deliver(&self, event: &str, payload: &Value) -> Vec<Applied> {
        let outcomes = match self.record(event, payload, None).unwrap() {
            Recorded::Applied(outcomes) => outcomes,
            Recorded::Unattributed(_) => Vec::new(),
            other => panic!("{event}: {other:?}"),
        };
        outcomes.into_iter().map(applied).collect()
    }

    /// The types of the changes so far.
    pub(crate) fn changes(&self) -> Vec<String> {
        let mut kinds = Vec::new();
        self.store
            .read(|snapshot| {
                change::scan(snapshot, Seq(0), 1_000, |change| {
                    kinds.push(change.kind()?.into_owned());
                    Ok(())
                })
            })
            .unwrap();
        kinds
    }

    fn pr(&self, location: &str) -> pr::Pr {
        let location = location.parse().unwrap();
        self.store.read(|snapshot| pr::require(snapshot, &location)).unwrap()
    }
}

fn applied(outcome: Outcome) -> Applied {
    match outcome {
        Outcome::Applied(applied) => applied,
        other => panic!("not applied: {other:?}"),
    }
}

pub(crate) fn event(action: &str, updated_at: &str, part: &str, value: Value) -> Value {
    let mut payload = json!({"action": action, "repository": repository(),
        "pull_request": pull_request(updated_at), "sender": {"login": "mona", "type": "User"}});
    payload[part] = value;
    payload
}

pub(crate) fn opened() -> Value {
    event("opened", "2026-01-01T00:00:01Z", "number", json!(7))
}

fn thread(action: &str, updated_at: &str) -> Value {
    let comment = json!({"id": 1, "node_id": "C_1", "path": "a.rs", "line": 3, "body": "Why?",
        "user": {"login": "hubot", "type": "Bot"}});
    event(action, updated_at, "thread", json!({"node_id": "T_1", "comments": [comment]}))
}

pub(crate) fn run(status: &str, conclusion: Option<&str>) -> Value {
    json!({"action": "created", "repository": repository(), "check_run": {
        "head_sha": "aaa", "name": "build", "node_id": "CR_1", "status": status,
        "conclusion": conclusion, "started_at": "2026-01-01T00:00:02Z", "pull_requests": []}})
}

#[test]
fn webhook_deliveries_of_a_pull_request_become_changes() {
    let world = World::new("octo/hello", "ao/demo-1");
    let review = json!({"node_id": "R_1", "state": "CHANGES_REQUESTED", "body": "No.",
        "user": {"login": "hubot", "type": "Bot"}, "submitted_at": "2026-01-01T00:00:02Z"});
    assert!(world.deliver("pull_request", &opened())[0].is_new);
    world.deliver(
        "pull_request_review",
        &event("submitted", "2026-01-01T00:00:02Z", "review", review),
    );
    world.deliver("pull_request_review_thread", &thread("resolved", "2026-01-01T00:00:03Z"));
    world.deliver("pull_request_review_thread", &thread("unresolved", "2026-01-01T00:00:04Z"));
    world.deliver("check_run", &run("completed", Some("failure")));
    let expected = [
        "project_created",
        "session_created",
        "pr_created",
        "pr_review_added",
        "pr_review_thread_added",
        "pr_comment_added",
        "pr_review_thread_reopened",
        "pr_check_recorded",
        "pr_updated",
    ];
    assert_eq!(world.changes(), expected);
    let pr = world.pr("octo/hello#7");
    assert_eq!((pr.session.as_str(), pr.ci), ("demo-1", Ci::Failing));
    let reviews = world.store.read(|snapshot| facet::reviews(snapshot, &pr.id)).unwrap();
    assert_eq!(reviews[0].state, ReviewState::ChangesRequested);
}

#[test]
fn a_repeated_webhook_delivery_changes_nothing() {
    let world = World::new("octo/hello", "ao/demo-1");
    let all = [
        ("pull_request", opened()),
        ("pull_request_review_thread", thread("resolved", "2026-01-01T00:00:03Z")),
        ("check_run", run("completed", Some("success"))),
    ];
    for (event, payload) in &all {
        world.deliver(event, payload);
    }
    let before = world.changes();
    for (event, payload) in &all {
        world.deliver(event, payload);
    }
    assert_eq!(world.changes(), before);
}

#[test]
fn an_older_webhook_delivery_of_an_item_is_ignored() {
    let world = World::new("octo/hello", "ao/demo-1");
    world.deliver("pull_request", &opened());
    world.deliver("pull_request_review_thread", &thread("resolved", "2026-01-01T00:00:09Z"));
    world.deliver("check_run", &run("completed", Some("success")));
    let late =
        world.deliver("pull_request_review_thread", &thread("unresolved", "2026-01-01T00:00:05Z"));
    assert!(late[0].stale.contains(&"threads"), "{late:?}");
    // The check began, and was queued, in the same second in which it passed.
    let late = world.deliver("check_run", &run("queued", None));
    assert!(late[0].stale.contains(&"checks"), "{late:?}");
    let pr = world.pr("octo/hello#7");
    let threads = world.store.read(|snapshot| facet::threads(snapshot, &pr.id)).unwrap();
    assert!(threads[0].is_resolved);
    let checks = world.store.read(|snapshot| facet::checks(snapshot, &pr.id)).unwrap();
    assert_eq!(checks[0].status, CheckStatus::Passed);
}

#[test]
fn runs_of_one_name_in_two_suites_are_two_checks() {
    let world = World::new("octo/hello", "ao/demo-1");
    world.deliver("pull_request", &opened());
    let of_suite = |id: &str, suite: u64, conclusion, started_at: &str| {
        let mut payload = run("completed", Some(conclusion));
        payload["check_run"]["node_id"] = json!(id);
        payload["check_run"]["check_suite"] = json!({"id": suite});
        payload["check_run"]["started_at"] = json!(started_at);
        payload["check_run"]["completed_at"] = json!("2026-01-01T00:00:03Z");
        payload
    };
    world.deliver("check_run", &of_suite("CR_1", 11, "failure", "2026-01-01T00:00:02Z"));
    world.deliver("check_run", &of_suite("CR_2", 22, "success", "2026-01-01T00:00:03Z"));
    let pr = world.pr("octo/hello#7");
    let checks = world.store.read(|snapshot| facet::checks(snapshot, &pr.id)).unwrap();
    let suites: Vec<_> = checks.iter().map(|check| check.suite.as_str()).collect();
    assert_eq!((suites, pr.ci), (vec!["11", "22"], Ci::Failing));
    world.deliver("check_run", &of_suite("CR_3", 11, "success", "2026-01-01T00:00:03Z"));
    let pr = world.pr("octo/hello#7");
    let checks = world.store.read(|snapshot| facet::checks(snapshot, &pr.id)).unwrap();
    let ids: Vec<_> = checks.iter().map(|check| check.external_id.as_str()).collect();
    assert_eq!((ids, pr.ci), (vec!["CR_3", "CR_2"], Ci::Passing));
}

#[test]
fn a_deleted_comment_stays_deleted() {
    let world = World::new("octo/hello", "ao/demo-1");
    world.deliver("pull_request", &opened());
    let comment = |action: &str| {
        json!({"action": action, "repository": repository(),
            "issue": {"number": 7, "pull_request": {}},
            "comment": {"node_id": "IC_1", "body": action, "updated_at": "2026-01-01T00:00:05Z"}})
    };
    world.deliver("issue_comment", &comment("created"));
    world.deliver("issue_comment", &comment("deleted"));
    world.deliver("issue_comment", &comment("edited"));
    let kinds = world.changes();
    assert_eq!(kinds[kinds.len() - 2..], ["pr_comment_added", "pr_comment_removed"]);
}

/// The recorded webhook deliveries of one pull request, in their order.
#[test]
fn recorded_webhook_deliveries_are_stored() {
    let world = World::new("Codertocat/Hello-World", "changes");
    let events = [
        "pull_request",
        "pull_request_review",
        "pull_request_review_comment",
        "pull_request_review_thread",
        "check_run",
        "check_suite",
    ];
    let mut count = 0;
    for event in events {
        for payload in recorded(event) {
            // Some recordings are of another pull request that once had this location.
            let node_id = &payload["pull_request"]["node_id"];
            let is_other = !node_id.is_null() && node_id != "MDExOlB1bGxSZXF1ZXN0Mjc5MTQ3NDM3";
            if payload["repository"]["full_name"] == "Codertocat/Hello-World" && !is_other {
                count += world.deliver(event, &payload).len();
            }
        }
    }
    if count == 0 {
        return;
    }
    let kinds = world.changes();
    for kind in [
        "pr_created",
        "pr_review_added",
        "pr_comment_added",
        "pr_comment_removed",
        "pr_review_thread_added",
        "pr_review_thread_reopened",
        "pr_check_recorded",
    ] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} is not in {kinds:?}");
    }
    let pr = world.pr("Codertocat/Hello-World#2");
    assert_eq!((pr.head_ref.as_str(), pr.session.as_str()), ("changes", "demo-1"));
}

#[test]
fn a_partial_document_adds_and_a_complete_one_replaces() {
    let world = World::new("octo/hello", "ao/demo-1");
    let apply = |document: Value, as_of: i64| {
        let text = document.to_string();
        let document = documents(text.as_bytes()).next().unwrap().unwrap().value;
        world.apply(document.into_observation(Timestamp(as_of)).unwrap())
    };
    apply(
        json!({"pr": "octo/hello#7", "facts": {"head_ref": "ao/demo-1"},
        "threads": [{"id": "T1"}, {"id": "T2"}]}),
        1_000,
    );
    let partial = apply(
        json!({"pr": "octo/hello#7", "threads":
        {"completeness": "partial", "items": [{"id": "T3"}]}}),
        2_000,
    );
    assert_eq!((partial.threads.inserted, partial.threads.deleted), (1, 0));
    let complete = apply(json!({"pr": "octo/hello#7", "threads": [{"id": "T3"}]}), 3_000);
    assert_eq!((complete.threads.deleted, complete.threads.unchanged), (2, 1));
}
