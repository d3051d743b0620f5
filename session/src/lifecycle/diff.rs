//! What a session has changed: its worktree against the commit from which it began.

use std::path::Path;
use std::time::Instant;

use ao_store::SessionId;
use ao_store::row::project;

use super::Sessions;
use crate::error::{Error, Result};
use crate::worktree::{DIFF_TIMEOUT, Diff, Repository, is_missing};

impl Sessions {
    /// The difference of the worktree of a session to its recorded base, with what is uncommitted. git gets 25 s for
    /// it.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`; `SESSION_INCOMPLETE_HANDLE`: no worktree or no base is recorded, or the worktree is gone;
    /// `PROJECT_NOT_RESOLVABLE`; `BRANCH_NOT_FETCHED`: the base is not in the repository; `GIT_FAILED`.
    pub fn diff(&self, id: &SessionId) -> Result<Diff> {
        let until = Instant::now() + DIFF_TIMEOUT;
        let session = self.session(id)?;
        let path = Path::new(&session.worktree_path);
        let missing = match (session.worktree_path.is_empty(), session.base_commit.is_empty()) {
            (true, _) => Some("worktree path"),
            (_, true) => Some("base commit"),
            _ => is_missing(path).then_some("worktree"),
        };
        if let Some(missing) = missing {
            return Err(Error::Incomplete { id: id.clone(), missing });
        }
        let project = self.store.read(|snapshot| project::get(snapshot, &session.project))?;
        let project =
            project.ok_or_else(|| ao_store::Error::ProjectNotFound(session.project.clone()))?;
        let at = Path::new(&project.path);
        let repository = Repository::open_until(&project.id, at, &self.environment, Some(until))?;
        repository.diff(path, &session.base_commit)
    }
}
