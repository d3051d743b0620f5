//! Claim: a written acknowledgement costs about as much as a bare durable commit, and few are written.
//! Goals: at least 0.4 times the rate of the bare commit, like any write through the writer thread, and
//! 1,000 acknowledgements per write.
//!
//! The baseline updates one row of one table and commits with `synchronous=FULL`. The subject writes an
//! acknowledgement that moved, together with its lease. The coalesced line acknowledges every change of
//! a batch separately and lets the consumer decide when to write. Wall time, because both wait for the
//! disk.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use ao_benches::{Budget, Fixture, Line, NewFixture, Run, Sample, at_least, cause, wall};
use ao_cdc::{Consumer, Filter, Takeover};
use ao_store::lease::{Fence, Owner};
use ao_store::log::consumer::{self, NewConsumer, Policy};
use ao_store::{ConsumerName, Cursor, Durability, Epoch, Seq};

const PRS: usize = 200;
const THREADS: usize = 20;
const WRITES: u64 = 200;
const ROUNDS: usize = 9;

fn name() -> ConsumerName {
    "bench".parse().expect("a name")
}

fn at(seq: i64) -> Cursor {
    Cursor { epoch: Epoch(1), seq: Seq(seq) }
}

fn bare(fixture: &Fixture) -> Sample {
    let conn = fixture.raw_durable();
    // A table of the schema with one row: the store refuses to write beside a foreign table.
    let sql = "UPDATE upkeep SET backup_seq = coalesce(backup_seq, 0) + 1 WHERE id = 1";
    let mut update = conn.prepare(sql).expect("prepare");
    wall(|| {
        for _ in 0..WRITES {
            update.execute([]).expect("commit");
        }
        WRITES
    })
}

fn open(fixture: &Fixture) -> Consumer {
    let rewind = |tx: &ao_store::Tx<'_>| consumer::seek(tx, &name(), at(0), Fence::Force);
    fixture.store.write(cause(), rewind).expect("rewind");
    let owner = Owner::this_process();
    let mut consumer =
        Consumer::open(&fixture.store, &name(), None, &owner, Takeover::Always).expect("open");
    // Only changes that were read can be acknowledged.
    consumer.tail_mut().visit(usize::MAX, |_| Ok(())).expect("read");
    consumer
}

fn flushed(fixture: &Fixture) -> Sample {
    let mut consumer = open(fixture);
    wall(|| {
        for seq in 1..=WRITES {
            consumer.ack(at(seq as i64)).expect("ack");
            consumer.flush().expect("flush");
        }
        WRITES
    })
}

fn coalesced(fixture: &Fixture, changes: i64) -> Sample {
    let mut consumer = open(fixture);
    wall(|| {
        for seq in 1..=changes {
            consumer.ack(at(seq)).expect("ack");
        }
        changes.unsigned_abs()
    })
}

/// The lines of this file.
pub(crate) fn measure(run: &mut Run) {
    let durability = Durability::Full;
    let fixture =
        NewFixture { durability, prs: PRS, threads: THREADS, ..NewFixture::default() }.create();
    let filter = Filter::default().to_json();
    let new = NewConsumer { name: name(), start: at(0), filter, policy: Policy::None };
    fixture.store.write(cause(), move |tx| consumer::create(tx, &new)).expect("create");
    let head = fixture.store.read(|snapshot| snapshot.head()).expect("the head").seq.0;
    let commit = "a bare durable commit";
    let written = Line::ratio("30", "acknowledgement that is written", commit, at_least(0.4));
    run.compare(written, ROUNDS, || bare(&fixture), || flushed(&fixture));
    let coalesced_line =
        Line::ratio("30", "acknowledgement that is not yet written", commit, Budget::None);
    run.compare(coalesced_line, ROUNDS, || bare(&fixture), || coalesced(&fixture, head));
}
