//! The arguments of the commands that send messages to agents: send, delivery.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueEnum, ValueHint};

use super::ListArgs;

pub(crate) const SEND_HELP: &str = "Examples:
  ao-store send demo-1 'Rebase on main, please'
  ao-store send demo-1 --file review.md --wait submitted --timeout 1m
  git diff | ao-store send demo-1 -
  ao-store send demo-1 'Fix the build' --key $HEAD-build    the second time nothing is sent
  ao-store send demo-1 'Run the tests' --json | jq -r .data.cursor

It prints the id of the delivery as soon as the message is stored; from then on it is delivered even
if this command ends. Messages to a session arrive one after another, in the order in which they were
accepted. While its agent waits for a decision, a message is refused (exit status 5): it would be the
answer. Control characters are removed, and line ends at the end.
--wait ends with exit status 0 when the stage is reached, and 8 after --timeout.";

/// A message to an agent.
#[derive(Debug, ClapArgs)]
pub(crate) struct Send {
    /// The session
    #[arg(allow_hyphen_values = true)]
    pub(crate) session: String,
    /// The text, or - for standard input
    #[arg(required_unless_present = "file", allow_hyphen_values = true)]
    pub(crate) text: Option<String>,
    /// Read the text from a file, or from standard input with -
    #[arg(long, value_name = "FILE", conflicts_with = "text", allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Send it once: the same text with the same key is the same delivery
    #[arg(long, value_name = "K", allow_hyphen_values = true)]
    pub(crate) key: Option<String>,
    /// Send it although the account of the harness has reached a limit
    #[arg(long)]
    pub(crate) force: bool,
    /// Wait until this is known of it
    #[arg(long, value_name = "STAGE")]
    pub(crate) wait: Option<StageName>,
    /// Stop waiting after this long [default: never]
    #[arg(long, value_name = "D", requires = "wait", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

/// A stage of a delivery.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StageName {
    /// It is stored
    Accepted,
    /// It was written to the terminal of the agent
    Written,
    /// The agent reported that it took it
    Submitted,
    /// The agent reported that it works on it
    Started,
    /// The agent reported the end of its turn
    Finished,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Delivery {
    /// List deliveries, oldest first
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store delivery ls
  ao-store delivery ls --session demo-1 --sort -accepted --limit 5

Columns: id, session, stage, accepted, kind, sender, bytes, reason, key"
    )]
    Ls {
        /// Show only those to this session
        #[arg(long, allow_hyphen_values = true)]
        session: Option<String>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one delivery: its stages with their proofs, and its text
    #[command(after_help = "Examples:
  ao-store delivery get m0f3c5a7be1d24968
  ao-store delivery get m0f3c5a7be1d24968 --json | jq -r .data.stage

accepted is proven by the store, written by the process that wrote it, and the later stages by the
hooks of the agent. Where its harness has no such hook, written is the last stage.")]
    Get {
        /// The delivery
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Write a delivery again that is ambiguous or failed; the agent may then get it twice
    #[command(after_help = "Examples:
  ao-store delivery resend m0f3c5a7be1d24968

A delivery is ambiguous if it is not known whether the agent got it: look at its terminal first.
Nothing but this command writes such a delivery again.")]
    Resend {
        /// The delivery
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Write what was accepted for a session
    #[command(hide = true)]
    Run {
        /// The session
        session: String,
    },
}
