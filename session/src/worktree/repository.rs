//! The repository of a project, and how git is run in it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ao_program::{Environment, Error as ProgramError, Git, GuardedGit};
use ao_store::ProjectId;

use crate::error::{Error, Result};
use crate::exclusive::Exclusive;
use crate::worktree::root::resolve;

/// How long git may take to read refs and configuration.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// How long git may take to write or read a whole work tree.
pub(crate) const TREE_TIMEOUT: Duration = Duration::from_secs(300);

/// The repository of a project.
#[derive(Debug, Clone)]
pub struct Repository {
    project: ProjectId,
    path: PathBuf,
    environment: Environment,
    /// When all runs of git must have ended, where they have one bound.
    until: Option<Instant>,
}

impl Repository {
    /// The repository at the path of a project: of its main work tree, or a bare one.
    ///
    /// # Errors
    /// [`Error::ProjectNotResolvable`]: git cannot read it.
    pub fn open(project: &ProjectId, path: &Path, environment: &Environment) -> Result<Repository> {
        Repository::open_until(project, path, environment, None)
    }

    /// The same; all of its runs of git must have ended at this time, if there is one.
    ///
    /// # Errors
    /// As [`open`](Repository::open); also [`Error::ProjectNotResolvable`]: it is too late.
    pub fn open_until(
        project: &ProjectId,
        path: &Path,
        environment: &Environment,
        until: Option<Instant>,
    ) -> Result<Repository> {
        let (project, path) = (project.clone(), path.to_owned());
        let repository = Repository { project, path, environment: environment.clone(), until };
        repository.git()?;
        Ok(repository)
    }

    /// git at the path of the project.
    pub(crate) fn git(&self) -> Result<GuardedGit<'_>> {
        self.git_at(&self.path).map_err(|error| self.unusable(error))
    }

    /// git in a worktree of ours.
    pub(crate) fn git_in<'a>(&'a self, worktree: &'a Path) -> Result<GuardedGit<'a>> {
        self.git_at(worktree).map_err(|error| failed("read the worktree", &error))
    }

    fn git_at<'a>(&'a self, dir: &'a Path) -> ao_program::Result<GuardedGit<'a>> {
        let (environment, until) = (&self.environment, self.until);
        Git { dir, environment, timeout: READ_TIMEOUT, until }.guarded()
    }

    /// The repository cannot be used.
    pub(crate) fn unusable(&self, reason: impl ToString) -> Error {
        Error::ProjectNotResolvable { project: self.project.clone(), reason: reason.to_string() }
    }
}

/// The error of a failed run of git.
pub(crate) fn failed(action: &'static str, error: &ProgramError) -> Error {
    Error::Git { action, reason: error.to_string() }
}

/// The commit that a revision names, or `None`. The revision must be one of ours or begin with no `-`.
pub(crate) fn commit_of(git: &GuardedGit<'_>, revision: &str) -> Result<Option<String>> {
    let revision = format!("{revision}^{{commit}}");
    let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &revision];
    let output = git.query(&args).map_err(|error| failed("resolve a revision", &error))?;
    // `^x` resolves too: to the exclusion of a commit.
    let is_commit = |id: &String| id.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok(output.map(|bytes| text(&bytes)).filter(is_commit))
}

/// The output of git without the end of its last line.
pub(crate) fn text(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    text.strip_suffix('\n').unwrap_or(&text).to_owned()
}

/// A path as an argument.
pub(crate) fn argument(path: &Path) -> Result<&str> {
    let reason = || Error::File {
        action: "name",
        path: path.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not UTF-8"),
    };
    path.to_str().ok_or_else(reason)
}

/// Whether two paths are one directory, also when it does not exist.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    one == other || resolve(one) == resolve(other)
}

/// A path in the directory of git that all worktrees of the repository share.
pub(crate) fn common_path(git: &GuardedGit<'_>, name: &str) -> Result<PathBuf> {
    let args = ["rev-parse", "--path-format=absolute", "--git-common-dir"];
    let output = git.run(&args).map_err(|error| failed("find the directory of git", &error))?;
    Ok(PathBuf::from(text(&output)).join(name))
}

/// The turn of this process to change branches and worktrees of the repository.
pub(crate) fn exclusive(git: &GuardedGit<'_>) -> Result<Exclusive> {
    Exclusive::wait(&common_path(git, "ao-store.lock")?)
}

/// The directory of git of a worktree, or another path in it.
pub(crate) fn git_path(git: &GuardedGit<'_>, name: &str) -> Result<PathBuf> {
    let args = ["rev-parse", "--path-format=absolute", "--git-path", name];
    let output = git.run(&args).map_err(|error| failed("find the directory of git", &error))?;
    Ok(PathBuf::from(text(&output)))
}
