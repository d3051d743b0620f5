//! Applying observations, by example: which change a fact makes, what an incomplete or older
//! observation must not do, and the state after a failure.

use ao_store::observation::{
    CheckStatus, Ci, Completeness, Facet, Mergeability, Mergeable, Mode, Observation, PrFacts,
    PrState,
};
use ao_store::row::pr::{self, Pr};
use ao_store::row::{facet, session};
use ao_store::{Code, Error, Store, Timestamp, apply_observation};
use serde_json::Value;

use crate::support::{
    Fixture, SHA, assert_writes_nothing, cause, changes, changes_after, check, code, comment,
    fixture, head, kinds_of, observation, observe, place, thread, threads, try_observe,
};

const T1: i64 = crate::support::T0 + 100_000;

fn stored(store: &Store) -> Pr {
    store.read(|snapshot| pr::require(snapshot, &place())).unwrap()
}

fn stored_threads(store: &Store) -> Vec<(String, bool)> {
    let id = stored(store).id;
    let threads = store.read(|snapshot| facet::threads(snapshot, &id)).unwrap();
    threads.into_iter().map(|thread| (thread.id, thread.is_resolved)).collect()
}

fn kinds(store: &Store, seen: &Observation) -> Vec<String> {
    let kinds = kinds_of(store, || {
        observe(store, seen);
    });
    kinds.into_iter().filter(|kind| kind != "pr_updated").collect()
}

fn gone(as_of: i64, id: &str) -> Observation {
    threads(as_of, Facet { removed: vec![id.to_owned()], ..Facet::merge(vec![]) })
}

