//! The reservation that keeps the changes after a snapshot from being pruned, and the positions from
//! which a snapshot is resumed.

use std::time::Duration;

use ao_cdc::{Filter, SnapshotReader, Start};
use ao_store::Seq;

use crate::snapshot::prune_at;
use crate::support::{Fixture, drain, keep_newest};
use crate::world::settle;

fn settled() -> Fixture {
    let fixture = Fixture::empty();
    settle(&fixture.store);
    fixture
}

#[test]
fn a_reservation_keeps_changes_from_being_pruned_until_it_is_dropped() {
    let fixture = settled();
    let store = &fixture.store;
    let mut reader =
        SnapshotReader::open(store, Start::End, Filter::default(), "test").unwrap().with_chunk(1);
    let cursor = reader.cursor();
    for _ in 0..30 {
        act_rename(&fixture);
    }
    assert_eq!(keep_newest(store, 0), cursor.seq);
    reader.next_rows().unwrap().unwrap();
    act_rename(&fixture);
    assert_eq!(keep_newest(store, 0), cursor.seq);
    while reader.next_rows().unwrap().is_some() {}
    let (tail, reservation) = reader.follow().unwrap();
    assert_eq!(keep_newest(store, 0), cursor.seq, "until the stream has caught up");
    assert_eq!(drain(tail).len(), 31);
    drop(reservation);
    assert_eq!(keep_newest(store, 0).0, fixture.head().seq.0 - 1);
}

fn act_rename(fixture: &Fixture) -> Seq {
    crate::support::rename(&fixture.store, "test", "demo-1", 1)
}

#[test]
fn a_snapshot_that_lost_its_reservation_expires_and_never_skips_changes() {
    let fixture = settled();
    let open = || {
        let reader = SnapshotReader::open(&fixture.store, Start::End, Filter::default(), "test");
        reader.unwrap().with_chunk(2)
    };
    let mut reader = open();
    let position = reader.next_rows().unwrap().unwrap().position;
    for _ in 0..5 {
        act_rename(&fixture);
    }
    // A reader that was stopped for longer than its reservation lasts.
    let floor = prune_at(&fixture.store, 1, Duration::from_secs(601));
    assert!(floor > reader.cursor().seq);
    for _ in 0..2 {
        assert_eq!(reader.next_rows().unwrap_err().code().name(), "CURSOR_EXPIRED");
    }
    let again = SnapshotReader::resume(&fixture.store, &position, Filter::default(), "test");
    assert_eq!(again.unwrap_err().code().name(), "CURSOR_EXPIRED");
    assert_eq!(reader.follow().unwrap_err().code().name(), "CURSOR_EXPIRED");
    // A reader that lost it while nothing after its cursor was pruned continues.
    let mut reader = open();
    prune_at(&fixture.store, 0, Duration::from_secs(601));
    while reader.next_rows().unwrap().is_some() {}
}

#[test]
fn only_a_position_of_the_same_filter_is_resumed() {
    let fixture = settled();
    let demo = Filter::new(vec![], vec!["demo".parse().unwrap()], vec![]).unwrap();
    let mut reader =
        SnapshotReader::open(&fixture.store, Start::End, demo.clone(), "test").unwrap();
    reader = reader.with_chunk(1);
    let given: Vec<_> = (0..3).map(|_| reader.next_rows().unwrap().unwrap().position).collect();
    let refused = |position: &str, filter: &Filter| match SnapshotReader::resume(
        &fixture.store,
        position,
        filter.clone(),
        "test",
    ) {
        Ok(reader) => panic!("resumed {position} at {}", reader.cursor()),
        Err(error) => assert_eq!(error.code().name(), "INVALID_CURSOR", "{position}"),
    };
    for position in &given {
        refused(position, &Filter::default());
        assert!(SnapshotReader::resume(&fixture.store, position, demo.clone(), "test").is_ok());
        for length in [0, 1, 2, position.len() - 1, position.len() - 2] {
            refused(&position[..length], &demo);
        }
        refused(&format!("{position}20zz"), &demo);
    }
    for garbage in ["-", "0", "zz", "+1", "ff", "1-5", "7b7d", "é", "5b5d", "6e756c6c"] {
        refused(garbage, &demo);
    }
    for (name, value) in [
        ("cursor", "\"x\""),
        ("cursor", "7"),
        ("entity", "\"nothing\""),
        ("entity", "\"sqlite_schema\""),
        ("after", "\"no key\""),
        ("after", "\"[1]\""),
        ("after", "\"[\\\"a\\\",\\\"b\\\"]\""),
        ("after", "\"[]\""),
        ("after", "7"),
    ] {
        refused(&with_field(&given[1], name, value), &demo);
    }
}

/// The position with another value of a field.
fn with_field(position: &str, name: &str, value: &str) -> String {
    let bytes = hex::decode(position).unwrap();
    let mut read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert!(!read[name].is_null(), "{read}");
    read[name] = serde_json::from_str(value).unwrap();
    hex::encode(read.to_string())
}

#[test]
fn a_reader_that_lost_its_reservation_does_not_release_another_one() {
    let fixture = settled();
    let open =
        || SnapshotReader::open(&fixture.store, Start::End, Filter::default(), "test").unwrap();
    let first = open();
    prune_at(&fixture.store, 0, Duration::from_secs(601));
    let second = open();
    drop(first);
    for _ in 0..5 {
        act_rename(&fixture);
    }
    assert_eq!(keep_newest(&fixture.store, 0), second.cursor().seq);
}
