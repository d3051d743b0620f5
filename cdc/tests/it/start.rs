//! Where a tail begins, where it ends, and that its cursor resumes exactly.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ao_cdc::{Filter, Start, Tail};

use crate::support::{
    Fixture, SOON, add_project, add_sessions, at, cut, drain, has_shell, in_time, prune, rename,
    seqs, take,
};

fn renames() -> Filter {
    Filter::new(vec!["session_updated".to_owned()], vec![], vec!["demo-1".parse().unwrap()])
        .unwrap()
}

/// Renames of `demo-1` between changes that do not pass the filter `renames`.
fn mixed(rounds: i64) -> Fixture {
    let fixture = Fixture::with_changes(2);
    for round in 0..rounds {
        rename(&fixture.store, "test", "demo-1", 1 + round % 2);
        add_sessions(&fixture.store, "demo", usize::try_from(round % 3).unwrap());
    }
    fixture
}

#[test]
fn an_empty_log_has_nothing_from_any_start() {
    let fixture = Fixture::empty();
    let starts =
        [Start::Beginning, Start::End, Start::Cursor(at(1, 0)), Start::Last(0), Start::Last(9)];
    for start in starts {
        for filter in [Filter::default(), renames()] {
            let tail = Tail::open(&fixture.store, start, filter).unwrap();
            assert_eq!(tail.cursor(), at(1, 0), "{start:?}");
            assert_eq!(drain(tail), [], "{start:?}");
        }
    }
}

#[test]
fn the_beginning_returns_every_change_as_it_was_written() {
    let fixture = Fixture::with_changes(20);
    assert_eq!(drain(fixture.tail(Start::Beginning)), fixture.truth());
    assert_eq!(seqs(&fixture.truth()), (1..=20).collect::<Vec<_>>());
}

#[test]
fn the_end_returns_only_later_changes() {
    let fixture = Fixture::with_changes(5);
    let tail = fixture.tail(Start::End);
    assert_eq!(tail.cursor(), at(1, 5));
    fixture.commit();
    fixture.commit();
    assert_eq!(seqs(&drain(tail)), [6, 7]);
}

#[test]
fn every_cursor_returns_exactly_what_follows_it() {
    let fixture = Fixture::with_changes(12);
    for seq in 0..=12 {
        let tail = fixture.tail(Start::Cursor(at(1, seq)));
        assert_eq!(seqs(&drain(tail)), (seq + 1..=12).collect::<Vec<_>>());
    }
}

#[test]
fn the_last_n_are_the_newest_n() {
    let fixture = Fixture::with_changes(9);
    for count in [0, 1, 2, 8, 9, 10, u64::MAX] {
        let first = 10 - i64::try_from(count.min(9)).unwrap();
        let found = seqs(&drain(fixture.tail(Start::Last(count))));
        assert_eq!(found, (first..=9).collect::<Vec<_>>(), "last {count}");
    }
}

#[test]
fn the_last_n_that_pass_a_filter_are_counted_after_the_filter() {
    let fixture = mixed(9);
    let passing: Vec<_> =
        fixture.truth().into_iter().filter(|change| renames().matches(change)).collect();
    let total = passing.len();
    assert!(total > 5 && total < fixture.truth().len());
    for count in (0..=total + 1).chain([usize::MAX]) {
        let start = Start::Last(count as u64);
        let tail = Tail::open(&fixture.store, start, renames()).unwrap();
        assert_eq!(drain(tail), passing[total - count.min(total)..], "last {count}");
    }
    // Later changes are returned and not counted.
    let tail = Tail::open(&fixture.store, Start::Last(2), renames()).unwrap();
    add_sessions(&fixture.store, "demo", 2);
    let later = fixture.commit();
    assert_eq!(seqs(&drain(tail)), [seqs(&passing[total - 2..]), vec![later.0]].concat());
}

#[test]
fn nothing_begins_below_the_floor() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(10);
    prune(&fixture.store, 5);
    for filter in [Filter::default(), renames()] {
        for start in [Start::Beginning, Start::Last(5), Start::Last(6), Start::Last(u64::MAX)] {
            let tail = Tail::open(&fixture.store, start, filter.clone()).unwrap();
            assert_eq!(tail.cursor(), at(1, 5), "{start:?}");
            assert_eq!(seqs(&drain(tail)), [6, 7, 8, 9, 10], "{start:?}");
        }
        let tail = Tail::open(&fixture.store, Start::Last(1), filter).unwrap();
        assert_eq!(seqs(&drain(tail)), [10]);
    }
    cut(fixture.path(), 10);
    for start in [Start::Beginning, Start::End, Start::Last(3), Start::Cursor(at(1, 10))] {
        let tail = Tail::open(&fixture.store, start, renames()).unwrap();
        assert_eq!(tail.cursor(), at(1, 10), "{start:?}");
        assert_eq!(drain(tail), []);
    }
    let next = fixture.commit();
    assert_eq!(seqs(&drain(fixture.tail(Start::Beginning))), [next.0]);
}

