//! Durable consumers: acknowledgements move forward, are coalesced and fenced; a lease has one owner;
//! a change that was not acknowledged is never lost with its owner.

use std::thread;
use std::time::{Duration, Instant};

use ao_cdc::{Consumer, Filter, Takeover};
use ao_store::lease::{Fence, Owner};
use ao_store::log::consumer::{self, NewConsumer, Policy};
use ao_store::{ConsumerName, Cursor, Store, Timestamp};

use crate::support::{
    Fixture, Player, SOON, add_sessions, at, cause, has_shell, next_epoch, part, rename, say, seqs,
};

pub(crate) fn create(
    store: &Store,
    start: Cursor,
    filter: &Filter,
    policy: Policy,
) -> ConsumerName {
    let name: ConsumerName = "reader".parse().unwrap();
    let new = NewConsumer { name: name.clone(), start, filter: filter.to_json(), policy };
    store.write(cause("test"), move |tx| consumer::create(tx, &new)).unwrap();
    name
}

/// Reads everything in the log, so that it can be acknowledged.
pub(crate) fn read(reader: &mut Consumer) {
    reader.tail_mut().visit(usize::MAX, |_| Ok(())).unwrap();
}

pub(crate) fn open(store: &Store, takeover: Takeover) -> ao_cdc::Result<Consumer> {
    let name = "reader".parse().unwrap();
    Consumer::open(store, &name, None, &Owner::this_process(), takeover)
}

pub(crate) fn stored(store: &Store) -> consumer::Consumer {
    let name = "reader".parse().unwrap();
    store.read(|snapshot| consumer::require(snapshot, &name)).unwrap()
}

pub(crate) fn seek(store: &Store, to: Cursor, fence: Fence) -> ao_store::Result<()> {
    let name = "reader".parse().unwrap();
    store.write(cause("test"), move |tx| consumer::seek(tx, &name, to, fence)).map(|_| ())
}

pub(crate) fn code<T>(result: ao_cdc::Result<T>) -> &'static str {
    match result {
        Ok(_) => "OK",
        Err(error) => error.code().name(),
    }
}

fn fixture(count: i64) -> Fixture {
    let fixture = Fixture::with_changes(count);
    create(&fixture.store, at(1, 0), &Filter::default(), Policy::Block);
    fixture
}

#[test]
fn many_acknowledgements_are_few_writes() {
    let fixture = fixture(2);
    add_sessions(&fixture.store, "demo", 3500);
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    let wal = || fixture.store.stats(Timestamp::now()).unwrap().wal_bytes;
    let (before, started, mut acks) = (wal(), Instant::now(), 0);
    while acks < 3500 {
        let delivery = reader.next_within(1, SOON).unwrap().expect("the change in time");
        assert_eq!(seqs(&delivery.changes), [acks + 1]);
        reader.ack(delivery.cursor).unwrap();
        acks += 1;
    }
    // One write per 100 ms and one per 1,000 changes, each of a page or two.
    let allowed = started.elapsed().as_millis() as u64 / 100 + 3 + 2;
    let pages = wal().saturating_sub(before) / 4096;
    assert!((3..=allowed * 3).contains(&pages), "{pages} pages, {allowed} writes");
    let behind = acks - stored(&fixture.store).acked.seq.0;
    assert!((0..1000).contains(&behind), "{behind} are not written");
    reader.flush().unwrap();
    assert_eq!(stored(&fixture.store).acked, at(1, acks));
}

#[test]
fn an_acknowledgement_is_written_soon_although_nothing_comes() {
    let fixture = fixture(5);
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    let _ = reader.next_within(100, SOON).unwrap().unwrap();
    reader.ack(at(1, 3)).unwrap();
    let started = Instant::now();
    while stored(&fixture.store).acked != at(1, 3) {
        assert!(started.elapsed() < SOON);
        reader.next_within(100, Duration::from_millis(20)).unwrap();
    }
    // One long wait does not delay it either: it is stored while the wait is on, which only then ends.
    reader.ack(at(1, 5)).unwrap();
    let store = fixture.store.clone();
    let seen = thread::spawn(move || {
        while stored(&store).acked != at(1, 5) {
            thread::sleep(Duration::from_millis(10));
        }
        rename(&store, "writer", "demo-1", 1)
    });
    assert!(reader.next_within(100, SOON * 3).unwrap().is_some(), "only when the wait is over");
    seen.join().unwrap();
}

