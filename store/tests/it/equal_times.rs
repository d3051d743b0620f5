//! Facts of one time: the provider's times are whole seconds, and what happens within one has one time. In
//! every order of the webhook deliveries the later stage is stored, no step goes back, and the next
//! complete answer decides.

use ao_store::observation::{
    CheckStatus, Comment, Facet, Observation, PrState, Review, ReviewState, Thread,
};
use ao_store::row::facet::{self, Facets};
use ao_store::row::pr::{self, Pr};
use ao_store::{Store, Timestamp};

use crate::support::{
    Fixture, T0, check, comment, fixture, observation, observe, permutations, place, thread,
};

const T1: i64 = T0 + 100_000;

/// Everything that is stored of the pull request.
fn stored(store: &Store) -> (Pr, Facets) {
    store
        .read(|snapshot| {
            let pr = pr::require(snapshot, &place())?;
            let facets = Facets {
                checks: facet::checks(snapshot, &pr.id)?,
                threads: facet::threads(snapshot, &pr.id)?,
                reviews: facet::reviews(snapshot, &pr.id)?,
                comments: facet::comments(snapshot, &pr.id)?,
            };
            Ok((pr, facets))
        })
        .unwrap()
}

/// The deliveries are given in the order of their stages. In every order of them, a delivery of an earlier
/// stage than one before it changes nothing.
#[track_caller]
fn assert_no_order_goes_back(deliveries: &[Observation]) {
    let Fixture { store, dir: _dir } = fixture();
    let states: Vec<_> = deliveries
        .iter()
        .map(|delivery| {
            observe(&store, delivery);
            stored(&store)
        })
        .collect();
    for (at, state) in states.iter().enumerate() {
        assert!(!states[..at].contains(state), "each is a stage of its own");
    }
    let stages: Vec<_> = (0..deliveries.len()).collect();
    for order in permutations(&stages) {
        let Fixture { store, dir: _dir } = fixture();
        let mut newest = 0;
        for stage in &order {
            newest = newest.max(*stage);
            observe(&store, &deliveries[*stage]);
            assert_eq!(stored(&store), states[newest], "{stage} of {order:?}");
        }
    }
}

fn with_state(state: PrState, ended: Option<(bool, i64)>) -> Observation {
    let mut seen = Observation { provider_at: Some(Timestamp(T1)), ..observation(T1) };
    seen.facts.state = Some(state);
    seen.facts.closed_at = ended.map(|(_, at)| Timestamp(at));
    seen.facts.merged_at = ended.filter(|(is_merged, _)| *is_merged).map(|(_, at)| Timestamp(at));
    seen
}

#[test]
fn of_a_pull_request_the_later_state_is_stored() {
    let draft = with_state(PrState::Draft, None);
    let open = with_state(PrState::Open, None);
    let closed = with_state(PrState::Closed, Some((false, T1)));
    let merged = with_state(PrState::Merged, Some((true, T1)));
    assert_no_order_goes_back(&[draft, open, closed, merged]);
}

#[test]
fn nothing_follows_a_merge() {
    let Fixture { store, dir: _dir } = fixture();
    let open = with_state(PrState::Open, None);
    let merged = with_state(PrState::Merged, Some((true, T1)));
    for read_at in [600, 1_600] {
        observe(&store, &Observation { as_of: Timestamp(T1 + read_at), ..open.clone() });
    }
    observe(&store, &merged);
    let state = stored(&store).0;
    assert_eq!(state.state, PrState::Merged);
    let later = Timestamp(T1 + 9_000);
    observe(&store, &Observation { as_of: later, provider_at: Some(later), ..open });
    assert_eq!(stored(&store).0, state);
}

/// Deliveries cannot tell in which order a pull request was closed and reopened within a second. It counts
/// as closed, until it is polled.
#[test]
fn a_poll_tells_that_what_was_closed_was_reopened_in_the_same_second() {
    let reopened = with_state(PrState::Open, None);
    let closed = with_state(PrState::Closed, Some((false, T1)));
    let polled = |ms| Observation { as_of: Timestamp(T1 + ms), ..reopened.clone() };
    let state = |store: &Store| stored(store).0.state;
    for order in permutations(&[reopened.clone(), closed.clone()]) {
        let Fixture { store, dir: _dir } = fixture();
        order.iter().for_each(|delivery| drop(observe(&store, delivery)));
        assert_eq!(state(&store), PrState::Closed);
        observe(&store, &polled(2_000));
        assert_eq!(state(&store), PrState::Open);
        observe(&store, &closed);
        assert_eq!(state(&store), PrState::Open, "a late delivery");
    }
    let Fixture { store, dir: _dir } = fixture();
    observe(&store, &polled(2_000));
    observe(&store, &closed);
    assert_eq!(state(&store), PrState::Open, "a poll after that second is newer");
    let Fixture { store, dir: _dir } = fixture();
    observe(&store, &polled(600));
    observe(&store, &closed);
    assert_eq!(state(&store), PrState::Closed, "a poll within that second need not be");
}

#[test]
fn of_a_check_the_later_status_is_stored() {
    let run = |status| {
        let checks = Facet::merge(vec![check("build", status)]);
        Observation { checks, ..observation(T1) }
    };
    let stages = [CheckStatus::Queued, CheckStatus::InProgress, CheckStatus::Failed];
    assert_no_order_goes_back(&stages.map(run));
}

#[test]
fn of_a_review_the_later_state_is_stored() {
    let review = |state| {
        let review = Review { id: "r1".to_owned(), state, ..Review::default() };
        Observation { reviews: Facet::merge(vec![review]), ..observation(T1) }
    };
    let stages = [ReviewState::Pending, ReviewState::Approved, ReviewState::Dismissed];
    assert_no_order_goes_back(&stages.map(review));
}

#[test]
fn of_a_comment_the_edit_and_the_deletion_are_stored() {
    let written = |body: &str, edited_at| {
        let comment = Comment { edited_at, ..comment("c1", body) };
        Observation { comments: Facet::merge(vec![comment]), ..observation(T1) }
    };
    let deleted = Facet { removed: vec!["c1".to_owned()], ..Facet::merge(vec![]) };
    assert_no_order_goes_back(&[
        written("first", None),
        written("edited", Some(Timestamp(T1))),
        Observation { comments: deleted, ..observation(T1) },
    ]);
}

/// A thread begins unresolved: if it was resolved and is unresolved at one time, the latter is the later.
#[test]
fn of_a_thread_that_was_resolved_and_reopened_the_latter_is_stored() {
    let delivery =
        |thread: Thread| Observation { threads: Facet::merge(vec![thread]), ..observation(T1) };
    let resolved = delivery(Thread { resolved_by: "mona".to_owned(), ..thread("t1", true) });
    let reopened = delivery(thread("t1", false));
    let deleted = Facet { removed: vec!["t1".to_owned()], ..Facet::merge(vec![]) };
    let deleted = Observation { threads: deleted, ..observation(T1) };
    assert_no_order_goes_back(&[resolved.clone(), reopened.clone(), deleted]);
    let Fixture { store, dir: _dir } = fixture();
    observe(&store, &reopened);
    observe(&store, &resolved);
    let is_resolved = |store: &Store| stored(store).1.threads[0].is_resolved;
    assert!(!is_resolved(&store));
    let listed = Facet::replace(vec![thread("t1", true)]);
    observe(&store, &Observation { threads: listed, ..observation(T1 + 2_000) });
    assert!(is_resolved(&store), "it was resolved once more, as the poll reads");
    observe(&store, &reopened);
    assert!(is_resolved(&store), "a late delivery");
}
