//! Fetches what a plan starts from, within a budget of time.

use std::path::Path;
use std::time::Duration;

use ao_program::GitCommand;

use crate::error::Result;
use crate::worktree::plan::{Plan, RemoteRef, Source};
use crate::worktree::repository::Repository;

impl Repository {
    /// Fetches the one remote branch that the plan starts from, and resolves the plan again. A fetch that
    /// fails or takes longer than the budget is a warning, and the plan stays as it was.
    ///
    /// # Errors
    /// As [`plan`](Repository::plan): the repository changed since.
    pub fn refresh(
        &self,
        plan: Plan,
        budget: Duration,
        path: &Path,
    ) -> Result<(Plan, Vec<String>)> {
        let from = match &plan.source {
            Source::Tracked(from) | Source::Created(Some(from)) => from,
            Source::Local | Source::Created(None) => return Ok((plan, Vec::new())),
        };
        let mut warnings = Vec::new();
        if let Err(reason) = self.fetch(from, budget) {
            let name = format!("{}/{}", from.remote, from.branch);
            warnings.push(format!("{name} could not be fetched, so it may be old: {reason}"));
        }
        Ok((self.plan(&plan.request, Some(path))?, warnings))
    }

    /// Fetches one branch into its remote-tracking ref, and nothing else.
    fn fetch(&self, from: &RemoteRef, budget: Duration) -> Result<(), String> {
        let refspec = format!("+refs/heads/{}:{}", from.branch, from.name());
        let args = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-prune",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--refmap=",
            // In place of what the repository configures.
            "--upload-pack=git-upload-pack",
            "--end-of-options",
            &from.remote,
            &refspec,
        ];
        let git = self.git().map_err(|error| error.to_string())?;
        let command = GitCommand { args: &args, input: "", variables: &[], timeout: budget };
        git.run_command(&command).map(drop).map_err(|error| error.to_string())
    }
}
