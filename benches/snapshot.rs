//! Claim: a snapshot in chunks costs little more than one scan of the rows, also while the log grows.
//! Goal: at most 2 times the scan.
//!
//! The baseline reads key, owner and image of every row of the largest table through its capture view, in
//! one statement on a bare connection. The subject returns the rows of all tables as values, in chunks of
//! 500, each a read of its own, under a reservation. The second line is a snapshot as of 2,000 changes ago,
//! so that each chunk also reads the log. CPU time of the reader.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::hint::black_box;

use ao_benches::{
    Budget, Fixture, Line, NewFixture, Run, Sample, apply_all, at_most, cpu, observation, threads,
};
use ao_cdc::{Filter, SnapshotReader, Start};
use ao_store::{Cursor, Seq};

const PRS: usize = 1000;
const THREADS: usize = 20;
const ROUNDS: usize = 7;

fn scan(fixture: &Fixture) -> Sample {
    let conn = fixture.raw();
    let sql = "SELECT change_key, change_project, change_session, image
        FROM capture_pr_review_thread ORDER BY pr_id, id";
    let mut statement = conn.prepare(sql).expect("prepare");
    cpu(|| {
        let mut rows = statement.query([]).expect("query");
        let mut units = 0;
        while let Some(row) = rows.next().expect("read") {
            for column in 0..4 {
                black_box(row.get::<_, Option<String>>(column).expect("column"));
            }
            units += 1;
        }
        units
    })
}

fn snapshot(fixture: &Fixture, start: Start) -> Sample {
    let filter = Filter::default().of_entities(vec!["pr_review_thread".to_owned()]);
    let mut reader =
        SnapshotReader::open(&fixture.store, start, filter.expect("a filter"), "bench")
            .expect("open");
    cpu(|| {
        let mut units = 0;
        while let Some(rows) = reader.next_rows().expect("rows") {
            units += black_box(rows.rows).len() as u64;
        }
        units
    })
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let fixture = NewFixture { prs: PRS, threads: THREADS, ..NewFixture::default() }.create();
    let scan = || scan(&fixture);
    let line = |work, budget| Line::ratio("31", work, "one scan of the rows", budget);
    let at_head = line("snapshot in chunks at the head", at_most(2.0));
    run.compare(at_head, ROUNDS, scan, || snapshot(&fixture, Start::End));
    let seen = |pr| observation(pr, threads(pr, THREADS, 1));
    apply_all(&fixture.store, &(0..100).map(seen).collect::<Vec<_>>().into());
    let head = fixture.store.read(|snapshot| snapshot.head()).expect("the head");
    let earlier = Start::Cursor(Cursor { seq: Seq(head.seq.0 - 2000), ..head });
    let in_past = line("snapshot as of 2,000 changes ago", Budget::None);
    run.compare(in_past, ROUNDS, scan, || snapshot(&fixture, earlier));
}
