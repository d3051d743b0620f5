//! Pruning deletes exactly what its plan says, even during writes: compared with a model that
//! computes each plan from the changes themselves (`AO_CASES` sets the number of cases, `AO_SEED`
//! the seed).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ao_store::lease::Fence;
use ao_store::log::change::Change;
use ao_store::log::consumer::{self, Bounds, NewConsumer, Policy};
use ao_store::log::reservation;
use ao_store::log::retention::{self, Rules};
use ao_store::verify::Depth;
use ao_store::{Cause, Options, Seq, Store, Timestamp};

use crate::kill::Random;
use crate::support::{
    Fixture, T0, add_session, assert_sound, at, child, child_argument, fixture, from_env, head,
    info, kept, number, raw, rename,
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// What a change counts for `max_bytes`: a mark and eight bytes a column, and its text.
pub(crate) fn bytes_of(change: &Change) -> i64 {
    let text = |text: &str| 9 + text.len() as i64;
    let maybe = |found: Option<&str>| found.map_or(1, text);
    18 + change.tx.map_or(1, |_| 9)
        + maybe(change.actor())
        + text(change.kind())
        + text(change.entity())
        + text(change.op())
        + text(change.key())
        + [change.project(), change.session(), change.before(), change.after()]
            .map(maybe)
            .iter()
            .sum::<i64>()
}

/// Who holds changes back, as the model knows it.
#[derive(Debug, Clone)]
enum Holder {
    Consumer(String, Seq, Policy),
    Reservation(String, Seq),
}

/// Everything that a plan depends on.
struct Model<'a> {
    changes: &'a [Change],
    floor: i64,
    head: i64,
    now: i64,
}

impl Model<'_> {
    fn of(&self, seq: i64) -> Option<&Change> {
        self.changes.iter().find(|change| change.seq.0 == seq)
    }

    fn kept_bytes(&self, after: i64) -> i64 {
        self.changes.iter().filter(|change| change.seq.0 > after).map(bytes_of).sum()
    }

    /// Back to where no transaction is cut.
    fn whole(&self, mut seq: i64) -> i64 {
        let tx = |seq| self.of(seq).and_then(|change| change.tx);
        while seq > self.floor && tx(seq).is_some() && tx(seq) == tx(seq + 1) {
            seq -= 1;
        }
        seq
    }

    fn by_age(&self, keep: u64) -> i64 {
        let newest = self.of(self.head).unwrap().at.0;
        let limit = self.now.clamp(newest, newest + DAY) - keep as i64;
        let old = self.changes.iter().filter(|change| change.at.0 < limit);
        old.map(|change| change.seq.0).max().unwrap_or(self.floor)
    }

    fn by_bytes(&self, max: u64) -> i64 {
        (self.floor..=self.head).find(|seq| self.kept_bytes(*seq) <= max as i64).unwrap()
    }

    fn wanted(&self, rules: &Rules) -> i64 {
        let mut wanted = self.floor;
        wanted = wanted.max(rules.keep_events.map_or(0, |keep| self.head - keep as i64));
        wanted = wanted.max(rules.keep_ms.map_or(0, |keep| self.by_age(keep)));
        wanted = wanted.max(rules.max_bytes.map_or(0, |max| self.by_bytes(max)));
        let newest = self.of(self.head).and_then(|change| change.tx).map_or(self.head, |tx| tx.0);
        self.whole(wanted.min(newest - 1)).max(self.floor)
    }

    /// The position that a holder holds.
    fn held(&self, holder: &Holder) -> Option<(String, i64)> {
        match holder {
            Holder::Consumer(_, _, Policy::None) => None,
            Holder::Consumer(name, acked, Policy::Block) => {
                Some((format!("consumer {name}"), acked.0))
            }
            Holder::Consumer(name, acked, Policy::Bounded(of)) => {
                let mut seq = acked.0;
                seq = seq.max(of.events.map_or(0, |events| self.head - events as i64));
                seq = seq.max(of.bytes.map_or(0, |bytes| self.by_bytes(bytes)));
                seq = seq.max(of.age_ms.map_or(0, |age| self.by_age(age)));
                Some((format!("consumer {name}"), seq))
            }
            Holder::Reservation(name, seq) => Some((format!("snapshot by {name}"), seq.0)),
        }
    }
}