#[test]
fn a_resolved_thread_makes_one_change_in_every_mode() {
    type Bring = fn(Vec<ao_store::observation::Thread>) -> Facet<ao_store::observation::Thread>;
    for bring in [Facet::replace as Bring, Facet::merge as Bring] {
        for first in [Facet::replace as Bring, Facet::merge as Bring] {
            let Fixture { store, dir: _dir } = fixture();
            let both = |resolved| vec![thread("t1", resolved), thread("t2", false)];
            assert_eq!(
                kinds(&store, &threads(T1, first(both(false)))),
                ["pr_review_thread_added"; 2]
            );
            let start = head(&store);
            assert_eq!(
                kinds(&store, &threads(T1 + 1, bring(both(true)))),
                ["pr_review_thread_resolved"]
            );
            let event = changes_after(&store, start)
                .into_iter()
                .find(|c| c.entity() == "pr_review_thread")
                .unwrap();
            let image = |text: Option<&str>| serde_json::from_str::<Value>(text.unwrap()).unwrap();
            assert_eq!(image(event.before())["is_resolved"], Value::Bool(false));
            assert_eq!(image(event.after())["is_resolved"], Value::Bool(true));
            assert_eq!(event.key(), r#"["github.com/octo/hello#7","t1"]"#);
            assert_eq!((event.project(), event.session()), (Some("demo"), Some("demo-1")));
            assert_eq!(kinds(&store, &threads(T1 + 2, bring(both(true)))), [""; 0]);
            assert_eq!(
                kinds(&store, &threads(T1 + 3, bring(both(false)))),
                ["pr_review_thread_reopened"]
            );
        }
    }
}

#[test]
fn a_removed_thread_makes_one_change() {
    let Fixture { store, dir: _dir } = fixture();
    observe(
        &store,
        &threads(
            T1,
            Facet::replace(vec![thread("t1", true), thread("t2", false), thread("t3", false)]),
        ),
    );
    let complete = threads(T1 + 1, Facet::replace(vec![thread("t1", true), thread("t2", false)]));
    assert_eq!(kinds(&store, &complete), ["pr_review_thread_removed"]);
    let removed = observe(&store, &gone(T1 + 2, "t2"));
    assert_eq!(
        (removed.changes, removed.value.threads.deleted, removed.value.threads.unchanged),
        (1, 1, 1)
    );
    assert_eq!(changes(&store).pop().unwrap().kind(), "pr_review_thread_removed");
    assert_eq!(stored_threads(&store), [("t1".to_owned(), true)]);
}

#[test]
fn a_thread_first_observed_as_resolved_is_only_added() {
    let Fixture { store, dir: _dir } = fixture();
    assert_eq!(
        kinds(&store, &threads(T1, Facet::replace(vec![thread("t1", true)]))),
        ["pr_review_thread_added"]
    );
    assert_eq!(
        kinds(&store, &threads(T1, Facet::merge(vec![thread("t2", true)]))),
        ["pr_review_thread_added"]
    );
}

#[test]
fn a_partial_or_missing_observation_deletes_nothing() {
    let Fixture { store, dir: _dir } = fixture();
    let all = vec![thread("t1", false), thread("t2", false)];
    observe(&store, &threads(T1, Facet::replace(all.clone())));
    let window = Facet { completeness: Some(Completeness::Partial), ..Facet::merge(vec![]) };
    assert_eq!(kinds(&store, &threads(T1 + 1, window)), [""; 0]);
    assert_eq!(stored(&store).threads_state, Completeness::Partial);
    let failed = Facet { completeness: Some(Completeness::Failed), ..Facet::default() };
    assert_eq!(kinds(&store, &threads(T1 + 2, failed)), [""; 0]);
    assert_eq!(stored(&store).threads_state, Completeness::Failed);
    let preserve = Facet { mode: Mode::Preserve, ..Facet::replace(vec![thread("t9", true)]) };
    assert_eq!(kinds(&store, &threads(T1 + 3, preserve)), [""; 0]);
    assert_eq!(stored_threads(&store).len(), 2);
    assert_eq!(
        kinds(&store, &threads(T1 + 4, Facet::replace(vec![]))),
        ["pr_review_thread_removed"; 2]
    );
}

#[test]
fn an_unknown_mergeable_keeps_the_known_value_and_marks_it_stale() {
    let Fixture { store, dir: _dir } = fixture();
    let mut seen = observation(T1);
    let mut apply = |mergeable, state: &str, head: Option<&str>| {
        seen.as_of = Timestamp(seen.as_of.0 + 1);
        seen.facts = PrFacts {
            mergeable,
            merge_state: Some(state.to_owned()),
            head_sha: head.map(str::to_owned),
            ..PrFacts::default()
        };
        observe(&store, &seen);
        let pr = stored(&store);
        (pr.mergeable, pr.is_mergeable_stale, pr.merge_state, pr.mergeability)
    };
    let fresh = (Mergeable::Mergeable, false, "clean".to_owned(), Mergeability::Mergeable);
    let stale = (Mergeable::Mergeable, true, "clean".to_owned(), Mergeability::Mergeable);
    assert_eq!(apply(Some(Mergeable::Mergeable), "clean", None), fresh);
    assert_eq!(apply(Some(Mergeable::Unknown), "unknown", None), stale);
    assert_eq!(apply(Some(Mergeable::Mergeable), "clean", None), fresh);
    assert_eq!(apply(None, "", Some("new-head")), stale);
    let conflict = (Mergeable::Conflicting, false, "dirty".to_owned(), Mergeability::Conflicting);
    assert_eq!(apply(Some(Mergeable::Conflicting), "dirty", None), conflict);
}

#[test]
fn an_older_observation_of_a_facet_is_ignored() {
    let Fixture { store, dir: _dir } = fixture();
    observe(&store, &threads(T1, Facet::replace(vec![thread("t1", true)])));
    for facet in [
        Facet::replace(vec![]),
        Facet::merge(vec![thread("t1", false)]),
        Facet { removed: vec!["t1".to_owned()], ..Facet::merge(vec![]) },
    ] {
        let late = observe(&store, &threads(T1 - 1, facet));
        assert_eq!((late.changes, late.value.stale.contains(&"threads")), (0, true));
    }
    assert_eq!(stored_threads(&store), [("t1".to_owned(), true)]);
}

#[test]
fn older_metadata_is_ignored_by_provider_time_and_then_by_observation_time() {
    let Fixture { store, dir: _dir } = fixture();
    let apply = |as_of: i64, provider_at: Option<i64>, title: &str| {
        let mut seen = observation(as_of);
        seen.provider_at = provider_at.map(Timestamp);
        seen.facts.title = Some(title.to_owned());
        let stale = observe(&store, &seen).value.stale;
        (stored(&store).title, stale)
    };
    let taken = |title: &str| (title.to_owned(), vec![]);
    let kept = |title: &str| (title.to_owned(), vec!["metadata"]);
    assert_eq!(apply(T1, Some(50), "first"), taken("first"));
    assert_eq!(apply(T1 + 10, Some(49), "older at the provider"), kept("first"));
    assert_eq!(apply(T1 - 10, Some(51), "newer at the provider"), taken("newer at the provider"));
    assert_eq!(apply(T1 - 20, None, "an older observation"), kept("newer at the provider"));
    assert_eq!(
        apply(T1 - 20, Some(51), "an older observation, same time"),
        kept("newer at the provider")
    );
    assert_eq!(
        apply(T1 + 20, Some(51), "same time, newer observation"),
        taken("same time, newer observation")
    );
}

#[test]
fn webhook_deliveries_out_of_order_end_in_the_newest_fact_of_each_item() {
    let Fixture { store, dir: _dir } = fixture();
    let item = |as_of, id: &str, resolved| threads(as_of, Facet::merge(vec![thread(id, resolved)]));
    assert_eq!(kinds(&store, &item(T1 + 20, "t1", true)), ["pr_review_thread_added"]);
    assert_eq!(kinds(&store, &item(T1 + 10, "t1", false)), [""; 0], "an older fact");
    assert_eq!(
        kinds(&store, &item(T1 + 10, "t2", false)),
        ["pr_review_thread_added"],
        "another item"
    );
    assert_eq!(kinds(&store, &item(T1 + 22, "t1", true)), [""; 0], "the same again, later");
    assert_eq!(kinds(&store, &item(T1 + 21, "t1", false)), [""; 0], "between the two");
    assert_eq!(kinds(&store, &gone(T1 + 30, "t1")), ["pr_review_thread_removed"]);
    assert_eq!(kinds(&store, &item(T1 + 25, "t1", false)), [""; 0], "created after removed");
    assert_eq!(kinds(&store, &gone(T1 + 50, "t3")), [""; 0], "removed before it was known");
    assert_eq!(kinds(&store, &item(T1 + 40, "t3", false)), [""; 0], "created after that");
    assert_eq!(kinds(&store, &item(T1 + 60, "t3", false)), ["pr_review_thread_added"]);
    assert_eq!(kinds(&store, &gone(T1 + 55, "t3")), [""; 0], "an older removal");
}

#[test]
fn an_observation_requested_before_a_webhook_delivery_does_not_undo_it() {
    let Fixture { store, dir: _dir } = fixture();
    let open = vec![thread("t1", false), thread("t2", false), thread("t3", false)];
    observe(&store, &threads(T1, Facet::replace(open.clone())));
    observe(&store, &threads(T1 + 20, Facet::merge(vec![thread("t1", true), thread("t4", false)])));
    observe(&store, &gone(T1 + 20, "t2"));
    let late = threads(T1 + 10, Facet::replace(vec![thread("t1", false), thread("t2", false)]));
    assert_eq!(
        kinds(&store, &late),
        ["pr_review_thread_removed"],
        "only t3, of which nothing newer is known"
    );
    let expected = [("t1".to_owned(), true), ("t4".to_owned(), false)];
    assert_eq!(stored_threads(&store), expected);
    let newer = threads(T1 + 30, Facet::replace(vec![thread("t1", false), thread("t2", false)]));
    assert_eq!(kinds(&store, &newer).len(), 3, "t1 reopened, t2 added, t4 removed");
}

#[test]
fn a_webhook_delivery_of_a_check_is_ordered_by_its_id_and_its_time() {
    let Fixture { store, dir: _dir } = fixture();
    let known = ao_store::observation::Check {
        workflow: "CI".to_owned(),
        event: "push".to_owned(),
        external_id: "55".to_owned(),
        ..check("build", CheckStatus::Queued)
    };
    let apply =
        |as_of, facet| observe(&store, &Observation { checks: facet, ..observation(as_of) });
    apply(T1, Facet::replace(vec![known.clone()]));
    let delivery = |status| ao_store::observation::Check {
        external_id: "55".to_owned(),
        ..check("build", status)
    };
    let done = apply(T1 + 20, Facet::merge(vec![delivery(CheckStatus::Failed)]));
    assert_eq!((done.value.checks.updated, done.value.checks.inserted), (1, 0));
    assert_eq!(stored(&store).ci, Ci::Failing);
    let late = apply(T1 + 10, Facet::merge(vec![delivery(CheckStatus::InProgress)]));
    assert_eq!((late.changes, late.value.stale), (0, vec!["checks"]), "an older delivery");
    assert_eq!(stored(&store).ci, Ci::Failing);
}

#[test]
fn a_failure_after_an_observation_in_the_same_job_leaves_nothing() {
    let Fixture { store, dir } = fixture();
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        let seen = threads(T1, Facet::replace(vec![thread("t1", false)]));
        let refused = store.write(cause(), move |tx| {
            apply_observation(tx, &seen)?;
            session::require(tx, &"ghost-1".parse()?)
        });
        assert_eq!(code(refused), Code::SessionNotFound);
    });
    assert_eq!(stored_threads(&store), []);
    assert_eq!(stored(&store).threads_state, Completeness::Unknown);
    let again = threads(T1, Facet::replace(vec![thread("t1", false)]));
    assert_eq!(kinds(&store, &again), ["pr_review_thread_added"]);
}

