//! One wrong clock neither makes young changes old nor keeps old ones: on a simulated machine whose wall
//! clock is set and which is restarted (`AO_CASES` sets the number of cases, `AO_SEED` the seed).

use std::time::Duration;

use ao_store::log::consumer::{self, Bounds, NewConsumer, Policy};
use ao_store::log::reservation;
use ao_store::log::retention::{self, Rules};
use ao_store::observation::{Facet, Mode, Thread};
use ao_store::row::session;
use ao_store::{
    BootTime, Cause, ClockReading, ConsumerName, Outcome, Seq, Store, Timestamp, Tx,
    apply_observation,
};

use crate::kill::Random;
use crate::support::{
    Fixture, T0, assert_sound, at, fixture, from_env, head, info, number, raw, thread, threads,
};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A change.
struct Written {
    seq: Seq,
    /// The true time.
    at: i64,
    boot: i64,
    is_foreign: bool,
}

/// A store on a machine whose true time the test knows.
struct Machine {
    fixture: Fixture,
    /// The true time.
    time: i64,
    /// By how much the wall clock is wrong.
    error: i64,
    boot: i64,
    booted: i64,
    /// Whether a change shows a right clock of this boot.
    is_seen: bool,
    /// Its changes.
    changes: Vec<Written>,
}

impl Machine {
    fn new() -> Machine {
        let fixture = fixture();
        // A foreign writer has the time of the real clock: that of the machine is later.
        let time = Timestamp::now().0 + 400 * DAY;
        let (booted, changes) = (time - DAY, Vec::new());
        Machine { fixture, time, error: 0, boot: 1, booted, is_seen: false, changes }
    }

    fn store(&self) -> &Store {
        &self.fixture.store
    }

    fn now(&self) -> ClockReading {
        let ms = self.time - self.booted;
        let boot = Some(BootTime { boot: self.boot, ms, awake_ms: ms });
        ClockReading { at: Timestamp(self.time + self.error), boot }
    }

    fn restart(&mut self, off: i64) {
        self.time += off;
        self.boot += 1;
        self.booted = self.time;
        self.is_seen = false;
        self.time += MINUTE;
    }

    fn write(&mut self) {
        let name = format!("name {}", self.changes.len());
        let work = move |tx: &Tx<'_>| session::rename(tx, &"demo-1".parse()?, &name);
        self.store().write(Cause::new("test", self.now()), work).unwrap();
        self.is_seen |= self.error == 0;
        self.record(false);
    }

    fn record(&mut self, is_foreign: bool) {
        let seq = head(self.store());
        self.changes.push(Written { seq, at: self.time, boot: self.boot, is_foreign });
    }

    /// Writes every 20 minutes for so long.
    fn write_for(&mut self, span: i64) {
        for _ in 0..span / (20 * MINUTE) {
            self.time += 20 * MINUTE;
            self.write();
        }
    }

    /// A foreign writer has the time of the wall clock.
    fn write_foreign(&mut self) {
        let conn = raw(&self.fixture.path());
        let at = self.time + self.error;
        conn.execute("UPDATE change_context SET at = max(at, ?1)", [at]).unwrap();
        conn.execute(
            "UPDATE session SET name = ?1 WHERE id = 'demo-2'",
            [format!("foreign {}", self.changes.len())],
        )
        .unwrap();
        self.record(true);
    }

    fn is_behind_log(&self) -> bool {
        let conn = raw(&self.fixture.path());
        self.time + self.error < number(&conn, "SELECT at FROM change_context")
    }

    /// The newest change that a plan prunes.
    fn wanted(&self, keep: i64) -> Seq {
        let rules = Rules { keep_ms: Some(keep as u64), ..Rules::default() };
        self.store().read(|s| retention::plan(s, &rules, self.now())).unwrap().wanted
    }

    /// The age of the newest pruned change of the machine.
    fn pruned_age(&self, keep: i64) -> Option<i64> {
        let wanted = self.wanted(keep);
        let found = self.changes.iter().rev().find(|change| change.seq <= wanted);
        found.map(|change| self.time - change.at)
    }

    #[track_caller]
    fn assert_keeps_young(&self, keep: i64) {
        self.assert_keeps(keep, MINUTE);
    }

