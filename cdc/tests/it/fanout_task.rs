//! Tasks as subscribers: each is woken for what comes, reads the log on a thread that may block, and
//! sees every change exactly once.

use std::future::poll_fn;
use std::time::Duration;

use ao_cdc::{Batch, Error, Fanout, Filter, Polled, Result, Start, Subscription};
use ao_store::log::change::Change;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::fanout::{subscribe, with_small_ring};
use crate::support::{Fixture, SOON, add_sessions, at, next_epoch, rename, seqs};

/// The next batch, as a task of the daemon takes it.
async fn next(mut subscription: Subscription) -> (Subscription, Result<Batch>) {
    loop {
        match poll_fn(|cx| subscription.poll_next(cx)).await {
            Ok(Polled::Batch(batch)) => return (subscription, Ok(batch)),
            Err(error) => return (subscription, Err(error)),
            Ok(Polled::Behind) => {
                let read = spawn_blocking(move || {
                    let batch = subscription.next_within(Duration::from_millis(100));
                    (subscription, batch)
                });
                let (back, batch) = read.await.unwrap();
                match batch {
                    Ok(None) => subscription = back,
                    Ok(Some(batch)) => return (back, Ok(batch)),
                    Err(error) => return (back, Err(error)),
                }
            }
        }
    }
}

async fn up_to(mut subscription: Subscription, seq: i64) -> (Subscription, Vec<Change>) {
    let mut found = Vec::new();
    while subscription.cursor().seq.0 < seq {
        let (back, batch) = timeout(SOON, next(subscription)).await.expect("in time");
        subscription = back;
        found.extend(batch.unwrap().iter().cloned());
    }
    (subscription, found)
}

#[tokio::test]
async fn two_hundred_tasks_on_one_thread_see_every_change_once_and_in_order() {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 3);
    for fanout in [Fanout::start(&fixture.store).unwrap(), with_small_ring(&fixture)] {
        let from = fixture.head().seq.0;
        let mut tasks = JoinSet::new();
        for number in 0..200 {
            let start = [Start::End, Start::Beginning][number % 2];
            tasks.spawn(up_to(subscribe(&fanout, start), from + 120));
        }
        let store = fixture.store.clone();
        tasks.spawn_blocking(move || {
            for number in 0..60 {
                rename(&store, "writer", &format!("demo-{}", number % 3 + 1), 2);
            }
            (
                Fanout::start(&store).unwrap().subscribe(Start::End, Filter::default()).unwrap(),
                vec![],
            )
        });
        let found = timeout(SOON, tasks.join_all()).await.expect("in time");
        let truth = fixture.truth();
        for (_, found) in found.into_iter().filter(|(_, found)| !found.is_empty()) {
            let after = found[0].seq.0 - 1;
            assert!(after == 0 || after == from, "{after}");
            assert!(found == truth[usize::try_from(after).unwrap()..], "after {after}");
        }
    }
}

#[tokio::test]
async fn a_task_that_waits_is_woken_by_a_commit_and_by_the_end() {
    let fixture = Fixture::with_changes(2);
    let fanout = Fanout::start(&fixture.store).unwrap();
    let task = tokio::spawn(next(subscribe(&fanout, Start::End)));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let seq = fixture.commit().0;
    let (subscription, batch) = timeout(SOON, task).await.expect("in time").unwrap();
    assert_eq!(seqs(batch.unwrap().iter()), [seq]);
    let task = tokio::spawn(next(subscription));
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(fanout);
    let (subscription, batch) = timeout(SOON, task).await.expect("in time").unwrap();
    assert!(matches!(batch, Err(Error::Stopped)));
    assert_eq!((subscription.cursor(), subscription.fallbacks()), (at(1, seq), 0));
}

#[tokio::test]
async fn a_task_gets_the_errors_of_the_log() {
    let fixture = Fixture::with_changes(2);
    let fanout = Fanout::start(&fixture.store).unwrap();
    let task = tokio::spawn(next(subscribe(&fanout, Start::End)));
    next_epoch(fixture.path());
    let (_, batch) = timeout(SOON, task).await.expect("in time").unwrap();
    assert_eq!(batch.unwrap_err().code().name(), "CURSOR_EPOCH_MISMATCH");
}

#[tokio::test]
async fn a_task_polls_past_what_does_not_pass_its_filter() {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 1);
    let fanout = Fanout::start(&fixture.store).unwrap();
    let filter = Filter::new(vec![], vec![], vec!["demo-2".parse().unwrap()]).unwrap();
    let task = tokio::spawn(next(fanout.subscribe(Start::End, filter).unwrap()));
    fixture.commits(5);
    let seq = rename(&fixture.store, "test", "demo-2", 1);
    let (subscription, batch) = timeout(SOON, task).await.expect("in time").unwrap();
    assert_eq!(seqs(batch.unwrap().iter()), [seq.0]);
    assert_eq!(subscription.cursor().seq, seq);
}
