//! Makes what runs equal to what the rows say: adopts what lives, starts again what should live, stops what
//! should not, and removes what a dead process left half-done.
//!
//! It takes no input but the rows and the machine, may run at any time and any number of times, and touches
//! nothing that no row names. One session that fails never stops the others.

mod decide;
mod losses;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use ao_store::SessionId;
use ao_store::row::launch::Launch;
use ao_store::row::lifecycle::operation::{self, Operation, Verb};
use ao_store::row::lifecycle::{instance, machine};
use ao_store::row::session::{self, Session};

pub(super) use self::decide::is_mass;
use self::decide::{Decision, Found, decide};
use super::settle::Settled;
use super::{Sessions, machine_id};
use crate::error::{Error, Result};
use crate::failpoint::step;
use crate::runtime::processes;

/// How many sessions are started again at the same time.
const PARALLEL: usize = 4;

/// What reconciliation may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: it reports what it would do.
    DryRun,
    /// Everything, on the machine that is recorded.
    Act,
    /// Everything, and this machine is recorded.
    Confirm,
}

/// What was done, or would be done.
#[derive(Debug, Default)]
pub struct Report {
    /// Whether the sessions are those of this machine. If not, nothing was changed.
    pub is_confirmed: bool,
    /// Losses of several sessions at once, each with its cause.
    pub events: Vec<String>,
    /// One for each session that is not external, and for each abandoned operation.
    pub actions: Vec<Action>,
}

/// What was done about one session.
#[derive(Debug)]
pub struct Action {
    /// The session.
    pub session: SessionId,
    /// What was done, such as `adopted`.
    pub what: &'static str,
    /// Why.
    pub reason: String,
    /// Why it failed.
    pub error: Option<Error>,
}

impl Action {
    /// Whether it failed for a reason that may pass, so that it is worth another attempt.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.error.as_ref().is_some_and(Error::may_pass)
    }
}

/// One session with what was found of it.
struct Case {
    session: Session,
    launches: Vec<Launch>,
    found: Found,
    decision: Decision,
}

impl Sessions {
    /// Reconciles all sessions of the store.
    ///
    /// # Errors
    /// When the store or the processes of the machine cannot be read.
    pub fn reconcile(&self, mode: Mode) -> Result<Report> {
        let mut report = Report { is_confirmed: self.is_machine_confirmed()?, ..Report::default() };
        if mode == Mode::Confirm {
            let machine = machine_id();
            self.write(move |tx| machine::confirm(tx, &machine))?;
            report.is_confirmed = true;
        }
        let acts = mode != Mode::DryRun && report.is_confirmed;
        self.settle_all(acts, &mut report)?;
        step!(self, "reconcile.settled");
        let cases = self.cases()?;
        if acts {
            self.delete_stale_specs()?;
            report.events = self.record_losses(&cases)?;
            step!(self, "reconcile.recorded");
        }
        report.actions.extend(self.act_on(cases, acts));
        if acts {
            self.start_runners();
        }
        Ok(report)
    }

    /// Reconciles these sessions only, after what instances that ended left half-done; on another machine than
    /// the recorded one, nothing.
    ///
    /// # Errors
    /// Those of [`Sessions::reconcile`].
    pub fn reconcile_only(&self, sessions: &HashSet<SessionId>) -> Result<Report> {
        let mut report = Report { is_confirmed: self.is_machine_confirmed()?, ..Report::default() };
        if report.is_confirmed {
            self.settle_all(true, &mut report)?;
            let mut cases = self.cases()?;
            cases.retain(|case| sessions.contains(&case.session.id));
            report.actions.extend(self.act_on(cases, true));
            self.start_runners();
        }
        Ok(report)
    }

    /// Finishes or undoes what instances that ended left half-done.
    fn settle_all(&self, acts: bool, report: &mut Report) -> Result<()> {
        let abandoned: Vec<Operation> = self.store.read(|snapshot| {
            let all = operation::list(snapshot)?;
            let mut abandoned = Vec::new();
            for operation in all {
                if operation.is_abandoned(snapshot)? {
                    abandoned.push(operation);
                }
            }
            Ok(abandoned)
        })?;
        for operation in abandoned {
            if acts {
                self.check_interrupted()?;
            }
            let settled =
                if acts { self.settle(&operation) } else { Ok(Settled::planned(&operation)) };
            let verb = operation.verb.as_str();
            report.actions.push(Action {
                session: operation.session.clone(),
                what: match settled {
                    Ok(Settled::Undone) => "undone",
                    Ok(Settled::Finished) => "finished",
                    Ok(Settled::Elsewhere) | Err(_) => "left",
                },
                reason: format!("the process that ran {verb} on it has ended"),
                error: settled.err(),
            });
        }
        Ok(())
    }

    /// Every session that this program runs and that nobody is at, with what should be done about it.
    fn cases(&self) -> Result<Vec<Case>> {
        let now = self.now();
        let all = session::Filter { project: None, terminated: true };
        let (sessions, mut launches, busy) = self.store.read(|snapshot| {
            let busy: Vec<SessionId> =
                operation::list(snapshot)?.into_iter().map(|running| running.session).collect();
            Ok((session::list(snapshot, &all)?, ao_store::row::launch::all(snapshot)?, busy))
        })?;
        let running = processes::by_launch()?;
        let shown = self.shown(&sessions);
        let mut by_session: HashMap<SessionId, Vec<Launch>> = HashMap::new();
        for launch in launches.drain(..) {
            by_session.entry(launch.session.clone()).or_default().push(launch);
        }
        let ours = sessions.into_iter().filter(|it| !it.is_external() && !busy.contains(&it.id));
        Ok(ours
            .map(|session| {
                let launches = by_session.remove(&session.id).unwrap_or_default();
                let found = find(&session, &launches, &running, &shown);
                let decision = decide(&session, &launches, found, now);
                Case { session, launches, found, decision }
            })
            .collect())
    }

