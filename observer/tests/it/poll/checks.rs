//! Checks: the acceptance cases 13 to 18.

use ao_fake_github::{CheckSpec, CheckStatus, Conclusion, Fault, Kind, On, StatusState};
use ao_store::observation::{CheckKind, CheckStatus as Stored, Ci, Completeness, Mergeability};
use ao_store::row::facet;

use super::rig::{REPO, Rig};

fn job(name: &str) -> CheckSpec {
    CheckSpec::job("ci", name)
}

fn ci(rig: &Rig, pr: &str) -> Ci {
    rig.row(pr).unwrap().ci
}

/// Case 13.
#[test]
fn a_failed_check_that_was_run_again_without_a_push_passes() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let check = rig.world.check(&pr, &job("test"), Conclusion::Failure);
    rig.minutes(3);
    assert_eq!(ci(&rig, &pr), Ci::Failing);
    let again = rig.world.rerun(&check);
    rig.minutes(1);
    assert_eq!(ci(&rig, &pr), Ci::Pending);
    rig.world.check_finish(&again, Conclusion::Success);
    rig.minutes(1);
    assert_eq!(ci(&rig, &pr), Ci::Passing);
    let checks = rig.facets(&pr).checks;
    assert_eq!(checks.len(), 1, "a run that was superseded does not count");
    assert_eq!(checks[0].external_id, again);
}

/// Case 14.
#[test]
fn jobs_of_one_name_in_two_workflows_are_two_checks() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.world.check(&pr, &CheckSpec::job("ci", "build"), Conclusion::Success);
    rig.world.check(&pr, &CheckSpec::job("release", "build"), Conclusion::Failure);
    rig.world.check(&pr, &CheckSpec::app("buildkite", "build"), Conclusion::Success);
    let push = CheckSpec { event: "push".to_owned(), ..CheckSpec::job("ci", "build") };
    rig.world.check(&pr, &push, Conclusion::Success);
    rig.minutes(3);
    assert_eq!(ci(&rig, &pr), Ci::Failing);
    let mut stored: Vec<_> = rig
        .facets(&pr)
        .checks
        .into_iter()
        .map(|it| (it.app, it.workflow, it.event, it.status))
        .collect();
    stored.sort_by_key(|it| (it.0.clone(), it.1.clone(), it.2.clone()));
    let actions = |workflow: &str, event: &str, status| {
        ("github-actions".to_owned(), workflow.to_owned(), event.to_owned(), status)
    };
    assert_eq!(
        stored,
        [
            ("buildkite".to_owned(), String::new(), String::new(), Stored::Passed),
            actions("ci", "pull_request", Stored::Passed),
            actions("ci", "push", Stored::Passed),
            actions("release", "pull_request", Stored::Failed),
        ]
    );
    rig.assert_observed();
}

/// A head with 238 checks, of which only the last one failed.
fn many(rig: &mut Rig, pr: &str) {
    for index in 0..237 {
        rig.world.check(pr, &job(&format!("job {index:03}")), Conclusion::Success);
    }
    rig.world.check(pr, &job("job 237"), Conclusion::Failure);
}

/// Case 15.
#[test]
fn a_failed_check_on_the_third_page_counts() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.world.counters.clear();
    many(&mut rig, &pr);
    rig.minutes(3);
    assert_eq!(ci(&rig, &pr), Ci::Failing);
    assert_eq!(rig.row(&pr).unwrap().checks_state, Completeness::Complete);
    assert_eq!(rig.world.counters.of("Detail"), 3, "a request for each page");
    rig.assert_observed();
}