#[test]
fn acknowledgements_move_forward_only() {
    let fixture = fixture(10);
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    assert_eq!(code(reader.ack(at(1, 1))), "CURSOR_IN_FUTURE", "nothing was read yet");
    assert!(reader.next_within(100, SOON).unwrap().is_some());
    for (ack, expected) in [(4, 4), (2, 4), (4, 4), (0, 4), (9, 9), (5, 9)] {
        reader.ack(at(1, ack)).unwrap();
        reader.flush().unwrap();
        assert_eq!(stored(&fixture.store).acked, at(1, expected), "{ack}");
    }
    assert_eq!(code(reader.ack(at(2, 10))), "CURSOR_EPOCH_MISMATCH");
    assert_eq!(code(reader.ack(at(1, 11))), "CURSOR_IN_FUTURE");
    reader.flush().unwrap();
    assert_eq!(stored(&fixture.store).acked, at(1, 9), "neither counts");
}

#[test]
fn an_owner_that_was_displaced_cannot_change_anything() {
    let fixture = fixture(10);
    let mut first = open(&fixture.store, Takeover::IfGone).unwrap();
    let delivery = first.next_within(100, SOON).unwrap().unwrap();
    first.ack(at(1, 2)).unwrap();
    first.flush().unwrap();
    let mut second = open(&fixture.store, Takeover::Always).unwrap();
    assert_eq!(second.cursor(), at(1, 2));
    first.ack(delivery.cursor).ok();
    assert_eq!(code(first.flush()), "LEASE_LOST");
    assert_eq!(stored(&fixture.store).acked, at(1, 2));
    assert_eq!(
        code(first.next_within(100, Duration::ZERO).and_then(|_| first.flush())),
        "LEASE_LOST"
    );
    let held = stored(&fixture.store);
    drop(first);
    assert_eq!(stored(&fixture.store), held, "it releases only its own lease");
    let again = second.next_within(100, SOON).unwrap().unwrap();
    assert_eq!(seqs(&again.changes), (3..=10).collect::<Vec<_>>(), "they come again");
    second.ack(again.cursor).unwrap();
    second.flush().unwrap();
    assert_eq!(stored(&fixture.store).acked, at(1, 10));
}

/// Reads and acknowledges on command, in a process of its own.
fn play(store: &Store) {
    let mut reader = open(store, Takeover::IfGone).unwrap();
    let delivery = reader.next_within(5, SOON).unwrap().unwrap();
    say("ready");
    for line in std::io::stdin().lines() {
        let seq = line.unwrap().parse().unwrap();
        let done = reader.ack(Cursor { seq: ao_store::Seq(seq), ..delivery.cursor });
        say(code(done.and_then(|()| reader.flush())));
    }
}

#[test]
fn an_owner_that_was_stopped_and_displaced_is_fenced() {
    if let Some((_, store)) = part() {
        return play(&store);
    }
    let fixture = fixture(10);
    let name = "consumer::an_owner_that_was_stopped_and_displaced_is_fenced";
    let mut player = Player::start(name, "owner", fixture.path());
    assert_eq!(player.line(), "ready");
    player.send("2");
    assert_eq!(player.line(), "OK");
    player.signal("-STOP");
    assert_eq!(code(open(&fixture.store, Takeover::IfGone)), "LEASE_HELD", "it lives");
    let second = open(&fixture.store, Takeover::Always).unwrap();
    player.send("5");
    player.signal("-CONT");
    assert_eq!(player.line(), "LEASE_LOST");
    assert_eq!((stored(&fixture.store).acked, second.cursor()), (at(1, 2), at(1, 2)));
}

