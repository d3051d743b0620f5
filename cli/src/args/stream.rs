//! The arguments of tail and consumer.

use std::time::Duration;

use ao_store::Timestamp;
use bytesize::ByteSize;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{Consent, ListArgs};
use crate::time;

pub(super) const TAIL_HELP: &str = "Examples:
  ao-store tail                                  the last 10 changes, then new ones
  ao-store tail -n 50 --no-follow                the last 50
  ao-store tail --from beginning --no-follow     the whole log
  ao-store tail --from 1-412                     everything after a cursor
  ao-store tail --since 10m --entity pr          pull requests, from ten minutes ago
  ao-store tail --since yesterday --until today  all of yesterday
  ao-store tail --type pr_review_thread_resolved -c 1 --timeout 10m
  ao-store tail --changed ci=failing --changed review_decision=changes_requested
  ao-store tail --snapshot --format ndjson       the rows, then every change of them
  ao-store tail --consumer indexer               continue where it acknowledged
  ao-store tail --format ndjson | jq -c .after
  ao-store tail --consumer wake --changed ci=failing --exec 'notify-send \"CI failed: $AO_PR\"'

A time is a duration before now (10m, 2h, 3d), today, yesterday, a date, a local time
(2026-11-01T10:00) or RFC 3339 (2026-11-01T10:00:00Z). A date is its beginning.

--exec runs its command with sh, one change at a time, with the event as JSON on its standard
input and AO_TYPE, AO_SEQ, AO_CURSOR, AO_AT, AO_ENTITY, AO_OP, AO_PROJECT, AO_SESSION, AO_PR,
AO_CHANGED and AO_DATA_DIR in its environment. A command that fails ends tail with
COMMAND_FAILED; the next run begins with its change. Ctrl-C reaches the command too.";

#[derive(Debug, ClapArgs)]
pub(crate) struct Tail {
    /// Start at: beginning, end, a cursor, or -N for the last N [default: -10, or end with --snapshot]
    #[arg(long, value_name = "START", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// Start with the last N changes that pass the filter, as --from -N
    #[arg(short = 'n', long = "lines", value_name = "N", conflicts_with_all = ["from", "since"])]
    pub(crate) lines: Option<u64>,
    /// Start at the changes since a time, such as 10m, today or 2026-11-01
    #[arg(long, value_name = "TIME", conflicts_with = "from", value_parser = time::parse)]
    pub(crate) since: Option<Timestamp>,
    /// Stop at the first change at or after a time; until one in the future, wait for more
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) until: Option<Timestamp>,
    /// Wait for more at the head of the log; this is the default
    #[arg(short = 'f', long, conflicts_with = "no_follow")]
    pub(crate) follow: bool,
    /// Stop at the head instead of waiting for more
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// Stop after N changes; with --no-follow and without a start, print the last N
    #[arg(short = 'c', long, value_name = "N")]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Print the rows as of the start first, then the changes
    #[arg(long)]
    pub(crate) snapshot: bool,
    /// Continue an interrupted snapshot at this position
    #[arg(long, value_name = "POSITION", requires = "snapshot", conflicts_with_all = ["from", "lines", "since", "consumer"])]
    pub(crate) resume: Option<String>,
    /// Continue after the last acknowledgement of this consumer, with its filter. Output written to a pipe is acknowledged; use consumer pull to acknowledge explicitly
    #[arg(long, value_name = "NAME", conflicts_with_all = ["from", "lines", "since"])]
    pub(crate) consumer: Option<String>,
    /// Run this shell command for each change, with the event as its input, and acknowledge the change when it succeeds. A consumer that does not exist is created with the filter, after the newest change
    #[arg(long, value_name = "COMMAND", requires = "consumer", conflicts_with_all = ["format", "images", "heartbeat", "snapshot"])]
    pub(crate) exec: Option<String>,
    /// Take the lease from an owner that still has it
    #[arg(long, requires = "consumer")]
    pub(crate) take_over: bool,
    /// Print in this format [default: pretty on a terminal, otherwise ndjson]
    #[arg(long, value_name = "F")]
    pub(crate) format: Option<Format>,
    /// Print these images of the row with each change
    #[arg(long, value_name = "I", default_value = "full")]
    pub(crate) images: Images,
    /// Print control lines too: hello, bookmarks at this interval, bye [default with --snapshot: 15s]
    #[arg(long, value_name = "D", value_parser = humantime::parse_duration)]
    pub(crate) heartbeat: Option<Duration>,
    /// Stop after this time: exit status 8 if -c was not reached
    #[arg(long, value_name = "D", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

