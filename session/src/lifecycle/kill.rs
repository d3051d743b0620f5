//! Terminates a session: its agent is stopped, work is kept, the row says what was kept and why.

use std::path::Path;

use ao_store::SessionId;
use ao_store::row::lifecycle::cleanup::Cleanup;
use ao_store::row::lifecycle::operation::Verb;
use ao_store::row::lifecycle::{cleanup, spawn as rows};
use ao_store::row::project;
use ao_store::row::session::Session;

use super::Sessions;
use super::operation::Running;
use crate::error::Result;
use crate::failpoint::step;
use crate::runtime::Ended;
use crate::worktree::Removed;

/// What a termination did.
#[derive(Debug, Clone)]
pub struct Killed {
    /// The session.
    pub session: SessionId,
    /// Whether it was terminated before.
    pub was_terminated: bool,
    /// What was done to its worktree and branch; `None` for an external session.
    pub cleanup: Option<Cleanup>,
    /// What did not work, without preventing the termination.
    pub warnings: Vec<String>,
}

impl Sessions {
    /// Terminates a session. What is missing of it (tmux server, pane, worktree) counts as stopped and
    /// removed. Of an external session only the row changes.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`, `SESSION_BUSY`; when its runtime cannot be asked. It is not terminated then.
    pub fn kill(&self, id: &SessionId) -> Result<Killed> {
        let running = self.begin(id, Verb::Kill)?;
        let killed = self.finish_kill(&running, "it was killed");
        if killed.is_err() {
            running.give_up();
        }
        killed
    }

    pub(super) fn finish_kill(
        &self,
        running: &Running<'_>,
        reason: &'static str,
    ) -> Result<Killed> {
        step!("kill.begun");
        let session = self.session(&running.session)?;
        let (cleanup, warnings) = if session.is_external() {
            (None, Vec::new())
        } else {
            let warnings = self.stop_agent(&session)?;
            step!("kill.stopped");
            (Some(self.release_worktree(&session)?), warnings)
        };
        step!("kill.released");
        let (stored, by) = (cleanup.clone(), self.config.actor);
        let is_news = running.end(move |tx, id| {
            if let Some(stored) = stored {
                cleanup::set(tx, id, &stored)?;
            }
            rows::terminate(tx, id, reason, by)
        })?;
        let session = running.session.clone();
        Ok(Killed { session, was_terminated: !is_news, cleanup, warnings })
    }

    /// Stops the processes of all launches, and says which of them could not be stopped.
    fn stop_agent(&self, session: &Session) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for launch in self.unstopped(session)? {
            if let Ended::Remaining(pids) = self.stop_launch(session, &launch.id)? {
                let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
                warnings.push(format!("processes could not be killed: {}", pids.join(", ")));
            }
        }
        Ok(warnings)
    }

    /// Removes a clean worktree; the branch stays, because the session can be restored. What an earlier
    /// cleanup did to the branch, and the work that it captured, stay recorded.
    pub(super) fn release_worktree(&self, session: &Session) -> Result<Cleanup> {
        let kept = "the session can be restored; `session cleanup` deletes it";
        let path = Path::new(&session.worktree_path);
        let project = self.store.read(|snapshot| project::get(snapshot, &session.project))?;
        let removed = match project.map(|project| self.repository(&project)) {
            _ if session.worktree_path.is_empty() => Removed::kept("it has none"),
            Some(Ok(repository)) => {
                repository.unlock(path)?;
                repository.remove(&self.root, path)?
            }
            Some(Err(error)) => Removed::kept(&error.to_string()),
            None => Removed::kept("its project does not exist"),
        };
        if removed.is_removed {
            self.forget_worktree(session);
        }
        let before = self.store.read(|snapshot| cleanup::get(snapshot, &session.id))?;
        let before = before.unwrap_or_else(|| Cleanup {
            is_worktree_removed: false,
            worktree_reason: String::new(),
            is_branch_deleted: false,
            branch_reason: kept.to_owned(),
            preserved_ref: String::new(),
            at: self.now(),
        });
        Ok(Cleanup {
            is_worktree_removed: removed.is_removed,
            worktree_reason: removed.reason,
            at: self.now(),
            ..before
        })
    }
}
