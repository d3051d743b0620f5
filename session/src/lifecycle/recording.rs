//! Records what the programs of a harness show and what their hooks get, as data for tests of its row.
//!
//! The programs run in sessions as usual. A screen is recorded when it has stayed the same from one look to the
//! next. While the directory of the payloads exists, hooks put a few of each event into it.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use ao_store::SessionId;
use ao_store::row::session;

use super::Sessions;
use crate::error::{Error, Result};
use crate::harness::{self, Harness};
use crate::hook::payload_dir;

/// A recording of a harness.
#[derive(Debug)]
pub struct Recording<'a> {
    sessions: &'a Sessions,
    harness: String,
    dir: PathBuf,
    /// The last screen of each session.
    last: HashMap<SessionId, String>,
    recorded: HashSet<String>,
    files: Vec<PathBuf>,
}

impl<'a> Recording<'a> {
    /// Begins to record the sessions of a harness, into the folder of its installed version.
    ///
    /// # Errors
    /// `UNKNOWN_HARNESS`, `AGENT_BINARY_NOT_FOUND`; a directory cannot be created.
    pub fn begin(sessions: &'a Sessions, harness: &str, out: &Path) -> Result<Recording<'a>> {
        let row: &Harness = sessions.harnesses.get(harness)?;
        let environment = &sessions.config.environment;
        let path = harness::find(row, &[], environment)?.path;
        let version = harness::version(&path, environment);
        let version = version.unwrap_or_else(|| "unknown".to_owned());
        let dir = out.join(row.name()).join(version);
        let payloads = payload_dir(&sessions.config.data_dir, harness);
        // One that was killed has left its own.
        match fs::remove_dir_all(&payloads) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(failed("delete", &payloads, source));
            }
            _ => {}
        }
        for dir in [&dir, &payloads] {
            fs::create_dir_all(dir).map_err(|source| failed("create", dir, source))?;
        }
        Ok(Recording {
            sessions,
            harness: harness.to_owned(),
            dir,
            last: HashMap::new(),
            recorded: HashSet::new(),
            files: Vec::new(),
        })
    }

    /// Looks at the screens once. Those that have stayed as they were, and are new, are written.
    ///
    /// # Errors
    /// The store cannot be read, or a file cannot be written.
    pub fn look(&mut self) -> Result<()> {
        for (session, size, screen) in self.screens()? {
            let text = self.neutral(&screen)?;
            let before = self.last.insert(session, text.clone());
            let is_blank = text.trim().is_empty();
            if before.as_ref() == Some(&text) && !is_blank && self.recorded.insert(text.clone()) {
                let name = |number: usize| format!("frame-{number:03}.{size}.txt");
                self.files.push(write_new(&self.dir, &text, name)?);
            }
        }
        Ok(())
    }

    /// The visible screens of the sessions of the harness, with their sizes.
    fn screens(&self) -> Result<Vec<(SessionId, String, String)>> {
        let live = session::Filter { project: None, terminated: false };
        let mut all = self.sessions.store.read(|snapshot| session::list(snapshot, &live))?;
        all.retain(|session| session.harness == self.harness && !session.runtime_socket.is_empty());
        let mut found = Vec::new();
        for session in all {
            let runtime = self.sessions.runtime(&session.runtime_kind)?;
            let pane = &session.runtime_pane;
            let panes = runtime.panes(&session.runtime_socket);
            let size = panes.map(|mut panes| panes.panes.remove(pane).map(|pane| pane.size));
            // One that ended meanwhile shows nothing.
            if let (Ok(Some(size)), Ok(screens)) =
                (size, runtime.screens(&session.runtime_socket, &[pane]))
            {
                found.extend(
                    screens.into_iter().map(|text| (session.id.clone(), size.clone(), text)),
                );
            }
        }
        Ok(found)
    }

    /// Ends the recording. Returns the files that were written.
    ///
    /// # Errors
    /// A file cannot be moved.
    pub fn end(mut self) -> Result<Vec<PathBuf>> {
        let from = payload_dir(&self.sessions.config.data_dir, &self.harness);
        let to = self.dir.join("hooks");
        let read = |path: &Path| fs::read_to_string(path).map_err(|e| failed("read", path, e));
        let entries = fs::read_dir(&from).map_err(|source| failed("read", &from, source))?;
        for path in entries.filter_map(io::Result::ok).map(|entry| entry.path()) {
            fs::create_dir_all(&to).map_err(|source| failed("create", &to, source))?;
            let text = self.neutral(&read(&path)?)?;
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let event = stem.rsplit_once('.').map_or(&*stem, |(event, _)| event);
            let name = |number: usize| format!("{event}.{number}.json");
            let written = write_new(&to, &text, name)?;
            self.files.push(written);
        }
        fs::remove_dir_all(&from).map_err(|source| failed("delete", &from, source))?;
        // Fails while another harness is recorded.
        let _ = from.parent().map(fs::remove_dir);
        self.files.sort();
        Ok(self.files)
    }

    /// A text with neutral paths, without spaces at the ends of its lines.
    fn neutral(&self, text: &str) -> Result<String> {
        let all = session::Filter { project: None, terminated: true };
        let sessions = self.sessions.store.read(|snapshot| session::list(snapshot, &all))?;
        let mut text = text.to_owned();
        for session in sessions.iter().filter(|session| !session.worktree_path.is_empty()) {
            text = text.replace(&session.worktree_path, "/repo/demo/wt");
        }
        if let Some(home) = self.sessions.config.environment.get("HOME").filter(|it| it.len() > 1) {
            text = text.replace(&*home.to_string_lossy(), "/home/user");
        }
        let lines: Vec<_> = text.trim_end().lines().map(str::trim_end).collect();
        Ok(lines.join("\n") + "\n")
    }
}

/// Writes a file under the first name that is free.
fn write_new(dir: &Path, text: &str, name: impl Fn(usize) -> String) -> Result<PathBuf> {
    let mut number = 1;
    loop {
        let path = dir.join(name(number));
        let written = File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        match written {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(source) => return Err(failed("write", &path, source)),
        }
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}
