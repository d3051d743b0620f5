//! One process of ours at a time: the branches and worktrees of a repository are changed so, and a file of a
//! user.
//!
//! git does not lock between its check that no worktree has a branch and the record of a new worktree: two
//! `git worktree add` at the same moment can both check out the same branch.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long another process is waited for, which holds it for a few runs of git at most.
const TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// Held until it is dropped, or until this process ends.
#[derive(Debug)]
pub(crate) struct Exclusive {
    _file: File,
}

impl Exclusive {
    /// Waits for its turn. The file stays, because another process may be waiting for it; it may be a
    /// directory.
    ///
    /// # Errors
    /// The file cannot be opened; no turn within a minute.
    pub(crate) fn wait(path: &Path) -> Result<Exclusive> {
        let fail = |action, source| Error::File { action, path: path.to_owned(), source };
        let opened = match path.is_dir() {
            true => File::open(path),
            false => File::options().create(true).truncate(false).write(true).open(path),
        };
        let file = opened.map_err(|source| fail("open", source))?;
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Exclusive { _file: file }),
                Err(TryLockError::Error(source)) => return Err(fail("lock", source)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(POLL),
                Err(TryLockError::WouldBlock) => {
                    let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
                    return Err(fail("lock", source));
                }
            }
        }
    }
}
