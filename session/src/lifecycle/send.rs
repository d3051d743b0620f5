//! Messages to agents: accepted in one transaction, and then written by a process of their own.

use std::ffi::OsString;
use std::path::Path;

use ao_program::start_apart;
use ao_store::SessionId;
use ao_store::row::delivery::stage::Resent;
use ao_store::row::delivery::{
    self, Accepted, Delivery, DeliveryKind, NewDelivery, Refusal, Stage,
};
use ao_store::row::lifecycle::operation;
use ao_store::row::session::{self, Session};

use super::{Sessions, new_id};
use crate::error::{Error, Result};
use crate::failpoint::step;
use crate::runtime::processes;

/// The longest message, in bytes.
pub const MESSAGE_MAX: usize = 1 << 20;

/// The longest key of a message, in bytes.
const KEY_MAX: usize = 512;

/// How the keys of turns and prompts begin, which are deliveries that ao-store makes.
const OWN_KEYS: [&str; 2] = ["turn/", "prompt/"];

/// A message to the agent of a session.
#[derive(Debug, Clone)]
pub struct Message {
    /// The session that gets it.
    pub session: SessionId,
    /// Its text.
    pub text: String,
    /// The key that makes a repeated request the same delivery; `None` for one that is never repeated.
    pub key: Option<String>,
    /// The session that sends it; or empty.
    pub sender: String,
    /// The stage that the caller waits for: it must be one that can be proven.
    pub wanted: Stage,
    /// Send it although the account of the harness has reached a limit.
    pub force: bool,
}

/// A message that was accepted.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The delivery.
    pub delivery: Delivery,
    /// Whether it was not accepted before.
    pub is_new: bool,
}

impl Sessions {
    /// Accepts a message for the agent of a session. A process of its own then writes it, whatever becomes of
    /// this one.
    ///
    /// # Errors
    /// `INVALID_PROMPT`, `INVALID_ID` for the key, `SESSION_NOT_FOUND`, `STAGE_NOT_REPORTED`,
    /// `ACCOUNT_LIMITED`, `DELIVERY_KEY_USED`, and the refusals: `DECISION_PENDING`, `SESSION_NOT_RUNNING`, `SESSION_TERMINATED`,
    /// `SESSION_EXTERNAL`, `SESSION_BUSY`, `NO_TERMINAL`. Nothing is sent then.
    pub fn send(&self, message: &Message) -> Result<Sent> {
        let text = clean(&message.text)?;
        let id = new_id('m');
        let key = message.key.clone().unwrap_or_else(|| id.clone());
        check_key(&key)?;
        let session = self.session(&message.session)?;
        let last_stage = self.last_stage(&session);
        if last_stage == Stage::Written
            && !matches!(message.wanted, Stage::Accepted | Stage::Written)
        {
            let (harness, stage) = (session.harness, message.wanted);
            return Err(Error::StageNotReported { harness, stage });
        }
        let known = self.store.read(|snapshot| delivery::of_key(snapshot, &session.id, &key))?;
        if known.is_none() && !message.force {
            self.check_account(&session.harness)?;
        }
        self.settle_abandoned(&session.id)?;
        let (kind, sender) = (DeliveryKind::Message, message.sender.clone());
        let new = NewDelivery { id, kind, key, sender, last_stage, text };
        let to = session.id.clone();
        let accepted =
            self.write(move |tx| delivery::accept(tx, &session::require(tx, &to)?, &new))?;
        step!("send.accepted");
        let (delivery, is_new) = match accepted {
            Accepted::New(delivery) => (delivery, true),
            Accepted::Known(delivery) => (delivery, false),
            Accepted::Refused(refusal) => return Err(refused(session.id, refusal)),
        };
        if matches!(delivery.stage, Stage::Accepted | Stage::Writing) {
            self.start_runner(&session.id);
        }
        Ok(Sent { delivery, is_new })
    }

    /// Has a delivery written again that is ambiguous or failed, as a person decided.
    ///
    /// # Errors
    /// `DELIVERY_NOT_FOUND`, `DELIVERY_NOT_RESENDABLE`, and the refusals of [`Sessions::send`].
    pub fn resend(&self, id: &str) -> Result<Delivery> {
        let found = self.store.read(|snapshot| delivery::require(snapshot, id))?;
        self.settle_abandoned(&found.session)?;
        match self.write(move |tx| delivery::stage::resend(tx, &found.id))? {
            Resent::Accepted(delivery) => {
                self.start_runner(&delivery.session);
                Ok(delivery)
            }
            Resent::NotEnded(Delivery { id, stage, .. }) => Err(Error::NotResendable { id, stage }),
            Resent::Refused(session, refusal) => Err(refused(session, refusal)),
        }
    }

