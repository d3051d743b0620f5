//! The arguments that every list has.

use clap::{Args as ClapArgs, ValueEnum};

/// How a list is printed.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct ListArgs {
    /// Print in this format [default: table]
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = false)]
    pub(crate) output: Option<ListFormat>,
    /// Show these columns of the table, in this order
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Sort by this column; -COLUMN or COLUMN:desc reverses the order
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// Print at most N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

/// The format of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// A table for people
    Table,
    /// One JSON document, as with --json
    Json,
    /// One JSON object per line
    Ndjson,
    /// One id per line
    Name,
}

impl ListArgs {
    /// Whether programs read the output, so that errors are JSON, too.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.output, Some(ListFormat::Json | ListFormat::Ndjson))
    }

    /// Why the options contradict each other, if they do.
    pub(crate) fn contradiction(&self, is_json: bool) -> Option<&'static str> {
        match self.output {
            Some(ListFormat::Table | ListFormat::Name | ListFormat::Ndjson) if is_json => {
                Some("--json is -o json; pass only one of --json and -o")
            }
            Some(ListFormat::Json | ListFormat::Ndjson | ListFormat::Name)
                if !self.columns.is_empty() =>
            {
                Some("--columns chooses columns of the table; omit it, or pass -o table")
            }
            None if is_json && !self.columns.is_empty() => {
                Some("--columns chooses columns of the table; omit it or --json")
            }
            _ => None,
        }
    }
}
