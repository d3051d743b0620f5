//! Reads a repository with git: its work tree and its remotes.
//!
//! It needs no network, prompts for nothing, writes nothing, and no configuration of the repository
//! makes git run a program: file monitors and hooks are off.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::program::Program;

/// A directory that git is run in.
#[derive(Debug, Clone, Copy)]
pub struct Git<'a> {
    /// The directory.
    pub dir: &'a Path,
    /// The variables that git gets, `PATH` and `HOME` among them.
    pub environment: &'a Environment,
    /// How long one run of git may take.
    pub timeout: Duration,
}

/// A git work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTree {
    /// The path of its root, as git prints it.
    pub root: PathBuf,
    /// The configured URL of the remote `origin`, which may contain credentials; empty when there
    /// is none.
    pub origin_url: String,
    /// The branch that `origin/HEAD` names, otherwise the current one; empty when there is neither.
    pub default_branch: String,
}

impl Git<'_> {
    /// The work tree that contains the directory.
    ///
    /// # Errors
    /// [`Error::NotAWorkTree`] when no work tree contains it; git fails; an answer is not UTF-8.
    pub fn work_tree(&self) -> Result<WorkTree> {
        let root = self.text(&["rev-parse", "--show-toplevel"])?.ok_or(Error::NotAWorkTree)?;
        let root = PathBuf::from(root);
        let git = Git { dir: &root, ..*self };
        let origin_url = git.text(&["config", "--get", "remote.origin.url"])?.unwrap_or_default();
        let head = git.text(&["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"])?;
        let default_branch = match head {
            Some(head) => head.trim_start_matches("refs/remotes/origin/").to_owned(),
            None => git.text(&["symbolic-ref", "--quiet", "--short", "HEAD"])?.unwrap_or_default(),
        };
        Ok(WorkTree { root, origin_url, default_branch })
    }

    /// The remotes of the repository: name and the URL that git fetches from, sorted by name.
    /// `insteadOf` and included files count. A URL may contain credentials.
    ///
    /// # Errors
    /// The directory is in no repository; git fails.
    pub fn remotes(&self) -> Result<Vec<(String, String)>> {
        let lines = self.output(&["remote", "-v"])?.unwrap_or_default();
        // Lines such as `origin<TAB>URL (fetch) [blob:none]`.
        let remote = |line: &str| {
            let (name, rest) = line.split_once('\t')?;
            let (url, _) = rest.split_once(" (fetch)")?;
            Some((name.to_owned(), url.to_owned()))
        };
        Ok(String::from_utf8_lossy(&lines).lines().filter_map(remote).collect())
    }

    /// The output without the end of its last line; `None` when git has no answer.
    fn text(&self, args: &[&str]) -> Result<Option<String>> {
        let Some(output) = self.output(args)? else { return Ok(None) };
        let text = String::from_utf8(output)
            .map_err(|_| Error::Git("its answer is not UTF-8".to_owned()))?;
        Ok(Some(text.strip_suffix('\n').unwrap_or(&text).to_owned()))
    }

    /// The output; `None` when git silently reports that there is no such thing.
    fn output(&self, args: &[&str]) -> Result<Option<Vec<u8>>> {
        let safe = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
        let program = Program {
            name: "git",
            args: &[&safe, args].concat(),
            input: "",
            dir: self.dir,
            environment: self.environment,
            variables: &[("GIT_TERMINAL_PROMPT", "0"), ("GIT_OPTIONAL_LOCKS", "0")],
            timeout: self.timeout,
        };
        let output = program.run()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        match output.status {
            0 => Ok(Some(output.stdout)),
            1 if stderr.is_empty() => Ok(None),
            _ => Err(failure(output.status, &stderr)),
        }
    }
}

/// A directory outside a work tree is told apart from a repository that is broken or that git does
/// not trust.
fn failure(status: u32, stderr: &str) -> Error {
    let outside = ["not a git repository", "must be run in a work tree"];
    if outside.iter().any(|reason| stderr.contains(reason)) {
        return Error::NotAWorkTree;
    }
    match stderr.lines().next() {
        Some(line) => Error::Git(line.trim_start_matches("fatal: ").to_owned()),
        None => Error::Git(format!("it ended with status {status}")),
    }
}