/// Case 15.
#[test]
fn checks_of_which_a_page_failed_are_partial_and_never_passing() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.tamper = Some(Box::new(|name, answer| {
        let last = "/data/d0/checks/contexts/nodes/37";
        if name == "Detail" && answer.pointer(last).is_some() && is_last(answer) {
            answer["data"]["d0"] = serde_json::Value::Null;
            let error = serde_json::json!({"path": ["d0"], "message": "Something went wrong."});
            answer["errors"] = serde_json::json!([error]);
        }
    }));
    many(&mut rig, &pr);
    for _ in 0..5 {
        rig.minutes(1);
        assert_ne!(ci(&rig, &pr), Ci::Passing);
    }
    let row = rig.row(&pr).unwrap();
    assert_eq!((row.ci, row.checks_state), (Ci::Failing, Completeness::Partial));
    assert_eq!(rig.facets(&pr).checks.len(), 200);
    rig.tamper = None;
    rig.minutes(5);
    assert_eq!(rig.row(&pr).unwrap().checks_state, Completeness::Complete);
    rig.assert_observed();
}

fn is_last(answer: &serde_json::Value) -> bool {
    answer.pointer("/data/d0/checks/contexts/pageInfo/hasNextPage") == Some(&false.into())
}

/// Case 16.
#[test]
fn statuses_alone_are_seen_within_one_interval() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.world.status_set(&pr, "ci/external", StatusState::Success);
    rig.minutes(15);
    assert_eq!(ci(&rig, &pr), Ci::Passing);
    rig.world.status_set(&pr, "ci/external", StatusState::Failure);
    rig.seconds(34);
    assert_eq!(ci(&rig, &pr), Ci::Failing);
    assert_eq!(rig.facets(&pr).checks[0].status, Stored::Failed);
    assert_eq!(rig.facets(&pr).checks[0].kind, CheckKind::Status);
}

/// Case 17.
#[test]
fn a_workflow_that_waits_for_approval_is_pending() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.world.check(&pr, &job("test"), Conclusion::Success);
    rig.minutes(3);
    assert_eq!(ci(&rig, &pr), Ci::Passing);
    let held = (CheckStatus::Completed, Some(Conclusion::ActionRequired));
    let suite = rig.world.suite_waiting(&pr, "deploy", held.0, held.1);
    rig.minutes(3);
    assert_eq!(ci(&rig, &pr), Ci::Pending);
    let waits = |rig: &Rig| -> Vec<_> {
        let all = rig.facets(&pr).checks.into_iter();
        all.filter(|it| it.kind == CheckKind::Workflow).map(|it| it.conclusion).collect()
    };
    assert_eq!(waits(&rig), ["action_required"], "with the reason");
    rig.world.suite_progress(&suite, CheckStatus::Completed, Some(Conclusion::Success));
    rig.minutes(3);
    assert_eq!((ci(&rig, &pr), waits(&rig).len()), (Ci::Passing, 0));
    rig.world.suite_progress(&suite, CheckStatus::Queued, None);
    rig.minutes(3);
    assert_eq!((ci(&rig, &pr), waits(&rig)), (Ci::Pending, vec![String::new()]));
    rig.world.check(&pr, &CheckSpec::job("deploy", "to production"), Conclusion::Success);
    rig.minutes(3);
    assert_eq!((ci(&rig, &pr), waits(&rig).len()), (Ci::Passing, 0));
    rig.assert_observed();
}

/// Case 17.
#[test]
fn a_required_check_that_never_began_blocks() {
    let mut rig = Rig::new();
    rig.world.protect(REPO, false, &["must run"]);
    let pr = rig.tracked("ao/demo-1");
    rig.world.check(&pr, &job("test"), Conclusion::Success);
    rig.minutes(3);
    let row = rig.row(&pr).unwrap();
    assert_eq!((row.ci, row.merge_state.as_str()), (Ci::Passing, "blocked"));
    assert_eq!(row.mergeability, Mergeability::Blocked);
    rig.world.check(&pr, &job("must run"), Conclusion::Success);
    rig.minutes(3);
    assert_eq!(rig.row(&pr).unwrap().mergeability, Mergeability::Mergeable);
    let required: Vec<_> = rig.facets(&pr).checks.into_iter().map(|it| it.is_required).collect();
    assert_eq!(required, [Some(true), Some(false)]);
}

