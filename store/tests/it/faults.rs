//! Disk errors in a writing process, and their effect for operators: a failed fsync halts the
//! writer, a full disk does not, and pruning uses the ballast.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ao_store::log::consumer::{self, NewConsumer, Policy};
use ao_store::log::reservation;
use ao_store::log::retention::Rules;
use ao_store::row::project;
use ao_store::{BALLAST_BYTES, Code, Options, Store, Timestamp, ballast_path};

use crate::backup::fill;
use crate::disk_full::Mount;
use crate::support::{
    Fixture, T0, add_session, assert_sound, at, cause, child, child_argument, code, fixture, head,
    info, kept, live_rows, new_project, number, raw, rename, strings, try_rename,
};

const WRITES: i64 = 12;

/// What a child does: each write is reported with its outcome.
#[test]
fn a_child_writes_on_a_failing_disk() {
    let Some(path) = child_argument() else { return };
    let store = match Store::open(Path::new(&path), Options::default()) {
        Ok(store) => store,
        Err(error) => return println!("\nrefused {} to open {error:?}", error.code().name()),
    };
    for i in 0..WRITES {
        match try_rename(&store, "demo-1", 1, T0 + i) {
            Ok(_) => println!("\nacknowledged {}", T0 + i),
            Err(error) => println!("\nrefused {} {error:?}", error.code().name()),
        }
    }
    println!("\nhead {}", head(&store));
}

/// A child under a tracer that makes a system call fail; `None` with the reason printed when there is
/// none or it is not permitted.
fn traced(path: &Path, calls: &str, inject: &str) -> Option<Vec<String>> {
    let mut probe = Command::new("strace");
    match probe.args(["-f", "-e", "trace=fsync", "-o", "/dev/null", "true"]).output() {
        Ok(output) if output.status.success() => {}
        other => {
            println!("skipped: strace is missing or not permitted: {other:?}");
            return None;
        }
    }
    let inner = child("faults::a_child_writes_on_a_failing_disk", path.to_str().unwrap());
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={inject}"), "--"]);
    command.arg(inner.get_program()).args(inner.get_args()).env("AO_CHILD", path);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let reported = ["acknowledged ", "refused ", "head "];
    let lines =
        text.lines().filter(|line| reported.iter().any(|reported| line.starts_with(reported)));
    Some(lines.map(str::to_owned).collect())
}

/// The times of the renames that are in the log.
fn stored(store: &Store) -> Vec<String> {
    let changes = kept(store);
    let renamed = changes.iter().filter(|change| change.kind() == "session_updated");
    renamed.map(|change| format!("acknowledged {}", change.at.0)).collect()
}

fn assert_acknowledged_is_stored(path: &Path, reported: &[String]) -> Store {
    let store = Store::open(path, Options::default()).unwrap();
    let stored = stored(&store);
    for line in reported.iter().filter(|line| line.starts_with("acknowledged")) {
        assert!(stored.contains(line), "{line} was lost: {reported:?}");
    }
    assert_sound(&store);
    rename(&store, "demo-2", 1, T0);
    assert_sound(&store);
    store
}

#[test]
fn a_failed_fsync_halts_the_writer() {
    let mut halted = 0;
    for when in 1..=6 {
        let Fixture { store, dir } = fixture();
        drop(store);
        let path = dir.path().join("ao.db");
        let inject = format!("fdatasync,fsync:error=EIO:when={when}");
        let Some(reported) = traced(&path, "fdatasync,fsync", &inject) else { return };
        let outcomes: Vec<_> = reported.iter().filter(|line| !line.starts_with("head")).collect();
        assert_eq!(outcomes.len(), WRITES as usize, "{reported:?}");
        let first = outcomes.iter().position(|line| line.starts_with("refused"));
        if let Some(first) = first {
            halted += 1;
            assert!(outcomes[first].starts_with("refused IO_ERROR Sqlite"), "{reported:?}");
            for later in &outcomes[first + 1..] {
                assert!(later.starts_with("refused IO_ERROR Halted"), "{reported:?}");
            }
        }
        let store = assert_acknowledged_is_stored(&path, &reported);
        // One more may be stored: the result of the failed write is not known.
        let acknowledged = reported.iter().filter(|line| line.starts_with("ack")).count();
        let found = stored(&store).len() - 1;
        assert!((acknowledged..=acknowledged + 1).contains(&found), "{found}: {reported:?}");
    }
    assert!(halted >= 4, "the faults hardly hit anything: {halted}");
}

