//! The variables of an environment as a value, so that a test has one of its own.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The variables that this process, or a test, has.
#[derive(Clone, Default)]
pub struct Environment {
    variables: HashMap<OsString, OsString>,
}

impl Environment {
    /// The variables of this process, as they are now.
    #[must_use]
    pub fn of_process() -> Environment {
        std::env::vars_os().collect()
    }

    /// The value of a variable; one that is empty counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }

    /// Every variable.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Where the program of this name is. Relative entries of `PATH` do not count: what lies in the
    /// current directory is not to be asked for a token.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let is_program = |path: &PathBuf| {
            fs::metadata(path)
                .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        };
        let folders =
            std::env::split_paths(self.get("PATH")?).filter(|folder| folder.is_absolute());
        folders.map(|folder| folder.join(name)).find(is_program)
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
