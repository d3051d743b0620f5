//! Creating and migrating: two processes at once both succeed, a kill leaves the old schema or the
//! new one, and a file that is no store is refused and not changed.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ao_store::row::project;
use ao_store::{Code, Error, Options, SCHEMA_VERSION, Store};

use crate::disk_full::Mount;
use crate::kill::Random;
use crate::support::{
    Fixture, add_session, cause, child, child_argument, code, empty, fixture, from_env,
    new_project, number, raw, strings, wal,
};

fn create(path: &Path) -> Result<Store, Error> {
    Store::create(path, Options::default()).map(|(store, _)| store)
}

fn open(path: &Path) -> Result<Store, Error> {
    Store::open(path, Options::default())
}

/// The outcomes of everything that opens a database as a store.
fn open_in_every_way(path: &Path) -> [Result<(), Error>; 5] {
    let options = Options::default;
    [
        open(path).map(|_| ()),
        create(path).map(|_| ()),
        Store::migrate(path, options()).map(|_| ()),
        Store::schema_version(path, options()).map(|_| ()),
        ao_store::check_source(path).map(|_| ()),
    ]
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_child_creates_a_store() {
    let Some(path) = child_argument() else { return };
    println!("\nready");
    let (_, migrated) = Store::create(Path::new(&path), Options::default()).unwrap();
    assert_eq!(migrated.to, SCHEMA_VERSION);
}

#[test]
fn two_processes_that_create_the_same_store_both_succeed() {
    for round in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data/ao.db");
        let children: Vec<_> = (0..2)
            .map(|_| {
                child("migration::a_child_creates_a_store", path.to_str().unwrap())
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(
                output.status.success(),
                "round {round}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        open(&path).unwrap();
        assert_eq!(Store::migrate(&path, Options::default()).unwrap().applied, [""; 0]);
        let conn = raw(&path);
        assert_eq!(number(&conn, "SELECT count(*) FROM log_meta"), 1);
        assert_eq!(number(&conn, "PRAGMA auto_vacuum"), 2, "incremental");
        assert_eq!(strings(&conn, "PRAGMA journal_mode"), ["wal"]);
    }
}

#[test]
fn threads_that_create_the_same_store_all_succeed() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| create(&path).map(|_| ()))).collect();
            for thread in threads {
                thread.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn a_kill_leaves_no_file_or_a_store() {
    let seed = u64::from(from_env("AO_SEED", 20_261_121));
    println!("AO_SEED={seed}");
    let mut random = Random(seed.max(1));
    let (mut old, mut new) = (0, 0);
    for _ in 0..50 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        let mut child = child("migration::a_child_creates_a_store", path.to_str().unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "ready"), "the child did not come up");
        std::thread::sleep(Duration::from_micros(random.below(10_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        if path.exists() {
            let conn = raw(&path);
            let version = number(&conn, "PRAGMA user_version");
            assert_eq!(version, i64::from(SCHEMA_VERSION), "something between nothing and all");
            new += 1;
        } else {
            old += 1;
        }
        let store = create(&path).unwrap();
        let project = new_project("demo");
        store.write(cause(), move |tx| project::add(tx, &project)).unwrap();
        Store::migrate(&path, Options::default()).unwrap();
    }
    println!("{old} without a file, {new} with a store");
}

#[test]
fn a_newer_schema_is_refused() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    raw(&path).execute_batch("PRAGMA user_version = 99").unwrap();
    assert_eq!(code(open(&path)), Code::SchemaTooNew);
    assert_eq!(code(create(&path)), Code::SchemaTooNew);
    assert_eq!(code(Store::migrate(&path, Options::default())), Code::SchemaTooNew);
    assert_eq!(Store::schema_version(&path, Options::default()).unwrap(), 99);
    drop(store);
}

#[test]
fn a_database_of_another_draft_is_refused_as_such() {
    for draft in [
        "UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1",
        "UPDATE refinery_schema_history SET name = 'log_projects_sessions', checksum = '2';
         UPDATE log_meta SET format = 4; PRAGMA user_version = 4",
    ] {
        let Fixture { store, dir } = fixture();
        let path = dir.path().join("ao.db");
        drop(store);
        raw(&path).execute_batch(draft).unwrap();
        let version = number(&raw(&path), "PRAGMA user_version");
        for refused in open_in_every_way(&path) {
            let error = refused.unwrap_err();
            assert_eq!(error.code(), Code::SchemaDraft, "{draft}");
            assert!(error.to_string().contains(&format!("(schema {version})")), "{error}");
        }
    }
}

#[test]
fn a_store_whose_schema_became_newer_refuses_its_first_write() {
    let Fixture { store: _store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let second = open(&path).unwrap();
    raw(&path).execute_batch("PRAGMA user_version = 99").unwrap();
    let new = new_project("x");
    assert_eq!(code(second.write(cause(), move |tx| project::add(tx, &new))), Code::SchemaTooNew);
}

#[test]
fn a_file_that_is_no_store_is_refused_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = |name: &str, sql: &str| {
        let path = dir.path().join(name);
        raw(&path).execute_batch(sql).unwrap();
        path
    };
    let text = dir.path().join("text");
    std::fs::write(&text, "not a database, but a text that is long enough\n".repeat(100)).unwrap();
    let short = dir.path().join("short");
    std::fs::write(&short, "x".repeat(600)).unwrap();
    let files = [
        text,
        short,
        foreign("tables", "CREATE TABLE t (x); INSERT INTO t VALUES (1)"),
        foreign("id", "PRAGMA application_id = 7; CREATE TABLE t (x)"),
        foreign("id-only", "PRAGMA application_id = 7; PRAGMA user_version = 2; VACUUM"),
        foreign("alike", &format!("PRAGMA user_version = {SCHEMA_VERSION}; CREATE TABLE pr (x)")),
    ];
    for path in &files {
        let before = std::fs::read(path).unwrap();
        for refused in [open(path), create(path)] {
            assert_eq!(code(refused), Code::NotAStore, "{path:?}");
        }
        assert_eq!(code(Store::migrate(path, Options::default())), Code::NotAStore);
        assert_eq!(code(Store::schema_version(path, Options::default())), Code::NotAStore);
        assert_eq!(std::fs::read(path).unwrap(), before, "{path:?} was changed");
        assert!(!wal(path).exists(), "{path:?} got a write-ahead log");
    }
}

#[test]
fn a_store_is_created_only_where_there_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ao.db");
    assert_eq!(code(open(&path)), Code::StoreNotFound);
    assert_eq!(code(Store::migrate(&path, Options::default())), Code::StoreNotFound);
    assert!(!path.exists(), "asking creates nothing");
    let (_, migrated) = Store::create(&path, Options::default()).unwrap();
    assert_eq!(
        (migrated.from, migrated.to, migrated.applied.len()),
        (0, SCHEMA_VERSION, SCHEMA_VERSION as usize)
    );
    let again = Store::create(&path, Options::default()).unwrap().1;
    assert_eq!((again.from, again.applied.len()), (SCHEMA_VERSION, 0));
}

/// What `DROP TABLE` leaves is the table in which SQLite counts.
fn drop_tables() -> String {
    let fixture = empty();
    let conn = raw(&fixture.path());
    let tables = "SELECT 'DROP TABLE ' || name || ';' FROM sqlite_schema WHERE type = 'table'
        AND name NOT LIKE 'sqlite%' UNION ALL
        SELECT 'DROP VIEW ' || name || ';' FROM sqlite_schema WHERE type = 'view'";
    format!("PRAGMA foreign_keys = OFF; {}", strings(&conn, tables).concat())
}

/// Refused by everything that opens a store, and not changed; the last column is the code.
#[test]
fn what_another_program_left_of_a_store_is_never_made_an_empty_store() {
    let drop_all = "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema;
        PRAGMA writable_schema = OFF;";
    let cases = [
        ("", Code::Corrupt),
        (drop_all, Code::Corrupt),
        (&drop_tables(), Code::Corrupt),
        (&format!("{drop_all} PRAGMA user_version = 0; VACUUM;"), Code::Corrupt),
        (&format!("{drop_all} PRAGMA user_version = 0; CREATE TABLE t (x);"), Code::SchemaMismatch),
        ("PRAGMA user_version = 0", Code::SchemaMismatch),
        ("PRAGMA user_version = -1", Code::SchemaMismatch),
        ("DROP TABLE refinery_schema_history", Code::SchemaMismatch),
        ("PRAGMA application_id = 7", Code::NotAStore),
        ("PRAGMA application_id = 0; PRAGMA user_version = 0", Code::NotAStore),
    ];
    for (sql, expected) in cases {
        let Fixture { store, dir } = fixture();
        let path = dir.path().join("ao.db");
        drop(store);
        if sql.is_empty() {
            std::fs::write(&path, "").unwrap();
        } else {
            let script = format!("PRAGMA journal_mode = DELETE; {sql}");
            raw(&path).execute_batch(&script).unwrap();
        }
        let before = std::fs::read(&path).unwrap();
        for refused in open_in_every_way(&path) {
            assert_eq!(code(refused), expected, "{sql}");
        }
        let same_content = |bytes: &[u8]| bytes.get(96..) == before.get(96..);
        assert!(same_content(&std::fs::read(&path).unwrap()), "{sql}: it was changed");
    }
}

#[test]
fn a_changed_schema_is_reported() {
    for change in [
        "DROP TRIGGER capture_pr_delete",
        "DROP INDEX pr_location",
        "ALTER TABLE pr ADD COLUMN x TEXT",
        "CREATE TRIGGER x AFTER INSERT ON pr BEGIN DELETE FROM change_log; END",
    ] {
        let Fixture { store: _store, dir } = empty();
        let path = dir.path().join("ao.db");
        raw(&path).execute_batch(change).unwrap();
        assert_eq!(
            code(Store::migrate(&path, Options::default())),
            Code::SchemaMismatch,
            "{change}"
        );
    }
}

#[test]
fn files_and_folders_are_accessible_to_their_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/data/ao.db");
    let store = create(&path).unwrap();
    let new = new_project("demo");
    store.write(cause(), move |tx| project::add(tx, &new)).unwrap();
    add_session(&store, "demo", "");
    for folder in ["deep", "deep/data"] {
        assert_eq!(mode(&dir.path().join(folder)), 0o700, "{folder}");
    }
    for suffix in ["", "-wal", "-shm"] {
        let file = dir.path().join(format!("deep/data/ao.db{suffix}"));
        assert_eq!(mode(&file), 0o600, "{file:?}");
    }
}

