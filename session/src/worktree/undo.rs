//! Undoes what a spawn made, whole or in part.

use std::path::Path;

use ao_program::GuardedGit;

use crate::error::Result;
use crate::worktree::add::forget;
use crate::worktree::branch::{check_branch, delete_ref};
use crate::worktree::inspect::tree_command;
use crate::worktree::list::{is_missing, record_at, records};
use crate::worktree::repository::{Repository, argument, commit_of, exclusive};
use crate::worktree::root::Root;

impl Repository {
    /// Whether no repository is at the path of a project any more. One that only cannot be used now is not
    /// gone.
    #[must_use]
    pub fn is_gone(path: &Path) -> bool {
        is_missing(&path.join(".git")) && is_missing(&path.join("HEAD"))
    }

    /// Whether git has a record of a worktree at this path.
    ///
    /// # Errors
    /// git fails.
    pub fn has_record(&self, path: &Path) -> Result<bool> {
        Ok(record_at(&self.git()?, path)?.is_some())
    }

    /// Removes the worktree with its content, and the branch that [`add`](Repository::add) created if its tip
    /// is still the commit at which it did. For a spawn that failed; it can be repeated, and half of it, or
    /// nothing, may be there.
    ///
    /// # Errors
    /// The path is not below the root; git or the file system fails.
    pub fn undo(
        &self,
        root: &Root,
        path: &Path,
        branch: &str,
        created: Option<&str>,
    ) -> Result<()> {
        root.check(path)?;
        self.unlock(path)?;
        let git = self.git()?;
        if record_at(&git, path)?.is_some() {
            let args = ["worktree", "remove", "--force", "--end-of-options", argument(path)?];
            // What git does not recognise as a worktree is removed below.
            if let Err(error) = tree_command(&git, &args, &[]) {
                tracing::debug!(%error, path = %path.display(), "worktree remove");
            }
        }
        root.remove(path)?;
        if let Some(record) = record_at(&git, path)? {
            forget(&git, &record)?;
        }
        match created {
            Some(commit) => undo_branch(&git, branch, commit),
            None => Ok(()),
        }
    }
}

/// Removes the branch if it is still at the commit and no worktree has it.
fn undo_branch(git: &GuardedGit<'_>, branch: &str, commit: &str) -> Result<()> {
    check_branch(branch)?;
    let _exclusive = exclusive(git)?;
    let tip = commit_of(git, &format!("refs/heads/{branch}"))?;
    let is_used = records(git)?.iter().any(|r| r.branch.as_deref() == Some(branch));
    if tip.as_deref() == Some(commit) && !is_used {
        delete_ref(git, branch, commit)
    } else {
        Ok(())
    }
}
