//! The repositories that a checkout has as remotes, and the one that counts as its origin.
//!
//! git lists them, so that `insteadOf` and included files count; ssh resolves aliases of hosts.

use std::path::Path;
use std::time::Duration;

use ao_program::{Environment, Git, host_of_alias};
use ao_store::git_url::{is_ssh, parse_remote, without_credentials};
use ao_store::row::project;

use crate::error::quoted;
use crate::github::host::{canonical, is_github};

/// How long git or ssh may take.
const GIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A remote of a checkout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    /// What git calls it, such as `origin`.
    pub name: String,
    /// Its host, such as `github.com`; empty when its URL names no repository of a host.
    pub host: String,
    /// `owner/name`, or empty.
    pub repo: String,
    /// The URL that git fetches from, without a user's credentials.
    pub url: String,
}

/// Which remote of a checkout counts as its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The checkout has no remote.
    None,
    /// The remote `origin`, else the only one, else the only one on GitHub.
    Remote {
        /// The remote.
        remote: Remote,
        /// The branch that its `HEAD` names; empty when git has not recorded it.
        default_branch: String,
    },
    /// None of these, but the remotes of these names.
    Ambiguous(Vec<String>),
}

impl From<Origin> for project::Origin {
    /// Without a remote that counts, the origin is empty.
    fn from(origin: Origin) -> project::Origin {
        match origin {
            Origin::Remote { remote: Remote { url, host, repo, .. }, default_branch } => {
                project::Origin { url, host, repo, default_branch }
            }
            Origin::None | Origin::Ambiguous(_) => project::Origin::default(),
        }
    }
}

/// The origin of the checkout at `path`. `known` are the enterprise servers, see [`is_github`]. It
/// blocks, for at most about four seconds and two more for each alias.
///
/// # Errors
/// Why git fails, such as that `path` is not in a repository.
pub fn origin(path: &Path, known: &[String], environment: &Environment) -> Result<Origin, String> {
    let mut all = list(path, known, environment)?;
    if let Some(at) = all.iter().position(|remote| remote.name == "origin") {
        all = vec![all.swap_remove(at)];
    }
    if all.len() > 1 {
        let names = all.iter().map(|remote| remote.name.clone()).collect();
        all = on_github(all, known);
        if all.len() != 1 {
            return Ok(Origin::Ambiguous(names));
        }
    }
    let Some(remote) = all.pop() else { return Ok(Origin::None) };
    let git = Git { dir: path, environment, timeout: GIT_TIMEOUT };
    let default_branch = git.default_branch(&remote.name).map_err(|error| failure(&error))?;
    Ok(Origin::Remote { remote, default_branch: default_branch.unwrap_or_default() })
}

/// The remotes of the checkout at `path` that are on GitHub: `origin` first, then the others by
/// name, each repository once. `known` and how long it blocks are those of [`origin`].
///
/// # Errors
/// Why git fails, such as that `path` is not in a repository.
pub fn remotes(
    path: &Path,
    known: &[String],
    environment: &Environment,
) -> Result<Vec<Remote>, String> {
    let mut all = list(path, known, environment)?;
    all.sort_by_key(|remote| remote.name != "origin");
    Ok(on_github(all, known))
}

/// All remotes by name.
fn list(path: &Path, known: &[String], environment: &Environment) -> Result<Vec<Remote>, String> {
    let git = Git { dir: path, environment, timeout: GIT_TIMEOUT };
    let listed = git.remotes().map_err(|error| failure(&error))?;
    let read = |(name, url): (String, String)| {
        let (host, repo) = parse_remote(&url).unwrap_or_default();
        let mut host = canonical(&host);
        if !host.is_empty() && is_ssh(&url) && !is_github(&host, known) {
            let resolved = host_of_alias(&host, environment, GIT_TIMEOUT);
            host = canonical(&resolved.unwrap_or(host));
        }
        Remote { name, host, repo, url: without_credentials(&url) }
    };
    Ok(listed.into_iter().map(read).collect())
}

fn failure(error: &ao_program::Error) -> String {
    format!("git: {}", quoted(&error.to_string()))
}

/// Those on GitHub, each repository once.
fn on_github(all: Vec<Remote>, known: &[String]) -> Vec<Remote> {
    let mut kept: Vec<Remote> = Vec::new();
    for remote in all {
        let is_same = |other: &Remote| {
            other.host == remote.host && other.repo.eq_ignore_ascii_case(&remote.repo)
        };
        if is_github(&remote.host, known) && !kept.iter().any(is_same) {
            kept.push(remote);
        }
    }
    kept
}
