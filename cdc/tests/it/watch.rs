//! All validators over a minute of concurrent load: four writers, eight tailers that disconnect and are
//! stopped, and pruning that races them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ao_cdc::{Consumer, Filter, Takeover};
use ao_store::lease::Owner;
use ao_store::log::change::Change;
use ao_store::log::consumer::{self, NewConsumer, Policy};
use ao_store::{Store, Timestamp, Tx};

use crate::support::{
    Fixture, Player, Random, add_sessions, at, cause, fresh_name, has_shell, keep_newest, part,
    say, seed, signal,
};
use crate::tailer::{filter_of, log_of};
use crate::validate::{Tally, Truth, validate};
use crate::world::{act, act_foreign, settle};

const TEST: &str = "watch::tailers_pass_every_validator_under_concurrent_load";
const TAILERS: u64 = 8;
const WRITERS: u64 = 4;
/// The bound of the write-ahead log.
const WAL: u64 = 64 << 20;

/// The duration of the run in seconds.
fn seconds() -> u64 {
    std::env::var("AO_WATCH_SECONDS").map_or(60, |seconds| seconds.parse().unwrap())
}

/// Writes at random until the end; now and then a transaction larger than any read.
fn write(store: &Store, random: &mut Random, is_over: impl Fn() -> bool) {
    while !is_over() {
        if random.below(150) == 0 {
            storm(store);
        } else {
            act(store, "writer", random);
        }
        thread::sleep(Duration::from_micros(random.below(16_000)));
    }
}

fn storm(store: &Store) {
    let rename = |tx: &Tx<'_>| {
        for number in 0..700 {
            let id = format!("demo-{}", 1 + number % 2).parse()?;
            if ao_store::row::session::get(tx, &id)?.is_some() {
                ao_store::row::session::rename(tx, &id, &fresh_name())?;
            }
        }
        Ok(())
    };
    store.write(cause("storm"), rename).unwrap();
}

fn write_foreign(path: &Path, random: &mut Random, is_over: impl Fn() -> bool) {
    while !is_over() {
        act_foreign(path, random);
        thread::sleep(Duration::from_millis(random.below(60)));
    }
}

/// Records every change; nothing is pruned that it has not recorded.
fn record(store: &Store, end: &AtomicI64) -> Vec<Change> {
    let name = "recorder".parse().unwrap();
    let owner = Owner::this_process();
    let mut reader = Consumer::open(store, &name, None, &owner, Takeover::IfGone).unwrap();
    let mut changes: Vec<Change> = Vec::new();
    while changes.last().map_or(0, |change| change.seq.0) < end.load(Ordering::SeqCst) {
        let delivery = reader.next_within(1000, Duration::from_millis(100)).unwrap();
        let Some(delivery) = delivery else { continue };
        changes.extend(delivery.changes);
        reader.ack(delivery.cursor).unwrap();
    }
    changes
}

/// What the test does to the tailers.
struct Run<'a> {
    fixture: &'a Fixture,
    seed: u64,
    is_over: AtomicBool,
    end: AtomicI64,
    largest_wal: AtomicU64,
    stops: AtomicU64,
    prunes: AtomicU64,
}

