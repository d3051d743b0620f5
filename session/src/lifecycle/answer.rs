//! Answers what an agent waits for: through the hook that waits for it, else with the keys of its row.
//!
//! A hook has to take the answer, which is then given, before it is withdrawn; one of both happens.
//! Keys are sent only to a screen that shows the dialog, looked at just before. The answer is recorded when the
//! dialog is gone. While it is given it is an operation on the session, so that one of several callers gives it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_store::SessionId;
use ao_store::activity::{Evidence, Signal, Source};
use ao_store::row::decision::{self, Decision, Resolution};
use ao_store::row::evidence::{self, Report};
use ao_store::row::lifecycle::operation::Verb;
use ao_store::row::session::Session;

use super::Sessions;
use super::operation::Running;
use crate::error::{Error, Result};
use crate::failpoint::step;
use crate::harness::{Answer, Dialog, Press};

/// How long the agent may take to draw the dialog.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

/// How long the agent may take to read the keys.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// How long the agent may take to close the dialog once it has read them.
const TAKEN_WITHIN: Duration = Duration::from_secs(8);
/// How long a dialog stays after that before a single key is sent again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_millis(100);

/// What is needed to answer a decision.
struct Way {
    dialog: Dialog,
    keys: Vec<Press>,
}

impl Sessions {
    /// Answers the open decision of a session, and returns it as it is then.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`; `DECISION_NOT_OPEN`; `ANSWER_NOT_POSSIBLE`, with the reason, when no key was
    /// sent; `ANSWER_NOT_TAKEN` when the dialog stays; `SESSION_BUSY`; when its runtime cannot be asked.
    pub fn answer(&self, id: &SessionId, answer: &Answer) -> Result<Decision> {
        let asked = self.open_decision(id)?;
        let session = self.session(id)?;
        let by_hook = self.is_for_hook(&session, &asked, answer)?;
        let ways = match self.ways(&session, &asked, answer) {
            Err(_) if by_hook => Vec::new(),
            ways => ways?,
        };
        let running = self.begin(id, Verb::Answer)?;
        let given = match by_hook {
            true => self.give_to_hook(&running, &asked, answer),
            false => Ok(None),
        };
        let given = given.and_then(|given| match given {
            Some(decision) => Ok(decision),
            None if ways.is_empty() => Err(Error::AnswerNotTaken(id.clone())),
            None => self.give(&running, &session, &asked, ways, answer),
        });
        if given.is_err() {
            running.give_up();
        }
        // What waited for the decision, or is a report of it: while this verb ran, nothing could be written.
        self.start_runners();
        given
    }

    fn open_decision(&self, id: &SessionId) -> Result<Decision> {
        self.session(id)?;
        let open = self.store.read(|snapshot| decision::open(snapshot, id))?;
        open.ok_or_else(|| Error::NoDecision(id.clone()))
    }

    /// Whether a hook waits for this decision, and can carry the answer.
    fn is_for_hook(&self, session: &Session, asked: &Decision, answer: &Answer) -> Result<bool> {
        let hooks = self.harnesses.get(&session.harness)?.hooks();
        let can_carry = hooks.is_some_and(|hooks| hooks.printed(&answer.shown()).is_some());
        let is_named = matches!(answer, Answer::Allow | Answer::Deny);
        Ok(is_named && can_carry && asked.hook_ends_at.is_some_and(|end| end > self.now()))
    }

    /// Offers the answer to the hook, and withdraws it when the hook does not take it, such as one that was
    /// killed. `None` then: the decision is open, and no hook can take the answer any more.
    fn give_to_hook(
        &self,
        running: &Running<'_>,
        asked: &Decision,
        answer: &Answer,
    ) -> Result<Option<Decision>> {
        let (id, answer) = (asked.id.clone(), answer.shown());
        let is_offered = self.write(move |tx| decision::offer(tx, &id, &answer))?;
        let begun = Instant::now();
        let is_open = || {
            let found = self.store.read(|snapshot| decision::get(snapshot, &asked.id))?;
            Ok::<_, Error>(found.is_some_and(|found| found.resolved_at.is_none()))
        };
        while is_offered && is_open()? && begun.elapsed() < TAKEN_WITHIN {
            sleep(POLL);
        }
        let id = asked.id.clone();
        if self.write(move |tx| decision::withdraw(tx, &id))? {
            return Ok(None);
        }
        let found = self.store.read(|snapshot| decision::get(snapshot, &asked.id))?;
        let is_taken = |it: &Decision| is_offered && it.resolution == Resolution::Answered;
        let taken = found.filter(is_taken);
        let taken = taken.ok_or_else(|| Error::NoDecision(asked.session.clone()))?;
        running.end(|_, _| Ok(()))?;
        Ok(Some(taken))
    }

