//! The lock by which one process observes for a store, and what other processes see of it. The kernel
//! releases it when the process ends, however it ends; only while it is held is its content valid.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ao_store::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Held while observing.
#[derive(Debug)]
pub struct Lock {
    file: File,
    content: RefCell<(Running, usize)>,
}

/// The process that observes for a store, as it describes itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Running {
    /// Its process id; `None` when it could not be read.
    pub pid: Option<u32>,
    /// Its command line.
    pub command: String,
    /// When it began, in milliseconds UTC.
    since: Option<i64>,
    /// When its next request is due.
    next: Option<i64>,
}

impl Running {
    /// When it began to observe.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.since.map(Timestamp)
    }

    /// When its next request is due; `None` while it has nothing to request.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.next.map(Timestamp)
    }
}

/// How often a lock that is held, or a content that is incomplete, is tried again, and how soon. A
/// process that only looks holds the lock for an instant, and one that begins writes the content after
/// it has the lock.
const TRIES: u32 = 5;
const RETRY: Duration = Duration::from_millis(10);

/// Maximum length of the content.
const CONTENT_MAX: u64 = 64 << 10;

impl Lock {
    /// Acquires the lock of the store at `database`, and describes this process in it: `command` is
    /// its command line.
    ///
    /// # Errors
    /// `OBSERVER_RUNNING` when another process has it; when the file cannot be created.
    pub fn take(database: &Path, command: &str) -> Result<Lock> {
        let path = path_of(database);
        let failed = |source| Error::Lock { path: path.clone(), source };
        // Opening a named pipe would wait for a reader, and opening a link create its target.
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(failed(io::Error::other("it is not a regular file")));
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path).map_err(failed)?;
        for attempt in 0.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt + 1 < TRIES => thread::sleep(RETRY),
                Err(TryLockError::WouldBlock) => return Err(Error::Running),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        let running = Running {
            pid: Some(std::process::id()),
            command: command.to_owned(),
            since: Some(Timestamp::now().0),
            next: None,
        };
        let lock = Lock { file, content: RefCell::new((running, 0)) };
        // What it describes is for people: an observer without it works as well.
        let _ = lock.file.set_len(0);
        lock.write();
        Ok(lock)
    }

    /// Records when the next request is due.
    pub(super) fn set_next(&self, next: Option<Timestamp>) {
        let next = next.map(|at| at.0);
        if std::mem::replace(&mut self.content.borrow_mut().0.next, next) != next {
            self.write();
        }
    }

    /// Writes the content in place: the file must stay the one that is locked. It never becomes
    /// shorter, so one write replaces all of it.
    fn write(&self) {
        let mut content = self.content.borrow_mut();
        let text = serde_json::to_string(&content.0).unwrap_or_default();
        let width = text.len().max(content.1);
        content.1 = width;
        let _ = self.file.write_all_at(format!("{text:<width$}\n").as_bytes(), 0);
    }
}

/// The process that observes for the store at `database`; `None` when there is none.
///
/// # Errors
/// When the lock cannot be read.
pub fn running(database: &Path) -> Result<Option<Running>> {
    let path = path_of(database);
    let failed = |source| Error::Lock { path: path.clone(), source };
    if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    for _ in 0..TRIES {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let text = read(&file).map_err(failed)?;
        if let Ok(running) = serde_json::from_str::<Running>(&text) {
            return Ok(Some(running));
        }
        thread::sleep(RETRY);
    }
    Ok(Some(Running::default()))
}

fn read(file: &File) -> io::Result<String> {
    let length = file.metadata()?.len().min(CONTENT_MAX);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One folder has one lock, under whatever name it is opened.
fn path_of(database: &Path) -> PathBuf {
    let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    database.with_file_name("observer.lock")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn one_process_has_the_lock_and_what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("ao.db");
        assert_eq!(running(&database).unwrap(), None);
        let lock = Lock::take(&database, "x").unwrap();
        assert!(matches!(Lock::take(&database, "y"), Err(Error::Running)));
        drop(lock);
        let path = dir.path().join("observer.lock");
        fs::remove_file(&path).unwrap();
        symlink(dir.path().join("target"), &path).unwrap();
        assert!(matches!(Lock::take(&database, "x"), Err(Error::Lock { .. })));
        assert!(matches!(running(&database), Err(Error::Lock { .. })));
        assert!(!dir.path().join("target").exists());
    }

    #[test]
    fn the_process_that_holds_the_lock_is_described_and_a_released_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("ao.db");
        let path = dir.path().join("observer.lock");
        fs::write(&path, "x".repeat(1_000)).unwrap();
        let lock = Lock::take(&database, "ao-store observe").unwrap();
        let found = running(&database).unwrap().unwrap();
        assert_eq!(found.pid, Some(std::process::id()));
        assert_eq!(found.command, "ao-store observe");
        assert!(found.since().is_some() && found.next_at().is_none());
        for next in [Some(Timestamp(i64::MAX / 4)), None, Some(Timestamp(7))] {
            lock.set_next(next);
            assert_eq!(running(&database).unwrap().unwrap().next_at(), next);
        }
        // Another content, by whatever program.
        lock.file.set_len(0).unwrap();
        assert_eq!(running(&database).unwrap(), Some(Running::default()));
        drop(lock);
        assert_eq!(running(&database).unwrap(), None);
    }
}
