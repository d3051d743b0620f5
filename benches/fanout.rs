//! Claim: many subscribers cost little more than one. Budgets: from the return of the commit of 20,000
//! changes until the last of 1 / 10 / 100 / 1,000 subscribers has the last one, at most 1.8 / 1.8 / 3 / 3
//! times the raw scan of those rows; 100 subscribers receive a burst at half the rate of one or more with
//! a thread each, and at 0.8 times its rate with a task each; joining costs at most three reads of the
//! head.
//!
//! The baseline of the burst is the scan that any reader of the log needs once: all twelve columns,
//! without a copy, in batches of 512. Wall time, because readers and subscribers share the cores. Up to
//! 100 subscribers have one thread each; 1,000 share eight. Tasks run on two threads. The ring has room
//! for the burst, so the figure is that of the fan-out: no subscriber falls back to catch-up reads, which
//! is asserted. A subscriber reads only the first change of each batch, so the figure excludes the work of
//! subscribers.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::cell::Cell;
use std::future::poll_fn;
use std::hint::black_box;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ao_benches::{
    Fixture, Line, NewFixture, Run, Sample, apply_all, at_least, at_most, cause, cpu, monotonic,
    observation, threads, wall,
};
use ao_cdc::{Fanout, Filter, Polled, Start, Subscription};
use ao_store::Seq;
use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;

const PRS: usize = 1000;
const THREADS: usize = 20;
const BURST: u64 = (PRS * THREADS) as u64;
const ROUNDS: usize = 5;
/// The ring's memory: more than a burst has.
const MEMORY: usize = 128 << 20;
/// Up to this number, each subscriber has a thread of its own.
const OWN_THREAD: usize = 100;

const SELECT: &str = "SELECT seq, tx, at, actor, type, entity, op, key, project, session, before,
    after FROM change_log WHERE seq > ?1 ORDER BY seq LIMIT 512";

/// A store with subscribers that wait for a burst.
struct Rig {
    fixture: Fixture,
    variant: Cell<i64>,
    /// The position up to which a burst goes; dropped, it ends the subscribers.
    orders: Option<watch::Sender<Seq>>,
    arrived: Receiver<u64>,
    reports: usize,
    threads: Vec<JoinHandle<()>>,
    _tasks: Option<Runtime>,
    _fanout: Fanout,
}

impl Rig {
    fn new(subscribers: usize, is_async: bool) -> Rig {
        let fixture = NewFixture { prs: PRS, threads: THREADS, ..NewFixture::default() }.create();
        let fanout = Fanout::with_memory(&fixture.store, MEMORY).expect("start the fan-out");
        let subscriptions = (0..subscribers)
            .map(|_| fanout.subscribe(Start::End, Filter::default()).expect("subscribe"))
            .collect::<Vec<_>>();
        let (orders, order) = watch::channel(Seq(0));
        let (report, arrived) = unbounded();
        let (threads, tasks) = if is_async {
            (Vec::new(), Some(on_tasks(subscriptions, &order, &report)))
        } else {
            (on_threads(subscriptions, &order, &report), None)
        };
        let rig = Rig {
            fixture,
            variant: Cell::new(0),
            orders: Some(orders),
            arrived,
            reports: if is_async { subscribers } else { threads.len() },
            threads,
            _tasks: tasks,
            _fanout: fanout,
        };
        rig.burst();
        rig
    }

    /// The position after which a burst will come.
    fn head(&self) -> Seq {
        self.fixture.store.read(|snapshot| snapshot.head()).expect("read the head").seq
    }

    /// Changes every row and waits until the last subscriber has seen the last change.
    fn burst(&self) -> Sample {
        let target = Seq(self.head().0 + i64::try_from(BURST).expect("a count"));
        self.variant.set(self.variant.get() + 1);
        let seen = |pr| observation(pr, threads(pr, THREADS, self.variant.get()));
        let observations = (0..PRS).map(seen).collect::<Vec<_>>().into();
        let orders = self.orders.as_ref().expect("the bench runs");
        orders.send(target).expect("a subscriber");
        // After a write of another thread, the writer's thread commits. A caller that alone writes commits itself,
        // and returns after its checkpoint, when the subscribers have the burst.
        let store = self.fixture.store.clone();
        let other = thread::spawn(move || store.write(cause(), |_| Ok(())).map(|_| ()));
        other.join().expect("another thread").expect("a write");
        assert_eq!(apply_all(&self.fixture.store, &observations), BURST);
        let start = monotonic();
        let last = (0..self.reports).map(|_| self.arrived.recv().expect("a subscriber")).max();
        let nanos = last.map_or(0, |last| last.saturating_sub(start));
        Sample { units: BURST, nanos }
    }

