//! What git says about a work tree: its root, its origin and its default branch.
//!
//! The repository is only looked at. Its own configuration must not make git run anything, so file
//! monitors and hooks are off, and no `GIT_*` variable of the caller reaches it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ao_store::id::without_credentials;

use crate::error::{Error, Result};

/// A git work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkTree {
    /// Canonical path of its root.
    pub(crate) root: PathBuf,
    /// The URL of the remote `origin`, without credentials; empty when there is none.
    pub(crate) origin_url: String,
    /// The branch that `origin/HEAD` names, else the current one; empty when there is neither.
    pub(crate) default_branch: String,
}

/// Reads the work tree that `path` lies in.
pub(crate) fn work_tree(path: &Path) -> Result<WorkTree> {
    let invalid = |reason: String| Error::InvalidPath { path: path.to_owned(), reason };
    let dir = path.canonicalize().map_err(|error| invalid(error.to_string()))?;
    if !dir.is_dir() {
        return Err(invalid("it is not a directory".to_owned()));
    }
    if dir.to_str().is_none() {
        return Err(invalid("it is not UTF-8".to_owned()));
    }
    let root = git(&dir, &["rev-parse", "--show-toplevel"])?
        .ok_or_else(|| Error::NotAGitRepo(path.to_owned()))?;
    let root = PathBuf::from(root);
    let origin_url = git(&root, &["config", "--get", "remote.origin.url"])?.unwrap_or_default();
    let remote_head = git(&root, &["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"])?;
    let default_branch = match remote_head {
        Some(head) => head.trim_start_matches("refs/remotes/origin/").to_owned(),
        None => git(&root, &["symbolic-ref", "--quiet", "--short", "HEAD"])?.unwrap_or_default(),
    };
    Ok(WorkTree { root, origin_url: without_credentials(&origin_url), default_branch })
}

/// What git prints, without the end of its last line; `None` when it says no.
fn git(dir: &Path, args: &[&str]) -> Result<Option<String>> {
    let mut command = Command::new("git");
    command
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null());
    forget_variables(&mut command);
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    let output = command.output().map_err(|error| Error::GitFailed(error.to_string()))?;
    match output.status.code() {
        Some(0) => {
            let text = String::from_utf8(output.stdout)
                .map_err(|_| Error::GitFailed("its answer is not UTF-8".to_owned()))?;
            Ok(Some(text.strip_suffix('\n').unwrap_or(&text).to_owned()))
        }
        Some(1 | 128) => refused(&output.stderr),
        _ => Err(Error::GitFailed(format!("{}", output.status))),
    }
}

/// Keeps the caller's `GIT_*` variables from a program.
pub(super) fn forget_variables(command: &mut Command) {
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_"))
    {
        command.env_remove(name);
    }
}

/// "No" is an answer; a repository that is broken, or that git does not trust, is not.
fn refused(stderr: &[u8]) -> Result<Option<String>> {
    let text = String::from_utf8_lossy(stderr);
    let is_no = ["not a git repository", "must be run in a work tree"];
    if text.is_empty() || is_no.iter().any(|no| text.contains(no)) {
        return Ok(None);
    }
    let line = text.lines().next().unwrap_or_default();
    Err(Error::GitFailed(line.trim_start_matches("fatal: ").to_owned()))
}
