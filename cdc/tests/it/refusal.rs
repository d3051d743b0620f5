//! A position that cannot be resumed is a typed error, when a tail is opened and while it is open; a
//! hole in the log is one too. Nothing is ever skipped.

use std::thread;
use std::time::Duration;

use ao_cdc::{Error, Filter, Start, Tail};
use ao_store::{Cursor, Error as StoreError};

use crate::support::{
    Fixture, SOON, at, drain, has_shell, in_time, next_epoch, prune, seqs, shell,
};

fn refused(fixture: &Fixture, cursor: Cursor) -> Error {
    Tail::open(&fixture.store, Start::Cursor(cursor), Filter::default()).unwrap_err()
}

fn store_error(error: Error) -> StoreError {
    match error {
        Error::Store(error) => error,
        other => panic!("{other:?}"),
    }
}

/// The error of a tail that waits while `event` happens.
fn while_waiting(fixture: &Fixture, start: Start, event: impl FnOnce()) -> Error {
    let mut changes = fixture.tail(start).follow();
    let waiting = thread::spawn(move || {
        let error = loop {
            match changes.next_within(SOON) {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the error came not in time"),
                Err(error) => break error,
            }
        };
        assert!(changes.next().unwrap().is_err(), "the place stays lost");
        assert!(changes.next().is_none(), "the iterator ends after an error");
        error
    });
    thread::sleep(Duration::from_millis(100));
    event();
    waiting.join().unwrap()
}

#[test]
fn a_cursor_below_the_floor_has_expired_and_the_floor_has_not() {
    let fixture = Fixture::with_changes(10);
    prune(&fixture.store, 5);
    for seq in [0, 1, 4] {
        let error = refused(&fixture, at(1, seq));
        assert_eq!((error.code().name(), error.code().exit_code()), ("CURSOR_EXPIRED", 7));
        let StoreError::CursorExpired { asked, oldest, head } = store_error(error) else {
            panic!()
        };
        assert_eq!((asked, oldest, head), (at(1, seq), at(1, 5), at(1, 10)));
    }
    assert_eq!(seqs(&drain(fixture.tail(Start::Cursor(at(1, 5))))), [6, 7, 8, 9, 10]);
}

#[test]
fn a_tail_that_was_overtaken_by_pruning_has_expired() {
    let fixture = Fixture::with_changes(10);
    let tails = [4, 5, 6].map(|seq| fixture.tail(Start::Cursor(at(1, seq))));
    prune(&fixture.store, 5);
    let [mut behind, mut level, before] = tails;
    for _ in 0..2 {
        let error = behind.visit(100, |_| panic!("nothing may be visited")).unwrap_err();
        assert_eq!(error.code().name(), "CURSOR_EXPIRED");
        assert_eq!(behind.cursor(), at(1, 4));
    }
    assert_eq!(level.visit(100, |_| Ok(())).unwrap().matched, 5);
    assert_eq!(seqs(&drain(before)), [7, 8, 9, 10]);
}

#[test]
fn a_waiting_tail_that_was_overtaken_gets_an_error() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(4);
    let error = while_waiting(&fixture, Start::End, || {
        let path = fixture.path();
        // One transaction writes and prunes a change: the tail never reads it.
        shell(
            path,
            "BEGIN; UPDATE session SET name = 'x'; DELETE FROM change_log; \
            UPDATE log_meta SET floor = (SELECT seq FROM sqlite_sequence WHERE name = 'change_log'); COMMIT;",
        );
    });
    let StoreError::CursorExpired { asked, oldest, head } = store_error(error) else { panic!() };
    assert_eq!((asked, oldest, head), (at(1, 4), at(1, 5), at(1, 5)));
}

#[test]
fn a_cursor_of_another_epoch_is_refused() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(4);
    next_epoch(fixture.path());
    for (epoch, seq) in [(1, 4), (1, 0), (3, 4), (1, 99)] {
        let error = refused(&fixture, at(epoch, seq));
        assert_eq!((error.code().name(), error.code().exit_code()), ("CURSOR_EPOCH_MISMATCH", 7));
        let StoreError::CursorEpoch { asked, head, .. } = store_error(error) else { panic!() };
        assert_eq!((asked, head), (at(epoch, seq), at(2, 4)));
    }
    assert_eq!(seqs(&drain(fixture.tail(Start::Cursor(at(2, 3))))), [4]);
    assert_eq!(fixture.tail(Start::Beginning).cursor(), at(2, 0));
}

