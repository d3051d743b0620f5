//! A tail as a bounded channel: in order, delayed only by its own reader, stopped by its drop.

use std::thread;
use std::time::{Duration, Instant};

use ao_cdc::{ChangeReceiver, Start};
use crossbeam_channel::{RecvTimeoutError, TryRecvError, after, select};

use crate::support::{Fixture, SOON, add_sessions, change_of, has_shell, next_epoch, until};

fn next(receiver: &ChangeReceiver) -> i64 {
    change_of(receiver.receiver().recv_timeout(SOON).expect("a change in time")).seq.0
}

/// Drops the receiver; its thread must end, and soon.
fn stops(fixture: &Fixture, receiver: ChangeReceiver) {
    assert_eq!(fixture.sockets().len(), 1);
    let started = Instant::now();
    drop(receiver);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert_eq!(fixture.sockets().len(), 0, "the thread has ended and dropped its tail");
}

#[test]
fn a_channel_of_any_capacity_delivers_everything_in_order() {
    for capacity in [0, 1, 7, 5000] {
        let fixture = Fixture::with_changes(40);
        let receiver = fixture.tail(Start::Beginning).into_receiver(capacity).unwrap();
        for seq in 1..=40 {
            assert_eq!(next(&receiver), seq);
        }
        for _ in 0..5 {
            assert_eq!(fixture.commit().0, next(&receiver));
        }
        assert_eq!(receiver.receiver().try_recv().unwrap_err(), TryRecvError::Empty);
    }
}

#[test]
fn a_full_channel_delays_the_tail_and_never_grows() {
    let fixture = Fixture::with_changes(50);
    let receiver = fixture.tail(Start::Beginning).into_receiver(4).unwrap();
    until("the channel is full", || receiver.receiver().is_full());
    add_sessions(&fixture.store, "demo", 1000);
    thread::sleep(Duration::from_millis(250));
    assert_eq!(receiver.receiver().len(), 4);
    for seq in 1..=1050 {
        assert!(receiver.receiver().len() <= 4);
        assert_eq!(next(&receiver), seq);
    }
}

#[test]
fn dropping_it_stops_its_thread_when_idle() {
    let fixture = Fixture::with_changes(3);
    let receiver = fixture.tail(Start::End).into_receiver(4).unwrap();
    stops(&fixture, receiver);
}

#[test]
fn dropping_it_stops_its_thread_when_the_channel_is_full() {
    for capacity in [0, 2] {
        let fixture = Fixture::with_changes(30);
        let receiver = fixture.tail(Start::Beginning).into_receiver(capacity).unwrap();
        // A clone of the channel does not keep the thread alive.
        let clone = receiver.receiver().clone();
        until("the channel is full", || receiver.receiver().is_full());
        stops(&fixture, receiver);
        let rest: Vec<_> = clone.iter().map(|event| change_of(event).seq.0).collect();
        assert_eq!(rest, (1..=capacity as i64).collect::<Vec<_>>());
    }
}

#[test]
fn dropping_it_while_writers_write_stops_its_thread() {
    let fixture = Fixture::with_changes(3);
    for _ in 0..10 {
        let receiver = fixture.tail(Start::End).into_receiver(1).unwrap();
        let store = fixture.store.clone();
        let writer = thread::spawn(move || {
            for _ in 0..20 {
                crate::support::rename(&store, "test", "demo-1", 1);
            }
        });
        next(&receiver);
        stops(&fixture, receiver);
        writer.join().unwrap();
    }
}

#[test]
fn an_error_is_the_last_item_and_waits_for_room() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(3);
    let receiver = fixture.tail(Start::Beginning).into_receiver(3).unwrap();
    until("the channel is full", || receiver.receiver().is_full());
    next_epoch(fixture.path());
    // Full: the error has to wait for room, also longer than a tick.
    thread::sleep(Duration::from_millis(300));
    for seq in 1..=3 {
        assert_eq!(next(&receiver), seq);
    }
    let error = receiver.receiver().recv_timeout(SOON).unwrap().unwrap_err();
    assert_eq!(error.code().name(), "CURSOR_EPOCH_MISMATCH");
    let after = receiver.receiver().recv_timeout(SOON);
    assert_eq!(after.unwrap_err(), RecvTimeoutError::Disconnected);
    assert_eq!(fixture.sockets().len(), 0, "the thread has ended");
}

#[test]
fn it_can_be_selected_and_iterated() {
    let fixture = Fixture::with_changes(6);
    let first = fixture.tail(Start::Beginning).into_receiver(2).unwrap();
    let second = fixture.tail(Start::Last(2)).into_receiver(2).unwrap();
    let mut found = Vec::new();
    while found.len() < 8 {
        select! {
            recv(first.receiver()) -> change => found.push(change_of(change.unwrap()).seq.0),
            recv(second.receiver()) -> change => found.push(change_of(change.unwrap()).seq.0),
            recv(after(SOON)) -> _ => panic!("not in time: {found:?}"),
        }
    }
    found.sort_unstable();
    assert_eq!(found, [1, 2, 3, 4, 5, 5, 6, 6]);
    fixture.commit();
    assert_eq!(change_of(first.receiver().iter().next().unwrap()).seq.0, 7);
}
