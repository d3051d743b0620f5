//! Claim: pruning hardly delays writers. Budget: while the log is pruned at 50,000 changes per second or
//! more, concurrent commits have a p50 of at most 1.6 times and a p99 of at most 5 times that of the
//! writer alone.
//!
//! An open loop commits one change every 2 ms with `synchronous=FULL` and measures each. "in the
//! background" lets the writer apply stored rules between its jobs; "by prune" runs `Store::prune` in
//! another thread, as `ao-store prune` does in another process. The rate is that of the whole pruning.
//!
//! Each transaction has 20 changes, from one observation of a pull request. A transaction is pruned as a
//! whole: with 2,000 changes per transaction a step takes 5 ms, and p99 becomes 10x to 15x.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::thread;
use std::time::{Duration, Instant};

use ao_benches::{
    Fixture, Line, NewFixture, Run, apply_all, at_least, at_most, cause, observation, percentile,
    session_of, threads,
};
use ao_store::log::retention::{self, Rules};
use ao_store::row::session;
use ao_store::{Durability, Options, Seq, Store};

const PRS: usize = 100;
const THREADS: usize = 20;
/// How often every thread is changed: 60,000 changes, during whose pruning several hundred commits are made.
const PASSES: i64 = 30;
const GAP: Duration = Duration::from_millis(2);
const ALONE: usize = 500;

/// The store is filled by commits that do not wait for the disk, and then opened to wait.
fn fixture(passes: i64) -> Fixture {
    let prs = NewFixture { prs: PRS, threads: THREADS, ..NewFixture::default() };
    let mut fixture = prs.create();
    for variant in 1..=passes {
        let seen = |pr| observation(pr, threads(pr, THREADS, variant));
        for pr in 0..PRS {
            apply_all(&fixture.store, &vec![seen(pr)].into());
        }
    }
    let options = Options { durability: Durability::Full, ..fixture.store.options() };
    fixture.store = Store::open(&fixture.path, options).expect("open the store");
    fixture
}

/// One change every 2 ms until `is_done`; microseconds of each.
fn commits(fixture: &Fixture, mut is_done: impl FnMut(usize) -> bool) -> Vec<f64> {
    let (mut taken, start) = (Vec::new(), Instant::now());
    while !is_done(taken.len()) {
        let due = start + GAP * u32::try_from(taken.len()).expect("a count");
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let (id, name) = (session_of(1), format!("name {}", taken.len()));
        let begun = Instant::now();
        fixture.store.write(cause(), move |tx| session::rename(tx, &id, &name)).expect("commit");
        taken.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    taken
}

fn floor(fixture: &Fixture) -> Seq {
    let info = fixture.store.read(ao_store::LogInfo::read).expect("the log");
    info.floor
}

fn report(run: &mut Run, name: &str, mut alone: Vec<f64>, mut during: Vec<f64>, rate: f64) {
    for (what, share, bound) in [("p50", 0.5, 1.6), ("p99", 0.99, 5.0)] {
        let ratio = percentile(&mut during, share) / percentile(&mut alone, share);
        let work = format!("commits beside pruning {name}, {what}");
        let line = Line::figure("13", work, "x", at_most(bound)).of("the writer alone");
        run.limit(line, vec![ratio]);
    }
    let work = format!("pruning {name}");
    let line = Line::figure("13", work, "changes/s", at_least(50_000.0));
    run.limit(line, vec![rate]);
}

fn in_background(run: &mut Run) {
    let mut fixture = fixture(PASSES);
    let alone = commits(&fixture, |count| count == ALONE);
    let head = fixture.store.read(|snapshot| snapshot.head()).expect("the head").seq;
    let rules = Rules { keep_events: Some(100), ..Rules::default() };
    fixture.store.write(cause(), move |tx| retention::set_rules(tx, &rules)).expect("rules");
    // A writer checks the rules when it starts and every half minute; the rate is measured from the first step.
    fixture.store = Store::open(&fixture.path, fixture.store.options()).expect("open the store");
    let mut begun = None;
    let during = commits(&fixture, |_| {
        let floor = floor(&fixture);
        if floor > Seq(0) && begun.is_none() {
            begun = Some((Instant::now(), floor));
        }
        floor >= head.min(Seq(head.0 - 200))
    });
    let (at, from) = begun.expect("it began");
    let rate = (floor(&fixture).0 - from.0) as f64 / at.elapsed().as_secs_f64();
    let steps = during.len().saturating_sub((at.elapsed().as_millis() / 2) as usize);
    report(run, "in the background", alone, during[steps..].to_vec(), rate);
}

fn by_prune(run: &mut Run) {
    let fixture = fixture(PASSES);
    let alone = commits(&fixture, |count| count == ALONE);
    let store = fixture.store.clone();
    let rules = Rules { keep_events: Some(100), ..Rules::default() };
    let begun = Instant::now();
    let pruning = thread::spawn(move || {
        let pruned = store.prune(&cause(), &rules, |_| {}).expect("prune");
        (pruned.plan.events(), begun.elapsed())
    });
    let during = commits(&fixture, |_| pruning.is_finished());
    let (events, time) = pruning.join().expect("prune");
    report(run, "by prune", alone, during, events as f64 / time.as_secs_f64());
}

fn during_a_snapshot(run: &mut Run) {
    let fixture = fixture(1);
    let rate = |fixture: &Fixture| {
        let begun = Instant::now();
        for count in 0..2000 {
            let (id, name) = (session_of(1), format!("other {count} {begun:?}"));
            fixture
                .store
                .write(cause(), move |tx| session::rename(tx, &id, &name))
                .expect("commit");
        }
        2000.0 / begun.elapsed().as_secs_f64()
    };
    let alone = rate(&fixture);
    let reader = fixture.raw();
    reader.execute_batch("BEGIN; SELECT count(*) FROM change_log").expect("hold a snapshot");
    let work = "commits per second beside a held snapshot";
    let line = Line::figure("13b", work, "x", at_least(0.8)).of("the writer alone");
    run.limit(line, vec![rate(&fixture) / alone]);
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    for (number, bench) in
        [("13", in_background as fn(&mut Run)), ("13", by_prune), ("13b", during_a_snapshot)]
    {
        if run.is_selected(number) {
            bench(run);
        }
    }
}
