//! The commands that take in what was learned elsewhere.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Observe {
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
