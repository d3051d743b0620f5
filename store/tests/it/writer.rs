//! The writer: a failed job does not affect others of its commit, a value is returned only when it
//! is durable, and the wait for a lock of another process is bounded.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ao_store::row::session;
use ao_store::{Code, Options, Seq, SessionId, Store};

use crate::support::{
    Fixture, add_session, assert_log_equals_tables, cause, changes, changes_after, code, fixture,
    head, number, raw, wal,
};

/// How many transactions the write-ahead log holds.
fn commits(path: &Path) -> usize {
    let bytes = std::fs::read(wal(path)).unwrap();
    let frames = bytes.get(32..).unwrap_or_default().chunks_exact(24 + 4096);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

fn name(store: &Store, id: &str) -> String {
    let id = id.parse().unwrap();
    store.read(|snapshot| session::require(snapshot, &id)).unwrap().name
}

/// How often this process has the file open.
fn opened(path: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    links.filter(|link| std::fs::read_link(link.path()).is_ok_and(|file| file == path)).count()
}

#[test]
fn the_first_write_opens_no_second_connection() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().canonicalize().unwrap().join("ao.db");
    drop(store);
    let store = Store::open(&path, Options::default()).unwrap();
    let id = add_session(&store, "demo", "");
    assert_eq!(opened(&path), 1);
    // A read takes a connection that cannot write.
    assert_eq!(name(&store, id.as_str()), "");
    assert_eq!(opened(&path), 2);
    add_session(&store, "demo", "");
    assert_eq!(opened(&path), 2);
}

#[test]
fn jobs_that_fail_or_panic_do_not_affect_others_of_their_batch() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let ids: Vec<_> = (0..12).map(|_| add_session(&store, "demo", "")).collect();
    let start = head(&store);
    let before = commits(&path);
    // While another connection holds the lock, all jobs queue up.
    let lock = raw(&path);
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ready = Barrier::new(13);
    thread::scope(|scope| {
        let jobs: Vec<_> = ids
            .iter()
            .enumerate()
            .map(|(i, id)| {
                let (store, ready) = (&store, &ready);
                scope.spawn(move || {
                    ready.wait();
                    let id = id.clone();
                    store.write(cause(), move |tx| {
                        session::rename(tx, &id, "first")?;
                        let done = session::rename(tx, &id, &format!("name {i}"))?;
                        match i % 3 {
                            0 => Ok(done),
                            1 => session::require(tx, &"ghost-1".parse()?),
                            _ => panic!("a job panics on purpose"),
                        }
                    })
                })
            })
            .collect();
        ready.wait();
        thread::sleep(Duration::from_millis(100));
        lock.execute_batch("ROLLBACK").unwrap();
        for (i, job) in jobs.into_iter().enumerate() {
            match (i % 3, job.join().unwrap()) {
                (0, Ok(done)) => {
                    assert_eq!((done.value.name, done.changes), (format!("name {i}"), 2))
                }
                (1, Err(error)) => assert_eq!(error.code(), Code::SessionNotFound),
                (2, Err(error)) => assert!(error.to_string().contains("on purpose"), "{error}"),
                (_, other) => panic!("{i}: {other:?}"),
            }
        }
    });
    for (i, id) in ids.iter().enumerate() {
        let expected = if i % 3 == 0 { format!("name {i}") } else { String::new() };
        assert_eq!(name(&store, id.as_str()), expected);
    }
    assert!(commits(&path) - before < 4, "the four good jobs shared commits");
    let made = changes_after(&store, start);
    assert_eq!(made.len(), 8);
    assert!(made.chunks(2).all(|two| two[0].tx == Some(two[0].seq) && two[1].tx == two[0].tx));
    assert_log_equals_tables(&store, &raw(&path));
}

#[test]
fn a_value_is_returned_after_its_commit_with_the_cursor_of_its_changes() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let ids: Vec<_> = (0..6).map(|_| add_session(&store, "demo", "")).collect();
    thread::scope(|scope| {
        for id in &ids {
            let (store, path) = (&store, &path);
            scope.spawn(move || {
                let other = raw(path);
                for i in 0..15 {
                    let (job, name) = (id.clone(), format!("{id} {i}"));
                    let done = store
                        .write(cause(), {
                            let name = name.clone();
                            move |tx| session::rename(tx, &job, &name)
                        })
                        .unwrap();
                    let sql = "SELECT name FROM session WHERE id = ?1";
                    let seen: String =
                        other.query_row(sql, [id.as_str()], |row| row.get(0)).unwrap();
                    assert_eq!((seen, done.changes), (name.clone(), 1));
                    let sql = "SELECT json_extract(after, '$.name') FROM change_log WHERE seq = ?1";
                    let seen: String =
                        other.query_row(sql, [done.cursor.seq.0], |row| row.get(0)).unwrap();
                    assert_eq!(seen, name, "the cursor is that of the job's own last change");
                }
            });
        }
    });
    assert_log_equals_tables(&store, &raw(&path));
}

