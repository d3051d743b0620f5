//! What the hooks of agents call, on every use of a tool.
//!
//! It never fails and never delays the agent: it ends within two seconds with exit status 0 and prints what
//! the agent expects, whatever happens. What went wrong is in `run/hook.log`. Only the launch of its own
//! environment is reported about; without one, in an agent that a person started, it does nothing.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use ao_session::harness::{Harness, Harnesses};
use ao_store::row::evidence;
use ao_store::{Cause, Options, Store};
use serde_json::Value;

use crate::args::Args;
use crate::config::Settings;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;
use crate::view;

/// The actor of the changes.
const ACTOR: &str = "hook";

/// How long it may take altogether.
const BOUND: Duration = Duration::from_secs(2);

/// How long it waits for another process that writes to the store.
const BUSY: Duration = Duration::from_millis(1_500);

/// The most bytes of a payload. The contents of files in it are of no interest.
const PAYLOAD_MAX: u64 = 4 << 20;

/// The size at which the log begins anew.
const LOG_MAX: u64 = 64 << 10;

/// Records what an event reports.
pub(crate) fn run(args: &Args, harness: &str, event: &str) {
    let Some(launch) = variable("AO_LAUNCH_ID") else { return };
    let cause = Cause::now(ACTOR);
    let at = cause.at;
    thread::spawn(|| {
        thread::sleep(BOUND);
        std::process::exit(0);
    });
    let context = Settings::read(args).and_then(|settings| Context::new(args, settings));
    let Ok(context) = context else { return };
    let outcome = Harnesses::load(context.harness_file().as_deref())
        .map_err(Error::from)
        .and_then(|all| all.get(harness).cloned().map_err(Error::from))
        .and_then(|harness| {
            reply(&harness);
            record(&context, &harness, event, &launch, cause)
        });
    if let Err(error) = outcome {
        log(&context, &format!("{}  {harness} {event} of {launch}: {error}\n", view::time(at)));
    }
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
    launch: &str,
    cause: Cause,
) -> Result<()> {
    let mut payload = Vec::new();
    let read = std::io::stdin().take(PAYLOAD_MAX).read_to_end(&mut payload);
    read.map_err(|source| Error::file("read", Path::new("standard input"), source))?;
    let payload: Value = serde_json::from_slice(&payload)
        .map_err(|error| Error::file("read", Path::new("standard input"), error.into()))?;
    let Some(report) = ao_session::hook::report(harness, event, &payload, launch, cause.at) else {
        return Ok(());
    };
    let options = Options { busy: BUSY, ..context.options() };
    let store = Store::open(context.database(), options)?;
    store.write(cause, move |tx| evidence::record(tx, &report))?;
    Ok(())
}

/// Notes what went wrong. Where that is not possible, nobody can be told.
fn log(context: &Context, text: &str) {
    let Some(dir) = context.database().parent().map(|dir| dir.join("run")) else { return };
    let path = dir.join("hook.log");
    let is_full = fs::metadata(&path).is_ok_and(|found| found.len() > LOG_MAX);
    let mut options = File::options();
    let options = options.create(true).write(true).truncate(is_full).append(!is_full);
    if let Ok(mut file) = options.open(path) {
        let _ = file.write_all(text.as_bytes());
    }
}