/// Case 18.
#[test]
fn results_of_the_head_before_a_push_are_never_those_of_the_new_one() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.world.check(&pr, &job("test"), Conclusion::Success);
    rig.minutes(3);
    assert_eq!(ci(&rig, &pr), Ci::Passing);
    let head = rig.world.force_push(&pr);
    for _ in 0..40 {
        rig.seconds(2);
        let row = rig.row(&pr).unwrap();
        let is_old = row.head_sha != head;
        assert!(is_old || row.ci == Ci::Unknown, "{:?}", row.ci);
        assert!(rig.facets(&pr).checks.iter().all(|it| it.head_sha != head));
    }
    assert_eq!(rig.row(&pr).unwrap().head_sha, head, "it was seen");
    rig.assert_observed();
}

/// Case 18: the roll-up lags behind the head.
#[test]
fn a_roll_up_of_another_commit_than_the_head_is_ignored() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.world.check(&pr, &job("test"), Conclusion::Success);
    rig.minutes(3);
    rig.world.push(&pr);
    rig.world.check_start(&pr, &job("test"));
    rig.tamper = Some(Box::new(|_, answer| {
        if let Some(rollup) = answer.pointer_mut("/data/nodes/0/rollup") {
            *rollup =
                serde_json::json!({"id": "SCR_1", "state": "SUCCESS", "commit": {"oid": "0"}});
        }
    }));
    for _ in 0..30 {
        rig.seconds(5);
        let row = rig.row(&pr).unwrap();
        let is_seen = row.head_sha == rig.world.expected(&pr).head_oid;
        assert!(!is_seen || row.ci != Ci::Passing, "that was the previous head");
    }
    rig.tamper = None;
    rig.minutes(2);
    rig.assert_observed();
    assert_eq!(ci(&rig, &pr), Ci::Pending);
}

/// Case 18: a push during a fetch.
#[test]
fn checks_read_before_a_push_are_not_stored_as_those_of_the_new_head() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    // Every other page fails, so that the fetch takes a while.
    rig.tamper = Some(Box::new(|name, answer| {
        if name == "Detail" {
            for index in 0..4 {
                let alias = format!("d{index}");
                if answer.pointer(&format!("/data/{alias}/reviews")).is_some() {
                    answer["data"][&alias] = serde_json::Value::Null;
                    let error = serde_json::json!({"path": [alias], "message": "Try again."});
                    answer["errors"] = serde_json::json!([error]);
                }
            }
        }
    }));
    rig.world.check(&pr, &job("test"), Conclusion::Success);
    rig.world.review(&pr, "reviewer", ao_fake_github::ReviewState::Commented, "Hm.");
    let details = rig.world.counters.of("Detail");
    while rig.world.counters.of("Detail") == details {
        rig.until_calls(rig.calls + 1);
    }
    // The checks were read. Before the other pages are, a poll finds another head.
    let head = rig.world.push(&pr);
    let until = rig.now.0 + 50_000;
    rig.world
        .faults
        .push(Fault::always(Kind::gateway(502)).on(On::operation("Detail")).until(until));
    for _ in 0..90 {
        rig.seconds(1);
        assert!(rig.facets(&pr).checks.iter().all(|it| it.head_sha != head));
    }
    rig.tamper = None;
    rig.minutes(5);
    rig.assert_observed();
}

#[test]
fn the_log_of_a_failed_check_is_read_once() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let check = rig.world.check(&pr, &job("test"), Conclusion::Failure);
    rig.world.set_log(&check, "one\ntwo\nassertion failed");
    rig.world.check(&pr, &CheckSpec::app("buildkite", "test"), Conclusion::Failure);
    rig.minutes(3);
    rig.world.check(&pr, &job("lint"), Conclusion::Success);
    rig.minutes(3);
    rig.restart();
    rig.minutes(3);
    let row = rig.row(&pr).unwrap();
    let tail = rig.store.read(|snapshot| facet::log_tail(snapshot, &row.id, &check)).unwrap();
    assert_eq!(tail.as_deref(), Some("one\ntwo\nassertion failed"));
    assert_eq!(rig.totals().0.rest_requests, 0, "it was not read again after the restart");
    assert_eq!(rig.world.counters.core_points, 1, "there is no log of another app");
}
