//! The lock on the worktree of a live session, so that neither git nor a person removes it.

use std::path::Path;

use ao_store::SessionId;

use crate::error::Result;
use crate::worktree::list::record_at;
use crate::worktree::repository::{Repository, argument, failed};

/// How the reason of a lock of ours begins.
const OURS: &str = "ao-store session ";

/// Whether a lock with this reason is ours, and not that of a person.
pub(crate) fn is_ours(reason: &str) -> bool {
    reason.starts_with(OURS)
}

impl Repository {
    /// Keeps git and people from removing the worktree of a live session. A lock of a person stays, and does
    /// the same.
    ///
    /// # Errors
    /// It is no worktree; git fails.
    pub fn lock(&self, path: &Path, session: &SessionId) -> Result<()> {
        let git = self.git()?;
        if record_at(&git, path)?.is_some_and(|record| record.lock.is_some()) {
            return Ok(());
        }
        let reason = format!("{OURS}{session}");
        let args = ["worktree", "lock", "--reason", &reason, "--end-of-options", argument(path)?];
        git.run(&args).map_err(|error| failed("lock the worktree", &error))?;
        Ok(())
    }

    /// Ends that; the lock of a person stays.
    ///
    /// # Errors
    /// git fails.
    pub fn unlock(&self, path: &Path) -> Result<()> {
        let git = self.git()?;
        let lock = record_at(&git, path)?.and_then(|record| record.lock);
        if lock.is_some_and(|reason| is_ours(&reason)) {
            let args = ["worktree", "unlock", "--end-of-options", argument(path)?];
            git.run(&args).map_err(|error| failed("unlock the worktree", &error))?;
        }
        Ok(())
    }
}
