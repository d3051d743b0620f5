//! The commands. Those with verbs of their own, or with many arguments, have a file each.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum, ValueHint};

use super::admin::{Import, Prune, Retention, Verify};
use super::attention::{self, Attention};
use super::config::Config;
use super::consent::Consent;
use super::daemon::{Daemon, Serve, Service, Start, Stop, Token};
use super::history::{self, Digest, History};
use super::list::ListArgs;
use super::message::{self, Delivery, Send};
use super::observe::{self, Observe};
use super::pr::Pr;
use super::project::Project;
use super::session::{Decision, Session};
use super::spawn::{self, Harness, Orchestrator, Reconcile, Spawn};
use super::stream::{self, Consumer, Tail};
use super::turn::{Agent, Conversation, Lease, Org, OrgToken, Turn, TurnFilter};
use super::worker::Worker;

#[derive(Debug, ClapArgs)]
pub(crate) struct Up {
    /// The repository to register
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

/// A shell that completes commands.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Hook {
    /// The harness
    pub(crate) harness: String,
    /// The event
    pub(crate) event: String,
    /// What the agent adds, which is ignored
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create the store if needed, register a repository, run the daemon, and follow the stream until
    /// Ctrl-C
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
    /// Run the daemon in the foreground: the loops, and the store over HTTP
    #[command(after_help = "Examples:
  ao-store daemon
  ao-store daemon --port 3001 --no-observe
  ao-store daemon status")]
    Daemon(Daemon),
    /// Start the daemon in the background, and wait until it is ready
    #[command(after_help = "Examples:
  ao-store start
  ao-store start --json | jq -r .data.url")]
    Start(Start),
    /// Stop the daemon, and wait until it has ended; sessions go on
    #[command(after_help = "Examples:
  ao-store stop
  ao-store stop --timeout 1m")]
    Stop(Stop),
    /// Run the daemon as a systemd service of the user
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store service install
  ao-store service print"
    )]
    Service(Service),
    /// Manage the tokens of programs that read from the daemon
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store token create --read dashboard > dashboard.token
  ao-store token ls"
    )]
    Token(Token),
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
    /// Manage sessions, each an agent with a branch of its own
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store session new --project demo --branch fix-1
  ao-store session ls"
    )]
    Session(Session),
    /// Show what agents wait for a person to decide
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store decision ls
  ao-store decision ls --session demo-1 --json"
    )]
    Decision(Decision),
    /// Spawn a session: a worktree, and an agent program that runs in it
    #[command(after_help = spawn::SPAWN_HELP)]
    Spawn(Box<Spawn>),
    /// Send a message to the agent of a session, and prove how far it got
    #[command(after_help = message::SEND_HELP)]
    Send(Send),
    /// Show the messages to agents, and write one again whose fate is not known
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store delivery ls --session demo-1
  ao-store delivery get m0f3c5a7be1d24968"
    )]
    Delivery(Delivery),
    /// Send messages to agents, and show what became of them
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store turn send 'Which tests fail on main?'
  ao-store turn ls"
    )]
    Turn(Turn),
    /// Show the conversations with agents, and follow them
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store conversation ls
  ao-store conversation tail c0f3c5a7be1d24968 -f"
    )]
    Conversation(Conversation),
    /// Manage agents: identities to which turns are sent
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store agent add reviewer
  ao-store agent ls"
    )]
    Agent(Agent),
    /// Manage organisations, which own agents and conversations
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store org add acme
  ao-store org ls"
    )]
    Org(Org),
    /// Show the leases that processes have
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store lease ls"
    )]
    Lease(Lease),
    /// Run a worker: a process that answers the turns of an agent by a program
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store worker run --agent echo -- cat
  ao-store worker run --agent claude --silence 30m -- claude -p"
    )]
    Worker(Worker),
    /// Manage the orchestrator of a project, of which at most one is active
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store orchestrator ensure --project demo --harness claude-code
  ao-store orchestrator ls"
    )]
    Orchestrator(Orchestrator),
    /// Make what runs equal to the sessions in the store, after a reboot or a crash
    #[command(after_help = "Examples:
  ao-store reconcile --dry-run
  ao-store reconcile
  ao-store reconcile --yes      after restore-db, or on another machine

It adopts what runs, starts again what should run and does not, stops what should not run, and
removes what an interrupted command left. It may run at any time. A daemon, as of ao-store up, runs
it at its start, and again when terminals are lost.
An agent that ended by itself is not started again: see ao-store session relaunch.")]
    Reconcile(Reconcile),
    /// Show the harnesses: the kinds of agent programs
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store harness ls"
    )]
    Harness(Harness),
    /// Record what a hook of an agent reports on standard input
    #[command(hide = true)]
    Hook(Hook),
    /// Probe once what runs, as `up` does each second
    #[command(hide = true)]
    Probe,
    /// Run the agent program of a launch, and record its start and its end
    #[command(hide = true)]
    Supervise {
        /// The launch
        launch: String,
    },
    /// Show, open and claim tracked pull requests
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store pr ls --project demo
  ao-store pr get octo/hello#7"
    )]
    Pr(Pr),
    /// List what needs you now: failed checks, reviews, conflicts, stopped sessions, hosts
    #[command(after_help = attention::HELP)]
    Attention(Attention),
    /// Observe the tracked pull requests, or apply facts that another program observed
    #[command(after_help = observe::HELP)]
    Observe(Observe),
    /// Print changes as they are committed
    #[command(after_help = stream::TAIL_HELP)]
    Tail(Tail),
    /// Print the changes of one project, session, pull request or item
    #[command(after_help = history::HISTORY_HELP)]
    History(History),
    /// Count what happened in a time, by session and pull request
    #[command(after_help = history::DIGEST_HELP)]
    Digest(Digest),
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
  ao-store backup out.db --json | jq -r .data.sha256
  ao-store backup --keep 14 /srv/backups     for cron: one more, and the newest 14 stay

