//! A backup is one verified file with every change up to its cursor and none after it, even during
//! writes. A failed backup leaves no file.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ao_store::row::project;
use ao_store::verify::{Depth, verify_file};
use ao_store::{Code, Error, Options, Receipt, Store, last_backup};

use crate::disk_full::Mount;
use crate::support::{
    T0, add_session, assert_sound, at, child, child_argument, code, fixture, head, kept,
    new_project, rename,
};

/// The names in a folder.
pub(crate) fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn backup(store: &Store, out: &Path) -> Result<Receipt, Error> {
    store.backup(out, &at(T0 + 5))
}

/// What the tool of the system says.
fn sha256sum(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

const ROUNDS: i64 = 150;

#[test]
fn a_child_writes_during_a_backup() {
    let Some(path) = child_argument() else { return };
    let store = Store::open(Path::new(&path), Options::default()).unwrap();
    for i in 0..ROUNDS {
        rename(&store, "demo-2", 3, T0 + i);
    }
}

/// A backup is what it says: opened as a store of its own, it has the changes of the log up to its
/// cursor.
fn assert_holds(receipt: &Receipt, store: &Store) {
    let path = &receipt.path;
    let file = std::fs::metadata(path).unwrap();
    assert_eq!((file.permissions().mode() & 0o777, file.len()), (0o600, receipt.bytes));
    assert_eq!(receipt.sha256, sha256sum(path));
    let report = verify_file(path, Depth::Deep, Options::default().busy).unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
    assert_eq!(report.cursor, receipt.cursor);
    assert_eq!(receipt.sha256, sha256sum(path), "looking changes nothing");
    let copy = Store::open(path, Options::default()).unwrap();
    let (copied, live) = (kept(&copy), kept(store));
    assert_eq!(copied.last().unwrap().seq, receipt.cursor.seq);
    assert_eq!(copied, live[..copied.len()]);
}

#[test]
fn a_backup_during_writes_is_complete() {
    let fixture = fixture();
    let (store, path) = (&fixture.store, fixture.path());
    let folder = tempfile::tempdir().unwrap();
    let mut other = child("backup::a_child_writes_during_a_backup", path.to_str().unwrap())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let stop = AtomicBool::new(false);
    let receipts: Vec<_> = std::thread::scope(|scope| {
        for thread in 0..2 {
            let stop = &stop;
            scope.spawn(move || {
                for i in 0.. {
                    rename(store, "demo-1", 2, T0 + 2 * i + thread);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        let receipts = (0..6).map(|i| backup(store, &folder.path().join(format!("{i}.db"))));
        let receipts = receipts.collect();
        stop.store(true, Ordering::Relaxed);
        receipts
    });
    assert!(other.wait().unwrap().success());
    assert_eq!(names(folder.path()).len(), 6, "one file each: {:?}", names(folder.path()));
    let mut last = ao_store::Seq(0);
    for receipt in receipts {
        let receipt = receipt.unwrap();
        assert!(receipt.cursor.seq > last, "writing went on");
        last = receipt.cursor.seq;
        assert_holds(&receipt, store);
    }
    let noted = store.read(last_backup).unwrap();
    assert_eq!(noted.map(|at| at.0), Some(T0 + 5));
    assert_sound(store);
}

#[test]
fn a_target_that_cannot_be_written_is_refused_and_no_file_remains() {
    let fixture = fixture();
    let store = &fixture.store;
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    std::fs::write(place("file"), "mine").unwrap();
    std::fs::create_dir(place("folder")).unwrap();
    symlink("file", place("link")).unwrap();
    symlink("nowhere", place("broken")).unwrap();
    std::fs::write(place("gone.db-wal"), "of another").unwrap();
    std::fs::write(place("old.db-journal"), "of another").unwrap();
    let before = names(folder.path());
    for name in ["file", "folder", "link", "broken", "gone.db", "old.db"] {
        assert_eq!(code(backup(store, &place(name))), Code::TargetExists, "{name}");
    }
    for name in ["missing/a.db", "file/a.db"] {
        assert_eq!(code(backup(store, &place(name))), Code::Io, "{name}");
    }
    let refused = code(backup(store, Path::new("/proc/a.db")));
    assert!(matches!(refused, Code::ReadOnly | Code::Io), "{refused:?}");
    assert_eq!(names(folder.path()), before);
    assert_eq!(std::fs::read(place("file")).unwrap(), b"mine");
    let Some(mount) = Mount::new(&place("mount"), "size=1m") else { return };
    mount.remount("ro");
    assert_eq!(code(backup(store, &place("mount/a.db"))), Code::ReadOnly);
}

#[test]
fn of_concurrent_backups_to_one_target_one_succeeds() {
    let fixture = fixture();
    let store = &fixture.store;
    let folder = tempfile::tempdir().unwrap();
    for round in 0..15 {
        let out = folder.path().join(format!("{round}.db"));
        let barrier = Barrier::new(4);
        let made: Vec<_> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                backup(store, &out)
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (made, refused): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), 1, "{refused:?}");
        for refused in refused {
            assert_eq!(code(refused), Code::TargetExists);
        }
        assert_holds(made[0].as_ref().unwrap(), store);
    }
    assert_eq!(names(folder.path()).len(), 15);
}

#[test]
fn the_partial_file_of_a_killed_backup_is_taken_over() {
    let fixture = fixture();
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("a.db.partial");
    std::fs::create_dir(&left).unwrap();
    for (name, bytes) in [("new", 1 << 20), ("new-journal", 99), ("new-wal", 99)] {
        std::fs::write(left.join(name), vec![0; bytes]).unwrap();
    }
    let out = folder.path().join("a.db");
    assert_holds(&backup(&fixture.store, &out).unwrap(), &fixture.store);
    assert_eq!(names(folder.path()), BTreeSet::from(["a.db".to_owned()]));
    let own = folder.path().join("b.db.partial");
    std::fs::write(&own, "somebody's own notes, not ours").unwrap();
    assert_eq!(code(backup(&fixture.store, &folder.path().join("b.db"))), Code::TargetExists);
    assert!(std::fs::read_to_string(&own).unwrap().starts_with("somebody"));
}

#[test]
fn the_names_of_sqlite_and_of_the_store_are_refused() {
    let fixture = fixture();
    let dir = fixture.dir.path();
    let before = names(dir);
    let folder = dir.file_name().unwrap().to_str().unwrap();
    let aliased = format!("../{folder}/ballast");
    for name in [
        "ao.db-journal",
        "ao.db-wal",
        "ao.db-shm",
        "ao.db.partial",
        "x-wal",
        "AO.DB-WAL",
        "ballast",
        "observer.lock",
        "wakeups",
        "ao.db.head",
        "AO.db.Head",
        "ao.db.queue",
        "AO.DB.TURN",
        &aliased,
    ] {
        let out = dir.join(name);
        assert_eq!(code(backup(&fixture.store, &out)), Code::InvalidPath, "{name}");
        assert_eq!(code(fixture.store.export_to(&out)), Code::InvalidPath, "{name}");
    }
    assert_eq!(names(dir), before);
}

#[test]
fn a_long_name_is_a_name() {
    let fixture = fixture();
    let name = "n".repeat(247);
    let out = fixture.dir.path().join("f".repeat(150)).join(&name);
    std::fs::create_dir(out.parent().unwrap()).unwrap();
    backup(&fixture.store, &out).unwrap();
    assert!(verify_file(&out, Depth::Sums, Duration::ZERO).unwrap().is_sound());
}

#[test]
fn a_damaged_store_is_not_backed_up() {
    let fixture = fixture();
    let path = fixture.path();
    let dir = fixture.dir;
    let mark = b"https://github.com/octo/hello/pull/7";
    drop(fixture.store);
    let sound = std::fs::read(&path).unwrap();
    let mut damaged = 0;
    for i in 0..sound.len() - mark.len() {
        // In a row the text stands by itself, in an image after a quote.
        if !sound[i..].starts_with(mark) || sound[i - 1] == b'"' {
            continue;
        }
        let mut bytes = sound.clone();
        bytes[i + 30] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let store = Store::open(&path, Options::default()).unwrap();
        let out = dir.path().join("out.db");
        let error = backup(&store, &out).unwrap_err();
        assert_eq!(error.code(), Code::Corrupt);
        assert!(error.to_string().contains("ao.db is damaged"), "{error}");
        assert!(!names(dir.path()).iter().any(|name| name.starts_with("out")));
        damaged += 1;
    }
    assert!(damaged > 0, "no live row was found in the file");
}

/// Fills a small disk but for some bytes.
pub(crate) fn fill(root: &Path, left: u64) {
    let mut filler = std::fs::File::create(root.join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[7; 4096]).is_ok() {}
    let full = filler.metadata().unwrap().len();
    filler.set_len(full - left).unwrap();
}

#[test]
fn a_backup_on_a_full_disk_leaves_no_file_and_the_store_continues() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("small");
    let Some(_mount) = Mount::new(&root, "size=2m,mode=0700") else { return };
    let fixture = fixture();
    for i in 0..60 {
        rename(&fixture.store, "demo-1", 50, T0 + i);
    }
    assert_eq!(code(backup(&fixture.store, &root.join("a.db"))), Code::DiskFull);
    assert_eq!(names(&root), BTreeSet::new());

    // Also where it is the store's own disk.
    let (store, _) = Store::create(&root.join("ao.db"), Options::default()).unwrap();
    let new = new_project("demo");
    store.write(at(T0), move |tx| project::add(tx, &new)).unwrap();
    add_session(&store, "demo", "a");
    fill(&root, 100_000);
    let before = names(&root);
    assert_eq!(code(backup(&store, &root.join("b.db"))), Code::DiskFull);
    assert_eq!(names(&root), before);
    let last = head(&store);
    rename(&store, "demo-1", 1, T0);
    assert_eq!(head(&store), last.next());
    assert_sound(&store);
}
