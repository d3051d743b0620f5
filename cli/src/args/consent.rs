//! How a command that deletes or replaces something is confirmed.

use clap::Args as ClapArgs;

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
