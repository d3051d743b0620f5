//! Workers: a worker answers the turns of one agent by a program, one turn after another.
//!
//! What a worker guarantees:
//!
//! * A turn that it has claimed ends in exactly one outcome, whatever its program does: it cannot be started,
//!   fails, ends without an answer, hangs, prints without end, or does not read.
//! * What its program started does not run beside the next turn of the conversation.
//! * When the worker is stopped, it ends its turn at once; when it is killed, the next process that sweeps does.

mod config;
mod control;
mod decoder;
mod dialogue;
mod lines;
mod outcome;
mod pipes;
mod plain;
mod process;
mod protocol;
mod resident;
mod stop;
mod writes;

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use ao_store::row::account;
use ao_store::row::lifecycle::instance::{self, Instance};
use ao_store::turn::claim::{Claim, Claimed, Work, claim, is_ready};
use ao_store::turn::finish::Finished;
use ao_store::turn::{agent, program, sweep};
use ao_store::{Cause, Listener, Store};

pub use config::{Config, Mode};
pub use stop::sweep_turns;

use self::resident::Resident;
use self::writes::{ACTOR, persist};
use crate::error::Result;
use crate::failpoint::{self, step};
use crate::lifecycle::new_id;

/// How often a worker that waits looks whether it is to stop.
const TICK: Duration = Duration::from_millis(200);

/// How often it looks for a turn that no wake-up has announced, such as one whose account was limited.
const LOOK: Duration = Duration::from_secs(5);

/// How long it waits after the store could not be read or written.
const PAUSE: Duration = Duration::from_millis(500);

/// What a worker does, for people.
#[derive(Debug)]
pub enum Event<'a> {
    /// It waits for turns, as this instance.
    Ready(&'a str),
    /// It has begun a turn.
    Began(&'a str),
    /// A turn of it has ended.
    Ended(&'a str, Finished),
    /// Turns that no worker would have ended were ended.
    Swept(&'a [String]),
    /// Something failed, and is tried again.
    Failed(String),
}

/// Answers the turns of an agent until a signal asks to stop.
///
/// # Errors
/// `AGENT_NOT_FOUND`; when the store cannot be used. A turn that was open then is ended by the next process that
/// sweeps.
pub fn run(config: &Config, report: &(dyn Fn(Event<'_>) + Sync)) -> Result<()> {
    failpoint::set_up();
    let Config { store, org, agent, .. } = config;
    store.read(|snapshot| agent::require(snapshot, org, agent))?;
    let cause = Cause::now(ACTOR);
    let worker = Instance::of_this_process(&new_id('i'), ACTOR, cause.at);
    let (new, dead) = (worker.clone(), store.read(instance::dead)?);
    persist(store, &|| true, move |tx| instance::register(tx, &new, &dead))?;
    step!("worker.registered");
    let (running, ended) = channel();
    let worked = thread::scope(|scope| {
        // What a killed worker left is ended before the first claim.
        sweep(store, report);
        scope.spawn(move || sweep_again(store, &ended, report));
        let resident = Resident::new(config, &worker.id);
        let worked = Worker { config, worker: &worker, report, resident }.work();
        drop(running);
        worked
    });
    worked?;
    let id = worker.id.clone();
    persist(store, &|| true, move |tx| instance::remove(tx, &id))
}

fn sweep(store: &Store, report: &(dyn Fn(Event<'_>) + Sync)) {
    match sweep_turns(store, &Cause::now(ACTOR)) {
        Ok(swept) => {
            if !swept.ended.is_empty() {
                report(Event::Swept(&swept.ended));
            }
            swept.failures.into_iter().for_each(|failure| report(Event::Failed(failure)));
        }
        Err(error) => report(Event::Failed(error.chain())),
    }
}

/// Sweeps until the worker ends, also while it runs a turn.
fn sweep_again(store: &Store, ended: &Receiver<()>, report: &(dyn Fn(Event<'_>) + Sync)) {
    while ended.recv_timeout(sweep::EVERY) == Err(RecvTimeoutError::Timeout) {
        sweep(store, report);
    }
}

struct Worker<'a> {
    config: &'a Config,
    worker: &'a Instance,
    report: &'a (dyn Fn(Event<'_>) + Sync),
    /// The program that stays, if it does.
    resident: Resident<'a>,
}

impl Worker<'_> {
    fn work(mut self) -> Result<()> {
        // Before the first look, so that no wake-up is missed.
        let mut listener = self.config.store.listen()?;
        (self.report)(Event::Ready(&self.worker.id));
        while !self.config.is_interrupted() {
            let at = Instant::now();
            match self.claim() {
                Ok(Some(work)) => self.run(*work, at)?,
                Ok(None) => self.wait(&mut listener)?,
                Err(error) if error.code().is_retryable() => {
                    (self.report)(Event::Failed(error.chain()));
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
        self.resident.end();
        Ok(())
    }

    /// A turn to run. Only when one can be had, something is written.
    fn claim(&self) -> Result<Option<Box<Work>>> {
        let Config { store, org, agent, silence, .. } = self.config;
        let now = Cause::now(ACTOR).at;
        let can_claim = store.read(|snapshot| {
            let account = agent::require_for_worker(snapshot, org, agent)?.account;
            let limit = account::limit_of_account(snapshot, &account, now)?;
            Ok(limit.is_none() && is_ready(snapshot, org, agent)?)
        })?;
        if !can_claim {
            return Ok(None);
        }
        step!("worker.claiming");
        let wanted = Claim {
            org: org.clone(),
            agent: agent.clone(),
            worker: self.worker.clone(),
            silence: *silence,
        };
        let leader = self.resident.leader().cloned();
        let claimed = store.write(Cause::now(ACTOR), move |tx| {
            let claimed = claim(tx, &wanted)?;
            if let (Claimed::Got(work), Some(leader)) = (&claimed, &leader) {
                program::record(tx, &work.held, leader)?;
            }
            Ok(claimed)
        });
        let claimed = claimed?.value;
        step!("worker.claimed");
        Ok(match claimed {
            Claimed::Got(work) => Some(work),
            Claimed::Nothing | Claimed::Limited(_) => None,
        })
    }

    fn run(&mut self, work: Work, at: Instant) -> Result<()> {
        let id = work.turn.id.clone();
        (self.report)(Event::Began(&id));
        let finished = match self.config.mode {
            Mode::Plain => plain::run(self.config, work, at)?,
            Mode::JsonLines => self.resident.run(work, at)?,
        };
        (self.report)(Event::Ended(&id, finished));
        Ok(())
    }

    /// Waits for a commit, for some time.
    fn wait(&self, listener: &mut Listener) -> Result<()> {
        let until = Instant::now() + LOOK;
        while !self.config.is_interrupted() && Instant::now() < until {
            if listener.wait(TICK)? {
                break;
            }
        }
        Ok(())
    }
}
