//! The queue of the processes that write: many at once all get their turn, none that is stopped or killed in
//! it holds the others for longer than their bound, one that is stopped there without writing delays them once,
//! and it is never in the way of a write.

use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ao_store::row::session;
use ao_store::{Code, Options, Seq, SessionId, Store};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    Fixture, assert_log_equals_tables, cause, changes_after, child, child_argument, code, fixture,
    head, raw,
};

/// How many write at once.
const PROCESSES: usize = 64;
/// How long they wait at most.
const PATIENCE: Duration = Duration::from_secs(120);

fn open(path: &Path, busy: Duration) -> Store {
    Store::open(path, Options { busy, is_brief: true, ..Options::default() }).unwrap()
}

fn rename(store: &Store, name: &str) -> ao_store::Result<()> {
    let (id, name): (SessionId, _) = ("demo-1".parse()?, name.to_owned());
    store.write(cause(), move |tx| session::rename(tx, &id, &name)).map(|_| ())
}

#[test]
fn a_child_writes_once() {
    let Some(argument) = child_argument() else { return };
    let (path, name) = argument.split_once('|').unwrap();
    rename(&open(path.as_ref(), PATIENCE), name).unwrap();
}

#[test]
fn many_processes_that_write_at_once_all_get_their_turn() {
    let Fixture { store, dir } = fixture();
    let (path, start) = (dir.path().join("ao.db"), head(&store));
    let start_one = |number: usize| {
        let argument = format!("{}|name {number}", path.display());
        let mut command = child("write_queue::a_child_writes_once", &argument);
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..PROCESSES).map(start_one).collect();
    // A long-lived writer beside them.
    for number in 0..PROCESSES {
        rename(&store, &format!("own {number}")).unwrap();
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let made = changes_after(&store, start).len();
    assert_eq!(made, 2 * PROCESSES);
    assert_eq!(head(&store), Seq(start.0 + i64::try_from(made).unwrap()));
    assert_log_equals_tables(&store, &raw(&path));
}

/// Another process, which is killed in the end.
struct Holder(Child);

impl Holder {
    fn start(test: &str, argument: &str) -> Holder {
        let mut command = child(test, argument);
        Holder(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn wait_for(&mut self, end: &str) {
        let mut output = BufReader::new(self.0.stdout.take().unwrap());
        assert!(output.by_ref().lines().any(|line| line.unwrap().ends_with(end)));
        self.0.stdout = Some(output.into_inner());
    }

    /// A process that stays in its write transaction.
    fn in_its_turn(path: &Path) -> Holder {
        let test = "write_queue::a_child_stays_in_its_turn";
        let mut holder = Holder::start(test, &path.display().to_string());
        holder.wait_for("in its turn");
        holder
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Stops it; returns once it is stopped.
    fn stop(&self) {
        self.signal(Signal::STOP);
        let deadline = Instant::now() + PATIENCE;
        let status = format!("/proc/{}/stat", self.0.id());
        while !fs::read_to_string(&status).unwrap().contains(") T ") {
            assert!(Instant::now() < deadline, "it was never stopped");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_child_stays_in_its_turn() {
    let Some(path) = child_argument() else { return };
    let store = open(path.as_ref(), PATIENCE);
    let stays = store.write(cause(), |_| {
        let mut out = std::io::stdout();
        out.write_all(b"in its turn\n")
            .and_then(|()| out.flush())
            .map_err(ao_store::Error::Input)?;
        let _ = std::io::stdin().read(&mut [0]);
        Ok(())
    });
    stays.unwrap();
}

#[test]
fn one_that_is_stopped_in_its_turn_makes_the_others_busy_within_their_bound() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let holder = Holder::in_its_turn(&path);
    holder.stop();
    let (bound, since) = (Duration::from_millis(200), Instant::now());
    let others = [open(&path, bound), open(&path, bound)];
    thread::scope(|scope| {
        for other in &others {
            scope.spawn(move || assert_eq!(code(rename(other, "x")), Code::Busy));
        }
    });
    assert!(since.elapsed() < PATIENCE);
    assert!(store.read(|snapshot| snapshot.head()).is_ok());
    // The kernel releases both locks of a killed process; those that wait go on.
    thread::scope(|scope| {
        let waits = scope.spawn(|| rename(&open(&path, PATIENCE), "after it"));
        drop(holder);
        waits.join().unwrap().unwrap();
    });
    for other in &others {
        rename(other, "again").unwrap();
        rename(&store, "and again").unwrap();
    }
}

#[test]
fn a_child_locks_a_file() {
    let Some(path) = child_argument() else { return };
    let file = File::open(path).unwrap();
    file.lock().unwrap();
    println!("\nlocked");
    let _ = std::io::stdin().read(&mut [0]);
}

fn is_locked(path: &Path) -> bool {
    matches!(File::open(path).unwrap().try_lock(), Err(TryLockError::WouldBlock))
}

/// A process that is stopped while it waits for its turn, as the first in line.
fn stopped_in_line(path: &Path) -> Holder {
    let [queue, turn] = ["ao.db.queue", "ao.db.turn"].map(|name| path.with_file_name(name));
    let (held, writes) = (File::open(turn).unwrap(), raw(path));
    held.lock().unwrap();
    // As long as a process writes, it waits.
    writes.execute_batch("BEGIN IMMEDIATE").unwrap();
    let argument = format!("{}|of the stopped one", path.display());
    let holder = Holder::start("write_queue::a_child_writes_once", &argument);
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "it never waited");
        if !is_locked(&queue) {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        holder.stop();
        if is_locked(&queue) {
            return holder;
        }
        // It only looked whether its turn was free.
        holder.signal(Signal::CONT);
    }
}

/// Stopped after it got its turn and before its transaction, or after that and before it gave the turn back.
fn stopped_with_the_turn(path: &Path) -> Holder {
    let file = path.with_file_name("ao.db.turn").display().to_string();
    let mut holder = Holder::start("write_queue::a_child_locks_a_file", &file);
    holder.wait_for("locked");
    holder.stop();
    holder
}

#[test]
fn one_that_is_stopped_in_the_queue_delays_the_others_once() {
    for stopped in [stopped_in_line as fn(&Path) -> Holder, stopped_with_the_turn] {
        let Fixture { store, dir } = fixture();
        let path = dir.path().join("ao.db");
        let lasting = open(&path, PATIENCE);
        rename(&store, "first").unwrap();
        rename(&lasting, "second").unwrap();
        let (mut holder, start, since) = (stopped(&path), head(&store), Instant::now());
        // Several that wait already, a short process after the other, and two that have waited before.
        thread::scope(|scope| {
            for number in 0..4 {
                let path = &path;
                scope.spawn(move || rename(&open(path, PATIENCE), &format!("at once {number}")));
            }
        });
        for number in 0..20 {
            rename(&open(&path, PATIENCE), &format!("short {number}")).unwrap();
            rename(&lasting, &format!("lasting {number}")).unwrap();
        }
        assert!(since.elapsed() < PATIENCE, "one of them waited for its whole bound");
        assert_eq!(head(&store), Seq(start.0 + 44));
        // Those that come now take turns again.
        assert!(!is_locked(&path.with_file_name("ao.db.queue")));
        holder.signal(Signal::CONT);
        drop(holder.0.stdin.take());
        assert!(holder.0.wait().unwrap().success());
        rename(&store, "last").unwrap();
        assert_log_equals_tables(&store, &raw(&path));
    }
}

#[test]
fn one_that_hangs_in_the_queue_without_writing_delays_and_refuses_nothing() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    rename(&store, "first").unwrap();
    let (other, start) = (open(&path, Duration::from_millis(100)), head(&store));
    for suffix in ["queue", "turn"] {
        let file = File::open(path.with_file_name(format!("ao.db.{suffix}"))).unwrap();
        file.lock().unwrap();
        rename(&other, &format!("{suffix} 1")).unwrap();
        rename(&other, &format!("{suffix} 2")).unwrap();
    }
    assert_eq!(head(&store), Seq(start.0 + 4));
}

#[test]
fn a_busy_process_leaves_turns_to_others() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u64.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                rename(&store, &format!("busy {number}")).unwrap();
            }
        });
        let other = open(&path, PATIENCE);
        let done: Vec<_> = (0..50).map(|number| rename(&other, &format!("{number}"))).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    });
}

