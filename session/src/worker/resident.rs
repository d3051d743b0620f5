//! A program that stays for several turns, and talks to the worker in lines of JSON.
//!
//! What it says names the turn that it is about: nothing that it says of a turn that has ended is applied to
//! another one. A line that is not understood ends the turn, and the program.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_store::lease::Owner;
use ao_store::turn::Reason;
use ao_store::turn::claim::Work;
use ao_store::turn::finish::{Completion, Finished};

use super::config::Config;
use super::control::{CancelBy, Control};
use super::dialogue::{Dialogue, Ended};
use super::lines::{Lines, Next};
use super::pipes::{Input, Messages};
use super::process::{End, Owned, Process, Stop};
use super::writes::Responses;
use super::{outcome, protocol, stop};
use crate::error::Result;
use crate::failpoint::step;
use crate::runtime::processes;

/// How long the rest of the messages of a program is read after its end.
const DRAIN: Duration = Duration::from_millis(500);

const POLL: Duration = Duration::from_millis(5);

/// How many turns are known of which a program may still say something.
const KNOWN: usize = 64;

/// The program of a worker, between the turns.
pub(super) struct Resident<'a> {
    config: &'a Config,
    /// The id of the worker.
    worker: &'a str,
    kept: Option<Kept>,
}

/// A program that runs.
struct Kept {
    process: Owned,
    input: Input,
    lines: Lines,
    messages: Messages,
    /// The turns that it had.
    turns: VecDeque<String>,
}

impl Kept {
    /// Whether it can be given a turn: it runs, and what it said since the last one is understood.
    fn is_usable(&mut self) -> bool {
        loop {
            match self.lines.next(Duration::ZERO) {
                Next::Nothing => return self.process.end().is_none(),
                Next::Line(line) if self.is_of_earlier(&line) => {}
                next => {
                    tracing::debug!(?next, "the program is started anew");
                    return false;
                }
            }
        }
    }

    fn is_of_earlier(&self, line: &[u8]) -> bool {
        protocol::read(line).is_ok_and(|(turn, _)| self.turns.contains(&turn))
    }

    fn remember(&mut self, turn: &str) {
        self.turns.push_back(turn.to_owned());
        if self.turns.len() > KNOWN {
            self.turns.pop_front();
        }
    }
}

impl<'a> Resident<'a> {
    pub(super) fn new(config: &'a Config, worker: &'a str) -> Resident<'a> {
        Resident { config, worker, kept: None }
    }

    /// The program that runs the next turn, unless it has to be started.
    pub(super) fn leader(&self) -> Option<&Owner> {
        self.kept.as_ref()?.process.leader()
    }

    /// Runs a turn to its end that was claimed after this time.
    pub(super) fn run(&mut self, work: Work, at: Instant) -> Result<Finished> {
        let (begin, id) = (protocol::begin(&work), work.turn.id);
        let held = Arc::new(work.held);
        let mut responses = Responses::new(&self.config.store, &held);
        let completion = loop {
            let mut kept = match self.take() {
                Ok(kept) => kept,
                Err(error) => break Some(outcome::not_started(&self.config.argv, &error)),
            };
            step!("worker.started");
            if kept.turns.is_empty() {
                // That of another one was recorded with the claim.
                responses.record(kept.process.leader());
            }
            kept.messages.clear();
            let written = kept.input.written();
            kept.input.write(begin.clone().into_bytes());
            let by = CancelBy::Line(kept.input.clone(), protocol::cancel(&id));
            let silence = (at, self.config.silence);
            let process = kept.process.share();
            let (control, beats) = Control::start(&self.config.store, &held, process, by, silence);
            let program = (&*kept.process, &mut kept.lines, &kept.turns);
            let mut dialogue = Dialogue::new(self.config, &id, program, &control, responses);
            let ended = dialogue.read()?;
            responses = dialogue.into_responses();
            drop(beats);
            match ended {
                Ended::BySaying(completion) => {
                    kept.remember(&id);
                    self.kept = Some(kept);
                    let is_asked = control.is_asked();
                    break Some(if is_asked { cancelled(*completion) } else { *completion });
                }
                Ended::By(end) => {
                    let completion = self.of_end(&kept, &end, &control);
                    // It ended after the turn before, and has nothing of this one.
                    let has_nothing = end == End::Exited && kept.input.is_unread_after(written);
                    if kept.turns.is_empty() || !has_nothing {
                        break completion;
                    }
                }
            }
        };
        let Some(completion) = completion else { return Ok(Finished::Lost) };
        match responses.finish(completion)? {
            Finished::Diverged => {
                let text = "the snapshot does not continue the newest one".to_owned();
                responses.finish(outcome::failure(Reason::Diverged, text))
            }
            finished => Ok(finished),
        }
    }

    /// The program that runs, or a new one.
    fn take(&mut self) -> ao_program::Result<Kept> {
        if let Some(mut kept) = self.kept.take() {
            if kept.is_usable() {
                return Ok(kept);
            }
            kept.process.finish();
            stop::of_worker(self.worker);
        }
        let variables = self.config.variables(&[(processes::WORKER, self.worker)]);
        let (process, pipes) = Process::start(&self.config.argv, &variables)?;
        Ok(Kept {
            process: Owned::new(process),
            input: pipes.input,
            lines: Lines::new(pipes.output),
            messages: pipes.messages,
            turns: VecDeque::new(),
        })
    }

    /// What a turn ends with whose program has ended.
    fn of_end(&self, kept: &Kept, end: &End, control: &Control) -> Option<Completion> {
        let status = kept.process.finish();
        stop::of_worker(self.worker);
        let messages = kept.messages.read(DRAIN);
        match end {
            End::Stopped(stop) => outcome::of_stop(stop),
            // Another process that found the time over has stopped it.
            End::Exited if control.is_overdue() => outcome::of_stop(&Stop::Unresponsive),
            End::Exited => Some(outcome::of_exit(status, &messages)),
        }
    }

    /// Ends the program when the worker ends.
    pub(super) fn end(&mut self) {
        let Some(kept) = self.kept.take() else { return };
        drop(kept.input);
        kept.process.stop(Stop::Interrupted);
        while !kept.process.is_over() {
            sleep(POLL);
            kept.process.enforce();
        }
        kept.process.finish();
        stop::of_worker(self.worker);
    }
}

/// What ends a turn that was to be cancelled, whatever its program said: the store makes it cancelled.
fn cancelled(completion: Completion) -> Completion {
    Completion { usage: completion.usage, ..outcome::reply(String::new()) }
}
