//! Which branch a session gets and where it starts, decided before anything is written.

use std::path::Path;

use ao_program::GuardedGit;

use crate::error::{Error, Result};
use crate::worktree::branch::check_branch;
use crate::worktree::list::{Record, records};
use crate::worktree::repository::{Repository, commit_of, failed, is_same, text};

/// Which branch is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The branch.
    pub branch: String,
    /// Whether it is a new one of the session, and not one that a person named.
    pub is_own: bool,
    /// Whether the branch that a person named is to be created.
    pub create: bool,
    /// What a new branch starts from: a branch, a remote branch, a tag or a commit; `None` for the default
    /// branch.
    pub base: Option<String>,
}

/// What will be checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub(crate) request: Request,
    pub(crate) source: Source,
    base_ref: String,
    commit: String,
}

impl Request {
    /// Whether the branch must not exist yet.
    fn is_new(&self) -> bool {
        self.is_own || self.create
    }

    /// The error of a branch that is in the way.
    pub(crate) fn exists(&self, branch: &str) -> Error {
        Error::BranchExists { branch: branch.to_owned(), is_own: self.is_own }
    }
}

/// Where the branch comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// It exists.
    Local,
    /// It is created, and tracks this remote-tracking ref.
    Tracked(RemoteRef),
    /// It is created from a commit; a fetch can move the remote-tracking ref that names it.
    Created(Option<RemoteRef>),
}

/// A branch of a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteRef {
    pub(crate) remote: String,
    pub(crate) branch: String,
}

impl RemoteRef {
    /// The ref that holds what was last fetched of it.
    pub(crate) fn name(&self) -> String {
        format!("refs/remotes/{}/{}", self.remote, self.branch)
    }
}

impl Plan {
    /// What the branch starts from, as people write it; of an existing branch, its own name.
    #[must_use]
    pub fn base_ref(&self) -> &str {
        &self.base_ref
    }

    /// The commit that is checked out.
    #[must_use]
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// What was asked for and has no effect.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let base = self.request.base.iter().filter(|_| !self.request.is_new());
        base.map(|base| format!("the branch exists, so the base {base} has no effect")).collect()
    }

    /// The commit at which [`add`](Repository::add) creates the branch; `None` when it exists.
    #[must_use]
    pub fn created_branch(&self) -> Option<&str> {
        (self.source != Source::Local).then_some(self.commit.as_str())
    }
}

/// A commit with the name that it was found by.
struct Base {
    name: String,
    commit: String,
    remote: Option<RemoteRef>,
}

impl Repository {
    /// Decides without network what will be checked out at `path`, and writes nothing. A record of a worktree
    /// at that path is no conflict.
    ///
    /// # Errors
    /// `INVALID_BRANCH`; `BRANCH_CHECKED_OUT_ELSEWHERE`; `BRANCH_EXISTS` although it should be new;
    /// `BRANCH_NOT_FETCHED`, also of the base; `PROJECT_NOT_RESOLVABLE` when there is no commit.
    pub fn plan(&self, request: &Request, path: Option<&Path>) -> Result<Plan> {
        let branch = request.branch.as_str();
        check_branch(branch)?;
        let git = self.git()?;
        check_free(&git, branch, path)?;
        let (source, base) = match (find(&git, branch)?, request.is_new()) {
            // A tag of the same name is no branch.
            (Some((Source::Created(_), _)) | None, true) => {
                let base = self.base(&git, request.base.as_deref())?;
                (Source::Created(base.remote.clone()), base)
            }
            (Some(_), true) => return Err(request.exists(branch)),
            (Some(found), false) => found,
            (None, false) => {
                return Err(Error::BranchNotFetched { reference: branch.to_owned() });
            }
        };
        if source != Source::Local {
            check_room(&git, request)?;
        }
        Ok(Plan { request: request.clone(), source, base_ref: base.name, commit: base.commit })
    }

    /// What a new branch starts from.
    fn base(&self, git: &GuardedGit<'_>, named: Option<&str>) -> Result<Base> {
        match named {
            Some(base) => named_base(git, base),
            None => self.default_base(git),
        }
    }

    /// The default branch of `origin`, else the branch that is checked out in the repository.
    fn default_base(&self, git: &GuardedGit<'_>) -> Result<Base> {
        let fail = |error| failed("read HEAD", &error);
        let head = git.query(&["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"]);
        let head = head.map_err(fail)?.map(|output| text(&output));
        if let Some(branch) = head.as_deref().and_then(|h| h.strip_prefix("refs/remotes/origin/")) {
            let remote = RemoteRef { remote: "origin".to_owned(), branch: branch.to_owned() };
            if let Some(commit) = commit_of(git, &remote.name())? {
                let name = format!("origin/{branch}");
                return Ok(Base { name, commit, remote: Some(remote) });
            }
            if let Some(commit) = commit_of(git, &format!("refs/heads/{branch}"))? {
                return Ok(Base { name: branch.to_owned(), commit, remote: None });
            }
        }
        let head = git.query(&["symbolic-ref", "--quiet", "--short", "HEAD"]).map_err(fail)?;
        let Some(commit) = commit_of(git, "HEAD")? else {
            return Err(self.unusable("it has no commit yet"));
        };
        let name = head.map_or_else(|| commit.clone(), |output| text(&output));
        Ok(Base { name, commit, remote: None })
    }
}

