//! The arguments of session.

use std::time::Duration;

use ao_store::status::Status;
use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args as ClapArgs, Subcommand, ValueEnum};

use super::{ClaimPr, Consent, Grace, ListArgs};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SessionKind {
    Worker,
    Orchestrator,
}

const WAIT_HELP: &str = "Examples:
  ao-store session wait demo-1 --for idle
  ao-store session wait demo-1 demo-2 --for waiting --any --timeout 1h
  ao-store session wait demo-1 --for idle,waiting,exited --after 1-412
  ao-store session wait demo-1 --for ci && ao-store pr get demo-1

It prints each session that meets a condition, with the reason. Of several conditions one is enough.
  idle     its agent has finished its turn, or has none
  waiting  its agent waits for a decision, or is blocked
  exited   its agent ended, or the session was terminated
  pr       it has a pull request
  ci       the checks of an open pull request of it passed or failed
What is so already counts. With --after only what happened after that change does, also if it is
no longer so; an end always counts. A session that can no longer meet a condition, such as one
whose agent ended, ends the wait with CONDITION_LOST (exit status 5).";

const ANSWER_HELP: &str = "Examples:
  ao-store session answer demo-1 --allow
  ao-store session answer demo-1 --deny
  ao-store session answer demo-1 --choice 2
  ao-store session answer demo-1 'Use the second one'

Where the hook of the agent waits for the answer (hook_answers in the configuration file), that takes
it. Else keys are sent, only while the screen shows the dialog, and it is recorded when that is gone.
Where the keys of a harness are not known, and for everything else: ao-store session attach.
What is open: ao-store decision ls";

/// An answer.
#[derive(Debug, ClapArgs)]
#[command(group = ArgGroup::new("answer").required(true))]
pub(crate) struct Answer {
    /// The session
    #[arg(allow_hyphen_values = true)]
    pub(crate) id: String,
    /// Answer with this text
    #[arg(group = "answer")]
    pub(crate) text: Option<String>,
    /// Choose this one
    #[arg(long, group = "answer", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) choice: Option<u8>,
    /// Allow it
    #[arg(long, group = "answer")]
    pub(crate) allow: bool,
    /// Deny it
    #[arg(long, group = "answer")]
    pub(crate) deny: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Decision {
    /// List the open decisions, oldest first
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store decision ls
  ao-store decision ls --session demo-1

Columns: session, kind, age, tool, text, id, options, launch

Answer one: ao-store session answer. At its terminal: ao-store session attach."
    )]
    Ls {
        /// Show only that of this session
        #[arg(short, long)]
        session: Option<String>,
        #[command(flatten)]
        list: ListArgs,
    },
}

/// What to wait for.
#[derive(Debug, ClapArgs)]
pub(crate) struct Wait {
    /// The sessions
    #[arg(required = true, value_name = "SESSION")]
    pub(crate) sessions: Vec<String>,
    /// Wait for this (repeat for several, of which one is enough)
    #[arg(long = "for", required = true, value_name = "CONDITION", value_delimiter = ',')]
    pub(crate) conditions: Vec<Condition>,
    /// End with the first session, not with the last
    #[arg(long)]
    pub(crate) any: bool,
    /// Give up after this time: exit status 8
    #[arg(long, value_name = "D", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Count only what happens after this change
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
}

/// A state of a session that can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Condition {
    Idle,
    Waiting,
    Exited,
    Pr,
    Ci,
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
  ao-store session ls --tree    each below the session that spawned it

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
        /// Show each below the session that spawned it, if that is listed
        #[arg(long, conflicts_with = "sort")]
        tree: bool,
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
    /// Answer what the agent of a session waits for, where its hook or its keys can carry it
    #[command(after_help = ANSWER_HELP)]
    Answer(Answer),
    /// Wait until sessions are idle, wait for a decision, have ended, or have a pull request or checks
    #[command(after_help = WAIT_HELP)]
    Wait(Wait),
    /// Show what the agent of a session shows, or has shown last
    #[command(after_help = "Examples:
  ao-store session log demo-1
  ao-store session log demo-1 -n 20 -f    until its agent ends

It is the text of its terminal, without colours: of a launch that ended, what was kept. An agent
without a terminal has an output only after its end. -f prints each line once it stays as it is.")]
    Log {
        /// The session
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Print the last N lines
        #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        lines: u32,
        /// Go on until the agent ends
        #[arg(short, long)]
        follow: bool,
    },
    /// Show what a session has changed since its branch began, committed or not
    #[command(after_help = "Examples:
  ao-store session diff demo-1
  ao-store session diff demo-1 --stat    only the files, also the untracked ones

It compares the worktree with the recorded base commit. Of a large patch it has the first MiB.")]
    Diff {
        /// The session
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Print the changed files with their added and removed lines
        #[arg(long)]
        stat: bool,
    },
    /// Show the terminal of the agent of a session in this one
    #[command(after_help = "Examples:
  ao-store session attach demo-1
  ao-store session attach demo-1 --read-only

Ctrl-b d leaves it, and the agent goes on. Inside another tmux it is Ctrl-b Ctrl-b d.")]
    Attach {
        /// The session
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Only look: no key reaches the agent
        #[arg(short, long)]
        read_only: bool,
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
