//! Runs the setup command of a project in a new worktree.

use std::path::Path;
use std::time::Duration;

use ao_program::{Environment, Program};

use crate::error::{Error, Result};

/// How much of the output a failure shows.
const TAIL: usize = 8 << 10;

/// Runs the command line in the worktree, in a shell with exactly these variables but those of git.
///
/// # Errors
/// [`Error::SetupFailed`], with the end of what it printed: it cannot be started, ends with an error, or
/// runs too long and is killed. The same when `is_stopped` says that nobody waits for it any more.
pub fn run_setup(
    worktree: &Path,
    command: &str,
    timeout: Duration,
    environment: &Environment,
    variables: &[(&str, String)],
    is_stopped: &dyn Fn() -> bool,
) -> Result<()> {
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let program = Program {
        name: "/bin/sh",
        args: &["-c", command],
        input: "",
        dir: worktree,
        environment,
        variables: &variables,
        timeout,
    };
    let (outcome, output) = match program.run_tail(TAIL, is_stopped) {
        Ok(tail) => match tail.status {
            Ok(0) => return Ok(()),
            Ok(status) => (format!("ended with exit status {status}"), tail.output),
            Err(error) => (format!("failed: {error}"), tail.output),
        },
        Err(error) => (format!("cannot be run: {error}"), Vec::new()),
    };
    Err(Error::SetupFailed { outcome, tail: String::from_utf8_lossy(&output).into_owned() })
}