    /// Whatever is pruned is older than `keep`, less an error.
    #[track_caller]
    fn assert_keeps(&self, keep: i64, error: i64) {
        if let Some(age) = self.pruned_age(keep) {
            assert!(age >= keep - error, "{} h old, {} h are kept", age / HOUR, keep / HOUR);
        }
    }

    /// Nothing is kept for more than an hour too long, but for the newest change. A foreign change may
    /// be until the next change of this program.
    #[track_caller]
    fn assert_prunes_old(&self, keep: i64, is_counted: impl Fn(&Written) -> bool) {
        let wanted = self.wanted(keep);
        let newest = self.changes.last().unwrap().seq;
        let kept = |change: &&Written| change.seq > wanted && change.seq < newest;
        let kept = self.changes.iter().filter(kept);
        for change in kept.filter(|change| is_counted(change) && !change.is_foreign) {
            let excess = self.time - change.at - keep;
            assert!(excess <= HOUR + 2 * MINUTE, "{} h too long", excess / HOUR);
        }
    }

    #[track_caller]
    fn assert_exact(&self, keep: i64) {
        self.assert_keeps_young(keep);
        self.assert_prunes_old(keep, |_| true);
    }
}

#[test]
fn one_change_by_a_clock_that_is_ahead_makes_no_other_one_old() {
    let mut machine = Machine::new();
    machine.write_for(2 * DAY);
    machine.error = 40 * DAY;
    machine.time += MINUTE;
    machine.write();
    // Even while the clock is wrong.
    machine.assert_exact(DAY);
    machine.error = 0;
    machine.write_for(10 * HOUR);
    for days in 1..60 {
        machine.assert_exact(DAY);
        machine.assert_exact(30 * DAY);
        if days % 20 == 0 {
            machine.write_for(40 * MINUTE);
        }
        machine.time += DAY;
    }
    machine.write();
    machine.assert_exact(30 * DAY);
    assert!(machine.pruned_age(30 * DAY).is_some(), "the changes of the first days are pruned");
}

#[test]
fn a_clock_that_is_behind_makes_no_change_old() {
    for error in [-3 * HOUR, -40 * DAY, -60 * 365 * DAY] {
        let mut machine = Machine::new();
        machine.write_for(DAY);
        machine.error = error;
        machine.write_for(5 * HOUR);
        machine.assert_exact(4 * HOUR);
        machine.assert_exact(DAY);
        machine.error = 0;
        machine.assert_exact(4 * HOUR);
        machine.write_for(5 * HOUR);
        machine.assert_exact(4 * HOUR);
        machine.assert_exact(DAY);
    }
}

#[test]
fn a_machine_that_starts_in_1970_is_as_if_it_started_right() {
    let mut machine = Machine::new();
    for _ in 0..6 {
        machine.write_for(5 * HOUR);
        machine.restart(19 * HOUR);
        machine.error = 300 * DAY - machine.time;
        machine.write_for(HOUR);
        machine.assert_keeps_young(2 * DAY);
        machine.error = 0;
        machine.assert_exact(2 * DAY);
    }
    assert!(machine.pruned_age(2 * DAY).is_some());
}

/// Nothing shows by how much a clock was wrong before a restart, but it shows for how long the machine ran.
#[test]
fn a_clock_that_a_restart_sets_right_prunes_nothing_young() {
    for error in [40 * DAY, 400 * DAY, -40 * DAY, -60 * 365 * DAY] {
        for is_wrong_at_start in [false, true] {
            println!("wrong by {error} ms, at the start: {is_wrong_at_start}");
            let mut machine = Machine::new();
            machine.write_for(6 * HOUR);
            if is_wrong_at_start {
                machine.restart(HOUR);
            }
            machine.error = error;
            machine.write_for(6 * HOUR);
            machine.restart(HOUR);
            machine.error = 0;
            for _ in 0..90 {
                machine.assert_keeps(5 * HOUR, 4 * HOUR);
                machine.assert_keeps(30 * DAY, 4 * HOUR);
                machine.time += DAY;
                machine.write();
            }
            machine.assert_exact(30 * DAY);
        }
    }
}

#[test]
fn a_machine_that_was_off_for_months_prunes_what_is_old() {
    let mut machine = Machine::new();
    machine.write_for(DAY);
    machine.restart(100 * DAY);
    // A clock without evidence counts one day beyond the newest change.
    machine.assert_keeps_young(DAY);
    assert_eq!(machine.pruned_age(30 * DAY), None);
    machine.write();
    machine.assert_exact(30 * DAY);
    assert!(machine.pruned_age(30 * DAY).is_some());
}

