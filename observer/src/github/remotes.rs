//! The repositories on GitHub that a checkout has as remotes.
//!
//! git lists them, so that `insteadOf` and included files count.

use std::path::Path;
use std::time::Duration;

use ao_program::{Environment, Git};
use ao_store::git_url::{parse_remote, without_credentials};

use crate::error::quoted;
use crate::github::host::{canonical, is_github};

/// How long git may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A remote on GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// What git calls it, such as `origin`.
    pub name: String,
    /// Its host, such as `github.com`.
    pub host: String,
    /// `owner/name`.
    pub repo: String,
    /// Its URL, without a user's credentials.
    pub url: String,
}

/// The remotes of the checkout at `path` that are on GitHub: `origin` first, then the others by
/// name, each repository once. `known` are the enterprise servers, see [`is_github`]. It blocks,
/// for at most about two seconds.
///
/// # Errors
/// Why git fails, such as that `path` is not in a repository.
pub fn remotes(
    path: &Path,
    known: &[String],
    environment: &Environment,
) -> Result<Vec<Remote>, String> {
    let git = Git { dir: path, environment, timeout: TIMEOUT };
    let listed = git.remotes().map_err(|error| format!("git: {}", quoted(&error.to_string())))?;
    let read = |(name, url): (String, String)| {
        let (host, repo) = parse_remote(&url)?;
        let host = canonical(&host);
        let url = without_credentials(&url);
        is_github(&host, known).then_some(Remote { name, host, repo, url })
    };
    let mut all: Vec<_> = listed.into_iter().filter_map(read).collect();
    all.sort_by_key(|remote| remote.name != "origin");
    let mut kept: Vec<Remote> = Vec::new();
    for remote in all {
        let is_same = |other: &Remote| {
            other.host == remote.host && other.repo.eq_ignore_ascii_case(&remote.repo)
        };
        if !kept.iter().any(is_same) {
            kept.push(remote);
        }
    }
    Ok(kept)
}
