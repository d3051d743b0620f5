//! The terminal of a session: what its agent shows or has shown, and the command that shows it to a person.
//! Nothing is changed.

use ao_store::SessionId;
use ao_store::row::launch::{self, Launch};
use ao_store::row::session::Session;

use super::Sessions;
use crate::error::{Error, Result};

/// Where the text of a launch was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownFrom {
    /// Its terminal.
    Terminal,
    /// The store, which keeps the end of the output of a launch that ended.
    Store,
    /// Nowhere: it has no terminal and has not ended.
    Nowhere,
}

impl ShownFrom {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ShownFrom::Terminal => "terminal",
            ShownFrom::Store => "store",
            ShownFrom::Nowhere => "",
        }
    }
}

/// What an agent shows or has shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The newest launch of the session.
    pub launch: Launch,
    /// Where the lines are from.
    pub from: ShownFrom,
    /// The last lines, oldest first, without escape sequences.
    pub lines: Vec<String>,
}

impl Sessions {
    /// The last lines of the newest launch of a session, at most this many.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`; `SESSION_EXTERNAL`; `SESSION_NOT_RUNNING` when it was never launched; when its
    /// runtime cannot be asked.
    pub fn log(&self, id: &SessionId, lines: u32) -> Result<Shown> {
        let (session, launch) = self.launched(id)?;
        let terminal = self.terminal_text(&session, &launch, lines);
        let ended = match launch.ended_at {
            Some(_) => launch,
            None => match terminal {
                Ok(text) => return Ok(shown(launch, ShownFrom::Terminal, &text, lines)),
                Err(Error::NoTerminal(_)) => {
                    return Ok(shown(launch, ShownFrom::Nowhere, "", lines));
                }
                // It may have ended meanwhile, and its terminal with it.
                Err(error) => self.ended(&launch.id)?.ok_or(error)?,
            },
        };
        // The terminal of a program that ended stays until it is started again, and shows more.
        let terminal = self.terminal_text(&session, &ended, lines).unwrap_or_default();
        if !terminal.is_empty() {
            return Ok(shown(ended, ShownFrom::Terminal, &terminal, lines));
        }
        let kept = self.store.read(|snapshot| launch::output(snapshot, &ended.id))?;
        Ok(shown(ended, ShownFrom::Store, &kept.unwrap_or_default(), lines))
    }

    /// The command that shows the terminal of a session in that of its caller.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`; `SESSION_EXTERNAL`; `SESSION_NOT_RUNNING`; `NO_TERMINAL`; when its runtime
    /// cannot be asked.
    pub fn attach_command(&self, id: &SessionId, is_read_only: bool) -> Result<Vec<String>> {
        let (session, launch) = self.launched(id)?;
        if launch.ended_at.is_some() {
            return Err(Error::NotRunning { session: id.clone(), reason: "it has ended" });
        }
        let runtime = self.runtime(&session.runtime_kind)?;
        let socket = &session.runtime_socket;
        let argv = runtime.attach(&launch.id, socket, is_read_only);
        let argv = argv.ok_or_else(|| Error::NoTerminal(id.clone()))?;
        // Without it no terminal is found, which is no proof that there is none.
        runtime.check()?;
        if !runtime.shown(socket)?.contains(&launch.id) {
            return Err(Error::NotRunning { session: id.clone(), reason: "its terminal is gone" });
        }
        Ok(argv)
    }

    /// A session with its newest launch.
    fn launched(&self, id: &SessionId) -> Result<(Session, Launch)> {
        let session = self.session(id)?;
        if session.is_external() {
            return Err(Error::External(id.clone()));
        }
        let launch = self.store.read(|snapshot| launch::get(snapshot, &session.launch))?;
        let reason = "it was never started";
        let launch = launch.ok_or_else(|| Error::NotRunning { session: id.clone(), reason })?;
        Ok((session, launch))
    }

    fn ended(&self, id: &str) -> Result<Option<Launch>> {
        let launch = self.store.read(|snapshot| launch::get(snapshot, id))?;
        Ok(launch.filter(|launch| launch.ended_at.is_some()))
    }

    fn terminal_text(&self, session: &Session, launch: &Launch, lines: u32) -> Result<String> {
        let runtime = self.runtime(&session.runtime_kind)?;
        if runtime.attach(&launch.id, &session.runtime_socket, true).is_none() {
            return Err(Error::NoTerminal(session.id.clone()));
        }
        runtime.history(&launch.id, &session.runtime_socket, lines)
    }
}

/// What tmux writes below the screen of a program that has ended; it is the status of the supervisor.
const DEAD: &str = "Pane is dead (";

fn shown(launch: Launch, from: ShownFrom, text: &str, lines: u32) -> Shown {
    let text = text.trim_end();
    let (before, last) = text.rsplit_once('\n').unwrap_or(("", text));
    let is_note = launch.ended_at.is_some() && last.starts_with(DEAD);
    let text = if is_note { before } else { text };
    let mut all: Vec<_> = text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect();
    let wanted = usize::try_from(lines).unwrap_or(usize::MAX);
    Shown { launch, from, lines: all.split_off(all.len().saturating_sub(wanted)) }
}
