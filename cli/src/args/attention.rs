//! The arguments of attention.

use ao_store::attention::Kind;
use clap::Args as ClapArgs;
use clap::builder::PossibleValuesParser;

use super::ListArgs;

pub(super) const HELP: &str = "Examples:
  ao-store attention
  ao-store attention --project demo --kind ci_failing,threads_unresolved
  ao-store attention --watch                 redraw the list whenever it changes
  ao-store attention --watch -o ndjson       one line per item that is added, changed or removed
  ao-store attention --exit-code && echo nothing to do

Columns: kind, what, session, since, detail, title, project, url, next";

#[derive(Debug, ClapArgs)]
pub(crate) struct Attention {
    /// Show only what belongs to this project, or hinders the observation of it
    #[arg(short, long)]
    pub(crate) project: Option<String>,
    /// Show only what belongs to this session, or hinders the observation of its project
    #[arg(short, long)]
    pub(crate) session: Option<String>,
    /// Show only this kind (repeat for several)
    #[arg(short, long = "kind", value_name = "KIND", value_delimiter = ',', value_parser = kinds())]
    pub(crate) kinds: Vec<String>,
    /// Follow: redraw the list on a terminal, otherwise print a line per item that changes
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Exit with status 6 if something needs attention
    #[arg(long, conflicts_with = "watch")]
    pub(crate) exit_code: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.as_str()))
}
