//! Reviews, threads and comments: the acceptance cases 19 to 21.

use std::time::Duration;

use ao_store::Timestamp;

use ao_fake_github::{CheckSpec, Conclusion, Fault, Kind, NewThread, On, ReviewState};
use ao_store::observation::{Completeness, PrState, ReviewState as Stored};

use serde_json::json;

use super::rig::Rig;
use crate::support::repository;

fn at(line: u64) -> NewThread {
    NewThread::at("src/lib.rs", line)
}

/// Case 19.
#[test]
fn a_thread_of_a_reviewer_that_decides_nothing_is_stored() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.minutes(15);
    let decision = rig.row(&pr).unwrap().review_decision;
    rig.world.counters.clear();
    let thread = rig.world.thread_add(&pr, "review-bot[bot]", &at(3), "This leaks.");
    rig.seconds(132);
    rig.assert_observed();
    let stored = rig.facets(&pr);
    assert_eq!(stored.threads[0].id, thread);
    assert!(stored.threads[0].is_bot && stored.comments[0].is_bot && stored.reviews[0].is_bot);
    assert_eq!(stored.reviews[0].state, Stored::Commented);
    assert_eq!(rig.row(&pr).unwrap().review_decision, decision);
    assert!(rig.world.counters.of("Detail") <= 2, "{:?}", rig.world.counters.requests);
}

/// Case 20.
#[test]
fn a_reply_in_an_old_thread_is_stored() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let thread = rig.world.thread_add(&pr, "reviewer", &at(1), "Why?");
    rig.run(Duration::from_secs(5 * 3_600));
    let head = rig.head();
    let reply = rig.world.thread_reply(&thread, "octo-dev", "Because.");
    rig.minutes(3);
    rig.assert_observed();
    let replies = rig.facets(&pr).comments.into_iter().filter(|it| it.id == reply);
    assert_eq!(replies.map(|it| it.thread_id).collect::<Vec<_>>(), [thread]);
    let types = rig.types_since(head);
    assert_eq!(types.iter().filter(|it| *it == "pr_comment_added").count(), 1, "{types:?}");
}

/// Case 20.
#[test]
fn long_threads_and_many_threads_are_stored_whole() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let mut threads = Vec::new();
    for line in 1..=120 {
        threads.push(rig.world.thread_add(&pr, "reviewer", &at(line), "Why?"));
    }
    for index in 0..149 {
        rig.world.thread_reply(&threads[60], "octo-dev", &format!("Answer {index}"));
    }
    for thread in &threads[1..] {
        rig.world.thread_resolve(thread, "octo-dev");
    }
    rig.world.counters.clear();
    rig.minutes(3);
    rig.assert_observed();
    let stored = rig.facets(&pr);
    assert_eq!(stored.comments.iter().filter(|it| it.thread_id == threads[60]).count(), 150);
    let open: Vec<_> = stored.threads.iter().filter(|it| !it.is_resolved).collect();
    assert_eq!(open.iter().map(|it| &it.id).collect::<Vec<_>>(), [&threads[0]]);
    let row = rig.row(&pr).unwrap();
    assert_eq!(row.threads_state, Completeness::Complete);
    assert_eq!(row.comments_state, Completeness::Complete);
    assert!(rig.world.counters.of("Detail") <= 10, "{:?}", rig.world.counters.requests);
}

/// Case 21.
#[test]
fn what_was_edited_deleted_or_dismissed_is_seen_within_one_interval() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let thread = rig.world.thread_add(&pr, "reviewer", &at(1), "Why?");
    let reply = rig.world.thread_reply(&thread, "octo-dev", "Because.");
    let comment = rig.world.comment_add(&pr, "hubot", "Hello");
    let review = rig.world.review(&pr, "reviewer", ReviewState::ChangesRequested, "Not yet.");
    rig.minutes(15);
    rig.assert_observed();
    rig.world.comment_edit(&comment, "Hello, world");
    rig.world.comment_delete(&reply);
    rig.world.dismiss_review(&review);
    rig.seconds(35);
    rig.assert_observed();
    let stored = rig.facets(&pr);
    let edited = stored.comments.iter().find(|it| it.id == comment).unwrap();
    assert!(edited.edited_at.is_some() && edited.body == "Hello, world");
    let dismissed = stored.reviews.iter().find(|it| it.id == review).unwrap();
    assert_eq!(dismissed.state, Stored::Dismissed);
}

/// Case 21: GitHub reports nothing when a comment is hidden, so it is found when all is read again.
#[test]
fn a_comment_that_was_hidden_is_found_by_the_sweep() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let comment = rig.world.comment_add(&pr, "hubot", "Buy this");
    rig.minutes(15);
    let head = rig.head();
    rig.world.comment_minimize(&comment, true);
    rig.run(Duration::from_secs(6 * 3_600 + 600));
    assert_eq!(rig.types_since(head), ["pr_comment_updated"]);
    rig.assert_observed();
}

