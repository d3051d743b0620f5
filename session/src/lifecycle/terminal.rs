//! The terminal of a session: what its agent shows or has shown, as text or as the bytes that it prints, the
//! command that shows it to a person, and keys.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use ao_store::SessionId;
use ao_store::row::launch::{self, Launch};
use ao_store::row::session::Session;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use tempfile::TempDir;

use super::Sessions;
use crate::error::{Error, Result};
use crate::worktree::argument;

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

/// What a launch prints, from a moment on.
#[derive(Debug)]
pub struct Piped {
    /// The launch.
    pub launch: String,
    /// What draws the screen of that moment.
    pub screen: String,
    /// A FIFO from which the bytes after it are read, without blocking. It ends when its writer does.
    pub output: File,
    /// Where it is, in `run/terminals` in the data directory; the writer may open it later.
    pub dir: TempDir,
}

impl Sessions {
    /// The newest launch of a session, if it runs in a terminal.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`; `SESSION_EXTERNAL`; `SESSION_NOT_RUNNING`; `NO_TERMINAL`.
    pub fn in_terminal(&self, id: &SessionId) -> Result<String> {
        Ok(self.with_terminal(id)?.1.id)
    }

    /// Pipes the output of a running agent. There is one such pipe of a launch at a time.
    ///
    /// # Errors
    /// Those of [`Sessions::in_terminal`]; the FIFO cannot be made; when its runtime fails.
    pub fn pipe_terminal(&self, id: &SessionId) -> Result<Piped> {
        let (session, launch) = self.with_terminal(id)?;
        let file = |action: &'static str, path: &std::path::Path| {
            let path = path.to_owned();
            move |source: io::Error| Error::File { action, path, source }
        };
        let all = self.terminal_dir();
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&all);
        let own =
            || tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir_in(&all);
        let dir = created.and_then(|()| own()).map_err(file("create", &all))?;
        let fifo = dir.path().join("output");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .map_err(io::Error::from)
            .map_err(file("create", &fifo))?;
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let output = OpenOptions::new().read(true).custom_flags(flags).open(&fifo);
        let output = output.map_err(file("open", &fifo))?;
        let runtime = self.runtime(&session.runtime_kind)?;
        let screen = runtime.pipe(&launch.id, &session.runtime_socket, argument(&fifo)?)?;
        Ok(Piped { launch: launch.id, screen, output, dir })
    }

    /// Deletes the FIFOs that processes made which were killed. The caller is the only process that pipes terminals
    /// of this data directory, and pipes none yet.
    ///
    /// # Errors
    /// They cannot be deleted.
    pub fn delete_stale_pipes(&self) -> Result<()> {
        let path = self.terminal_dir();
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::File { action: "delete", path, source })
            }
            _ => Ok(()),
        }
    }

    /// The directory of the FIFOs.
    fn terminal_dir(&self) -> PathBuf {
        self.launch_dir().join("terminals")
    }

    /// Types text into the terminal of a running agent as it is, also controls.
    ///
    /// # Errors
    /// Those of [`Sessions::in_terminal`]; `INVALID_MESSAGE`; when its runtime fails.
    pub fn type_exactly(&self, id: &SessionId, text: &str) -> Result<()> {
        let (session, launch) = self.with_terminal(id)?;
        if text.is_empty() || text.contains('\0') {
            return Err(Error::InvalidMessage("it is empty or has a NUL"));
        }
        let runtime = self.runtime(&session.runtime_kind)?;
        runtime.type_exactly(&launch.id, &session.runtime_socket, text)
    }

    fn with_terminal(&self, id: &SessionId) -> Result<(Session, Launch)> {
        let (session, launch) = self.launched(id)?;
        if launch.ended_at.is_some() {
            return Err(Error::NotRunning { session: id.clone(), reason: "it has ended" });
        }
        let runtime = self.runtime(&session.runtime_kind)?;
        match runtime.attach(&launch.id, &session.runtime_socket, true) {
            Some(_) => Ok((session, launch)),
            None => Err(Error::NoTerminal(id.clone())),
        }
    }

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
