//! A delivery is taken once, as a whole, and asks for a look at what it is about.

use ao_observer::webhook::Taken;
use ao_store::row::scm;
use ao_store::{Cause, Code, Outcome};
use serde_json::{Value, json};

use crate::store::{World, event, opened, run};
use crate::support::NOW;

const ID: Option<&str> = Some("72d3162e-cc78-11e3-81ab-4c9367dc0958");

fn world() -> World {
    World::new("octo/hello", "ao/demo-1")
}

/// What is asked for, and that it is forgotten.
fn pokes(world: &World) -> Vec<String> {
    let found = world.store.read(|snapshot| scm::refresh_requests(snapshot, "github.com")).unwrap();
    let shown = found.iter().map(|poke| {
        assert_eq!(poke.at, NOW);
        format!("{}#{}", poke.repo, poke.number)
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
fn a_delivery_of_a_known_id_changes_nothing() {
    let world = world();
    let taken = world.take("pull_request", &opened(), ID).unwrap();
    assert!(matches!(&taken, Taken::Applied(outcomes) if outcomes.len() == 1), "{taken:?}");
    assert_eq!(pokes(&world), ["octo/hello#7"]);
    let before = world.changes();
    let closed = event("closed", "2026-01-01T00:00:02Z", "number", json!(7));
    assert_eq!(world.take("pull_request", &closed, ID).unwrap(), Taken::Duplicate);
    assert_eq!(world.changes(), before);
    assert!(pokes(&world).is_empty());
    assert!(matches!(world.take("pull_request", &opened(), None).unwrap(), Taken::Applied(_)));
}

#[test]
fn a_delivery_that_fails_can_be_sent_again() {
    let world = world();
    world.deliver("pull_request", &opened());
    pokes(&world);
    let named = |number: i64, sha: &str| {
        let base = json!({"repo": {"id": 1}});
        let mut payload = run("completed", Some("success"));
        payload["check_run"]["head_sha"] = json!(sha);
        payload["check_run"]["pull_requests"] = json!([{"number": 7, "base": base},
            {"number": number, "base": base}]);
        payload
    };
    let before = world.changes();
    // The store refuses a check without a commit, here that of the second as of the first.
    let refused = world.take("check_run", &named(8, ""), ID).unwrap_err();
    assert_eq!(refused.code(), Code::InvalidObservation);
    assert_eq!(world.changes(), before, "nothing of it is applied");
    assert!(pokes(&world).is_empty());
    let taken = world.take("check_run", &named(8, "aaa"), ID).unwrap();
    let Taken::Applied(outcomes) = taken else { panic!("{taken:?}") };
    assert!(matches!(outcomes[..], [Outcome::Applied(_), Outcome::Unattributed { .. }]));
    assert_eq!(pokes(&world), ["octo/hello#7", "octo/hello#8"]);
}

#[test]
fn a_commit_asks_for_the_pull_requests_that_have_it_or_for_its_repository() {
    let world = world();
    let taken = world.take("check_run", &run("queued", None), None).unwrap();
    assert!(matches!(&taken, Taken::Unattributed(why) if why.contains("head aaa")), "{taken:?}");
    assert_eq!(pokes(&world), ["octo/hello#0"]);
    world.deliver("pull_request", &opened());
    pokes(&world);
    world.deliver("check_run", &run("in_progress", None));
    assert_eq!(pokes(&world), ["octo/hello#7"]);
}

#[test]
fn a_push_asks_for_its_repository_when_it_says_which() {
    let world = world();
    let push =
        json!({"ref": "refs/heads/main", "repository": event("", "", "x", json!(1))["repository"]});
    let taken = |payload: &Value| world.take("push", payload, None).unwrap();
    assert!(matches!(taken(&push), Taken::Ignored(_)));
    assert_eq!(pokes(&world), ["octo/hello#0"]);
    for hostile in [
        json!({}),
        json!({"repository": null}),
        json!({"repository": {"full_name": 7, "html_url": "https://github.com/octo/hello"}}),
        json!({"repository": {"full_name": "octo/hello"}}),
        json!({"repository": {"full_name": "octo/hello", "html_url": "file:///etc"}}),
        json!({"repository": {"full_name": "../..", "html_url": "https://github.com/octo/hello"}}),
    ] {
        assert!(matches!(taken(&hostile), Taken::Ignored(_)), "{hostile}");
        assert!(pokes(&world).is_empty(), "{hostile}");
    }
}

#[test]
fn a_thread_with_an_action_that_is_not_understood_asks_for_its_repository() {
    let world = world();
    let thread = event("moved", "2026-01-01T00:00:01Z", "thread", json!({"node_id": "T_1"}));
    let taken = world.take("pull_request_review_thread", &thread, None).unwrap();
    assert!(matches!(taken, Taken::Ignored(_)));
    assert_eq!(pokes(&world), ["octo/hello#0"]);
}

#[test]
fn what_belongs_to_no_project_asks_for_nothing() {
    let world = World::new("octo/hello", "another-branch");
    for (name, payload) in
        [("pull_request", opened()), ("check_run", run("queued", None)), ("push", opened())]
    {
        world.take(name, &of_repo(payload, "mallory/world"), None).unwrap();
        assert!(pokes(&world).is_empty(), "{name}");
    }
    let mut comment = event("created", "", "comment", json!({"node_id": "IC_1"}));
    comment["issue"] = json!({"number": 9});
    world.take("issue_comment", &comment, None).unwrap();
    assert!(pokes(&world).is_empty(), "a comment on an issue");
}
