//! Adds the worktree of a plan.

use std::fs;
use std::path::{Path, PathBuf};

use ao_program::{GitCommand, GuardedGit};

use crate::error::{Error, Result};
use crate::worktree::list::{Record, record_at, records};
use crate::worktree::plan::{Plan, RemoteRef, Request, Source};
use crate::worktree::repository::{
    Repository, TREE_TIMEOUT, argument, commit_of, exclusive, failed, is_same,
};
use crate::worktree::root::Root;

impl Repository {
    /// Refuses a path where something is that is not ours. What appears there later is taken for a part of
    /// the worktree, and [`undo`](Repository::undo) removes it.
    ///
    /// # Errors
    /// `WORKTREE_EXISTS`; git fails.
    pub fn check_vacant(&self, path: &Path) -> Result<()> {
        let record = record_at(&self.git()?, path)?;
        match record.filter(|record| !record.is_missing()) {
            Some(_) => Err(Error::WorktreeExists(path.to_owned())),
            None => check_empty(path),
        }
    }

    /// Creates the branch if the plan says so, and checks it out at the path. Returns the commit of its
    /// `HEAD`. A worktree that already has the branch at this path stays as it is.
    ///
    /// # Errors
    /// The path is not below the root, or something else is there; another worktree has the branch; the
    /// branch was created meanwhile; git fails. What was made until then is left to
    /// [`undo`](Repository::undo).
    pub fn add(&self, plan: &Plan, root: &Root, path: &Path) -> Result<String> {
        root.check(path)?;
        let git = self.git()?;
        let exclusive = exclusive(&git)?;
        let records = records(&git)?;
        let here = records.iter().find(|record| is_same(&record.path, path));
        match here {
            Some(record) if !record.is_missing() => return self.reuse(record, plan, path),
            Some(record) => {
                self.unlock(path)?;
                forget(&git, record)?;
            }
            None => check_empty(path)?,
        }
        let is_stale =
            |r: &&Record| r.branch.as_deref() == Some(&plan.request.branch) && r.is_abandoned();
        for record in records.iter().filter(|r| Some(*r) != here).filter(is_stale) {
            forget(&git, record)?;
        }
        create_parent(path)?;
        create_branch(&git, plan)?;
        attach(&git, plan, path)?;
        drop(exclusive);
        self.check_out(path)
    }

    /// Makes the worktree of a session again, on its branch.
    ///
    /// # Errors
    /// As [`plan`](Repository::plan) and [`add`](Repository::add).
    pub fn add_again(&self, root: &Root, path: &Path, branch: &str) -> Result<String> {
        let branch = branch.to_owned();
        let request = Request { branch, is_own: false, create: false, base: None };
        let plan = self.plan(&request, Some(path))?;
        self.add(&plan, root, path)
    }

    /// The worktree is there already.
    fn reuse(&self, record: &Record, plan: &Plan, path: &Path) -> Result<String> {
        if record.branch.as_deref() != Some(&plan.request.branch) {
            return Err(Error::WorktreeExists(path.to_owned()));
        }
        let git = self.git_in(path)?;
        commit_of(&git, "HEAD")?.ok_or_else(|| no_head("read the worktree"))
    }

    /// Writes the files. It is a run of its own because a condition in the configuration can depend on
    /// the branch that is checked out, and what it names must be found before anything is written.
    fn check_out(&self, path: &Path) -> Result<String> {
        let git = self.git_in(path)?;
        let args = ["reset", "--hard", "--quiet", "--no-recurse-submodules"];
        let command = GitCommand { args: &args, input: "", variables: &[], timeout: TREE_TIMEOUT };
        git.run_command(&command).map_err(|error| failed("check out the branch", &error))?;
        commit_of(&git, "HEAD")?.ok_or_else(|| no_head("check out the branch"))
    }
}

fn no_head(action: &'static str) -> Error {
    Error::Git { action, reason: "it has no commit".to_owned() }
}

/// Removes the record of a worktree whose directory is gone.
pub(crate) fn forget(git: &GuardedGit<'_>, record: &Record) -> Result<()> {
    let path = argument(&record.path)?;
    git.run(&["worktree", "remove", "--end-of-options", path])
        .map_err(|error| failed("remove the record of a worktree", &error))?;
    Ok(())
}

/// Refuses a path where something is, other than an empty directory.
fn check_empty(path: &Path) -> Result<()> {
    let is_free = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Ok(metadata) if metadata.is_dir() => {
            fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
        }
        _ => false,
    };
    if is_free { Ok(()) } else { Err(Error::WorktreeExists(path.to_owned())) }
}

fn create_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|source| Error::File {
        action: "create",
        path: parent.to_owned(),
        source,
    })
}

/// Creates the branch at the commit of the plan, and nowhere else; an existing one is never moved.
fn create_branch(git: &GuardedGit<'_>, plan: &Plan) -> Result<()> {
    if plan.source == Source::Local {
        return Ok(());
    }
    let name = format!("refs/heads/{}", plan.request.branch);
    let args = ["update-ref", "-m", "ao-store: branch of a session", "--end-of-options"];
    let created = git.run(&[&args[..], &[&name, plan.commit(), ""]].concat());
    if let Err(error) = created {
        return match commit_of(git, &name)? {
            Some(_) => Err(plan.request.exists(&plan.request.branch)),
            None => Err(failed("create the branch", &error)),
        };
    }
    match &plan.source {
        Source::Tracked(upstream) => track(git, &plan.request.branch, upstream),
        Source::Local | Source::Created(_) => Ok(()),
    }
}

/// Makes the branch track the remote one.
fn track(git: &GuardedGit<'_>, branch: &str, upstream: &RemoteRef) -> Result<()> {
    let upstream = format!("--set-upstream-to={}", upstream.name());
    git.run(&["branch", "--quiet", &upstream, "--end-of-options", branch])
        .map_err(|error| failed("track the remote branch", &error))?;
    Ok(())
}

/// Makes the worktree without its files.
fn attach(git: &GuardedGit<'_>, plan: &Plan, path: &Path) -> Result<()> {
    let (path, branch) = (argument(path)?, &plan.request.branch);
    let args = ["worktree", "add", "--quiet", "--no-checkout", "--end-of-options"];
    let Err(error) = git.run(&[&args[..], &[path, branch]].concat()) else { return Ok(()) };
    if let Some(path) = elsewhere(&error.to_string()) {
        return Err(Error::BranchElsewhere { branch: branch.clone(), path });
    }
    match commit_of(git, &format!("refs/heads/{branch}"))? {
        // It was deleted meanwhile.
        None => Err(Error::BranchNotFetched { reference: branch.clone() }),
        Some(_) => Err(failed("add the worktree", &error)),
    }
}

/// The worktree that git says has the branch: also one that rebases it, or got it meanwhile.
fn elsewhere(reason: &str) -> Option<PathBuf> {
    let says = ["is already used by worktree at '", "is already checked out at '"];
    let (_, rest) = says.iter().find_map(|text| reason.split_once(text))?;
    Some(PathBuf::from(rest.rsplit_once('\'')?.0))
}
