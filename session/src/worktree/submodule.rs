//! Submodules of a worktree: their repositories are in its private directory and go with it.

use ao_program::GuardedGit;

use crate::error::{Error, Result};
use crate::worktree::inspect::tree_command;
use crate::worktree::repository::{Repository, failed};

const ACTION: &str = "look into the submodules";

/// How deep submodules may be nested.
const DEPTH: usize = 8;

/// Fails when a submodule has a commit that no branch of its remote has. Uncommitted changes in it are those
/// of the worktree, and not looked for.
///
/// # Errors
/// [`Error::Git`], also when git fails.
pub(crate) fn check_submodules_are_elsewhere(
    repository: &Repository,
    git: &GuardedGit<'_>,
) -> Result<()> {
    check_below(repository, git, DEPTH)
}

fn check_below(repository: &Repository, git: &GuardedGit<'_>, depth: usize) -> Result<()> {
    let output = tree_command(git, &["ls-files", "--stage", "-z"], &[]);
    let output = output.map_err(|error| failed(ACTION, &error))?;
    for line in output.split(|byte| *byte == 0).filter(|line| line.starts_with(b"160000 ")) {
        let line = String::from_utf8_lossy(line);
        let name = line.split_once('\t').map_or("", |(_, name)| name);
        let path = git.dir().join(name);
        // Not initialised.
        if !path.join(".git").exists() {
            continue;
        }
        let refused =
            |reason: &str| Error::Git { action: ACTION, reason: format!("{name} {reason}") };
        let inner = repository.git_in(&path)?;
        let args = ["rev-list", "--max-count=1", "--all", "HEAD", "--not", "--remotes"];
        let own = inner.run(&args).map_err(|error| failed(ACTION, &error))?;
        if !own.is_empty() {
            return Err(refused("has commits that no branch of its remote has"));
        }
        match depth {
            0 => return Err(refused("is nested too deeply")),
            depth => check_below(repository, &inner, depth - 1)?,
        }
    }
    Ok(())
}