/// A machine that is resumed from a saved state runs on from an earlier time since its start.
#[test]
fn a_time_since_the_start_that_goes_back_is_no_evidence() {
    let mut machine = Machine::new();
    machine.write_for(DAY);
    machine.booted += 20 * HOUR;
    machine.assert_keeps_young(3 * HOUR);
    machine.write();
    machine.assert_exact(3 * HOUR);
    machine.assert_exact(20 * HOUR);
}

#[test]
fn a_foreign_writer_that_moves_the_time_of_the_log_ahead_makes_nothing_old() {
    let mut machine = Machine::new();
    machine.write_for(HOUR);
    let conn = raw(&machine.fixture.path());
    conn.execute("UPDATE change_context SET at = at + ?1", [40 * DAY]).unwrap();
    machine.write_for(HOUR);
    machine.write_foreign();
    machine.assert_keeps_young(10 * MINUTE);
    machine.write_for(DAY);
    machine.assert_exact(10 * HOUR);
    machine.assert_exact(DAY);
    assert!(machine.pruned_age(10 * HOUR).is_some());
}

#[test]
fn the_age_of_a_bounded_consumer_is_true_as_well() {
    let mut machine = Machine::new();
    let start = info(machine.store()).head_cursor();
    machine.write_for(HOUR);
    machine.error = 40 * DAY;
    machine.write();
    machine.error = 0;
    machine.write_for(HOUR);
    let bounds = Bounds { age_ms: Some(DAY as u64), ..Bounds::default() };
    let new = NewConsumer {
        name: "slow".parse().unwrap(),
        start,
        filter: "{}".to_owned(),
        policy: Policy::Bounded(bounds),
    };
    let cause = Cause::new("test", machine.now());
    machine.store().write(cause.clone(), move |tx| consumer::create(tx, &new)).unwrap();
    let rules = Rules { keep_events: Some(1), ..Rules::default() };
    let pruned = machine.store().prune(&cause, &rules, |_| {}).unwrap();
    assert_eq!(pruned.floor, start.seq, "the consumer is one hour behind");
    machine.write_for(2 * DAY);
    let pruned = machine.store().prune(&Cause::new("test", machine.now()), &rules, |_| {}).unwrap();
    let behind = head(machine.store()).0 - pruned.floor.0;
    assert!((72..=76).contains(&behind), "{behind} changes in the last day");
    let lag = machine.store().stats(machine.now()).unwrap().consumers[0].1.age_ms as i64;
    assert!((DAY - HOUR..=DAY + HOUR).contains(&lag), "its lag is {lag} ms");
}

#[test]
fn readings_are_few_and_are_pruned_with_the_log() {
    let mut machine = Machine::new();
    machine.write_for(3 * DAY);
    let conn = raw(&machine.fixture.path());
    let count = || number(&conn, "SELECT count(*) FROM clock_reading");
    assert!((70..=75).contains(&count()), "{} in three days", count());
    let rules = Rules { keep_ms: Some(DAY as u64), ..Rules::default() };
    machine.store().prune(&Cause::new("test", machine.now()), &rules, |_| {}).unwrap();
    assert!((24..=26).contains(&count()), "{} for one day", count());
    machine.assert_exact(10 * HOUR);
    assert_sound(machine.store());
}

#[test]
fn what_a_clock_that_was_ahead_reserved_ends_with_it() {
    let mut machine = Machine::new();
    machine.error = 40 * DAY;
    let cursor = info(machine.store()).head_cursor();
    machine.write_for(HOUR);
    let name: ConsumerName = "read".parse().unwrap();
    let new = NewConsumer {
        name: name.clone(),
        start: cursor,
        filter: "{}".to_owned(),
        policy: Policy::None,
    };
    let ttl = Duration::from_secs(10);
    let reserved = name.clone();
    let work = move |tx: &Tx<'_>| {
        consumer::create(tx, &new)?;
        consumer::acquire(tx, &reserved, "pid:1 started:1 place:elsewhere/1", ttl, None)?;
        reservation::reserve(tx, cursor, "a killed reader", ttl)
    };
    machine.store().write(Cause::new("test", machine.now()), work).unwrap();
    machine.error = 0;
    let cause = Cause::new("test", machine.now());
    let rules = Rules { keep_events: Some(1), ..Rules::default() };
    let plan = machine.store().read(|s| retention::plan(s, &rules, machine.now())).unwrap();
    assert_eq!(plan.held, [], "the reservation");
    assert!(machine.store().prune(&cause, &rules, |_| {}).unwrap().floor > cursor.seq);
    let work = move |tx: &Tx<'_>| consumer::acquire(tx, &name, "this one", ttl, None);
    let taken = machine.store().write(cause, work).unwrap().value;
    assert_eq!(taken.lease.unwrap().owner, "this one");
}

