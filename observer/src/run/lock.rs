//! The lock by which one process observes for a store. The kernel releases it when the process ends,
//! however it ends.

use std::fs::{File, OpenOptions, TryLockError};
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