/// Random transactions, with foreign changes between them.
fn write_some(store: &Store, path: &Path, random: &mut Random, when: &mut i64) {
    for _ in 0..2 + random.below(10) {
        *when += random.below(3 * HOUR as u64) as i64;
        match random.below(12) {
            0 => {
                for i in 0..1 + random.below(4) {
                    let name = format!("foreign {i} {when}");
                    raw(path)
                        .execute("UPDATE session SET name = ?1 WHERE id = 'demo-2'", [name])
                        .unwrap();
                }
            }
            1 => rename(store, "demo-1", 1, *when),
            _ => rename(store, "demo-1", 1 + random.below(40), *when),
        }
    }
}

fn random_rules(random: &mut Random) -> Rules {
    let mut rules = Rules::default();
    let which = 1 + random.below(7);
    if which & 1 != 0 {
        rules.keep_events = Some(random.below(4) * random.below(70));
    }
    if which & 2 != 0 {
        rules.keep_ms = Some(random.below(30 * HOUR as u64));
    }
    if which & 4 != 0 {
        rules.max_bytes = Some(random.below(4) * random.below(50_000));
    }
    rules
}

/// A consumer with a random policy, or a reservation, somewhere in the log.
fn add_holder(store: &Store, random: &mut Random, name: &str, now: i64) -> Holder {
    let info = info(store);
    let span = (info.head.0 - info.floor.0) as u64;
    let seq = Seq(info.floor.0 + random.below(span + 1) as i64);
    let start = info.cursor(seq);
    let mut bounds = Bounds::default();
    let policy = match random.below(7) {
        0 => Policy::None,
        1 => Policy::Block,
        2 => {
            let holder = name.to_owned();
            let ttl = Duration::from_secs(3600);
            store.write(at(now), move |tx| reservation::reserve(tx, start, &holder, ttl)).unwrap();
            return Holder::Reservation(name.to_owned(), seq);
        }
        kind => {
            bounds.events = (kind == 3 || kind == 6).then(|| random.below(span + 1));
            bounds.bytes = (kind == 4).then(|| random.below(200_000));
            bounds.age_ms = (kind == 5 || kind == 6).then(|| random.below(20 * HOUR as u64));
            Policy::Bounded(bounds)
        }
    };
    let new = NewConsumer { name: name.parse().unwrap(), start, filter: "{}".to_owned(), policy };
    store.write(at(now), move |tx| consumer::create(tx, &new)).unwrap();
    Holder::Consumer(name.to_owned(), seq, policy)
}

/// Prunes once and compares with the model.
fn check_one(store: &Store, rules: &Rules, holders: &[Holder], now: i64) {
    rename(store, "demo-2", 3, now);
    let (before, of_before) = (kept(store), info(store));
    let (floor, head) = (of_before.floor.0, of_before.head.0);
    let model = Model { changes: &before, floor, head, now };
    let wanted = model.wanted(rules);
    let mut held: Vec<_> = holders.iter().filter_map(|holder| model.held(holder)).collect();
    held.retain(|(_, seq)| *seq < wanted);
    let target = held.iter().map(|(_, seq)| *seq).min().unwrap_or(wanted).max(floor);
    let target = model.whole(target);
    let mut cut_off: Vec<_> = holders
        .iter()
        .filter_map(|holder| match holder {
            Holder::Consumer(name, acked, _) => Some((name.clone(), acked.0)),
            Holder::Reservation(..) => None,
        })
        .filter(|(_, acked)| (floor..target).contains(acked))
        .map(|(name, _)| name)
        .collect();
    cut_off.sort();

    let mut steps = 0;
    let pruned = store.prune(&at(now), rules, |step| steps += step.events).unwrap();
    let plan = &pruned.plan;
    assert_eq!((plan.wanted.0, plan.target.0), (wanted, target), "{rules:?} {holders:?}");
    assert_eq!((pruned.floor.0, steps), (target, (target - floor) as u64));
    assert_eq!(plan.events(), steps);
    let gone = model.kept_bytes(floor) - model.kept_bytes(target);
    assert_eq!(plan.bytes, gone as u64, "the bytes of the plan");
    let named: Vec<_> = plan.cut_off.iter().map(ToString::to_string).collect();
    assert_eq!(named, cut_off);
    let mut reported: Vec<_> = plan.held.iter().map(|held| (held.by.clone(), held.seq.0)).collect();
    reported.sort();
    held.sort();
    assert_eq!(reported, held);

    let (after, of_after) = (kept(store), info(store));
    assert_eq!((of_after.floor.0, of_after.head), (target, of_before.head));
    assert_eq!(after, before[(target - floor) as usize..], "what is kept is unchanged");
    assert!(after.len() >= 3, "the newest transaction is kept");
    let stats = store.stats(Timestamp(now)).unwrap();
    assert_eq!(stats.log_bytes as i64, after.iter().map(bytes_of).sum::<i64>());
    assert_bounded(rules, &held, &after, stats.log_bytes);
    assert_sound(store);
}

