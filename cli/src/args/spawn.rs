//! The arguments of the commands that run sessions: spawn, orchestrator, reconcile, harness.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, Subcommand, ValueEnum, ValueHint};

use super::{Api, ListArgs, SessionKind};

pub(crate) const SPAWN_HELP: &str = "Examples:
  ao-store spawn --project demo --harness claude-code --prompt 'Fix the parser'
  ao-store spawn --harness codex --issue 12 --prompt-file task.md    inside a repository
  ao-store spawn --harness claude-code --claim-pr 7 --branch fix-7
  ao-store spawn --harness custom --prompt 'Fix the parser' -- ./agent.sh {prompt}

It checks everything first; after a failure nothing is left. Without --branch the session gets a
new branch ao/SESSION/root, which starts at --base, otherwise at the default branch.
Everything after -- is the command to run; {prompt} in it is replaced by the prompt, which is in
the variable AO_PROMPT, too.";

/// What to spawn.
#[derive(Debug, ClapArgs)]
pub(crate) struct Spawn {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Choose its role
    #[arg(long, default_value = "worker")]
    pub(crate) kind: SessionKind,
    /// Make it the owner of a pull request: URL, owner/repo#number, id, or the number
    #[arg(long, value_name = "PR", allow_hyphen_values = true)]
    pub(crate) claim_pr: Option<String>,
    /// Take the pull request from an active session, too
    #[arg(long, requires = "claim_pr")]
    pub(crate) takeover: bool,
    #[command(flatten)]
    pub(crate) api: Api,
}

/// What every spawned session needs.
#[derive(Debug, ClapArgs)]
pub(crate) struct Common {
    /// Spawn it in this project [default: that of the calling session, otherwise of the directory]
    #[arg(short, long, allow_hyphen_values = true)]
    pub(crate) project: Option<String>,
    /// Run this harness: see ao-store harness ls [default: $AO_AGENT]
    #[arg(long, visible_alias = "agent", value_name = "H", allow_hyphen_values = true)]
    pub(crate) harness: Option<String>,
    /// Let the harness use this model
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(crate) model: String,
    /// What the agent may do unasked: ask, edit or all [default: ask, where the harness has it]
    #[arg(long, value_name = "MODE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) permission: Option<String>,
    /// Work on this branch
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) branch: Option<String>,
    /// Create the branch
    #[arg(long, requires = "branch")]
    pub(crate) create_branch: bool,
    /// Start a new branch at this branch, tag or commit
    #[arg(long, value_name = "REF", allow_hyphen_values = true)]
    pub(crate) base: Option<String>,
    /// Give it this prompt
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) prompt: Option<String>,
    /// Read the prompt from a file, or from standard input with -
    #[arg(long, value_name = "FILE", conflicts_with = "prompt", allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    pub(crate) prompt_file: Option<PathBuf>,
    /// Record the issue that it works on
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(crate) issue: String,
    /// Set its display name
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(crate) name: String,
    /// Record the session that spawns it [default: $AO_SESSION_ID]
    #[arg(long, value_name = "SESSION", allow_hyphen_values = true)]
    pub(crate) parent: Option<String>,
    /// Run it in tmux, or as a process without a terminal
    #[arg(long, value_name = "KIND", default_value = "tmux")]
    pub(crate) runtime: RuntimeKind,
    /// Do not fetch the base first
    #[arg(long)]
    pub(crate) no_fetch: bool,
    /// Spawn it although the account of the harness has reached a limit
    #[arg(long)]
    pub(crate) force: bool,
    /// Send no message to the session that spawns it when a turn ends
    #[arg(long)]
    pub(crate) no_report: bool,
    /// Run this command instead of that of the harness
    #[arg(last = true, value_name = "ARGV")]
    pub(crate) argv: Vec<String>,
}

/// What a session runs in.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RuntimeKind {
    Tmux,
    Process,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Orchestrator {
    /// Print the orchestrator of a project, and spawn it if there is none
    #[command(after_help = "Examples:
  ao-store orchestrator ensure --project demo --harness claude-code
  ao-store orchestrator ensure --project demo --harness codex --replace

Any number of callers at the same time get the same session. With --replace the new one is spawned
before the old one is stopped; after a failure the old one stays.")]
    Ensure {
        /// Replace the active one
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        common: Box<Common>,
    },
    /// List orchestrators
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store orchestrator ls
  ao-store orchestrator ls --project demo --all"
    )]
    Ls {
        /// Show only those of this project
        #[arg(short, long)]
        project: Option<String>,
        /// Include terminated ones
        #[arg(short, long)]
        all: bool,
        #[command(flatten)]
        list: ListArgs,
    },
}

/// What reconciliation may do.
#[derive(Debug, ClapArgs)]
pub(crate) struct Reconcile {
    /// Print what it would do, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Confirm that the sessions run on this machine, after restore-db or a move
    #[arg(short, long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Harness {
    /// List the harnesses, and where their programs are
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store harness ls
  ao-store harness ls --versions    marks a version whose screens were not seen
  ao-store harness ls --json | jq '.data[] | select(.path != null) | .name'

The built-in ones are extended and overridden by harnesses.toml in the configuration directory:
see docs/harnesses.md."
    )]
    Ls {
        /// Run the installed programs to print their versions
        #[arg(long)]
        versions: bool,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Record screens and hook payloads of a harness, as data for the tests of its row
    #[command(after_help = "Examples:
  ao-store harness probe codex --out fixtures
  ao-store harness probe codex --out fixtures --for 5m

Use the agent meanwhile: `ao-store spawn --harness codex`, then `ao-store session attach SESSION`.
Each screen that stays for half a second is written once, with neutral paths; name the files by what
they show. It ends with Ctrl-C.")]
    Probe {
        /// The harness
        harness: String,
        /// Write to this directory
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        out: PathBuf,
        /// End after this time
        #[arg(long = "for", value_name = "D", value_parser = humantime::parse_duration)]
        time: Option<Duration>,
    },
    /// List the accounts that have reached a limit
    #[command(after_help = "Examples:
  ao-store harness limits
  ao-store harness limits --clear claude-code    its account can be used again

While an account has a limit, spawn refuses its harness. A limit without a known end ends when an
agent of the account has finished a turn, or is cleared.")]
    Limits {
        /// Clear the limit of this account first
        #[arg(long, value_name = "ACCOUNT")]
        clear: Option<String>,
        #[command(flatten)]
        list: ListArgs,
    },
}

/// How long an agent may take to end.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Grace {
    /// Let the agent take this long to end before it is killed
    #[arg(long, value_name = "D", default_value = "5s", value_parser = humantime::parse_duration)]
    pub(crate) grace: Duration,
}
