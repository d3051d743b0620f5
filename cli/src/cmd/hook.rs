//! What the hooks of agents call, on every use of a tool.
//!
//! It never fails and hardly delays the agent: it ends within the busy timeout with exit status 0 and prints
//! what the agent expects, whatever happens. What went wrong is in `run/hook.log`. Only the session and the
//! launch of its own environment are reported about; without them, in an agent that a person started, it does
//! nothing.
//!
//! Where the configuration says so, the hook of a permission then waits for an answer from here. A hook that is
//! killed meanwhile has taken none.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use ao_daemon::document;
use ao_session::harness::{Harness, Harnesses};
use ao_store::row::evidence::{self, Recorded};
use ao_store::row::launch;
use ao_store::{Cause, Store, Timestamp, Tx};
use serde_json::Value;

use crate::args::Args;
use crate::config::Settings;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

/// The actor of the changes.
const ACTOR: &str = "hook";

/// The most bytes of a payload. The contents of files in it are of no interest.
const PAYLOAD_MAX: u64 = 4 << 20;

/// The size at which the log begins anew.
const LOG_MAX: u64 = 64 << 10;

/// What is reported about: the session and the launch of the environment.
struct Subject {
    session: String,
    launch: String,
}

/// A decision whose answer is waited for.
struct Waiting {
    store: Store,
    decision: String,
    until: Timestamp,
    longest: Duration,
}

/// Records what an event reports.
pub(crate) fn run(args: &Args, harness: &str, event: &str) {
    let (Some(session), Some(launch)) = (variable("AO_SESSION_ID"), variable("AO_LAUNCH_ID"))
    else {
        return;
    };
    let cause = Cause::now(ACTOR);
    let Ok(mut settings) = Settings::read(args) else { return };
    let bound = settings.busy_timeout.value;
    // The store's own attempt without the queue of writers comes before the end.
    settings.busy_timeout.value = bound / 4 * 3;
    let Ok(context) = Context::new(args, settings) else { return };
    let log = Log {
        path: run_dir(&context).join("hook.log"),
        about: format!("{}  {harness} {event} of {launch}", document::time(cause.at)),
    };
    let log = Arc::new(log);
    let bound = end_after(bound, Arc::clone(&log));
    let subject = Subject { session, launch };
    let outcome = Harnesses::only(harness, context.harness_file().as_deref())
        .map_err(Error::from)
        .and_then(|harness| {
            reply(&harness);
            let Some(waiting) = record(&context, &harness, event, subject, cause)? else {
                return Ok(());
            };
            wait_for_answer(&context, &harness, &waiting, &bound)
        });
    if let Err(error) = outcome {
        let causes = error.causes().into_iter().map(|cause| format!(": {cause}"));
        log.write(&format!("{error}{}", causes.collect::<String>()));
    }
}

/// Ends the process when it takes longer than the busy timeout. What is sent gives it this much time anew, and
/// then the busy timeout.
fn end_after(bound: Duration, log: Arc<Log>) -> Sender<Duration> {
    let (more, given) = mpsc::channel();
    thread::spawn(move || {
        let mut left = bound;
        loop {
            match given.recv_timeout(left) {
                Ok(wait) => left = bound.saturating_add(wait),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        log.write(&format!("given up after {bound:?}, the busy timeout"));
        std::process::exit(0);
    });
    more
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What the agent waits for.
fn reply(harness: &Harness) {
    let reply = harness.hooks().map_or("", |hooks| hooks.reply());
    if !reply.is_empty() {
        let _ = output::raw_bytes(format!("{reply}\n").as_bytes());
    }
}

fn record(
    context: &Context,
    harness: &Harness,
    event: &str,
    subject: Subject,
    cause: Cause,
) -> Result<Option<Waiting>> {
    let Subject { session, launch } = subject;
    let payload = payload()?;
    ao_session::hook::keep_payload(context.database_dir(), harness, event, &payload);
    let Some(report) = ao_session::hook::report(harness, event, &payload, &launch, cause.at) else {
        return Ok(None);
    };
    let store = context.open()?;
    let longest = context.settings().hook_answers.value;
    let waits = !longest.is_zero() && harness.hooks().is_some_and(|it| it.takes_answers(event));
    let until = waits.then(|| cause.at.after(longest));
    let recorded = store.write(cause, move |tx| {
        let launch = launch::get(tx, &report.launch)?;
        if launch.is_none_or(|launch| launch.session.as_str() != session) {
            return Ok((None, None));
        }
        let recorded = evidence::record(tx, &report)?;
        let decision = until.map(|until| ao_session::hook::await_answer(tx, &report, until));
        Ok((recorded, decision.transpose()?.flatten()))
    })?;
    let (recorded, decision) = recorded.value;
    start_runners(context, recorded)?;
    let waiting = decision.zip(until);
    Ok(waiting.map(|(decision, until)| Waiting { store, decision, until, longest }))
}

/// Starts what waited for this, or is a report of it.
fn start_runners(context: &Context, recorded: Option<Recorded>) -> Result<()> {
    let mut sessions = recorded.into_iter().flat_map(|recorded| recorded.deliver_to);
    sessions.try_for_each(|session| context.start_runner(&session))
}

/// Waits for the answer to a decision, and prints what the agent makes of it.
fn wait_for_answer(
    context: &Context,
    harness: &Harness,
    waiting: &Waiting,
    bound: &Sender<Duration>,
) -> Result<()> {
    let Waiting { store, decision, until, longest } = waiting;
    // The process ends without the thread that bounds it.
    let _ = bound.send(*longest);
    let is_offered = ao_session::hook::wait_for_answer(store, decision, *until)?;
    let _ = bound.send(Duration::ZERO);
    if !is_offered {
        return Ok(());
    }
    let (id, until) = (decision.clone(), *until);
    let work = move |tx: &Tx<'_>| ao_session::hook::take_answer(tx, &id, until);
    let taken = store.write(Cause::now(ACTOR), work)?;
    let Some((answer, recorded)) = taken.value else { return Ok(()) };
    let text = harness.hooks().and_then(|hooks| hooks.printed(&answer)).unwrap_or_default();
    output::raw_bytes(format!("{text}\n").as_bytes())?;
    start_runners(context, recorded)
}

/// What the agent wrote to standard input.
fn payload() -> Result<Value> {
    let failed = |source| Error::file("read", Path::new("standard input"), source);
    let mut payload = Vec::new();
    std::io::stdin().take(PAYLOAD_MAX).read_to_end(&mut payload).map_err(failed)?;
    serde_json::from_slice(&payload).map_err(|error| failed(error.into()))
}

fn run_dir(context: &Context) -> PathBuf {
    context.database_dir().join("run")
}

/// Where it is noted what went wrong.
struct Log {
    path: PathBuf,
    /// The event, with its time.
    about: String,
}

impl Log {
    /// Notes what went wrong. Where that is not possible, nobody can be told.
    fn write(&self, text: &str) {
        let is_full = fs::metadata(&self.path).is_ok_and(|found| found.len() > LOG_MAX);
        let mut options = File::options();
        let options = options.create(true).write(true).truncate(is_full).append(!is_full);
        if let Ok(mut file) = options.open(&self.path) {
            let _ = file.write_all(format!("{}: {text}\n", self.about).as_bytes());
        }
    }
}