/// Which changes pass. The values of one flag are alternatives; all flags must match.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct FilterArgs {
    /// Select only changes of this type (repeat for several)
    #[arg(long = "type", value_name = "T", value_delimiter = ',')]
    pub(crate) types: Vec<String>,
    /// Select only changes of this entity, such as pr_comment (repeat for several)
    #[arg(long = "entity", value_name = "E", value_delimiter = ',')]
    pub(crate) entities: Vec<String>,
    /// Select only changes of this project (repeat for several)
    #[arg(long = "project", value_name = "P", value_delimiter = ',')]
    pub(crate) projects: Vec<String>,
    /// Select only changes of this session (repeat for several)
    #[arg(long = "session", value_name = "S", value_delimiter = ',')]
    pub(crate) sessions: Vec<String>,
    /// Select only updates that changed this field, or changes that gave it this value (repeat for several)
    #[arg(long = "changed", value_name = "FIELD[=VALUE]")]
    pub(crate) changed: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Pretty,
    Ndjson,
    Cloudevents,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Images {
    /// The image before and the image after
    Full,
    /// Only the image after
    After,
    /// No image, only the key
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyName {
    /// Pruning keeps every change that it has not acknowledged
    Block,
    /// The same, until it is further behind than a bound
    Bounded,
    /// Pruning ignores it
    None,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Consumer {
    /// Create a consumer; its filter is fixed
    #[command(after_help = "Examples:
  ao-store consumer create indexer
  ao-store consumer create alerts --changed ci=failing --from beginning
  ao-store consumer create mirror --policy bounded --max-events 100000 --max-age 7d
  ao-store consumer create indexer --if-not-exists    for scripts: succeed if it exists")]
    Create {
        /// Its name
        name: String,
        /// Start after: beginning, end or a cursor
        #[arg(long, value_name = "START", default_value = "end")]
        from: String,
        #[command(flatten)]
        filter: FilterArgs,
        /// Choose the retention policy: how pruning treats unacknowledged changes
        #[arg(long, default_value = "block")]
        policy: PolicyName,
        /// Bound the number of unacknowledged changes (policy bounded)
        #[arg(long, value_name = "N")]
        max_events: Option<u64>,
        /// Bound their size, such as 100MiB (policy bounded)
        #[arg(long, value_name = "SIZE")]
        max_bytes: Option<ByteSize>,
        /// Bound their age, such as 7d (policy bounded)
        #[arg(long, value_name = "D", value_parser = humantime::parse_duration)]
        max_age: Option<Duration>,
        /// Succeed if it exists with this filter and policy; it stays where it is
        #[arg(long)]
        if_not_exists: bool,
    },
    /// List consumers, and how far behind they are
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store consumer ls
  ao-store consumer ls --sort -behind

Columns: name, state, policy, acked, behind, bytes, age, owner, created"
    )]
    Ls {
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one consumer
    #[command(after_help = "Examples:
  ao-store consumer get indexer")]
    Get {
        /// The consumer
        name: String,
    },
    /// Print the next changes of a consumer as NDJSON, without acknowledging them
    #[command(after_help = "Examples:
  ao-store consumer pull indexer -n 100 --wait 30s
  ao-store consumer pull indexer --lease 60s    no other process can acknowledge meanwhile

The last line is a bookmark: acknowledge its cursor with ao-store consumer ack.")]
    Pull {
        /// The consumer
        name: String,
        /// Print at most N changes
        #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
        count: u64,
        /// Wait up to this long for the first change
        #[arg(long, value_name = "D", default_value = "0s", value_parser = humantime::parse_duration)]
        wait: Duration,
        /// Take the lease for this long; the first line has its number
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
        /// Acknowledge under this lease, with which the changes were pulled
        #[arg(long, value_name = "N")]
        lease: Option<i64>,
    },
    /// Move a consumer to another position, also from an earlier epoch
    #[command(after_help = "Examples:
  ao-store consumer seek indexer --to end
  ao-store consumer seek indexer --to 1-412 --force    revoke the lease of its reader")]
    Seek {
        /// The consumer
        name: String,
        /// Move to: beginning, end or a cursor
        #[arg(long, value_name = "START")]
        to: String,
        /// Continue even if another process has the lease
        #[arg(long)]
        force: bool,
    },
    /// Delete a consumer; what it held back can then be pruned
    #[command(after_help = "Examples:
  ao-store consumer rm indexer --dry-run
  ao-store consumer rm indexer --yes")]
    Rm {
        /// The consumer
        name: String,
        /// Continue even if another process has the lease
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        consent: Consent,
    },
}