#[test]
fn files_that_are_missing_replaced_or_no_files_are_in_nobodys_way() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let other = open(&path, PATIENCE);
    let both = |what: &str| {
        rename(&store, &format!("{what} 1")).unwrap();
        rename(&other, &format!("{what} 2")).unwrap();
    };
    both("first");
    for name in ["ao.db.queue", "ao.db.turn"] {
        let file = dir.path().join(name);
        let is_there = || fs::symlink_metadata(&file).unwrap().is_file();
        assert!(is_there());
        fs::remove_file(&file).unwrap();
        both("deleted");
        assert!(is_there());
        fs::remove_file(&file).unwrap();
        symlink(dir.path().join("outside"), &file).unwrap();
        both("a link");
        assert!(!dir.path().join("outside").exists());
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        both("a folder");
        fs::remove_dir(&file).unwrap();
        both("again");
        assert!(is_there());
    }
    assert_log_equals_tables(&store, &raw(&path));
}

/// A panic whose value panics when it is dropped.
struct Twice;

impl Drop for Twice {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("the value of a panic panics on purpose");
        }
    }
}

#[test]
fn a_leader_that_panics_ends_the_writer_and_neither_its_callers_nor_other_writers_hang() {
    let Fixture { store, dir } = fixture();
    let start = head(&store);
    let bomb = store.write(cause(), |tx| {
        session::rename(tx, &"demo-1".parse()?, "lost")?;
        std::panic::panic_any(Twice);
        #[expect(unreachable_code, reason = "the type of the job")]
        Ok(())
    });
    assert_eq!(code(bomb), Code::Internal);
    assert_eq!(code(rename(&store, "closed")), Code::Internal);
    assert_eq!(head(&store), start, "it is rolled back, and readers go on");
    for pass in [store.background().retention, store.background().checkpoint] {
        assert!(
            pass.is_failed && pass.outcome.starts_with("the writer ended after a panic"),
            "{pass:?}"
        );
    }
    rename(&open(&dir.path().join("ao.db"), PATIENCE), "by another").unwrap();
    assert_eq!(head(&store), start.next());
}
