//! The environment variables as a value: a test has its own, and no caller reads the process's.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The variables that are meant for this process alone: the secret with which webhook deliveries are signed,
/// and those by which a service manager addresses the process that it started.
pub(crate) const PRIVATE: [&str; 18] = [
    "AO_WEBHOOK_SECRET",
    "CREDENTIALS_DIRECTORY",
    "FDSTORE",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "MAINPID",
    "MANAGERPID",
    "MANAGERPIDFDID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// A set of environment variables.
#[derive(Clone, Default)]
pub struct Environment {
    variables: HashMap<OsString, OsString>,
}

impl Environment {
    /// The variables of this process, as they are now, without those that are meant for it alone. A program
    /// that gets them can neither sign a webhook delivery nor report to the service manager.
    #[must_use]
    pub fn of_process() -> Environment {
        let is_private = |name: &OsStr| PRIVATE.iter().any(|private| name == *private);
        std::env::vars_os().filter(|(name, _)| !is_private(name)).collect()
    }

    /// The value of a variable; an empty one counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }

    /// Every variable.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The path of the program of this name. Relative and empty entries of `PATH` do not count: a
    /// file of the current directory must never run.
    #[must_use]
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        let folders = std::env::split_paths(self.get("PATH")?);
        let mut paths = folders.filter(|folder| folder.is_absolute()).map(|dir| dir.join(name));
        paths.find(|path| Environment::is_program(path))
    }

    /// Whether a path is a file that this user may execute.
    #[must_use]
    pub fn is_program(path: &Path) -> bool {
        path.is_file() && access(path, Access::EXEC_OK).is_ok()
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Environment {
        let pairs = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Environment { variables: pairs.collect() }
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}
