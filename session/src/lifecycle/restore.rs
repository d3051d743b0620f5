//! Brings a session back: `restore` after its termination, `relaunch` after its agent ended. Id and path of
//! the worktree stay.
//!
//! What the program is started from, in this order: its own conversation if that provably exists, the
//! prompt unless the program acknowledged it, nothing for an orchestrator.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_store::SessionId;
use ao_store::row::delivery;
use ao_store::row::launch::{self, EndCause, Launch, LaunchKind, PromptStage};
use ao_store::row::lifecycle::operation::Verb;
use ao_store::row::lifecycle::{cleanup, spawn as rows};
use ao_store::row::project;
use ao_store::row::session::{Session, SessionKind};

use super::Sessions;
use super::again::again;
use super::operation::Running;
use crate::error::{Error, Result};
use crate::failpoint::step;
use crate::harness::{self, Built, Conversation, Found, Given, Harness};
use crate::runtime::processes;
use crate::worktree::Applied;

/// How long a program may take to refuse a conversation.
const REFUSAL_WITHIN: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

/// A session that runs again.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The session.
    pub session: SessionId,
    /// What its program was started from.
    pub kind: LaunchKind,
    /// What did not work, without preventing the session.
    pub warnings: Vec<String>,
}

impl Sessions {
    /// Makes a terminated session run again.
    ///
    /// # Errors
    /// `SESSION_NOT_RESTORABLE`, `SESSION_INCOMPLETE_HANDLE`, `SESSION_NOT_RESUMABLE`,
    /// `SESSION_EXTERNAL`, `SESSION_BUSY`, `ADMISSION_LIMIT`, `ORCHESTRATOR_ALREADY_ACTIVE`, and those of a
    /// launch. It stays terminated then.
    pub fn restore(&self, id: &SessionId) -> Result<Restored> {
        check_restorable(&self.session(id)?)?;
        let running = self.begin(id, Verb::Restore)?;
        if let Err(error) = self.check_revival(id) {
            running.give_up();
            return Err(error);
        }
        let restored = self.restore_begun(&running);
        if restored.is_err()
            && let Err(error) = again(id, "undo a failed restore", || self.undo_restore(&running))
        {
            let error = error.chain();
            tracing::warn!(session = %id, error, "cannot undo a failed restore; reconcile will");
            running.abandon();
        }
        restored
    }

    /// Most refusals come before anything is started; the same is checked when the row changes.
    fn check_revival(&self, id: &SessionId) -> Result<()> {
        let session = self.session(id)?;
        check_restorable(&session)?;
        Ok(self.store.read(|snapshot| rows::check_revival(snapshot, &session))?)
    }

    fn restore_begun(&self, running: &Running<'_>) -> Result<Restored> {
        step!(self, "restore.begun");
        let restored = self.start_again(&self.session(&running.session)?)?;
        step!("restore.launched");
        running.end(|tx, id| {
            rows::check_revival(tx, &ao_store::row::session::require(tx, id)?)?;
            rows::revive(tx, id)?;
            rows::mark(tx, id)?;
            cleanup::forget(tx, id)
        })?;
        self.start_runners();
        Ok(restored)
    }

    /// Makes a session whose restore failed what it was: terminated, with nothing that runs, and with its
    /// worktree as after a termination.
    pub(super) fn undo_restore(&self, running: &Running<'_>) -> Result<()> {
        let session = self.session(&running.session)?;
        self.stop_launches(&session)?;
        let released = self.release_worktree(&session)?;
        running.end(move |tx, id| {
            // Such as its prompt.
            delivery::proof::session_ended(tx, id)?;
            cleanup::set(tx, id, &released)
        })
    }

    /// Starts the agent of a session again that is not terminated and whose agent has ended.
    ///
    /// # Errors
    /// `SESSION_TERMINATED`, `AGENT_NOT_EXITED`, `SESSION_NOT_RESUMABLE`, `SESSION_EXTERNAL`,
    /// `SESSION_BUSY`, and those of a launch.
    pub fn relaunch(&self, id: &SessionId) -> Result<Restored> {
        let running = self.begin(id, Verb::Relaunch)?;
        let relaunched = self.relaunch_begun(id);
        running.give_up();
        // What waited for an agent.
        self.start_runners();
        relaunched
    }

    pub(super) fn relaunch_begun(&self, id: &SessionId) -> Result<Restored> {
        step!(self, "relaunch.begun");
        let session = self.session(id)?;
        if session.is_terminated {
            return Err(ao_store::Error::SessionTerminated(id.clone()).into());
        }
        if session.is_external() {
            return Err(Error::External(id.clone()));
        }
        if let Some(launch) = self.launches(id)?.last()
            && launch.ended_at.is_none()
            && processes::is_running(launch)?
        {
            return Err(Error::AgentNotExited(id.clone()));
        }
        self.start_again(&session)
    }

