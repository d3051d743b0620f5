//! The arguments of the commands about turns: org, agent, turn, conversation, lease.

use std::time::Duration;

use ao_store::turn::State;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use clap::{Args as ClapArgs, Subcommand};

use super::ListArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum Org {
    /// Manage the tokens of programs that act for an organisation over HTTP
    #[command(
        subcommand,
        after_help = "Examples:
  ao-store org token create acme web > web.token
  ao-store org token ls acme"
    )]
    Token(OrgToken),
    /// Add an organisation, with an agent named default
    #[command(after_help = "Examples:
  ao-store org add acme")]
    Add {
        /// Its name
        #[arg(allow_hyphen_values = true)]
        name: String,
    },
    /// List organisations
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store org ls

Columns: id, created"
    )]
    Ls {
        #[command(flatten)]
        list: ListArgs,
    },
}

/// The tokens of programs that act for an organisation over HTTP.
#[derive(Debug, Subcommand)]
pub(crate) enum OrgToken {
    /// Create a token of an organisation and print it, this once
    #[command(after_help = "Examples:
  ao-store org token create acme web > web.token

A program sends it to the daemon as the header `Authorization: Bearer TOKEN`. It is that organisation
and nothing else: its turns, its conversations, and its agents, which it only reads. The daemon
knows it at once, and refuses it at once when it is revoked.")]
    Create {
        /// The organisation
        org: String,
        /// Its name
        name: String,
    },
    /// Revoke a token of an organisation: from now on it is refused
    #[command(after_help = "Examples:
  ao-store org token revoke acme web")]
    Revoke {
        /// The organisation
        org: String,
        /// Its name
        name: String,
    },
    /// List the tokens of an organisation
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store org token ls acme

Columns: name, scope, created"
    )]
    Ls {
        /// The organisation
        org: String,
        #[command(flatten)]
        list: ListArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// Add an agent to which turns can be sent
    #[command(after_help = "Examples:
  ao-store agent add reviewer
  ao-store agent add reviewer --account claude-code/work
  ao-store agent add writer --org acme
  ao-store agent add fixer --session demo-1

A worker answers for it: ao-store worker run --agent NAME -- COMMAND. Claims stop while its account
has reached a limit: see ao-store harness limits.")]
    Add {
        /// Its name
        #[arg(allow_hyphen_values = true)]
        name: String,
        #[command(flatten)]
        org: OrgArg,
        /// The account that its program uses
        #[arg(long, value_name = "ACCOUNT", value_parser = NonEmptyStringValueParser::new(),
            conflicts_with = "session")]
        account: Option<String>,
        /// The session that answers: each turn is written to its agent, and ends with the agent's turn.
        /// Without it, workers answer
        #[arg(long, value_name = "SESSION")]
        session: Option<String>,
    },
    /// List agents
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store agent ls
  ao-store agent ls --org acme -o name

Columns: id, org, account, session, created"
    )]
    Ls {
        #[command(flatten)]
        org: OrgFilter,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one agent with its members
    #[command(after_help = "Examples:
  ao-store agent get default")]
    Get {
        /// The agent
        #[arg(allow_hyphen_values = true)]
        name: String,
        #[command(flatten)]
        org: OrgArg,
    },
    /// List the users who may send turns to an agent, after adding or removing some
    #[command(after_help = "Examples:
  ao-store agent members default
  ao-store agent members default --add slack/U024BE7LH
  ao-store agent members default --remove slack/U024BE7LH

Who can write the store may send turns to every agent.
Columns: platform, user")]
    Members {
        /// The agent
        #[arg(allow_hyphen_values = true)]
        name: String,
        #[command(flatten)]
        org: OrgArg,
        /// Let this user send turns (repeat for several)
        #[arg(long, value_name = "PLATFORM/USER")]
        add: Vec<String>,
        /// End that this user may send turns (repeat for several)
        #[arg(long, value_name = "PLATFORM/USER")]
        remove: Vec<String>,
        #[command(flatten)]
        list: ListArgs,
    },
}

/// The organisation of one thing.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct OrgArg {
    /// The organisation [default: local]
    #[arg(long, value_name = "O", allow_hyphen_values = true)]
    pub(crate) org: Option<String>,
}

/// The organisation of the rows of a list.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct OrgFilter {
    /// Show only those of this organisation
    #[arg(long, value_name = "O", allow_hyphen_values = true)]
    pub(crate) org: Option<String>,
}

pub(super) const SEND_HELP: &str = "Examples:
  ao-store turn send 'Which tests fail on main?'
  ao-store turn send --agent reviewer --conversation release-2 'Is it ready?'
  git diff | ao-store turn send --agent reviewer -
  ao-store turn send 'Count the files' --key count-1      the second time prints the stored answer
  ao-store turn send 'Think about it' --no-wait           prints the id of the turn
  ao-store turn send 'Hello' --json | jq -r .data.text