#[test]
fn of_several_items_with_one_key_the_last_is_stored() {
    let Fixture { store, dir: _dir } = fixture();
    let twice = |first, last| vec![thread("t1", first), thread("t2", false), thread("t1", last)];
    assert_eq!(
        kinds(&store, &threads(T1, Facet::replace(twice(false, true)))),
        ["pr_review_thread_added"; 2]
    );
    assert_eq!(stored_threads(&store), [("t1".to_owned(), true), ("t2".to_owned(), false)]);
    let other = threads(T1 + 1, Facet::replace(twice(true, false)));
    assert_eq!(
        kinds(&store, &other),
        ["pr_review_thread_reopened"],
        "the same items in another order"
    );
    assert_eq!(
        kinds(&store, &threads(T1 + 2, Facet::merge(twice(false, true)))),
        ["pr_review_thread_resolved"]
    );
}

#[test]
fn a_new_pull_request_is_one_change_with_all_known_facts() {
    let Fixture { store, dir: _dir } = fixture();
    let mut seen = Observation {
        pr: "octo/hello#8".parse().unwrap(),
        session: Some("demo-1".parse().unwrap()),
        ..observation(T1)
    };
    seen.facts = PrFacts {
        head_sha: Some(SHA.to_owned()),
        state: Some(PrState::Open),
        mergeable: Some(Mergeable::Mergeable),
        merge_state: Some("clean".to_owned()),
        ..PrFacts::default()
    };
    seen.checks = Facet::replace(vec![
        check("a", CheckStatus::Failed),
        check("b", CheckStatus::Passed),
        check("a", CheckStatus::Passed),
    ]);
    seen.comments = Facet::replace(vec![comment("c", "x")]);
    let start = head(&store);
    assert!(observe(&store, &seen).value.is_new);
    let made = changes_after(&store, start);
    let kinds: Vec<_> = made.iter().map(|change| change.kind()).collect();
    assert_eq!(kinds, ["pr_created", "pr_check_recorded", "pr_check_recorded", "pr_comment_added"]);
    let image: Value = serde_json::from_str(made[0].after().unwrap()).unwrap();
    for (column, value) in [
        ("ci", "passing"),
        ("mergeability", "mergeable"),
        ("checks_state", "complete"),
        ("comments_state", "complete"),
        ("threads_state", "unknown"),
        ("state", "open"),
    ] {
        assert_eq!(image[column], value, "{column}: of the checks named a the last counts");
    }
    assert_eq!(
        kinds_of(&store, || {
            observe(&store, &seen);
        }),
        [""; 0]
    );
}