#[test]
fn the_lease_of_a_killed_process_is_taken_at_once_and_its_changes_are_delivered_again() {
    if let Some((_, store)) = part() {
        return play(&store);
    }
    let fixture = fixture(10);
    let name = "consumer::the_lease_of_a_killed_process_is_taken_at_once_and_its_changes_are_delivered_again";
    for round in 0..3 {
        let mut player = Player::start(name, "owner", fixture.path());
        assert_eq!(player.line(), "ready");
        assert_eq!(code(open(&fixture.store, Takeover::IfGone)), "LEASE_HELD");
        player.send(&(round + 1).to_string());
        assert_eq!(player.line(), "OK");
        player.kill();
        let started = Instant::now();
        let mut second = open(&fixture.store, Takeover::IfGone).unwrap();
        assert!(started.elapsed() < ao_cdc::LEASE_TTL / 4, "{:?}", started.elapsed());
        let delivery = second.next_within(100, SOON).unwrap().unwrap();
        assert_eq!(seqs(&delivery.changes), (round + 2..=10).collect::<Vec<_>>());
    }
}

#[test]
fn an_expired_lease_is_taken_and_a_renewed_one_is_not() {
    let fixture = fixture(10);
    let name: ConsumerName = "reader".parse().unwrap();
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    assert_eq!(code(open(&fixture.store, Takeover::IfGone)), "LEASE_HELD");
    let acquire = |now: i64| {
        let (name, cause) = (name.clone(), ao_store::Cause::new("later", Timestamp(now)));
        fixture.store.write(cause, move |tx| {
            consumer::acquire(tx, &name, "another owner", ao_cdc::LEASE_TTL, None)
        })
    };
    let until = || stored(&fixture.store).lease.unwrap().until.0;
    let first = until();
    assert_eq!(acquire(first - 1).unwrap_err().code().name(), "LEASE_HELD");
    thread::sleep(Duration::from_millis(30));
    reader.flush().unwrap();
    assert!(until() >= first + 30, "it was renewed");
    assert_eq!(acquire(first + 1).unwrap_err().code().name(), "LEASE_HELD");
    acquire(until()).unwrap();
    assert_eq!(code(reader.flush()), "LEASE_LOST");
}

#[test]
fn a_changed_filter_is_refused() {
    let fixture = Fixture::with_changes(5);
    let filter = Filter::new(vec!["session_updated".to_owned()], vec![], vec![]).unwrap();
    create(&fixture.store, at(1, 0), &filter, Policy::Block);
    let name = "reader".parse().unwrap();
    let with = |filter: Option<&Filter>| {
        code(Consumer::open(
            &fixture.store,
            &name,
            filter,
            &Owner::this_process(),
            Takeover::IfGone,
        ))
    };
    assert_eq!(with(Some(&Filter::default())), "CONSUMER_FILTER_MISMATCH");
    assert_eq!([with(Some(&filter)), with(None)], ["OK", "OK"]);
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    assert_eq!(seqs(&reader.next_within(100, SOON).unwrap().unwrap().changes), [3, 4, 5]);
}

#[test]
fn a_seek_fences_the_owner() {
    let fixture = fixture(10);
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    let _ = reader.next_within(100, SOON).unwrap().unwrap();
    let refused = seek(&fixture.store, at(1, 1), Fence::Respect).unwrap_err();
    assert_eq!(refused.code().name(), "LEASE_HELD");
    for future in [at(1, 11), at(2, 1)] {
        assert!(seek(&fixture.store, future, Fence::Force).is_err());
    }
    reader.ack(at(1, 8)).unwrap();
    reader.flush().unwrap();
    seek(&fixture.store, at(1, 3), Fence::Force).unwrap();
    reader.ack(at(1, 9)).ok();
    assert_eq!(code(reader.flush()), "LEASE_LOST");
    assert_eq!(stored(&fixture.store).acked, at(1, 3), "back");
    let mut next = open(&fixture.store, Takeover::IfGone).unwrap();
    drop(reader);
    let delivery = next.next_within(2, SOON).unwrap().unwrap();
    assert_eq!(seqs(&delivery.changes), [4, 5]);
    next.ack(delivery.cursor).unwrap();
    next.flush().unwrap();
}

