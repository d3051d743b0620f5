//! The arguments of the command line. Parsing only: nothing is opened or resolved here.

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
    /// Use the store in this directory; the database is ao.db in it [default: $AO_DATA_DIR, otherwise
    /// ao-store in the XDG data directory]
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print one JSON document instead of text; errors become one JSON line on stderr
    #[arg(long, global = true, help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) json: bool,
    /// Choose how durable a commit is: full survives power loss, relaxed only a crash of the program
    #[arg(long, global = true, value_name = "LEVEL", default_value = "full", help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) durability: Durability,
    /// Wait up to this long for another writer
    #[arg(long, global = true, value_name = "D", default_value = "5s", value_parser = humantime::parse_duration, help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) busy_timeout: Duration,
    /// Colour the text for people; auto respects NO_COLOR and the terminal
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) color: Color,
    /// Print more messages on stderr (-v, -vv)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const GLOBAL: &str = "Global options";

const ROOT_HELP: &str = "Examples:
  ao-store up                              create the store, register this repository, follow it
  ao-store project add ~/src/demo          register a repository
  ao-store session new --project demo --branch fix-1
  ao-store observe apply observation.json  apply observed facts about a pull request
  ao-store tail --from beginning           print every change so far, then new ones
  ao-store doctor                          find problems and their fixes

Exit status: 0 ok, 1 other failure, 2 usage, 3 not found, 4 credentials, 5 conflict,
6 findings, 7 cursor expired or of another epoch, 8 timed out, 9 busy, 130/141/143 signals";

/// How durable a commit is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Durability {
    Full,
    Relaxed,
}

/// Whether to colour text for people.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Sets the choice for every stream of this process. `auto` respects `NO_COLOR` and the terminal.
    pub(crate) fn apply(self) {
        match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// Examples before the options: most readers look for them.
const HELP: &str = "{about}{after-help}\n\n{usage-heading} {usage}\n\n{all-args}";

/// The whole command line.
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
            // An error is then one line of JSON, and nothing else is printed.
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
    /// Do not observe pull requests
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
    /// Migrate the database to the schema of this program, and verify it
    #[command(after_help = "Examples:
  ao-store migrate --check    exit status 6 if a migration is pending
  ao-store migrate")]
    Migrate {
        /// Only report whether a migration is pending
        #[arg(long)]
        check: bool,
    },
    /// Show where the store is, what it holds, and how far behind its consumers are
    #[command(after_help = "Examples:
  ao-store status
  ao-store status --json | jq .data.head")]
    Status,
    /// Manage projects: the repositories that agents work in
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store project add ~/src/demo
  ao-store project ls"
    )]
    Project(Project),
    /// Manage sessions, each one run of a harness
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store session new --project demo --branch fix-1
  ao-store session ls"
    )]
    Session(Session),
    /// Show and claim tracked pull requests
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store pr ls --project demo
  ao-store pr get octo/hello#7"
    )]
    Pr(Pr),
    /// Observe the tracked pull requests, or apply facts that another program observed
    #[command(after_help = observe::HELP)]
    Observe(Observe),
    /// Print changes as they are committed
    #[command(after_help = stream::TAIL_HELP)]
    Tail(Tail),
    /// Manage durable consumers: named positions in the stream that acknowledgements move
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store consumer create indexer --type pr_updated
  ao-store tail --consumer indexer
  ao-store consumer ls"
    )]
    Consumer(Consumer),
    /// Delete the oldest changes; the facts stay
    #[command(after_help = "Examples:
  ao-store prune --keep-days 30 --dry-run    show what it would delete, and what holds it back
  ao-store prune --keep-events 100000 --yes
  ao-store prune --yes                       apply the stored rules (see ao-store retention)")]
    Prune(Prune),
    /// Manage the rules by which old changes are deleted in the background
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
    /// Replace the database with a backup; the replaced file is kept
    #[command(after_help = "Examples:
  ao-store restore-db /srv/backups/ao-2026-11-21.db --dry-run
  ao-store restore-db /srv/backups/ao-2026-11-21.db --yes