#[test]
fn a_waiting_tail_gets_an_error_at_a_new_epoch() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(4);
    let error = while_waiting(&fixture, Start::Beginning, || next_epoch(fixture.path()));
    let StoreError::CursorEpoch { asked, epoch, head } = store_error(error) else { panic!() };
    assert_eq!((asked, epoch.0, head), (at(1, 4), 2, at(2, 4)));
}

#[test]
fn a_cursor_beyond_the_head_is_in_the_future() {
    let fixture = Fixture::with_changes(4);
    for seq in [5, 6, i64::MAX] {
        let error = refused(&fixture, at(1, seq));
        assert_eq!((error.code().name(), error.code().exit_code()), ("CURSOR_IN_FUTURE", 2));
        let StoreError::CursorFuture { asked, head } = store_error(error) else { panic!() };
        assert_eq!((asked, head), (at(1, seq), at(1, 4)));
    }
    fixture.commit();
    assert_eq!(drain(fixture.tail(Start::Cursor(at(1, 5)))), []);
}

#[test]
fn a_waiting_tail_gets_an_error_when_the_log_went_back() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(4);
    let error = while_waiting(&fixture, Start::End, || {
        shell(
            fixture.path(),
            "BEGIN; DELETE FROM change_log WHERE seq > 2; \
            UPDATE sqlite_sequence SET seq = 2 WHERE name = 'change_log'; COMMIT;",
        );
    });
    let StoreError::CursorFuture { asked, head } = store_error(error) else { panic!() };
    assert_eq!((asked, head), (at(1, 4), at(1, 2)));
}

/// Reads from each position of a log of ten changes of which one is missing.
fn hole(fixture: &Fixture, missing: i64, unharmed: &[i64]) {
    for seq in 0..=10 {
        for types in [vec![], vec!["project_archived".to_owned()]] {
            let filter = Filter::new(types, vec![], vec![]).unwrap();
            let Ok(tail) = Tail::open(&fixture.store, Start::Cursor(at(1, seq)), filter) else {
                continue;
            };
            let result = in_time(move || tail.to_head().collect::<Result<Vec<_>, _>>());
            if unharmed.contains(&seq) {
                assert!(result.is_ok(), "after {seq}");
                continue;
            }
            let error = result.expect_err("a hole is no end");
            assert_eq!(error.code().name(), "LOG_HOLE");
            let StoreError::LogHole { missing: found } = store_error(error) else { panic!() };
            assert_eq!(found.0, missing.max(seq + 1), "after {seq}");
        }
    }
}

#[test]
fn a_hole_in_the_log_is_never_skipped() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(10);
    shell(fixture.path(), "DELETE FROM change_log WHERE seq = 5");
    hole(&fixture, 5, &[5, 6, 7, 8, 9, 10]);
    // A reader in small steps gets the changes before the hole.
    let mut tail = fixture.tail(Start::Beginning);
    let mut found = Vec::new();
    let error = loop {
        let visited = tail.visit(1, |change| {
            found.push(change.seq().0);
            Ok(())
        });
        if let Err(error) = visited {
            break error;
        }
    };
    assert_eq!((found, error.code().name()), (vec![1, 2, 3, 4], "LOG_HOLE"));
}

#[test]
fn a_hole_right_after_the_floor_is_never_skipped() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(10);
    prune(&fixture.store, 5);
    shell(fixture.path(), "DELETE FROM change_log WHERE seq = 6");
    hole(&fixture, 6, &[6, 7, 8, 9, 10]);
}

#[test]
fn a_hole_at_the_end_of_the_log_is_an_error() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(10);
    shell(fixture.path(), "DELETE FROM change_log WHERE seq > 8");
    hole(&fixture, 9, &[10]);
}

#[test]
fn a_log_that_lost_everything_is_not_an_empty_log() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(10);
    shell(fixture.path(), "DELETE FROM change_log");
    hole(&fixture, 1, &[10]);
}