    /// The newest launches of terminated sessions that a runtime still shows, because it could not be asked
    /// to remove them. One that does not answer shows none.
    fn shown(&self, sessions: &[Session]) -> HashSet<String> {
        let ended = sessions.iter().filter(|it| it.is_terminated && !it.runtime_socket.is_empty());
        let places: HashSet<_> =
            ended.map(|it| (it.runtime_kind.as_str(), it.runtime_socket.as_str())).collect();
        let ask = |(kind, socket): (&str, &str)| self.runtime(kind)?.shown(socket);
        let answers = places.into_iter().map(ask).filter_map(|answer| match answer {
            Ok(shown) => Some(shown),
            Err(error) => {
                tracing::debug!(%error, "a runtime does not say what it shows");
                None
            }
        });
        answers.flatten().collect()
    }

    /// Carries out the decisions, several at the same time.
    fn act_on(&self, cases: Vec<Case>, acts: bool) -> Vec<Action> {
        let (queue, done) = (Mutex::new(cases.into_iter()), Mutex::new(Vec::new()));
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        thread::scope(|scope| {
            for _ in 0..if acts { PARALLEL } else { 1 } {
                scope.spawn(|| {
                    while let Some(case) = next() {
                        let action = self.act(case, acts);
                        done.lock().unwrap_or_else(PoisonError::into_inner).push(action);
                    }
                });
            }
        });
        let mut actions = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        actions.sort_by(|a: &Action, b: &Action| a.session.cmp(&b.session));
        actions
    }

    fn act(&self, case: Case, acts: bool) -> Action {
        let (session, decision) = (case.session.id.clone(), case.decision);
        let outcome = if acts { self.carry_out(&case) } else { Ok(true) };
        let (what, reason) = match outcome {
            Ok(false) => ("left", "another process changed it meanwhile".to_owned()),
            _ => (decision.as_str(), reason(&case)),
        };
        Action { session, what, reason, error: outcome.err() }
    }

    /// Returns whether the decision was carried out, and not left to another process.
    fn carry_out(&self, case: &Case) -> Result<bool> {
        match case.decision {
            Decision::Adopt | Decision::Leave | Decision::TooOften => Ok(true),
            Decision::Relaunch | Decision::Stop | Decision::Remove => {
                use ao_store::Error::{SessionBusy, SessionNotFound};
                self.check_interrupted()?;
                let running = match self.begin(&case.session.id, Verb::Reconcile) {
                    Err(Error::Store(SessionBusy { .. } | SessionNotFound(_))) => return Ok(false),
                    running => running?,
                };
                let outcome = self.carry_out_alone(case);
                running.give_up();
                outcome
            }
        }
    }

    /// While no other verb runs on the session, which may have changed until then.
    fn carry_out_alone(&self, case: &Case) -> Result<bool> {
        let session = self.session(&case.session.id)?;
        let is_same = session.launch == case.session.launch
            && session.is_terminated == case.session.is_terminated
            && session.spawned_at == case.session.spawned_at;
        if !is_same {
            return Ok(false);
        }
        step!(self, "reconcile.begun");
        match case.decision {
            Decision::Relaunch => {
                self.stop_launch(&session, &session.launch)?;
                step!(self, "reconcile.stopped");
                self.start_again(&session)?;
            }
            Decision::Remove => self.undo_spawn(&session)?,
            _ => drop(self.stop_launches(&session)?),
        }
        Ok(true)
    }
}

/// Whether the newest launch of a session that should run does, or anything of a terminated one is left.
fn find(
    session: &Session,
    launches: &[Launch],
    running: &processes::ByLaunch,
    shown: &HashSet<String>,
) -> Found {
    let is_left = |launch: &Launch| running.contains_key(&launch.id);
    if session.is_terminated {
        let is_left = shown.contains(&session.launch) || launches.iter().any(is_left);
        return if is_left { Found::Alive } else { Found::Dead };
    }
    let Some(newest) = launches.last().filter(|launch| launch.ended_at.is_none()) else {
        return Found::Dead;
    };
    let is_alive = match newest.supervisor.as_str() {
        // It was recorded, and the supervisor has not reported yet.
        "" => is_left(newest),
        supervisor => !instance::is_dead(supervisor, &newest.boot_id),
    };
    if is_alive { Found::Alive } else { Found::Dead }
}

fn reason(case: &Case) -> String {
    let ended = case.launches.last().and_then(Launch::end_cause);
    match (case.decision, ended) {
        (Decision::Adopt, _) => "its agent is running".to_owned(),
        (Decision::Leave, _) if case.session.is_terminated => "it is terminated".to_owned(),
        (Decision::Leave, _) => "its agent ended by itself".to_owned(),
        (Decision::TooOften, _) => "its agent was killed three times in ten minutes".to_owned(),
        (Decision::Stop, _) => "it is terminated, and something of it was left".to_owned(),
        (Decision::Remove, _) => "its creation was interrupted".to_owned(),
        (Decision::Relaunch, Some(cause)) => format!("its agent ended: {cause}"),
        (Decision::Relaunch, None) => "its agent does not run".to_owned(),
    }
}