#[test]
fn a_temporarily_full_disk_does_not_halt_the_writer() {
    let mut hit = 0;
    for when in [1, 2, 3, 5, 8, 12, 20] {
        let Fixture { store, dir } = fixture();
        drop(store);
        let path = dir.path().join("ao.db");
        let inject = format!("pwrite64:error=ENOSPC:when={when}");
        let Some(reported) = traced(&path, "pwrite64", &inject) else { return };
        let refused: Vec<_> = reported.iter().filter(|line| line.starts_with("refused")).collect();
        assert!(refused.len() <= 1, "{reported:?}");
        assert!(refused.iter().all(|line| line.starts_with("refused DISK_FULL")), "{reported:?}");
        hit += refused.len();
        let store = assert_acknowledged_is_stored(&path, &reported);
        let acknowledged = reported.iter().filter(|line| line.starts_with("ack")).count();
        assert_eq!(stored(&store).len() - 1, acknowledged, "what was refused is not there");
    }
    assert!(hit >= 2, "the faults hardly hit anything: {hit}");
}

/// A store on a disk that is just large enough, with its ballast.
fn on_small_disk(root: &Path) -> (Store, PathBuf) {
    let path = root.join("ao.db");
    let (store, _) = Store::create(&path, Options::default()).unwrap();
    assert!(!ballast_path(&path).exists(), "there is too little room for one");
    let new = new_project("demo");
    store.write(cause(), move |tx| project::add(tx, &new)).unwrap();
    add_session(&store, "demo", "a");
    for i in 0..40 {
        rename(&store, "demo-1", 20, T0 + i);
    }
    std::fs::write(ballast_path(&path), vec![1; BALLAST_BYTES as usize]).unwrap();
    (store, path)
}

#[test]
fn on_a_full_disk_pruning_uses_the_ballast() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("small");
    let Some(_mount) = Mount::new(&root, "size=14m,mode=0700") else { return };
    let (store, path) = on_small_disk(&root);
    fill(&root, 200_000);
    let mut acknowledged = 0;
    let error = loop {
        match try_rename(&store, "demo-1", 5, T0 + 100 + acknowledged) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 100_000, "the disk never filled");
    };
    assert_eq!(error.code(), Code::DiskFull, "{error:?}");
    let (last, before) = (head(&store), kept(&store));
    assert_eq!(before.len() as i64, last.0, "reading goes on");
    let mut listener = store.listen().unwrap();
    assert!(!listener.wait(Duration::from_millis(1)).unwrap());

    let rules = Rules { keep_events: Some(100), ..Rules::default() };
    let pruned = store.prune(&at(T0 + 200), &rules, |_| {}).unwrap();
    assert!(pruned.used_ballast && !ballast_path(&path).exists());
    assert!(pruned.floor.0 >= last.0 - 120, "{pruned:?}");
    for i in 0..20 {
        rename(&store, "demo-1", 5, T0 + 300_000 + i);
    }
    assert_eq!(head(&store).0, last.0 + 100);
    let after = kept(&store);
    assert_eq!(after[..after.len() - 100], before[pruned.floor.0 as usize..], "nothing is lost");
    assert_sound(&store);
    let again = store.prune(&at(T0 + 400), &rules, |_| {}).unwrap();
    assert!(!again.used_ballast);
}

