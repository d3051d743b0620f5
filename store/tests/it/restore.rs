//! Restoring replaces the store with a verified copy, or changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ao_store::LogInfo;
use ao_store::lease::Fence;
use ao_store::log::consumer::{self, NewConsumer, Policy};
use ao_store::log::reservation;
use ao_store::verify::{Depth, Report, verify_file};
use ao_store::{
    Code, Cursor, Epoch, Error, Options, Restored, SCHEMA_VERSION, Seq, Store, Timestamp,
    check_source, restore,
};

use crate::backup::names;
use crate::kill::Random;
use crate::support::{
    Fixture, T0, assert_sound, at, child, child_argument, code, fixture, from_env, head, info, raw,
    rename, wal,
};

pub(crate) fn put_back(target: &Path, source: &Path) -> Result<Restored, Error> {
    restore(target, source, Options::default(), Timestamp(T0 + 77))
}

pub(crate) fn open(path: &Path) -> Store {
    Store::open(path, Options::default()).unwrap()
}

fn report(path: &Path) -> Report {
    let report = verify_file(path, Depth::Deep, Duration::ZERO).unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
    report
}

/// What a store holds, whatever its epoch.
pub(crate) fn content(path: &Path) -> (Seq, String, Vec<(String, String)>) {
    let report = report(path);
    let table =
        |table: &ao_store::verify::TableSum| (table.entity.into(), table.digest.to_string());
    let tables = report.tables.iter().map(table).collect();
    (report.cursor.seq, report.log.to_string(), tables)
}

/// A closed store that went on after its backup.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) path: PathBuf,
    pub(crate) backup: PathBuf,
    head: Cursor,
}

pub(crate) fn world() -> World {
    let Fixture { store, dir } = fixture();
    let (path, backup) = (dir.path().join("ao.db"), dir.path().join("backup.db"));
    rename(&store, "demo-1", 30, T0);
    let start = info(&store).head_cursor();
    for name in ["leased", "free"] {
        let new = NewConsumer {
            name: name.parse().unwrap(),
            start,
            filter: "{}".to_owned(),
            policy: Policy::Block,
        };
        store.write(at(T0), move |tx| consumer::create(tx, &new)).unwrap();
    }
    store
        .write(at(T0), move |tx| {
            let (name, hour) = ("leased".parse()?, Duration::from_secs(3600));
            consumer::acquire(tx, &name, "owner", hour, None)?;
            reservation::reserve(tx, start, "reader", hour)
        })
        .unwrap();
    store.backup(&backup, &at(T0)).unwrap();
    rename(&store, "demo-2", 20, T0 + 1);
    let head = info(&store).head_cursor();
    drop(store);
    assert!(!wal(&path).exists());
    World { dir, path, backup, head }
}

/// Every file of a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |name: String| {
        let bytes = std::fs::read(folder.join(&name)).unwrap_or_default();
        (name, bytes)
    };
    names(folder).into_iter().map(read).collect()
}

#[test]
fn a_restored_store_is_its_backup_in_a_new_epoch() {
    let World { dir: _dir, path, backup, head: old_head } = world();
    let (of_backup, of_old) = (content(&backup), content(&path));
    let restored = put_back(&path, &backup).unwrap();
    assert_eq!(content(&path), of_backup);
    assert_eq!(restored.cursor, Cursor { epoch: Epoch(2), seq: of_backup.0 });
    let kept_file = restored.kept.unwrap();
    assert_eq!(content(&kept_file), of_old, "what was replaced is kept");
    {
        let store = open(&path);
        let now = info(&store);
        assert_eq!((now.head_cursor(), &now.log_id), (restored.cursor, &restored.log_id));
        let check = |cursor| now.check_cursor(cursor);
        assert_eq!(code(check(old_head)), Code::CursorEpoch);
        assert_eq!(code(check(Cursor { epoch: Epoch(1), seq: Seq(3) })), Code::CursorEpoch);
        assert_nothing_is_held(&store);
        rename(&store, "demo-1", 3, T0 + 2);
        assert_sound(&store);
    }
    // And back again.
    let again = put_back(&path, &kept_file).unwrap();
    assert_eq!(again.cursor.epoch, Epoch(3));
    assert_ne!(again.kept, Some(kept_file), "nothing that is kept is overwritten");
    assert_eq!(content(&path), of_old);
    let third = put_back(&path, &backup).unwrap();
    assert_eq!(third.cursor.epoch, Epoch(4), "above both");
}