#[test]
fn checks_that_are_not_stored_do_not_count_for_a_new_pull_request() {
    let Fixture { store, dir: _dir } = fixture();
    let mut seen = Observation { pr: "octo/hello#8".parse().unwrap(), ..observation(T1) };
    seen.session = Some("demo-1".parse().unwrap());
    seen.facts.head_sha = Some(SHA.to_owned());
    seen.checks =
        Facet { mode: Mode::Preserve, ..Facet::replace(vec![check("a", CheckStatus::Failed)]) };
    observe(&store, &seen);
    let pr = store.read(|snapshot| pr::require(snapshot, &seen.pr)).unwrap();
    assert_eq!(pr.ci, Ci::Unknown);
}

#[test]
fn an_observation_that_cannot_be_stored_is_refused() {
    let Fixture { store, dir } = fixture();
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        let mut bad = vec![
            threads(T1, Facet::merge(vec![thread("t1", false), thread("", false)])),
            Observation { comments: Facet::replace(vec![comment("", "x")]), ..observation(T1) },
            Observation {
                reviews: Facet::merge(vec![ao_store::observation::Review::default()]),
                ..observation(T1)
            },
            Observation {
                checks: Facet::merge(vec![check("", CheckStatus::Passed)]),
                ..observation(T1)
            },
            // A check is known by six fields, so one id cannot say which is gone.
            Observation {
                checks: Facet { removed: vec!["x".to_owned()], ..Facet::merge(vec![]) },
                ..observation(T1)
            },
            // Both there and gone.
            threads(
                T1,
                Facet { removed: vec!["t1".to_owned()], ..Facet::merge(vec![thread("t1", false)]) },
            ),
        ];
        bad.push(threads(T1, Facet { removed: vec![String::new()], ..Facet::merge(vec![]) }));
        bad.push(threads(T1, Facet::replace(vec![thread("a\0b", false)])));
        bad.push(threads(T1, Facet { removed: vec!["t9".to_owned()], ..Facet::replace(vec![]) }));
        let incomplete = [Completeness::Partial, Completeness::Failed];
        bad.extend(incomplete.map(|completeness| {
            let completeness = Some(completeness);
            threads(T1, Facet { completeness, ..Facet::replace(vec![thread("t1", false)]) })
        }));
        // A time far ahead would make every later fact observation old.
        bad.push(threads(T1 + 400 * 86_400_000, Facet::replace(vec![thread("t1", false)])));
        bad.push(Observation { provider_at: Some(Timestamp(i64::MAX)), ..observation(T1) });
        for seen in bad {
            assert_eq!(code(try_observe(&store, &seen)), Code::InvalidObservation, "{seen:?}");
        }
    });
    assert!(matches!(try_observe(&store, &threads(T1, Facet::merge(vec![thread("", true)]))),
        Err(Error::InvalidObservation(text)) if text.contains("thread")));
}

#[test]
fn a_time_of_the_year_1_is_no_time() {
    let Fixture { store, dir: _dir } = fixture();
    let zero = Some(Timestamp(-62_135_596_800_000));
    let run = ao_store::observation::Check {
        started_at: zero,
        completed_at: Some(Timestamp(T1)),
        ..check("build", CheckStatus::Skipped)
    };
    let mut seen = Observation { checks: Facet::replace(vec![run]), ..observation(T1) };
    seen.facts.closed_at = zero;
    observe(&store, &seen);
    let pr = stored(&store);
    assert_eq!(pr.closed_at, None);
    let checks = store.read(|snapshot| facet::checks(snapshot, &pr.id)).unwrap();
    assert_eq!((checks[0].started_at, checks[0].completed_at), (None, Some(Timestamp(T1))));
}
