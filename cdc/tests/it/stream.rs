//! A tail as a tokio stream: in order, bounded, an error is the last item, its drop stops its thread.

use std::time::{Duration, Instant};

use ao_cdc::{Start, TailStream};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use crate::support::{Fixture, SOON, add_sessions, change_of, has_shell, next_epoch, until};

async fn next(stream: &mut TailStream) -> i64 {
    let change = timeout(SOON, stream.next()).await.expect("in time");
    change_of(change.expect("a change")).seq.0
}

#[tokio::test]
async fn it_yields_old_and_new_changes_in_order() {
    for capacity in [0, 1, 600] {
        let fixture = Fixture::with_changes(20);
        let mut stream = fixture.tail(Start::Beginning).into_stream(capacity).unwrap();
        for seq in 1..=20 {
            assert_eq!(next(&mut stream).await, seq);
        }
        for _ in 0..5 {
            let pending = timeout(Duration::from_millis(20), stream.next()).await;
            assert!(pending.is_err(), "nothing was committed");
            assert_eq!(fixture.commit().0, next(&mut stream).await);
        }
    }
}

#[tokio::test]
async fn streams_of_one_task_do_not_block_each_other() {
    let fixture = Fixture::with_changes(30);
    let mut idle = fixture.tail(Start::End).into_stream(1).unwrap();
    let mut busy = fixture.tail(Start::Beginning).into_stream(1).unwrap();
    let mut found = 0;
    while found < 30 {
        tokio::select! {
            change = idle.next() => panic!("{change:?}"),
            change = next(&mut busy) => { found += 1; assert_eq!(change, found) }
        }
    }
}

#[tokio::test]
async fn dropping_it_stops_its_thread_idle_or_full() {
    for start in [Start::End, Start::Beginning] {
        let fixture = Fixture::with_changes(20);
        let stream = fixture.tail(start).into_stream(2).unwrap();
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert_eq!(fixture.sockets().len(), 1);
        let started = Instant::now();
        drop(stream);
        assert!(
            started.elapsed() < Duration::from_millis(100),
            "a drop does not block the runtime"
        );
        until("its thread has ended", || fixture.sockets().is_empty());
    }
}

#[tokio::test]
async fn an_error_is_the_last_item() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(2);
    let mut stream = fixture.tail(Start::Beginning).into_stream(1).unwrap();
    assert_eq!((next(&mut stream).await, next(&mut stream).await), (1, 2));
    next_epoch(fixture.path());
    let error = timeout(SOON, stream.next()).await.expect("in time").unwrap().unwrap_err();
    assert_eq!(error.code().name(), "CURSOR_EPOCH_MISMATCH");
    assert!(timeout(SOON, stream.next()).await.expect("in time").is_none());
}

#[tokio::test]
async fn a_reader_that_pauses_gets_everything_later() {
    let fixture = Fixture::with_changes(2);
    let mut stream = fixture.tail(Start::Beginning).into_stream(3).unwrap();
    assert_eq!(next(&mut stream).await, 1);
    add_sessions(&fixture.store, "demo", 700);
    tokio::time::sleep(Duration::from_millis(150)).await;
    for seq in 2..=702 {
        assert_eq!(next(&mut stream).await, seq);
    }
}
