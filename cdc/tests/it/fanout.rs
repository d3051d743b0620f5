//! A fan-out gives every subscriber every change exactly once and in order, whether it keeps up or
//! not, and no subscriber delays another.

use std::thread;
use std::time::{Duration, Instant};

use ao_cdc::{Error, Fanout, Filter, Start, Subscription};
use ao_store::log::change::Change;

use crate::support::{
    Fixture, SOON, add_sessions, at, cut, has_shell, in_time, prune, rename, seqs,
};

pub(crate) fn subscribe(fanout: &Fanout, start: Start) -> Subscription {
    fanout.subscribe(start, Filter::default()).unwrap()
}

/// A fan-out that keeps only what its newest read found.
pub(crate) fn with_small_ring(fixture: &Fixture) -> Fanout {
    Fanout::with_memory(&fixture.store, 1).unwrap()
}

/// Everything up to a position, each batch in time.
pub(crate) fn up_to(subscription: &mut Subscription, seq: i64) -> Vec<Change> {
    let mut found = Vec::new();
    while subscription.cursor().seq.0 < seq {
        let batch = subscription.next_within(SOON).unwrap().expect("the changes in time");
        found.extend(batch.iter().cloned());
    }
    found
}

fn range(after: i64, up_to: i64) -> Vec<i64> {
    (after + 1..=up_to).collect()
}

/// Commits that are delivered in a batch each: `witness` receives one before the next is made.
fn commit_singly(fixture: &Fixture, witness: &mut Subscription, count: usize) {
    for _ in 0..count {
        let seq = fixture.commit();
        assert_eq!(seqs(&up_to(witness, seq.0)), [seq.0]);
    }
}

