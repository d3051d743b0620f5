//! Claim: a durable write is as fast as the disk allows, and concurrent writes share the wait for the disk.
//! Budgets: 64 producers at 4.5 times the rate of the baseline or more; one producer at 0.85 times the rate of one
//! mutex or more. What the disk alone takes is a figure without a budget.
//!
//! The baseline for several producers is the usual alternative: one connection behind one mutex and one
//! commit (FULL) per write, with the same statement, triggers and change context, but without the checks
//! that the store's function makes first. The baseline for one producer is the disk: three frames of a WAL
//! (3 x 4,120 bytes) overwritten in place, and an fdatasync. Wall time. Every write gives a session a new
//! name and is acknowledged before its producer continues.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use ao_benches::{
    Budget, Fixture, Line, NewFixture, Run, Sample, at_least, cause, close_context, monotonic,
    open_context, session_of, wall,
};
use ao_store::Durability;
use ao_store::row::session;
use rusqlite::Connection;

const SESSIONS: usize = 64;
const ROUNDS: usize = 7;

const RENAME: &str =
    "UPDATE session SET name = ?2, updated_at = ?3 WHERE id = ?1 AND name IS NOT ?2";

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A name that no session has had before.
fn name() -> String {
    format!("run {}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn fixture() -> Fixture {
    let durability = Durability::Full;
    NewFixture { durability, sessions: SESSIONS, prs: 0, threads: 0 }.create()
}

/// `producers` threads that each write `count` times.
fn produce(producers: usize, count: usize, write: impl Fn(usize) + Sync) -> Sample {
    let (barrier, write) = (&Barrier::new(producers + 1), &write);
    thread::scope(|scope| {
        let work = move |producer| {
            barrier.wait();
            for _ in 0..count {
                write(producer);
            }
        };
        let threads: Vec<_> =
            (0..producers).map(|producer| scope.spawn(move || work(producer))).collect();
        barrier.wait();
        let start = monotonic();
        for thread in threads {
            thread.join().expect("a producer");
        }
        Sample { units: (producers * count) as u64, nanos: monotonic() - start }
    })
}

fn through_mutex(conn: &Mutex<Connection>, producer: usize) {
    let conn = conn.lock().expect("no producer failed");
    conn.execute_batch("BEGIN IMMEDIATE").expect("begin");
    open_context(&conn);
    let mut statement = conn.prepare_cached(RENAME).expect("prepare");
    let params = (session_of(producer + 1).as_str().to_owned(), name(), 1_i64);
    assert_eq!(statement.execute(params).expect("rename"), 1);
    close_context(&conn);
    conn.execute_batch("COMMIT").expect("commit");
}

fn through_store(fixture: &Fixture, producer: usize) {
    let (id, name) = (session_of(producer + 1), name());
    let written = fixture.store.write(cause(), move |tx| session::rename(tx, &id, &name));
    assert_eq!(written.expect("rename").changes, 1);
}

/// The disk's cost of `count` commits of three frames.
fn disk(file: &File, count: u64) -> Sample {
    let frame = vec![NEXT.fetch_add(1, Ordering::Relaxed) as u8; 3 * 4120];
    wall(|| {
        for i in 0..count {
            let at = (i % 64) * frame.len() as u64;
            file.write_all_at(&frame, at).expect("write");
            file.sync_data().expect("sync");
        }
        count
    })
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let file = tempfile::tempfile().expect("make a file");
    file.write_all_at(&vec![0; 64 * 3 * 4120], 0).expect("write");
    file.sync_all().expect("sync");
    let fixture = fixture();
    run.compare(
        Line::ratio("5b", "durable commits, 1 producer", "fdatasync of 3 frames", Budget::None),
        ROUNDS,
        || disk(&file, 128),
        || produce(1, 128, |producer| through_store(&fixture, producer)),
    );
    let other = self::fixture();
    let conn = other.raw_durable();
    conn.execute_batch("PRAGMA wal_autocheckpoint = 1000").expect("set a pragma");
    let conn = Mutex::new(conn);
    drop(other.store);
    for (number, producers, least) in
        [("5b", 1, 0.85), ("5", 4, 1.0), ("5", 16, 1.0), ("5", 64, 4.5)]
    {
        let count = 512 / producers.max(4);
        let work = format!("durable commits per second, producers: {producers}");
        run.compare(
            Line::ratio(number, work, "a mutex, one bare commit each", at_least(least)),
            ROUNDS,
            || produce(producers, count, |producer| through_mutex(&conn, producer)),
            || produce(producers, count, |producer| through_store(&fixture, producer)),
        );
    }
}
