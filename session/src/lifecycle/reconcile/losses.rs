//! Records that launches have ended whose supervisors could not do it.
//!
//! The loss of a tmux server, of the machine, or of most sessions at once is one event: it says nothing
//! about the single programs, and does not count towards the limit of relaunches.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::path::PathBuf;

use ao_store::SessionId;
use ao_store::row::launch::{self, End, EndCause};
use ao_store::row::lifecycle::instance;

use super::decide::is_mass;
use super::{Case, Found, Sessions};
use crate::error::{Error, Result};

impl Sessions {
    /// The sessions whose newest launch, which is returned too, ended with its runtime: reconciliation starts
    /// them again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn lost_launches(&self) -> Result<Vec<(SessionId, String)>> {
        Ok(self.store.read(launch::lost)?)
    }

    /// Records the ends in one transaction, and describes those that are one event.
    pub(super) fn record_losses(&self, cases: &[Case]) -> Result<Vec<String>> {
        let should_run = |case: &&Case| {
            !case.session.is_terminated
                && case.launches.last().is_some_and(|launch| launch.ended_at.is_none())
        };
        let open = cases.iter().filter(should_run).count();
        let dead: Vec<&Case> =
            cases.iter().filter(should_run).filter(|case| case.found == Found::Dead).collect();
        let is_mass = is_mass(dead.len(), open);
        let mut ends = Vec::new();
        let mut events: BTreeMap<String, usize> = BTreeMap::new();
        for case in dead {
            let event = self.event_of(case, is_mass);
            let cause = if event.is_some() { EndCause::RuntimeLost } else { EndCause::Killed };
            ends.push((case.session.launch.clone(), cause));
            if let Some(event) = event {
                *events.entry(event).or_default() += 1;
            }
        }
        if ends.is_empty() {
            return Ok(Vec::new());
        }
        self.write(move |tx| {
            for (id, cause) in ends {
                launch::ended(tx, &id, End { exit_status: None, signal: None, cause }, "")?;
            }
            Ok(())
        })?;
        Ok(events.iter().map(|(event, count)| format!("{event}: {count} session(s)")).collect())
    }

    /// The event of which the loss of one session is a part; `None` if it is one of its own.
    fn event_of(&self, case: &Case, is_mass: bool) -> Option<String> {
        let session = &case.session;
        if case.launches.last().is_some_and(|launch| launch.boot_id != instance::boot_id()) {
            return Some("the machine was started again".to_owned());
        }
        let socket = &session.runtime_socket;
        let runtime = self.runtime(&session.runtime_kind);
        match runtime.and_then(|runtime| runtime.is_server_gone(socket)) {
            Ok(true) => Some(format!("the tmux server {socket} is gone")),
            _ if is_mass => Some("more than half of the sessions ended at once".to_owned()),
            _ => None,
        }
    }

    /// Deletes the files of launches that nobody will start. They are listed before the rows are read: a launch
    /// is recorded before its file is written.
    pub(super) fn delete_stale_specs(&self) -> Result<()> {
        let Ok(entries) = fs::read_dir(self.launch_dir()) else { return Ok(()) };
        let specs: Vec<_> = entries.filter_map(Result::ok).filter_map(spec).collect();
        let stale = self.store.read(|snapshot| {
            let mut stale = Vec::new();
            for (id, path) in specs {
                let row = launch::get(snapshot, &id)?;
                if row.is_none_or(|launch| launch.ended_at.is_some()) {
                    stale.push(path);
                }
            }
            Ok(stale)
        })?;
        for path in stale {
            match fs::remove_file(&path) {
                // Another process was faster.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::File { action: "delete", path, source }),
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

/// The file of a launch, with its id.
fn spec(entry: DirEntry) -> Option<(String, PathBuf)> {
    let path = entry.path();
    let id = path.file_stem()?.to_str()?.to_owned();
    path.extension().is_some_and(|ending| ending == "json").then_some((id, path))
}
