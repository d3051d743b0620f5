//! Observing pull requests, and the commands that take in what was learned elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

pub(crate) const HELP: &str = "Examples:
  ao-store observe                             keep the facts of all tracked pull requests fresh
  ao-store observe --once                      read everything once, and end
  ao-store observe --repo octo/hello --interval 1m
  ao-store observe apply observation.json      apply what another program learned
  ao-store observe deliver --event pull_request payload.json

Credentials are those of gh: GH_TOKEN, GITHUB_TOKEN, `gh auth login`, git's credential helpers
(AO_GITHUB_TOKEN goes before all of them). Without any it waits for some; `ao-store status` shows it.
One process observes for a store; `ao-store up` does it too.";

/// Runs the observer, where no subcommand is given.
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
    /// End when everything was read once
    #[arg(long)]
    pub(crate) once: bool,
    /// How often a pull request that is being worked on is looked at, 5s to 1h; others at multiples
    /// of it
    #[arg(long, value_name = "D", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) interval: Duration,
    /// Only this repository; can be given again
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repo: Vec<String>,
    #[command(flatten)]
    pub(crate) api: Api,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Api {
    /// Where the default host answers REST; GraphQL is at URL/graphql, or at /api/graphql beside
    /// /api/v3 [default: $AO_GITHUB_API_URL, if set]
    #[arg(long, value_name = "URL")]
    pub(crate) api_url: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Intake {
    /// Apply observation documents (JSON or NDJSON; see docs/json.md)
    #[command(after_help = "Examples:
  ao-store observe apply observation.json
  generate-observations | ao-store observe apply -")]
    Apply {
        /// The file, or - for standard input
        file: PathBuf,
    },
    /// Apply recorded GitHub webhook deliveries (the JSON payload, or NDJSON of many), and ask the
    /// observer to look at what they are about
    #[command(after_help = "Examples:
  ao-store observe deliver --event pull_request payload.json
  ao-store observe deliver --event check_run --session demo-1 -
  AO_WEBHOOK_SECRET=... ao-store observe deliver --event \"$X_GITHUB_EVENT\" \\
      --delivery-id \"$X_GITHUB_DELIVERY\" --signature \"$X_HUB_SIGNATURE_256\" - < body

With a secret, in AO_WEBHOOK_SECRET or a file, nothing is read that is not signed with it: exit code 4.")]
    Deliver(Deliver),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Deliver {
    /// The value of the X-GitHub-Event header
    #[arg(long, value_name = "NAME")]
    pub(crate) event: String,
    /// The session it belongs to [default: by repository and head branch]
    #[arg(long)]
    pub(crate) session: Option<String>,
    /// The value of the X-GitHub-Delivery header; one that was taken before is not applied again
    #[arg(long, value_name = "ID")]
    pub(crate) delivery_id: Option<String>,
    /// The value of the X-Hub-Signature-256 header; the file must hold the body as it was sent
    #[arg(long, value_name = "sha256=HEX")]
    pub(crate) signature: Option<String>,
    /// The secret of the webhook is in this file [default: $AO_WEBHOOK_SECRET, if set]
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The file, or - for standard input
    pub(crate) file: PathBuf,
}
