//! A program that runs once for each turn: the message is its standard input, and what it prints is the reply.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_store::turn::REPLY_MAX;
use ao_store::turn::append::Response;
use ao_store::turn::beat::{Activity, Beat};
use ao_store::turn::claim::Work;
use ao_store::turn::finish::Finished;

use super::config::Config;
use super::control::{CancelBy, Control};
use super::decoder::Decoder;
use super::outcome;
use super::process::{End, Owned, Process, Stop};
use super::stop;
use super::writes::Responses;
use crate::error::Result;
use crate::failpoint::step;
use crate::runtime::processes;

/// How long output waits to be stored with what follows, unless it is as large as this.
const BATCH: Duration = Duration::from_millis(100);
const BATCH_BYTES: usize = 2 << 10;

/// How long the rest of the output is read after the program has ended: a process that it left behind can hold
/// the pipes open.
const DRAIN: Duration = Duration::from_millis(500);

const POLL: Duration = Duration::from_millis(5);

/// Runs a turn to its end that was claimed after this time.
pub(super) fn run(config: &Config, work: Work, at: Instant) -> Result<Finished> {
    let Work { held, turn, conversation, input, .. } = work;
    let held = Arc::new(held);
    let responses = Responses::new(&config.store, &held);
    let variables = [(processes::TURN, turn.id.as_str()), ("AO_CONVERSATION_ID", &conversation.id)];
    let (process, pipes) = match Process::start(&config.argv, &config.variables(&variables)) {
        Ok((process, pipes)) => (Owned::new(process), pipes),
        Err(error) => return responses.finish(outcome::not_started(&config.argv, &error)),
    };
    step!("worker.started");
    responses.record(process.leader());
    pipes.input.write(input.into_bytes());
    drop(pipes.input);
    let (control, beats) = Control::start(
        &config.store,
        &held,
        process.share(),
        CancelBy::Signal,
        (at, config.silence),
    );
    let mut run = Run { config, process: &process, control: &control, responses };
    let (end, text) = run.read(&pipes.output)?;
    drop(beats);
    let status = process.finish();
    step!("worker.exited");
    stop::of_turn(&turn.id);
    let is_failed = end == End::Exited && !status.is_some_and(|status| status.success());
    // Another process that found the time over has stopped it.
    let end =
        if is_failed && control.is_overdue() { End::Stopped(Stop::Unresponsive) } else { end };
    let messages = pipes.messages.read(DRAIN);
    match outcome::of_program(&end, status, text, &messages) {
        None => Ok(Finished::Lost),
        Some(completion) => run.responses.finish(completion),
    }
}

/// A program that runs.
struct Run<'a> {
    config: &'a Config,
    process: &'a Process,
    control: &'a Control,
    responses: Responses,
}

/// What a program printed.
#[derive(Default)]
struct Reply {
    decoder: Decoder,
    text: String,
    /// How much of it is stored.
    stored: usize,
    /// Since when some of it waits to be stored.
    since: Option<Instant>,
}

impl Reply {
    fn push(&mut self, chunk: &[u8]) {
        self.decoder.push(chunk, &mut self.text);
        if self.text.len() > self.stored {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn is_too_large(&self) -> bool {
        self.text.len() > REPLY_MAX
    }

    fn is_due(&self) -> bool {
        let waits = self.since.is_some_and(|since| since.elapsed() >= BATCH);
        waits || self.text.len() - self.stored >= BATCH_BYTES
    }

    /// What is to be stored now.
    fn take(&mut self) -> Option<Response> {
        let part = &self.text[self.stored..];
        let response = (!part.is_empty()).then(|| Response::Delta(part.to_owned()));
        (self.stored, self.since) = (self.text.len(), None);
        response
    }
}

impl Run<'_> {
    /// Stores what the program prints, until it has ended; what ended it, and what it printed.
    fn read(&mut self, output: &Receiver<Vec<u8>>) -> Result<(End, String)> {
        let (mut reply, mut is_open) = (Reply::default(), true);
        let mut ended = None;
        loop {
            let mut is_read = false;
            match output.recv_timeout(BATCH) {
                Ok(chunk) if !reply.is_too_large() => reply.push(&chunk),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => is_read = true,
                Err(RecvTimeoutError::Disconnected) => {
                    is_open = false;
                    sleep(POLL);
                }
            }
            if reply.is_too_large() {
                self.process.stop(Stop::TooLarge(outcome::too_large()));
            } else if reply.is_due() {
                self.store(reply.take())?;
            }
            if self.config.is_interrupted() {
                self.process.stop(Stop::Interrupted);
            }
            self.control.check();
            if self.process.is_over() {
                let is_late = ended.get_or_insert_with(Instant::now).elapsed() > DRAIN;
                if is_late {
                    self.process.kill_rest();
                }
                // What it printed is read to its end, however long it takes to store it.
                if !is_open || self.is_stopped() || (is_late && is_read) {
                    break;
                }
            }
        }
        self.end(reply)
    }

    fn end(&mut self, mut reply: Reply) -> Result<(End, String)> {
        let mut end = self.process.end().unwrap_or(End::Exited);
        if end == End::Exited {
            reply.decoder.finish(&mut reply.text);
            if reply.is_too_large() {
                end = End::Stopped(Stop::TooLarge(outcome::too_large()));
            } else {
                self.store(reply.take())?;
            }
        }
        Ok((end, reply.text))
    }

    fn is_stopped(&self) -> bool {
        matches!(self.process.end(), Some(End::Stopped(_)))
    }

    fn store(&mut self, response: Option<Response>) -> Result<()> {
        let Some(response) = response.filter(|_| !self.is_stopped()) else { return Ok(()) };
        let is_wanted = || {
            let is_stopped = matches!(self.process.end(), Some(End::Stopped(_)));
            !is_stopped && !self.config.is_interrupted()
        };
        let at = Instant::now();
        match self.responses.append(response, &is_wanted)? {
            Beat::Continue => self.control.extend(Activity::Working, at),
            beat => self.control.obey(beat),
        }
        Ok(())
    }
}
