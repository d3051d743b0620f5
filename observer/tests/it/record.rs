//! A webhook delivery is recorded once, as a whole, and requests a refresh of what it is about.

use ao_observer::webhook::Recorded;
use ao_store::row::scm;
use ao_store::{Cause, Code, Outcome};
use serde_json::{Value, json};

use crate::store::{World, event, opened, run};
use crate::support::NOW;

const ID: Option<&str> = Some("72d3162e-cc78-11e3-81ab-4c9367dc0958");

fn world() -> World {
    World::new("octo/hello", "ao/demo-1")
}

/// The refresh requests, which this deletes.
fn refresh_requests(world: &World) -> Vec<String> {
    let found = world.store.read(|snapshot| scm::refresh_requests(snapshot, "github.com")).unwrap();
    let shown = found.iter().map(|request| {
        assert_eq!(request.at, NOW);
        format!("{}#{}", request.repo, request.number)
    });
    let shown = shown.collect();
    world
        .store
        .write(Cause::new("test", NOW), move |tx| scm::delete_refresh_requests(tx, &found))
        .unwrap();
    shown
}

fn of_repo(mut payload: Value, repo: &str) -> Value {
    payload["repository"]["full_name"] = json!(repo);
    payload["repository"]["html_url"] = json!(format!("https://github.com/{repo}"));
    payload
}

#[test]
fn a_webhook_delivery_of_a_known_id_changes_nothing() {
    let world = world();
    let recorded = world.record("pull_request", &opened(), ID).unwrap();
    assert!(
        matches!(&recorded, Recorded::Applied(outcomes) if outcomes.len() == 1),
        "{recorded:?}"
    );
    assert_eq!(refresh_requests(&world), ["octo/hello#7"]);
    let before = world.changes();
    let closed = event("closed", "2026-01-01T00:00:02Z", "number", json!(7));
    assert_eq!(world.record("pull_request", &closed, ID).unwrap(), Recorded::Duplicate);
    assert_eq!(world.changes(), before);
    assert!(refresh_requests(&world).is_empty());
    assert!(matches!(world.record("pull_request", &opened(), None).unwrap(), Recorded::Applied(_)));
}

#[test]
fn a_webhook_delivery_whose_owner_was_unknown_can_be_delivered_again() {
    let world = World::new("octo/hello", "another-branch");
    for _ in 0..2 {
        let recorded = world.record("pull_request", &opened(), ID).unwrap();
        let Recorded::Applied(outcomes) = recorded else { panic!("{recorded:?}") };
        assert!(matches!(outcomes[..], [Outcome::Unattributed { .. }]), "{outcomes:?}");
    }
}

#[test]
fn a_webhook_delivery_that_fails_can_be_sent_again() {
    let world = world();
    world.deliver("pull_request", &opened());
    refresh_requests(&world);
    let named = |number: i64, sha: &str| {
        let base = json!({"repo": {"id": 1}});
        let mut payload = run("completed", Some("success"));
        payload["check_run"]["head_sha"] = json!(sha);
        payload["check_run"]["pull_requests"] = json!([{"number": 7, "base": base},
            {"number": number, "base": base}]);
        payload
    };
    let before = world.changes();
    // The store refuses a check without a commit.
    let refused = world.record("check_run", &named(8, ""), ID).unwrap_err();
    assert_eq!(refused.code(), Code::InvalidObservation);
    assert_eq!(world.changes(), before, "nothing of it is applied");
    assert!(refresh_requests(&world).is_empty());
    let recorded = world.record("check_run", &named(8, "aaa"), ID).unwrap();
    let Recorded::Applied(outcomes) = recorded else { panic!("{recorded:?}") };
    assert!(matches!(outcomes[..], [Outcome::Applied(_), Outcome::Unattributed { .. }]));
    assert_eq!(refresh_requests(&world), ["octo/hello#7", "octo/hello#8"]);
}

#[test]
fn a_commit_requests_a_refresh_of_its_pull_requests_or_of_its_repository() {
    let world = world();
    let recorded = world.record("check_run", &run("queued", None), None).unwrap();
    assert!(
        matches!(&recorded, Recorded::Unattributed(why) if why.text.contains("head aaa")),
        "{recorded:?}"
    );
    assert_eq!(refresh_requests(&world), ["octo/hello#0"]);
    world.deliver("pull_request", &opened());
    refresh_requests(&world);
    world.deliver("check_run", &run("in_progress", None));
    assert_eq!(refresh_requests(&world), ["octo/hello#7"]);
}

#[test]
fn a_push_requests_a_refresh_of_the_repository_that_it_names() {
    let world = world();
    let push =
        json!({"ref": "refs/heads/main", "repository": event("", "", "x", json!(1))["repository"]});
    let recorded = |payload: &Value| world.record("push", payload, None).unwrap();
    assert!(matches!(recorded(&push), Recorded::Ignored(_)));
    assert_eq!(refresh_requests(&world), ["octo/hello#0"]);
    for hostile in [
        json!({}),
        json!({"repository": null}),
        json!({"repository": {"full_name": 7, "html_url": "https://github.com/octo/hello"}}),
        json!({"repository": {"full_name": "octo/hello"}}),
        json!({"repository": {"full_name": "octo/hello", "html_url": "file:///etc"}}),
        json!({"repository": {"full_name": "../..", "html_url": "https://github.com/octo/hello"}}),
    ] {
        assert!(matches!(recorded(&hostile), Recorded::Ignored(_)), "{hostile}");
        assert!(refresh_requests(&world).is_empty(), "{hostile}");
    }
}

#[test]
fn an_unknown_action_on_a_thread_requests_a_refresh_of_its_repository() {
    let world = world();
    let thread = event("moved", "2026-01-01T00:00:01Z", "thread", json!({"node_id": "T_1"}));
    let recorded = world.record("pull_request_review_thread", &thread, None).unwrap();
    assert!(matches!(recorded, Recorded::Ignored(_)));
    assert_eq!(refresh_requests(&world), ["octo/hello#0"]);
}

#[test]
fn a_repository_of_no_project_is_not_refreshed() {
    let world = World::new("octo/hello", "another-branch");
    for (name, payload) in
        [("pull_request", opened()), ("check_run", run("queued", None)), ("push", opened())]
    {
        world.record(name, &of_repo(payload, "mallory/world"), None).unwrap();
        assert!(refresh_requests(&world).is_empty(), "{name}");
    }
    let mut comment = event("created", "", "comment", json!({"node_id": "IC_1"}));
    comment["issue"] = json!({"number": 9});
    world.record("issue_comment", &comment, None).unwrap();
    assert!(refresh_requests(&world).is_empty(), "a comment on an issue");
}