#[test]
fn a_job_without_changes_returns_the_cursor_of_the_head() {
    let Fixture { store, dir: _dir } = fixture();
    let start = head(&store);
    let done = store.write(cause(), |tx| session::require(tx, &"demo-1".parse()?)).unwrap();
    assert_eq!((done.cursor.seq, done.changes), (start, 0));
    let done = store.write(cause(), |tx| session::rename(tx, &"demo-1".parse()?, "x")).unwrap();
    assert_eq!((done.cursor.seq, done.changes), (start.next(), 1));
}

#[test]
fn the_change_context_is_closed_in_every_committed_state() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let stop = AtomicBool::new(false);
    let looks = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let conn = raw(&path);
            let mut looks = 0;
            while !stop.load(Ordering::Relaxed) {
                let open = number(
                    &conn,
                    "SELECT count(*) FROM change_context WHERE tx IS NOT NULL OR actor IS NOT NULL",
                );
                assert_eq!(open, 0);
                looks += 1;
            }
            looks
        });
        for i in 0..100 {
            store
                .write(cause(), move |tx| {
                    session::rename(tx, &"demo-1".parse()?, &format!("name {i}"))?;
                    if i % 3 == 0 { Err(ao_store::Error::Closed) } else { Ok(()) }
                })
                .ok();
        }
        stop.store(true, Ordering::Relaxed);
        watch.join().unwrap()
    });
    assert!(looks > 0);
    let rows = number(&raw(&path), "SELECT count(*) FROM change_context WHERE tx IS NULL");
    assert_eq!(rows, 1);
}

fn impatient(path: &Path) -> Store {
    Store::open(path, Options { busy: Duration::from_millis(200), ..Options::default() }).unwrap()
}

fn rename(store: &Store, i: usize) -> ao_store::Result<()> {
    let id: SessionId = "demo-1".parse()?;
    store.write(cause(), move |tx| session::rename(tx, &id, &format!("name {i}"))).map(|_| ())
}

#[test]
fn every_waiting_job_fails_with_busy_after_the_bound_and_later_jobs_succeed() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let second = impatient(&path);
    for is_first in [true, false] {
        let start = head(&store);
        let lock = raw(&path);
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        let since = Instant::now();
        thread::scope(|scope| {
            let jobs: Vec<_> = (0..12)
                .map(|i| {
                    scope.spawn({
                        let second = &second;
                        move || rename(second, i)
                    })
                })
                .collect();
            for job in jobs {
                assert_eq!(code(job.join().unwrap()), Code::Busy);
            }
        });
        let waited = since.elapsed();
        assert!(waited >= Duration::from_millis(190), "{waited:?}");
        assert!(
            waited < Duration::from_millis(1500),
            "each job waited for those before it: {waited:?}"
        );
        assert_eq!(head(&store), start, "first round {is_first}");
        assert!(second.read(|snapshot| snapshot.head()).is_ok(), "readers do not wait");
        lock.execute_batch("ROLLBACK").unwrap();
        rename(&second, usize::from(is_first)).unwrap();
        assert_eq!(head(&store), start.next());
    }
}

#[test]
fn the_bound_applies_after_the_writer_was_idle() {
    let Fixture { store: _store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let second = impatient(&path);
    rename(&second, 1).unwrap();
    // The idle writer cuts the write-ahead log back, for which it lifts its timeout.
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::fs::metadata(wal(&path)).unwrap().len() > 0 {
        assert!(Instant::now() < deadline, "the idle writer never cut the log back");
        thread::sleep(Duration::from_millis(20));
    }
    let lock = raw(&path);
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let since = Instant::now();
    assert_eq!(code(rename(&second, 2)), Code::Busy);
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

#[test]
fn a_job_waits_for_a_lock_that_is_released_in_time() {
    let Fixture { store, dir } = fixture();
    let lock = raw(&dir.path().join("ao.db"));
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let job = scope.spawn(|| rename(&store, 1));
        thread::sleep(Duration::from_millis(50));
        assert!(!job.is_finished());
        lock.execute_batch("COMMIT").unwrap();
        job.join().unwrap().unwrap();
    });
}

#[test]
fn jobs_queued_when_the_store_is_dropped_are_written() {
    let Fixture { store, dir } = fixture();
    let jobs: Vec<_> = (0..20)
        .map(|i| {
            let store = store.clone();
            thread::spawn(move || rename(&store, i))
        })
        .collect();
    drop(store);
    for job in jobs {
        job.join().unwrap().unwrap();
    }
    let store = Store::open(&dir.path().join("ao.db"), Options::default()).unwrap();
    assert_eq!(changes(&store).len(), 4 + 20);
    assert_eq!(head(&store), Seq(24));
}