/// When nobody holds it back, `max_bytes` bounds the log, to one transaction.
fn assert_bounded(rules: &Rules, held: &[(String, i64)], after: &[Change], bytes: u64) {
    let Some(max) = rules.max_bytes.filter(|_| held.is_empty()) else { return };
    let first = after[0].tx;
    let oldest: i64 =
        after.iter().take_while(|c| c.tx == first && first.is_some()).map(bytes_of).sum();
    let one = bytes_of(&after[0]).max(oldest) as u64;
    assert!(bytes <= max + one, "{bytes} bytes are kept, {max} are allowed");
}

#[test]
fn pruning_does_what_its_plan_says() {
    let seed = u64::from(from_env("AO_SEED", 20_261_121));
    let cases = from_env("AO_CASES", 12);
    println!("AO_SEED={seed} AO_CASES={cases}");
    let mut random = Random(seed.max(1));
    let mut moved = 0;
    for case in 0..cases {
        let fixture = fixture();
        let (store, path) = (&fixture.store, fixture.path());
        // Foreign changes have the time of the wall.
        let mut when = Timestamp::now().0;
        let mut holders = Vec::new();
        for round in 0..4 {
            write_some(store, &path, &mut random, &mut when);
            if case % 4 == 0 && round == 1 {
                rename(store, "demo-1", 1_200, when);
            }
            // Reservations end; those of this round have not.
            holders.retain(|holder| matches!(holder, Holder::Consumer(..)));
            when += HOUR + 1;
            for i in 0..random.below(3) {
                holders.push(add_holder(store, &mut random, &format!("c{round}-{i}"), when));
            }
            let before = info(store).floor;
            check_one(store, &random_rules(&mut random), &holders, when);
            moved += u32::from(info(store).floor > before);
            let last = head(store);
            rename(store, "demo-1", 1, when);
            assert_eq!(head(store), last.next(), "no seq is used again");
        }
    }
    assert!(moved > cases, "pruning hardly pruned: {moved}");
}

#[test]
fn a_blocking_consumer_of_an_earlier_epoch_holds_every_change() {
    let Fixture { store, dir } = fixture();
    rename(&store, "demo-1", 20, T0);
    let start = info(&store).head_cursor();
    let (name, filter) = ("c".parse().unwrap(), "{}".to_owned());
    let new = NewConsumer { name, start, filter, policy: Policy::Block };
    store.write(at(T0), move |tx| consumer::create(tx, &new)).unwrap();
    raw(&dir.path().join("ao.db")).execute_batch("UPDATE log_meta SET epoch = epoch + 1").unwrap();
    let rules = Rules { keep_events: Some(1), ..Rules::default() };
    let plan = store.read(|snapshot| retention::plan(snapshot, &rules, Timestamp(T0))).unwrap();
    assert_eq!((plan.target, plan.held[0].by.as_str()), (Seq(0), "consumer c"));
    store.prune(&at(T0), &rules, |_| {}).unwrap();
    assert_eq!(info(&store).floor, Seq(0));
    let to = info(&store).head_cursor();
    store.write(at(T0), move |tx| consumer::seek(tx, &"c".parse()?, to, Fence::Respect)).unwrap();
    store.prune(&at(T0), &rules, |_| {}).unwrap();
    assert!(info(&store).floor > Seq(0), "it has moved into this epoch");
}

