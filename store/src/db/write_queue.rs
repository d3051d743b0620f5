//! The queue of the processes that write to one store: they begin their write transactions in the order in
//! which they came.
//!
//! SQLite's own wait for its lock is not fair: it sleeps and tries again, so of many short processes some
//! find it free and others never do. Here the kernel wakes one waiter after the other, in their order. A
//! process waits for the lock of `<database>.queue` and, as the first in line, for that of
//! `<database>.turn`, which is held for one transaction; so one that has just written cannot overtake
//! those that wait. The kernel releases both when a process ends, however it ends.
//!
//! The queue only orders; SQLite's lock excludes, also foreign writers. Therefore a writer goes on without it
//! where the files cannot be opened or locked, and also when its time is over: a process that is stopped
//! in the queue must not stop all others. One that finds such a queue removes the files, and all others go on
//! with new ones. The order is always the queue first, then SQLite's lock.

use std::fs;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock, fstat, open};
use rustix::io::Errno;

use crate::error::{Context, Result};

/// What the names of the two files end with.
pub(crate) const SUFFIXES: [&str; 2] = [".queue", ".turn"];

/// The two locks.
#[derive(Debug)]
struct Files {
    queue: OwnedFd,
    turn: OwnedFd,
}

impl Files {
    fn open(database: &Path) -> io::Result<Files> {
        let [queue, turn] = SUFFIXES.map(|suffix| open_lock(database, suffix));
        Ok(Files { queue: queue?, turn: turn? })
    }

    /// Whether both still have a name, so that others wait for the same ones.
    fn are_in_place(&self) -> bool {
        [&self.queue, &self.turn]
            .into_iter()
            .all(|file| fstat(file).is_ok_and(|it| it.st_nlink > 0))
    }
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Never through a symbolic link, and not to wait at a named pipe.
fn open_lock(database: &Path, suffix: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let file = open(beside(database, suffix), flags, Mode::RUSR | Mode::WUSR)?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

/// The right to begin the next write transaction, until it is dropped. Without a queue it means nothing.
#[derive(Debug, Default)]
pub(crate) struct Turn(Option<Arc<Files>>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(files) = self.0.take() {
            unlock(&files.turn);
        }
    }
}

fn unlock(file: &OwnedFd) {
    if let Err(error) = flock(file, FlockOperation::Unlock) {
        tracing::warn!(%error, "the queue of writers was not released");
    }
}

/// Waits for a lock; returns whether it was had.
fn lock(file: &OwnedFd) -> bool {
    loop {
        match flock(file, FlockOperation::LockExclusive) {
            Ok(()) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// One place in the queue. Its user holds at most one turn, and waits with one thread at a time: the
/// kernel's locks belong to the open files.
#[derive(Debug)]
pub(crate) struct WriteQueue {
    database: PathBuf,
    files: Mutex<Option<Arc<Files>>>,
}

impl WriteQueue {
    pub(crate) fn of(database: &Path) -> WriteQueue {
        // Beside the file itself, whatever links name it.
        let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        WriteQueue { database, files: Mutex::default() }
    }

    fn files(&self) -> Option<Arc<Files>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.as_ref().is_none_or(|files| !files.are_in_place()) {
            let opened = Files::open(&self.database);
            if let Err(error) = &opened {
                tracing::debug!(%error, "writing without the queue of writers");
            }
            *files = opened.ok().map(Arc::new);
        }
        files.clone()
    }

    /// Whether other processes wait for the same files.
    pub(crate) fn is_in_place(&self) -> bool {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.as_ref().is_none_or(|files| files.are_in_place())
    }

    /// Removes the files, which a process holds that does not write. Those who wait for them notice it.
    pub(crate) fn renew(&self) {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.as_ref().is_some_and(|files| files.are_in_place()) {
            return;
        }
        for suffix in SUFFIXES {
            if let Err(error) = fs::remove_file(beside(&self.database, suffix)) {
                tracing::debug!(%error, "the queue of writers was not renewed");
            }
        }
    }

    /// The turn, if no process waits or writes.
    pub(crate) fn try_enter(&self) -> Option<Turn> {
        let Some(files) = self.files() else { return Some(Turn::default()) };
        let now = FlockOperation::NonBlockingLockExclusive;
        match flock(&files.queue, now) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return None,
            Err(_) => return Some(Turn::default()),
        }
        let turn = flock(&files.turn, now);
        unlock(&files.queue);
        match turn {
            Ok(()) => Some(Turn(Some(files))),
            Err(Errno::WOULDBLOCK) => None,
            Err(_) => Some(Turn::default()),
        }
    }

    /// Waits for the turn, without a bound.
    pub(crate) fn enter(&self) -> Turn {
        let Some(files) = self.files() else { return Turn::default() };
        if !lock(&files.queue) {
            return Turn::default();
        }
        let has_turn = lock(&files.turn);
        unlock(&files.queue);
        if has_turn { Turn(Some(files)) } else { Turn::default() }
    }

    /// Waits for the turn up to `bound`, in a thread that gives it back if it comes later: nothing else ends a
    /// wait for such a lock. Once it is late the caller goes on without.
    pub(crate) fn enter_within(self: &Arc<Self>, bound: Duration) -> Turn {
        if let Some(turn) = self.try_enter() {
            return turn;
        }
        let (hand_over, handed) = bounded(0);
        let queue = Arc::clone(self);
        let waits = thread::Builder::new().name("ao-store-queue".to_owned()).spawn(move || {
            // A turn that nobody takes is dropped.
            let _ = hand_over.send(queue.enter());
        });
        if let Err(error) = waits {
            tracing::debug!(%error, "writing without the queue of writers");
        }
        handed.recv_timeout(bound).unwrap_or_default()
    }
}

/// Waits for the turn of a connection that this caller alone uses. What is left of the bound is that of SQLite's
/// lock.
///
/// # Errors
/// When the busy timeout cannot be set.
pub(crate) fn take_turn(database: &Path, conn: &Connection, bound: Duration) -> Result<Turn> {
    let begun = Instant::now();
    let turn = Arc::new(WriteQueue::of(database)).enter_within(bound);
    conn.busy_timeout(bound.saturating_sub(begun.elapsed())).context("set the busy timeout")?;
    Ok(turn)
}

/// A write transaction in its turn. It rolls back on drop.
#[derive(Debug)]
pub(crate) struct QueuedTransaction<'c> {
    transaction: Transaction<'c>,
    /// Dropped last.
    _turn: Turn,
}

impl<'c> QueuedTransaction<'c> {
    pub(crate) fn begin(conn: &'c Connection, turn: Turn) -> Result<QueuedTransaction<'c>> {
        let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate);
        let transaction = transaction.context("begin a write transaction")?;
        Ok(QueuedTransaction { transaction, _turn: turn })
    }

