//! Fixtures: a store in a temporary folder, writers of every kind, and bounded waits.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ao_cdc::{Changes, Event, Filter, Start, Tail};
use ao_store::LogInfo;
use ao_store::log::change::{self, Change};
use ao_store::log::retention::Rules;
use ao_store::row::session::{NewSession, SessionKind};
use ao_store::row::{project, session};
use ao_store::{Cause, Cursor, Options, Restored, Seq, SessionId, Store, Timestamp};
use tempfile::TempDir;

/// The bound of every wait: only a test that fails reaches it.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A store in a folder that is removed with it.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    _dir: TempDir,
}

impl Fixture {
    /// A store with an empty log.
    pub(crate) fn empty() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default()).unwrap();
        Fixture { store, _dir: dir }
    }

    /// A store with project `demo`, session `demo-1` and renames of it: `count` changes in all, in
    /// transactions of one to three.
    pub(crate) fn with_changes(count: i64) -> Fixture {
        let fixture = Fixture::empty();
        add_project(&fixture.store, "demo");
        add_sessions(&fixture.store, "demo", 1);
        while fixture.head().seq.0 < count {
            let left = count - fixture.head().seq.0;
            rename(&fixture.store, "test", "demo-1", left.min(1 + left % 3));
        }
        assert_eq!(fixture.head().seq.0, count);
        fixture
    }

    pub(crate) fn path(&self) -> &Path {
        self.store.path()
    }

    pub(crate) fn head(&self) -> Cursor {
        self.store.read(|snapshot| snapshot.head()).unwrap()
    }

    /// The newest change that was pruned.
    pub(crate) fn floor(&self) -> Seq {
        self.store.read(LogInfo::read).unwrap().floor
    }

    /// One change in a transaction of its own.
    pub(crate) fn commit(&self) -> Seq {
        rename(&self.store, "test", "demo-1", 1)
    }

    /// `count` of them.
    pub(crate) fn commits(&self, count: usize) {
        for _ in 0..count {
            self.commit();
        }
    }

    /// The same path after a restore of `source`.
    pub(crate) fn restored(self, source: &Path) -> Fixture {
        let (fixture, restored) = self.try_restore(source);
        restored.unwrap();
        fixture
    }

    /// Closes the store of this process, restores, and opens it again.
    pub(crate) fn try_restore(self, source: &Path) -> (Fixture, ao_store::Result<Restored>) {
        let Fixture { store, _dir } = self;
        let path = store.path().to_owned();
        drop(store);
        let options = Options { busy: Duration::from_millis(100), ..Options::default() };
        let restored = ao_store::restore(&path, source, options, Timestamp::now());
        (Fixture { store: Store::open(&path, Options::default()).unwrap(), _dir }, restored)
    }

    pub(crate) fn tail(&self, start: Start) -> Tail {
        Tail::open(&self.store, start, Filter::default()).unwrap()
    }

    /// The changes in the log, read without this crate.
    pub(crate) fn truth(&self) -> Vec<Change> {
        let read = self.store.read(|snapshot| {
            let floor = LogInfo::read(snapshot)?.floor;
            let mut changes = Vec::new();
            change::scan(snapshot, floor, usize::MAX, |change| {
                changes.push(change.to_owned()?);
                Ok(())
            })?;
            Ok(changes)
        });
        read.unwrap()
    }

    /// The wake-up sockets of this process.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path().with_file_name("wakeups")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

pub(crate) fn at(epoch: i64, seq: i64) -> Cursor {
    format!("{epoch}-{seq}").parse().unwrap()
}

pub(crate) fn cause(actor: &str) -> Cause {
    Cause::new(actor, Timestamp::now())
}

pub(crate) fn add_project(store: &Store, id: &str) {
    add_named_project(store, id, id);
}

