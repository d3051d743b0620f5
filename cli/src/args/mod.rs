//! The grammar of the command line. Parsing only: nothing is opened or resolved here.

mod admin;
mod observe;
mod stream;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use admin::{Import, Prune, Retention, Rules, Verify};
pub(crate) use observe::{Api, Deliver, Intake, Observe, Run};
pub(crate) use stream::{Consumer, FilterArgs, Format, Images, PolicyName, Tail};

/// Every fact about your coding-agent sessions in one SQLite file, and every change of a fact as an
/// ordered, gap-free, resumable stream.
#[derive(Debug, Parser)]
#[command(name = "ao-store", version, max_term_width = 100, after_help = ROOT_HELP)]
pub(crate) struct Args {
    /// Where the store lives; the database is ao.db in it [default: $AO_DATA_DIR, else the XDG data
    /// directory]
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print one JSON document instead of text; errors become one JSON line on stderr
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,
    /// When a commit counts: full survives power loss, relaxed does not
    #[arg(long, global = true, value_name = "LEVEL", default_value = "full", help_heading = GLOBAL)]
    pub(crate) durability: Durability,
    /// How long to wait for another writer before giving up, such as 5s
    #[arg(long, global = true, value_name = "D", default_value = "5s", value_parser = humantime::parse_duration, help_heading = GLOBAL)]
    pub(crate) busy_timeout: Duration,
    /// Whether to colour text for people
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = GLOBAL)]
    pub(crate) color: Color,
    /// Say more on stderr (-v, -vv)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const GLOBAL: &str = "Global options";

const ROOT_HELP: &str = "Examples:
  ao-store up                              create the store, register this repository, follow it
  ao-store project add ~/src/demo          register a repository
  ao-store session new --project demo --branch fix-1
  ao-store observe apply observation.json  apply what was learned about a pull request
  ao-store tail --from beginning           every change so far, then those to come
  ao-store doctor                          what is wrong, and how to mend it

Exit codes: 0 ok, 1 other failure, 2 usage, 3 not found, 4 credentials, 5 conflict,
6 findings, 7 cursor expired or of another epoch, 8 timed out, 9 busy, 130/141/143 signals";

/// When a commit counts as durable.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Durability {
    Full,
    Relaxed,
}

