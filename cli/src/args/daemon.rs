//! The commands about the daemon, and about the tokens that it accepts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueHint};

use super::list::ListArgs;
use super::observe::Api;

/// What a daemon serves, and where.
#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// Listen on this port of 127.0.0.1; if it is taken, on another one [default: $AO_PORT, otherwise
    /// that of the configuration file, otherwise any]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Record who starts it; only a program that named itself `app` stops it by disconnecting
    #[arg(long, value_name = "NAME", value_parser = ["app", "persistent"])]
    pub(crate) owner: Option<String>,
    /// Do not observe pull requests
    #[arg(long)]
    pub(crate) no_observe: bool,
    /// Accept the webhook deliveries of GitHub at /webhooks/github that are signed with the secret in
    /// this file [default: $AO_WEBHOOK_SECRET, if set]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) webhook_secret_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) api: Api,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Daemon {
    #[command(subcommand)]
    pub(crate) command: Option<DaemonCommand>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum DaemonCommand {
    /// Show whether a daemon runs, where it listens, and what its loops do
    #[command(after_help = "Examples:
  ao-store daemon status
  ao-store daemon status --json | jq -r .data.url")]
    Status,
}

/// The daemon as a service of the user.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Service {
    /// Write the systemd unit, and print the commands that start it
    #[command(after_help = "Examples:
  ao-store service install
  ao-store --data-dir /srv/ao service install")]
    Install,
    /// Remove the systemd unit
    #[command(after_help = "Examples:
  systemctl --user disable --now ao-store.service && ao-store service uninstall")]
    Uninstall,
    /// Print the systemd unit
    #[command(after_help = "Examples:
  ao-store service print")]
    Print,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Start {
    #[command(flatten)]
    pub(crate) serve: Serve,
    /// Wait up to this long until it is ready
    #[arg(long, value_name = "D", value_parser = humantime::parse_duration, default_value = "30s")]
    pub(crate) timeout: Duration,
    /// Append its messages to this file [default: daemon.log in the data directory]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) log_file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Stop {
    /// Wait up to this long until it has ended
    #[arg(long, value_name = "D", value_parser = humantime::parse_duration, default_value = "30s")]
    pub(crate) timeout: Duration,
}

/// The tokens of programs that only read.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Create a token and print it, this once
    #[command(after_help = "Examples:
  ao-store token create --read dashboard > dashboard.token

A program sends it as the header `Authorization: Bearer TOKEN`; with curl, from a file: `-H @FILE`. It
may only read. The daemon knows it at once, and refuses it at once when it is revoked. The token
of the operator, which may do everything, is in tokens/operator.token in the data directory.")]
    Create {
        /// Name it so; it may only read
        #[arg(long, value_name = "NAME")]
        read: String,
    },
    /// List the tokens
    #[command(after_help = "Examples:
  ao-store token ls
  ao-store token ls -o name

Columns: name, scope, created")]
    Ls {
        #[command(flatten)]
        list: ListArgs,
    },
    /// Revoke a token: from now on it is refused
    #[command(after_help = "Examples:
  ao-store token revoke dashboard")]
    Revoke {
        /// Its name
        name: String,
    },
}
