//! What agent programs run in: tmux, or nothing (plain processes).
//!
//! A launch is addressed by its id, which is unique for ever, in the server whose socket was recorded. What is
//! gone counts as removed. A runtime that does not answer is an error, and never a death.

mod process;
pub mod processes;
mod tmux;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_store::row::lifecycle::spawn::Place;

use crate::error::{Error, Result};
use crate::harness::Press;

pub use process::Process;
pub use processes::Ended;
pub use tmux::Tmux;

/// How long a screen stays as it is before it counts as still.
const STILL: Duration = Duration::from_millis(750);
/// How long that is waited for.
const STILL_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(150);

/// What is started.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// The launch.
    pub launch: &'a str,
    /// The directory in which it runs.
    pub dir: &'a Path,
    /// The command of the supervisor, at least two words.
    pub argv: &'a [OsString],
}

/// A pane of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pane {
    /// The launch.
    pub launch: String,
    /// The second in which it printed last.
    pub printed_at: i64,
    /// Whether its program ended.
    pub is_dead: bool,
    /// Its columns and rows, such as `120x40`.
    pub size: String,
}

/// What a server has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Panes {
    /// Whether the server has ended.
    pub is_server_gone: bool,
    /// Its panes by their ids.
    pub panes: HashMap<String, Pane>,
}

/// What runs a launch.
pub trait Runtime: Send + Sync {
    /// Its name on session rows.
    fn kind(&self) -> &'static str;

    /// Whether it can be used.
    ///
    /// # Errors
    /// `RUNTIME_PREREQUISITE_MISSING`.
    fn check(&self) -> Result<()>;

    /// Where the next launch will be, as far as that is known.
    fn place(&self) -> Place;

    /// Starts the supervisor of a launch.
    ///
    /// # Errors
    /// `RUNTIME_FAILED`.
    fn start(&self, start: &Start<'_>) -> Result<Place>;

    /// Whether anything of the server of this socket is left.
    ///
    /// # Errors
    /// It does not answer.
    fn is_server_gone(&self, socket: &str) -> Result<bool>;

    /// The launches that the server of this socket shows, also after their end.
    ///
    /// # Errors
    /// It does not answer.
    fn shown(&self, _socket: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// All panes of the server of this socket.
    ///
    /// # Errors
    /// It does not answer.
    fn panes(&self, _socket: &str) -> Result<Panes> {
        Ok(Panes::default())
    }

    /// The visible screens of panes, in their order.
    ///
    /// # Errors
    /// One is gone, or the server does not answer.
    fn screens(&self, _socket: &str, _panes: &[&str]) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Removes what shows a launch. One that is gone counts as removed.
    ///
    /// # Errors
    /// The runtime fails or does not answer.
    fn remove(&self, launch: &str, socket: &str) -> Result<()>;

    /// Checks that text can be typed into the program of a launch. Nothing is typed.
    ///
    /// # Errors
    /// It has no terminal, has ended, or the runtime fails.
    fn check_input(&self, launch: &str, socket: &str) -> Result<()>;

    /// Types a text into the program of a launch, and returns when the program has read it.
    ///
    /// # Errors
    /// The program does not read it, or the runtime fails. A part of it may have been typed.
    fn paste(&self, launch: &str, socket: &str, text: &str) -> Result<()>;

    /// Submits what was typed.
    ///
    /// # Errors
    /// The runtime fails.
    fn submit(&self, launch: &str, socket: &str) -> Result<()>;

    /// Sends keys to the program of a launch, one after the other.
    ///
    /// # Errors
    /// It has no terminal, has ended, or the runtime fails.
    fn press(&self, launch: &str, _socket: &str, _keys: &[Press]) -> Result<()> {
        let reason = format!("launch {launch} has no terminal");
        Err(Error::RuntimeFailed { action: "send keys", reason })
    }

    /// Whether the program of a launch has read all that was typed into it.
    ///
    /// # Errors
    /// It has no terminal, or the runtime fails.
    fn has_read(&self, launch: &str, _socket: &str) -> Result<bool> {
        let reason = format!("launch {launch} has no terminal");
        Err(Error::RuntimeFailed { action: "look at its input", reason })
    }

    /// What a launch has shown: its screen, and at most this many lines before it.
    ///
    /// # Errors
    /// It has no screen, or the runtime fails.
    fn history(&self, launch: &str, socket: &str, lines: u32) -> Result<String>;

    /// Writes what a launch prints from now on into a FIFO, in place of the one before, and returns what draws the
    /// screen of that moment.
    ///
    /// # Errors
    /// It has no terminal, or the runtime fails.
    fn pipe(&self, launch: &str, _socket: &str, _fifo: &str) -> Result<String> {
        let reason = format!("launch {launch} has no terminal");
        Err(Error::RuntimeFailed { action: "read its output", reason })
    }

    /// Types bytes of text into the terminal of a launch as they are, also controls.
    ///
    /// # Errors
    /// It has no terminal, has ended, or the runtime fails.
    fn type_exactly(&self, launch: &str, socket: &str, _text: &str) -> Result<()> {
        self.check_input(launch, socket)
    }

    /// The command that shows a launch in the terminal of its caller; `None` where it has no terminal.
    fn attach(&self, _launch: &str, _socket: &str, _is_read_only: bool) -> Option<Vec<String>> {
        None
    }

    /// The last lines of the screen of a launch.
    ///
    /// # Errors
    /// It has no screen, or the runtime fails.
    fn capture(&self, launch: &str, socket: &str) -> Result<String> {
        self.history(launch, socket, 100)
    }
}

/// Waits until the screen of a launch shows something and does not change any more, or for 20 seconds: a
/// program that still starts would lose what is typed.
pub(crate) fn wait_until_still(runtime: &dyn Runtime, launch: &str, socket: &str) -> Result<()> {
    let deadline = Instant::now() + STILL_WITHIN;
    let (mut seen, mut since) = (String::new(), Instant::now());
    while Instant::now() < deadline {
        let now = runtime.capture(launch, socket)?;
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        if !seen.trim().is_empty() && since.elapsed() >= STILL {
            break;
        }
        sleep(POLL);
    }
    Ok(())
}