    fn scan(&self) -> Sample {
        let conn = self.fixture.raw();
        let mut statement = conn.prepare_cached(SELECT).expect("prepare");
        let head = self.head().0;
        wall(|| {
            let mut seq = head - i64::try_from(BURST).expect("a count");
            while seq < head {
                let mut rows = statement.query([seq]).expect("query");
                while let Some(row) = rows.next().expect("read") {
                    for column in 0..12 {
                        black_box(row.get_ref(column).expect("column"));
                    }
                    seq = row.get(0).expect("seq");
                }
            }
            BURST
        })
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.orders = None;
        for thread in self.threads.drain(..) {
            // A failed subscriber has made the burst fail already.
            let _ = thread.join();
        }
    }
}

fn on_threads(
    mut subscriptions: Vec<Subscription>,
    order: &watch::Receiver<Seq>,
    report: &Sender<u64>,
) -> Vec<JoinHandle<()>> {
    let count = if subscriptions.len() <= OWN_THREAD { subscriptions.len() } else { 8 };
    let thread = |worker| {
        let share = subscriptions.len() / (count - worker);
        let mine = subscriptions.split_off(subscriptions.len() - share);
        let (order, report) = (order.clone(), report.clone());
        thread::spawn(move || receive_bursts(mine, order, &report))
    };
    (0..count).map(thread).collect()
}

/// Receives bursts until there are no more, and reports when the last subscriber had each of them.
fn receive_bursts(
    mut mine: Vec<Subscription>,
    mut order: watch::Receiver<Seq>,
    report: &Sender<u64>,
) {
    let runtime = runtime::Builder::new_current_thread().build().expect("a runtime");
    while runtime.block_on(order.changed()).is_ok() {
        let target = *order.borrow_and_update();
        for subscription in &mut mine {
            while subscription.cursor().seq < target {
                let batch = subscription.next_within(Duration::from_secs(10)).expect("a batch");
                black_box(batch.expect("in time").iter().next());
            }
            assert_eq!(subscription.fallbacks(), 0, "the ring has room");
        }
        report.send(monotonic()).expect("the bench waits");
    }
}

fn on_tasks(
    subscriptions: Vec<Subscription>,
    order: &watch::Receiver<Seq>,
    report: &Sender<u64>,
) -> Runtime {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).build();
    let runtime = runtime.expect("start a runtime");
    for subscription in subscriptions {
        runtime.spawn(receive_as_task(subscription, order.clone(), report.clone()));
    }
    runtime
}

async fn receive_as_task(
    mut subscription: Subscription,
    mut order: watch::Receiver<Seq>,
    report: Sender<u64>,
) {
    while order.changed().await.is_ok() {
        let target = *order.borrow_and_update();
        while subscription.cursor().seq < target {
            match poll_fn(|cx| subscription.poll_next(cx)).await.expect("a batch") {
                Polled::Batch(batch) => black_box(batch.iter().next()),
                Polled::Behind => panic!("the ring has room"),
            };
        }
        report.send(monotonic()).expect("the bench waits");
    }
}

/// Joins and leaves, against one read of the head.
fn join(run: &mut Run) {
    const TIMES: u64 = 2000;
    let fixture = NewFixture { prs: 10, threads: THREADS, ..NewFixture::default() }.create();
    let fanout = Fanout::start(&fixture.store).expect("start the fan-out");
    let head = || {
        (0..TIMES).for_each(|_| {
            black_box(fixture.store.read(|snapshot| snapshot.head()).expect("read the head"));
        });
        TIMES
    };
    let subscribe = || {
        (0..TIMES).for_each(|_| {
            black_box(fanout.subscribe(Start::End, Filter::default()).expect("subscribe"));
        });
        TIMES
    };
    run.compare(
        Line::ratio("8b", "joining a fan-out, CPU", "a read of the head", at_most(3.0)),
        ROUNDS,
        || cpu(head),
        || cpu(subscribe),
    );
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    for (subscribers, is_async, bound) in [
        (1, false, 1.8),
        (10, false, 1.8),
        (100, false, 3.0),
        (1000, false, 3.0),
        (1000, true, 3.0),
    ] {
        if run.is_selected("8") {
            let rig = Rig::new(subscribers, is_async);
            let work = format!("burst of 20,000 changes, {}: {subscribers}", what(is_async));
            let line = Line::ratio("8", work, "scan of those rows", at_most(bound));
            run.compare(line, ROUNDS, || rig.scan(), || rig.burst());
        }
    }
    for (is_async, bound) in [(false, 0.5), (true, 0.8)] {
        if run.is_selected("11") {
            let (one, hundred) = (Rig::new(1, is_async), Rig::new(100, is_async));
            let work = format!("changes per second to 100 {}", what(is_async));
            let line = Line::ratio("11", work, "to one", at_least(bound));
            run.compare(line, ROUNDS, || one.burst(), || hundred.burst());
        }
    }
    if run.is_selected("8b") {
        join(run);
    }
}

fn what(is_async: bool) -> &'static str {
    if is_async { "tasks" } else { "subscribers" }
}