impl Run<'_> {
    fn random(&self, part: u64) -> Random {
        Random(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | (2 * part + 1))
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn prune(&self) {
        let mut random = self.random(50);
        let mut floor = self.fixture.floor();
        while !self.is_over() {
            let now = keep_newest(&self.fixture.store, random.below(700));
            self.prunes.fetch_add(u64::from(now > floor), Ordering::SeqCst);
            floor = now;
            thread::sleep(Duration::from_millis(random.below(250)));
        }
    }

    /// Stops tailers at any point, also within a read or a write.
    fn stop_and_continue(&self, tailers: &[u32]) {
        let mut random = self.random(51);
        while !self.is_over() {
            let tailer = tailers[random.below(tailers.len() as u64) as usize];
            signal(tailer, "-STOP");
            thread::sleep(Duration::from_millis(random.below(900)));
            signal(tailer, "-CONT");
            self.stops.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(random.below(100)));
        }
    }

    fn watch_wal(&self) {
        let wal = self.fixture.path().with_file_name("ao.db-wal");
        while !self.is_over() {
            let size = std::fs::metadata(&wal).map_or(0, |file| file.len());
            self.largest_wal.fetch_max(size, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Lets the threads end, also when the test failed.
struct Ending<'a>(&'a Run<'a>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
        self.0.end.store(0, Ordering::SeqCst);
    }
}

/// Runs the load; returns the log, whose end every tailer has reached.
fn run(run: &Run<'_>, tailers: &mut [Player], writers: &[Player]) -> Vec<Change> {
    let store = &run.fixture.store;
    let ids: Vec<_> = tailers.iter().map(Player::id).collect();
    let started = Instant::now();
    thread::scope(|scope| {
        let _ending = Ending(run);
        let recorder = scope.spawn(|| record(store, &run.end));
        let mut beside = vec![
            scope.spawn(|| run.prune()),
            scope.spawn(|| run.stop_and_continue(&ids)),
            scope.spawn(|| run.watch_wal()),
        ];
        if has_shell() {
            let mut random = run.random(52);
            beside.push(scope.spawn(move || {
                write_foreign(store.path(), &mut random, || run.is_over());
            }));
        }
        let length = Duration::from_secs(seconds());
        while started.elapsed() < length && beside.iter().all(|thread| !thread.is_finished()) {
            thread::sleep(Duration::from_millis(50));
        }
        for writer in writers {
            writer.line_within("done", Duration::from_secs(30));
        }
        run.is_over.store(true, Ordering::SeqCst);
        beside.into_iter().for_each(|thread| thread.join().unwrap());
        // The writers have ended: this is the last change.
        add_sessions(store, "demo", 1);
        let head = run.fixture.head().seq.0;
        run.end.store(head, Ordering::SeqCst);
        for tailer in &mut *tailers {
            tailer.send(&head.to_string());
            tailer.line_within("done", Duration::from_secs(60));
        }
        recorder.join().unwrap()
    })
}

fn create_recorder(store: &Store) {
    let new = NewConsumer {
        name: "recorder".parse().unwrap(),
        start: at(1, 0),
        filter: Filter::default().to_json(),
        policy: Policy::Block,
    };
    store.write(cause("test"), move |tx| consumer::create(tx, &new)).unwrap();
}

fn play(role: &str, store: Store) {
    let words: Vec<_> = role.split(' ').collect();
    let number = |index: usize| words[index].parse::<u64>().unwrap();
    match words[0] {
        "tailer" => crate::tailer::play(store, number(1), number(2)),
        _ => {
            let mut random = Random(number(2).wrapping_mul(7919 + 2 * number(1)) | 1);
            let until = Timestamp(number(3).cast_signed());
            write(&store, &mut random, || Timestamp::now() >= until);
            say("done");
        }
    }
}

#[test]
fn tailers_pass_every_validator_under_concurrent_load() {
    if let Some((role, store)) = part() {
        return play(&role, store);
    }
    let seed = seed();
    let fixture = Fixture::empty();
    settle(&fixture.store);
    create_recorder(&fixture.store);
    let start = |role: String| Player::start(TEST, &role, fixture.path());
    let mut tailers: Vec<_> =
        (0..TAILERS).map(|number| start(format!("tailer {number} {seed}"))).collect();
    tailers.iter().for_each(|tailer| assert_eq!(tailer.line(), "ready"));
    let until = Timestamp::now().0.unsigned_abs() + seconds() * 1000;
    let ours = if has_shell() { WRITERS - 1 } else { WRITERS };
    let writers: Vec<_> =
        (0..ours).map(|number| start(format!("writer {number} {seed} {until}"))).collect();
    let all = Run {
        fixture: &fixture,
        seed,
        is_over: AtomicBool::new(false),
        end: AtomicI64::new(i64::MAX),
        largest_wal: AtomicU64::new(0),
        stops: AtomicU64::new(0),
        prunes: AtomicU64::new(0),
    };
    let truth = Truth::new(run(&all, &mut tailers, &writers));
    let mut tally = Tally::new();
    for number in 0..TAILERS {
        let notes = log_of(fixture.path(), number);
        validate(&truth, &notes, &filter_of(number, seed), &mut tally);
    }
    let count = |number: &AtomicU64| number.load(Ordering::SeqCst);
    let wal = count(&all.largest_wal);
    tally.insert("stops".to_owned(), count(&all.stops));
    tally.insert("prunes".to_owned(), count(&all.prunes));
    println!("{} changes, write-ahead log up to {wal} bytes, {tally:?}", truth.len());
    assert!(wal <= WAL, "{wal} bytes");
    enough(truth.len() as u64, &tally);
}

/// A run in which little happened proves little.
fn enough(changes: u64, tally: &Tally) {
    let seconds = seconds();
    assert!(changes > 40 * seconds, "{changes} changes");
    let least = [
        ("change", 80 * seconds),
        ("idle", seconds),
        ("bookmark", seconds / 2),
        ("covered", 10 * seconds),
        ("back", seconds),
        // How often a tailer is overtaken depends on the load of the machine.
        ("expired", 0),
        ("snapshot", 0),
        ("stops", seconds / 2),
        ("prunes", seconds / 2),
    ];
    for (name, least) in least {
        assert!(tally.get(name).is_some_and(|count| *count > least), "{name}: {tally:?}");
    }
    for form in 0..5 {
        let name = format!("connect {form}");
        assert!(tally.get(&name).is_some_and(|count| *count > seconds), "{name}: {tally:?}");
    }
}
