//! The arguments of the operator's commands: prune, retention, verify, import.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args as ClapArgs, Subcommand};

use super::Consent;

/// Which changes are kept. A change is deleted when any rule permits it.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Rules {
    /// Keep the changes of the last D days
    #[arg(long, value_name = "D")]
    pub(crate) keep_days: Option<u32>,
    /// Keep the newest N changes
    #[arg(long, value_name = "N")]
    pub(crate) keep_events: Option<u64>,
    /// Keep the newest changes up to this total size, such as 1GiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_bytes: Option<ByteSize>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Prune {
    #[command(flatten)]
    pub(crate) rules: Rules,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Retention {
    /// Store rules, replacing the stored ones; writing processes apply them in the background
    #[command(after_help = "Examples:
  ao-store retention set --keep-days 30 --max-bytes 1GiB
  ao-store retention set --keep-events 100000 --dry-run    show what the rules would delete now
  ao-store retention set --keep-events 100000 --yes

Rules that delete changes which exist now, or keep none, are stored after a confirmation.")]
    Set {
        #[command(flatten)]
        rules: Rules,
        #[command(flatten)]
        consent: Consent,
    },
    /// Show the stored rules and what they would delete now
    #[command(after_help = "Examples:
  ao-store retention show --json")]
    Show,
    /// Delete the stored rules, so that every change is kept
    #[command(after_help = "Examples:
  ao-store retention off")]
    Off,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Verify {
    /// A database file, such as a backup [default: the store]
    pub(crate) file: Option<PathBuf>,
    /// Check also every index, and every change against the previous change of the same row
    #[arg(long)]
    pub(crate) deep: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// The export, or - for standard input
    #[arg(required_unless_present = "from_ao", conflicts_with = "from_ao")]
    pub(crate) file: Option<PathBuf>,
    /// Import the valid lines and report the others; the history is not imported then
    #[arg(long, conflicts_with = "from_ao")]
    pub(crate) skip_bad: bool,
    /// Import the database of the ao tool instead; it is only read
    #[arg(long, value_name = "DB")]
    pub(crate) from_ao: Option<PathBuf>,
}
