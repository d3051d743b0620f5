//! When the facts about hosts and pull requests are stale.

use ao_store::observation::PrState;
use ao_store::row::pr::Filter;
use ao_store::row::scm::{self, FactAge, HostState, PrPoll, Problem};
use ao_store::{PrId, Store, Timestamp};

use crate::support::{T0, at, fixture, observation, observe};

const MINUTE: i64 = 60_000;

fn pr() -> PrId {
    "github.com/octo/hello#7".parse().unwrap()
}

/// The age of the pull request this many minutes after it was first observed.
fn age(store: &Store, minutes: i64) -> FactAge {
    let now = Timestamp(T0 + minutes * MINUTE);
    let one = store.read(|snapshot| scm::pr_age(snapshot, &pr(), now)).unwrap().unwrap();
    let all = store.read(|snapshot| scm::pr_ages(snapshot, &Filter::default(), now)).unwrap();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [(pr(), one)]);
    one
}

fn set_host(store: &Store, fresh_at: Option<i64>, interval_ms: i64) {
    let host = HostState {
        fresh_at: fresh_at.map(|minutes| Timestamp(T0 + minutes * MINUTE)),
        interval_ms: Some(interval_ms),
        ..HostState::new("GitHub.com")
    };
    store.write(at(T0), move |tx| scm::set_host(tx, &host)).unwrap();
}

#[test]
fn facts_that_nothing_confirms_are_stale_after_twenty_minutes() {
    let fixture = fixture();
    let fresh = age(&fixture.store, 20);
    assert_eq!((fresh.confirmed_at, fresh.is_stale), (Some(Timestamp(T0)), false));
    assert_eq!((fresh.age_ms(Timestamp(T0 + 5)), fresh.stale_since()), (Some(5), None));
    let stale = age(&fixture.store, 21);
    assert!(stale.is_stale);
    assert_eq!(stale.stale_since(), Some(Timestamp(T0 + 20 * MINUTE)));
}

#[test]
fn a_poll_of_the_host_confirms_what_can_be_read() {
    let fixture = fixture();
    set_host(&fixture.store, Some(60), 30_000);
    assert_eq!(age(&fixture.store, 80).confirmed_at, Some(Timestamp(T0 + 60 * MINUTE)));
    assert!(!age(&fixture.store, 80).is_stale);
    assert!(age(&fixture.store, 81).is_stale);
    let poll = PrPoll { problem: Problem::Forbidden, ..PrPoll::default() };
    fixture.store.write(at(T0), move |tx| scm::set_poll(tx, &pr(), &poll)).unwrap();
    assert_eq!(age(&fixture.store, 61).confirmed_at, Some(Timestamp(T0)));
    assert!(age(&fixture.store, 61).is_stale);
}

#[test]
fn a_long_interval_keeps_facts_fresh_for_longer() {
    let fixture = fixture();
    set_host(&fixture.store, Some(0), 10 * MINUTE);
    assert!(!age(&fixture.store, 400).is_stale);
    assert!(age(&fixture.store, 401).is_stale);
}

#[test]
fn a_host_that_was_never_read_is_stale() {
    let age = HostState::new("github.com").age(Timestamp(T0));
    assert_eq!((age.confirmed_at, age.is_stale, age.stale_since()), (None, true, None));
}

#[test]
fn a_merged_pull_request_is_never_stale() {
    let fixture = fixture();
    let mut merged = observation(T0 + 1);
    merged.facts.state = Some(PrState::Merged);
    observe(&fixture.store, &merged);
    assert!(!age(&fixture.store, 100_000).is_stale);
}