    /// The last stage of a delivery to a session that its harness can prove.
    pub(super) fn last_stage(&self, session: &Session) -> Stage {
        let harness = self.harnesses.get(&session.harness).ok();
        let hooks = harness.and_then(|harness| harness.hooks());
        let is_reported = hooks.is_some_and(|hooks| hooks.reports_prompts());
        if is_reported { Stage::Finished } else { Stage::Written }
    }

    /// Whether the harness of a session reports what its agent said last.
    pub(crate) fn reports_answers(&self, session: &Session) -> bool {
        let harness = self.harnesses.get(&session.harness).ok();
        let hooks = harness.and_then(|harness| harness.hooks());
        hooks.is_some_and(|hooks| hooks.reports_prompts() && hooks.reports_answers())
    }

    /// Finishes or undoes what a process that ended was doing with a session.
    fn settle_abandoned(&self, id: &SessionId) -> Result<()> {
        let abandoned = self.store.read(|snapshot| match operation::get(snapshot, id)? {
            Some(running) if running.is_abandoned(snapshot)? => Ok(Some(running)),
            _ => Ok(None),
        })?;
        abandoned.map_or(Ok(()), |abandoned| self.settle(&abandoned).map(|_| ()))
    }

    /// Starts a process that writes what was accepted for a session. Where that is not possible, the next
    /// message, `reconcile` or `up` starts one.
    pub fn start_runner(&self, session: &SessionId) {
        if let Err(error) = start_runner(&self.config.runner, &self.config.data_dir, session) {
            tracing::warn!(%session, %error, "cannot start the process that writes messages");
        }
    }

    /// The same for each session for which there is something to do.
    pub(super) fn start_runners(&self) {
        match self.store.read(delivery::unattended) {
            Ok(all) => all.iter().for_each(|session| self.start_runner(session)),
            Err(error) => tracing::warn!(%error, "cannot start the processes that write messages"),
        }
    }
}

/// Starts a process that writes what was accepted for a session: `command` with the id of the session. It
/// outlives this process, and does not belong to the launch in which this one may run.
///
/// # Errors
/// It cannot be started.
pub fn start_runner(command: &[OsString], data_dir: &Path, session: &SessionId) -> Result<()> {
    let mut argv = command.to_vec();
    argv.push(session.as_str().into());
    match start_apart(&argv, data_dir, &processes::LAUNCH_VARIABLES) {
        Ok(_) => Ok(()),
        Err(error) => {
            let action = "start the process that writes messages";
            Err(Error::RuntimeFailed { action, reason: error.to_string() })
        }
    }
}

/// The error of a refusal.
pub(crate) fn refused(session: SessionId, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Terminated => ao_store::Error::SessionTerminated(session).into(),
        Refusal::External => Error::External(session),
        Refusal::NoTerminal => Error::NoTerminal(session),
        Refusal::Busy(running) => {
            ao_store::Error::SessionBusy { session, verb: running.verb.as_str() }.into()
        }
        Refusal::AgentEnded => Error::NotRunning { session, reason: "it has ended" },
        Refusal::Decision(decision) => Error::DecisionPending(decision),
    }
}

/// A message as its agent gets it: without control characters except tabs and line feeds, and without line
/// ends at its end.
pub(crate) fn clean(text: &str) -> Result<String> {
    if text.len() > MESSAGE_MAX {
        return Err(Error::InvalidMessage("it is longer than 1 MiB"));
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut kept: String =
        text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    kept.truncate(kept.trim_end_matches('\n').len());
    if kept.trim().is_empty() {
        return Err(Error::InvalidMessage("it is empty"));
    }
    Ok(kept)
}

fn check_key(key: &str) -> Result<()> {
    let reason = match key {
        "" => "it is empty",
        key if key.len() > KEY_MAX => "it is longer than 512 bytes",
        key if key.chars().any(char::is_control) => "it may not contain control characters",
        key if OWN_KEYS.iter().any(|own| key.starts_with(own)) => {
            "keys that begin with turn/ and prompt/ are made by ao-store"
        }
        _ => return Ok(()),
    };
    let value = key.chars().take(80).collect();
    Err(ao_store::Error::InvalidId { what: "key", value, reason }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_no_control_characters_and_exactly_its_lines() {
        for (text, kept) in [
            ("a", "a"),
            (" a \n\n b\t", " a \n\n b\t"),
            ("a\r\nb\rc\r\n\n", "a\nb\nc"),
            ("\u{1b}[201~x\u{7f}\u{9b}y\0", "[201~xy"),
            ("\u{e9}\u{1f600}", "\u{e9}\u{1f600}"),
        ] {
            assert_eq!(clean(text).unwrap(), kept, "{text:?}");
        }
        for text in ["", " \n", "\u{1b}", &"x".repeat(MESSAGE_MAX + 1)] {
            assert!(matches!(clean(text), Err(Error::InvalidMessage(_))));
        }
        assert_eq!(clean(&"x".repeat(MESSAGE_MAX)).unwrap().len(), MESSAGE_MAX);
    }
}