/// Whether to colour.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Sets the choice for every stream of this process. `auto` heeds `NO_COLOR` and the terminal.
    pub(crate) fn apply(self) {
        match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// Examples before the options: they are what is looked for.
const HELP: &str = "{about}{after-help}\n\n{usage-heading} {usage}\n\n{all-args}";

/// The whole grammar.
pub(crate) fn command() -> clap::Command {
    fn with_template(command: clap::Command) -> clap::Command {
        command.help_template(HELP).mut_subcommands(with_template)
    }
    with_template(Args::command())
}

impl Args {
    /// Parses the arguments of this process.
    pub(crate) fn read() -> Result<Args, clap::Error> {
        let matches = command().try_get_matches()?;
        Args::from_arg_matches(&matches)
    }

    /// How much of the log goes to stderr.
    pub(crate) fn log_level(&self) -> tracing_subscriber::filter::LevelFilter {
        use tracing_subscriber::filter::LevelFilter;
        match self.verbose {
            // The error is one line of JSON then, and nothing beside it.
            0 if self.json => LevelFilter::OFF,
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            _ => LevelFilter::DEBUG,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Up {
    /// The repository to register
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// Do not ask any host about pull requests
    #[arg(long)]
    pub(crate) no_observe: bool,
    #[command(flatten)]
    pub(crate) api: observe::Api,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create the store if needed, register a repository, observe its pull requests, and follow the
    /// stream until Ctrl-C
    #[command(after_help = "Examples:
  ao-store up
  ao-store up ~/src/demo
  ao-store up --no-observe")]
    Up(Up),
    /// Create the store
    #[command(after_help = "Examples:
  ao-store init
  ao-store --data-dir /tmp/try init")]
    Init,
    /// Bring the database to the schema of this program and verify it
    #[command(after_help = "Examples:
  ao-store migrate --check    exit code 6 when a migration is pending
  ao-store migrate")]
    Migrate {
        /// Only say whether something is pending
        #[arg(long)]
        check: bool,
    },
    /// Show where the store is, what it holds, and how far behind its consumers are
    #[command(after_help = "Examples:
  ao-store status
  ao-store status --json | jq .data.head")]
    Status,
    /// Projects: the repositories that agents work in
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store project add ~/src/demo
  ao-store project ls"
    )]
    Project(Project),
    /// Sessions: one agent run each
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store session new --project demo --branch fix-1
  ao-store session ls"
    )]
    Session(Session),
    /// Tracked pull requests
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store pr ls --project demo
  ao-store pr get octo/hello#7"
    )]
    Pr(Pr),
    /// Keep the facts of all tracked pull requests fresh, or apply what was learned elsewhere
    #[command(after_help = observe::HELP)]
    Observe(Observe),
    /// Print changes as they are committed
    #[command(after_help = stream::TAIL_HELP)]
    Tail(Tail),
    /// Durable consumers: named positions in the stream that move by acknowledgement
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store consumer create indexer --type pr_updated
  ao-store tail --consumer indexer
  ao-store consumer ls"
    )]
    Consumer(Consumer),
    /// Delete the oldest changes; facts stay
    #[command(after_help = "Examples:
  ao-store prune --keep-days 30 --dry-run    show what would go, who holds it and who is cut off
  ao-store prune --keep-events 100000 --yes
  ao-store prune --yes                       by the stored rules (see `ao-store retention`)")]
    Prune(Prune),
    /// How long changes are kept without being asked
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store retention set --keep-days 30 --max-bytes 1GiB
  ao-store retention show"
    )]
    Retention(Retention),
    /// Copy the store to a file while it is in use, and verify the copy
    #[command(after_help = "Examples:
  ao-store backup /srv/backups/ao-2026-11-21.db
  ao-store backup out.db --json | jq -r .data.sha256")]
    Backup {
        /// The file to write; it must not exist
        out: PathBuf,
    },
    /// Put a backup in the place of the database; the replaced file is kept
    #[command(after_help = "Examples:
  ao-store restore-db /srv/backups/ao-2026-11-21.db --dry-run
  ao-store restore-db /srv/backups/ao-2026-11-21.db --yes

A new epoch begins: cursors of the time before are refused (exit code 7). Stop what has the store
open first.")]
    RestoreDb {
        /// The backup
        input: PathBuf,
        #[command(flatten)]
        consent: Consent,
    },
    /// Prove that the store is sound: the file, the schema, the log, and that the log explains the facts
    #[command(after_help = "Examples:
  ao-store verify               exit code 6 when something is wrong
  ao-store verify --deep
  ao-store verify backup.db")]
    Verify(Verify),
    /// Check the store, the disk and the programs around it, with a fix for what is wrong
    #[command(after_help = "Examples:
  ao-store doctor               exit code 6 when a check fails
  ao-store doctor --json | jq '.data.findings[] | select(.level != \"ok\")'")]
    Doctor,
    /// Print the figures of the store for Prometheus
    #[command(after_help = "Examples:
  ao-store metrics > /var/lib/node_exporter/ao_store.prom")]
    Metrics,
    /// Write the whole store as NDJSON, for another machine or version
    #[command(after_help = "Examples:
  ao-store export store.ndjson
  ao-store export - | zstd > store.ndjson.zst")]
    Export {
        /// The file to write, which must not exist, or - for standard output
        out: PathBuf,
    },
    /// Make a store of an export, or of the database of the ao tool
    #[command(after_help = "Examples:
  ao-store --data-dir /srv/new import store.ndjson
  zstdcat store.ndjson.zst | ao-store --data-dir /srv/new import -
  ao-store --data-dir /srv/new import --from-ao ~/.ao/data/ao.db")]
    Import(Import),
    /// Print the JSON Schema of the observation document
    #[command(after_help = "Examples:
  ao-store schema > observation.schema.json")]
    Schema,
    /// Print a completion script
    #[command(after_help = "Examples:
  ao-store completion bash > ~/.local/share/bash-completion/completions/ao-store")]
    Completion {
        /// The shell to complete in
        shell: Shell,
    },
    /// Write the man pages
    #[command(after_help = "Examples:
  ao-store man --out ~/.local/share/man/man1")]
    Man {
        /// The folder to write them to
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Project {
    /// Register the git work tree at PATH
    #[command(after_help = "Examples:
  ao-store project add .
  ao-store project add ~/src/demo --id demo --name 'The demo'")]
    Add {
        /// A directory inside a git work tree
        path: PathBuf,
        /// Its id [default: the name of the directory]
        #[arg(long)]
        id: Option<String>,
        /// Its display name [default: the id]
        #[arg(long)]
        name: Option<String>,
    },
    /// List projects
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store project ls
  ao-store project ls --all --json"
    )]
    Ls {
        /// Archived ones too
        #[arg(short, long)]
        all: bool,
    },
    /// Show one project
    #[command(after_help = "Examples:
  ao-store project get demo")]
    Get {
        /// The project
        id: String,
    },
    /// Archive a project; refused while it has live sessions
    #[command(after_help = "Examples:
  ao-store project rm demo --dry-run
  ao-store project rm demo --yes")]
    Rm {
        /// The project
        id: String,
        #[command(flatten)]
        consent: Consent,
    },
}