/// Leases and reservations end with the old file; consumers stay where they were.
fn assert_nothing_is_held(store: &Store) {
    let stats = store.stats(Timestamp(T0)).unwrap();
    assert_eq!(stats.reservations, []);
    assert_eq!(stats.consumers.len(), 2);
    for (found, _) in stats.consumers {
        assert_eq!((found.lease.clone(), found.acked.epoch), (None, Epoch(1)));
        // It stands at the head of the epoch before and cannot read a thing of this one.
        let lag =
            store.read(|s| consumer::lag(s, &LogInfo::read(s)?, &found, Timestamp(T0))).unwrap();
        assert_eq!(lag.events, info(store).head.0.abs_diff(info(store).floor.0));
        let (name, to) = (found.name.clone(), info(store).head_cursor());
        let acked = store.write(at(T0), move |tx| consumer::ack(tx, &name, to, None));
        assert_eq!(code(acked), Code::CursorEpoch);
        let (name, fence) = (found.name.clone(), Fence::Respect);
        let moved = store.write(at(T0), move |tx| consumer::seek(tx, &name, to, fence)).unwrap();
        assert_eq!(moved.value.acked, to);
        let lease = Some(found.generation);
        let name = found.name;
        let acked = store.write(at(T0), move |tx| consumer::ack(tx, &name, to, lease));
        assert_eq!(code(acked), Code::LeaseLost, "an owner of the time before is fenced off");
    }
}

/// Asserts that a source is refused and nothing changed; returns the code.
fn refused(world: &World, name: &str, bytes: &[u8]) -> Code {
    let source = world.dir.path().join(name);
    std::fs::write(&source, bytes).unwrap();
    let before = files(world.dir.path());
    let found = code(put_back(&world.path, &source));
    assert!(before == files(world.dir.path()), "{name}: something was changed");
    std::fs::remove_file(&source).unwrap();
    found
}

#[test]
fn an_unsound_source_is_refused_and_nothing_is_changed() {
    let world = world();
    let sound = std::fs::read(&world.backup).unwrap();
    let place = |name: &str| world.dir.path().join(name);
    let mut cuts: Vec<_> = (0..12).map(|i| sound.len() * i / 12 + i * 7).collect();
    cuts.extend([0, 1, 15, 16, 99, 100, 4095, 4096, sound.len() - 4096, sound.len() - 1]);
    for cut in cuts {
        let found = refused(&world, "cut", &sound[..cut]);
        assert!(matches!(found, Code::Corrupt | Code::NotAStore), "cut at {cut}: {found:?}");
    }
    assert_eq!(refused(&world, "text", &b"just a text\n".repeat(500)), Code::NotAStore);
    let sql = [
        ("foreign", "CREATE TABLE t (x); INSERT INTO t VALUES (1)".to_owned(), Code::NotAStore),
        ("newer", format!("PRAGMA user_version = {}", SCHEMA_VERSION + 1), Code::SchemaTooNew),
    ];
    for (name, sql, expected) in sql {
        if name == "newer" {
            std::fs::write(place(name), &sound).unwrap();
        }
        raw(&place(name)).execute_batch(&sql).unwrap();
        let bytes = std::fs::read(place(name)).unwrap();
        assert_eq!(refused(&world, name, &bytes), expected);
    }
    let before = files(world.dir.path());
    assert_eq!(code(put_back(&world.path, &place("nowhere"))), Code::StoreNotFound);
    let of_folder = code(put_back(&world.path, world.dir.path()));
    assert!(matches!(of_folder, Code::ReadOnly | Code::Io | Code::NotAStore), "{of_folder:?}");
    assert!(before == files(world.dir.path()));
    assert_eq!(head(&open(&world.path)), world.head.seq);
}

