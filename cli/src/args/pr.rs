//! The arguments of pr.

use ao_store::observation::{Ci, PrState, ReviewDecision};
use clap::builder::PossibleValuesParser;
use clap::{Args as ClapArgs, Subcommand};

use super::{Api, ListArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum Pr {
    /// List tracked pull requests
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store pr ls --project demo
  ao-store pr ls --ci failing --state open,draft
  ao-store pr ls --review changes_requested -o name | xargs -n 1 ao-store pr get
  ao-store pr ls --columns pr,ci,url --sort -updated --limit 10

Columns: pr, session, state, ci, review, merge, facts, title, project, author, branch, base, lines,
url, updated, created"
    )]
    Ls {
        /// Show only those of this project
        #[arg(short, long)]
        project: Option<String>,
        /// Show only those of this session
        #[arg(short, long)]
        session: Option<String>,
        /// Show only those in this state (repeat for several)
        #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = names(PrState::ALL, PrState::as_str))]
        state: Vec<String>,
        /// Show only those whose checks are so (repeat for several)
        #[arg(long, value_name = "CI", value_delimiter = ',', value_parser = names(Ci::ALL, Ci::as_str))]
        ci: Vec<String>,
        /// Show only those with this review decision (repeat for several)
        #[arg(long, value_name = "DECISION", value_delimiter = ',', value_parser = names(ReviewDecision::ALL, ReviewDecision::as_str))]
        review: Vec<String>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one pull request with its failed checks, unresolved threads and reviews
    #[command(after_help = "Examples:
  ao-store pr get octo/hello#7
  ao-store pr get 7                          inside the repository of a project
  ao-store pr get octo/hello#7 -v            every field
  ao-store pr get https://github.com/octo/hello/pull/7 --json
  ao-store pr get octo/hello#7 --at 1-412    as of that change")]
    Get {
        /// URL, owner/repo#number, id, or inside the repository the number
        pr: String,
        /// Show it as of a cursor
        #[arg(long, value_name = "CURSOR")]
        at: Option<String>,
    },
    /// Open the page of a pull request in the browser
    #[command(after_help = "Examples:
  ao-store pr open 7
  ao-store pr open octo/hello#7 --print      print its address only

The browser is the command in BROWSER, otherwise xdg-open or open. Without one, the address is
printed.")]
    Open {
        /// URL, owner/repo#number, id, or inside the repository the number
        pr: String,
        /// Print the address instead
        #[arg(long)]
        print: bool,
    },
    /// Print the ends of the logs of the failed checks
    #[command(after_help = "Examples:
  ao-store pr log 7
  ao-store pr log octo/hello#7 build         of the check of this name, or a part of it

The observer stores the last 64 KiB of the log of a failed check.")]
    Log {
        /// URL, owner/repo#number, id, or inside the repository the number
        pr: String,
        /// Print only the log of this check
        check: Option<String>,
    },
    /// Make a session the owner of a pull request
    #[command(after_help = "Examples:
  ao-store pr claim demo-1 https://github.com/octo/hello/pull/7
  ao-store pr claim demo-1 octo/hello#7 --takeover")]
    Claim(ClaimPr),
}

/// A claim.
#[derive(Debug, ClapArgs)]
pub(crate) struct ClaimPr {
    /// The session
    pub(crate) session: String,
    /// URL, owner/repo#number, id, or inside the repository the number
    pub(crate) pr: String,
    /// Take it from an active session, too
    #[arg(long)]
    pub(crate) takeover: bool,
    /// Do not ask the host whether it exists
    #[arg(long)]
    pub(crate) no_verify: bool,
    #[command(flatten)]
    pub(crate) api: Api,
}

/// Accepts the names of these values.
fn names<T: Copy>(values: &[T], name: impl Fn(T) -> &'static str) -> PossibleValuesParser {
    PossibleValuesParser::new(values.iter().map(|value| name(*value)))
}