#[test]
fn an_observation_by_a_clock_that_was_ahead_makes_no_later_one_stale() {
    for days in [1, 40] {
        let fixture = fixture();
        let apply = |now: i64, facet: Facet<Thread>, title: &str| {
            let mut seen = threads(now, facet);
            seen.facts.title = Some(title.to_owned());
            let work = move |tx: &Tx<'_>| apply_observation(tx, &seen);
            match fixture.store.write(at(now), work).unwrap().value {
                Outcome::Applied(applied) => applied,
                other => panic!("{other:?}"),
            }
        };
        let (now, ahead) = (T0 + HOUR, T0 + days * DAY);
        let one = |is_resolved| Facet::replace(vec![thread("T1", is_resolved)]);
        let single = |is_resolved| Facet {
            mode: Mode::Merge,
            items: vec![thread("T2", is_resolved)],
            ..Facet::default()
        };
        apply(ahead, one(false), "first");
        apply(ahead, single(false), "first");
        for applied in [
            apply(now, single(true), "second"),
            apply(now + 1, one(true), "third"),
            apply(now + 2, single(false), "fourth"),
        ] {
            assert_eq!(applied.stale, [""; 0], "{days} days");
            assert!(applied.is_updated && applied.threads.is_change(), "{applied:?}");
        }
        // What was seen before it is older again.
        assert_eq!(apply(now, one(true), "fifth").stale, ["metadata", "threads"]);
    }
}

/// One step of a random life, of which changes show enough: the right clock before the machine restarts,
/// and that after the start before it is set wrong. A machine that starts in 1970 shows nothing.
fn step(machine: &mut Machine, random: &mut Random) {
    machine.time += random.below(2 * HOUR as u64) as i64;
    match random.below(30) {
        0 if machine.is_seen => machine.error = random.below(100 * DAY as u64) as i64,
        1 if machine.is_seen => machine.error = -(random.below(100 * DAY as u64) as i64),
        2 if machine.is_seen => machine.error = 300 * DAY - machine.time,
        3..=5 => machine.error = 0,
        6 => machine.time += random.below(3 * DAY as u64) as i64,
        7 => {
            machine.error = 0;
            machine.write();
            machine.restart(random.below(5 * DAY as u64) as i64);
            if random.below(2) == 0 {
                machine.error = 300 * DAY - machine.booted;
            }
        }
        // Nothing shows when a foreign writer wrote by a clock that was behind the log.
        8 if !machine.is_behind_log() => machine.write_foreign(),
        _ => machine.write(),
    }
}

#[test]
fn no_young_change_is_pruned_and_no_old_one_is_kept() {
    let seed = u64::from(from_env("AO_SEED", 20_261_128));
    let cases = from_env("AO_CASES", 4);
    println!("AO_SEED={seed} AO_CASES={cases}");
    let mut random = Random(seed.max(1));
    let (mut gone, mut exact) = (0, 0);
    for _ in 0..cases {
        let mut machine = Machine::new();
        machine.write();
        for _ in 0..300 {
            step(&mut machine, &mut random);
            println!("{:?} error {} h", machine.now(), machine.error / HOUR);
            let keep = HOUR + random.below(6 * DAY as u64) as i64;
            machine.assert_keeps_young(keep);
            gone += u32::from(machine.pruned_age(keep).is_some());
            if machine.error == 0 && random.below(10) == 0 {
                machine.write();
                machine.assert_prunes_old(keep, |change| change.boot == machine.boot);
                exact += 1;
            }
        }
    }
    assert!(gone > 20 * cases && exact > 5 * cases, "{gone} {exact}");
}