The answer is printed as it comes. From the commit of the message on, the turn ends in exactly one
outcome, also if this command ends: an answer, or an error (exit status 1), a cancellation (5), or no
worker took it (8). Ctrl-C cancels the turn; any other end of this command does not, and prints how to
continue. The turns of a conversation run one at a time, in their order.

A conversation is named by its id, or by a text of your choice, with which it is made on first use.
Without one, each user has one conversation with each agent.";

#[derive(Debug, ClapArgs)]
pub(crate) struct SendTurn {
    /// The message, or - for standard input
    #[arg(allow_hyphen_values = true)]
    pub(crate) text: String,
    /// The agent [default: default, or that of the conversation]
    #[arg(long, value_name = "A", allow_hyphen_values = true)]
    pub(crate) agent: Option<String>,
    /// The conversation: its id, or a name
    #[arg(long, value_name = "C", allow_hyphen_values = true)]
    pub(crate) conversation: Option<String>,
    #[command(flatten)]
    pub(crate) org: OrgArg,
    /// Send it once: the same message with the same key is the same turn
    #[arg(long, value_name = "K", allow_hyphen_values = true)]
    pub(crate) key: Option<String>,
    /// Give the turn up when no worker has taken it for this long [default: 2m]
    #[arg(long, value_name = "D", value_parser = super::positive)]
    pub(crate) expires: Option<Duration>,
    /// Stop waiting after this long, with exit status 8; the turn goes on [default: never]
    #[arg(long, value_name = "D", conflicts_with = "no_wait", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Print the id of the turn, and do not wait for the answer
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Turn {
    /// Send a message to an agent, and print its answer
    #[command(after_help = SEND_HELP)]
    Send(Box<SendTurn>),
    /// List the newest 50 turns, newest first
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store turn ls
  ao-store turn ls --state queued,running --agent reviewer
  ao-store turn ls --conversation c0f3c5a7be1d24968 --limit 500

Columns: id, state, accepted, agent, org, conversation, reason, bytes, reply, key, started, ended"
    )]
    Ls(TurnFilter),
    /// Show one turn: its message, its last event and what it used
    #[command(after_help = "Examples:
  ao-store turn get t0f3c5a7be1d24968
  ao-store turn get t0f3c5a7be1d24968 --json | jq -r .data.text")]
    Get {
        /// The turn
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Cancel a turn; the worker of a running one has 10 seconds to end it
    #[command(after_help = "Examples:
  ao-store turn cancel t0f3c5a7be1d24968")]
    Cancel {
        /// The turn
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TurnFilter {
    /// Show only those of this agent
    #[arg(long, value_name = "A", allow_hyphen_values = true)]
    pub(crate) agent: Option<String>,
    #[command(flatten)]
    pub(crate) org: OrgFilter,
    /// Show only those in this state (repeat for several)
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', value_parser = states())]
    pub(crate) states: Vec<String>,
    /// Show only those of this conversation
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) conversation: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

fn states() -> PossibleValuesParser {
    PossibleValuesParser::new(State::ALL.iter().map(|state| state.as_str()))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Conversation {
    /// List conversations
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store conversation ls
  ao-store conversation ls --agent reviewer --sort -created --limit 5

Columns: id, agent, org, thread, user, turns, head, created"
    )]
    Ls {
        /// Show only those with this agent
        #[arg(long, value_name = "A", allow_hyphen_values = true)]
        agent: Option<String>,
        #[command(flatten)]
        org: OrgFilter,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show one conversation
    #[command(after_help = "Examples:
  ao-store conversation get c0f3c5a7be1d24968")]
    Get {
        /// The conversation
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Let an agent begin without its memory of a conversation; nothing is deleted
    #[command(after_help = "Examples:
  ao-store conversation reset c0f3c5a7be1d24968")]
    Reset {
        /// The conversation
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Print the events of a conversation
    #[command(after_help = "Examples:
  ao-store conversation tail c0f3c5a7be1d24968
  ao-store conversation tail c0f3c5a7be1d24968 --from 12 -f
  ao-store conversation tail c0f3c5a7be1d24968 -f --json | jq -r .text

Each event has a position, without gaps. Some minutes after a turn was answered, the parts of its
answer are deleted; its last event has the whole answer.")]
    Tail {
        /// The conversation
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Start after this position
        #[arg(long, value_name = "SEQ", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
        from: i64,
        /// Wait for more at the newest event
        #[arg(short = 'f', long)]
        follow: bool,
        /// Print control lines too: hello, bookmarks at this interval, bye
        #[arg(long, value_name = "D", value_parser = humantime::parse_duration)]
        heartbeat: Option<Duration>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Lease {
    /// List the leases that have not expired: those of consumers
    #[command(
        visible_alias = "list",
        after_help = "Examples:
  ao-store lease ls

Columns: name, lease, owner, until"
    )]
    Ls {
        #[command(flatten)]
        list: ListArgs,
    },
}
