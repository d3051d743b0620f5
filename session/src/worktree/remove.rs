//! Removes a worktree in which nothing would be lost.

use std::path::Path;

use ao_store::SessionId;

use crate::error::{Error, Result};
use crate::worktree::add::forget;
use crate::worktree::capture::has_unreached_head;
use crate::worktree::inspect::{State, tree_command};
use crate::worktree::list::record_at;
use crate::worktree::removed::Removed;
use crate::worktree::repository::{Repository, argument};
use crate::worktree::root::Root;
use crate::worktree::submodule::check_submodules_are_elsewhere;

impl Repository {
    /// What [`remove`](Repository::remove) would do.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub fn removal(&self, root: &Root, path: &Path) -> Result<Removed> {
        // Such as that of a data directory that was moved.
        if root.check(path).is_err() {
            return Ok(Removed::kept("it is not below the directory of the worktrees"));
        }
        Ok(match self.inspect(path)? {
            State { is_missing: true, .. } => Removed::gone("its directory does not exist"),
            State { is_registered: false, .. } => {
                Removed::kept("it is no worktree of the repository of the project")
            }
            State { locked: Some(reason), .. } => Removed::kept(&format!("it is locked: {reason}")),
            State { dirty: Some(reason), .. } => Removed::kept(&reason),
            State { head: Some(head), .. } if has_unreached_head(&self.worktree(path)?, &head)? => {
                Removed::kept(&format!("no branch has its commit {head}"))
            }
            _ => Removed::gone("everything in it is committed"),
        })
    }

    /// What [`remove_captured`](Repository::remove_captured) would do, unless the capture fails.
    ///
    /// # Errors
    /// As [`removal`](Repository::removal).
    pub fn captured_removal(&self, root: &Root, path: &Path) -> Result<Removed> {
        let decided = self.removal(root, path)?;
        if decided.is_removed || !self.can_be_captured(root, path)? {
            return Ok(decided);
        }
        Ok(Removed::gone(&format!("{}; that is captured before", decided.reason)))
    }

    /// Removes the worktree at this path after its work was captured. Returns also the preserved ref, empty
    /// if there was no such work.
    ///
    /// # Errors
    /// As [`remove`](Repository::remove). What cannot be captured is kept, which is no error.
    pub fn remove_captured(
        &self,
        root: &Root,
        path: &Path,
        session: &SessionId,
    ) -> Result<(Removed, String)> {
        let decided = self.remove(root, path)?;
        if decided.is_removed || !self.can_be_captured(root, path)? {
            return Ok((decided, String::new()));
        }
        let preserved = match self.capture_whole(path, session) {
            Ok(preserved) => preserved,
            Err(error) => {
                let reason = format!("{}; {error}", decided.reason);
                return Ok((Removed::kept(&reason), String::new()));
            }
        };
        self.unlock(path)?;
        let args = ["worktree", "remove", "--force", "--end-of-options", argument(path)?];
        if let Err(error) = tree_command(&self.git()?, &args, &[]) {
            return Ok((Removed::kept(&error.to_string()), preserved.unwrap_or_default()));
        }
        Ok(match preserved {
            Some(name) => (Removed::gone(&format!("its work is in {name}")), name),
            None => (Removed::gone("everything in it is committed"), String::new()),
        })
    }

    /// Captures the work of a worktree, and verifies that nothing of it is anywhere else.
    fn capture_whole(&self, path: &Path, session: &SessionId) -> Result<Option<String>> {
        check_submodules_are_elsewhere(self, &self.worktree(path)?)?;
        let preserved = self.capture(path, session)?;
        // What is preserved already is compared, and not captured again.
        if self.capture(path, session)? == preserved {
            return Ok(preserved);
        }
        let reason = "it changes meanwhile".to_owned();
        Err(Error::Git { action: "capture the uncommitted work", reason })
    }

    /// Removes the worktree at this path unless work would be lost. Ignored files are no work. A lock of ours
    /// does not keep it, that of a person does.
    ///
    /// # Errors
    /// The repository cannot be read; git reports that it removed the worktree but still has its record.
    pub fn remove(&self, root: &Root, path: &Path) -> Result<Removed> {
        let decided = self.removal(root, path)?;
        if !decided.is_removed {
            return Ok(decided);
        }
        self.unlock(path)?;
        let git = self.git()?;
        let Some(record) = record_at(&git, path)? else { return Ok(decided) };
        if record.is_missing() {
            forget(&git, &record)?;
            return Ok(decided);
        }
        let args = ["worktree", "remove", "--end-of-options", argument(path)?];
        if let Err(error) = tree_command(&git, &args, &[]) {
            // Such as a file that was written meanwhile, or an initialised submodule.
            return Ok(Removed::kept(&error.to_string()));
        }
        match record_at(&git, path)? {
            None => Ok(decided),
            Some(_) => Err(Error::Git {
                action: "remove the worktree",
                reason: "git reports success, but its record is still there".to_owned(),
            }),
        }
    }

    /// Whether the worktree is one of ours, and no person locked it.
    fn can_be_captured(&self, root: &Root, path: &Path) -> Result<bool> {
        if !root.contains(path) {
            return Ok(false);
        }
        let state = self.inspect(path)?;
        Ok(!state.is_missing && state.is_registered && state.locked.is_none())
    }
}
