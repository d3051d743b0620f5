//! Claim: proving that the log explains the tables costs little more than SQLite's own check of the file.
//! Budget: `verify` at most 2.5 times `PRAGMA quick_check` of the same file.
//!
//! The store contains updates of review threads with both images; nearly all of its bytes are the log, as
//! in a store that has been used for a while. Both sides read a file in the page cache through a connection
//! of their own. CPU time, because neither side waits. A unit is a byte of the file.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use ao_benches::{Fixture, Line, NewFixture, Run, Sample, at_most, cpu};
use ao_store::verify::Depth;

const PRS: usize = 100;
const THREADS: usize = 20;
/// How often every thread is changed.
const PASSES: i64 = 60;
const ROUNDS: usize = 7;
/// Of what has no budget, and takes several times as long.
const DEEP_ROUNDS: usize = 3;

fn fixture() -> Fixture {
    let fixture =
        NewFixture { prs: PRS, threads: THREADS, ..NewFixture::default() }.create_changed(PASSES);
    fixture.raw().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("checkpoint");
    fixture
}

fn quick_check(fixture: &Fixture, bytes: u64) -> Sample {
    let conn = fixture.raw();
    cpu(|| {
        let result: String =
            conn.query_row("PRAGMA quick_check", [], |row| row.get(0)).expect("check");
        assert_eq!(result, "ok");
        bytes
    })
}

fn verify(fixture: &Fixture, bytes: u64, depth: Depth) -> Sample {
    cpu(|| {
        assert!(fixture.store.verify(depth).expect("verify").is_sound());
        bytes
    })
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let fixture = fixture();
    let bytes = std::fs::metadata(&fixture.path).expect("a file").len();
    let check = || quick_check(&fixture, bytes);
    let line = |work, budget| Line::ratio("14", work, "`PRAGMA quick_check`", budget);
    let sums = || verify(&fixture, bytes, Depth::Sums);
    run.compare(line("`verify`", at_most(2.5)), ROUNDS, check, sums);
    let deep = || verify(&fixture, bytes, Depth::Deep);
    run.compare(line("`verify --deep`", ao_benches::Budget::None), DEEP_ROUNDS, check, deep);
}