pub(crate) fn add_named_project(store: &Store, id: &str, name: &str) {
    let new = project::NewProject {
        id: id.parse().unwrap(),
        path: format!("/src/{id}"),
        name: name.to_owned(),
        origin_url: String::new(),
        host: String::new(),
        repo: String::new(),
        default_branch: "main".to_owned(),
    };
    store.write(cause("test"), move |tx| project::add(tx, &new)).unwrap();
}

/// Adds sessions in one transaction.
pub(crate) fn add_sessions(store: &Store, project: &str, count: usize) {
    let new = NewSession {
        project: project.parse().unwrap(),
        kind: SessionKind::Worker,
        harness: "none".to_owned(),
        name: String::new(),
        issue: String::new(),
        branch: String::new(),
    };
    let add = move |tx: &ao_store::Tx<'_>| {
        for _ in 0..count {
            session::create(tx, &new)?;
        }
        Ok(())
    };
    store.write(cause("test"), add).unwrap();
}

/// A name that was not used before, long enough that a thousand of them fill some pages.
pub(crate) fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("name-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// `times` changes in one transaction; returns the seq of the last.
pub(crate) fn rename(store: &Store, actor: &str, session: &str, times: i64) -> Seq {
    let id: SessionId = session.parse().unwrap();
    let work = move |tx: &ao_store::Tx<'_>| {
        for _ in 0..times {
            session::rename(tx, &id, &fresh_name())?;
        }
        Ok(())
    };
    let committed = store.write(cause(actor), work).unwrap();
    assert_eq!(committed.changes, times.unsigned_abs());
    committed.cursor.seq
}

pub(crate) fn seqs<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<i64> {
    changes.into_iter().map(|change| change.seq.0).collect()
}

/// Every change after the position of the tail.
pub(crate) fn drain(tail: Tail) -> Vec<Change> {
    tail.to_head().collect::<Result<_, _>>().unwrap()
}

/// The next `count` changes, each in time.
pub(crate) fn take(changes: &mut Changes, count: usize) -> Vec<Change> {
    (0..count).map(|_| changes.next_within(SOON).unwrap().expect("a change in time")).collect()
}

/// The change of an event; without a filter there are no bookmarks.
pub(crate) fn change_of(event: ao_cdc::Result<Event>) -> Change {
    match event.unwrap() {
        Event::Change(change) => change,
        Event::Bookmark(cursor) => panic!("a bookmark at {cursor}"),
    }
}

/// Runs `work` in a thread and fails when it takes too long (the thread is then left behind).
pub(crate) fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(SOON).expect("the work ends in time")
}

pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether there is a stock `sqlite3` shell; a test that needs one ends without it.
#[expect(clippy::print_stdout, reason = "reports why a test was skipped")]
pub(crate) fn has_shell() -> bool {
    let found = Command::new("sqlite3").arg("--version").output().is_ok();
    if !found {
        println!("skipped: there is no sqlite3 shell");
    }
    found
}

