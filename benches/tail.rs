//! Claim: reading the log with a cold cache costs little more than the raw scan of its rows. Budgets: owned
//! changes through the iterator, and NDJSON into a pipe, at 0.75 times the rate of the baseline or more; a
//! filter by transition at most 2 times the cost of a filter by type.
//!
//! The baseline is what SQLite needs to return the rows: all twelve columns by `get_ref`, without a copy,
//! in batches of 512, by a statement that stays prepared, on a bare connection to the same file. Both sides
//! open their connection before each measurement, so both begin with an empty page cache. CPU time of the
//! reading thread: it includes the writes into the pipe, but not the thread that empties the pipe. The log
//! contains updates of review threads with both images. Of the filters, none passes anything: the one by type
//! reads no image, and the one by transition must scan both images of every change.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::hint::black_box;
use std::io::{Read, Write, pipe};
use std::thread;

use ao_benches::{Fixture, Line, NewFixture, Run, Sample, at_least, at_most, cpu};
use ao_cdc::wire::Encoder;
use ao_cdc::{Filter, Start, Tail};
use rusqlite::Connection;

const PRS: usize = 100;
const THREADS: usize = 20;
/// How often every thread is changed.
const PASSES: i64 = 10;
const CHANGES: u64 = PASSES as u64 * (PRS * THREADS) as u64;
const BATCH: usize = 512;
const ROUNDS: usize = 9;

const SELECT: &str = "SELECT seq, tx, at, actor, type, entity, op, key, project, session, before,
    after FROM change_log WHERE seq > ?1 ORDER BY seq LIMIT ?2";

fn fixture() -> Fixture {
    NewFixture { prs: PRS, threads: THREADS, ..NewFixture::default() }.create_changed(PASSES)
}

/// The position before the last `CHANGES` changes.
fn start(conn: &Connection) -> i64 {
    let head: i64 = conn
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'change_log'", [], |row| {
            row.get(0)
        })
        .expect("read the head");
    head - i64::try_from(CHANGES).expect("a count")
}

fn scan(fixture: &Fixture) -> Sample {
    let conn = fixture.raw();
    let after = start(&conn);
    let mut statement = conn.prepare_cached(SELECT).expect("prepare");
    cpu(|| {
        let (mut seq, mut units) = (after, 0);
        loop {
            let before = units;
            let mut rows = statement.query((seq, BATCH as i64)).expect("query");
            while let Some(row) = rows.next().expect("read") {
                for column in 0..12 {
                    black_box(row.get_ref(column).expect("column"));
                }
                seq = row.get(0).expect("seq");
                units += 1;
            }
            if units == before {
                return units;
            }
        }
    })
}

fn tail(fixture: &Fixture) -> Tail {
    Tail::open(&fixture.store, Start::Last(CHANGES), Filter::default()).expect("open a tail")
}

fn owned(fixture: &Fixture) -> Sample {
    let mut changes = tail(fixture).to_head();
    let sample = cpu(|| {
        let mut units = 0;
        for change in &mut changes {
            black_box(change.expect("a change"));
            units += 1;
        }
        units
    });
    assert_eq!(sample.units, CHANGES);
    sample
}

fn ndjson(fixture: &Fixture) -> Sample {
    let mut tail = tail(fixture);
    let (mut reader, mut writer) = pipe().expect("make a pipe");
    let drain = thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        let mut total = 0;
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            total += read;
        }
        total
    });
    let mut encoder = Encoder::new(tail.log_id(), tail.cursor().epoch);
    let sample = cpu(|| {
        let (mut units, mut text) = (0, Vec::new());
        loop {
            text.clear();
            let visited =
                tail.visit(BATCH, |change| encoder.ndjson(change, &mut text)).expect("visit");
            writer.write_all(&text).expect("write");
            units += visited.matched as u64;
            if visited.is_at_head {
                return units;
            }
        }
    });
    drop(writer);
    assert!(drain.join().expect("drain the pipe") > 0);
    assert_eq!(sample.units, CHANGES);
    sample
}

/// Reads the log with a filter that nothing passes.
fn filtered(fixture: &Fixture, filter: Filter) -> Sample {
    let mut tail = Tail::open(&fixture.store, Start::Beginning, filter).expect("open a tail");
    let last = tail.log().expect("read the log").head.0;
    cpu(|| {
        loop {
            let visited = tail.visit(BATCH, |_| Ok(())).expect("visit");
            assert_eq!(visited.matched, 0);
            if visited.is_at_head {
                return last.unsigned_abs();
            }
        }
    })
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let fixture = fixture();
    let scan = || scan(&fixture);
    let line = |number, work, least| {
        Line::ratio(number, work, "scan of the log without copies", at_least(least))
    };
    let values = line("9", "tail from cold, changes as values", 0.75);
    run.compare(values, ROUNDS, scan, || owned(&fixture));
    let lines = line("10", "`tail --format ndjson` to a pipe, catch-up", 0.75);
    run.compare(lines, ROUNDS, scan, || ndjson(&fixture));
    let by_type = Filter::new(vec!["pr_merged".to_owned()], vec![], vec![]).expect("a filter");
    let changed = ["is_resolved=true".to_owned()];
    let by_transition = Filter::default().of_changed(&changed).expect("a filter");
    run.compare(
        Line::ratio("32", "filter by transition, CPU", "filter by type", at_most(2.0)),
        ROUNDS,
        || filtered(&fixture, by_type.clone()),
        || filtered(&fixture, by_transition.clone()),
    );
}
