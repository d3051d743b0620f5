//! Resolves the aliases of hosts in the configuration of ssh.

use std::path::Path;
use std::time::Duration;

use crate::environment::Environment;
use crate::program::Program;

/// The name of the host that ssh connects to for `alias`, by its configuration alone: it makes no
/// connection. `None` when ssh is missing, fails, or takes longer than `timeout`.
#[must_use]
pub fn host_of_alias(alias: &str, environment: &Environment, timeout: Duration) -> Option<String> {
    let program = Program {
        name: "ssh",
        args: &["-G", "--", alias],
        input: "",
        dir: Path::new("/"),
        environment,
        variables: &[],
        timeout,
    };
    let output = program.run().ok().filter(|output| output.status == 0)?;
    let text = String::from_utf8(output.stdout).ok()?;
    let host = text.lines().find_map(|line| line.strip_prefix("hostname "))?;
    (!host.is_empty()).then(|| host.to_owned())
}