/// Runs SQL as a foreign writer: a stock shell with none of our settings. Returns what it printed.
pub(crate) fn shell(path: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3")
        .args(["-bail", "-cmd", ".timeout 10000"])
        .arg(path)
        .arg(sql)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{sql}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Prunes everything up to a change that ends a transaction; the newest one always stays.
pub(crate) fn prune(store: &Store, up_to: i64) {
    let head = store.read(|snapshot| snapshot.head()).unwrap().seq.0;
    assert_eq!(keep_newest(store, (head - up_to).unsigned_abs()).0, up_to);
}

/// Prunes all but about the newest so many changes; returns the floor.
pub(crate) fn keep_newest(store: &Store, count: u64) -> Seq {
    let rules = Rules { keep_events: Some(count), ..Rules::default() };
    store.prune(&cause("pruner"), &rules, |_| ()).unwrap().floor
}

/// Prunes as a foreign writer, which our pruning never does: even the newest changes go.
pub(crate) fn cut(path: &Path, up_to: i64) {
    shell(
        path,
        &format!(
            "BEGIN; DELETE FROM change_log WHERE seq <= {up_to}; UPDATE log_meta SET floor = {up_to}; COMMIT;"
        ),
    );
}

pub(crate) fn next_epoch(path: &Path) {
    shell(path, "UPDATE log_meta SET epoch = epoch + 1");
}

/// A small random number generator: the same seed gives the same run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}

/// The seed of a run: `AO_SEED`, else a new one; printed, so that a run can be repeated.
#[expect(clippy::print_stdout, reason = "the seed of a run that failed")]
pub(crate) fn seed() -> u64 {
    let given = std::env::var("AO_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed =
        given.unwrap_or_else(|| Timestamp::now().0.unsigned_abs().wrapping_mul(0x9E37_79B9) | 1);
    println!("AO_SEED={seed}");
    seed
}

const PART: &str = "AO_CDC_TEST_PART";

/// The part that this process plays in the test of another process, and the database file.
pub(crate) fn part_and_path() -> Option<(String, PathBuf)> {
    let value = std::env::var(PART).ok()?;
    let (part, path) = value.split_once('@').unwrap();
    Some((part.to_owned(), path.into()))
}

/// The same with the store open.
pub(crate) fn part() -> Option<(String, Store)> {
    let (part, path) = part_and_path()?;
    Some((part, Store::open(&path, Options::default()).unwrap()))
}

/// Another process of this binary that plays a part of a test; killed when dropped.
pub(crate) struct Player {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Player {
    /// Runs `test` (its full name) in a process of its own.
    pub(crate) fn start(test: &str, part: &str, path: &Path) -> Player {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(PART, format!("{part}@{}", path.display()))
            // What the allocator keeps for each of many threads that have ended is not ours to measure.
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The test harness prints too; the lines of a part begin with `@`.
                if let Some((_, text)) = line.split_once('@') {
                    let _ = sender.send(text.to_owned());
                }
            }
        });
        let stdin = child.stdin.take();
        Player { child, stdin, lines }
    }

    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(SOON).expect("the other process prints a line in time")
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.iter().collect()
    }

    pub(crate) fn send(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines that it has printed so far.
    pub(crate) fn lines_so_far(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Whether it has ended without having been killed.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// SIGKILL, without waiting for its end.
    pub(crate) fn strike(&mut self) {
        self.child.kill().unwrap();
    }

    /// Sends a signal, such as `-STOP`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for a line.
    pub(crate) fn line_within(&self, line: &str, time: Duration) {
        assert_eq!(self.lines.recv_timeout(time).as_deref(), Ok(line));
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.strike();
        self.child.wait().unwrap();
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process. With `-STOP` it returns when every thread has stopped, or the process has ended:
/// the kernel takes its time.
pub(crate) fn signal(id: u32, name: &str) {
    assert!(Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
    let deadline = Instant::now() + SOON * 6;
    while name == "-STOP" && is_any_thread_at_work(id) {
        assert!(Instant::now() < deadline, "process {id} was never stopped");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A thread that cannot be read has ended.
fn is_any_thread_at_work(id: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else { return false };
    let stats = threads.flatten().filter_map(|it| fs::read_to_string(it.path().join("stat")).ok());
    let state = |stat: &str| stat.rsplit_once(") ").and_then(|it| it.1.chars().next());
    stats.into_iter().any(|stat| !matches!(state(&stat), Some('T' | 'Z' | 'X')))
}

/// Prints a line to the test that started this part.
#[expect(clippy::print_stdout, reason = "the pipe to the test")]
pub(crate) fn say(line: &str) {
    println!("@{line}");
}

/// A part that commits once per line on standard input.
pub(crate) fn commit_per_line(store: &Store) {
    say("ready");
    for line in std::io::stdin().lines() {
        let seq = rename(store, &line.unwrap(), "demo-1", 1);
        say(&seq.to_string());
    }
}

/// The processor time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}
