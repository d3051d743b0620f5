//! The arguments of history and digest.

use ao_store::Timestamp;
use clap::{Args as ClapArgs, ValueEnum};

use super::ListArgs;
use super::stream::Format;
use crate::time;

pub(super) const HISTORY_HELP: &str = "Examples:
  ao-store history pr octo/hello#7             with its checks, threads, reviews and comments
  ao-store history pr octo/hello#7 --only -n 5
  ao-store history session demo-1 --since today
  ao-store history check octo/hello#7 lint     every run of this name
  ao-store history pr octo/hello#7 --json | jq -c 'select(.changed) | .changed'

It reads the log back to the creation of the thing, not further. If the log was pruned since then,
it says so: on standard error, and to programs in the first line, hello.";

pub(super) const DIGEST_HELP: &str = "Examples:
  ao-store digest                      today so far
  ao-store digest --since yesterday --until today
  ao-store digest --since 7d --sort -ci_fail
  ao-store digest --json | jq '[.data[].merged] | add'

REQUESTED counts how often the review decision became changes_requested. A pull request that is
first observed with failing CI counts as a failure of CI.";

#[derive(Debug, ClapArgs)]
pub(crate) struct History {
    /// Choose what the key names
    pub(crate) entity: ThingKind,
    /// The id of the project or session, or the pull request
    pub(crate) key: String,
    /// The name of a check, or the id of a thread, review or comment of the pull request
    pub(crate) item: Option<String>,
    /// Print only the last N changes
    #[arg(short = 'n', long = "lines", value_name = "N")]
    pub(crate) lines: Option<u64>,
    /// Print only the changes since a time, such as 10m, today or 2026-11-01
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) since: Option<Timestamp>,
    /// Omit the items of a pull request, and the pull requests of a session
    #[arg(long)]
    pub(crate) only: bool,
    /// Print in this format [default: pretty on a terminal, otherwise ndjson]
    #[arg(long, value_name = "F")]
    pub(crate) format: Option<Format>,
}

impl History {
    /// What it is, as it was typed: `check octo/hello#7 lint`.
    pub(crate) fn named(&self) -> String {
        let kind = self.entity.to_possible_value();
        let kind = kind.as_ref().map_or("", |kind| kind.get_name());
        let item = self.item.as_ref().map_or(String::new(), |item| format!(" {item}"));
        format!("{kind} {}{item}", self.key)
    }
}

/// What can have a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ThingKind {
    Project,
    Session,
    Pr,
    Check,
    Thread,
    Review,
    Comment,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Digest {
    /// Count the changes since a time, such as 10m, today or 2026-11-01
    #[arg(long, value_name = "TIME", default_value = "today", value_parser = time::parse)]
    pub(crate) since: Timestamp,
    /// Count only the changes before a time
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) until: Option<Timestamp>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}
