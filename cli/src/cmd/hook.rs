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
use ao_daemon::hooks::{self, ACTOR, Heard};
use ao_session::harness::{Harness, Harnesses};
use ao_session::hook::Reported;
use ao_store::{Cause, SessionId, Timestamp, Tx};
use serde_json::Value;

use crate::args::Args;
use crate::config::Settings;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

/// The size at which the log begins anew.
const LOG_MAX: u64 = 64 << 10;

/// Records what an event reports.
pub(crate) fn run(args: &Args, harness: &str, event: &str) {
    let (Some(session), Some(launch)) = (variable("AO_SESSION_ID"), variable("AO_LAUNCH_ID"))
    else {
        return;
    };
    let cause = Cause::now(ACTOR);
    let Ok(mut settings) = Settings::read(args) else { return };
    let bound = settings.busy_timeout.value;
    // The daemon comes first; the store's own attempt without the queue of writers comes before the end.
    settings.busy_timeout.value = bound / 4 * 3;
    let Ok(context) = Context::new(args, settings) else { return };
    let log = Log {
        path: run_dir(&context).join("hook.log"),
        about: format!("{}  {harness} {event} of {launch}", document::time(cause.at)),
    };
    let log = Arc::new(log);
    let patience = bound / 16;
    let bound = end_after(bound, Arc::clone(&log));
    let heard = Heard {
        harness: harness.to_owned(),
        event: event.to_owned(),
        session,
        launch,
        at_ms: cause.at.0,
        wait_until_ms: None,
        harnesses: context.harness_file(),
    };
    let outcome = Harnesses::only(harness, context.harness_file().as_deref())
        .map_err(Error::from)
        .and_then(|harness| {
            reply(&harness);
            let reported = record(&context, &harness, heard, cause, patience)?;
            wait_for_answer(&context, &harness, reported, &bound)
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

/// Has the daemon record what the hook reports, for which it may take so long; without one, or when it fails, this
/// process does.
fn record(
    context: &Context,
    harness: &Harness,
    mut heard: Heard,
    cause: Cause,
    patience: Duration,
) -> Result<(Reported, Option<Timestamp>)> {
    let payload = payload()?;
    let longest = context.settings().hook_answers.value;
    let waits = harness.hooks().is_some_and(|hooks| hooks.takes_answers(&heard.event));
    let until = (waits && !longest.is_zero()).then(|| cause.at.after(longest));
    heard.wait_until_ms = until.map(|until| until.0);
    let by_daemon =
        context.data_dir().ok().and_then(|dir| hooks::report(&dir, &heard, &payload, patience));
    let reported = match by_daemon {
        Some(reported) => reported,
        None => record_here(context, harness, heard, &payload, cause)?,
    };
    start_runners(context, &reported.deliver_to)?;
    Ok((reported, until))
}

fn record_here(
    context: &Context,
    harness: &Harness,
    heard: Heard,
    payload: &[u8],
    cause: Cause,
) -> Result<Reported> {
    let payload = parse(payload)?;
    ao_session::hook::keep_payload(context.database_dir(), harness, &heard.event, &payload);
    let Some(report) = heard.report(harness, &payload) else { return Ok(Reported::default()) };
    let work = move |tx: &Tx<'_>| heard.record(tx, &report);
    Ok(context.open()?.write(cause, work)?.value)
}

/// Starts what waited for a report, or reports it.
fn start_runners(context: &Context, sessions: &[SessionId]) -> Result<()> {
    sessions.iter().try_for_each(|session| context.start_runner(session))
}

/// Waits for the answer to a decision, if there is one, and prints what the agent makes of it.
fn wait_for_answer(
    context: &Context,
    harness: &Harness,
    (reported, until): (Reported, Option<Timestamp>),
    bound: &Sender<Duration>,
) -> Result<()> {
    let (Some(decision), Some(until)) = (reported.decision, until) else { return Ok(()) };
    let store = context.open()?;
    // The process ends without the thread that bounds it.
    let _ = bound.send(context.settings().hook_answers.value);
    let is_offered = ao_session::hook::wait_for_answer(&store, &decision, until)?;
    let _ = bound.send(Duration::ZERO);
    if !is_offered {
        return Ok(());
    }
    let work = move |tx: &Tx<'_>| ao_session::hook::take_answer(tx, &decision, until);
    let taken = store.write(Cause::now(ACTOR), work)?;
    let Some((answer, deliver_to)) = taken.value else { return Ok(()) };
    let text = harness.hooks().and_then(|hooks| hooks.printed(&answer)).unwrap_or_default();
    output::raw_bytes(format!("{text}\n").as_bytes())?;
    start_runners(context, &deliver_to)
}

/// What the agent wrote to standard input.
fn payload() -> Result<Vec<u8>> {
    let mut payload = Vec::new();
    std::io::stdin().take(hooks::PAYLOAD_MAX).read_to_end(&mut payload).map_err(unread)?;
    Ok(payload)
}

fn parse(payload: &[u8]) -> Result<Value> {
    serde_json::from_slice(payload).map_err(|error| unread(error.into()))
}

fn unread(source: std::io::Error) -> Error {
    Error::file("read", Path::new("standard input"), source)
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
