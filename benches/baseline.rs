//! The baselines in C: the same work on the same file, by a small program with the same SQLite.

use std::path::Path;
use std::process::Command;

/// The program that `build.rs` compiled of `baseline/<name>.c`.
#[must_use]
pub fn baseline(name: &str) -> Command {
    Command::new(Path::new(env!("AO_BASELINES")).join(name))
}