#[test]
fn a_path_that_cannot_be_written_gives_a_typed_error() {
    for path in ["/sys/ao-store-test/ao.db", "/proc/ao.db", "/dev/null/ao.db"] {
        let code = code(create(Path::new(path)));
        assert!(matches!(code, Code::ReadOnly | Code::Io), "{path}: {code:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(code(create(dir.path())), Code::NotAStore, "a folder");
    let root = dir.path().join("place");
    let Some(mount) = Mount::new(&root, "size=4m") else { return };
    let path = root.join("ao.db");
    let store = create(&path).unwrap();
    let new = new_project("demo");
    store.write(cause(), move |tx| project::add(tx, &new)).unwrap();
    drop(store);
    mount.remount("ro");
    for refused in [
        open(&path).map(|_| ()),
        create(&path).map(|_| ()),
        create(&root.join("new.db")).map(|_| ()),
    ] {
        if let Err(error) = refused {
            assert!(matches!(error.code(), Code::ReadOnly | Code::Io), "{error:?}");
        }
    }
    let refused = open(&path).and_then(|store| {
        let new = new_project("x");
        store.write(cause(), move |tx| project::add(tx, &new)).map(|_| ())
    });
    assert!(matches!(code(refused), Code::ReadOnly | Code::Io));
}
