//! Which checks are stored: runs of one name are different checks, unless one of them was run again; in
//! any order of the webhook deliveries, and the same by a complete listing.

use ao_store::observation::{Check, CheckKind, CheckStatus, Ci, Facet, Mode, Observation};
use ao_store::row::{facet, pr};
use ao_store::{Store, Timestamp};

use crate::support::{Fixture, SHA, T0, check, fixture, observation, observe, permutations, place};

use CheckStatus::{Cancelled, Failed, InProgress, Passed, Queued};

const T1: i64 = T0 + 100_000;

/// A run of `build` that began at the first of the times and ended at the second, if it did.
fn run(id: &str, suite: &str, status: CheckStatus, (began, ended): (i64, Option<i64>)) -> Check {
    Check {
        app: "github-actions".to_owned(),
        suite: suite.to_owned(),
        external_id: id.to_owned(),
        started_at: Some(Timestamp(T1 + began)),
        completed_at: ended.map(|at| Timestamp(T1 + at)),
        ..check("build", status)
    }
}

fn of(workflow: &str, check: Check) -> Check {
    Check { workflow: workflow.to_owned(), event: "push".to_owned(), ..check }
}

/// As a webhook delivery brings it: alone, and as new as its newest time.
fn deliver(store: &Store, check: &Check) {
    let newest = check.started_at.max(check.completed_at).unwrap();
    let checks = Facet::merge(vec![check.clone()]);
    observe(store, &Observation { checks, ..observation(newest.0) });
}

fn list(store: &Store, as_of: i64, checks: Vec<Check>) {
    let checks = Facet::replace(checks);
    observe(store, &Observation { checks, ..observation(T1 + as_of) });
}

fn stored(store: &Store) -> (Vec<Check>, Ci) {
    store
        .read(|snapshot| {
            let row = pr::require(snapshot, &place())?;
            Ok((facet::checks(snapshot, &row.id)?, row.ci))
        })
        .unwrap()
}

/// Whatever the order of the webhook deliveries, and by a complete listing, exactly these are stored.
#[track_caller]
fn assert_stored(facts: &[Check], expected: &[Check], ci: Ci) {
    let sorted = |mut checks: Vec<Check>| {
        checks.sort_by_key(|it| (it.kind.as_str(), it.external_id.clone()));
        checks
    };
    let expected = (sorted(expected.to_vec()), ci);
    for order in permutations(facts) {
        let Fixture { store, dir: _dir } = fixture();
        for fact in &order {
            deliver(&store, fact);
        }
        let (checks, ci) = stored(&store);
        assert_eq!((sorted(checks), ci), expected, "{order:#?}");
    }
    let Fixture { store, dir: _dir } = fixture();
    list(&store, 0, facts.to_vec());
    let (checks, ci) = stored(&store);
    assert_eq!((sorted(checks), ci), expected, "listed");
}

#[test]
fn runs_of_one_name_in_two_suites_are_two_checks() {
    let failed = run("r1", "11", Failed, (0, Some(10)));
    let passed = run("r2", "22", Passed, (20, Some(30)));
    let facts = [failed, passed];
    assert_stored(&facts, &facts, Ci::Failing);
}

#[test]
fn jobs_of_one_name_that_overlap_are_two_checks() {
    let failed = run("r1", "11", Failed, (0, Some(10)));
    let passed = run("r2", "11", Passed, (5, Some(30)));
    let facts = [failed, passed];
    assert_stored(&facts, &facts, Ci::Failing);
}

#[test]
fn jobs_of_one_name_in_two_workflows_or_events_are_two_checks() {
    let failed = run("r1", "11", Failed, (0, Some(10)));
    let passed = run("r2", "22", Passed, (20, Some(30)));
    let other = Check { event: "schedule".to_owned(), ..of("ci", passed.clone()) };
    for passed in [of("release", passed), other] {
        let facts = [of("ci", failed.clone()), passed];
        assert_stored(&facts, &facts, Ci::Failing);
    }
}

