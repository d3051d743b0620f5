//! The owner of a pull request: attribution by repository and branch, the ownership guard, and the
//! identity that is preserved by a rename or transfer.

use ao_store::observation::{Facet, Observation, PrFacts};
use ao_store::row::pr::{self, Pr};
use ao_store::row::project;
use ao_store::row::session::{self, SessionKind};
use ao_store::{Code, Outcome, Store, apply_observation};

use crate::support::{
    Fixture, T0, add_session, assert_writes_nothing, cause, changes_after, code, fixture, head,
    kinds_of, new_project, new_session, observation, observe, place, raw, thread, threads,
    try_observe,
};

const T1: i64 = T0 + 100_000;

/// A pull request that is not stored, on a branch.
fn on_branch(repo: &str, branch: Option<&str>) -> Observation {
    let facts = PrFacts { head_ref: branch.map(str::to_owned), ..PrFacts::default() };
    Observation { pr: format!("{repo}#9").parse().unwrap(), facts, ..observation(T1) }
}

fn reason(store: &Store, seen: &Observation) -> String {
    match try_observe(store, seen).unwrap().value {
        Outcome::Unattributed { pr, why } => {
            assert_eq!(pr, seen.pr);
            why.text
        }
        other => panic!("{other:?}"),
    }
}

fn by_node(store: &Store, node: &str) -> Pr {
    store.read(|snapshot| pr::by_node(snapshot, node)).unwrap().unwrap()
}

#[test]
fn an_observation_that_names_another_session_changes_nothing() {
    let Fixture { store, dir } = fixture();
    for (session, refused) in [("demo-2", Code::PrOwnedByOther), ("ghost-1", Code::SessionNotFound)]
    {
        let mut seen = threads(T1, Facet::replace(vec![thread("t1", false)]));
        seen.session = Some(session.parse().unwrap());
        seen.facts.title = Some("stolen".to_owned());
        assert_writes_nothing(&dir.path().join("ao.db"), || {
            assert_eq!(code(try_observe(&store, &seen)), refused);
        });
    }
    let mut seen = threads(T1, Facet::replace(vec![thread("t1", false)]));
    seen.session = Some("demo-1".parse().unwrap());
    assert_eq!(observe(&store, &seen).value.threads.inserted, 1, "its owner may be named");
}

#[test]
fn a_new_pull_request_of_a_session_that_does_not_exist_is_refused() {
    let Fixture { store, dir } = fixture();
    let seen = Observation {
        session: Some("ghost-1".parse().unwrap()),
        ..on_branch("octo/hello", Some("fix"))
    };
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        assert_eq!(code(try_observe(&store, &seen)), Code::SessionNotFound);
    });
}

#[test]
fn a_pull_request_without_a_session_is_not_stored() {
    let Fixture { store, dir } = fixture();
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        for (seen, why) in [
            (on_branch("octo/other", Some("fix")), "no project with a session has the origin"),
            (on_branch("octo/hello", None), "its head branch is not known"),
            (on_branch("octo/hello", Some("")), "its head branch is not known"),
            (on_branch("octo/hello", Some("nobody")), "no session works on the branch nobody"),
            (on_branch("octo/hello", Some("FIX")), "no session works on the branch FIX"),
        ] {
            let reason = reason(&store, &seen);
            assert!(reason.contains(why), "{reason}");
        }
    });
}

#[test]
fn a_branch_belongs_to_the_live_session_first_and_then_to_the_newest() {
    let Fixture { store, dir } = fixture();
    for _ in 0..3 {
        add_session(&store, "demo", "shared");
    }
    let conn = raw(&dir.path().join("ao.db"));
    let owner = |number: i64| {
        let mut seen = on_branch("OCTO/Hello", Some("shared"));
        seen.pr.number = number;
        observe(&store, &seen).value.session.to_string()
    };
    assert_eq!(owner(11), "demo-5", "the newest");
    conn.execute("UPDATE session SET is_terminated = 1 WHERE num = 5", []).unwrap();
    assert_eq!(owner(12), "demo-4", "live before terminated");
    conn.execute("UPDATE session SET is_terminated = 1", []).unwrap();
    assert_eq!(owner(13), "demo-5", "the newest of the terminated");
}