#[test]
fn a_disk_that_became_full_while_the_store_was_closed_can_be_relieved() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("small");
    let Some(_mount) = Mount::new(&root, "size=14m,mode=0700") else { return };
    let (store, path) = on_small_disk(&root);
    drop(store);
    fill(&root, 0);
    assert_eq!(code(Store::open(&path, Options::default())), Code::DiskFull);
    let (store, was_full) = Store::open_releasing_ballast(&path, Options::default()).unwrap();
    assert!(was_full && !ballast_path(&path).exists());
    let rules = Rules { keep_events: Some(10), ..Rules::default() };
    store.prune(&at(T0 + 200), &rules, |_| {}).unwrap();
    rename(&store, "demo-1", 5, T0 + 300);
    assert_sound(&store);
    drop(store);
    assert!(!Store::open_releasing_ballast(&path, Options::default()).unwrap().1);
}

#[test]
fn without_a_ballast_pruning_a_full_disk_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("small");
    let Some(_mount) = Mount::new(&root, "size=14m,mode=0700") else { return };
    let (store, path) = on_small_disk(&root);
    std::fs::remove_file(ballast_path(&path)).unwrap();
    // Something of another length is nobody's ballast.
    std::fs::write(ballast_path(&path), "mine").unwrap();
    fill(&root, 0);
    while try_rename(&store, "demo-1", 5, T0 + 100).is_ok() {}
    let rules = Rules { keep_events: Some(1), ..Rules::default() };
    assert_eq!(code(store.prune(&at(T0 + 200), &rules, |_| {})), Code::DiskFull);
    assert_eq!(std::fs::read(ballast_path(&path)).unwrap(), b"mine");
    // Not by its removal alone: a child of another test that has not begun yet may have it open.
    std::fs::write(root.join("filler"), "").unwrap();
    store.prune(&at(T0 + 200), &rules, |_| {}).unwrap();
    assert_sound(&store);
}

#[test]
fn a_store_with_the_file_name_of_the_ballast_is_not_used_as_ballast() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ballast");
    for _ in 0..2 {
        let (store, _) = Store::create(&path, Options::default()).unwrap();
        assert_sound(&store);
    }
    std::fs::write(dir.path().join("other"), "x").unwrap();
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("ballast"), "mine").unwrap();
    Store::create(&other.path().join("ao.db"), Options::default()).unwrap();
    assert_eq!(std::fs::read(other.path().join("ballast")).unwrap(), b"mine");
}

/// Everything that the capture probe could leave.
fn traces(path: &Path) -> (Vec<String>, usize, String) {
    let conn = raw(path);
    let mut found = strings(&conn, "SELECT name || seq FROM sqlite_sequence ORDER BY name");
    found.extend(strings(&conn, "SELECT seq || type FROM change_log"));
    found.extend(strings(&conn, "SELECT project_id || last_num FROM session_counter"));
    found.extend(strings(&conn, "SELECT key FROM capture_displaced"));
    let context = "SELECT at || '-' || foreign_writes || coalesce(tx, '') FROM change_context";
    let rows = live_rows(&conn);
    (found, rows.len(), strings(&conn, context).join(""))
}

