//! Sends a message to an agent and prints the answer as it comes: woken by commits, it reads what follows the
//! last event that it printed. While it waits, it also ends turns whose worker has ended, as a daemon does.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Instant;

use ao_daemon::document::turn as document;
use ao_session::worker::sweep_turns;
use ao_session::{SentTurn, Sessions, TurnRequest, Writers, local_member, send_turn};
use ao_store::Store;
use ao_store::turn::conversation::Caller;
use ao_store::turn::event::{Event, Kind};
use ao_store::turn::{self, State, Turn, cancel, sweep};

use super::answer::Answer;
use super::in_words;
use crate::args::SendTurn as Args;
use crate::cmd::follow::Follower;
use crate::cmd::send::read;
use crate::cmd::tail::TICK;
use crate::context::{Context, cause};
use crate::error::{At, Error, Result};
use crate::output::{self, Ended};
use crate::printer::is_output_closed;
use crate::signal::{Signal, Signals};

pub(super) fn run(context: &Context, args: &Args) -> Result<Ended> {
    let request = request(args)?;
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let store = context.open()?;
    let sent = send_turn(&store, cause(), request)?;
    if let Some(session) = &sent.session
        && let Err(error) = context.start_runner(session)
    {
        context.say(&format!("cannot start the process that writes messages: {error}"));
    }
    if args.no_wait {
        return print_accepted(context, &store, &sent);
    }
    let mut answer = Answer::new(context, sent.turn.state);
    // A time that the clock cannot represent never comes.
    let by = args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    match wait(context, &store, &sent, (&mut answer, by, &signals))? {
        Outcome::Last(last) => finish(context, &store, &sent, last, &answer),
        Outcome::Signal(signal, position) => {
            interrupted(context, &store, (signal, at(&sent, position)))
        }
    }
}

fn request(args: &Args) -> Result<TurnRequest> {
    let input = match args.text.as_str() {
        "-" => read(Path::new("-"))?,
        text => text.to_owned(),
    };
    Ok(TurnRequest {
        caller: Caller::Operator,
        org: args.org.org.as_deref().map(str::parse).transpose()?,
        agent: args.agent.as_deref().map(str::parse).transpose()?,
        conversation: args.conversation.clone(),
        member: local_member(),
        key: args.key.clone(),
        input,
        expires: args.expires,
    })
}

fn print_accepted(context: &Context, store: &Store, sent: &SentTurn) -> Result<Ended> {
    if context.is_json {
        let mut data = store.read(|snapshot| document::answered(snapshot, &sent.turn))?;
        data["is_new"] = sent.is_new.into();
        output::document("turn.send", &data)?;
        return Ok(Ended::Done);
    }
    let known = if sent.is_new { "" } else { " (this message was sent before)" };
    let Turn { agent, state, .. } = &sent.turn;
    context.say(&format!("turn to {agent}: {state}{known}"));
    output::line(&sent.turn.id)?;
    Ok(Ended::Done)
}

/// Why waiting ended.
enum Outcome {
    /// The last event came.
    Last(Event),
    /// A signal came, at this position.
    Signal(Signal, i64),
}

fn at(sent: &SentTurn, position: i64) -> At {
    let Turn { id, conversation, .. } = &sent.turn;
    At { turn: id.clone(), conversation: conversation.clone(), position }
}

