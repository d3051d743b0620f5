//! The repositories that a checkout has as remotes, and the one that counts as its origin.
//!
//! git lists them, so that `insteadOf` and included files count; ssh resolves aliases of hosts.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use ao_program::{Environment, Git, host_of_alias};
use ao_store::git_url::{parse_remote, ssh_destination, without_credentials};
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
    /// Whether the host may be an alias, because ssh failed to resolve it.
    pub is_unresolved: bool,
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
    let git = Git { dir: path, environment, timeout: GIT_TIMEOUT, until: None };
    let mut listed = git.remotes().map_err(|error| failure(&error))?;
    if let Some(at) = listed.iter().position(|(name, _)| name == "origin") {
        listed = vec![listed.swap_remove(at)];
    }
    let mut all = read(listed, known, environment);
    if all.len() > 1 {
        let names = all.iter().map(|remote| remote.name.clone()).collect();
        all = on_github(all, known);
        if all.len() != 1 {
            return Ok(Origin::Ambiguous(names));
        }
    }
    let Some(remote) = all.pop() else { return Ok(Origin::None) };
    let default_branch = match git.default_branch(&remote.name) {
        // A remote whose name is not that of a reference has none.
        Err(ao_program::Error::Git(_)) => None,
        found => found.map_err(|error| failure(&error))?,
    };
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
    let git = Git { dir: path, environment, timeout: GIT_TIMEOUT, until: None };
    let mut all = read(git.remotes().map_err(|error| failure(&error))?, known, environment);
    all.sort_by_key(|remote| remote.name != "origin");
    Ok(on_github(all, known))
}

/// The remotes of these names and URLs. ssh is asked once for each destination.
fn read(listed: Vec<(String, String)>, known: &[String], environment: &Environment) -> Vec<Remote> {
    let mut asked = HashMap::new();
    let read = |(name, url): (String, String)| {
        let (host, repo) = parse_remote(&url).unwrap_or_default();
        let remote = Remote {
            name,
            repo,
            url: without_credentials(&url),
            host: canonical(&host),
            is_unresolved: false,
        };
        let destination = ssh_destination(&url);
        let Some(destination) =
            destination.filter(|_| !host.is_empty() && !is_github(&host, known))
        else {
            return remote;
        };
        let ask = |destination: &String| host_of_alias(destination, environment, GIT_TIMEOUT);
        match asked.entry(destination).or_insert_with_key(ask) {
            Ok(Some(host)) => Remote { host: canonical(host), ..remote },
            Ok(None) => remote,
            Err(error) => {
                tracing::debug!(%error, url = remote.url, "the host may be an alias");
                Remote { is_unresolved: true, ..remote }
            }
        }
    };
    listed.into_iter().map(read).collect()
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