    pub(crate) fn commit(self, step: &'static str) -> Result<()> {
        self.transaction.commit().context(step)
    }
}

impl Deref for QueuedTransaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.transaction
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        fs::write(&path, "").unwrap();
        (dir, path)
    }

    fn queue(path: &Path) -> Arc<WriteQueue> {
        Arc::new(WriteQueue::of(path))
    }

    /// How many wait for one of the two locks.
    fn waiting(database: &Path) -> usize {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let of = |suffix: &str| {
            let file = format!("{}{suffix}", database.display());
            let inode = format!(":{} ", fs::metadata(file).unwrap().ino());
            locks.lines().filter(|line| line.contains("->") && line.contains(&inode)).count()
        };
        SUFFIXES.into_iter().map(of).sum()
    }

    #[test]
    fn one_has_the_turn_and_the_others_wait_in_their_order() {
        let (dir, path) = place();
        let held = queue(&path).try_enter().unwrap();
        assert!(queue(&path).try_enter().is_none());
        let order = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for number in 0..8 {
                let (order, path) = (&order, &path);
                scope.spawn(move || {
                    let turn = queue(path).enter_within(LONG);
                    order.lock().unwrap().push(number);
                    drop(turn);
                });
                let deadline = Instant::now() + LONG;
                while waiting(path) <= number {
                    assert!(Instant::now() < deadline, "{number} never waited");
                    thread::sleep(Duration::from_millis(1));
                }
            }
            drop(held);
        });
        assert_eq!(order.into_inner().unwrap(), (0..8).collect::<Vec<_>>());
        for suffix in SUFFIXES {
            let file = dir.path().join(format!("ao.db{suffix}"));
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn one_that_is_late_goes_on_without_and_its_turn_is_given_back() {
        let (_dir, path) = place();
        let held = queue(&path).try_enter().unwrap();
        let late = queue(&path);
        assert!(late.enter_within(Duration::from_millis(20)).0.is_none());
        drop(held);
        assert!(queue(&path).enter_within(LONG).0.is_some());
    }

    #[test]
    fn where_the_files_cannot_be_opened_nothing_is_waited_for() {
        let (dir, path) = place();
        let (outside, file) = (dir.path().join("outside"), dir.path().join("ao.db.queue"));
        for make in
            [(|outside, file| symlink(outside, file).unwrap()) as fn(&Path, &Path), |_, file| {
                fs::create_dir(file).unwrap()
            }]
        {
            make(&outside, &file);
            assert!(queue(&path).try_enter().unwrap().0.is_none());
            assert!(queue(&path).enter_within(LONG).0.is_none());
            assert!(!outside.exists());
            let _ = fs::remove_file(&file).or_else(|_| fs::remove_dir(&file));
        }
        assert!(queue(Path::new("/proc/no-such/ao.db")).enter_within(LONG).0.is_none());
    }

    #[test]
    fn files_that_were_deleted_are_made_again() {
        let (dir, path) = place();
        let one = queue(&path);
        drop(one.try_enter().unwrap());
        for suffix in SUFFIXES {
            fs::remove_file(dir.path().join(format!("ao.db{suffix}"))).unwrap();
            let turn = one.try_enter().unwrap();
            assert!(turn.0.is_some() && queue(&path).try_enter().is_none(), "{suffix}");
        }
    }
}