/// Neither facts nor the time of the last sweep bind that a clock stored which was ahead.
#[test]
fn a_sweep_does_not_wait_for_a_clock_that_was_ahead() {
    let days = 40 * 24 * 3_600_000;
    let mut rig = Rig::new();
    rig.set_clock(Timestamp(rig.now.0 + days));
    let pr = rig.tracked("ao/demo-1");
    let comment = rig.world.comment_add(&pr, "hubot", "Buy this");
    rig.minutes(15);
    rig.set_clock(Timestamp(rig.now.0 - days));
    rig.minutes(15);
    let head = rig.head();
    rig.world.comment_minimize(&comment, true);
    rig.run(Duration::from_secs(6 * 3_600 + 600));
    assert_eq!(rig.types_since(head), ["pr_comment_updated"]);
    rig.assert_observed();
}

/// One replica may list a thread that another one does not have yet.
#[test]
fn a_thread_that_a_replica_does_not_have_yet_is_read_after_the_next_poll() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.minutes(15);
    for error in [Some("NOT_FOUND".to_owned()), None] {
        let null = Kind::AliasNull("d2".to_owned(), error);
        rig.world.faults = vec![Fault::times(1, null).on(On::operation("Detail"))];
        rig.world.comment_add(&pr, "hubot", "Hello");
        rig.world.thread_add(&pr, "reviewer", &at(1), "Why?");
        rig.minutes(4);
        rig.assert_observed();
        assert_eq!(rig.row(&pr).unwrap().threads_state, Completeness::Complete);
    }
}

/// Lists of a replica that lags are not those that the poll saw.
#[test]
fn lists_of_a_replica_that_lags_do_not_count() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.world.comment_add(&pr, "hubot", "First");
    rig.minutes(15);
    rig.assert_observed();
    let then = rig.world.snapshot();
    rig.sleep(Duration::from_secs(5));
    rig.world.comment_add(&pr, "hubot", "Second");
    rig.minutes(3);
    rig.assert_observed();
    let head = rig.head();
    rig.sleep(Duration::from_secs(5));
    rig.world.comment_add(&pr, "hubot", "Third");
    let until = rig.now.0 + 60_000;
    let lag = Fault::always(Kind::Stale(then)).on(On::operation("Detail")).until(until);
    rig.world.faults.push(lag);
    rig.minutes(5);
    let types = rig.types_since(head);
    assert!(!types.contains(&"pr_comment_removed".to_owned()), "{types:?}");
    rig.assert_observed();
    assert!(rig.totals().0.stale > 0);
}

/// What is written during a fetch is read right after it and not with a later poll, even when it is
/// in a list that was not read, and the pull request has ended meanwhile.
#[test]
fn a_change_during_a_reading_is_read_after_it() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.minutes(15);
    rig.world.faults.push(Fault::always(Kind::internal()).on(On::operation("Detail")));
    rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Success);
    rig.seconds(40);
    rig.world.comment_add(&pr, "hubot", "Well done");
    rig.world.merge(&pr);
    while rig.row(&pr).unwrap().state != PrState::Merged {
        rig.until_calls(rig.calls + 1);
    }
    // The poll reported only that something changed; now the fetch continues.
    rig.world.faults.clear();
    rig.minutes(3);
    rig.assert_observed();
}

/// A delivery has no line for a comment that is outdated, and polls read the line when it was written.
#[test]
fn a_delivery_of_an_outdated_comment_changes_nothing() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let thread = rig.world.thread_add(&pr, "reviewer", &at(3), "Why?");
    rig.world.thread_outdated(&thread);
    rig.minutes(5);
    let stored = rig.facets(&pr).comments.remove(0);
    assert_eq!(stored.line, Some(3));
    let time = |ms| jiff::Timestamp::from_millisecond(ms).unwrap().to_string();
    let comment = json!({"node_id": stored.id, "user": {"login": stored.author}, "line": null,
        "original_line": 3, "body": stored.body, "path": stored.path, "html_url": stored.url,
        "created_at": time(stored.created_at.unwrap().0), "updated_at": time(rig.now.0)});
    let head = rig.head();
    rig.deliver(
        "pull_request_review_comment",
        &json!({"action": "created", "repository": repository(), "comment": comment,
            "pull_request": {"number": rig.row(&pr).unwrap().number}}),
    );
    rig.minutes(5);
    assert_eq!(rig.types_since(head), [""; 0]);
    rig.assert_observed();
}