#[test]
fn to_head_reads_a_log_of_several_batches_and_ends() {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 1200);
    let mut changes = fixture.tail(Start::Beginning).to_head();
    let found: Vec<_> = changes.by_ref().map(Result::unwrap).collect();
    assert_eq!(seqs(&found), (1..=1202).collect::<Vec<_>>());
    assert_eq!(changes.cursor(), at(1, 1202));
    add_sessions(&fixture.store, "demo", 1);
    assert!(changes.next().is_none(), "an iterator that ended stays so");
}

#[test]
fn follow_blocks_until_a_change_comes() {
    let fixture = Fixture::with_changes(3);
    let mut changes = fixture.tail(Start::Cursor(at(1, 2))).follow();
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        for change in changes.by_ref().take(3) {
            sender.send(change.unwrap().seq.0).unwrap();
        }
        changes.cursor()
    });
    assert_eq!(receiver.recv_timeout(SOON), Ok(3));
    for seq in [4, 5] {
        let early = receiver.recv_timeout(Duration::from_millis(150));
        assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout), "nothing was committed");
        assert_eq!(fixture.commit().0, seq);
        assert_eq!(receiver.recv_timeout(SOON), Ok(seq));
    }
    assert_eq!(thread.join().unwrap(), at(1, 5));
}

#[test]
fn a_stream_split_anywhere_and_resumed_equals_the_whole() {
    let fixture = mixed(8);
    for filter in [Filter::default(), renames()] {
        let open = |start| Tail::open(&fixture.store, start, filter.clone()).unwrap();
        let whole = drain(open(Start::Beginning));
        for position in 0..=whole.len() {
            let mut changes = open(Start::Beginning).follow();
            let mut found = take(&mut changes, position);
            let cursor = changes.cursor().to_string().parse().unwrap();
            drop(changes);
            found.extend(drain(open(Start::Cursor(cursor))));
            assert_eq!(found, whole, "split at {position}");
        }
    }
}

#[test]
fn a_stream_split_at_the_edges_of_a_batch_equals_the_whole() {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 1100);
    for position in [511, 512, 513, 1023, 1024, 1025] {
        let mut changes = fixture.tail(Start::Beginning).to_head();
        let head: Vec<_> = changes.by_ref().take(position).map(Result::unwrap).collect();
        let cursor = changes.cursor();
        assert_eq!(Some(cursor.seq), head.last().map(|change| change.seq));
        let rest = drain(fixture.tail(Start::Cursor(cursor)));
        assert_eq!(head.len() + rest.len(), 1102);
        assert_eq!(rest[0].seq, cursor.seq.next());
    }
}

#[test]
fn a_wait_ends_in_time_and_can_be_without_a_limit() {
    let fixture = Fixture::with_changes(2);
    let mut changes = fixture.tail(Start::End).follow();
    assert_eq!(changes.next_within(Duration::ZERO).unwrap(), None);
    assert_eq!(changes.next_within(Duration::from_millis(20)).unwrap(), None);
    let store = fixture.store.clone();
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        rename(&store, "test", "demo-1", 1)
    });
    let found = in_time(move || changes.next_within(Duration::MAX).unwrap().unwrap());
    assert_eq!(found.seq, writer.join().unwrap());
}

#[test]
fn a_visit_keeps_its_bound_and_its_position_after_an_error() {
    let fixture = Fixture::with_changes(7);
    let mut tail = fixture.tail(Start::Beginning);
    let mut found = Vec::new();
    let visited = tail.visit(3, |change| {
        found.push(change.seq().0);
        Ok(())
    });
    let visited = visited.unwrap();
    assert_eq!((visited.matched, visited.is_at_head, tail.cursor()), (3, false, at(1, 3)));
    let failed = tail.visit(9, |change| match change.seq().0 {
        6 => Err(ao_store::Error::Closed),
        _ => Ok(()),
    });
    assert!(failed.is_err());
    assert_eq!(tail.cursor(), at(1, 3));
    let visited = tail.visit(4, |change| {
        found.push(change.seq().0);
        Ok(())
    });
    assert!(visited.unwrap().is_at_head);
    assert_eq!(found, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_tail_names_its_log() {
    let fixture = Fixture::empty();
    add_project(&fixture.store, "demo");
    let log_id = fixture.tail(Start::End).log_id().to_owned();
    assert_eq!(log_id.len(), 32);
    assert_eq!(fixture.tail(Start::Beginning).log_id(), log_id);
    assert_ne!(Fixture::empty().tail(Start::End).log_id(), log_id);
}
