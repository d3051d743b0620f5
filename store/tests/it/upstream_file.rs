//! The file to import: which files are refused, that the newest commits are read, and that neither
//! the file nor its folder is changed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use ao_store::{Code, Error, Imported, Options, Store, import_upstream};
use rusqlite::Connection;

use crate::support::{Fixture, SHELL, at, code, empty, has_shell, head};
use crate::upstream::{JUNE, NOW, source};

/// Every file of a folder with its bytes.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| (name(&entry), fs::read(entry.path()).unwrap())).collect()
}

fn try_import(store: &Store, path: &Path) -> Result<Imported, Error> {
    import_upstream(store, path, at(NOW))
}

/// The number of imported projects; the import changes nothing in the folder of the source.
fn projects(path: &Path) -> u64 {
    let Fixture { store, dir: _dir } = empty();
    let before = files(path.parent().unwrap());
    let imported = try_import(&store, path).unwrap();
    assert_same(&before, &files(path.parent().unwrap()));
    imported.taken[0].rows
}

fn refused(path: &Path) -> Code {
    let Fixture { store, dir: _dir } = empty();
    let code = code(try_import(&store, path));
    assert_eq!(head(&store).0, 0);
    code
}

fn assert_same(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, bytes) in before {
        assert!(*bytes == after[name], "{name} was changed");
    }
}

fn add(conn: &Connection, id: i64) {
    let sql =
        "INSERT INTO projects VALUES (?1, '/src/' || ?1, '', '', '2026-06-01 08:00:00', NULL)";
    conn.execute(sql, [format!("p{id}")]).unwrap();
}

/// A source that a program has open in WAL mode, with this many projects in the `-wal` only.
fn live(path: &Path, count: i64) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
    conn.execute_batch(JUNE).unwrap();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    for id in 0..count {
        add(&conn, id);
    }
    conn
}

#[test]
fn a_file_that_is_no_database_of_ao_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        fs::write(dir.path().join(name), bytes).unwrap();
        dir.path().join(name)
    };
    assert_eq!(refused(&dir.path().join("missing")), Code::InvalidPath);
    assert_eq!(refused(dir.path()), Code::InvalidSource);
    assert_eq!(refused(&file("empty", b"")), Code::InvalidSource);
    assert_eq!(refused(&file("short", b"SQLite format 3\0")), Code::InvalidSource);
    assert_eq!(refused(&file("garbage", &[b'x'; 8192])), Code::InvalidSource);
    let mut header = b"SQLite format 3\0".to_vec();
    header.resize(8192, 0xff);
    assert_eq!(refused(&file("header", &header)), Code::InvalidSource);
    let other = source(dir.path(), &["CREATE TABLE users (id); CREATE VIEW projects AS SELECT 1"]);
    assert_eq!(refused(&other), Code::InvalidSource);
    let nothing = dir.path().join("nothing.db");
    Connection::open(&nothing).unwrap().execute_batch("PRAGMA user_version = 1").unwrap();
    assert_eq!(refused(&nothing), Code::InvalidSource);
}

#[test]
fn a_store_is_refused_as_a_source_and_not_changed() {
    let Fixture { store, dir } = empty();
    let path = dir.path().join("ao.db");
    assert_eq!(code(try_import(&store, &path)), Code::InvalidSource);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(code(try_import(&store, &link)), Code::InvalidSource);
    let (other, _) = Store::create(&dir.path().join("other.db"), Options::default()).unwrap();
    assert_eq!(code(try_import(&store, other.path())), Code::InvalidSource);
}

#[test]
fn a_damaged_file_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = source(dir.path(), &[JUNE]);
    let conn = Connection::open(&path).unwrap();
    (0..500).for_each(|id| add(&conn, id));
    drop(conn);
    let bytes = fs::read(&path).unwrap();
    let cut = dir.path().join("cut.db");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(refused(&cut), Code::Corrupt);
    let mut torn = bytes;
    let half = torn.len() / 2;
    torn[half..].fill(0xff);
    fs::write(&cut, &torn).unwrap();
    assert_eq!(refused(&cut), Code::Corrupt);
}

