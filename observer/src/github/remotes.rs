//! The repositories on GitHub that a checkout has as remotes.
//!
//! git is asked, so that `insteadOf` and included files count; it needs no network for it, asks
//! nobody, and no configuration of the repository makes it run anything.

use std::path::Path;

use ao_store::id::{parse_remote, without_credentials};

use crate::adapter::program::{Output, Program, Ran};
use crate::error::quoted;
use crate::github::Environment;
use crate::github::host::{canonical, is_github};

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
/// Why git does not tell, such as that `path` is not in a repository.
pub fn remotes(
    path: &Path,
    known: &[String],
    environment: &Environment,
) -> Result<Vec<Remote>, String> {
    // Starting a program in no directory would look like there is no program.
    if !path.is_dir() {
        return Err("it is not a directory".to_owned());
    }
    let program = Program {
        name: "git",
        args: &["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "remote", "-v"],
        input: "",
        dir: path,
        environment,
        with: &[("GIT_TERMINAL_PROMPT", "0"), ("GIT_OPTIONAL_LOCKS", "0")],
    };
    match program.run() {
        Err(error) => Err(format!("git: {error}")),
        Ok(Ran::Missing) => Err("there is no git".to_owned()),
        Ok(Ran::Ended(Output { is_success: true, stdout, .. })) => {
            Ok(parse(&String::from_utf8_lossy(&stdout), known))
        }
        Ok(Ran::Ended(Output { stderr, .. })) => {
            let text = String::from_utf8_lossy(&stderr);
            let line = text.lines().next().unwrap_or_default();
            Err(format!("git: {}", quoted(line.trim_start_matches("fatal: "))))
        }
    }
}

/// Reads lines such as `origin<TAB>URL (fetch)`, of which git sorts the names.
fn parse(text: &str, known: &[String]) -> Vec<Remote> {
    let read = |line: &str| {
        let (name, rest) = line.split_once('\t')?;
        let (url, _) = rest.split_once(" (fetch)")?;
        let (host, repo) = parse_remote(url)?;
        let host = canonical(&host);
        let url = without_credentials(url);
        is_github(&host, known).then(|| Remote { name: name.to_owned(), host, repo, url })
    };
    let mut all: Vec<_> = text.lines().filter_map(read).collect();
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
    kept
}