/// Prints what the turn sends until its last event.
fn wait(
    context: &Context,
    store: &Store,
    sent: &SentTurn,
    (answer, by, signals): (&mut Answer<'_>, Option<Instant>, &Signals),
) -> Result<Outcome> {
    let mut follower = Follower::new(store, &sent.turn.conversation, sent.position)?;
    let (mut printed, sweeper) = (sent.position, Sweeper::start(context, store, sent));
    loop {
        let step = step(&mut follower, &sent.turn.id, answer, &mut printed);
        let lost = |source| match source {
            Error::BrokenPipe => Error::BrokenPipe,
            source => Error::TurnLost { at: at(sent, printed), source: Box::new(source) },
        };
        if let Some(last) = step.map_err(lost)? {
            return Ok(Outcome::Last(last));
        }
        if let Some(signal) = signals.received() {
            return Ok(Outcome::Signal(signal, printed));
        }
        let left = by.map_or(TICK, |by| by.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(Error::TurnNotEnded(at(sent, printed)));
        }
        if is_output_closed() {
            return Err(Error::BrokenPipe);
        }
        sweeper.failures.try_iter().for_each(|what| context.say(&what));
        follower.wait(left.min(TICK)).map_err(lost)?;
    }
}

/// Prints the next events of the turn; returns the last one.
fn step(
    follower: &mut Follower<'_>,
    turn: &str,
    answer: &mut Answer<'_>,
    printed: &mut i64,
) -> Result<Option<Event>> {
    loop {
        let events = follower.next()?;
        if events.is_empty() {
            return Ok(None);
        }
        for event in events {
            if event.turn == turn {
                answer.event(&event)?;
            }
            *printed = event.seq;
            if event.turn == turn && event.kind.is_last() {
                return Ok(Some(event));
            }
        }
    }
}

/// Does what a daemon does every few seconds: in a thread of its own, since that may take longer than there is time
/// to wait.
struct Sweeper {
    failures: Receiver<String>,
    /// The thread ends when this is dropped, or with the process: another process goes on where it was.
    _running: Sender<()>,
}

impl Sweeper {
    fn start(context: &Context, store: &Store, sent: &SentTurn) -> Sweeper {
        let (running, ended) = channel();
        let (failed, failures) = channel();
        let sessions = sent.session.as_ref().map(|_| context.sessions()).transpose();
        // The turn is accepted: whatever fails now is no failure of it.
        let sessions = sessions.unwrap_or_else(|error| {
            context.say(&format!("cannot look for what a session has to get: {error}"));
            None
        });
        let writers = sessions.map(|sessions| (Writers::default(), sessions));
        let mut pass = Pass { store: store.clone(), writers };
        thread::spawn(move || {
            while ended.recv_timeout(sweep::EVERY) == Err(RecvTimeoutError::Timeout) {
                for failure in pass.run() {
                    // Nobody may read them any more.
                    let _ = failed.send(failure);
                }
            }
        });
        Sweeper { failures, _running: running }
    }
}

/// Ends turns that no worker will end, and has written what waits for the session that is the agent.
struct Pass {
    store: Store,
    writers: Option<(Writers, Sessions)>,
}

impl Pass {
    /// What failed. That is no reason to stop waiting: a later pass, or another process, does the same.
    fn run(&mut self) -> Vec<String> {
        let mut failures = match sweep_turns(&self.store, &cause()) {
            Ok(swept) => swept.failures,
            Err(error) => vec![format!("cannot look for turns without a worker: {error}")],
        };
        if let Some((writers, sessions)) = &mut self.writers
            && let Err(error) = writers.start(sessions)
        {
            failures.push(format!("cannot look for what a session has to get: {error}"));
        }
        failures
    }
}

/// After the last event: the document, or the error.
fn finish(
    context: &Context,
    store: &Store,
    sent: &SentTurn,
    last: Event,
    answer: &Answer<'_>,
) -> Result<Ended> {
    let turn = store.read(|snapshot| turn::require(snapshot, &sent.turn.id))?;
    if last.kind != Kind::Complete || turn.state != State::Completed {
        return Err(Error::TurnEnded { turn: Box::new(turn), text: last.text });
    }
    if context.is_json {
        let mut data = document::listed(&turn);
        data["text"] = last.text.into();
        data["is_new"] = sent.is_new.into();
        data["content"] = answer.content.clone().into();
        output::document("turn.send", &data)?;
    }
    Ok(Ended::Done)
}

/// Ctrl-C cancels the turn; it goes on after any other signal.
fn interrupted(context: &Context, store: &Store, (signal, at): (Signal, At)) -> Result<Ended> {
    if signal.is_interrupt() {
        let id = at.turn.clone();
        let done = store.write(cause(), move |tx| cancel::cancel(tx, &Caller::Operator, &id))?;
        context.say(&in_words(&at.turn, done.value));
    } else {
        context.say(&at.hint());
    }
    Ok(Ended::BySignal(signal))
}
