//! The git work tree that contains a path of the user, and its origin.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ao_observer::github::remotes;
use ao_observer::run::default_host;
use ao_program::{Environment, Error as ProgramError, Git};
use ao_store::row::project::Origin;

use super::{Error, Result};

/// How long git may take to answer.
const GIT_TIMEOUT: Duration = Duration::from_secs(10);

/// A work tree with what git records about its remotes.
#[derive(Debug)]
pub struct WorkTree {
    /// Its root; of a linked work tree that of the main one, where there is one.
    pub root: PathBuf,
    /// The directory that all work trees of the repository share.
    pub common_dir: PathBuf,
    /// Its remote.
    pub origin: Origin,
}

/// Reads the work tree that contains `path`, its origin without credentials.
///
/// # Errors
/// There is none, or git cannot read it.
pub fn read(path: &Path) -> Result<WorkTree> {
    let tree = work_tree(path)?;
    let environment = Environment::of_process();
    let known = [default_host(&environment)];
    let origin = remotes::origin(&tree.root, &known, &environment).map_err(Error::GitFailed)?;
    Ok(WorkTree { root: tree.root, common_dir: tree.common_dir, origin: origin.into() })
}

/// The work tree that contains `path`, or the main one of its repository.
///
/// # Errors
/// There is none, or git cannot read it.
pub fn work_tree(path: &Path) -> Result<ao_program::WorkTree> {
    let invalid = |reason: String| Error::InvalidPath { path: path.to_owned(), reason };
    let dir = path.canonicalize().map_err(|error| invalid(error.to_string()))?;
    if !dir.is_dir() {
        return Err(invalid("it is not a directory".to_owned()));
    }
    if dir.to_str().is_none() {
        return Err(invalid("it is not UTF-8".to_owned()));
    }
    let environment = Environment::of_process();
    let git = Git { dir: &dir, environment: &environment, timeout: GIT_TIMEOUT, until: None };
    git.work_tree().map_err(|error| match error {
        ProgramError::NotAWorkTree => Error::NotAGitRepo(path.to_owned()),
        ProgramError::Dangling(repo) => Error::RepoMoved { path: path.to_owned(), repo },
        ProgramError::NotTrusted(repo) => Error::GitNotTrusted(repo),
        other => Error::GitFailed(other.to_string()),
    })
}
