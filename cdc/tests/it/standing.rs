//! A consumer that stands still holds no read transaction: the write-ahead log is cut back under any
//! number of them.

use std::fs;
use std::thread;
use std::time::Duration;

use ao_cdc::{Fanout, Filter, Start};

use crate::support::{Fixture, add_sessions, at, change_of, until};

/// The size of the write-ahead log.
fn wal(fixture: &Fixture) -> u64 {
    fs::metadata(fixture.path().with_file_name("ao.db-wal")).unwrap().len()
}

#[test]
fn the_write_ahead_log_is_cut_back_under_consumers_that_stand_still() {
    let fixture = Fixture::with_changes(30);
    let middle = Start::Cursor(at(1, 10));
    let mut tails: Vec<_> = (0..8).map(|_| fixture.tail(middle)).collect();
    for tail in &mut tails[4..] {
        assert_eq!(tail.visit(5, |_| Ok(())).unwrap().matched, 5);
    }
    let mut iterators: Vec<_> = (0..6).map(|_| fixture.tail(middle).follow()).collect();
    for changes in &mut iterators {
        assert_eq!(changes.next().unwrap().unwrap().seq.0, 11);
    }
    let receivers: Vec<_> =
        (0..6).map(|n| fixture.tail(middle).into_receiver(n).unwrap()).collect();
    let fanout = Fanout::start(&fixture.store).unwrap();
    let subscribe = |start| fanout.subscribe(start, Filter::default(), 1).unwrap();
    let mut subscriptions: Vec<_> =
        (0..6).map(|n| subscribe([middle, Start::End][n % 2])).collect();
    for subscription in &mut subscriptions {
        subscription.next_within(Duration::ZERO).unwrap();
    }
    add_sessions(&fixture.store, "demo", 600);
    for _ in 0..20 {
        fixture.commit();
    }
    assert!(wal(&fixture) > 1_000_000, "there is something to cut back: {}", wal(&fixture));
    until("the write-ahead log is cut back", || wal(&fixture) == 0);
    // They stood on something: each goes on from its place.
    for tail in &mut tails {
        assert_eq!(tail.visit(1, |_| Ok(())).unwrap().matched, 1);
    }
    for changes in &mut iterators {
        assert_eq!(changes.next().unwrap().unwrap().seq.0, 12);
    }
    for receiver in &receivers {
        assert_eq!(change_of(receiver.receiver().recv().unwrap()).seq.0, 11);
    }
}

#[test]
fn a_read_that_does_not_end_keeps_the_write_ahead_log() {
    // What the test above would see if a tail held its read transaction.
    let fixture = Fixture::with_changes(30);
    let mut tail = fixture.tail(Start::Beginning);
    add_sessions(&fixture.store, "demo", 300);
    tail.visit(1, |_| {
        fixture.commit();
        thread::sleep(Duration::from_millis(2500));
        assert!(wal(&fixture) > 500_000, "cut back under a reader: {}", wal(&fixture));
        Ok(())
    })
    .unwrap();
    until("the write-ahead log is cut back", || wal(&fixture) == 0);
}
