//! Writes the accepted deliveries of a session to its agent, in their order. The database lets one process at a
//! time write one; that is recorded before its first byte.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_store::row::delivery::stage::{self, Turn};
use ao_store::row::delivery::{self, Delivery, DeliveryKind, Stage};
use ao_store::row::launch::{self, PromptStage};
use ao_store::row::session::{self, Session};
use ao_store::{SessionId, Timestamp, Tx};

use super::Sessions;
use super::reaper::Reaper;
use super::send::refused;
use crate::error::{Error, Result};
use crate::failpoint::step;
use crate::runtime::wait_until_still;

/// How long a program counts as one that still starts, unless it works.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// How long a stage is written again and again: the store may be busy, or the disk full.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(200);

/// The most bytes of a reason that are stored.
const REASON_MAX: usize = 500;

impl Sessions {
    /// Writes what was accepted for a session, until nothing more can be written now or another process
    /// writes.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`; when the store cannot be written.
    pub fn deliver(&self, id: &SessionId) -> Result<()> {
        step!("deliver.begun");
        let (runner, mut ready) = (self.instance()?, String::new());
        let mut reaper = Reaper::of(self, id);
        loop {
            let session = self.session(id)?;
            let is_due = self.store.read(|snapshot| delivery::due(snapshot, &session))?.is_some();
            if is_due && ready != session.launch {
                self.wait_for_composer(&session)?;
                ready.clone_from(&session.launch);
            }
            // A dialog that nothing has reported would take the text for its answer.
            if is_due && let Err(error) = reaper.probe() {
                tracing::debug!(session = %id, %error, "its screen cannot be read");
            }
            let seen = is_due.then(|| session.launch.clone());
            step!("deliver.seen");
            let last_stage = self.last_stage(&session);
            let (to, runner) = (id.clone(), runner.clone());
            let turn =
                self.persist(move |tx| stage::take(tx, &to, &runner, last_stage, seen.as_deref()))?;
            match turn {
                Turn::Write(delivery) => self.write_to_agent(&session, &delivery)?,
                Turn::Look => {}
                Turn::Wait | Turn::Nothing => return Ok(()),
            }
        }
    }

    /// A program that still starts would lose what is typed, also after it has reported that it runs: gemini
    /// reports that before it reads.
    fn wait_for_composer(&self, session: &Session) -> Result<()> {
        use ao_store::activity::Activity::{Idle, Starting, Unknown};
        let launch = self.store.read(|snapshot| launch::get(snapshot, &session.launch))?;
        let started = launch.and_then(|launch| launch.started_at).unwrap_or(Timestamp(0));
        let age = u64::try_from(self.now().0.saturating_sub(started.0)).unwrap_or(0);
        let is_fresh = Duration::from_millis(age) < STARTS_WITHIN;
        if !is_fresh || !matches!(session.activity, Starting | Unknown | Idle) {
            return Ok(());
        }
        let runtime = self.runtime(&session.runtime_kind)?;
        let socket = &session.runtime_socket;
        if let Err(error) = wait_until_still(runtime, &session.launch, socket) {
            // If its pane is gone, that becomes the reason of the failed delivery.
            tracing::debug!(session = %session.id, %error, "its screen cannot be read");
        }
        Ok(())
    }

    /// Writes a delivery that this process has taken, and records what became of it.
    fn write_to_agent(&self, session: &Session, delivery: &Delivery) -> Result<()> {
        step!("deliver.taken");
        let text = self.store.read(|snapshot| delivery::text_of(snapshot, &delivery.id))?;
        let runtime = self.runtime(&session.runtime_kind)?;
        let (launch, socket) = (&delivery.launch, &session.runtime_socket);
        if let Err(error) = runtime.check_input(launch, socket) {
            return self.give_up(delivery, Stage::Failed, &error);
        }
        if let Err(error) = runtime.paste(launch, socket, &text) {
            return self.give_up(delivery, Stage::Ambiguous, &error);
        }
        step!("deliver.pasted");
        // What was asked meanwhile would be answered by Enter.
        let refusal = self.store.read(|snapshot| {
            delivery::refusal(snapshot, &session::require(snapshot, &session.id)?)
        })?;
        if let Some(refusal) = refusal {
            let error = refused(session.id.clone(), refusal);
            return self.give_up(delivery, Stage::Ambiguous, &error);
        }
        if let Err(error) = runtime.submit(launch, socket) {
            return self.give_up(delivery, Stage::Ambiguous, &error);
        }
        step!("deliver.submitted");
        let taken = delivery.clone();
        self.persist(move |tx| {
            let written = stage::written(tx, &taken)?;
            // The report of the agent may have come before.
            if written.kind == DeliveryKind::Prompt
                && launch::get(tx, &written.launch)?
                    .is_some_and(|launch| launch.prompt_stage == PromptStage::Pending)
            {
                launch::set_prompt_stage(tx, &written.launch, PromptStage::Written)?;
            }
            Ok(())
        })
    }

    fn give_up(&self, delivery: &Delivery, stage: Stage, error: &Error) -> Result<()> {
        let (taken, reason) = (delivery.clone(), error.to_string());
        let reason = reason[..reason.floor_char_boundary(REASON_MAX)].to_owned();
        self.persist(move |tx| stage::give_up(tx, &taken, stage, &reason)).map(|_| ())
    }

    /// Writes to the store, again and again while that may help.
    fn persist<T: Send + 'static>(
        &self,
        work: impl Fn(&Tx<'_>) -> ao_store::Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let deadline = Instant::now() + WRITE_TIMEOUT;
        loop {
            match self.write(work.clone()) {
                Err(error) if error.code().is_retryable() && Instant::now() < deadline => {
                    tracing::debug!(%error, "the store cannot be written");
                }
                written => return written,
            }
            sleep(RETRY);
        }
    }
}
