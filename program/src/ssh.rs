//! Resolves the aliases of hosts in the configuration of ssh.

use std::path::Path;
use std::time::Duration;

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::program::Program;

/// The name of the host that ssh connects to for a destination (`alias` or `user@alias`), by its
/// configuration alone: it makes no connection, but runs the commands that the user configured for
/// that. `None` without ssh.
///
/// # Errors
/// ssh fails, runs too long, or does not name a host.
pub fn host_of_alias(
    destination: &str,
    environment: &Environment,
    timeout: Duration,
) -> Result<Option<String>> {
    let program = Program {
        name: "ssh",
        args: &["-G", "--", destination],
        input: "",
        dir: Path::new("/"),
        environment,
        variables: &[],
        timeout,
    };
    let output = match program.run() {
        Err(Error::NotOnPath(_)) => return Ok(None),
        output => output?,
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("hostname "));
    match host.filter(|host| output.status == 0 && !host.is_empty()) {
        Some(host) => Ok(Some(host.to_owned())),
        None => Err(Error::Ssh(output.status)),
    }
}