With --keep the name is ao-LOG-EPOCH-TIME.db, with the first digits of the log's id and the time in
UTC. A restore begins a new epoch: the backups of the earlier ones stay until you delete them.
Only files of this name are deleted, and only after the new backup is verified.")]
    Backup {
        /// The file to write, which must not exist; with --keep an existing directory
        out: PathBuf,
        /// Write to a directory, and delete the backups of this store there except the newest N
        #[arg(long, value_name = "N", value_parser = at_least_one)]
        keep: Option<NonZeroU32>,
    },
    /// Replace the database with a backup; the replaced file is kept
    #[command(after_help = "Examples:
  ao-store restore-db /srv/backups/ao-2026-11-21.db --dry-run
  ao-store restore-db /srv/backups/ao-2026-11-21.db --yes
  ao-store restore-db /srv/backups         the newest one of ao-store backup --keep

A new epoch begins: earlier cursors are refused (exit status 7). First stop the processes that
have the store open. It needs free space for about three times the store.")]
    RestoreDb {
        /// The backup, or a directory of backup --keep
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
    /// Show the configuration file and the settings in force
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store config show --origin
  ao-store config path

The file is TOML. A flag or an environment variable takes precedence over it. Its keys and defaults:
  data_dir = \"~/.local/share/ao-store\"
  durability = \"full\"       # or relaxed
  busy_timeout = \"5s\"
  hook_answers = \"0s\"         # how long the hook of a permission waits for session answer
  port = \"0\"                # where the daemon listens; 0 for any port
  color = \"auto\"            # or always, never"
    )]
    Config(Config),
    /// Check the store, the disk and the programs it needs, and print a fix for each problem
    #[command(after_help = "Examples:
  ao-store doctor               exit status 6 if a check fails
  ao-store doctor --json | jq '.data.findings[] | select(.level != \"ok\")'")]
    Doctor,
    /// Print the metrics of the store for Prometheus
    #[command(after_help = "Examples:
  ao-store metrics
  ao-store metrics --out /var/lib/node_exporter/ao_store.prom    for its textfile collector")]
    Metrics {
        /// Replace this file, which a reader sees either as it was or complete
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
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
    /// Print a JSON Schema: of the observation document, or of what this program prints
    #[command(after_help = "Examples:
  ao-store schema > observation.schema.json
  ao-store schema event          a line of tail and of consumer pull
  ao-store schema cloudevent     a line of tail --format cloudevents
  ao-store schema conversation.event    a line of conversation tail
  ao-store schema pr.list        the document of this kind; document has those of all kinds
  ao-store schema error          the line on standard error of a command with --json")]
    Schema {
        /// Print this one: observation, event, cloudevent, conversation.event, error, document, or the kind
        /// of a document
        #[arg(default_value = "observation")]
        name: String,
    },
    /// Print a completion script; it completes commands, flags, and the values in the store
    #[command(after_help = "Examples:
  ao-store completion bash > ~/.local/share/bash-completion/completions/ao-store
  ao-store completion zsh > ~/.zfunc/_ao-store    with fpath+=~/.zfunc before compinit in ~/.zshrc
  ao-store completion fish > ~/.config/fish/completions/ao-store.fish")]
    Completion {
        /// The shell to complete in
        shell: Shell,
    },
    /// Print the candidates for the last of these words, for the completion scripts
    #[command(hide = true)]
    Complete {
        /// The words of a command line
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Write the man pages
    #[command(after_help = "Examples:
  ao-store man --out ~/.local/share/man/man1")]
    Man {
        /// Write them to this directory
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        out: PathBuf,
    },
}

impl Command {
    /// The options of a list, where the command prints one.
    pub(super) fn list_args(&self) -> Option<&ListArgs> {
        match self {
            Command::Project(Project::Ls { list, .. })
            | Command::Session(Session::Ls { list, .. })
            | Command::Pr(Pr::Ls { list, .. })
            | Command::Digest(Digest { list, .. })
            | Command::Consumer(Consumer::Ls { list })
            | Command::Token(Token::Ls { list })
            | Command::Orchestrator(Orchestrator::Ls { list, .. })
            | Command::Harness(Harness::Ls { list, .. } | Harness::Limits { list, .. })
            | Command::Delivery(Delivery::Ls { list, .. })
            | Command::Org(Org::Ls { list } | Org::Token(OrgToken::Ls { list, .. }))
            | Command::Agent(Agent::Ls { list, .. } | Agent::Members { list, .. })
            | Command::Turn(Turn::Ls(TurnFilter { list, .. }))
            | Command::Conversation(Conversation::Ls { list, .. })
            | Command::Lease(Lease::Ls { list })
            | Command::Attention(Attention { list, .. }) => Some(list),
            _ => None,
        }
    }
}

fn at_least_one(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| "write a whole number, at least 1".to_owned())
}
