//! An older copy of the database, or another one, put at its place with `cp`: what is written there gets
//! seqs that were used before, so cursors from before must be refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ao_store::{Code, Cursor, Epoch, Options, Seq, Store, Timestamp, restore};

use crate::support::{Fixture, T0, code, fixture, info, raw, rename, wal};

/// A closed store, a copy of it from before its last changes, and the head after them.
struct Copied {
    dir: tempfile::TempDir,
    path: PathBuf,
    copy: PathBuf,
    head: Cursor,
}

fn open(path: &Path) -> Store {
    Store::open(path, Options::default()).unwrap()
}

fn copied() -> Copied {
    let start = fixture();
    let (path, copy) = (start.path(), start.path().with_file_name("copy"));
    let Fixture { store, dir } = start;
    drop(store);
    fs::copy(&path, &copy).unwrap();
    let store = open(&path);
    rename(&store, "demo-1", 5, T0 + 1);
    let head = info(&store).head_cursor();
    drop(store);
    assert!(!wal(&path).exists());
    Copied { dir, path, copy, head }
}

/// Opening the store refuses the cursors of epoch 1, however much is written.
fn assert_refused(path: &Path, old: Cursor) {
    let store = open(path);
    assert_eq!(info(&store).epoch, Epoch(2));
    assert_eq!(code(info(&store).check_cursor(old)), Code::CursorEpoch);
    rename(&store, "demo-1", 20, T0 + 2);
    let info_now = info(&store);
    assert!(info_now.head > old.seq);
    assert_eq!(code(info_now.check_cursor(old)), Code::CursorEpoch);
    drop(store);
    assert_eq!(info(&open(path)).head_cursor(), info_now.head_cursor(), "it is known from now on");
}

#[test]
fn cursors_of_changes_that_an_older_copy_lacks_are_refused() {
    let Copied { dir: _dir, path, copy, head } = copied();
    fs::copy(&copy, &path).unwrap();
    assert_refused(&path, head);
}

#[test]
fn each_copy_begins_an_epoch_of_its_own() {
    let Copied { dir: _dir, path, copy, .. } = copied();
    for epoch in [2, 3, 4] {
        fs::copy(&copy, &path).unwrap();
        assert_eq!(info(&open(&path)).epoch, Epoch(epoch), "though nothing was written");
    }
}

#[test]
fn as_many_other_changes_of_a_foreign_writer_do_not_hide_it() {
    let Copied { dir: _dir, path, copy, head } = copied();
    fs::copy(&copy, &path).unwrap();
    let foreign = raw(&path);
    for _ in 0..8 {
        foreign.execute("UPDATE session SET name = name || 'x' WHERE id = 'demo-2'", []).unwrap();
    }
    let written: i64 =
        foreign.query_row("SELECT max(seq) FROM change_log", [], |row| row.get(0)).unwrap();
    assert!(written > head.seq.0);
    drop(foreign);
    assert_refused(&path, head);
}

#[test]
fn a_new_store_in_place_of_a_deleted_one_begins_a_later_epoch() {
    let Copied { dir: _dir, path, head, .. } = copied();
    fs::remove_file(&path).unwrap();
    let (store, _) = Store::create(&path, Options::default()).unwrap();
    assert_eq!(info(&store).head_cursor(), Cursor { epoch: Epoch(2), seq: Seq(0) });
    assert_eq!(code(info(&store).check_cursor(head)), Code::CursorEpoch);
}

#[test]
fn a_restore_begins_above_the_epoch_of_a_deleted_store() {
    let Copied { dir: _dir, path, copy, .. } = copied();
    for epoch in [2, 3] {
        let now = Timestamp(T0 + epoch);
        assert_eq!(
            restore(&path, &copy, Options::default(), now).unwrap().cursor.epoch,
            Epoch(epoch)
        );
    }
    // A writer records the epoch.
    rename(&open(&path), "demo-1", 1, T0 + 4);
    fs::remove_file(&path).unwrap();
    let restored = restore(&path, &copy, Options::default(), Timestamp(T0 + 5)).unwrap();
    assert_eq!(restored.cursor.epoch, Epoch(4), "the copy is of epoch 1");
    assert_eq!(info(&open(&path)).head_cursor(), restored.cursor, "and it stays");
}

#[test]
fn a_copy_put_over_a_restored_store_that_was_not_written_begins_an_epoch() {
    let Copied { dir: _dir, path, copy, .. } = copied();
    let restored = restore(&path, &copy, Options::default(), Timestamp(T0 + 2)).unwrap();
    assert_eq!(restored.cursor.epoch, Epoch(2));
    fs::copy(&copy, &path).unwrap();
    assert_eq!(info(&open(&path)).epoch, Epoch(3), "2 was that of the restore");
}

#[test]
fn the_head_is_recorded_while_a_writer_runs() {
    let start = fixture();
    let file = start.dir.path().join("ao.db.head");
    rename(&start.store, "demo-1", 1, T0 + 1);
    let recorded = |head: Seq| {
        let end = Instant::now() + Duration::from_secs(20);
        let line = format!(" {:019} ", head.0);
        while !fs::read_to_string(&file).is_ok_and(|text| text.contains(&line)) {
            assert!(Instant::now() < end, "{head} is not recorded in time");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    // When it becomes idle,
    recorded(info(&start.store).head);
    // and while it does not.
    let begin = Instant::now();
    let first = info(&start.store).head;
    while !fs::read_to_string(&file).is_ok_and(|text| !text.contains(&format!(" {:019} ", first.0)))
    {
        rename(&start.store, "demo-1", 1, T0 + 2);
        assert!(begin.elapsed() < Duration::from_secs(20), "nothing is recorded in time");
    }
}

#[test]
fn a_running_writer_notices_it_before_it_records_the_next_head() {
    let Copied { dir, path, copy, head } = copied();
    let file = dir.path().join("ao.db.head");
    let recorded = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::copy(&copy, &path).unwrap();
    let store = open(&path);
    rename(&store, "demo-1", 1, T0 + 2);
    assert_eq!(info(&store).epoch, Epoch(1), "without the file nothing is known");
    fs::write(&file, recorded).unwrap();
    drop(store);
    let now = info(&open(&path));
    assert_eq!((now.epoch, now.head < head.seq), (Epoch(2), true));
    assert!(fs::read_to_string(&file).unwrap().contains(&format!(" {:019} ", 2)));
}

#[test]
fn a_head_file_that_is_damaged_or_cannot_be_written_is_ignored() {
    let Copied { dir, path, head, .. } = copied();
    let file = dir.path().join("ao.db.head");
    let text = fs::read_to_string(&file).unwrap();
    for damaged in [&b""[..], &[0xff; 40], &text.as_bytes()[..text.len() - 1]] {
        fs::write(&file, damaged).unwrap();
        assert_eq!(info(&open(&path)).head_cursor(), head, "{damaged:?}");
    }
    rename(&open(&path), "demo-1", 1, T0 + 2);
    assert!(fs::read_to_string(&file).unwrap().len() == text.len(), "it is written again");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    rename(&open(&path), "demo-1", 1, T0 + 3);
    assert_eq!(info(&open(&path)).epoch, Epoch(1));
}
