//! The lock by which one process observes for a store. The kernel releases it when the process ends,
//! however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Error, Result};

/// Held while observing.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Acquires the lock of the store at `database`.
    ///
    /// # Errors
    /// `OBSERVER_RUNNING` when another process has it; when the file cannot be created.
    pub fn take(database: &Path) -> Result<Lock> {
        // One folder has one lock, under whatever name it is opened.
        let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        let path = database.with_file_name("observer.lock");
        let failed = |source| Error::Lock { path: path.clone(), source };
        // Opening a named pipe would wait for a reader, and opening a link create its target.
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(failed(io::Error::other("it is not a regular file")));
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Running),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn one_process_has_the_lock_and_what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("ao.db");
        let lock = Lock::take(&database).unwrap();
        assert!(matches!(Lock::take(&database), Err(Error::Running)));
        drop(lock);
        let path = dir.path().join("observer.lock");
        fs::remove_file(&path).unwrap();
        symlink(dir.path().join("target"), &path).unwrap();
        assert!(matches!(Lock::take(&database), Err(Error::Lock { .. })));
        assert!(!dir.path().join("target").exists());
    }
}
