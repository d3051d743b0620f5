//! Check runs of one name: each of them is read, unless it was run again.

use ao_fake_github::{CheckSpec, Conclusion};
use ao_store::observation::{Check, CheckStatus, Ci};
use ao_store::row::facet;
use serde_json::{Value, json};

use super::rig::{REPO, Rig};
use crate::support::repository;

fn build() -> CheckSpec {
    CheckSpec::job("ci", "build")
}

fn checks(rig: &Rig, pr: &str) -> (Vec<String>, Ci) {
    let ids = rig.facets(pr).checks.into_iter().map(|it| it.external_id).collect();
    (ids, rig.row(pr).unwrap().ci)
}

#[test]
fn jobs_of_one_name_are_all_stored_and_the_log_of_each_that_failed_is_read() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let jobs: Vec<_> = (0..3).map(|_| rig.world.check_start(&pr, &build())).collect();
    for (job, log) in jobs.iter().zip(["one", "two", ""]) {
        rig.minutes(1);
        let conclusion = if log.is_empty() { Conclusion::Success } else { Conclusion::Failure };
        rig.world.check_finish(job, conclusion);
        rig.world.set_log(job, log);
    }
    rig.minutes(3);
    assert_eq!(checks(&rig, &pr), (jobs.clone(), Ci::Failing));
    let row = rig.row(&pr).unwrap().id;
    let log = |job| rig.store.read(|snapshot| facet::log_tail(snapshot, &row, job)).unwrap();
    let logs: Vec<_> = jobs.iter().map(|job| log(job)).collect();
    assert_eq!(logs, [Some("one".to_owned()), Some("two".to_owned()), None]);
    rig.assert_observed();
}

#[test]
fn a_check_that_was_run_again_by_a_new_run_of_its_workflow_is_replaced() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let failed = rig.world.check(&pr, &build(), Conclusion::Failure);
    rig.minutes(3);
    assert_eq!(checks(&rig, &pr), (vec![failed], Ci::Failing));
    let suite = rig.facets(&pr).checks.remove(0).suite;
    rig.world.workflow_start(&pr, &build());
    let passed = rig.world.check(&pr, &build(), Conclusion::Success);
    rig.minutes(3);
    assert_eq!(checks(&rig, &pr), (vec![passed], Ci::Passing));
    assert_ne!(rig.facets(&pr).checks[0].suite, suite);
    rig.assert_observed();
}

#[test]
fn a_check_that_a_new_run_of_its_workflow_cancels_is_replaced() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let old = rig.world.check_start(&pr, &build());
    rig.minutes(1);
    rig.world.workflow_start(&pr, &build());
    let new = rig.world.check_start(&pr, &build());
    rig.minutes(1);
    assert_eq!(checks(&rig, &pr), (vec![old.clone(), new.clone()], Ci::Pending));
    rig.world.check_finish(&old, Conclusion::Cancelled);
    rig.world.check_finish(&new, Conclusion::Success);
    rig.minutes(3);
    assert_eq!(checks(&rig, &pr), (vec![new], Ci::Passing));
    rig.assert_observed();
}

/// The webhook delivery about a check, as GitHub sends it.
fn delivery(rig: &Rig, pr: &str, check: &Check) -> Value {
    let at = |time: Option<ao_store::Timestamp>| {
        time.map(|time| jiff::Timestamp::from_millisecond(time.0).unwrap().to_string())
    };
    let number = rig.row(pr).unwrap().number;
    let conclusion = Some(&check.conclusion).filter(|it| !it.is_empty());
    let status = match check.status {
        CheckStatus::Queued => "queued",
        CheckStatus::InProgress => "in_progress",
        _ => "completed",
    };
    let suite: u64 = check.suite.parse().unwrap();
    json!({"action": "completed",
        "repository": repository(),
        "check_run": {"head_sha": check.head_sha, "name": check.name, "node_id": check.external_id,
            "status": status, "conclusion": conclusion, "html_url": check.url,
            "started_at": at(check.started_at), "completed_at": at(check.completed_at),
            "app": {"slug": check.app}, "check_suite": {"id": suite},
            "pull_requests": [{"number": number, "base": {"repo": {"full_name": REPO}}}]}})
}

#[test]
fn deliveries_about_runs_that_were_polled_change_nothing() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let runs: Vec<_> = (0..2).map(|_| rig.world.check_start(&pr, &build())).collect();
    rig.minutes(2);
    let mut payloads: Vec<_> =
        rig.facets(&pr).checks.iter().map(|check| delivery(&rig, &pr, check)).collect();
    for (run, conclusion) in runs.iter().zip([Conclusion::Failure, Conclusion::Success]) {
        rig.world.check_finish(run, conclusion);
    }
    rig.minutes(2);
    payloads.extend(rig.facets(&pr).checks.iter().map(|check| delivery(&rig, &pr, check)));
    rig.world.workflow_start(&pr, &build());
    rig.world.check(&pr, &build(), Conclusion::Success);
    rig.minutes(2);
    let polled = rig.facets(&pr).checks;
    payloads.push(delivery(&rig, &pr, &polled[0]));
    assert_eq!((payloads.len(), polled.len()), (5, 1));
    let head = rig.head();
    for payload in payloads.iter().chain(payloads.iter().rev()) {
        rig.deliver("check_run", payload);
    }
    rig.minutes(2);
    assert_eq!(rig.types_since(head), [""; 0]);
    rig.assert_observed();
}