    /// Launches a session in its worktree, which is made again if it is missing.
    pub(super) fn start_again(&self, session: &Session) -> Result<Restored> {
        check_handle(session)?;
        let harness = self.harnesses.get(&session.harness)?;
        let start = self.store.read(|snapshot| rows::start(snapshot, &session.id))?;
        let found = harness::find(harness, &start.argv, &self.config.environment)?;
        self.runtime(&session.runtime_kind)?.check()?;
        let given = self.given(start.prompt, session.model.clone(), &session.worktree_path);
        let given = Given { permission: session.permission.clone(), ..given };
        let launches = self.launches(&session.id)?;
        let built = self.choose(session, harness, &found, &given, &launches)?;
        // What is left of earlier launches, such as a dead pane, goes when nothing else prevents a new one.
        self.stop_launches(session)?;
        let mut warnings = self.ensure_worktree(session)?;
        step!(self, "restore.worktree");
        let kind = built.kind;
        let launch = self.launch(session, built)?;
        if kind != LaunchKind::Resume || !self.is_refused(harness, &launch)? {
            return Ok(Restored { session: session.id.clone(), kind, warnings });
        }
        warnings
            .push("the program refused its earlier conversation; a new one was started".to_owned());
        self.stop_launch(&self.session(&session.id)?, &launch.id)?;
        let built = self.without_conversation(session, harness, &found, &given, &launches)?;
        let kind = built.kind;
        self.launch(session, built)?;
        Ok(Restored { session: session.id.clone(), kind, warnings })
    }

    /// What the program is started from.
    fn choose(
        &self,
        session: &Session,
        harness: &Harness,
        found: &Found,
        given: &Given,
        launches: &[Launch],
    ) -> Result<Built> {
        let native_id =
            launches.iter().rev().map(|launch| &launch.native_id).find(|id| !id.is_empty());
        if let Some(native_id) = native_id {
            let conversation = harness.conversation(native_id, &self.config.environment);
            if conversation == Conversation::Exists {
                return harness::resume(harness, found, given, native_id);
            }
        }
        self.without_conversation(session, harness, found, given, launches)
    }

    fn without_conversation(
        &self,
        session: &Session,
        harness: &Harness,
        found: &Found,
        given: &Given,
        launches: &[Launch],
    ) -> Result<Built> {
        let is_acknowledged =
            launches.iter().any(|launch| launch.prompt_stage == PromptStage::Acknowledged);
        if !given.prompt.is_empty() && !is_acknowledged {
            return harness::start(harness, found, given);
        }
        if session.kind == SessionKind::Orchestrator || is_acknowledged {
            let given = Given { prompt: String::new(), ..given.clone() };
            return harness::start(harness, found, &given);
        }
        Err(Error::NotResumable(session.id.clone()))
    }

    /// Whether the program ends at once because it refuses the conversation.
    fn is_refused(&self, harness: &Harness, launch: &Launch) -> Result<bool> {
        let deadline = Instant::now() + REFUSAL_WITHIN;
        while harness.can_refuse() && Instant::now() < deadline {
            let (row, tail) = self.store.read(|snapshot| {
                Ok((launch::get(snapshot, &launch.id)?, launch::output(snapshot, &launch.id)?))
            })?;
            if let Some(row) = row.filter(|row| row.ended_at.is_some()) {
                let status = row.exit_status.unwrap_or_default();
                return Ok(row.end_cause() == Some(EndCause::Exited)
                    && harness.has_refused(status, &tail.unwrap_or_default()));
            }
            self.check_interrupted()?;
            sleep(POLL);
        }
        Ok(false)
    }

    /// Makes the worktree again on its branch where it is missing, with the work that was captured.
    fn ensure_worktree(&self, session: &Session) -> Result<Vec<String>> {
        let project =
            self.store.read(|snapshot| project::require_active(snapshot, &session.project))?;
        let repository = self.repository(&project)?;
        let path = Path::new(&session.worktree_path);
        if repository.inspect(path)?.is_missing {
            repository.add_again(&self.root, path, &session.branch)?;
        }
        repository.lock(path, &session.id)?;
        let cleanup = self.store.read(|snapshot| cleanup::get(snapshot, &session.id))?;
        let preserved = cleanup.map(|cleanup| cleanup.preserved_ref).unwrap_or_default();
        if preserved.is_empty() {
            return Ok(Vec::new());
        }
        Ok(match repository.apply_preserved(path, &preserved)? {
            Applied::Done => Vec::new(),
            Applied::Conflict => vec![format!("the work in {preserved} conflicts and stays there")],
        })
    }
}

fn check_restorable(session: &Session) -> Result<()> {
    if !session.is_terminated {
        return Err(Error::NotRestorable(session.id.clone()));
    }
    check_handle(session)?;
    if session.is_external() { Err(Error::External(session.id.clone())) } else { Ok(()) }
}

fn check_handle(session: &Session) -> Result<()> {
    let missing = match (session.worktree_path.is_empty(), session.branch.is_empty()) {
        (true, _) => "worktree path",
        (_, true) => "branch",
        _ => return Ok(()),
    };
    Err(Error::Incomplete { id: session.id.clone(), missing })
}
