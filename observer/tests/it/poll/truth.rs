//! What is stored is what is so: bugs of known pollers, by name.

use ao_fake_github::{CheckSpec, Conclusion, NewPr, NewThread, ReviewState};
use ao_store::observation::Ci;

use super::rig::{REPO, Rig};

/// Bug 5 of issue #152: a resolve between two polls was lost when the listing was complete.
#[test]
fn bug_5_a_thread_resolved_between_two_polls_is_one_resolved() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    let thread = rig.world.thread_add(&pr, "reviewer", &NewThread::at("a.rs", 1), "Why?");
    rig.minutes(3);
    rig.assert_observed();
    let head = rig.head();
    rig.world.thread_resolve(&thread, "octo-dev");
    rig.minutes(5);
    let types = rig.types_since(head);
    assert_eq!(types, ["pr_review_thread_resolved"], "and nothing else");
    rig.assert_observed();
}

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

#[test]
fn a_second_poll_of_the_same_writes_nothing() {
    let mut rig = Rig::new();
    let pr = rig.tracked("ao/demo-1");
    rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Success);
    rig.world.open_pr(&NewPr::new(REPO, "somebody/else"));
    rig.minutes(60);
    let (head, bytes, (_, written)) = (rig.head(), rig.bytes(), rig.totals());
    rig.seconds(40);
    assert_eq!(rig.head(), head);
    assert_eq!(rig.totals().1, written);
    assert_eq!(rig.bytes().1, bytes.1);
}
