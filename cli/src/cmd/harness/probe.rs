//! Records what the programs of a harness show and what their hooks get, until a signal or for a time.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_session::Recording;
use serde_json::json;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;
use crate::signal::Signals;

/// How often the screens are looked at.
const INTERVAL: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(50);

/// Prints the files that were written.
pub(super) fn run(
    context: &Context,
    harness: &str,
    out: &Path,
    time: Option<Duration>,
) -> Result<()> {
    let sessions = context.sessions_to_look_at()?;
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let mut recording = Recording::begin(&sessions, harness, out)?;
    context.say(&format!("recording the sessions of {harness}; Ctrl-C ends it"));
    let begun = Instant::now();
    let is_over =
        || signals.received().is_some() || time.is_some_and(|time| begun.elapsed() >= time);
    while !is_over() {
        recording.look()?;
        let next = Instant::now() + INTERVAL;
        while Instant::now() < next && !is_over() {
            sleep(POLL);
        }
    }
    let files = recording.end()?;
    if context.is_json {
        let files: Vec<_> = files.iter().map(|path| path.to_string_lossy()).collect();
        return output::document("harness.probe", &json!({"files": files}));
    }
    files.iter().try_for_each(|path| output::line(&output::path(path)))
}