#[test]
fn a_clock_without_evidence_expires_at_most_one_more_day() {
    let year = 365 * DAY;
    for (jump, expected) in [(-10 * year, 0), (0, 2), (10 * year, 3), (i64::MAX / 2, 3)] {
        let fixture = fixture();
        let store = &fixture.store;
        let start = T0 + 10 * DAY;
        for day in 0..10 {
            rename(store, "demo-1", 1, start + day * DAY);
        }
        let first = head(store).0 - 10;
        let rules = Rules { keep_ms: Some(7 * DAY as u64), ..Rules::default() };
        let now = start + 9 * DAY + jump;
        let pruned = store.prune(&at(now), &rules, |_| {}).unwrap();
        assert_eq!((pruned.floor.0 - first).max(0), expected, "the clock jumped by {jump} ms");
        assert_sound(store);
    }
}

/// Waits until the floor has moved; a bound ends it.
pub(crate) fn wait_for_floor(store: &Store, wanted: i64) -> Duration {
    let started = Instant::now();
    while info(store).floor.0 < wanted {
        assert!(started.elapsed() < Duration::from_secs(20), "the floor did not move");
        std::thread::sleep(Duration::from_millis(5));
    }
    started.elapsed()
}

/// A store with stored rules whose only writer starts with its next write.
pub(crate) fn with_stored_rules() -> (tempfile::TempDir, Store) {
    let fixture = fixture();
    for i in 0..20 {
        rename(&fixture.store, "demo-1", 40, T0 + i);
    }
    let rules = Rules { keep_events: Some(50), ..Rules::default() };
    fixture.store.write(at(T0), move |tx| retention::set_rules(tx, &rules)).unwrap();
    let path = fixture.path();
    let Fixture { store, dir } = fixture;
    drop(store);
    (dir, Store::open(&path, Options::default()).unwrap())
}

#[test]
fn an_idle_writer_applies_the_stored_rules() {
    let (_dir, store) = with_stored_rules();
    rename(&store, "demo-2", 1, T0);
    let wanted = head(&store).0 - 50 - 40;
    println!("after {:?}", wait_for_floor(&store, wanted));
    assert!(info(&store).floor.0 <= head(&store).0 - 50);
    assert_sound(&store);
}

#[test]
fn a_writer_that_is_never_idle_applies_the_stored_rules() {
    let (_dir, store) = with_stored_rules();
    let wanted = head(&store).0 - 50;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut i = 0;
            while !stop.load(Ordering::Relaxed) {
                rename(&store, "demo-2", 1, T0 + i);
                i += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let found = std::panic::catch_unwind(|| wait_for_floor(&store, wanted - 40));
        stop.store(true, Ordering::Relaxed);
        println!("after {:?}", found.unwrap());
    });
    assert_sound(&store);
}

#[test]
fn a_log_that_lost_its_newest_changes_can_still_be_pruned() {
    let fixture = fixture();
    for i in 0..40 {
        rename(&fixture.store, "demo-1", 1, T0 + i);
    }
    raw(&fixture.path())
        .execute_batch(
            "UPDATE project SET name = 'foreign';
             DELETE FROM change_log WHERE seq = (SELECT max(seq) FROM change_log);",
        )
        .unwrap();
    let rules = Rules { keep_events: Some(10), ..Rules::default() };
    let pruned = fixture.store.prune(&at(T0), &rules, |_| {}).unwrap();
    assert!(pruned.floor.0 > 20, "{pruned:?}");
}

