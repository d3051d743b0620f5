//! Where a program keeps its files.

use std::path::PathBuf;

use ao_program::Environment;
use serde::Deserialize;

/// Files of a program in its home.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// The variable that moves the directory, where there is one.
    #[serde(default)]
    variable: String,
    /// The directory, where the variable is not set.
    default: String,
    /// The file in it; that of a conversation is a pattern with `{native_id}`, or `{native_id_8}` for its
    /// first eight characters.
    pub(super) pattern: String,
}

impl Place {
    /// The directory; `None` where it is in a home that is not known.
    pub(super) fn dir(&self, environment: &Environment) -> Option<PathBuf> {
        let moved = environment.get(&self.variable).filter(|dir| !dir.is_empty());
        moved.map(PathBuf::from).or_else(|| match self.default.strip_prefix('~') {
            Some(rest) => {
                let home = environment.get("HOME").map(PathBuf::from)?;
                Some(home.join(rest.trim_start_matches('/')))
            }
            None => Some(PathBuf::from(&self.default)),
        })
    }
}
