//! The store equals the world: the acceptance cases 12 and 24 to 27, and pull requests that ended.

use std::time::Duration;

use ao_fake_github::{
    CheckSpec, Conclusion, Fault, Kind, NewPr, NewThread, On, ReviewState, UserKind,
};
use ao_store::observation::{Ci, PrState};
use ao_store::row::scm::{self, Problem};

use super::rig::{REPO, Rig};

#[test]
fn a_world_with_everything_in_it_is_stored_as_it_is() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.world.review(&pr, "reviewer", ReviewState::ChangesRequested, "Not yet.");
    rig.world.comment_add(&pr, "hubot", "Hello");
    let thread = rig.world.thread_add(&pr, "reviewer", &NewThread::at("a.rs", 1), "Why?");
    rig.world.thread_reply(&thread, "octo-dev", "Because.");
    let check = rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Failure);
    rig.world.set_log(&check, "one\ntwo\nfailed");
    rig.minutes(5);
    rig.assert_observed();
    assert_eq!(rig.row(&pr).unwrap().ci, Ci::Failing);
    rig.world.push(&pr);
    rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Success);
    rig.world.set_title(&pr, "Another title");
    rig.minutes(5);
    rig.assert_observed();
    rig.world.merge(&pr);
    rig.minutes(5);
    rig.assert_observed();
}

/// Case 12: the upstream observer noticed it up to five minutes later.
#[test]
fn the_merge_of_an_old_pull_request_is_seen_within_one_interval() {
    let mut rig = Rig::new();
    rig.session("demo", "ao/root");
    let old = rig.world.open_pr(&NewPr::new(REPO, "ao/old"));
    rig.sleep(Duration::from_secs(60));
    let new = rig.world.open_pr(&NewPr::new(REPO, "ao/new"));
    rig.minutes(15);
    let head = rig.row(&old).unwrap().head_sha;
    rig.world.merge(&old);
    rig.world.comment_add(&new, "hubot", "Hello");
    rig.world.counters.clear();
    rig.seconds(34);
    let row = rig.row(&old).unwrap();
    assert_eq!((row.state, row.head_sha), (PrState::Merged, head));
    assert!(!row.merge_commit_sha.is_empty() && row.merged_at.is_some());
    assert!(rig.world.counters.total() <= 5, "{:?}", rig.world.counters.requests);
}

/// A pull request that ended is read once more, and again after an hour and a day, but not with other
/// polls.
#[test]
fn what_ended_is_left_alone() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let other = rig.tracked("ao/demo-2");
    rig.minutes(5);
    rig.world.merge(&pr);
    rig.world.comment_add(&pr, "hubot", "Well done");
    rig.minutes(3);
    rig.assert_observed();
    let (from, begun) = (rig.world.log.len(), rig.now.0);
    rig.run(Duration::from_secs(30 * 3_600));
    assert_eq!(rig.row(&other).unwrap().state, PrState::Open);
    let both = rig.world.log[from..].iter().filter(|served| served.ids == 2);
    let hours: Vec<_> = both.map(|served| (served.at - begun) / 3_600_000).collect();
    assert!(hours.len() <= 4, "{hours:?}");
}

/// An action on a pull request.
type Turn = fn(&mut Rig, &str);

/// Case 24.
#[test]
fn each_turn_in_the_life_of_a_pull_request_is_seen_within_one_interval() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.minutes(15);
    let turns: [(&str, Turn); 9] = [
        ("a draft", |rig, pr| rig.world.set_draft(pr, true)),
        ("ready", |rig, pr| rig.world.set_draft(pr, false)),
        ("another base", |rig, pr| rig.world.set_base(pr, "release")),
        ("auto-merge", |rig, pr| rig.world.set_auto_merge(pr, true)),
        ("no auto-merge", |rig, pr| rig.world.set_auto_merge(pr, false)),
        ("in the queue", |rig, pr| rig.world.set_merge_queue(pr, true)),
        ("out of the queue", |rig, pr| rig.world.set_merge_queue(pr, false)),
        ("closed", |rig, pr| rig.world.close(pr)),
        ("reopened", |rig, pr| rig.world.reopen(pr)),
    ];
    for (what, turn) in turns {
        let head = rig.head();
        rig.sleep(Duration::from_secs(2));
        turn(&mut rig, &pr);
        rig.seconds(45);
        rig.assert_observed();
        let types = rig.types_since(head);
        let expected = match what {
            "closed" => "pr_closed",
            "reopened" => "pr_reopened",
            _ => "pr_updated",
        };
        assert!(types.contains(&expected.to_owned()), "{what}: {types:?}");
        let is_expected = |kind: &String| [expected, "pr_updated"].contains(&kind.as_str());
        assert!(types.iter().all(is_expected), "{what}: {types:?}");
    }
    let row = rig.row(&pr).unwrap();
    assert_eq!((row.state, row.closed_at), (PrState::Open, None));
}

/// Case 25.
#[test]
fn a_repository_that_was_renamed_and_transferred_keeps_its_rows() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let ended = rig.tracked("ao/demo-2");
    rig.world.merge(&ended);
    rig.minutes(15);
    let (id, ended_id) = (rig.row(&pr).unwrap().id, rig.row(&ended).unwrap().id);
    rig.world.rename_repo(REPO, "renamed");
    rig.minutes(2);
    assert_eq!(rig.location(&pr).repo, "octo/renamed");
    rig.world.transfer_repo("octo/renamed", "acme");
    rig.minutes(2);
    rig.assert_observed();
    assert_eq!(rig.location(&pr).repo, "acme/renamed");
    assert_eq!(rig.location(&ended).repo, "acme/renamed", "also what ended before");
    assert_eq!((rig.row(&pr).unwrap().id, rig.row(&ended).unwrap().id), (id, ended_id));
    // A pull request that is opened there now is found, and the old name leads to the same repository.
    rig.session("demo", "ao/demo-3");
    let new = rig.world.open_pr(&NewPr::new("acme/renamed", "ao/demo-3"));
    rig.restart();
    rig.minutes(2);
    rig.assert_pr(&new);
    let created = rig.changes_since(0).into_iter().filter(|it| it.kind() == "pr_created");
    assert_eq!(created.count(), 3);
}

