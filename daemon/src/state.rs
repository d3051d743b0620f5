//! Whether a data directory has a daemon, as seen from another process: its lock says whether it lives, the
//! run-file where it is, and its answer whether it serves.

use std::path::Path;

use crate::client;
use crate::error::Result;
use crate::lock::DaemonLock;
use crate::run_file::RunFile;

/// What there is of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It serves.
    Ready,
    /// It starts or stops.
    NotReady,
    /// There is none.
    Stopped,
    /// There is none, and the run-file of one that did not end in order.
    Stale,
    /// It lives, and does not answer.
    Unhealthy,
}

impl State {
    /// The name in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::NotReady => "not_ready",
            State::Stopped => "stopped",
            State::Stale => "stale",
            State::Unhealthy => "unhealthy",
        }
    }

    /// Whether its process lives.
    #[must_use]
    pub fn is_running(self) -> bool {
        !matches!(self, State::Stopped | State::Stale)
    }
}

/// A daemon, and what it has published.
#[derive(Debug, Clone)]
pub struct Found {
    /// What there is of it.
    pub state: State,
    /// Its run-file, or that of one that did not end in order.
    pub run_file: Option<RunFile>,
}

impl Found {
    /// No daemon.
    pub const NONE: Found = Found { state: State::Stopped, run_file: None };

    /// The daemon of a data directory.
    ///
    /// # Errors
    /// Its files cannot be read.
    pub fn read(dir: &Path) -> Result<Found> {
        let (is_held, run_file) = (DaemonLock::is_held(dir)?, RunFile::read(dir)?);
        let state = match (&run_file, is_held) {
            (None, false) => State::Stopped,
            (Some(_), false) => State::Stale,
            (None, true) => State::NotReady,
            // A daemon that begins replaces what another one left.
            (Some(found), true) if found.is_of_dead_process() => State::NotReady,
            (Some(found), true) => match client::is_ready(&found.socket) {
                Ok(true) => State::Ready,
                Ok(false) => State::NotReady,
                Err(_) => State::Unhealthy,
            },
        };
        Ok(Found { state, run_file })
    }
}
