//! Claim: many subscribers cost little more than one. Budgets: from the return of the commit of 20,000
//! changes until the last subscriber has the last one, at most three times the raw scan of those rows;
//! 100 subscribers receive a burst at 0.8 times the rate of one, or more.
//!
//! The baseline of the burst is the scan that any reader of the log needs once: all twelve columns,
//! without a copy, in batches of 512. Wall time, because readers and subscribers share the cores. Up to
//! 100 subscribers have one thread each; 1,000 share eight. Their channels have room for the burst, so
//! the figure is that of the fan-out: no subscriber falls back to catch-up reads, which is asserted. A
//! subscriber reads only the first change of each batch, so the figure excludes the work of subscribers.
//!
//! Last recorded: burst to 1, 10, 100, 1,000 subscribers 1.6x, 2.0x, 2.6x, 5.6x the scan (1.1 us : 0.7 us
//! per change for one); rate to 100 against 1 0.65x; 2 shared vCPUs without other load, 2026-11-21.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::cell::Cell;
use std::hint::black_box;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ao_benches::{
    Fixture, NewFixture, Run, Sample, apply_all, at_least, at_most, monotonic, observation,
    threads, wall,
};
use ao_cdc::{Fanout, Filter, Start, Subscription};
use ao_store::Seq;
use crossbeam_channel::{Receiver, Sender, unbounded};

const PRS: usize = 1000;
const THREADS: usize = 20;
const BURST: u64 = (PRS * THREADS) as u64;
const ROUNDS: usize = 7;
/// Batches that a subscriber's channel holds: more than a burst has.
const CAPACITY: usize = 1024;
/// Up to this number, each subscriber has a thread of its own.
const OWN_THREAD: usize = 100;

const SELECT: &str = "SELECT seq, tx, at, actor, type, entity, op, key, project, session, before,
    after FROM change_log WHERE seq > ?1 ORDER BY seq LIMIT 512";

/// A store with subscribers that wait for a burst.
struct Rig {
    fixture: Fixture,
    variant: Cell<i64>,
    targets: Vec<Sender<Seq>>,
    arrived: Receiver<u64>,
    threads: Vec<JoinHandle<()>>,
    _fanout: Fanout,
}

impl Rig {
    fn new(subscribers: usize) -> Rig {
        let fixture = NewFixture { prs: PRS, threads: THREADS, ..NewFixture::default() }.create();
        let fanout = Fanout::start(&fixture.store).expect("start the fan-out");
        let mut subscriptions = (0..subscribers)
            .map(|_| fanout.subscribe(Start::End, Filter::default(), CAPACITY).expect("subscribe"))
            .collect::<Vec<_>>();
        let workers = if subscribers <= OWN_THREAD { subscribers } else { 8 };
        let (report, arrived) = unbounded();
        let (mut targets, mut threads) = (Vec::new(), Vec::new());
        for worker in 0..workers {
            let share = subscriptions.len() / (workers - worker);
            let mine = subscriptions.split_off(subscriptions.len() - share);
            let (target, orders) = unbounded();
            let report = report.clone();
            targets.push(target);
            threads.push(thread::spawn(move || receive_bursts(mine, &orders, &report)));
        }
        let rig =
            Rig { fixture, variant: Cell::new(0), targets, arrived, threads, _fanout: fanout };
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
        for order in &self.targets {
            order.send(target).expect("a subscriber");
        }
        assert_eq!(apply_all(&self.fixture.store, &observations), BURST);
        let start = monotonic();
        let last = self.targets.iter().map(|_| self.arrived.recv().expect("a subscriber")).max();
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
        self.targets.clear();
        for thread in self.threads.drain(..) {
            // A failed subscriber has made the burst fail already.
            let _ = thread.join();
        }
    }
}

/// Receives bursts until there are no more, and reports when the last subscriber had each of them.
fn receive_bursts(mut mine: Vec<Subscription>, orders: &Receiver<Seq>, report: &Sender<u64>) {
    while let Ok(target) = orders.recv() {
        for subscription in &mut mine {
            while subscription.cursor().seq < target {
                let batch = subscription.next_within(Duration::from_secs(10)).expect("a batch");
                black_box(batch.expect("in time").iter().next());
            }
            assert_eq!(subscription.fallbacks(), 0, "the channel has room");
        }
        report.send(monotonic()).expect("the bench waits");
    }
}

fn main() {
    let mut run = Run::new("fanout");
    for subscribers in [1, 10, 100, 1000] {
        let name = format!("burst to {subscribers} against the scan");
        if run.is_selected(&name) {
            let rig = Rig::new(subscribers);
            run.compare(&name, at_most(3.0), ROUNDS, || rig.scan(), || rig.burst());
        }
    }
    let name = "rate to 100 against 1";
    if run.is_selected(name) {
        let (one, hundred) = (Rig::new(1), Rig::new(100));
        run.compare(name, at_least(0.8), ROUNDS, || one.burst(), || hundred.burst());
    }
}
