//! Random interleavings of writers, and of consumers that filter, disconnect and resume in every
//! form, against the log: ordered, unique, atomic, reliable, resumable, correctly filtered, and with
//! the image before each change equal to the image after the previous one.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use ao_cdc::{ChangeReceiver, Event, Fanout, Filter, Start, Tail};
use ao_store::log::change::Change;
use ao_store::{Cursor, Seq, Store};

use crate::support::{
    Fixture, Random, add_project, add_sessions, cause, fresh_name, has_shell, seqs, shell,
};

const SESSIONS: &[&str] = &["demo-1", "demo-2", "demo-3", "other-1", "other-2"];

/// A transaction that was acknowledged to its writer.
struct Acknowledged {
    actor: String,
    last: Seq,
    changes: u64,
}

fn write(store: &Store, actor: &str, random: &mut Random) -> Acknowledged {
    let times = 1 + random.below(5);
    let mut steps = Vec::new();
    for _ in 0..times {
        let session = SESSIONS[usize::try_from(random.below(5)).unwrap()];
        steps.push((session.parse().unwrap(), random.below(8) == 0));
    }
    let fails = random.below(10) == 0;
    let work = move |tx: &ao_store::Tx<'_>| {
        for (session, is_creation) in &steps {
            if *is_creation {
                let id = ao_store::row::session::require(tx, session)?.project;
                let project = ao_store::row::project::require_active(tx, &id)?.id;
                let new = ao_store::row::session::NewSession {
                    project,
                    kind: ao_store::row::session::SessionKind::Worker,
                    harness: String::new(),
                    name: String::new(),
                    issue: String::new(),
                    branch: String::new(),
                };
                ao_store::row::session::create(tx, &new)?;
            } else {
                ao_store::row::session::rename(tx, session, &fresh_name())?;
            }
        }
        // A transaction that is rolled back leaves no change and no hole.
        if fails { Err(ao_store::Error::Closed) } else { Ok(()) }
    };
    match store.write(cause(actor), work) {
        Ok(committed) => {
            assert!(!fails);
            assert_eq!(committed.changes, times);
            Acknowledged { actor: actor.to_owned(), last: committed.cursor.seq, changes: times }
        }
        Err(error) => {
            assert!(fails, "{error}");
            write(store, actor, random)
        }
    }
}

fn random_filter(random: &mut Random) -> Filter {
    let mut some = |values: &[&str]| -> Vec<String> {
        let wanted = random.below(3);
        let pick = |value: &&&str| wanted > 0 && (value.len() as u64 + wanted).is_multiple_of(2);
        values.iter().filter(pick).map(ToString::to_string).collect()
    };
    let types = some(&["session_updated", "session_created", "project_created"]);
    let projects = some(&["demo", "other"]).iter().map(|id| id.parse().unwrap()).collect();
    let chosen = random.below(6);
    let sessions = SESSIONS.iter().take(usize::try_from(chosen.saturating_sub(3)).unwrap());
    Filter::new(types, projects, sessions.map(|id| id.parse().unwrap()).collect()).unwrap()
}

/// What one consumer received.
struct Consumed {
    from: Cursor,
    filter: Filter,
    changes: Vec<Change>,
    connections: usize,
}

/// Receives the next item of a channel, if one comes in time.
fn receive(from: &ChangeReceiver, wait: Duration, cursor: &mut Cursor, into: &mut Vec<Change>) {
    match from.receiver().recv_timeout(wait).map(Result::unwrap) {
        Ok(Event::Change(change)) => {
            cursor.seq = change.seq;
            into.push(change);
        }
        Ok(Event::Bookmark(bookmark)) => *cursor = bookmark,
        Err(_) => {}
    }
}

/// Connects in a random form, takes some changes and disconnects, until the log is complete and read.
fn consume(store: &Store, fanout: &Fanout, done: &AtomicI64, mut random: Random) -> Consumed {
    let filter = random_filter(&mut random);
    let start = match random.below(4) {
        0 => Start::End,
        1 => Start::Last(random.below(20)),
        _ => Start::Beginning,
    };
    let from = Tail::open(store, start, filter.clone()).unwrap().cursor();
    let (mut cursor, mut changes, mut connections) = (from, Vec::new(), 0);
    let pause = Duration::from_millis(4);
    loop {
        let is_last = done.load(Ordering::SeqCst) >= 0;
        let tail = || Tail::open(store, Start::Cursor(cursor), filter.clone()).unwrap();
        let some = usize::try_from(random.below(30)).unwrap();
        let before = cursor;
        connections += 1;
        match random.below(5) {
            _ if is_last => {
                let mut rest = tail().to_head();
                changes.extend(rest.by_ref().map(Result::unwrap));
                assert_eq!(rest.cursor().seq.0, done.load(Ordering::SeqCst));
                return Consumed { from, filter, changes, connections };
            }
            0 => {
                let mut tail = tail();
                for _ in 0..1 + random.below(4) {
                    tail.visit(some, |change| {
                        changes.push(change.to_owned()?);
                        Ok(())
                    })
                    .unwrap();
                    tail.wait(pause).unwrap();
                }
                cursor = tail.cursor();
            }
            1 | 2 => {
                let mut follow = tail().follow();
                for _ in 0..some {
                    changes.extend(follow.next_within(pause).unwrap());
                }
                cursor = follow.cursor();
            }
            3 => {
                let receiver = tail().into_receiver(some % 5).unwrap();
                (0..some).for_each(|_| receive(&receiver, pause * 5, &mut cursor, &mut changes));
            }
            _ => {
                let start = Start::Cursor(cursor);
                let mut live = fanout.subscribe(start, filter.clone()).unwrap();
                for _ in 0..some {
                    let batch = live.next_within(pause).unwrap();
                    changes.extend(batch.iter().flat_map(|batch| batch.iter().cloned()));
                    if random.below(4) == 0 {
                        thread::sleep(pause * 3);
                    }
                }
                cursor = live.cursor();
            }
        }
        assert!(cursor.seq >= before.seq);
        let newest = changes.last().map_or(from.seq, |change| change.seq);
        assert!(newest <= cursor.seq, "a cursor covers what was delivered");
    }
}