A new epoch begins: earlier cursors are refused (exit status 7). First stop the processes that
have the store open. It needs free space for about three times the store.")]
    RestoreDb {
        /// The backup
        input: PathBuf,
        #[command(flatten)]
        consent: Consent,
    },
    /// Verify the file, the schema, the log, and that the log explains the facts
    #[command(after_help = "Examples:
  ao-store verify               exit status 6 if there is a finding
  ao-store verify --deep
  ao-store verify backup.db")]
    Verify(Verify),
    /// Repair what another program changed: triggers, counters, and texts that are not UTF-8
    #[command(after_help = "Examples:
  ao-store repair --dry-run
  ao-store repair --yes
  ao-store repair --drop-history --yes

All of it is done, or nothing. If changes were not captured, only --drop-history can make the
store sound: the rows stay, and the log begins anew in a new epoch, so that earlier cursors are
refused.")]
    Repair {
        /// Delete the history if it does not explain the rows
        #[arg(long)]
        drop_history: bool,
        #[command(flatten)]
        consent: Consent,
    },
    /// Check the store, the disk and the programs it needs, and print a fix for each problem
    #[command(after_help = "Examples:
  ao-store doctor               exit status 6 if a check fails
  ao-store doctor --json | jq '.data.findings[] | select(.level != \"ok\")'")]
    Doctor,
    /// Print the metrics of the store for Prometheus
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
    /// Create a store from an export, or from the database of the ao tool
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
        /// Write them to this directory
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
        /// Use this id [default: the name of the directory]
        #[arg(long)]
        id: Option<String>,
        /// Use this display name [default: the id]
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
        /// Include archived projects
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
    /// Archive a project that has no live session
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

/// How a command that deletes or replaces something is confirmed.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Consent {
    /// Print what the command would do, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for confirmation; required if no terminal is attached
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
  ao-store session ls --project demo --all"
    )]
    Ls {
        /// Show only those of this project
        #[arg(short, long)]
        project: Option<String>,
        /// Include terminated sessions
        #[arg(short, long)]
        all: bool,
    },
    /// Show one session and its pull requests
    #[command(after_help = "Examples:
  ao-store session get demo-1
  ao-store session get demo-1 --at 1-412    as of that change")]
    Get {
        /// The session
        id: String,
        /// Show it as of a cursor
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

#[derive(Debug, Subcommand)]
pub(crate) enum Pr {
    /// List tracked pull requests
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store pr ls --project demo"
    )]
    Ls {
        /// Show only those of this project
        #[arg(short, long)]
        project: Option<String>,
        /// Show only those of this session
        #[arg(short, long)]
        session: Option<String>,
    },
    /// Show one pull request with its checks, threads, reviews and comments
    #[command(after_help = "Examples:
  ao-store pr get octo/hello#7
  ao-store pr get https://github.com/octo/hello/pull/7 --json
  ao-store pr get octo/hello#7 --at 1-412    as of that change")]
    Get {
        /// URL, owner/repo#number or id
        pr: String,
        /// Show it as of a cursor
        #[arg(long, value_name = "CURSOR")]
        at: Option<String>,
    },
    /// Make a session the owner of a pull request
    #[command(after_help = "Examples:
  ao-store pr claim demo-1 https://github.com/octo/hello/pull/7
  ao-store pr claim demo-1 octo/hello#7 --takeover")]
    Claim {
        /// The session
        session: String,
        /// URL, owner/repo#number or id
        pr: String,
        /// Take it from an active session, too
        #[arg(long)]
        takeover: bool,
        /// Do not ask the host whether it exists
        #[arg(long)]
        no_verify: bool,
        #[command(flatten)]
        api: Api,
    },
}