#[test]
fn an_archived_project_gets_no_new_pull_request() {
    let Fixture { store, dir } = fixture();
    raw(&dir.path().join("ao.db")).execute_batch("UPDATE project SET archived_at = 1").unwrap();
    assert!(reason(&store, &on_branch("octo/hello", Some("fix"))).contains("no project"));
    let new = new_project("second");
    store.write(cause(), move |tx| project::add(tx, &new)).unwrap();
    let new = new_session("second", SessionKind::Worker, "fix");
    store.write(cause(), move |tx| session::create(tx, &new)).unwrap();
    assert_eq!(
        observe(&store, &on_branch("octo/hello", Some("fix"))).value.session.as_str(),
        "second-1"
    );
}

#[test]
fn a_renamed_or_transferred_pull_request_keeps_its_row_and_its_owner() {
    let Fixture { store, dir: _dir } = fixture();
    observe(&store, &threads(T1, Facet::replace(vec![thread("t1", false)])));
    let id = by_node(&store, "PR_7").id;
    let moved = Observation {
        pr: "new-owner/Renamed#70".parse().unwrap(),
        node_id: "PR_7".to_owned(),
        facts: PrFacts { title: Some("t".to_owned()), ..PrFacts::default() },
        ..threads(T1 + 1, Facet::replace(vec![thread("t1", true)]))
    };
    let applied = observe(&store, &moved).value;
    assert_eq!((&applied.pr, applied.session.as_str(), applied.is_new), (&id, "demo-1", false));
    let row = by_node(&store, "PR_7");
    assert_eq!((row.id, row.repo.as_str(), row.number), (id, "new-owner/Renamed", 70));
    assert_eq!(row.url, "https://github.com/new-owner/Renamed/pull/70");
    assert!(store.read(|snapshot| pr::at(snapshot, &place())).unwrap().is_none());
    assert_eq!(
        kinds_of(&store, || {
            observe(&store, &moved);
        }),
        [""; 0]
    );
    let case_only = Observation { pr: "NEW-owner/renamed#70".parse().unwrap(), ..moved };
    assert_eq!(
        kinds_of(&store, || {
            observe(&store, &case_only);
        }),
        [""; 0],
        "letter case is no move"
    );
}

#[test]
fn a_location_that_became_free_can_belong_to_another_pull_request() {
    let Fixture { store, dir: _dir } = fixture();
    let moved = Observation {
        pr: "octo/away#7".parse().unwrap(),
        node_id: "PR_7".to_owned(),
        facts: PrFacts { title: Some("t".to_owned()), ..PrFacts::default() },
        ..observation(T1)
    };
    observe(&store, &moved);
    let new = Observation {
        node_id: "PR_other".to_owned(),
        session: Some("demo-2".parse().unwrap()),
        ..observation(T1 + 1)
    };
    let applied = observe(&store, &new).value;
    assert!(applied.is_new);
    assert_ne!(applied.pr, by_node(&store, "PR_7").id);
    assert_eq!(
        store.read(|snapshot| pr::require(snapshot, &place())).unwrap().session.as_str(),
        "demo-2"
    );
}

