//! Reads a repository with git: its work tree, its remotes and their default branches.
//!
//! It needs no network, prompts for nothing, writes nothing, and no configuration of the repository
//! makes git run a program: file monitors and hooks are off. See `git_write` for what may write.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
    /// When all runs must have ended, where several of them have one bound.
    pub until: Option<Instant>,
}

/// A git work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTree {
    /// The path of its root, as git prints it. Of a linked work tree it is the root of the main one,
    /// unless the repository has none that git can name.
    pub root: PathBuf,
    /// The directory that all work trees of the repository share: it identifies the repository.
    pub common_dir: PathBuf,
}

impl Git<'_> {
    /// How long a run may take that begins now.
    ///
    /// # Errors
    /// [`Error::TimedOut`]: it may not begin any more.
    pub(crate) fn time_for(&self, timeout: Duration) -> Result<Duration> {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        match left.map_or(timeout, |left| left.min(timeout)) {
            Duration::ZERO => Err(Error::TimedOut(timeout)),
            time => Ok(time),
        }
    }

    /// The work tree that contains the directory, or the main one of its repository.
    ///
    /// # Errors
    /// [`Error::NotAWorkTree`] when no work tree contains it; git fails; an answer is not UTF-8.
    pub fn work_tree(&self) -> Result<WorkTree> {
        let [root, git_dir, common_dir] = self.locations()?;
        let main = if git_dir == common_dir { None } else { self.main(&common_dir)? };
        Ok(WorkTree { root: main.unwrap_or(root), common_dir })
    }

    /// The root of the work tree, the directory of its own and the one that all work trees share.
    fn locations(&self) -> Result<[PathBuf; 3]> {
        let args = ["--path-format=absolute", "--show-toplevel", "--git-dir", "--git-common-dir"];
        // One run for each, because a path may contain the end of a line.
        let path = |arg| {
            let path = self.text(&["rev-parse", args[0], arg])?;
            path.map(PathBuf::from).ok_or(Error::NotAWorkTree)
        };
        Ok([path(args[1])?, path(args[2])?, path(args[3])?])
    }

    /// The root of the main work tree: beside its directory of git, or where the configuration says,
    /// as that of a submodule does. `None` for a bare repository and for a separate directory of
    /// git, which does not name its work tree.
    fn main(&self, common_dir: &Path) -> Result<Option<PathBuf>> {
        let beside = common_dir.parent().filter(|_| common_dir.ends_with(".git"));
        for dir in [beside, Some(common_dir)].into_iter().flatten() {
            match (Git { dir, ..*self }).locations() {
                Ok([root, git_dir, _]) if git_dir == common_dir => return Ok(Some(root)),
                Err(error @ Error::NotTrusted(_)) => return Err(error),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The branch that the `HEAD` of a remote names. git records it when it clones, and with
    /// `git remote set-head`; the branch that is checked out says nothing about it. `None` also for a
    /// name that is not UTF-8.
    ///
    /// # Errors
    /// git fails.
    pub fn default_branch(&self, remote: &str) -> Result<Option<String>> {
        let remote = format!("refs/remotes/{remote}/");
        let head = self.output(&["symbolic-ref", "--quiet", &format!("{remote}HEAD")])?;
        let head = head.and_then(|head| String::from_utf8(head).ok());
        Ok(head
            .and_then(|head| Some(head.trim_end_matches('\n').strip_prefix(&remote)?.to_owned())))
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
            timeout: self.time_for(self.timeout)?,
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

/// Distinguishes a directory outside a work tree from a repository that is broken, gone, or not trusted.
pub(crate) fn failure(status: u32, stderr: &str) -> Error {
    let outside = ["not a git repository (or any", "must be run in a work tree"];
    if outside.iter().any(|reason| stderr.contains(reason)) {
        return Error::NotAWorkTree;
    }
    // A path may contain the end of a line, and is the last part of these messages.
    let path = |before: &str, after: &str| {
        let (_, rest) = stderr.split_once(before)?;
        Some(rest.rsplit_once(after)?.0.to_owned())
    };
    if let Some(repo) = path("fatal: not a git repository: ", "\n") {
        return Error::Dangling(repo);
    }
    if let Some(repo) = path("detected dubious ownership in repository at '", "'\nTo add") {
        return Error::NotTrusted(repo);
    }
    match stderr.lines().next() {
        Some(line) => Error::Git(line.trim_start_matches("fatal: ").to_owned()),
        None => Error::Git(format!("it ended with status {status}")),
    }
}