/// How a command that takes something away is agreed to.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Consent {
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask; needed where no terminal is attached
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SessionKind {
    Worker,
    Orchestrator,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// Create a session row under the next number of its project
    #[command(after_help = "Examples:
  ao-store session new --project demo --branch fix-1 --issue 12
  ao-store session new --project demo --kind orchestrator")]
    New {
        /// The project it works in
        #[arg(short, long)]
        project: String,
        /// What it is for
        #[arg(long, default_value = "worker")]
        kind: SessionKind,
        /// The agent program
        #[arg(long, default_value = "", hide_default_value = true)]
        harness: String,
        /// The branch it works on; its pull request is found by it
        #[arg(long, default_value = "", hide_default_value = true)]
        branch: String,
        /// The issue it works on
        #[arg(long, default_value = "", hide_default_value = true)]
        issue: String,
        /// Its display name
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
    },
    /// List sessions
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store session ls
  ao-store session ls --project demo --all"
    )]
    Ls {
        /// Only those of this project
        #[arg(short, long)]
        project: Option<String>,
        /// Terminated ones too
        #[arg(short, long)]
        all: bool,
    },
    /// Show one session and its pull requests
    #[command(after_help = "Examples:
  ao-store session get demo-1
  ao-store session get demo-1 --at 1-412    as it was right after that change")]
    Get {
        /// The session
        id: String,
        /// As it was at a cursor
        #[arg(long, value_name = "CURSOR")]
        at: Option<String>,
    },
    /// Give a session another display name
    #[command(after_help = "Examples:
  ao-store session rename demo-1 'Fix the parser'")]
    Rename {
        /// The session
        id: String,
        /// Its new name
        name: String,
    },
    /// Delete a session that produced nothing; any other is kept (exit code 5)
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

#[derive(Debug, Subcommand)]
pub(crate) enum Pr {
    /// List tracked pull requests
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store pr ls --project demo"
    )]
    Ls {
        /// Only those of this project
        #[arg(short, long)]
        project: Option<String>,
        /// Only those of this session
        #[arg(short, long)]
        session: Option<String>,
    },
    /// Show one pull request with its checks, threads, reviews and comments
    #[command(after_help = "Examples:
  ao-store pr get octo/hello#7
  ao-store pr get https://github.com/octo/hello/pull/7 --json
  ao-store pr get octo/hello#7 --at 1-412    as it was right after that change")]
    Get {
        /// URL or owner/repo#number
        pr: String,
        /// As it was at a cursor
        #[arg(long, value_name = "CURSOR")]
        at: Option<String>,
    },
    /// Make a session the owner of a pull request
    #[command(after_help = "Examples:
  ao-store pr claim demo-1 https://github.com/octo/hello/pull/7
  ao-store pr claim demo-1 octo/hello#7 --no-takeover")]
    Claim {
        /// The session
        session: String,
        /// URL or owner/repo#number
        pr: String,
        /// Do not take it from a session that is active
        #[arg(long)]
        no_takeover: bool,
    },
}
