//! Branches: their names, and when one may be removed.

use ao_program::GuardedGit;

use crate::error::{Error, Result};
use crate::worktree::list::records;
use crate::worktree::removed::Removed;
use crate::worktree::repository::{Repository, commit_of, exclusive, failed, text};

/// Checks a branch name from outside.
///
/// # Errors
/// [`Error::InvalidBranch`].
pub(crate) fn check_branch(name: &str) -> Result<()> {
    match ao_store::check_branch(name) {
        Ok(()) => Ok(()),
        Err(ao_store::Error::InvalidId { value, reason, .. }) => {
            Err(Error::InvalidBranch { name: value, reason: reason.to_owned() })
        }
        Err(error) => Err(error.into()),
    }
}

impl Repository {
    /// What [`delete_branch`](Repository::delete_branch) would do.
    ///
    /// # Errors
    /// As [`delete_branch`](Repository::delete_branch).
    pub fn branch_removal(&self, branch: &str, base: &str) -> Result<Removed> {
        self.decide_branch(&self.git()?, branch, base).map(|(_, decided)| decided)
    }

    /// Deletes a branch whose commits another ref reaches: a remote-tracking ref, the base that the branch
    /// started from, or a preserved ref. A branch that a worktree has is kept.
    ///
    /// # Errors
    /// The name is invalid; git fails, also because the branch moves meanwhile.
    pub fn delete_branch(&self, branch: &str, base: &str) -> Result<Removed> {
        let git = self.git()?;
        let _exclusive = exclusive(&git)?;
        let (tip, decided) = self.decide_branch(&git, branch, base)?;
        if let Some(tip) = tip.filter(|_| decided.is_removed) {
            delete_ref(&git, branch, &tip)?;
        }
        Ok(decided)
    }

    /// The tip of the branch, and whether it is deleted.
    fn decide_branch(
        &self,
        git: &GuardedGit<'_>,
        branch: &str,
        base: &str,
    ) -> Result<(Option<String>, Removed)> {
        check_branch(branch)?;
        let name = format!("refs/heads/{branch}");
        let Some(tip) = commit_of(git, &name)? else {
            return Ok((None, Removed::gone("it does not exist")));
        };
        if let Some(record) = records(git)?.iter().find(|r| r.branch.as_deref() == Some(branch)) {
            let path = record.path.display();
            return Ok((Some(tip), Removed::kept(&format!("it is checked out in {path}"))));
        }
        let base = Some(base).filter(|base| ![branch, &name].contains(base));
        let places: [(&str, &[&str], Option<&str>); 3] = [
            ("a remote branch", &["--remotes"], None),
            ("its base", &[], base),
            ("a preserved ref", &["--glob=refs/ao/preserved/*"], None),
        ];
        for (place, refs, base) in places {
            let has_refs = !refs.is_empty() || base.is_some();
            if has_refs && revisions(git, "--max-count=1", &tip, refs, base)?.is_empty() {
                return Ok((Some(tip), Removed::gone(&format!("its commits are in {place}"))));
            }
        }
        Ok((Some(tip), Removed::kept("it has commits that are nowhere else")))
    }
}

/// Removes a branch while its tip is this commit, and its configuration.
pub(crate) fn delete_ref(git: &GuardedGit<'_>, branch: &str, tip: &str) -> Result<()> {
    let name = format!("refs/heads/{branch}");
    git.run(&["update-ref", "--no-deref", "-d", "--end-of-options", &name, tip])
        .map_err(|error| failed("remove the branch", &error))?;
    // The section is missing unless the branch tracked another.
    let section = format!("branch.{branch}");
    let _ = git.run(&["config", "--local", "--remove-section", &section]);
    Ok(())
}

/// `git rev-list` of what the tip has beyond these refs and the base.
pub(crate) fn revisions(
    git: &GuardedGit<'_>,
    form: &str,
    tip: &str,
    refs: &[&str],
    base: Option<&str>,
) -> Result<String> {
    let base = match base.filter(|base| !base.starts_with('-') && !base.is_empty()) {
        Some(base) => commit_of(git, base)?,
        None => None,
    };
    let mut args = vec!["rev-list", form, tip, "--not"];
    args.extend(refs);
    args.extend(base.as_deref());
    let output = git.run(&args).map_err(|error| failed("compare the commits", &error))?;
    Ok(text(&output))
}
