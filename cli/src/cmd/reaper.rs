//! Probes the launches of the store: once for tests, and each second beside a stream.
//!
//! Beside a stream it prints nothing: what it finds is in the stream.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ao_session::{Probed, Reaper};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);

/// Probes once.
pub(crate) fn run(context: &Context) -> Result<()> {
    let sessions = context.sessions_to_look_at()?;
    let Probed { launches, unanswered, screens, changes } = Reaper::new(&sessions).probe()?;
    output::line(&format!(
        "launches {launches}, unanswered {unanswered}, screens {screens}, changes {changes}"
    ))
}

/// The thread that probes beside a stream. It ends with this value.
pub(crate) struct Beside {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Beside {
    /// Begins to probe.
    pub(crate) fn begin(context: &Context) -> Result<Beside> {
        let sessions = context.sessions_to_look_at()?;
        let (stop, stopped) = channel();
        let work = move || {
            let wait = || stopped.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout);
            Reaper::new(&sessions).run(wait);
        };
        let thread = thread::Builder::new().name("reaper".to_owned()).spawn(work);
        let thread =
            thread.map_err(|source| Error::file("start", Path::new("a thread"), source))?;
        Ok(Beside { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The panic hook has already reported a panic.
            let _ = thread.join();
        }
    }
}
