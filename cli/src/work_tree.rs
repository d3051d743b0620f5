//! The git work tree that contains a path of the user.

use std::path::Path;
use std::time::Duration;

use ao_program::{Environment, Error as ProgramError, Git, WorkTree};
use ao_store::git_url::without_credentials;

use crate::error::{Error, Result};

/// How long git may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the work tree that contains `path`, its origin without credentials.
pub(crate) fn read(path: &Path) -> Result<WorkTree> {
    let invalid = |reason: String| Error::InvalidPath { path: path.to_owned(), reason };
    let dir = path.canonicalize().map_err(|error| invalid(error.to_string()))?;
    if !dir.is_dir() {
        return Err(invalid("it is not a directory".to_owned()));
    }
    if dir.to_str().is_none() {
        return Err(invalid("it is not UTF-8".to_owned()));
    }
    let environment = Environment::of_process();
    let git = Git { dir: &dir, environment: &environment, timeout: TIMEOUT };
    let tree = git.work_tree().map_err(|error| match error {
        ProgramError::NotAWorkTree => Error::NotAGitRepo(path.to_owned()),
        other => Error::GitFailed(other.to_string()),
    })?;
    Ok(WorkTree { origin_url: without_credentials(&tree.origin_url), ..tree })
}
