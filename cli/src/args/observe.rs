//! The arguments of observe and its subcommands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

pub(crate) const HELP: &str = "Examples:
  ao-store observe                             observe all tracked pull requests until Ctrl-C
  ao-store observe --once                      observe everything once, then exit
  ao-store observe --repo octo/hello --interval 1m
  ao-store observe --json                      print each poll cycle as one line of JSON
  ao-store observe apply observation.json      apply facts that another program observed
  ao-store observe deliver --event pull_request payload.json

Without a terminal, standard error has a line for each cycle that changed or failed something, and
for each change of credentials, rate limit and backoff; --json prints a line for every cycle.

The credentials are those of gh: GH_TOKEN, GITHUB_TOKEN, gh auth login, and git's credential
helpers; AO_GITHUB_TOKEN takes precedence over all of them. Without credentials the observer waits
for some, as ao-store status shows. One process observes for a store; ao-store up also does.";

/// Runs the observer if there is no subcommand.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Observe {
    #[command(subcommand)]
    pub(crate) command: Option<Intake>,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// Exit when everything was observed once
    #[arg(long)]
    pub(crate) once: bool,
    /// Poll active pull requests at this interval, 5s to 1h; others are polled at multiples of it
    #[arg(long, value_name = "D", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) interval: Duration,
    /// Observe only this repository (repeat for several)
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repo: Vec<String>,
    #[command(flatten)]
    pub(crate) api: Api,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Api {
    /// Use this REST API of the default host; GraphQL is at URL/graphql, or at /api/graphql next to
    /// /api/v3 [default: $AO_GITHUB_API_URL, if set]
    #[arg(long, value_name = "URL")]
    pub(crate) api_url: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Intake {
    /// Apply observation documents (JSON or NDJSON; see docs/json.md)
    #[command(after_help = "Examples:
  ao-store observe apply observation.json
  generate-observations | ao-store observe apply -
  ao-store observe apply --strict observation.json    for programs under development

With --strict the first document that has an unknown field, whose pull request no session owns, or
at whose location another pull request is stored, ends the command with an error, and nothing of it
is stored. The documents before it stay applied.")]
    Apply {
        /// The file, or - for standard input
        file: PathBuf,
        /// Fail on unknown fields and on observations that are not applied
        #[arg(long)]
        strict: bool,
    },
    /// Apply recorded GitHub webhook deliveries (a JSON payload, or NDJSON of several), and request a
    /// refresh of what they name
    #[command(after_help = "Examples:
  ao-store observe deliver --event pull_request payload.json
  ao-store observe deliver --event check_run --session demo-1 -
  AO_WEBHOOK_SECRET=... ao-store observe deliver --event \"$X_GITHUB_EVENT\" \\
      --delivery-id \"$X_GITHUB_DELIVERY\" --signature \"$X_HUB_SIGNATURE_256\" - < body

With a secret, in AO_WEBHOOK_SECRET or a file, an unsigned or wrongly signed payload is refused:
exit status 4.")]
    Deliver(Deliver),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Deliver {
    /// Pass the value of the X-GitHub-Event header
    #[arg(long, value_name = "NAME")]
    pub(crate) event: String,
    /// Attribute it to this session [default: by repository and head branch]
    #[arg(long)]
    pub(crate) session: Option<String>,
    /// Pass the value of the X-GitHub-Delivery header; a repeated delivery is not applied again
    #[arg(long, value_name = "ID")]
    pub(crate) delivery_id: Option<String>,
    /// Pass the value of the X-Hub-Signature-256 header; the file must contain the unchanged body
    #[arg(long, value_name = "sha256=HEX")]
    pub(crate) signature: Option<String>,
    /// Read the secret of the webhook from this file [default: $AO_WEBHOOK_SECRET, if set]
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The file, or - for standard input
    pub(crate) file: PathBuf,
}
