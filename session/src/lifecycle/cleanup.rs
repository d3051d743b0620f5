//! Removes what terminated sessions left: worktrees, whose uncommitted work is captured before, and branches
//! whose work is elsewhere. Each removal and each refusal has a reason, which is stored.

use std::path::Path;

use ao_store::row::lifecycle::cleanup::{self, Cleanup};
use ao_store::row::lifecycle::operation::Verb;
use ao_store::row::project;
use ao_store::row::session::{self, Session};
use ao_store::{ProjectId, SessionId};

use super::Sessions;
use crate::error::Result;
use crate::failpoint::step;
use crate::worktree::{Removed, Repository, is_missing};

/// Why a worktree is kept, and a branch is not there.
const GONE: &str = "the repository of its project is gone";

/// What was done, or would be done, for one session.
#[derive(Debug)]
pub struct Cleaned {
    /// The session.
    pub session: SessionId,
    /// What was done; an error concerns this session only.
    pub outcome: Result<Cleanup>,
}

impl Sessions {
    /// Cleans up after the terminated sessions of a project, or of all. With `dry_run` nothing is changed.
    ///
    /// # Errors
    /// When the sessions cannot be listed.
    pub fn cleanup(&self, project: Option<&ProjectId>, dry_run: bool) -> Result<Vec<Cleaned>> {
        let filter = session::Filter { project: project.cloned(), terminated: true };
        let sessions = self.store.read(|snapshot| session::list(snapshot, &filter))?;
        let mut cleaned = Vec::new();
        for session in sessions.iter().filter(|it| it.is_terminated && !it.is_external()) {
            let done = self.store.read(|snapshot| cleanup::get(snapshot, &session.id))?;
            if done.is_some_and(|done| done.is_worktree_removed && done.is_branch_deleted) {
                continue;
            }
            let outcome =
                if dry_run { self.plan(session).map(Some) } else { self.clean(&session.id) };
            if let Some(outcome) = outcome.transpose() {
                cleaned.push(Cleaned { session: session.id.clone(), outcome });
            }
            if self.is_interrupted() {
                break;
            }
        }
        Ok(cleaned)
    }

    /// What would be done.
    fn plan(&self, session: &Session) -> Result<Cleanup> {
        self.each_part(
            session,
            |repository, path| Ok((repository.captured_removal(&self.root, path)?, String::new())),
            |repository| repository.branch_removal(&session.branch, &session.base_ref),
        )
    }

    /// `None` if it was restored meanwhile.
    fn clean(&self, id: &SessionId) -> Result<Option<Cleanup>> {
        let running = self.begin(id, Verb::Cleanup)?;
        let cleaned = self.clean_begun(id);
        let stored = cleaned.as_ref().ok().cloned().flatten();
        running.end(move |tx, id| match stored {
            Some(stored) => cleanup::set(tx, id, &stored),
            None => Ok(()),
        })?;
        cleaned
    }

    fn clean_begun(&self, id: &SessionId) -> Result<Option<Cleanup>> {
        step!(self, "cleanup.begun");
        let session = self.session(id)?;
        if !session.is_terminated {
            return Ok(None);
        }
        let cleaned = self.each_part(
            &session,
            |repository, path| repository.remove_captured(&self.root, path, id),
            |repository| {
                step!("cleanup.removed");
                repository.delete_branch(&session.branch, &session.base_ref)
            },
        )?;
        if cleaned.is_worktree_removed {
            self.forget_worktree(&session);
        }
        Ok(Some(cleaned))
    }

    fn each_part(
        &self,
        session: &Session,
        worktree: impl FnOnce(&Repository, &Path) -> Result<(Removed, String)>,
        branch: impl FnOnce(&Repository) -> Result<Removed>,
    ) -> Result<Cleanup> {
        let project = self.store.read(|snapshot| project::get(snapshot, &session.project))?;
        let done = self.store.read(|snapshot| cleanup::get(snapshot, &session.id))?;
        let Some(project) = project else {
            return Err(ao_store::Error::ProjectNotFound(session.project.clone()).into());
        };
        let path = Path::new(&session.worktree_path);
        let is_gone = Repository::is_gone(Path::new(&project.path));
        let repository = if is_gone { None } else { Some(self.repository(&project)?) };
        let (worktree, preserved) = match &repository {
            _ if session.worktree_path.is_empty() => (Removed::kept("it has none"), String::new()),
            Some(repository) => worktree(repository, path)?,
            None if is_missing(path) => (Removed::gone("it does not exist"), String::new()),
            // Without the repository its work cannot be captured.
            None => (Removed::kept(GONE), String::new()),
        };
        let branch = match &repository {
            _ if session.branch.is_empty() => Removed::kept("it has none"),
            None => Removed::gone(GONE),
            Some(_) if !worktree.is_removed => Removed::kept("its worktree is kept"),
            Some(repository) => branch(repository)?,
        };
        Ok(Cleanup {
            is_worktree_removed: worktree.is_removed,
            worktree_reason: worktree.reason,
            is_branch_deleted: branch.is_removed,
            branch_reason: branch.reason,
            preserved_ref: match preserved.is_empty() {
                true => done.map(|done| done.preserved_ref).unwrap_or_default(),
                false => preserved,
            },
            at: self.now(),
        })
    }
}
