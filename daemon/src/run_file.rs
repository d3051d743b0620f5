//! The run-file: how programs find the daemon of a data directory. It is replaced as a whole, and removed only
//! by the daemon that wrote it. Whether that daemon lives is never concluded from it alone.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ao_store::lease::Owner;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a daemon publishes about itself: `<data>/running.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// Its process id.
    pub pid: u32,
    /// The process among all that ever ran: its id, its start in clock ticks since boot, and the boot.
    pub process: String,
    /// When it began to serve, in RFC 3339 in UTC.
    pub started_at: String,
    /// The URL of its HTTP server.
    pub url: String,
    /// Its Unix socket, which serves the same.
    pub socket: PathBuf,
    /// The Unix socket of the supervisor link; none in a daemon that no program stops by disconnecting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<PathBuf>,
    /// The version of the program.
    pub version: String,
    /// Who started it, such as `app` for a desktop program that also stops it; none for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

impl RunFile {
    /// The run-file of a data directory; `None` if there is none, or nothing that can be understood.
    ///
    /// # Errors
    /// It exists and cannot be read.
    pub fn read(dir: &Path) -> Result<Option<RunFile>> {
        let path = path_of(dir);
        match fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::file("read", path, source)),
        }
    }

    /// Whether the process that wrote it is known to have ended.
    #[must_use]
    pub fn is_of_dead_process(&self) -> bool {
        Owner::is_gone(&self.process)
    }

    /// Publishes it: another process reads the previous one or this one.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let path = path_of(dir);
        let write = || {
            let mut file = tempfile::Builder::new()
                .prefix(".running-")
                .permissions(Permissions::from_mode(0o600))
                .tempfile_in(dir)?;
            file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
            file.write_all(b"\n")?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|source: io::Error| Error::file("write", &path, source))
    }

    /// Removes it unless another daemon has replaced it.
    pub(crate) fn remove(&self, dir: &Path) -> Result<()> {
        if RunFile::read(dir)?.as_ref() != Some(self) {
            return Ok(());
        }
        let path = path_of(dir);
        fs::remove_file(&path).map_err(|source| Error::file("remove", path, source))
    }
}

fn path_of(dir: &Path) -> PathBuf {
    dir.join("running.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_file(pid: u32) -> RunFile {
        RunFile {
            pid,
            process: Owner::this_process().to_string(),
            started_at: "1970-01-01T00:00:00.000Z".to_owned(),
            url: "http://127.0.0.1:1".to_owned(),
            socket: "/x/daemon.sock".into(),
            supervisor: None,
            version: "0.1.0".to_owned(),
            owner: None,
        }
    }

    #[test]
    fn only_its_writer_removes_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(RunFile::read(dir.path()).unwrap(), None);
        let (first, second) = (run_file(1), run_file(2));
        first.write(dir.path()).unwrap();
        second.write(dir.path()).unwrap();
        first.remove(dir.path()).unwrap();
        assert_eq!(RunFile::read(dir.path()).unwrap(), Some(second.clone()));
        second.remove(dir.path()).unwrap();
        assert_eq!(RunFile::read(dir.path()).unwrap(), None);
        second.remove(dir.path()).unwrap();
    }

    #[test]
    fn it_is_private_and_a_damaged_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let owned = RunFile { owner: Some("app".to_owned()), ..run_file(1) };
        owned.write(dir.path()).unwrap();
        assert_eq!(RunFile::read(dir.path()).unwrap(), Some(owned));
        let path = path_of(dir.path());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!run_file(1).is_of_dead_process());
        fs::write(&path, "{").unwrap();
        assert_eq!(RunFile::read(dir.path()).unwrap(), None);
    }
}
