//! A process that runs for a long time: writers, an observer, and readers of every kind that come and go,
//! with retention. Its memory, descriptors, threads and files stay as they are after the first half.
//!
//! `AO_SOAK_CHANGES` is the number of changes (default 20,000).

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use ao_cdc::{
    Consumer, Error, Fanout, Filter, SnapshotReader, Start, Subscription, Tail, Takeover,
};
use ao_store::lease::{Fence, Owner};
use ao_store::log::consumer::{self, NewConsumer, Policy};
use ao_store::log::reservation;
use ao_store::log::retention::{Rules, set_rules};
use ao_store::observation::{Facet, Observation, Thread};
use ao_store::{ConsumerName, PrRef, SessionId, Store, Timestamp, Tx, apply_observation};

use crate::support::{
    Fixture, Player, SOON, add_project, add_sessions, cause, keep_newest, part, rename, say,
};

/// The test that runs in a process of its own, since the other tests of this one use memory, too.
const CHILD: &str = "soak::a_process_runs_for_a_long_time";
/// Changes between two measurements.
const ROUND: i64 = 500;
/// What retention keeps.
const KEPT: u64 = 2_000;
/// How much the memory may grow after the first half, in KiB: what the allocator keeps varies.
const GROWTH_KIB: i64 = 4_096;
/// The memory of the ring of a fan-out, which is full after the first rounds.
const RING: usize = 1 << 20;
/// Idle read connections may be opened late; each has a descriptor of the database and one of the WAL.
const POOLED_DESCRIPTORS: i64 = 8;
/// A checkpoint waits for readers from 32 MiB on, for a short time: on a loaded machine the next attempts,
/// at 64 and 128 MiB, may count. 300,000 changes write more than 1 GiB.
const WAL_KIB: i64 = 192 << 10;

/// What a process uses at the end of a round.
#[derive(Debug, Clone, Copy)]
struct Use {
    rss: i64,
    descriptors: i64,
    threads: i64,
    wal: i64,
    database: i64,
    sockets: i64,
    reservations: i64,
}

impl Use {
    fn measure(store: &Store) -> Use {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<i64>().unwrap()
        };
        let entries =
            |path: &Path| i64::try_from(fs::read_dir(path).map_or(0, Iterator::count)).unwrap();
        let kib =
            |path: &Path| fs::metadata(path).map_or(0, |file| file.len() / 1024).cast_signed();
        let now = Timestamp::now();
        let reservations = store.read(|snapshot| reservation::list(snapshot, now)).unwrap().len();
        Use {
            rss: field("VmRSS:"),
            descriptors: entries(Path::new("/proc/self/fd")),
            threads: field("Threads:"),
            wal: kib(&store.path().with_file_name("ao.db-wal")),
            database: kib(store.path()),
            sockets: entries(&store.path().with_file_name("wakeups")),
            reservations: i64::try_from(reservations).unwrap(),
        }
    }

    fn to_line(self) -> String {
        let Use { rss, descriptors, threads, wal, database, sockets, reservations } = self;
        [rss, descriptors, threads, wal, database, sockets, reservations]
            .map(|number| number.to_string())
            .join(" ")
    }

    fn of_line(line: &str) -> Use {
        let numbers: Vec<i64> = line.split(' ').map(|word| word.parse().expect(line)).collect();
        let [rss, descriptors, threads, wal, database, sockets, reservations] = numbers[..] else {
            panic!("{line}")
        };
        Use { rss, descriptors, threads, wal, database, sockets, reservations }
    }
}

#[test]
fn a_process_runs_for_a_long_time() {
    let Some((changes, store)) = part() else { return };
    let changes: i64 = changes.parse().unwrap();
    let mut long = Long::open(&store);
    while long.head < changes {
        long.round(&store);
        say(&Use::measure(&store).to_line());
    }
    say("done");
}

/// The readers that stay for the whole time.
struct Long {
    head: i64,
    tail: Tail,
    _fanout: Fanout,
    live: Subscription,
}

impl Long {
    fn open(store: &Store) -> Long {
        let fanout = Fanout::with_memory(store, RING).unwrap();
        let live = fanout.subscribe(Start::End, Filter::default()).unwrap();
        let tail = Tail::open(store, Start::End, Filter::default()).unwrap();
        Long { head: tail.cursor().seq.0, tail, _fanout: fanout, live }
    }

    /// Writers write, while readers come and go; then everything is read and pruned.
    fn round(&mut self, store: &Store) {
        let until = self.head + ROUND;
        let written = AtomicI64::new(self.head);
        thread::scope(|scope| {
            for number in 1..=3 {
                let written = &written;
                scope.spawn(move || {
                    while written.load(Ordering::Relaxed) < until {
                        let seq = rename(store, "writer", &format!("demo-{number}"), number);
                        written.fetch_max(seq.0, Ordering::Relaxed);
                    }
                });
            }
            scope.spawn(|| {
                for pass in 0.. {
                    if written.load(Ordering::Relaxed) >= until {
                        return;
                    }
                    observe(store, pass);
                }
            });
            scope.spawn(|| come_and_go(store));
            scope.spawn(|| subscribe_and_leave(store));
        });
        self.head = store.read(|snapshot| snapshot.head()).unwrap().seq.0;
        while self.live.cursor().seq.0 < self.head {
            self.live.next_within(SOON).unwrap().expect("the changes in time");
        }
        while !self.tail.visit(512, |_| Ok(())).unwrap().is_at_head {}
        assert_eq!(self.tail.cursor().seq.0, self.head);
        keep_newest(store, KEPT);
    }
}

