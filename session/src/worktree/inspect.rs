//! What is in a worktree: uncommitted changes, commits that are nowhere else, locks.

use std::path::Path;

use ao_program::{GitCommand, GuardedGit};

use crate::error::{Error, Result};
use crate::worktree::lease::is_ours;
use crate::worktree::list::{is_missing, record_at};
use crate::worktree::repository::{
    Repository, TREE_TIMEOUT, commit_of, failed, git_path, is_same, text,
};

/// The state of a worktree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Whether nothing is at the path.
    pub is_missing: bool,
    /// Whether the repository has a record of it.
    pub is_registered: bool,
    /// Why a person locked it; `None` when nobody did.
    pub locked: Option<String>,
    /// What is in no commit; `None` when nothing is. What cannot be read counts.
    pub dirty: Option<String>,
    /// The commit of its `HEAD`.
    pub head: Option<String>,
    /// The branch that is checked out.
    pub branch: Option<String>,
}

impl Repository {
    /// Reads the state of the worktree at this path. It writes nothing.
    ///
    /// # Errors
    /// The repository cannot be read. A worktree that cannot be read is part of the answer.
    pub fn inspect(&self, path: &Path) -> Result<State> {
        let record = record_at(&self.git()?, path)?;
        let is_registered = record.is_some();
        let record = record.unwrap_or_default();
        let mut state = State {
            is_missing: is_missing(path),
            is_registered,
            locked: record.lock.filter(|reason| !is_ours(reason)),
            branch: record.branch,
            ..State::default()
        };
        if !state.is_missing {
            match self.read(path) {
                Ok((dirty, head)) => (state.dirty, state.head) = (dirty, head),
                Err(error) => state.dirty = Some(format!("it cannot be read: {error}")),
            }
        }
        Ok(state)
    }

    /// What is not committed in a worktree, and the commit of its `HEAD`.
    fn read(&self, path: &Path) -> Result<(Option<String>, Option<String>)> {
        let git = self.worktree(path)?;
        let entries = changes(&git)?.split(|byte| *byte == 0).filter(|e| !e.is_empty()).count();
        let dirty = match entries + hidden(&git)?.len() {
            0 => operation(&git)?,
            1 => Some("1 file is not committed".to_owned()),
            files => Some(format!("{files} files are not committed")),
        };
        Ok((dirty, commit_of(&git, "HEAD")?))
    }

    /// git in a worktree that belongs to this repository and whose root is this path.
    pub(crate) fn worktree<'b>(&'b self, path: &'b Path) -> Result<GuardedGit<'b>> {
        let git = self.git_in(path)?;
        let own = git_path(&git, "objects")?;
        let top = git.run(&["rev-parse", "--path-format=absolute", "--show-toplevel"]);
        let top = text(&top.map_err(|error| failed("read the worktree", &error))?);
        if is_same(Path::new(&top), path) && is_same(&own, &git_path(&self.git()?, "objects")?) {
            return Ok(git);
        }
        let reason = "it is a worktree of another repository".to_owned();
        Err(Error::Git { action: "read the worktree", reason })
    }
}

/// The operation of git that is not finished in a worktree.
fn operation(git: &GuardedGit<'_>) -> Result<Option<String>> {
    let files = ["rebase-merge", "rebase-apply", "MERGE_HEAD", "CHERRY_PICK_HEAD", "BISECT_LOG"];
    for file in files {
        if git_path(git, file)?.exists() {
            return Ok(Some(format!("an operation of git is not finished in it ({file})")));
        }
    }
    Ok(None)
}

/// What `git status` prints: nothing for a clean worktree. The settings that hide something do not count.
pub(crate) fn changes(git: &GuardedGit<'_>) -> Result<Vec<u8>> {
    let args = [
        "status",
        "--porcelain=v2",
        "-z",
        "--untracked-files=all",
        "--ignore-submodules=none",
        "--no-renames",
    ];
    tree_command(git, &args, &[]).map_err(|error| failed("read the changes", &error))
}

/// The files whose changes git was asked not to see (`assume-unchanged`, `skip-worktree`) and that exist.
pub(crate) fn hidden(git: &GuardedGit<'_>) -> Result<Vec<String>> {
    let args = ["ls-files", "-v", "-z"];
    let output = tree_command(git, &args, &[]).map_err(|error| failed("list the files", &error))?;
    let mut files = Vec::new();
    for line in output.split(|byte| *byte == 0) {
        let [tag, b' ', name @ ..] = line else { continue };
        if tag.is_ascii_lowercase() || *tag == b'S' {
            let name = String::from_utf8_lossy(name).into_owned();
            if git.dir().join(&name).symlink_metadata().is_ok() {
                files.push(name);
            }
        }
    }
    Ok(files)
}

/// A run of git that reads or writes the whole tree.
pub(crate) fn tree_command(
    git: &GuardedGit<'_>,
    args: &[&str],
    variables: &[(&str, &str)],
) -> ao_program::Result<Vec<u8>> {
    git.run_command(&GitCommand { args, input: "", variables, timeout: TREE_TIMEOUT })
}
