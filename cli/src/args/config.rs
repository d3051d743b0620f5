//! The arguments of config.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show each setting of the configuration file, as this command line would use it
    #[command(after_help = "Examples:
  ao-store config show
  ao-store config show --origin            and where each value is from
  ao-store --color never config show --json")]
    Show {
        /// Show where each value is from: flag, environment, file or default
        #[arg(long)]
        origin: bool,
    },
    /// Print the path of the configuration file, which may be absent
    #[command(after_help = "Examples:
  \"$EDITOR\" \"$(ao-store config path)\"")]
    Path,
}