#[test]
fn a_run_that_was_run_again_in_its_suite_is_replaced() {
    let failed = run("r1", "11", Failed, (0, Some(10)));
    let failed_again = run("r2", "11", Failed, (10, Some(20)));
    let passed = run("r3", "11", Passed, (25, Some(30)));
    assert_stored(&[failed.clone(), failed_again, passed.clone()], &[passed], Ci::Passing);
    // It is replaced as soon as the new run waits.
    let queued = run("r2", "11", Queued, (25, None));
    assert_stored(&[failed, queued.clone()], &[queued], Ci::Pending);
}

#[test]
fn a_run_that_was_run_again_by_a_new_suite_of_its_workflow_is_replaced() {
    let failed = of("ci", run("r1", "11", Failed, (0, Some(10))));
    let passed = of("ci", run("r2", "22", Passed, (20, Some(30))));
    assert_stored(&[failed, passed.clone()], &[passed], Ci::Passing);
}

#[test]
fn a_run_that_a_newer_one_cancelled_is_replaced() {
    let cancelled = of("ci", run("r1", "11", Cancelled, (0, Some(12))));
    let passed = of("ci", run("r2", "22", Passed, (10, Some(30))));
    assert_stored(&[cancelled.clone(), passed.clone()], &[passed], Ci::Passing);
    let failed_before = of("ci", run("r2", "22", Failed, (0, Some(30))));
    let facts = [cancelled, failed_before];
    assert_stored(&facts, &facts, Ci::Failing);
}

#[test]
fn runs_without_times_or_of_one_second_replace_nothing() {
    let failed = run("r1", "11", Failed, (10, Some(10)));
    for other in [run("r2", "11", Passed, (10, Some(10))), run("r2", "11", Passed, (10, Some(15)))]
    {
        let facts = [failed.clone(), other];
        assert_stored(&facts, &facts, Ci::Failing);
    }
    let Fixture { store, dir: _dir } = fixture();
    let timeless = |id: &str, status| Check { external_id: id.to_owned(), ..check("x", status) };
    list(&store, 0, vec![timeless("1", Failed), timeless("2", Passed)]);
    assert_eq!((stored(&store).0.len(), stored(&store).1), (2, Ci::Failing));
}

/// Each run reports several times, and late reports of a run that was replaced do not bring it back.
#[test]
fn the_reports_of_a_run_and_of_the_next_one_end_in_the_next_one() {
    let facts = [
        run("r1", "11", InProgress, (2, None)),
        run("r1", "11", Failed, (2, Some(10))),
        run("r2", "11", Queued, (20, None)),
        run("r2", "11", Passed, (25, Some(30))),
    ];
    for order in permutations(&facts) {
        let Fixture { store, dir: _dir } = fixture();
        for fact in &order {
            deliver(&store, fact);
        }
        assert_eq!(stored(&store), (vec![facts[3].clone()], Ci::Passing), "{order:#?}");
    }
}

#[test]
fn what_is_known_of_a_suite_holds_for_all_of_its_checks() {
    let workflow = |id: &str, suite: &str, began| Check {
        kind: CheckKind::Workflow,
        name: "ci".to_owned(),
        ..of("ci", run(id, suite, InProgress, (began, None)))
    };
    let (first, second) = (workflow("w1", "11", 0), workflow("w2", "22", 5));
    let failed = run("r1", "11", Failed, (0, Some(10)));
    let passed = run("r2", "22", Passed, (20, Some(30)));
    let facts = [first.clone(), failed, second.clone(), passed.clone()];
    assert_stored(&facts, &[first, second, of("ci", passed)], Ci::Passing);
}

