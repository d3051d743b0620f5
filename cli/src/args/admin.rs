//! The grammar of what an operator does to a store.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args as ClapArgs, Subcommand};

use super::Consent;

/// What is kept. A change goes when any of the rules lets it go.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Rules {
    /// Keep what is younger
    #[arg(long, value_name = "D")]
    pub(crate) keep_days: Option<u32>,
    /// Keep the newest so many
    #[arg(long, value_name = "N")]
    pub(crate) keep_events: Option<u64>,
    /// Keep the newest that together are no larger, such as 1GiB
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
    /// Store rules, which a writing process applies in its idle time; they replace the stored ones
    #[command(after_help = "Examples:
  ao-store retention set --keep-days 30 --max-bytes 1GiB")]
    Set {
        #[command(flatten)]
        rules: Rules,
    },
    /// Show the stored rules and what they would let go now
    #[command(after_help = "Examples:
  ao-store retention show --json")]
    Show,
    /// Keep everything
    #[command(after_help = "Examples:
  ao-store retention off")]
    Off,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Verify {
    /// A database file, such as a backup [default: the store]
    pub(crate) file: Option<PathBuf>,
    /// Also every index, and every change against the one before it of the same row
    #[arg(long)]
    pub(crate) deep: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// The export, or - for standard input
    #[arg(required_unless_present = "from_ao", conflicts_with = "from_ao")]
    pub(crate) file: Option<PathBuf>,
    /// Take what is good and say what is not; the history is left out then
    #[arg(long, conflicts_with = "from_ao")]
    pub(crate) skip_bad: bool,
    /// The database of the ao tool instead; it is only read
    #[arg(long, value_name = "DB")]
    pub(crate) from_ao: Option<PathBuf>,
}