#[test]
fn a_source_with_a_flipped_bit_is_refused_or_harmless() {
    let seed = u64::from(from_env("AO_SEED", 20_261_121));
    let flips = from_env("AO_FLIPS", 60);
    println!("AO_SEED={seed} AO_FLIPS={flips}");
    let mut random = Random(seed.max(1));
    let world = world();
    let sound = std::fs::read(&world.backup).unwrap();
    let expected = content(&world.backup);
    let source = world.dir.path().join("flipped");
    let mut found = 0;
    for _ in 0..flips {
        let (byte, bit) = (random.below(sound.len() as u64) as usize, random.below(8));
        let mut bytes = sound.clone();
        bytes[byte] ^= 1 << bit;
        std::fs::write(&source, &bytes).unwrap();
        if check_source(&source).is_err() {
            found += 1;
            assert_ne!(refused(&world, "flipped", &bytes), Code::Internal);
        } else {
            assert_eq!(content(&source), expected, "bit {bit} of byte {byte} was missed");
        }
    }
    println!("{found} of {flips} were refused");
}

#[test]
fn the_store_itself_is_no_source() {
    let world = world();
    let (before, files) = (content(&world.path), names(world.dir.path()));
    assert_eq!(code(put_back(&world.path, &world.path)), Code::TargetExists);
    assert_eq!(names(world.dir.path()), files);
    let link = world.dir.path().join("link.db");
    std::os::unix::fs::symlink(&world.path, &link).unwrap();
    assert_eq!(code(put_back(&world.path, &link)), Code::TargetExists);
    assert_eq!(content(&world.path), before);
    assert_eq!(names(world.dir.path()).len(), files.len() + 1);
    rename(&open(&world.path), "demo-1", 1, T0 + 9);
}

#[test]
fn a_copy_with_its_write_ahead_log_is_restored_with_it() {
    let world = world();
    let source = world.dir.path().join("copied.db");
    let store = open(&world.path);
    rename(&store, "demo-1", 5, T0 + 3);
    let expected = head(&store);
    std::fs::copy(&world.path, &source).unwrap();
    std::fs::copy(wal(&world.path), wal(&source)).unwrap();
    drop(store);
    let before = (std::fs::read(&source).unwrap(), std::fs::read(wal(&source)).unwrap());
    assert_eq!(put_back(&world.path, &source).unwrap().cursor.seq, expected);
    let after = (std::fs::read(&source).unwrap(), std::fs::read(wal(&source)).unwrap());
    assert!(before == after, "the source was changed");
    assert_eq!(content(&world.path).0, expected);
}