#[test]
fn a_delivery_without_workflow_and_event_keeps_those_that_are_stored() {
    let Fixture { store, dir: _dir } = fixture();
    let known =
        Check { is_required: Some(true), ..of("ci", run("r1", "11", InProgress, (0, None))) };
    list(&store, 1, vec![known.clone()]);
    let again = run("r2", "11", Passed, (20, Some(30)));
    deliver(&store, &run("r1", "11", Failed, (0, Some(10))));
    let failed =
        Check { is_required: Some(true), ..of("ci", run("r1", "11", Failed, (0, Some(10)))) };
    assert_eq!(stored(&store), (vec![failed], Ci::Failing));
    deliver(&store, &again);
    let passed = Check { is_required: Some(true), ..of("ci", again) };
    assert_eq!(stored(&store), (vec![passed], Ci::Passing), "the name is required, so this run is");
}

#[test]
fn a_listing_and_the_deliveries_around_it_end_alike() {
    let failed = of("ci", run("r1", "11", Failed, (0, Some(10))));
    let queued = run("r2", "11", Queued, (20, None));
    let expected = (vec![of("ci", queued.clone())], Ci::Pending);
    for is_delivered_first in [true, false] {
        let Fixture { store, dir: _dir } = fixture();
        if is_delivered_first {
            deliver(&store, &queued);
        }
        // It was requested before the check was run again.
        list(&store, 15, vec![failed.clone()]);
        if !is_delivered_first {
            deliver(&store, &queued);
        }
        assert_eq!(stored(&store), expected, "{is_delivered_first}");
        deliver(&store, &run("r1", "11", Failed, (0, Some(10))));
        assert_eq!(stored(&store), expected, "a late delivery");
        list(&store, 40, vec![failed.clone(), of("ci", queued.clone())]);
        assert_eq!(stored(&store), expected, "a listing with every run");
    }
}

#[test]
fn a_partial_listing_removes_only_what_was_run_again() {
    let Fixture { store, dir: _dir } = fixture();
    let other = Check { name: "lint".to_owned(), ..run("r9", "11", Failed, (0, Some(10))) };
    let first = run("r1", "11", Failed, (0, Some(10)));
    let again = run("r2", "11", Passed, (20, Some(30)));
    list(&store, 11, vec![other.clone(), first]);
    let checks = Facet {
        mode: Mode::Merge,
        completeness: Some(ao_store::observation::Completeness::Partial),
        items: vec![again.clone()],
        removed: Vec::new(),
    };
    observe(&store, &Observation { checks, ..observation(T1 + 40) });
    assert_eq!(stored(&store), (vec![again, other], Ci::Failing));
}

#[test]
fn a_status_is_known_by_its_name_alone() {
    let Fixture { store, dir: _dir } = fixture();
    let status = |id: &str, status, at| Check {
        kind: CheckKind::Status,
        external_id: id.to_owned(),
        started_at: Some(Timestamp(T1 + at)),
        ..check("ci/external", status)
    };
    let passed = status("s2", Passed, 20);
    for fact in [status("s1", Failed, 10), passed.clone(), status("s0", InProgress, 0)] {
        deliver(&store, &fact);
        assert_eq!(stored(&store).0.len(), 1);
    }
    assert_eq!(stored(&store), (vec![passed], Ci::Passing));
}

/// The same names and ids on another commit are other checks.
#[test]
fn a_run_is_replaced_on_its_own_commit_only() {
    let failed = run("r1", "11", Failed, (0, Some(10)));
    let elsewhere = Check { head_sha: "0".repeat(40), ..run("r2", "11", Passed, (20, Some(30))) };
    let facts = [failed, elsewhere];
    assert_stored(&facts, &facts, Ci::Failing);
    assert_ne!(facts[1].head_sha, SHA);
}

#[test]
fn a_workflow_that_waits_is_pending_beside_runs_that_passed() {
    let passed = run("r1", "11", Passed, (0, Some(10)));
    let waits = Check {
        kind: CheckKind::Workflow,
        name: "deploy".to_owned(),
        ..of("deploy", run("w1", "22", Queued, (5, None)))
    };
    let facts = [passed, waits];
    assert_stored(&facts, &facts, Ci::Pending);
}