    /// The dialogs of the harness that take the answer.
    fn ways(&self, session: &Session, asked: &Decision, answer: &Answer) -> Result<Vec<Way>> {
        let harness = self.harnesses.get(&session.harness)?;
        let of_kind = harness.dialogs().iter().filter(|dialog| dialog.is_of(asked.kind));
        let way =
            |dialog: &Dialog| Some(Way { keys: dialog.keys(answer)?, dialog: dialog.clone() });
        let ways: Vec<_> = of_kind.filter_map(way).collect();
        if ways.is_empty() {
            let reason = format!("{} has no keys for it", harness.label());
            return Err(not_possible(asked, &reason));
        }
        Ok(ways)
    }

    fn give(
        &self,
        running: &Running<'_>,
        session: &Session,
        asked: &Decision,
        ways: Vec<Way>,
        answer: &Answer,
    ) -> Result<Decision> {
        step!("answer.begun");
        let way = self.wait_for_dialog(session, asked, ways)?;
        let sent_at = self.now();
        self.press(session, asked, &way)?;
        step!("answer.sent");
        self.wait_until_taken(session, asked, &way)?;
        let (asked, answer) = (asked.clone(), answer.shown());
        running.end(move |tx, session| {
            decision::answered(tx, &asked.id, sent_at, &answer)?;
            let signal = Signal::Decided(asked.call.clone());
            let evidence = Evidence { source: Source::Screen, at: tx.now(), seen: None, signal };
            evidence::record(tx, &Report::of(&asked.launch, Some(evidence)))?;
            let decision = decision::get(tx, &asked.id)?;
            decision.ok_or_else(|| ao_store::Error::SessionNotFound(session.clone()))
        })
    }

    /// The way that the screen shows. A hook reports a decision before its dialog is drawn.
    fn wait_for_dialog(
        &self,
        session: &Session,
        asked: &Decision,
        mut ways: Vec<Way>,
    ) -> Result<Way> {
        let deadline = Instant::now() + SHOWN_WITHIN;
        loop {
            // Another one may have been answered in the meantime.
            if self.open_decision(&session.id)?.id != asked.id {
                return Err(Error::NoDecision(session.id.clone()));
            }
            let screen = self.screen(session, asked)?;
            if let Some(at) = ways.iter().position(|way| way.dialog.asks(&screen, &asked.text)) {
                return Ok(ways.swap_remove(at));
            }
            if Instant::now() > deadline {
                return Err(not_possible(asked, "its screen does not show the dialog"));
            }
            sleep(POLL);
        }
    }

    /// The visible screen of the launch that asks.
    fn screen(&self, session: &Session, asked: &Decision) -> Result<String> {
        let runtime = self.runtime(&session.runtime_kind)?;
        runtime.history(&asked.launch, &session.runtime_socket, 0)
    }

    fn press(&self, session: &Session, asked: &Decision, way: &Way) -> Result<()> {
        let runtime = self.runtime(&session.runtime_kind)?;
        runtime.press(&asked.launch, &session.runtime_socket, &way.keys)
    }

    /// Waits until the dialog is gone, or what it asked is decided. While it stays, a single key is sent again:
    /// claude ignores keys that come just after it has drawn a dialog. One that it has not read yet is not
    /// ignored: sent again, it would answer the next dialog.
    fn wait_until_taken(&self, session: &Session, asked: &Decision, way: &Way) -> Result<()> {
        let runtime = self.runtime(&session.runtime_kind)?;
        let begun = Instant::now();
        let (mut read, mut sent) = (begun, begun);
        loop {
            sleep(POLL);
            let open = self.store.read(|snapshot| decision::open(snapshot, &session.id))?;
            if open.is_none_or(|open| open.id != asked.id) {
                return Ok(());
            }
            // Without a screen it ends, which the supervisor records.
            let is_there = |screen: String| way.dialog.asks(&screen, &asked.text);
            if !self.screen(session, asked).map_or(true, is_there) {
                return Ok(());
            }
            if !runtime.has_read(&asked.launch, &session.runtime_socket).unwrap_or(true) {
                (read, sent) = (Instant::now(), Instant::now());
            }
            if read.elapsed() > TAKEN_WITHIN || begun.elapsed() > READ_WITHIN {
                return Err(Error::AnswerNotTaken(session.id.clone()));
            }
            // Of several keys the first ones may have been taken.
            if way.keys.len() == 1 && sent.elapsed() > AGAIN_AFTER {
                self.press(session, asked, way)?;
                sent = Instant::now();
            }
        }
    }
}

fn not_possible(asked: &Decision, reason: &str) -> Error {
    Error::AnswerNotPossible {
        session: asked.session.clone(),
        kind: asked.kind,
        reason: reason.to_owned(),
    }
}
