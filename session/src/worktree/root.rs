//! The managed root: the directory that contains every worktree of ours.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use ao_store::SessionId;

use crate::error::{Error, Result};

/// The directory below which worktrees are made and removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// The directory, which is created if it is missing.
    ///
    /// # Errors
    /// It cannot be created or read.
    pub fn new(path: &Path) -> Result<Root> {
        let failed = |action| move |source| Error::File { action, path: path.to_owned(), source };
        let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        created.map_err(failed("create"))?;
        Ok(Root { path: path.canonicalize().map_err(failed("find"))? })
    }

    /// The path of the worktree of a session: `<root>/<project>/<session>`. It depends on the id only.
    #[must_use]
    pub fn path_of(&self, session: &SessionId) -> PathBuf {
        let project = session.as_str().rsplit_once('-').map_or("", |(project, _)| project);
        self.path.join(project).join(session.as_str())
    }

    /// Whether the path is strictly below the root, and no component below the root is a symlink.
    #[must_use]
    pub fn contains(&self, path: &Path) -> bool {
        let is_plain = |path: &Path| !path.components().any(|part| part == Component::ParentDir);
        // The way to the root may have symlinks; the way from it may not.
        let below = path.ancestors().skip(1).find(|above| resolve(above) == self.path);
        match below.and_then(|above| path.strip_prefix(above).ok()) {
            Some(rest) if is_plain(path) => {
                resolve(path) == self.path.join(rest) && !path.is_symlink()
            }
            _ => false,
        }
    }

    /// Removes a directory below the root with its content; one that is gone counts as removed.
    ///
    /// # Errors
    /// It is not below the root; the file system fails.
    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        self.check(path)?;
        match fs::remove_dir_all(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::File { action: "remove", path: path.to_owned(), source })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a path that it does not contain.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        if path.is_absolute() && self.contains(path) {
            return Ok(());
        }
        let reason = format!("it is not below {}", self.path.display());
        Err(Error::File {
            action: "change",
            path: path.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidInput, reason),
        })
    }
}

/// The path without symlinks; of a path that does not exist, its deepest directory that does is resolved.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let Ok(real) = above.canonicalize() {
            let rest = path.strip_prefix(above).unwrap_or(Path::new(""));
            // Joining an empty path would add a slash.
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}
