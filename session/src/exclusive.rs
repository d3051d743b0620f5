//! One process of ours at a time changes the branches and worktrees of a repository.
//!
//! git does not lock between its check that no worktree has a branch and the record of a new worktree: two
//! `git worktree add` at the same moment can both check out the same branch.

use std::fs::{File, TryLockError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_program::GuardedGit;

use crate::error::{Error, Result};
use crate::worktree::repository::common_path;

/// The file in the directory of git. It stays, because another process may be waiting for it.
const NAME: &str = "ao-store.lock";

/// How long another process is waited for, which holds it for a few runs of git.
const TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// Held until it is dropped, or until this process ends.
#[derive(Debug)]
pub(crate) struct Exclusive {
    _file: File,
}

impl Exclusive {
    /// Waits for its turn.
    ///
    /// # Errors
    /// The file cannot be opened; no turn within a minute.
    pub(crate) fn wait(git: &GuardedGit<'_>) -> Result<Exclusive> {
        let path = common_path(git, NAME)?;
        let fail = |action, source| Error::File { action, path: path.clone(), source };
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
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
