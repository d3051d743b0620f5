//! The documentation in the program: completions, man pages, and the schema of its input.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::{self, Args};
use crate::error::{Error, Result};
use crate::output;

/// Prints the JSON Schema of the observation document.
pub(crate) fn schema() -> Result<()> {
    output::line(&format!("{:#}", ao_observer::document::schema()))
}

/// Prints a completion script.
pub(crate) fn completion(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "ao-store", &mut script);
    output::raw_bytes(&script)
}

/// Writes one man page a command.
pub(crate) fn man(out: &Path) -> Result<()> {
    fs::create_dir_all(out).map_err(|source| Error::file("create", out, source))?;
    // Not built yet: a built grammar has a page for each `help` of a command.
    clap_mangen::generate_to(Args::command(), out)
        .map_err(|source| Error::file("write man pages to", out, source))?;
    output::say(&format!("man pages written to {}", output::path(out)));
    Ok(())
}
