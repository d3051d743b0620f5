//! Runs a command that ends the session in which it was called. An agent that ends takes along what it has
//! started, so this process could be gone before the command is done: another one does it, which belongs
//! neither to the launch of the agent nor to its process group.

use std::os::unix::process::ExitStatusExt;

use ao_program::{Environment, run_apart};

use crate::args::{Command, Orchestrator, Session};
use crate::error::{Error, Result};

/// Says that a process belongs to a launch.
const LAUNCH: &str = "AO_LAUNCH_ID";

/// Runs the command in another process if it may end the session in which this one runs. The exit status;
/// `None` when this process is to run it.
pub(crate) fn run(command: &Command) -> Result<Option<u8>> {
    let environment = Environment::of_process();
    let is_own = |id: &str| environment.get("AO_SESSION_ID").is_some_and(|own| own == id);
    let ends_it = match command {
        Command::Session(Session::Kill { id, .. }) => is_own(id),
        Command::Orchestrator(Orchestrator::Ensure { replace, .. }) => *replace,
        _ => false,
    };
    if !ends_it || environment.get(LAUNCH).is_none() {
        return Ok(None);
    }
    let program = std::env::current_exe();
    let program = program.map_err(|source| Error::file("find", "ao-store".as_ref(), source))?;
    let mut argv = vec![program.into_os_string()];
    argv.extend(std::env::args_os().skip(1));
    let ended = run_apart(&argv, LAUNCH).map_err(Error::Command)?;
    let status = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    Ok(Some(status.and_then(|status| u8::try_from(status).ok()).unwrap_or(1)))
}
