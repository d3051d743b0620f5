//! Retention policies: how pruning treats unacknowledged changes, and the error of a consumer whose
//! cursor expired.

use std::time::Duration;

use ao_cdc::{Filter, Takeover};
use ao_store::lease::Fence;
use ao_store::log::consumer::{Bounds, Policy};
use ao_store::log::retention::{self, Rules};
use ao_store::{Cursor, Timestamp};

use crate::consumer::{code, create, open, read, seek, stored};
use crate::snapshot::prune_at;
use crate::support::{Fixture, SOON, at, keep_newest, seqs};

/// A consumer that acknowledged nothing, and 20 transactions of one change each.
fn behind(policy: Policy) -> Fixture {
    let fixture = Fixture::with_changes(2);
    create(&fixture.store, at(1, 2), &Filter::default(), policy);
    for _ in 0..20 {
        fixture.commit();
    }
    fixture
}

fn bounded(bounds: Bounds) -> Fixture {
    behind(Policy::Bounded(bounds))
}

#[test]
fn a_blocking_consumer_keeps_its_changes_from_being_pruned() {
    let fixture = behind(Policy::Block);
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    assert_eq!(prune_at(&fixture.store, 0, Duration::from_secs(1_000_000)), at(1, 2).seq);
    let rules = Rules { keep_events: Some(0), ..Rules::default() };
    let plan = fixture.store.read(|s| retention::plan(s, &rules, Timestamp::now())).unwrap();
    assert_eq!(
        plan.held.iter().map(|held| held.by.as_str()).collect::<Vec<_>>(),
        ["consumer reader"]
    );
    read(&mut reader);
    for acked in [5, 9] {
        reader.ack(at(1, acked)).unwrap();
        reader.flush().unwrap();
        assert_eq!(keep_newest(&fixture.store, 0).0, acked);
    }
    drop(reader);
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    let delivery = reader.next_within(100, SOON).unwrap().unwrap();
    assert_eq!(seqs(&delivery.changes), (10..=22).collect::<Vec<_>>());
}

/// Beyond its bound a consumer is treated like one with the policy `none`, and its cursor expires.
fn expects_expired(fixture: &Fixture, floor: Cursor) {
    assert_eq!(fixture.floor(), floor.seq);
    assert_eq!(code(open(&fixture.store, Takeover::IfGone)), "CURSOR_EXPIRED");
    seek(&fixture.store, floor, Fence::Respect).unwrap();
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    let delivery = reader.next_within(100, SOON).unwrap().unwrap();
    assert_eq!(seqs(&delivery.changes), (floor.seq.0 + 1..=22).collect::<Vec<_>>());
    reader.ack(delivery.cursor).unwrap();
    drop(reader);
    assert_eq!(stored(&fixture.store).acked, at(1, 22));
}

#[test]
fn a_bound_in_changes_releases_what_is_beyond() {
    let fixture = bounded(Bounds { events: Some(20), ..Bounds::default() });
    assert_eq!(keep_newest(&fixture.store, 0).0, 2, "within its bound it keeps its changes");
    let fixture = bounded(Bounds { events: Some(6), ..Bounds::default() });
    assert_eq!(keep_newest(&fixture.store, 0).0, 16, "six are left to it");
    expects_expired(&fixture, at(1, 16));
}

#[test]
fn a_bound_in_bytes_releases_what_is_beyond() {
    let fixture = bounded(Bounds { bytes: Some(1 << 30), ..Bounds::default() });
    assert_eq!(keep_newest(&fixture.store, 0).0, 2);
    let of_log = fixture.store.stats(Timestamp::now()).unwrap().log_bytes;
    let fixture = bounded(Bounds { bytes: Some(of_log / 2), ..Bounds::default() });
    let floor = keep_newest(&fixture.store, 0);
    assert!((4..20).contains(&floor.0), "{floor}");
    expects_expired(&fixture, Cursor { seq: floor, ..at(1, 0) });
}

#[test]
fn a_bound_in_time_releases_what_is_beyond() {
    let hour = Duration::from_secs(3600);
    let bounds = Bounds { age_ms: Some(3_600_000), ..Bounds::default() };
    let fixture = bounded(bounds);
    assert_eq!(keep_newest(&fixture.store, 0).0, 2);
    assert_eq!(prune_at(&fixture.store, 0, hour / 2).0, 2);
    assert_eq!(prune_at(&fixture.store, 0, hour * 2).0, 21, "all but the newest");
    expects_expired(&fixture, at(1, 21));
}

#[test]
fn the_first_bound_that_is_passed_counts() {
    let wide = Bounds { events: Some(1000), bytes: Some(1 << 30), age_ms: Some(1 << 40) };
    assert_eq!(keep_newest(&bounded(wide).store, 0).0, 2);
    let fixture = bounded(Bounds { events: Some(3), ..wide });
    assert_eq!(keep_newest(&fixture.store, 0).0, 19);
    let fixture = bounded(Bounds::default());
    assert_eq!(keep_newest(&fixture.store, 0).0, 2, "no bound is none");
}

#[test]
fn the_cursor_of_a_consumer_without_retention_expires() {
    let fixture = behind(Policy::None);
    let mut reader = open(&fixture.store, Takeover::IfGone).unwrap();
    let delivery = reader.next_within(3, SOON).unwrap().unwrap();
    let rules = Rules { keep_events: Some(4), ..Rules::default() };
    let plan = fixture.store.read(|s| retention::plan(s, &rules, Timestamp::now())).unwrap();
    assert_eq!((plan.cut_off.len(), plan.held.len()), (1, 0));
    assert_eq!(keep_newest(&fixture.store, 4).0, 18);
    for _ in 0..2 {
        assert_eq!(code(reader.next_within(100, SOON)), "CURSOR_EXPIRED");
    }
    // Changes that it received before can still be acknowledged.
    reader.ack(delivery.cursor).unwrap();
    reader.flush().unwrap();
    drop(reader);
    assert_eq!(stored(&fixture.store).acked, at(1, 5));
    expects_expired(&fixture, at(1, 18));
}
