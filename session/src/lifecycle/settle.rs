//! Finishes or undoes what an instance that has ended left half-done.

use std::path::Path;

use ao_store::SessionId;
use ao_store::row::launch::Launch;
use ao_store::row::lifecycle::operation::{self, Operation, Verb};
use ao_store::row::lifecycle::spawn as rows;
use ao_store::row::project;
use ao_store::row::session::{self, Deleted, Session};

use super::Sessions;
use super::again::again;
use super::operation::Running;
use crate::error::{Error, Result};
use crate::failpoint::step;
use crate::runtime::processes;
use crate::worktree::Repository;

/// What became of an abandoned operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// The session that was being created is gone, with everything of it.
    Undone,
    /// What was begun was done.
    Finished,
    /// Another instance is at it, or was.
    Elsewhere,
}

impl Settled {
    /// What would become of an abandoned operation.
    pub(super) fn planned(abandoned: &Operation) -> Settled {
        match abandoned.verb {
            Verb::Spawn | Verb::Restore => Settled::Undone,
            _ => Settled::Finished,
        }
    }
}

impl Sessions {
    /// Takes over an abandoned operation, and finishes it (a termination) or undoes it (everything else).
    pub(super) fn settle(&self, abandoned: &Operation) -> Result<Settled> {
        if abandoned.verb == Verb::Replace {
            let successor =
                self.store.read(|snapshot| operation::replacing(snapshot, &abandoned.session))?;
            // Undone, it makes this session what it was.
            if let Some(successor) = successor
                && self.settle(&successor)? == Settled::Elsewhere
            {
                return Ok(Settled::Elsewhere);
            }
        }
        if !self.take_over(abandoned)? {
            return Ok(Settled::Elsewhere);
        }
        let running = self.running(&abandoned.session, &self.instance()?);
        let settled = again(&abandoned.session, "settle an abandoned operation", || {
            self.settle_own(abandoned.verb, &running)
        });
        if settled.is_err() {
            running.abandon();
        }
        settled
    }

    /// Whether the operation is one of this instance now.
    fn take_over(&self, abandoned: &Operation) -> Result<bool> {
        if !self.store.read(|snapshot| abandoned.is_abandoned(snapshot))? {
            return Ok(false);
        }
        processes::end_of_instance(&abandoned.instance, self.config.grace)?;
        let (session, from) = (abandoned.session.clone(), abandoned.instance.clone());
        let to = self.instance()?;
        let is_taken = self.write(move |tx| operation::hand_over(tx, &session, &from, &to))?;
        step!("settle.adopted");
        Ok(is_taken)
    }

    fn settle_own(&self, verb: Verb, running: &Running<'_>) -> Result<Settled> {
        let session = self.session(&running.session)?;
        match verb {
            Verb::Spawn => {
                self.undo_spawn(&session)?;
                return Ok(Settled::Undone);
            }
            Verb::Kill => drop(self.finish_kill(running, "its termination was interrupted")?),
            Verb::Replace if session.is_terminated => {
                drop(self.finish_kill(running, "it was replaced")?);
            }
            Verb::Restore => {
                self.undo_restore(running)?;
                return Ok(Settled::Undone);
            }
            // What of it runs is adopted. Whether the keys of an answer were sent, the screen shows to the next.
            Verb::Relaunch | Verb::Reconcile | Verb::Replace | Verb::Cleanup | Verb::Answer => {
                running.end(|_, _| Ok(()))?;
            }
        }
        Ok(Settled::Finished)
    }

    /// Removes everything of a session that is being created, its row last. Work of an agent that ran is
    /// captured first.
    pub(super) fn undo_spawn(&self, session: &Session) -> Result<()> {
        let session = self.session(&session.id)?;
        let operation = self.store.read(|snapshot| operation::get(snapshot, &session.id))?;
        let has_run = self.stop_launches(&session)?;
        step!("undo.stopped");
        let project = self.store.read(|snapshot| project::get(snapshot, &session.project))?;
        // Until the base is recorded nothing was made, and what is at the path is not ours.
        if let Some(project) = project.filter(|_| !session.base_commit.is_empty()) {
            let path = Path::new(&session.worktree_path);
            if Repository::is_gone(Path::new(&project.path)) {
                self.root.remove(path)?;
            } else {
                let repository = self.repository(&project)?;
                // Without a record an earlier try has captured it, and removed the rest in part.
                if has_run && repository.has_record(path)? {
                    repository.capture(path, &session.id)?;
                }
                let created = operation.as_ref().map_or("", |running| &running.created_at_commit);
                let created = (!created.is_empty()).then_some(created);
                repository.undo(&self.root, path, &session.branch, created)?;
            }
        }
        self.forget_worktree(&session);
        step!("undo.worktree");
        let replaced = operation.map(|operation| operation.replaces).unwrap_or_default();
        let instance = self.instance()?;
        self.write(move |tx| {
            if session::delete(tx, &session.id)? == Deleted::NotSeed {
                rows::terminate(tx, &session.id, "its creation failed", "")?;
                operation::end(tx, &session.id, &instance)?;
            }
            match replaced.parse() {
                Ok(replaced) => rows::revive(tx, &replaced),
                Err(_) => Ok(()),
            }
        })
    }

    /// Removes a session that has produced nothing, also one whose creation was interrupted.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`, `SESSION_NOT_SEED`, `SESSION_BUSY`.
    pub fn remove(&self, id: &SessionId) -> Result<()> {
        self.session(id)?;
        let before = self.store.read(|snapshot| operation::get(snapshot, id))?;
        let running = match self.begin(id, Verb::Cleanup) {
            // Its interrupted creation was undone.
            Err(Error::Store(ao_store::Error::SessionNotFound(_)))
                if before.is_some_and(|before| before.verb == Verb::Spawn) =>
            {
                return Ok(());
            }
            running => running?,
        };
        let removed = running.end(|tx, id| match session::delete(tx, id)? {
            Deleted::NotSeed => Err(ao_store::Error::SessionNotSeed(id.clone())),
            Deleted::Absent => Err(ao_store::Error::SessionNotFound(id.clone())),
            Deleted::Deleted => Ok(()),
        });
        if removed.is_err() {
            running.give_up();
        }
        removed
    }

    /// The same after a failure, whose error is the one to report. What is left is done by reconciliation.
    pub(super) fn undo_quietly(&self, session: &Session) {
        let undone = again(&session.id, "undo a failed spawn", || self.undo_spawn(session));
        if let Err(error) = undone {
            let error = error.chain();
            tracing::warn!(session = %session.id, error, "cannot undo a failed spawn; reconcile will");
            self.running(&session.id, &session.spawner).abandon();
        }
    }

    /// Stops every launch of a session that may have left something. Returns whether a program ever ran.
    pub(super) fn stop_launches(&self, session: &Session) -> Result<bool> {
        for launch in self.unstopped(session)? {
            self.stop_launch(session, &launch.id)?;
        }
        let launches = self.launches(&session.id)?;
        Ok(launches.iter().any(|launch| launch.started_at.is_some()))
    }

    /// The launches that may have left processes or a pane: the newest one, those whose end is not recorded,
    /// and those of which processes run.
    pub(super) fn unstopped(&self, session: &Session) -> Result<Vec<Launch>> {
        let running = processes::by_launch()?;
        let mut launches = self.launches(&session.id)?;
        launches.retain(|launch| {
            launch.id == session.launch
                || launch.ended_at.is_none()
                || running.contains_key(&launch.id)
        });
        Ok(launches)
    }
}
