//! The arguments of the command line. Parsing only: nothing is opened or resolved here.

mod admin;
mod attention;
mod command;
mod config;
mod consent;
mod daemon;
mod frequent;
mod history;
mod list;
mod message;
mod observe;
mod pr;
mod project;
mod session;
mod spawn;
mod stream;
mod turn;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum, ValueHint};

pub(crate) use admin::{Import, Prune, Retention, Rules, Verify};
pub(crate) use attention::Attention;
pub(crate) use command::{Command, Hook, Shell, Up};
pub(crate) use config::Config;
pub(crate) use consent::Consent;
pub(crate) use daemon::{Daemon, DaemonCommand, Serve, Service, Start, Stop, Token};
pub(crate) use history::{Digest, History, ThingKind};
pub(crate) use list::{ListArgs, ListFormat};
pub(crate) use message::{Delivery, Send, StageName};
pub(crate) use observe::{Api, Deliver, Intake, Observe, Run};
pub(crate) use pr::{ClaimPr, Pr};
pub(crate) use project::{Project, Set};
pub(crate) use session::{Answer, Condition, Decision, Session, SessionKind, Wait};
pub(crate) use spawn::{Common, Grace, Harness, Orchestrator, Reconcile, Spawn};
pub(crate) use stream::{Consumer, FilterArgs, Format, Images, PolicyName, Tail};
pub(crate) use turn::{
    Agent, Conversation, Lease, Org, OrgArg, OrgToken, SendTurn, Turn, TurnFilter,
};
pub(crate) use worker::{Run as WorkerRun, Worker};

/// Every fact about your coding-agent sessions in one SQLite file, and every change of a fact as an
/// ordered, gap-free, resumable stream.
#[derive(Debug, Parser)]
#[command(name = "ao-store", version, max_term_width = 100, after_help = ROOT_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Global {
    /// Use the store in this directory; the database is ao.db in it [default: $AO_DATA_DIR, otherwise
    /// that of the configuration file, otherwise ao-store in the XDG data directory]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print one JSON document instead of text; errors become one JSON line on stderr
    #[arg(long, global = true, help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) json: bool,
    /// Choose how durable a commit is: full survives power loss, relaxed only a crash of the program
    /// [default: full]
    #[arg(long, global = true, value_name = "LEVEL", help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) durability: Option<Durability>,
    /// Wait up to this long for another writer [default: 5s]
    #[arg(long, global = true, value_name = "D", value_parser = humantime::parse_duration, help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) busy_timeout: Option<Duration>,
    /// Colour the text for people; auto respects NO_COLOR and the terminal [default: auto]
    #[arg(long, global = true, value_name = "WHEN", help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) color: Option<Color>,
    /// Print more messages on stderr (-v, -vv)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) verbose: u8,
    /// Print no messages on stderr except errors and questions
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = GLOBAL, hide_short_help = true)]
    pub(crate) quiet: bool,
}

const GLOBAL: &str = "Global options";

const ROOT_HELP: &str = "Examples:
  ao-store up                              create the store, register this repository, follow it
  ao-store project add ~/src/demo          register a repository
  ao-store session new --project demo --branch fix-1
  ao-store observe apply observation.json  apply observed facts about a pull request
  ao-store tail --from beginning           print every change so far, then new ones
  ao-store attention                       what needs you now
  ao-store doctor                          find problems and their fixes

Exit status: 0 ok, 1 other failure, 2 usage, 3 not found, 4 credentials, 5 conflict,
6 findings, 7 cursor expired or of another epoch, 8 timed out, 9 busy, 129/130/141/143 signals";

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
        // A negative number is refused as a number, not as an unknown flag.
        let is_option = |arg: &clap::Arg| !arg.is_positional() && arg.get_action().takes_values();
        let command = command.mut_args(|arg| {
            let is_allowed = is_option(&arg);
            arg.allow_negative_numbers(is_allowed)
        });
        let help = command.get_after_help().map(|help| unwrapped(&help.to_string()));
        let command = match help {
            Some(help) => command.after_help(help),
            None => command,
        };
        command.help_template(HELP).mut_subcommands(with_template)
    }
    with_template(Args::command())
}

/// The text with each paragraph in one line, which clap wraps to the width of the terminal. Examples, which
/// are indented, and their headings stay lines of their own.
fn unwrapped(text: &str) -> String {
    let mut joined = String::new();
    let mut is_open = false;
    for line in text.lines() {
        let is_prose = !line.is_empty() && !line.starts_with(' ');
        if !joined.is_empty() {
            joined.push(if is_open && is_prose { ' ' } else { '\n' });
        }
        joined += line;
        is_open = is_prose && line != "Examples:";
    }
    joined
}

/// Whether the command line, which cannot be parsed, asks for JSON.
pub(crate) fn wants_json() -> bool {
    let words: Vec<_> = std::env::args_os().collect();
    let is_asked = |word: &std::ffi::OsString| {
        ["--json", "-ojson", "-ondjson", "--output=json", "--output=ndjson"]
            .iter()
            .any(|flag| word == flag)
    };
    let is_format = |pair: &[std::ffi::OsString]| {
        (pair[0] == "-o" || pair[0] == "--output") && (pair[1] == "json" || pair[1] == "ndjson")
    };
    words.iter().any(is_asked) || words.windows(2).any(is_format)
}

impl Args {
    /// Parses the arguments of this process.
    pub(crate) fn read() -> Result<Args, clap::Error> {
        let mut args = match frequent::parse(std::env::args_os()) {
            Some(args) => args,
            None => Args::from_arg_matches(&command().try_get_matches()?)?,
        };
        if let Some(list) = args.command.list_args() {
            if let Some(why) = list.contradiction(args.global.json) {
                return Err(command().error(clap::error::ErrorKind::ArgumentConflict, why));
            }
            args.global.json |= list.is_json();
        }
        Ok(args)
    }

    /// How much of the log goes to stderr.
    pub(crate) fn log_level(&self) -> tracing_subscriber::filter::LevelFilter {
        use tracing_subscriber::filter::LevelFilter;
        match self.global.verbose {
            // An error is then one line of JSON, and nothing else is printed.
            0 if self.global.json => LevelFilter::OFF,
            0 if self.global.quiet => LevelFilter::ERROR,
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            _ => LevelFilter::DEBUG,
        }
    }
}

/// A duration that is longer than none.
fn positive(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("it must be longer than 0s".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_one_line_and_an_example_keeps_its_own() {
        let text =
            "Examples:\n  a -x\n  b\n\nOne sentence\nin two lines. Keys:\n  c = 1\nAnd more.";
        let expected =
            "Examples:\n  a -x\n  b\n\nOne sentence in two lines. Keys:\n  c = 1\nAnd more.";
        assert_eq!(unwrapped(text), expected);
    }
}
