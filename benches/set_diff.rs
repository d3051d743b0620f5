//! Claim: making the stored sets equal to the observed ones costs as much as the differences, and almost
//! nothing if there are none. All figures are per observed row.
//!
//! Each round observes 100 of 1,000 stored pull requests with 20 threads each, in one write through the
//! public API. The baselines run on bare SQLite in a file of the same content:
//!
//! * unchanged: the prepared SELECT of the key and one small column of the same rows. No program can
//!   compare stored rows with less. The comparison row by row is forced by removing the digests, and stores
//!   new ones.
//! * 1 % changed: the same SELECT, and writing the rows that are known to differ, each in another pull
//!   request.
//! * all changed, all new: writing those rows.
//!
//! The figures by digest and row by row include finding the pull request and its metadata, which the
//! baseline does not do.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

use ao_benches::{
    Fixture, Line, NewFixture, Run, Sample, apply_all, at_most, close_context, cpu, observation,
    open_context, process_cpu, threads,
};
use ao_store::observation::{Observation, Thread};
use rusqlite::{Connection, params};

const PRS: usize = 100;
const THREADS: usize = 20;
const ROWS: u64 = (PRS * THREADS) as u64;
const ROUNDS: usize = 9;
/// Pull requests with one changed thread each.
const CHANGED: usize = PRS * THREADS / 100;

const SELECT: &str = "SELECT id, comments_total FROM pr_review_thread WHERE pr_id = ?1 ORDER BY id";
const UPDATE: &str = "UPDATE pr_review_thread SET path = ?3, line = ?4, original_line = ?5,
    side = ?6, is_resolved = ?7, is_outdated = ?8, is_bot = ?9, resolved_by = ?10,
    comments_total = ?11 WHERE pr_id = ?1 AND id = ?2";
const INSERT: &str = "INSERT INTO pr_review_thread (pr_id, id, path, line, original_line, side,
    is_resolved, is_outdated, is_bot, resolved_by, comments_total)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// The baseline, to which the differences are given, on bare SQLite.
struct Baseline {
    conn: Connection,
    prs: Vec<String>,
}

impl Baseline {
    fn select(&self) {
        let mut statement = self.conn.prepare_cached(SELECT).expect("prepare");
        for pr in &self.prs {
            let mut rows = statement.query([pr]).expect("select");
            while let Some(row) = rows.next().expect("read") {
                black_box((row.get_ref(0).expect("key"), row.get_ref(1).expect("column")));
            }
        }
    }

    fn write(&self, sql: &str, rows: &[(usize, Thread)]) {
        let mut statement = self.conn.prepare_cached(sql).expect("prepare");
        open_context(&self.conn);
        for (pr, t) in rows {
            let params = params![
                self.prs[*pr],
                t.id,
                t.path,
                t.line,
                t.original_line,
                t.side,
                t.is_resolved,
                t.is_outdated,
                t.is_bot,
                t.resolved_by,
                t.comments_total
            ];
            assert_eq!(statement.execute(params).expect("write"), 1);
        }
        close_context(&self.conn);
    }

    /// One transaction; its cost is divided by `units`.
    fn transaction(&self, begin: &str, units: u64, work: impl FnOnce()) -> Sample {
        cpu(|| {
            self.conn.execute_batch(begin).expect("begin");
            work();
            self.conn.execute_batch("COMMIT").expect("commit");
            units
        })
    }
}

/// The rows of every pull request; the first `changed` pull requests have one changed row each.
fn observe(variant: i64, changed: usize) -> Arc<[Observation]> {
    let seen = |pr| {
        let mut rows = threads(pr, THREADS, 0);
        if pr < changed {
            rows[0].comments_total = Some(variant);
        }
        observation(pr, rows)
    };
    (0..PRS).map(seen).collect::<Vec<_>>().into()
}