#[test]
fn another_pull_request_at_a_stored_location_is_reported_and_not_stored() {
    let Fixture { store, dir } = fixture();
    let second = Observation {
        pr: "octo/hello#8".parse().unwrap(),
        node_id: "PR_8".to_owned(),
        session: Some("demo-1".parse().unwrap()),
        ..observation(T1)
    };
    observe(&store, &second);
    let facts = PrFacts { title: Some("x".to_owned()), ..PrFacts::default() };
    let unknown =
        Observation { node_id: "PR_new".to_owned(), facts: facts.clone(), ..observation(T1 + 1) };
    // Two repositories that swapped their names.
    let swapped = Observation { node_id: "PR_8".to_owned(), facts, ..observation(T1 + 1) };
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        for seen in [unknown, swapped] {
            match try_observe(&store, &seen).unwrap().value {
                Outcome::Mismatched { pr, stored, observed } => {
                    assert_eq!((pr, stored.as_str(), observed), (place(), "PR_7", seen.node_id));
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_node_id_that_is_observed_later_is_stored() {
    let Fixture { store, dir: _dir } = fixture();
    let mut seen = Observation { pr: "octo/hello#8".parse().unwrap(), ..observation(T1) };
    seen.session = Some("demo-2".parse().unwrap());
    observe(&store, &seen);
    seen.node_id = "PR_8".to_owned();
    let start = head(&store);
    observe(&store, &seen);
    let kinds: Vec<_> =
        changes_after(&store, start).into_iter().map(|c| c.kind().to_owned()).collect();
    assert_eq!(kinds, ["pr_updated"]);
    seen.node_id = String::new();
    seen.pr.number = 8;
    observe(&store, &seen);
    assert_eq!(by_node(&store, "PR_8").number, 8);
}

#[test]
fn two_observations_in_one_job_are_one_transaction() {
    let Fixture { store, dir: _dir } = fixture();
    let first = threads(T1, Facet::replace(vec![thread("t1", false)]));
    let second = threads(T1 + 1, Facet::replace(vec![thread("t1", true)]));
    let start = head(&store);
    let done = store.write(cause(), move |tx| {
        apply_observation(tx, &first)?;
        apply_observation(tx, &second)
    });
    let made = changes_after(&store, start);
    assert_eq!(done.unwrap().changes, made.len() as u64);
    assert!(made.iter().all(|change| change.tx == Some(start.next())));
    let resolved =
        made.iter().filter(|change| change.kind() == "pr_review_thread_resolved").count();
    assert_eq!(resolved, 1);
}

#[test]
fn naming_a_session_follows_the_rules_of_a_claim() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    raw(&path)
        .execute_batch(
            "UPDATE project SET host = 'github.com', repo = 'octo/hello' WHERE id = 'demo';
             UPDATE session SET kind = 'orchestrator' WHERE id = 'demo-2';",
        )
        .unwrap();
    let named = |repo: &str, session: &str| Observation {
        session: Some(session.parse().unwrap()),
        ..on_branch(repo, Some("fix"))
    };
    for (seen, refused) in [
        (named("octo/hello", "demo-2"), Code::SessionNotClaimable),
        (named("stranger/thing", "demo-1"), Code::PrProjectMismatch),
    ] {
        assert_writes_nothing(&path, || assert_eq!(code(try_observe(&store, &seen)), refused));
    }
    let mut upstream = named("upstream/hello", "demo-1");
    upstream.facts.head_repo = Some("octo/hello".to_owned());
    assert!(matches!(try_observe(&store, &upstream).unwrap().value, Outcome::Applied(_)));
}

#[test]
fn what_ended_before_a_session_existed_is_not_its_work() {
    let Fixture { store, dir: _dir } = fixture();
    let mut seen = on_branch("octo/hello", Some("fix"));
    let created = store.read(|tx| session::require(tx, &"demo-1".parse()?)).unwrap().created_at;
    add_session(&store, "demo", "fix");
    seen.facts.merged_at = Some(ao_store::Timestamp(created.0 - 86_400_000));
    assert_eq!(reason(&store, &seen), "no session worked on the branch fix when it ended");
    seen.facts.merged_at = Some(ao_store::Timestamp(created.0 + 3_600_000));
    assert!(matches!(try_observe(&store, &seen).unwrap().value, Outcome::Applied(_)));
}