#[test]
fn a_block_without_its_digest_is_pruned_without_effect_on_others() {
    let fixture = fixture();
    for i in 0..63 {
        rename(&fixture.store, "demo-1", 1, T0 + i);
    }
    raw(&fixture.path()).execute_batch("DELETE FROM log_seal WHERE block = 1").unwrap();
    let keep_events = Some(info(&fixture.store).head.0.abs_diff(20));
    let rules = Rules { keep_events, ..Rules::default() };
    let pruned = fixture.store.prune(&at(T0), &rules, |_| {}).unwrap();
    assert!((17..31).contains(&pruned.floor.0), "{pruned:?}");
    let report = fixture.store.verify(Depth::Sums).unwrap();
    let found: Vec<_> = report.findings.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("to 32 have lost their seal"), "{found:?}");
}

#[test]
fn the_file_becomes_smaller_with_its_log() {
    let fixture = fixture();
    let store = &fixture.store;
    for i in 0..60 {
        rename(store, "demo-1", 50, T0 + i);
    }
    let pages = || number(&raw(&fixture.path()), "PRAGMA page_count");
    let before = pages();
    let rules = Rules { keep_events: Some(300), ..Rules::default() };
    let pruned = store.prune(&at(T0), &rules, |_| {}).unwrap();
    let after = pages();
    // Pages of the map of pages go along.
    assert!((0..10).contains(&(before - after - (pruned.freed_bytes / 4096) as i64)), "{pruned:?}");
    assert!(after * 3 < before, "{before} pages became {after}");
    let fresh = fixture.dir.path().join("fresh.db");
    raw(&fixture.path()).execute("VACUUM INTO ?1", [fresh.to_str().unwrap()]).unwrap();
    let least = number(&raw(&fresh), "PRAGMA page_count");
    assert!(after * 10 <= least * 12, "{after} pages for {least}");
    assert_sound(store);
}

const ROUNDS: i64 = 150;

#[test]
fn a_child_writes_during_pruning() {
    let Some(path) = child_argument() else { return };
    let store = Store::open(Path::new(&path), Options::default()).unwrap();
    for i in 0..ROUNDS {
        rename(&store, "demo-3", 2, T0 + i);
    }
}

#[test]
fn pruning_during_writes_of_threads_and_a_process_loses_nothing() {
    let fixture = fixture();
    let (store, path) = (&fixture.store, fixture.path());
    add_session(store, "demo", "third");
    let start = head(store).0;
    let mut other = child("prune::a_child_writes_during_pruning", path.to_str().unwrap())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let rules = Rules { keep_events: Some(100), ..Rules::default() };
    let rounds = std::thread::scope(|scope| {
        let writers: Vec<_> = ["demo-1", "demo-2"]
            .map(|id| {
                scope.spawn(move || {
                    for i in 0..ROUNDS {
                        rename(store, id, 3, T0 + i);
                    }
                })
            })
            .into_iter()
            .collect();
        let mut rounds = 0;
        while other.try_wait().unwrap().is_none() || !writers.iter().all(|w| w.is_finished()) {
            let cause = Cause::new("retention", Timestamp(T0));
            let pruned = store.prune(&cause, &rules, |_| {}).unwrap();
            assert_eq!(pruned.floor, pruned.plan.target);
            rounds += 1;
        }
        rounds
    });
    assert!(other.wait().unwrap().success());
    store.prune(&at(T0), &rules, |_| {}).unwrap();
    let info = info(store);
    assert_eq!(info.head.0 - start, ROUNDS * (3 + 3 + 2), "{rounds} rounds");
    assert!((100..=103).contains(&(info.head.0 - info.floor.0)), "{info:?}");
    let seqs: Vec<_> = kept(store).iter().map(|change| change.seq.0).collect();
    assert_eq!(seqs, (info.floor.0 + 1..=info.head.0).collect::<Vec<_>>());
    assert_sound(store);
}

#[test]
fn reservations_of_killed_readers_do_not_accumulate_without_pruning() {
    let fixture = fixture();
    let start = info(&fixture.store).head_cursor();
    for minute in 0..100 {
        let reserve = move |tx: &ao_store::Tx<'_>| {
            reservation::reserve(tx, start, "reader", Duration::from_secs(600))
        };
        fixture.store.write(at(T0 + minute * 60_000), reserve).unwrap();
    }
    let rows = number(&raw(&fixture.path()), "SELECT count(*) FROM reservation");
    assert_eq!(rows, 10, "those of the last ten minutes");
}