/// All rows of all pull requests.
fn all(variant: i64) -> Vec<(usize, Thread)> {
    let of_pr = |pr| threads(pr, THREADS, variant).into_iter().map(move |thread| (pr, thread));
    (0..PRS).flat_map(of_pr).collect()
}

fn observe_all(variant: i64) -> Arc<[Observation]> {
    let seen = |pr| observation(pr, threads(pr, THREADS, variant));
    (0..PRS).map(seen).collect::<Vec<_>>().into()
}

fn apply(fixture: &Fixture, seen: &Arc<[Observation]>, changes: u64) -> Sample {
    process_cpu(|| {
        assert_eq!(apply_all(&fixture.store, seen), changes);
        ROWS
    })
}

fn unchanged(run: &mut Run, baseline: &Baseline, fixture: &Fixture) {
    let plain = observe(0, 0);
    run.compare(
        Line::ratio("1", "set-diff, unchanged, by digest", "SELECT of the rows", at_most(1.25)),
        ROUNDS,
        || baseline.transaction("BEGIN", ROWS, || baseline.select()),
        || apply(fixture, &plain, 0),
    );
    let raw = fixture.raw();
    let forget = "UPDATE pr_observed SET threads_digest = NULL, last_digest = NULL";
    run.compare(
        Line::ratio("1b", "the same, compared row by row", "SELECT of the rows", at_most(6.0)),
        ROUNDS,
        || baseline.transaction("BEGIN", ROWS, || baseline.select()),
        || {
            raw.execute_batch(forget).expect("forget the digests");
            apply(fixture, &plain, 0)
        },
    );
}

fn changed(run: &mut Run, baseline: &Baseline, fixture: &Fixture) {
    let variant = Cell::new(0);
    let next = || {
        variant.set(variant.get() + 1);
        variant.get()
    };
    run.compare(
        Line::ratio("2", "set-diff, 1 % changed", "SELECT and the known writes", at_most(1.7)),
        ROUNDS,
        || {
            let rows: Vec<_> =
                (0..CHANGED).map(|pr| (pr, threads(pr, 1, next()).remove(0))).collect();
            baseline.transaction("BEGIN IMMEDIATE", ROWS, || {
                baseline.select();
                baseline.write(UPDATE, &rows);
            })
        },
        || apply(fixture, &observe(next(), CHANGED), CHANGED as u64),
    );
    run.compare(
        Line::ratio("3", "set-diff, all changed", "writing the known rows", at_most(1.2)),
        ROUNDS,
        || {
            let rows = all(next());
            baseline.transaction("BEGIN IMMEDIATE", ROWS, || baseline.write(UPDATE, &rows))
        },
        || apply(fixture, &observe_all(next()), ROWS),
    );
    run.compare(
        Line::ratio("3", "set-diff, all new", "writing the known rows", at_most(1.2)),
        ROUNDS,
        || {
            let rows = all(next());
            baseline.transaction("BEGIN IMMEDIATE", 0, || {
                let delete = "DELETE FROM pr_review_thread WHERE pr_id = ?1";
                for pr in &baseline.prs {
                    baseline.conn.execute(delete, [pr]).expect("delete");
                }
            });
            baseline.transaction("BEGIN IMMEDIATE", ROWS, || baseline.write(INSERT, &rows))
        },
        || {
            let none = (0..PRS).map(|pr| observation(pr, Vec::new())).collect::<Vec<_>>();
            apply_all(&fixture.store, &none.into());
            apply(fixture, &observe_all(next()), ROWS)
        },
    );
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let (conn, _dir) = NewFixture::default().create().into_raw();
    // The store's writer checkpoints its WAL while it works, so the baseline does too.
    conn.execute_batch("PRAGMA wal_autocheckpoint = 1000").expect("set a pragma");
    let prs = (1..=PRS).map(|number| format!("github.com/acme/demo#{number}")).collect();
    let baseline = Baseline { conn, prs };
    let fixture = NewFixture::default().create();
    unchanged(run, &baseline, &fixture);
    changed(run, &baseline, &fixture);
}
