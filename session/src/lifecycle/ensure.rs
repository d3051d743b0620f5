//! Ensures that a project has an orchestrator: any number of callers in any number of processes get the same
//! one, because the database lets only one be created.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_store::row::lifecycle::operation::{self, Operation, Verb};
use ao_store::row::project;
use ao_store::row::session::{self, SessionKind};
use ao_store::{ProjectId, SessionId};

use super::operation::Running;
use super::{Killed, Sessions, SpawnRequest, Spawned};
use crate::error::{Error, Result};
use crate::failpoint::step;

/// How long a caller waits for the orchestrator that another process is creating.
const WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// The orchestrator of a project.
#[derive(Debug, Clone)]
pub struct Ensured {
    /// The session.
    pub session: SessionId,
    /// Whether this call spawned it.
    pub is_new: bool,
    /// What did not work, without preventing the session.
    pub warnings: Vec<String>,
}

impl Sessions {
    /// The orchestrator of a project, which is spawned if there is none. With `replace` the active one is
    /// replaced: its work is captured, the new one is spawned, and only then is the old one stopped. A
    /// failure keeps the old one.
    ///
    /// # Errors
    /// Those of [`Sessions::spawn`]; `SESSION_BUSY` when another process does not finish.
    pub fn ensure_orchestrator(&self, request: &SpawnRequest, replace: bool) -> Result<Ensured> {
        let request = SpawnRequest { kind: SessionKind::Orchestrator, ..request.clone() };
        let (deadline, mut first) = (Instant::now() + WAIT, None);
        loop {
            self.check_interrupted()?;
            match self.active_orchestrator(&request.project)? {
                Some((_, Some(running))) => self.wait_for(&running, deadline)?,
                Some((active, None))
                    if replace && *first.get_or_insert(active.clone()) == active =>
                {
                    if let Some(ensured) = self.replace(&request, active)? {
                        return Ok(ensured);
                    }
                }
                // Or another caller has replaced it meanwhile.
                Some((session, None)) => {
                    return Ok(Ensured { session, is_new: false, warnings: Vec::new() });
                }
                None => match self.spawn(&request) {
                    // Another caller was faster.
                    Err(Error::Store(ao_store::Error::OrchestratorActive { .. })) => {}
                    spawned => {
                        let spawned = spawned?;
                        let (session, warnings) = (spawned.session, spawned.warnings);
                        return Ok(Ensured { session, is_new: true, warnings });
                    }
                },
            }
        }
    }

    fn active_orchestrator(
        &self,
        project: &ProjectId,
    ) -> Result<Option<(SessionId, Option<Operation>)>> {
        Ok(self.store.read(|snapshot| {
            project::require_active(snapshot, project)?;
            let Some(active) = session::orchestrator(snapshot, project)? else { return Ok(None) };
            let running = operation::get(snapshot, &active)?;
            Ok(Some((active, running)))
        })?)
    }

    /// Waits until an operation is over; one that was abandoned is settled.
    fn wait_for(&self, running: &Operation, deadline: Instant) -> Result<()> {
        if self.store.read(|snapshot| running.is_abandoned(snapshot))? {
            return self.settle(running).map(|_| ());
        }
        while self.store.read(|snapshot| operation::get(snapshot, &running.session))?.is_some() {
            if Instant::now() > deadline {
                return Err(busy(running));
            }
            if self.store.read(|snapshot| running.is_abandoned(snapshot))? {
                return Ok(());
            }
            self.check_interrupted()?;
            sleep(POLL);
        }
        Ok(())
    }

    /// Captures the work of the active one, and spawns its successor; `None` if it is terminated by now.
    fn replace_begun(&self, request: &SpawnRequest, active: SessionId) -> Result<Option<Spawned>> {
        step!(self, "replace.begun");
        let session = self.session(&active)?;
        if session.is_terminated {
            return Ok(None);
        }
        if !session.is_external()
            && let Some(project) = self.store.read(|it| project::get(it, &session.project))?
        {
            let repository = self.repository(&project)?;
            repository.capture(Path::new(&session.worktree_path), &session.id)?;
        }
        step!(self, "replace.captured");
        self.spawn_replacing(request, Some(active)).map(Some)
    }

    /// `None` if another process was faster.
    fn replace(&self, request: &SpawnRequest, active: SessionId) -> Result<Option<Ensured>> {
        use ao_store::Error::{SessionBusy, SessionNotFound};
        // What needs no row is checked before the old one is touched.
        self.check(request)?;
        let running = match self.begin(&active, Verb::Replace) {
            Err(Error::Store(SessionBusy { .. } | SessionNotFound(_))) => return Ok(None),
            running => running?,
        };
        let spawned = match self.replace_begun(request, active) {
            Ok(Some(spawned)) => spawned,
            none => {
                running.give_up();
                return none.map(|_| None);
            }
        };
        match self.end_replaced(&running) {
            Ok(killed) => {
                let warnings = [spawned.warnings, killed.warnings].concat();
                Ok(Some(Ensured { session: spawned.session, is_new: true, warnings }))
            }
            Err(error) => {
                running.abandon();
                Err(error)
            }
        }
    }

    fn end_replaced(&self, running: &Running<'_>) -> Result<Killed> {
        step!("replace.spawned");
        self.finish_kill(running, "it was replaced")
    }
}

fn busy(running: &Operation) -> Error {
    let (session, verb) = (running.session.clone(), running.verb.as_str());
    ao_store::Error::SessionBusy { session, verb }.into()
}