/// What an observer does: the same pull requests again and again, with some facts changed.
fn observe(store: &Store, pass: u64) {
    let number = pass % 20;
    let place: PrRef = format!("octo/hello#{}", number + 1).parse().unwrap();
    let mut seen = Observation::new(place, Timestamp::now());
    seen.session = Some("demo-1".parse::<SessionId>().unwrap());
    seen.node_id = format!("PR_{number}");
    seen.facts.title = Some(format!("Title {pass}"));
    let thread = |id: u64| Thread {
        id: format!("T{}", pass % 3 + id),
        is_resolved: pass.is_multiple_of(2),
        ..Thread::default()
    };
    seen.threads = Facet::replace((0..4).map(thread).collect());
    store.write(cause("observer"), move |tx| apply_observation(tx, &seen)).unwrap();
}

/// A channel, a consumer, a snapshot that is read to its end, and one that is not.
fn come_and_go(store: &Store) {
    let tail = Tail::open(store, Start::End, Filter::default()).unwrap();
    let receiver = tail.into_receiver(16).unwrap();
    for _ in 0..20 {
        let _ = receiver.receiver().recv_timeout(Duration::from_millis(1));
    }
    let name: ConsumerName = "visitor".parse().unwrap();
    let start = store.read(|snapshot| snapshot.head()).unwrap();
    let (filter, policy) = (Filter::default().to_json(), Policy::Block);
    let new = NewConsumer { name: name.clone(), start, filter, policy };
    store.write(cause("test"), move |tx| consumer::create(tx, &new)).unwrap();
    let owner = Owner::this_process();
    let mut reader = Consumer::open(store, &name, None, &owner, Takeover::IfGone).unwrap();
    for _ in 0..3 {
        if let Some(found) = reader.next_within(100, Duration::from_millis(1)).unwrap() {
            reader.ack(found.cursor).unwrap();
        }
    }
    drop(reader);
    let remove = move |tx: &Tx<'_>| consumer::remove(tx, &name, Fence::Respect);
    store.write(cause("test"), remove).unwrap();
    let open = || SnapshotReader::open(store, Start::End, Filter::default(), "soak").unwrap();
    let mut whole = open();
    while whole.next_rows().unwrap().is_some() {}
    let (mut tail, _reservation) = whole.follow().unwrap();
    tail.visit(100, |_| Ok(())).unwrap();
    open().next_rows().unwrap();
}

/// Subscribers that read something, that never read, and a fan-out that ends before them.
fn subscribe_and_leave(store: &Store) {
    let fanout = Fanout::start(store).unwrap();
    let starts = [Start::End, Start::Beginning, Start::Last(50), Start::End];
    let subscribe = |start| fanout.subscribe(start, Filter::default()).unwrap();
    let mut subscriptions = starts.map(subscribe);
    for subscription in &mut subscriptions[1..] {
        match subscription.next_within(Duration::from_millis(1)) {
            // The writers prune by the rules: a reader of the oldest changes can be overtaken.
            Ok(_) | Err(Error::Store(ao_store::Error::CursorExpired { .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }
    drop(fanout);
}

#[test]
fn a_long_run_uses_no_more_than_its_first_half() {
    let wanted = std::env::var("AO_SOAK_CHANGES").ok();
    let changes: i64 = wanted.map_or(20_000, |changes| changes.parse().unwrap());
    let fixture = Fixture::empty();
    add_project(&fixture.store, "demo");
    add_sessions(&fixture.store, "demo", 3);
    let rules = Rules { keep_events: Some(KEPT), ..Rules::default() };
    fixture.store.write(cause("test"), move |tx| set_rules(tx, &rules)).unwrap();
    let player = Player::start(CHILD, &changes.to_string(), fixture.path());
    let mut uses = Vec::new();
    loop {
        match player.line() {
            line if line == "done" => break,
            line => uses.push(Use::of_line(&line)),
        }
    }
    let (first, rest) = uses.split_at(uses.len() / 2);
    let most = |uses: &[Use], of: fn(&Use) -> i64| uses.iter().map(of).max().unwrap();
    report(changes, &[most(first, |u| u.rss), most(rest, |u| u.rss)], &uses);
    // Readers that overlap by chance need more for a moment.
    let grown_rss = typical(rest, |u| u.rss) - typical(first, |u| u.rss);
    let grown = |of: fn(&Use) -> i64| most(rest, of) - most(first, of);
    assert!(grown_rss <= GROWTH_KIB, "memory: {uses:?}");
    assert!(grown(|u| u.descriptors) <= POOLED_DESCRIPTORS, "descriptors: {uses:?}");
    assert!(grown(|u| u.threads) <= 0, "threads: {uses:?}");
    assert!(grown(|u| u.sockets) <= 0, "sockets: {uses:?}");
    assert!(grown(|u| u.database) <= 4_096, "the database: {uses:?}");
    assert!(most(&uses, |u| u.wal) <= WAL_KIB, "the WAL: {uses:?}");
    assert_eq!(most(&uses, |u| u.reservations), 0, "{uses:?}");
}

/// The median.
fn typical(uses: &[Use], of: fn(&Use) -> i64) -> i64 {
    let mut all: Vec<_> = uses.iter().map(of).collect();
    all.sort_unstable();
    all[all.len() / 2]
}

#[expect(clippy::print_stdout, reason = "the figures of a long run")]
fn report(changes: i64, rss: &[i64; 2], uses: &[Use]) {
    println!("AO_SOAK_CHANGES={changes}: at most {} KiB, then {} KiB", rss[0], rss[1]);
    println!("first {:?}, last {:?}", uses.first(), uses.last());
}
