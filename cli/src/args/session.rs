//! The arguments of session.

use ao_store::status::Status;
use clap::builder::PossibleValuesParser;
use clap::{Subcommand, ValueEnum};

use super::{ClaimPr, Consent, Grace, ListArgs};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SessionKind {
    Worker,
    Orchestrator,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// Create a session with the next number of its project
    #[command(after_help = "Examples:
  ao-store session new --project demo --branch fix-1 --issue 12
  ao-store session new --project demo --kind orchestrator")]
    New {
        /// Create it in this project
        #[arg(short, long)]
        project: String,
        /// Choose its role
        #[arg(long, default_value = "worker")]
        kind: SessionKind,
        /// Record the harness, such as claude-code
        #[arg(long, default_value = "", hide_default_value = true)]
        harness: String,
        /// Record the branch that it works on, by which its pull request is found
        #[arg(long, default_value = "", hide_default_value = true)]
        branch: String,
        /// Record the issue that it works on
        #[arg(long, default_value = "", hide_default_value = true)]
        issue: String,
        /// Set its display name
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
    },
    /// List sessions
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store session ls
  ao-store session ls --project demo --all
  ao-store session ls --status needs_input,ci_failed
  ao-store session ls --sort -since --limit 10

Columns: id, kind, status, age, reason, branch, issue, name, project, harness, worktree, created"
    )]
    Ls {
        /// Show only those of this project
        #[arg(short, long)]
        project: Option<String>,
        /// Include terminated sessions
        #[arg(short, long)]
        all: bool,
        /// Show only those of this status (repeat for several)
        #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = PossibleValuesParser::new(Status::ALL.iter().map(|status| status.as_str())))]
        status: Vec<String>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one session: what its agent does or how it ended, and its pull requests
    #[command(after_help = "Examples:
  ao-store session get demo-1
  ao-store session get demo-1 --at 1-412    as of that change")]
    Get {
        /// The session
        id: String,
        /// Show it as of a cursor, without a status: the log does not have the commands that ran
        #[arg(long, value_name = "CURSOR")]
        at: Option<String>,
    },
    /// Change the display name of a session
    #[command(after_help = "Examples:
  ao-store session rename demo-1 'Fix the parser'")]
    Rename {
        /// The session
        id: String,
        /// Its new name
        name: String,
    },
    /// Change the branch of a session
    #[command(after_help = "Examples:
  ao-store session set demo-1 --branch fix-2

Pull requests that are found from now on belong to the session if they are of that branch. Those
that it has already stay: see ao-store pr claim.")]
    Set {
        /// The session
        id: String,
        /// Record this branch, by which its pull request is found; '' for none
        #[arg(long)]
        branch: String,
    },
    /// Terminate a session: stop its agent, and keep its work
    #[command(after_help = "Examples:
  ao-store session kill demo-1
  ao-store session kill demo-1 --grace 30s

A clean worktree is removed; one with uncommitted work is kept. The branch is kept.
ao-store session restore brings the session back.")]
    Kill {
        /// The session
        #[arg(allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        grace: Grace,
        /// Accepted for scripts; it never asks
        #[arg(short, long)]
        yes: bool,
    },
    /// Make a terminated session run again, under the same id and in the same worktree
    #[command(after_help = "Examples:
  ao-store session restore demo-1

Its agent continues its own conversation if that exists, otherwise it gets the prompt again. A
worker that has neither cannot be restored (exit status 5).")]
    Restore {
        /// The session
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Start the agent of a session again after it ended
    #[command(after_help = "Examples:
  ao-store session relaunch demo-1")]
    Relaunch {
        /// The session
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Make a session the owner of a pull request; the same as pr claim
    #[command(after_help = "Examples:
  ao-store session claim-pr demo-1 octo/hello#7
  ao-store session claim-pr demo-1 7 --takeover")]
    ClaimPr(ClaimPr),
    /// Remove the worktrees of terminated sessions, and the branches whose work is elsewhere
    #[command(after_help = "Examples:
  ao-store session cleanup --dry-run
  ao-store session cleanup --project demo --yes

Uncommitted work is captured in a ref, refs/ao/preserved/SESSION/N, before its worktree is
removed; files that git ignores are no work. A branch is deleted only if its tip is reachable
from a remote branch, from its base, or from a preserved ref.")]
    Cleanup {
        /// Only those of this project
        #[arg(short, long)]
        project: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Delete a session that has produced nothing; any other is kept (exit status 5)
    #[command(after_help = "Examples:
  ao-store session rm demo-1 --dry-run
  ao-store session rm demo-1 --yes")]
    Rm {
        /// The session
        id: String,
        #[command(flatten)]
        consent: Consent,
    },
}