/// Case 26.
#[test]
fn missing_unusual_and_large_values_are_stored_as_far_as_they_are_known() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.world.user_of_kind("old-hand", UserKind::Mannequin);
    rig.world.delete_author(&pr);
    rig.world.delete_branch(&pr);
    rig.world.set_body(&pr, "");
    rig.world.review(&pr, None, ReviewState::Commented, "");
    rig.world.review(&pr, "old-hand", ReviewState::Approved, "From another forge");
    let long = "Ω🦀".repeat(10_000);
    rig.world.comment_add(&pr, "hubot", &long);
    rig.world.comment_add(&pr, None, "nul \0, cr \r, \u{202e}, \u{feff}");
    rig.world.thread_add(&pr, None, &NewThread::at("dir/ü.rs", 1), "");
    let check = rig.world.check(&pr, &CheckSpec::job("ci", "tést 🦀"), Conclusion::StartupFailure);
    assert!(rig.world.job_id(&check) > u64::from(u32::MAX), "ids do not fit 32 bits");
    rig.minutes(5);
    rig.assert_observed();
    assert_eq!(rig.row(&pr).unwrap().author, "");
    assert!(rig.facets(&pr).comments.iter().any(|it| it.body == long));
}

/// Case 26: enum values that are newer than this program, and fields that are left out.
#[test]
fn unknown_enum_values_and_null_fields_stop_nothing() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Success);
    rig.world.review(&pr, "reviewer", ReviewState::Approved, "Fine.");
    rig.world.comment_add(&pr, "hubot", "Hello");
    rig.minutes(5);
    let head = rig.head();
    let words = ["mergeable", "mergeStateStatus", "reviewDecision", "conclusion", "status"];
    let nulls = ["author", "headRepository", "headRef", "checkSuite", "app", "baseRefOid"];
    let words = words.map(|it| Kind::UnknownEnum(it.to_owned()));
    let nulls = nulls.map(|it| Kind::NullField(it.to_owned()));
    for kind in words.into_iter().chain(nulls) {
        rig.world.faults.push(Fault::always(kind).on(On::Graphql));
    }
    rig.world.set_title(&pr, "Another title");
    rig.minutes(9);
    let row = rig.row(&pr).unwrap();
    assert_eq!((row.title.as_str(), row.state), ("Another title", PrState::Open));
    assert_eq!(row.head_repo, REPO, "a fact that is not reported is kept");
    assert_eq!(rig.facets(&pr).checks.len(), 1);
    let is_removed = |it: &String| it.ends_with("_removed") && !it.contains("check");
    assert!(!rig.types_since(head).iter().any(is_removed), "{:?}", rig.types_since(head));
    rig.world.faults.clear();
    rig.world.comment_add(&pr, "hubot", "And now?");
    rig.minutes(10);
    rig.assert_observed();
}

/// Case 27.
#[test]
fn a_replica_that_lags_rolls_nothing_back() {
    for operation in ["Heartbeat", "Full"] {
        let mut rig = Rig::new();
        let pr = rig.tracked("ao/demo-1");
        rig.minutes(15);
        let then = rig.world.snapshot();
        rig.sleep(Duration::from_secs(5));
        rig.world.set_title(&pr, "Another title");
        rig.world.close(&pr);
        rig.minutes(2);
        rig.world.reopen(&pr);
        rig.world.comment_add(&pr, "hubot", "Hello");
        rig.minutes(3);
        rig.assert_observed();
        let head = rig.head();
        rig.sleep(Duration::from_secs(5));
        rig.world.comment_add(&pr, "hubot", "Again");
        let lag = Fault::times(2, Kind::Stale(then)).on(On::operation(operation));
        rig.world.faults.push(lag);
        rig.minutes(2);
        assert!(rig.totals().0.stale >= 1, "{operation}");
        assert_eq!(rig.types_since(head), ["pr_comment_added"], "{operation}");
        rig.assert_observed();
        assert!(rig.world.faults.is_empty());
    }
}

/// A request to refresh what cannot be read is answered by one poll.
#[test]
fn a_refresh_request_for_what_is_gone_is_answered_by_one_poll() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.minutes(15);
    rig.world.set_access(REPO, ao_fake_github::Access::Revoked);
    rig.run(Duration::from_secs(1_500));
    assert_eq!(rig.poll(&pr).problem, Problem::Unreachable);
    let (location, at) = (rig.location(&pr), rig.now);
    let request = move |tx: &ao_store::Tx<'_>| {
        scm::request_refresh(tx, &location.host, &location.repo, location.number, at)
    };
    rig.store.write(rig.cause(), request).unwrap();
    rig.world.counters.clear();
    rig.minutes(5);
    let polls = rig.world.counters.total();
    assert!((1..=3).contains(&polls), "{polls}");
    let left = rig.store.read(|snapshot| scm::refresh_requests(snapshot, "github.com")).unwrap();
    assert_eq!(left, []);
}