#[test]
fn every_subscriber_sees_every_change_once_and_in_order_under_four_writers() {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 3);
    let fanouts = [with_small_ring(&fixture), Fanout::start(&fixture.store).unwrap()];
    let head = 5 + 4 * 60;
    let readers: Vec<_> = (0..8)
        .map(|number| {
            let start =
                [Start::End, Start::Beginning, Start::Cursor(at(1, 3)), Start::Last(4)][number % 4];
            let mut subscription = subscribe(&fanouts[number / 4], start);
            let from = subscription.cursor().seq.0;
            assert_eq!(from, [5, 0, 3, 1][number % 4]);
            thread::spawn(move || (from, up_to(&mut subscription, head)))
        })
        .collect();
    let writers: Vec<_> = (1..=4)
        .map(|number| {
            let store = fixture.store.clone();
            thread::spawn(move || {
                for _ in 0..30 {
                    rename(&store, "writer", &format!("demo-{number}"), 2);
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let truth = fixture.truth();
    assert_eq!(truth.len() as i64, head);
    for reader in readers {
        let (from, found) = reader.join().unwrap();
        assert_eq!(found, truth[usize::try_from(from).unwrap()..]);
    }
}

#[test]
fn a_subscriber_that_stops_reading_falls_back_to_catch_up_reads_and_comes_back() {
    let fixture = Fixture::with_changes(2);
    let fanout = with_small_ring(&fixture);
    let mut slow = subscribe(&fanout, Start::End);
    let mut quick = subscribe(&fanout, Start::End);
    commit_singly(&fixture, &mut quick, 20);
    assert_eq!((slow.fallbacks(), slow.cursor()), (0, at(1, 2)), "it has not read yet");
    let found = up_to(&mut slow, 22);
    assert_eq!(seqs(&found), range(2, 22));
    assert_eq!((slow.fallbacks(), quick.fallbacks()), (1, 0));
    // It has caught up and is live again, so it keeps up from here.
    assert!(slow.next_within(Duration::ZERO).unwrap().is_none());
    for seq in 23..30 {
        commit_singly(&fixture, &mut quick, 1);
        assert_eq!(seqs(&up_to(&mut slow, seq)), [seq]);
    }
    assert_eq!(slow.fallbacks(), 1);
    // And it can fall behind again.
    commit_singly(&fixture, &mut quick, 5);
    assert_eq!(seqs(&up_to(&mut slow, 34)), range(29, 34));
    assert_eq!((slow.fallbacks(), quick.fallbacks()), (2, 0));
}

#[test]
fn a_live_subscriber_does_not_read_the_log() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(2);
    let fanout = with_small_ring(&fixture);
    let mut quick = subscribe(&fanout, Start::End);
    let mut fresh = subscribe(&fanout, Start::Beginning);
    let mut behind_once = subscribe(&fanout, Start::End);
    commit_singly(&fixture, &mut quick, 4);
    for subscription in [&mut fresh, &mut behind_once] {
        up_to(subscription, 6);
        assert!(subscription.next_within(Duration::ZERO).unwrap().is_none());
    }
    assert_eq!((fresh.fallbacks(), behind_once.fallbacks()), (0, 1));
    // What waits in the ring is delivered even if it was pruned from the log.
    commit_singly(&fixture, &mut quick, 1);
    cut(fixture.path(), 7);
    for subscription in [&mut fresh, &mut behind_once] {
        assert_eq!(seqs(&up_to(subscription, 7)), [7]);
    }
}

#[test]
fn a_subscriber_that_stops_reading_delays_no_other() {
    let fixture = Fixture::with_changes(2);
    let fanout = with_small_ring(&fixture);
    let stopped: Vec<_> = (0..20).map(|_| subscribe(&fanout, Start::End)).collect();
    let mut quick = subscribe(&fanout, Start::End);
    let mut slowest = Duration::ZERO;
    for _ in 0..40 {
        let started = Instant::now();
        commit_singly(&fixture, &mut quick, 1);
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert_eq!(quick.fallbacks(), 0);
    for mut subscription in stopped {
        assert_eq!(seqs(&up_to(&mut subscription, 42)), range(2, 42));
        assert_eq!(subscription.fallbacks(), 1);
    }
}

#[test]
fn the_cursor_of_a_subscriber_whose_log_was_pruned_expires() {
    let fixture = Fixture::with_changes(2);
    let fanout = with_small_ring(&fixture);
    let mut quick = subscribe(&fanout, Start::End);
    let mut slow = subscribe(&fanout, Start::End);
    commit_singly(&fixture, &mut quick, 10);
    prune(&fixture.store, 8);
    for _ in 0..2 {
        let error = slow.next_within(SOON).unwrap_err();
        assert_eq!(error.code().name(), "CURSOR_EXPIRED");
        assert_eq!(slow.cursor(), at(1, 2));
    }
    let expired = fanout.subscribe(Start::Cursor(at(1, 7)), Filter::default()).unwrap_err();
    assert_eq!(expired.code().name(), "CURSOR_EXPIRED");
    commit_singly(&fixture, &mut quick, 2);
    assert_eq!(seqs(&up_to(&mut subscribe(&fanout, Start::Cursor(at(1, 8))), 14)), range(8, 14));
}

#[test]
fn dropping_the_fanout_stops_its_subscribers() {
    let fixture = Fixture::with_changes(2);
    let fanout = Fanout::start(&fixture.store).unwrap();
    let mut waiting = subscribe(&fanout, Start::End);
    let mut behind = subscribe(&fanout, Start::End);
    let mut witness = subscribe(&fanout, Start::End);
    let other = with_small_ring(&fixture);
    let mut far_behind = subscribe(&other, Start::End);
    let mut other_witness = subscribe(&other, Start::End);
    for _ in 0..2 {
        commit_singly(&fixture, &mut witness, 1);
        up_to(&mut other_witness, witness.cursor().seq.0);
    }
    up_to(&mut waiting, 4);
    let waiting = thread::spawn(move || waiting.next_within(SOON).map(|_| ()));
    thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    drop((fanout, other));
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
    assert!(matches!(waiting.join().unwrap(), Err(Error::Stopped)));
    assert_eq!(seqs(&up_to(&mut behind, 4)), [3, 4], "what was delivered is kept");
    for subscription in [&mut behind, &mut far_behind] {
        for _ in 0..2 {
            let stopped = subscription.next_within(SOON).unwrap_err();
            assert!(matches!(stopped, Error::Stopped), "{stopped:?}");
        }
    }
    // A tail can resume where it was stopped.
    let rest = crate::support::drain(fixture.tail(Start::Cursor(far_behind.cursor())));
    assert_eq!(seqs(&rest), [3, 4]);
    assert_eq!(fixture.sockets().len(), 0, "no thread and no tail is left");
}

#[test]
fn dropping_the_fanout_stops_a_subscriber_that_reads_the_log() {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 2000);
    let fanout = Fanout::start(&fixture.store).unwrap();
    let mut behind = subscribe(&fanout, Start::Beginning);
    assert!(behind.next_within(SOON).unwrap().is_some());
    drop(fanout);
    let error = in_time(move || {
        loop {
            if let Err(error) = behind.next_within(SOON) {
                break error;
            }
        }
    });
    assert!(matches!(error, Error::Stopped));
}

#[test]
fn two_hundred_subscribers_see_everything() {
    let fixture = Fixture::with_changes(2);
    let fanout = Fanout::with_memory(&fixture.store, 16 << 10).unwrap();
    let mut subscriptions: Vec<_> = (0..200).map(|_| subscribe(&fanout, Start::End)).collect();
    assert_eq!(fixture.sockets().len(), 1, "a live subscriber has no tail of its own");
    for _ in 0..45 {
        fixture.commit();
    }
    for subscription in &mut subscriptions {
        assert_eq!(seqs(&up_to(subscription, 47)), range(2, 47));
    }
    let seq = fixture.commit().0;
    for subscription in &mut subscriptions {
        assert_eq!(seqs(&up_to(subscription, seq)), [seq]);
    }
}

#[test]
fn a_filter_is_applied_live_and_in_the_log_and_the_cursor_moves_on() {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 1);
    let fanouts = [Fanout::start(&fixture.store).unwrap(), with_small_ring(&fixture)];
    let filter = Filter::new(vec![], vec![], vec!["demo-2".parse().unwrap()]).unwrap();
    let open = |fanout: &Fanout| fanout.subscribe(Start::Beginning, filter.clone()).unwrap();
    let (mut live, mut slow) = (open(&fanouts[0]), open(&fanouts[1]));
    let mut witnesses = fanouts.each_ref().map(|fanout| subscribe(fanout, Start::End));
    for subscription in [&mut live, &mut slow] {
        let batch = subscription.next_within(SOON).unwrap().unwrap();
        assert_eq!(seqs(batch.iter()), [3], "the creation of demo-2");
        assert!(subscription.next_within(Duration::ZERO).unwrap().is_none());
    }
    for _ in 0..5 {
        let seq = fixture.commit().0;
        witnesses.iter_mut().for_each(|witness| assert_eq!(seqs(&up_to(witness, seq)), [seq]));
    }
    for subscription in [&mut live, &mut slow] {
        assert!(subscription.next_within(Duration::from_millis(150)).unwrap().is_none());
        assert_eq!(subscription.cursor(), at(1, 8), "nothing passed, but it was seen");
    }
    let seq = rename(&fixture.store, "test", "demo-2", 1);
    for subscription in [&mut live, &mut slow] {
        let batch = subscription.next_within(SOON).unwrap().unwrap();
        assert_eq!(seqs(batch.iter()), [seq.0]);
    }
    assert_eq!((live.fallbacks(), slow.fallbacks()), (0, 1));
}

#[test]
fn a_subscriber_can_wait_without_a_limit() {
    let fixture = Fixture::with_changes(2);
    let fanout = Fanout::start(&fixture.store).unwrap();
    let mut live = subscribe(&fanout, Start::End);
    let mut log = subscribe(&fanout, Start::Beginning);
    let found = in_time(move || log.next_within(Duration::MAX).unwrap().unwrap());
    assert_eq!(seqs(found.iter()), [1, 2]);
    let store = fixture.store.clone();
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        rename(&store, "test", "demo-1", 1)
    });
    let found = in_time(move || live.next_within(Duration::MAX).unwrap().unwrap());
    assert_eq!(seqs(found.iter()), [writer.join().unwrap().0]);
}

/// How many changes a fan-out delivered that was dropped right after `count` commits.
fn delivered_before_drop(count: usize) -> usize {
    let fixture = Fixture::with_changes(2);
    let fanout = Fanout::start(&fixture.store).unwrap();
    let mut subscription = subscribe(&fanout, Start::End);
    add_sessions(&fixture.store, "demo", count);
    drop(fanout);
    let mut found = 0;
    while let Ok(batch) = subscription.next_within(SOON) {
        found += batch.expect("changes or the end in time").iter().count();
    }
    found
}

#[test]
fn dropping_the_fanout_does_not_wait_for_the_end_of_a_backlog() {
    // Several tries: a thread that is not scheduled for long drops the fan-out too late.
    let found: Vec<_> =
        (0..5).map(|_| delivered_before_drop(3000)).take_while(|n| *n == 3000).collect();
    assert!(found.len() < 5, "it was always read to its end");
}
