//! The arguments of project.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use super::{Consent, ListArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum Project {
    /// Register the git work tree at PATH
    #[command(after_help = "Examples:
  ao-store project add .
  ao-store project add ~/src/demo --id demo --name 'The demo'
  ao-store project add ~/src/demo --if-not-exists    for scripts: succeed if it is registered")]
    Add {
        /// A directory inside a git work tree
        path: PathBuf,
        /// Use this id [default: the name of the directory]
        #[arg(long)]
        id: Option<String>,
        /// Use this display name [default: the id]
        #[arg(long)]
        name: Option<String>,
        /// Succeed if it is registered with the given --id and --name
        #[arg(long)]
        if_not_exists: bool,
    },
    /// List projects
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store project ls
  ao-store project ls --all --json
  ao-store project ls -o name | xargs -n 1 ao-store project get

Columns: id, state, repository, branch, path, name, origin, created"
    )]
    Ls {
        /// Include archived projects
        #[arg(short, long)]
        all: bool,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one project
    #[command(after_help = "Examples:
  ao-store project get demo")]
    Get {
        /// The project
        id: String,
    },
    /// Change how the sessions of a project are made
    #[command(after_help = "Examples:
  ao-store project set demo --copy .env --copy 'config/*.local'
  ao-store project set demo --setup 'npm ci' --setup-timeout 5m
  ao-store project set demo --max-live 20
  ao-store project set demo --copy '' --setup '' --max-live none    back to the defaults

The files are copied into each new worktree, unless they are there, and the command runs in it
before the agent starts. If it fails, nothing of the session is left.")]
    Set(Set),
    /// Archive a project that has no live session
    #[command(after_help = "Examples:
  ao-store project rm demo --dry-run
  ao-store project rm demo --yes")]
    Rm {
        /// The project
        id: String,
        #[command(flatten)]
        consent: Consent,
    },
}

/// How the sessions of a project are made.
#[derive(Debug, ClapArgs)]
pub(crate) struct Set {
    /// The project
    pub(crate) id: String,
    /// Copy the files that match into a new worktree (repeat for several); '' for none
    #[arg(long, value_name = "GLOB")]
    pub(crate) copy: Vec<String>,
    /// Run this command in a new worktree; '' for none
    #[arg(long, value_name = "CMD", allow_hyphen_values = true)]
    pub(crate) setup: Option<String>,
    /// Let the command take this long [default: 10m]
    #[arg(long, value_name = "D", value_parser = humantime::parse_duration)]
    pub(crate) setup_timeout: Option<Duration>,
    /// Refuse to spawn a session beyond this number of live ones; none for any number
    #[arg(long, value_name = "N", value_parser = limit)]
    pub(crate) max_live: Option<Limit>,
}

/// A number of sessions, or any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(pub(crate) Option<u32>);

fn limit(text: &str) -> Result<Limit, String> {
    match text.parse() {
        Ok(0) | Err(_) if text != "none" => {
            Err("write a whole number, at least 1, or none".to_owned())
        }
        Ok(number) => Ok(Limit(Some(number))),
        Err(_) => Ok(Limit(None)),
    }
}
