//! The lock by which one daemon serves a data directory. The kernel releases it when the process ends, however
//! it ends, so no process id is ever guessed from.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};

/// How often a lock that is held is tried again, and how soon: a process that only looks holds it for an instant.
const TRIES: u32 = 5;
const RETRY: Duration = Duration::from_millis(10);

/// Held by the daemon of a data directory while it lives.
#[derive(Debug)]
pub(crate) struct DaemonLock {
    _file: File,
}

impl DaemonLock {
    /// Takes the lock of a data directory; `None` if a daemon has it.
    ///
    /// # Errors
    /// The file cannot be created, or is no regular file.
    pub(crate) fn take(dir: &Path) -> Result<Option<DaemonLock>> {
        let path = path_of(dir);
        let failed = |source| Error::file("lock", &path, source);
        // Opening a named pipe would wait for a reader, and opening a link create its target.
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(failed(io::Error::other("it is not a regular file")));
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path).map_err(failed)?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < TRIES => thread::sleep(RETRY),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Ok(Some(DaemonLock { _file: file }))
    }

    /// Whether a daemon has the lock of a data directory.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn is_held(dir: &Path) -> Result<bool> {
        let path = path_of(dir);
        let failed = |source| Error::file("look at", &path, source);
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(failed(io::Error::other("it is not a regular file")));
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(failed(source)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

fn path_of(dir: &Path) -> PathBuf {
    dir.join("daemon.lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_daemon_has_the_lock_and_what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!DaemonLock::is_held(dir.path()).unwrap());
        let lock = DaemonLock::take(dir.path()).unwrap().unwrap();
        assert!(DaemonLock::is_held(dir.path()).unwrap());
        assert!(DaemonLock::take(dir.path()).unwrap().is_none());
        drop(lock);
        assert!(!DaemonLock::is_held(dir.path()).unwrap());
        fs::remove_file(path_of(dir.path())).unwrap();
        std::os::unix::fs::symlink(dir.path().join("target"), path_of(dir.path())).unwrap();
        assert!(DaemonLock::take(dir.path()).is_err() && DaemonLock::is_held(dir.path()).is_err());
        assert!(!dir.path().join("target").exists());
    }
}
