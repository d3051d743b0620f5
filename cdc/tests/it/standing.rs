//! An idle consumer holds no read transaction: the write-ahead log is truncated under any number of
//! them.

use std::fs;
use std::thread;
use std::time::Duration;

use ao_cdc::{Consumer, Fanout, Filter, Start, Takeover};
use ao_store::lease::Owner;
use ao_store::log::consumer::{self, NewConsumer, Policy};
use ao_store::observation::{Comment, Facet, Observation};
use ao_store::{ConsumerName, Timestamp};

use crate::support::{Fixture, SOON, add_sessions, at, cause, change_of, until};

/// The size of the write-ahead log.
fn wal(fixture: &Fixture) -> u64 {
    fs::metadata(fixture.path().with_file_name("ao.db-wal")).unwrap().len()
}

#[test]
fn the_write_ahead_log_is_truncated_under_idle_consumers() {
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
    let subscribe = |start| fanout.subscribe(start, Filter::default()).unwrap();
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
    // Each had read something and continues from its position.
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
    // This is what the test above would find if a tail held its read transaction.
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

/// Writes four comments of 64 KiB each, which no later one replaces.
fn write_much(fixture: &Fixture, round: i64) {
    let body = |n: i64| format!("{round} {n} {}", "x".repeat(64 << 10));
    let comment = |n| Comment { id: format!("c{round}-{n}"), body: body(n), ..Comment::default() };
    let mut seen =
        Observation::new("octo/hello#7".parse().unwrap(), Timestamp(1_700_000_000_000 + round));
    seen.session = Some("demo-1".parse().unwrap());
    seen.comments = Facet::merge((0..4).map(comment).collect());
    let apply = move |tx: &ao_store::Tx<'_>| ao_store::apply_observation(tx, &seen);
    let done = fixture.store.write(cause("test"), apply).unwrap();
    assert!(done.changes >= 4, "{done:?}");
}

/// A durable consumer that took one delivery and does nothing more.
fn stopped_consumer(fixture: &Fixture, number: usize) -> Consumer {
    let name: ConsumerName = format!("reader-{number}").parse().unwrap();
    let new = NewConsumer {
        name: name.clone(),
        start: at(1, 5),
        filter: Filter::default().to_json(),
        policy: Policy::Block,
    };
    fixture.store.write(cause("test"), move |tx| consumer::create(tx, &new)).unwrap();
    let owner = Owner::this_process();
    let mut reader = Consumer::open(&fixture.store, &name, None, &owner, Takeover::IfGone).unwrap();
    let delivery = reader.next_within(1, SOON).unwrap().unwrap();
    assert_eq!(delivery.changes.len(), 1);
    reader
}

#[test]
fn the_write_ahead_log_stays_below_64_mib_under_a_hundred_consumers_that_stopped() {
    let fixture = Fixture::with_changes(30);
    let middle = Start::Cursor(at(1, 10));
    let mut tails: Vec<_> = (0..25).map(|_| fixture.tail(middle)).collect();
    for tail in &mut tails {
        assert_eq!(tail.visit(5, |_| Ok(())).unwrap().matched, 5);
    }
    let receivers: Vec<_> =
        (0..25).map(|n| fixture.tail(middle).into_receiver(n % 3).unwrap()).collect();
    let fanout = Fanout::start(&fixture.store).unwrap();
    let start = |n: usize| [middle, Start::End][n % 2];
    let mut subscriptions: Vec<_> =
        (0..25).map(|n| fanout.subscribe(start(n), Filter::default()).unwrap()).collect();
    let mut consumers: Vec<_> = (0..25).map(|n| stopped_consumer(&fixture, n)).collect();
    let (mut largest, mut rounds) = (0, 0);
    let logged = || fixture.store.stats(Timestamp::now()).unwrap().log_bytes;
    // The log contains each comment once more: 55 MB of comments are 110 MB in all.
    while logged() < 55_000_000 {
        write_much(&fixture, rounds);
        rounds += 1;
        largest = largest.max(wal(&fixture));
    }
    assert!(largest <= 64 << 20, "{largest} bytes after {rounds} rounds");
    assert!(largest > 1 << 20, "it was watched: {largest}");
    let size = fs::metadata(fixture.path()).unwrap().len() + wal(&fixture);
    assert!(size > 100_000_000, "{size} bytes were written");
    // Each continues from its position.
    tails.iter_mut().for_each(|tail| assert_eq!(tail.visit(1, |_| Ok(())).unwrap().matched, 1));
    for receiver in &receivers {
        assert_eq!(change_of(receiver.receiver().recv_timeout(SOON).unwrap()).seq.0, 11);
    }
    for (n, subscription) in subscriptions.iter_mut().enumerate() {
        let batch = subscription.next_within(SOON).unwrap().unwrap();
        assert_eq!(batch.iter().next().unwrap().seq.0, [11, 31][n % 2]);
    }
    for consumer in &mut consumers {
        let delivery = consumer.next_within(1, SOON).unwrap().unwrap();
        assert_eq!(delivery.cursor, at(1, 7));
    }
}