/// Where the branch comes from if it exists here: locally, of a remote, or as a tag.
fn find(git: &GuardedGit<'_>, branch: &str) -> Result<Option<(Source, Base)>> {
    let name = branch.to_owned();
    if let Some(commit) = commit_of(git, &format!("refs/heads/{branch}"))? {
        return Ok(Some((Source::Local, Base { name, commit, remote: None })));
    }
    if let Some(base) = remote_branch(git, branch)? {
        // A remote branch has a remote.
        let source = base.remote.clone().map_or(Source::Created(None), Source::Tracked);
        return Ok(Some((source, base)));
    }
    let tag = commit_of(git, &format!("refs/tags/{branch}"))?;
    let Some(commit) = tag else { return Ok(None) };
    Ok(Some((Source::Created(None), Base { name, commit, remote: None })))
}

/// The branch of `origin`, or of the only other remote that has it.
fn remote_branch(git: &GuardedGit<'_>, branch: &str) -> Result<Option<Base>> {
    let mut found = Vec::new();
    for remote in remotes(git)? {
        let at = RemoteRef { remote, branch: branch.to_owned() };
        if let Some(commit) = commit_of(git, &at.name())? {
            let name = format!("{}/{branch}", at.remote);
            found.push(Base { name, commit, remote: Some(at) });
        }
    }
    let is_origin = |base: &Base| base.remote.as_ref().is_some_and(|r| r.remote == "origin");
    if let Some(position) = found.iter().position(is_origin) {
        return Ok(Some(found.swap_remove(position)));
    }
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// The base that a user named.
fn named_base(git: &GuardedGit<'_>, base: &str) -> Result<Base> {
    let unknown = || Error::BranchNotFetched { reference: base.escape_debug().to_string() };
    if base.is_empty() || base.starts_with('-') || base.chars().any(char::is_control) {
        return Err(unknown());
    }
    let name = base.to_owned();
    if let Some(commit) = commit_of(git, &format!("refs/heads/{base}"))? {
        return Ok(Base { name, commit, remote: None });
    }
    for remote in remotes(git)? {
        let Some(branch) = base.strip_prefix(&format!("{remote}/")) else { continue };
        let at = RemoteRef { branch: branch.to_owned(), remote };
        if let Some(commit) = commit_of(git, &at.name())? {
            return Ok(Base { name, commit, remote: Some(at) });
        }
    }
    if let Some(base) = remote_branch(git, base)? {
        return Ok(base);
    }
    for revision in [format!("refs/tags/{base}"), name.clone()] {
        // git complains about a revision of a strange form.
        if let Ok(Some(commit)) = commit_of(git, &revision) {
            return Ok(Base { name, commit, remote: None });
        }
    }
    Err(unknown())
}

/// Refuses a branch that another worktree has. A worktree whose directory is gone does not have it,
/// unless it is locked, as one on a removed disk.
fn check_free(git: &GuardedGit<'_>, branch: &str, target: Option<&Path>) -> Result<()> {
    let is_in_the_way = |record: &Record| {
        record.branch.as_deref() == Some(branch)
            && !record.is_abandoned()
            && !target.is_some_and(|target| is_same(&record.path, target))
    };
    match records(git)?.into_iter().find(is_in_the_way) {
        Some(record) => {
            Err(Error::BranchElsewhere { branch: branch.to_owned(), path: record.path })
        }
        None => Ok(()),
    }
}

/// Refuses a new branch whose name needs a directory that is a branch, or the reverse.
fn check_room(git: &GuardedGit<'_>, request: &Request) -> Result<()> {
    let branch = request.branch.as_str();
    for (end, _) in branch.match_indices('/') {
        let above = &branch[..end];
        let name = format!("refs/heads/{above}");
        let found = git.query(&["show-ref", "--verify", "--quiet", "--end-of-options", &name]);
        if found.map_err(|error| failed("look up a branch", &error))?.is_some() {
            return Err(request.exists(above));
        }
    }
    let below = format!("refs/heads/{branch}/");
    let args = ["for-each-ref", "--count=1", "--format=%(refname:lstrip=2)", &below];
    let found = git.run(&args).map_err(|error| failed("look up branches", &error))?;
    match text(&found) {
        other if other.is_empty() => Ok(()),
        other => Err(request.exists(&other)),
    }
}

/// The names of the remotes.
fn remotes(git: &GuardedGit<'_>) -> Result<Vec<String>> {
    let output = git.run(&["remote"]).map_err(|error| failed("list the remotes", &error))?;
    let names = String::from_utf8_lossy(&output);
    Ok(names.lines().filter(|name| !name.starts_with('-')).map(str::to_owned).collect())
}
