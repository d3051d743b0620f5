//! The grammar of what follows the stream: `tail` and `consumer`.

use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::Consent;

pub(super) const TAIL_HELP: &str = "Examples:
  ao-store tail                                  the last 10 changes, then those to come
  ao-store tail --from beginning --no-follow     the whole log
  ao-store tail --from 1-412                     everything after a cursor
  ao-store tail --since 10m --entity pr          pull requests, from ten minutes ago on
  ao-store tail --type pr_review_thread_resolved -c 1 --timeout 10m
  ao-store tail --snapshot --format ndjson       the rows as they are, then every change of them
  ao-store tail --consumer indexer               go on where it acknowledged
  ao-store tail --format ndjson | jq -c .after";

#[derive(Debug, ClapArgs)]
pub(crate) struct Tail {
    /// Where to begin: beginning, end, a cursor, or -N for the last N [default: -10, or end with
    /// --snapshot]
    #[arg(long, value_name = "START", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// Begin with what was committed at or after a time: RFC 3339, or how long ago, such as 10m
    #[arg(long, value_name = "TIME", conflicts_with = "from")]
    pub(crate) since: Option<String>,
    /// Stop at the head instead of waiting for more
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// Stop after so many changes
    #[arg(short = 'c', long, value_name = "N")]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// First the rows as they were where it begins, then the changes
    #[arg(long)]
    pub(crate) snapshot: bool,
    /// Go on with a snapshot that was interrupted, after the rows before this position
    #[arg(long, value_name = "POSITION", requires = "snapshot", conflicts_with_all = ["from", "since", "consumer"])]
    pub(crate) resume: Option<String>,
    /// Begin where this consumer acknowledged, with its filter, and acknowledge what was printed: what is
    /// in a pipe counts as printed (see `ao-store consumer pull` for another way)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["from", "since"])]
    pub(crate) consumer: Option<String>,
    /// Take the consumer from an owner that still has it
    #[arg(long, requires = "consumer")]
    pub(crate) take_over: bool,
    /// How to print [default: pretty on a terminal, else ndjson]
    #[arg(long, value_name = "F")]
    pub(crate) format: Option<Format>,
    /// Which images of the row to print with a change
    #[arg(long, value_name = "I", default_value = "full")]
    pub(crate) images: Images,
    /// Print control lines too: hello, bookmarks at least this often, bye [default with --snapshot: 15s]
    #[arg(long, value_name = "D", value_parser = humantime::parse_duration)]
    pub(crate) heartbeat: Option<Duration>,
    /// Give up after this time: exit code 8 when -c was not reached
    #[arg(long, value_name = "D", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

/// Which changes. Values of one kind are alternatives, kinds must all hold.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct FilterArgs {
    /// Only changes of this type (repeat for several)
    #[arg(long = "type", value_name = "T", value_delimiter = ',')]
    pub(crate) types: Vec<String>,
    /// Only changes of this kind of thing, such as pr_comment (repeat for several)
    #[arg(long = "entity", value_name = "E", value_delimiter = ',')]
    pub(crate) entities: Vec<String>,
    /// Only changes of this project (repeat for several)
    #[arg(long = "project", value_name = "P", value_delimiter = ',')]
    pub(crate) projects: Vec<String>,
    /// Only changes of this session (repeat for several)
    #[arg(long = "session", value_name = "S", value_delimiter = ',')]
    pub(crate) sessions: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Pretty,
    Ndjson,
    Cloudevents,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Images {
    /// Before and after
    Full,
    /// After only
    After,
    /// None: the key alone
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyName {
    /// Nothing that it has not acknowledged is pruned
    Block,
    /// The same, until it is further behind than a bound
    Bounded,
    /// It holds nothing back
    None,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Consumer {
    /// Create a consumer; its filter is fixed
    #[command(after_help = "Examples:
  ao-store consumer create indexer
  ao-store consumer create alerts --type pr_check_recorded --from beginning
  ao-store consumer create mirror --policy bounded --max-events 100000 --max-age 7d")]
    Create {
        /// Its name
        name: String,
        /// After what it begins: beginning, end or a cursor
        #[arg(long, value_name = "START", default_value = "end")]
        from: String,
        #[command(flatten)]
        filter: FilterArgs,
        /// What retention owes it
        #[arg(long, default_value = "block")]
        policy: PolicyName,
        /// Bounded: at most so many changes behind
        #[arg(long, value_name = "N")]
        max_events: Option<u64>,
        /// Bounded: at most so many bytes of the log behind, such as 100MiB
        #[arg(long, value_name = "SIZE")]
        max_bytes: Option<ByteSize>,
        /// Bounded: at most so old, such as 7d
        #[arg(long, value_name = "D", value_parser = humantime::parse_duration)]
        max_age: Option<Duration>,
    },
    /// List consumers, and how far behind they are
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store consumer ls"
    )]
    Ls,
    /// Show one consumer
    #[command(after_help = "Examples:
  ao-store consumer get indexer")]
    Get {
        /// The consumer
        name: String,
    },
    /// Print its next changes as NDJSON, without acknowledging them
    #[command(after_help = "Examples:
  ao-store consumer pull indexer -n 100 --wait 30s
  ao-store consumer pull indexer --lease 60s    nobody else may acknowledge meanwhile

The last line is a bookmark: acknowledge its cursor with `ao-store consumer ack`.")]
    Pull {
        /// The consumer
        name: String,
        /// At most so many changes
        #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
        count: u64,
        /// Wait so long for the first one
        #[arg(long, value_name = "D", default_value = "0s", value_parser = humantime::parse_duration)]
        wait: Duration,
        /// Take the lease for so long; its number is in the first line
        #[arg(long, value_name = "D", value_parser = humantime::parse_duration)]
        lease: Option<Duration>,
    },
    /// Acknowledge everything up to a cursor; an older one changes nothing
    #[command(after_help = "Examples:
  ao-store consumer ack indexer 1-412
  ao-store consumer ack indexer 1-412 --lease 7")]
    Ack {
        /// The consumer
        name: String,
        /// The cursor
        cursor: String,
        /// The lease under which the changes were pulled
        #[arg(long, value_name = "N")]
        lease: Option<i64>,
    },
    /// Move a consumer to another position, also out of an epoch that ended
    #[command(after_help = "Examples:
  ao-store consumer seek indexer --to end
  ao-store consumer seek indexer --to 1-412 --force    fences off who reads it now")]
    Seek {
        /// The consumer
        name: String,
        /// beginning, end or a cursor
        #[arg(long, value_name = "START")]
        to: String,
        /// Although somebody reads it
        #[arg(long)]
        force: bool,
    },
    /// Remove a consumer; what it held back may be pruned then
    #[command(after_help = "Examples:
  ao-store consumer rm indexer --dry-run
  ao-store consumer rm indexer --yes")]
    Rm {
        /// The consumer
        name: String,
        /// Although somebody reads it
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        consent: Consent,
    },
}