#[test]
fn a_child_keeps_a_store_open() {
    let Some(path) = child_argument() else { return };
    let store = open(Path::new(&path));
    let _listener = store.listen().unwrap();
    println!("\nready");
    // Until its parent closes the pipe.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn a_store_that_is_open_elsewhere_is_not_replaced() {
    let world = world();
    let before = content(&world.path);
    let mut other = child("restore::a_child_keeps_a_store_open", world.path.to_str().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = std::io::BufReader::new(other.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(out).map(Result::unwrap);
    assert!(lines.any(|line| line == "ready"));
    assert_eq!(code(put_back(&world.path, &world.backup)), Code::StoreInUse);
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    {
        let store = open(&world.path);
        let mut listener = store.listen().unwrap();
        assert_eq!(code(put_back(&world.path, &world.backup)), Code::StoreInUse);
        rename(&store, "demo-1", 1, T0 + 4);
        assert!(listener.wait(Duration::from_secs(5)).unwrap());
        drop(store);
        assert_eq!(code(put_back(&world.path, &world.backup)), Code::StoreInUse, "a listener");
    }
    let store = open(&world.path);
    let reader = store.own_reader().unwrap();
    drop(store);
    assert_eq!(code(put_back(&world.path, &world.backup)), Code::StoreInUse, "a reader");
    drop(reader);
    assert!(content(&world.path).0 > before.0);
    put_back(&world.path, &world.backup).unwrap();
}

#[test]
fn a_concurrent_restore_never_replaces_the_result_of_another() {
    let world = world();
    let at_once = &|busy| {
        let options = Options { busy, ..Options::default() };
        let mut made = Vec::new();
        for _ in 0..10 {
            match restore(&world.path, &world.backup, options, Timestamp(T0)) {
                Ok(restored) => made.push(restored.cursor.epoch),
                Err(error) => assert_eq!(error.code(), Code::StoreInUse, "{error:?}"),
            }
        }
        made
    };
    let mut made: Vec<_> = std::thread::scope(|scope| {
        let restorers: Vec<_> =
            (0..4).map(|i| scope.spawn(move || at_once(Duration::from_millis(i * 50)))).collect();
        restorers.into_iter().flat_map(|restorer| restorer.join().unwrap()).collect()
    });
    assert!(!made.is_empty());
    made.sort();
    let all = made.len();
    made.dedup();
    assert_eq!(made.len(), all, "an epoch was begun twice");
    assert_eq!(content(&world.path), content(&world.backup));
}

#[test]
fn a_missing_folder_is_created_and_a_stale_write_ahead_log_is_not_applied() {
    let world = world();
    let expected = content(&world.backup);
    let target = world.dir.path().join("deep/data/ao.db");
    let restored = put_back(&target, &world.backup).unwrap();
    assert_eq!((restored.kept, content(&target)), (None, expected.clone()));

    // The database was deleted, its log was not.
    let store = open(&world.path);
    rename(&store, "demo-1", 9, T0 + 5);
    let stale = std::fs::read(wal(&world.path)).unwrap();
    drop(store);
    std::fs::remove_file(&world.path).unwrap();
    std::fs::write(wal(&world.path), &stale).unwrap();
    put_back(&world.path, &world.backup).unwrap();
    assert_eq!(content(&world.path), expected);
}

#[test]
fn a_damaged_store_is_replaced_and_kept_with_its_log() {
    let world = world();
    let expected = content(&world.backup);
    let store = open(&world.path);
    rename(&store, "demo-1", 9, T0 + 5);
    let stale = std::fs::read(wal(&world.path)).unwrap();
    drop(store);
    let sound = std::fs::read(&world.path).unwrap();
    let mut garbage = sound.clone();
    garbage[..100].fill(0x5a);
    let cases: [&[u8]; 4] = [&garbage, &sound[..5000], &sound[..50], b""];
    let mut epoch = Epoch(0);
    for (case, bytes) in cases.into_iter().enumerate() {
        for with_log in [false, true] {
            std::fs::write(&world.path, bytes).unwrap();
            let _ = std::fs::remove_file(wal(&world.path));
            if with_log {
                std::fs::write(wal(&world.path), &stale).unwrap();
            }
            let now = Timestamp(T0 + 1_000 * (2 * case as i64 + i64::from(with_log)));
            let restored = restore(&world.path, &world.backup, Options::default(), now).unwrap();
            assert_eq!(content(&world.path), expected, "case {case}");
            let kept = restored.kept.unwrap();
            // With its log a file that begins well may be read again, and is not damaged then.
            let is_lost = !bytes.starts_with(b"SQLite");
            if is_lost {
                assert!(std::fs::read(&kept).unwrap() == bytes, "case {case}");
                assert!(!with_log || std::fs::read(wal(&kept)).unwrap() == stale, "case {case}");
            }
            if is_lost || !with_log {
                assert!(restored.cursor.epoch > epoch, "case {case}: {:?}", restored.cursor);
                epoch = restored.cursor.epoch;
            }
        }
    }
    let store = open(&world.path);
    rename(&store, "demo-1", 2, T0 + 6);
    assert_sound(&store);
}

#[test]
fn a_store_behind_a_link_is_replaced_and_kept_where_it_is() {
    let world = world();
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("ao.db");
    std::os::unix::fs::symlink(&world.path, &link).unwrap();
    std::fs::write(&world.path, b"damaged").unwrap();
    std::fs::write(wal(&world.path), b"its log").unwrap();
    let kept = put_back(&link, &world.backup).unwrap().kept.unwrap();
    assert_eq!(kept.parent(), world.path.canonicalize().unwrap().parent());
    assert_eq!(std::fs::read(&kept).unwrap(), b"damaged");
    assert_eq!(std::fs::read(wal(&kept)).unwrap(), b"its log");
    assert_eq!(content(&link), content(&world.backup));
    assert_eq!(names(folder.path()).len(), 1);
}

#[test]
fn what_is_no_file_is_no_store() {
    let world = world();
    let pipe = world.dir.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for path in [&pipe, world.dir.path()] {
        assert_eq!(code(put_back(&world.path, path)), Code::NotAStore);
        assert_eq!(code(put_back(path, &world.backup)), Code::NotAStore);
        assert_eq!(code(Store::open(path, Options::default())), Code::NotAStore);
        assert_eq!(code(verify_file(path, Depth::Sums, Duration::ZERO)), Code::NotAStore);
    }
}

#[test]
fn an_open_handle_of_a_damaged_store_prevents_its_restore() {
    let world = world();
    let store = open(&world.path);
    rename(&store, "demo-1", 1, T0 + 4);
    let listener = store.listen().unwrap();
    let mut damaged = std::fs::OpenOptions::new().write(true).open(&world.path).unwrap();
    std::io::Write::write_all(&mut damaged, &[0x5a; 100]).unwrap();
    assert_eq!(code(put_back(&world.path, &world.backup)), Code::StoreInUse);
    assert!(!names(world.dir.path()).iter().any(|name| name.contains("before")));
    drop((damaged, store, listener));
    put_back(&world.path, &world.backup).unwrap();
    assert_eq!(content(&world.path), content(&world.backup));
}

#[test]
fn a_handle_of_a_replaced_file_is_refused_and_writes_nothing_into_it() {
    let world = world();
    let store = open(&world.path);
    rename(&store, "demo-1", 1, T0 + 4);
    let mut listener = store.listen().unwrap();
    std::fs::rename(&world.backup, &world.path).unwrap();
    let before = std::fs::read(&world.path).unwrap();
    assert_eq!(code(store.read(|snapshot| snapshot.head())), Code::StoreReplaced);
    let written = crate::support::try_rename(&store, "demo-1", 1, T0 + 5);
    assert_eq!(code(written), Code::StoreReplaced);
    assert_eq!(code(listener.wait(Duration::from_secs(5))), Code::StoreReplaced);
    assert_eq!(code(store.own_reader()), Code::StoreReplaced);
    assert!(before == std::fs::read(&world.path).unwrap());
}

#[test]
fn a_restore_keeps_the_file_and_whoever_opened_it_before_reads_the_new_content() {
    use std::os::unix::fs::MetadataExt;
    let world = world();
    let inode = || std::fs::metadata(&world.path).unwrap().ino();
    let before = inode();
    // Opened and stalled: it has not looked at the file or its journals yet.
    let early = raw(&world.path);
    let first = put_back(&world.path, &world.backup).unwrap();
    let second = put_back(&world.path, &world.backup).unwrap();
    assert_eq!(inode(), before);
    let epoch = early.query_row("SELECT epoch FROM log_meta", [], |row| row.get::<_, i64>(0));
    assert_eq!(epoch.unwrap(), second.cursor.epoch.0);
    drop(early);
    report(&first.kept.unwrap());
    assert_eq!(content(&second.kept.unwrap()), content(&world.backup));
}

#[test]
fn a_backup_with_other_pages_is_restored() {
    let world = world();
    let expected = content(&world.backup);
    raw(&world.backup)
        .execute_batch("PRAGMA journal_mode = DELETE; PRAGMA page_size = 8192; VACUUM")
        .unwrap();
    put_back(&world.path, &world.backup).unwrap();
    assert_eq!(content(&world.path), expected);
    let store = open(&world.path);
    rename(&store, "demo-1", 3, T0 + 2);
    assert_sound(&store);
}

#[test]
fn a_store_with_two_names_is_read_but_neither_written_nor_restored() {
    let world = world();
    let other = world.dir.path().join("other.db");
    let opened = open(&world.path);
    rename(&opened, "demo-1", 1, T0 + 4);
    std::fs::hard_link(&world.path, &other).unwrap();
    for store in [&opened, &open(&world.path)] {
        let head = head(store);
        let written = crate::support::try_rename(store, "demo-1", 1, T0 + 5);
        assert_eq!(code(written), Code::StoreHardLinked);
        assert_eq!(head, crate::support::head(store));
    }
    drop(opened);
    assert_eq!(
        code(crate::support::try_rename(&open(&other), "demo-1", 1, T0)),
        Code::StoreHardLinked
    );
    let before = std::fs::read(&other).unwrap();
    assert_eq!(code(put_back(&world.path, &world.backup)), Code::StoreHardLinked);
    assert!(before == std::fs::read(&other).unwrap());
    std::fs::remove_file(&other).unwrap();
    rename(&open(&world.path), "demo-1", 1, T0 + 6);
    put_back(&world.path, &world.backup).unwrap();
}