#[test]
fn an_owner_that_opens_while_it_is_moved_begins_where_it_was_moved_to() {
    let fixture = fixture(10);
    for round in 0..60 {
        seek(&fixture.store, at(1, 8), Fence::Force).unwrap();
        let store = fixture.store.clone();
        let mover = thread::spawn(move || {
            thread::sleep(Duration::from_micros(round * 40));
            seek(&store, at(1, 2), Fence::Force)
        });
        let opened = open(&fixture.store, Takeover::Always);
        mover.join().unwrap().unwrap();
        let Ok(reader) = opened else { continue };
        let now = stored(&fixture.store);
        // An owner that took the lease after the seek still has it.
        if now.lease.is_some() {
            assert_eq!(reader.cursor(), now.acked, "round {round}");
        }
    }
}

#[test]
fn a_filtered_consumer_moves_on_when_nothing_passes() {
    let fixture = Fixture::with_changes(4);
    add_sessions(&fixture.store, "demo", 1);
    let filter = Filter::new(vec![], vec![], vec!["demo-2".parse().unwrap()]).unwrap();
    create(&fixture.store, fixture.head(), &filter, Policy::Block);
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    for _ in 0..3 {
        let last = rename(&fixture.store, "test", "demo-1", 3);
        let delivery = reader.next_within(100, SOON).unwrap().unwrap();
        assert_eq!((delivery.changes.len(), delivery.cursor.seq), (0, last));
        reader.ack(delivery.cursor).unwrap();
        reader.flush().unwrap();
        assert_eq!(stored(&fixture.store).acked.seq, last);
        assert_eq!(crate::support::keep_newest(&fixture.store, 0).0, last.0 - 3, "it has no lease");
    }
    let passing = rename(&fixture.store, "test", "demo-2", 1);
    let delivery = reader.next_within(100, SOON).unwrap().unwrap();
    assert_eq!(seqs(&delivery.changes), [passing.0]);
}

#[test]
fn dropping_it_writes_what_was_acknowledged_and_releases_the_lease() {
    let fixture = fixture(10);
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    read(&mut reader);
    reader.ack(at(1, 7)).unwrap();
    assert_eq!(stored(&fixture.store).acked, at(1, 0), "not yet");
    assert!(stored(&fixture.store).lease.is_some());
    drop(reader);
    let after = stored(&fixture.store);
    assert_eq!((after.acked, after.lease), (at(1, 7), None));
    open(&fixture.store, Takeover::IfGone).unwrap();
}

#[test]
fn a_consumer_in_another_epoch_needs_a_seek() {
    if !has_shell() {
        return;
    }
    let fixture = fixture(10);
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    read(&mut reader);
    reader.ack(at(1, 5)).unwrap();
    next_epoch(fixture.path());
    assert_eq!(code(reader.next_within(100, SOON)), "CURSOR_EPOCH_MISMATCH");
    assert_eq!(code(reader.flush()), "CURSOR_EPOCH_MISMATCH");
    drop(reader);
    assert_eq!(stored(&fixture.store).lease, None, "the lease was released");
    for _ in 0..2 {
        assert_eq!(code(open(&fixture.store, Takeover::IfGone)), "CURSOR_EPOCH_MISMATCH");
    }
    seek(&fixture.store, at(2, 6), Fence::Respect).unwrap();
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    let delivery = reader.next_within(100, SOON).unwrap().unwrap();
    assert_eq!((seqs(&delivery.changes), delivery.cursor), ((7..=10).collect(), at(2, 10)));
}
