//! Opening a tail races commits and pruning: no change is lost and none comes twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ao_cdc::{Fanout, Filter, Start, Tail};
use ao_store::Store;

use crate::support::{
    Fixture, Random, SOON, add_sessions, at, drain, keep_newest, rename, seqs, take, until,
};

/// Writers that commit until they are stopped, each in its own session.
struct Writers {
    is_stopped: Arc<AtomicBool>,
    /// The newest change that was acknowledged to a writer.
    acknowledged: Arc<AtomicI64>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    fn start(store: &Store, count: usize) -> Writers {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicI64::new(0));
        let threads = (1..=count).map(|number| {
            let (store, stop) = (store.clone(), Arc::clone(&is_stopped));
            let newest = Arc::clone(&acknowledged);
            thread::spawn(move || {
                let mut random = Random(77 + number as u64);
                while !stop.load(Ordering::Relaxed) {
                    let times = 1 + i64::try_from(random.below(3)).unwrap();
                    let seq = rename(&store, "writer", &format!("demo-{number}"), times);
                    newest.fetch_max(seq.0, Ordering::SeqCst);
                    thread::sleep(Duration::from_micros(random.below(2000)));
                }
            })
        });
        let threads = threads.collect();
        Writers { is_stopped, acknowledged, threads }
    }

    fn acknowledged(&self) -> i64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    fn stop(self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn written_at() -> Fixture {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 3);
    fixture
}

#[test]
fn tails_that_open_while_writers_commit_miss_nothing() {
    let fixture = written_at();
    let writers = Writers::start(&fixture.store, 4);
    let mut opened = Vec::new();
    let mut random = Random(5);
    for round in 0..80 {
        let before = writers.acknowledged();
        let start = match round % 3 {
            0 => Start::Cursor(at(
                1,
                i64::try_from(random.below(1 + before.unsigned_abs())).unwrap(),
            )),
            _ => Start::End,
        };
        let tail = fixture.tail(start);
        let from = tail.cursor().seq.0;
        match start {
            Start::Cursor(cursor) => assert_eq!(from, cursor.seq.0),
            _ => assert!(from >= before, "{from} was before the open, {before} acknowledged"),
        }
        let mut changes = tail.follow();
        let found = take(&mut changes, usize::try_from(random.below(4)).unwrap());
        opened.push((from, found, changes));
    }
    writers.stop();
    let truth = fixture.truth();
    assert!(truth.len() > 100, "the writers wrote: {}", truth.len());
    for (from, mut found, mut changes) in opened {
        let rest = truth.len() - usize::try_from(from).unwrap() - found.len();
        found.extend(take(&mut changes, rest));
        assert_eq!(found, truth[usize::try_from(from).unwrap()..]);
        assert_eq!(changes.next_within(Duration::ZERO).unwrap(), None);
    }
}

#[test]
fn subscriptions_that_open_while_writers_commit_miss_nothing() {
    let fixture = written_at();
    let fanout = Fanout::with_memory(&fixture.store, 4096).unwrap();
    let writers = Writers::start(&fixture.store, 4);
    let mut opened = Vec::new();
    let mut random = Random(6);
    for round in 0..60 {
        let before = writers.acknowledged();
        let start = match round % 3 {
            0 => Start::Cursor(at(
                1,
                i64::try_from(random.below(1 + before.unsigned_abs())).unwrap(),
            )),
            1 => Start::End,
            _ => Start::Last(random.below(9)),
        };
        let mut subscription = fanout.subscribe(start, Filter::default()).unwrap();
        let from = subscription.cursor().seq.0;
        match start {
            Start::Cursor(cursor) => assert_eq!(from, cursor.seq.0),
            Start::End => assert!(from >= before),
            _ => {}
        }
        let mut found = Vec::new();
        for _ in 0..random.below(4) {
            let batch = subscription.next_within(Duration::from_millis(2)).unwrap();
            found.extend(batch.iter().flat_map(|batch| batch.iter().cloned()));
        }
        opened.push((from, found, subscription));
    }
    writers.stop();
    let truth = fixture.truth();
    let head = fixture.head();
    for (from, mut found, mut subscription) in opened {
        while subscription.cursor() != head {
            let batch = subscription.next_within(SOON).unwrap().expect("the rest in time");
            found.extend(batch.iter().cloned());
        }
        assert_eq!(seqs(&found), seqs(&truth[usize::try_from(from).unwrap()..]));
        assert!(subscription.next_within(Duration::ZERO).unwrap().is_none());
    }
}

#[test]
fn a_commit_between_open_and_wait_wakes_the_wait() {
    let fixture = written_at();
    let mut random = Random(7);
    for _ in 0..60 {
        let mut changes = fixture.tail(Start::End).follow();
        let store = fixture.store.clone();
        let pause = Duration::from_micros(random.below(3000));
        let writer = thread::spawn(move || {
            thread::sleep(pause);
            rename(&store, "writer", "demo-1", 1)
        });
        let found = changes.next_within(SOON).unwrap().expect("the change in time");
        assert_eq!(found.seq, writer.join().unwrap());
    }
}

#[test]
fn tails_that_open_while_the_log_is_pruned_expire_or_are_whole() {
    let fixture = written_at();
    let writers = Writers::start(&fixture.store, 2);
    let is_done = Arc::new(AtomicBool::new(false));
    let (done, store) = (Arc::clone(&is_done), fixture.store.clone());
    let pruner = thread::spawn(move || {
        while !done.load(Ordering::Relaxed) {
            keep_newest(&store, 2);
            thread::sleep(Duration::from_millis(2));
        }
    });
    let (mut whole, mut expired, mut round) = (0, 0, 0);
    until("tails that were whole and tails that expired", || {
        // An open at the beginning never fails; a later read may.
        let tail = Tail::open(&fixture.store, Start::Beginning, Filter::default()).unwrap();
        let from = tail.cursor().seq.0;
        round += 1;
        thread::sleep(Duration::from_millis(round % 4 * 8));
        let mut changes = tail.to_head();
        let mut found = Vec::new();
        let error = changes.by_ref().find_map(|change| match change {
            Ok(change) => {
                found.push(change.seq.0);
                None
            }
            Err(error) => Some(error),
        });
        let expected: Vec<_> = (from + 1..=from + found.len() as i64).collect();
        assert_eq!(found, expected);
        match error {
            None => whole += 1,
            Some(error) => {
                assert_eq!(error.code().name(), "CURSOR_EXPIRED");
                expired += 1;
            }
        }
        whole >= 10 && expired >= 10
    });
    is_done.store(true, Ordering::Relaxed);
    pruner.join().unwrap();
    writers.stop();
    let rest = drain(fixture.tail(Start::Beginning));
    assert_eq!(rest, fixture.truth());
}