#[test]
fn the_capture_probe_finds_uncaptured_tables_and_leaves_no_trace() {
    let sound = fixture();
    let before = traces(&sound.path());
    assert_eq!(sound.store.probe_capture().unwrap(), [""; 0]);
    assert_eq!(traces(&sound.path()), before);
    let silent = "DROP TRIGGER capture_pr_comment_insert;
        CREATE TRIGGER capture_pr_comment_insert AFTER INSERT ON pr_comment BEGIN SELECT 1; END";
    let twice = "CREATE TRIGGER more AFTER UPDATE ON session BEGIN
        INSERT INTO change_log (at, type, entity, op, key) VALUES (1, 'x', 'x', 'x', 'x'); END";
    let stops = "CREATE TRIGGER stops BEFORE UPDATE ON project BEGIN
        SELECT RAISE(ROLLBACK, 'not today'); END";
    let ignores = "CREATE TRIGGER ignores BEFORE INSERT ON pr BEGIN SELECT RAISE(IGNORE); END";
    for (fault, found) in [
        (
            "DROP TRIGGER capture_pr_update",
            "UPDATE pr SET title = '~' WHERE id = '~': gave nothing",
        ),
        ("DROP TRIGGER capture_session_delete", "DELETE FROM session"),
        (silent, "INSERT INTO pr_comment VALUES: gave nothing instead of pr_comment_added"),
        (twice, "gave session_terminated, x instead of session_terminated"),
        (
            stops,
            "UPDATE project SET name = '' WHERE id = '~': cannot write the capture probe: not today",
        ),
        (ignores, "INSERT INTO pr: gave nothing instead of pr_created"),
        ("ALTER TABLE pr_comment RENAME COLUMN body TO text", "pr_comment"),
        ("PRAGMA foreign_keys = OFF; DROP TABLE change_context", "change_context"),
    ] {
        let Fixture { store, dir } = fixture();
        let path = dir.path().join("ao.db");
        let conn = raw(&path);
        conn.execute_batch(fault).unwrap();
        let before = (!fault.contains("DROP TABLE")).then(|| traces(&path));
        match store.probe_capture() {
            Ok(reported) => {
                assert!(
                    reported.iter().any(|reported| reported.contains(found)),
                    "{fault}: {reported:#?}"
                );
                // Nothing was done after its transaction had ended.
                assert!(fault != stops || reported.len() == 1, "{reported:#?}");
            }
            Err(error) => assert!(format!("{error:?}").contains(found), "{fault}: {error:?}"),
        }
        if let Some(before) = before {
            assert_eq!(traces(&path), before, "{fault}: something stayed");
        }
    }
}

#[test]
fn the_statistics_are_exact() {
    let fixture = fixture();
    let (store, path) = (&fixture.store, fixture.path());
    for i in 0..40 {
        rename(store, "demo-1", 25, T0 + 1_000 * i);
    }
    let rules = Rules { keep_events: Some(200), ..Rules::default() };
    store.prune(&at(T0), &rules, |_| {}).unwrap();
    let (log, last) = (info(store), T0 + 39_000);
    let acked = log.cursor(ao_store::Seq(log.head.0 - 50));
    let new = NewConsumer {
        name: "c".parse().unwrap(),
        start: acked,
        filter: "{}".to_owned(),
        policy: Policy::Block,
    };
    store
        .write(at(last), move |tx| {
            reservation::reserve(tx, acked, "me", Duration::from_secs(9))?;
            consumer::create(tx, &new)
        })
        .unwrap();
    raw(&path).execute_batch("UPDATE session SET name = 'f' WHERE id = 'demo-2'").unwrap();
    let stats = store.stats(Timestamp(last + 5)).unwrap();
    let changes = kept(store);
    assert_eq!(stats.log, info(store));
    assert_eq!(stats.newest_at, changes.last().map(|change| change.at));
    assert_eq!(stats.unsealed, 1);
    let bytes = |after: i64| {
        let after = changes.iter().filter(|c| c.seq.0 > after);
        after.map(crate::prune::bytes_of).sum::<i64>() as u64
    };
    assert_eq!(stats.log_bytes, bytes(0));
    let size =
        |suffix: &str| std::fs::metadata(format!("{}{suffix}", path.display())).unwrap().len();
    assert_eq!((stats.database_bytes, stats.wal_bytes), (size(""), size("-wal")));
    let conn = raw(&path);
    let free = number(&conn, "PRAGMA freelist_count") * number(&conn, "PRAGMA page_size");
    assert_eq!(stats.free_bytes as i64, free);
    for (table, rows) in &stats.rows {
        assert_eq!(*rows as i64, number(&conn, &format!("SELECT count(*) FROM {table}")));
    }
    let (found, lag) = &stats.consumers[0];
    assert_eq!((found.name.as_str(), found.acked), ("c", acked));
    assert_eq!((lag.events, lag.bytes, lag.age_ms), (51, bytes(acked.seq.0), 1_005));
    assert_eq!(stats.reservations.len(), 1);
    assert_eq!(store.stats(Timestamp(last + 9_000)).unwrap().reservations, []);
    assert_eq!((stats.retention, stats.backup_at), (Rules::default(), None));
}