/// The log is dense, its times never decrease, each transaction is contiguous, and each image
/// follows from the previous one.
fn check_log(truth: &[Change], acknowledged: &[Acknowledged]) {
    assert_eq!(seqs(truth), (1..=truth.len() as i64).collect::<Vec<_>>());
    assert!(truth.is_sorted_by_key(|change| change.at));
    let mut covered = HashSet::new();
    for Acknowledged { actor, last, changes } in acknowledged {
        let first = last.0 + 1 - changes.cast_signed();
        for seq in first..=last.0 {
            let change = &truth[usize::try_from(seq - 1).unwrap()];
            assert_eq!(change.tx, Some(Seq(first)), "{seq}");
            assert_eq!(change.actor(), Some(actor.as_str()), "{seq}");
            assert!(covered.insert(seq), "{seq} was acknowledged twice");
        }
    }
    let ours =
        truth.iter().filter(|change| change.actor().is_some_and(|a| a.starts_with("writer")));
    assert_eq!(ours.count(), covered.len(), "nothing but what was acknowledged");
    let mut images: HashMap<(&str, &str), Option<&str>> = HashMap::new();
    for change in truth {
        let old = images.insert((change.entity(), change.key()), change.after());
        assert_eq!(old.flatten(), change.before(), "before {}", change.seq);
    }
}

fn run(seed: u64) -> usize {
    let fixture = Fixture::empty();
    for (project, sessions) in [("demo", 3), ("other", 2)] {
        add_project(&fixture.store, project);
        add_sessions(&fixture.store, project, sessions);
    }
    let fanout = Fanout::with_memory(&fixture.store, 4096).unwrap();
    let acknowledged = Mutex::new(Vec::new());
    let done = AtomicI64::new(-1);
    let consumed: Vec<Consumed> = thread::scope(|scope| {
        let random = |part: u64| Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | (1 + part * 2));
        let (store, fanout, done) = (&fixture.store, &fanout, &done);
        let consumers: Vec<_> = (0..8)
            .map(|part| scope.spawn(move || consume(store, fanout, done, random(100 + part))))
            .collect();
        let mut writers: Vec<_> = (0..4)
            .map(|part| {
                let (mut random, acknowledged) = (random(part), &acknowledged);
                scope.spawn(move || {
                    for _ in 0..40 {
                        let tx = write(store, &format!("writer-{part}"), &mut random);
                        acknowledged.lock().unwrap().push(tx);
                        thread::sleep(Duration::from_micros(random.below(8000)));
                    }
                })
            })
            .collect();
        if has_shell() {
            writers.push(scope.spawn(move || {
                for round in 0..6 {
                    shell(
                        store.path(),
                        &format!("UPDATE session SET issue = '{round}' WHERE num < 3"),
                    );
                }
            }));
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(fixture.head().seq.0, Ordering::SeqCst);
        consumers.into_iter().map(|consumer| consumer.join().unwrap()).collect()
    });
    let truth = fixture.truth();
    check_log(&truth, &acknowledged.into_inner().unwrap());
    let mut connections = 0;
    for consumer in consumed {
        let expected = truth
            .iter()
            .filter(|change| change.seq > consumer.from.seq && consumer.filter.matches(change));
        let expected: Vec<_> = expected.cloned().collect();
        assert_eq!(seqs(&consumer.changes), seqs(&expected), "{:?}", consumer.filter);
        assert_eq!(consumer.changes, expected, "{:?}", consumer.filter);
        connections += consumer.connections;
    }
    connections
}

#[test]
fn random_consumers_agree_with_the_log() {
    // AO_CDC_SEED=n runs other interleavings.
    let given = std::env::var("AO_CDC_SEED").ok().map(|seed| seed.parse().unwrap());
    for seed in given.map_or(vec![1, 2, 3], |seed| vec![seed]) {
        println!("seed {seed}");
        let connections = run(seed);
        assert!(connections > 16, "they disconnected and came back: {connections}");
    }
}