#[test]
fn a_closed_database_is_read_without_changing_a_file_in_either_mode() {
    for mode in ["DELETE", "WAL"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a b?c#d%20é.db");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(&format!("PRAGMA journal_mode = {mode}; {JUNE}")).unwrap();
        (0..3).for_each(|id| add(&conn, id));
        drop(conn);
        assert_eq!(files(dir.path()).len(), 1);
        assert_eq!(projects(&path), 3, "{mode}");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(projects(&link), 3, "{mode}");
    }
}

#[test]
fn the_newest_commits_of_a_database_in_use_are_read() {
    for count in [0, 1, 3] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("source.db");
        let conn = live(&path, count);
        let Fixture { store, dir: _dir } = empty();
        let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
        let before = (read("source.db"), read("source.db-wal"));
        let imported = try_import(&store, &path).unwrap();
        assert_eq!(imported.taken[0].rows, count.unsigned_abs());
        assert!(before == (read("source.db"), read("source.db-wal")));
        add(&conn, 10);
        assert_eq!(files(dir.path()).len(), 3);
    }
}

/// In the tests above, locks and shared memory belong to one process; in use, to two.
#[test]
fn the_newest_commits_of_another_process_are_read() {
    if !has_shell() {
        return;
    }
    for count in [0, 1, 3] {
        let dir = tempfile::tempdir().unwrap();
        let path = source(dir.path(), &[JUNE, "PRAGMA journal_mode = WAL"]);
        let mut shell = Command::new(SHELL);
        let shell = shell.arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut shell = shell.unwrap();
        let mut input = shell.stdin.take().unwrap();
        let adds = (0..count).map(|id| {
            format!("INSERT INTO projects VALUES ('p{id}', '/{id}', '', '', 1, NULL);\n")
        });
        let script = format!("SELECT 1 FROM projects;\n{}.print ready\n", adds.collect::<String>());
        input.write_all(script.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let Fixture { store, dir: _dir } = empty();
        let before = files(dir.path());
        assert_eq!(before.len(), 3);
        let imported = try_import(&store, &path).unwrap();
        assert_eq!(imported.taken[0].rows, count);
        assert_same(&before, &files(dir.path()));
        drop(input);
        assert!(shell.wait().unwrap().success());
    }
}

#[test]
fn an_import_blocks_no_writer_and_reads_one_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("source.db");
    let conn = live(&path, 2);
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    add(&conn, 2);
    let Fixture { store, dir: _dir } = empty();
    assert_eq!(try_import(&store, &path).unwrap().taken[0].rows, 2, "it is not committed");
    conn.execute_batch("COMMIT").unwrap();
}

#[test]
fn files_left_by_a_crash_are_read_if_that_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let conn = live(&dir.path().join("source.db"), 3);
    let crashed = tempfile::tempdir().unwrap();
    let copy = |name: &str| fs::copy(dir.path().join(name), crashed.path().join(name)).unwrap();
    for name in ["source.db", "source.db-wal", "source.db-shm"] {
        copy(name);
    }
    drop(conn);
    let path = crashed.path().join("source.db");
    assert_eq!(projects(&path), 3);
    fs::remove_file(crashed.path().join("source.db-shm")).unwrap();
    let before = files(crashed.path());
    assert_eq!(refused(&path), Code::InvalidSource, "its newest commits would be lost");
    assert_same(&before, &files(crashed.path()));
    fs::write(crashed.path().join("source.db-wal"), b"").unwrap();
    assert_eq!(projects(&path), 0);
}

#[test]
fn a_hot_journal_is_refused_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = source(dir.path(), &[JUNE]);
    let conn = Connection::open(&path).unwrap();
    (0..500).for_each(|id| add(&conn, id));
    conn.execute_batch("PRAGMA cache_size = 2; BEGIN; UPDATE projects SET path = path || 'x'")
        .unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let copy = |name: &str| fs::copy(dir.path().join(name), crashed.path().join(name)).unwrap();
    for name in ["source.db", "source.db-journal"] {
        copy(name);
    }
    let before = files(crashed.path());
    assert_eq!(refused(&crashed.path().join("source.db")), Code::InvalidSource);
    assert_same(&before, &files(crashed.path()));
}
