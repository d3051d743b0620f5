//! A runtime without a terminal: the supervisor is a process with an operating system session of its own.

use ao_program::start_background;
use ao_store::row::lifecycle::spawn::Place;

use super::{Runtime, Start, processes};
use crate::error::{Error, Result};

/// Runs launches as plain processes.
#[derive(Debug, Clone, Copy)]
pub struct Process;

impl Runtime for Process {
    fn kind(&self) -> &'static str {
        "process"
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn place(&self) -> Place {
        Place { kind: self.kind().to_owned(), ..Place::default() }
    }

    fn start(&self, start: &Start<'_>) -> Result<Place> {
        let variables = [(processes::VARIABLE, start.launch), (processes::INSTANCE, "")];
        let pid = start_background(start.argv, start.dir, &variables).map_err(|error| {
            Error::RuntimeFailed { action: "start the supervisor", reason: error.to_string() }
        })?;
        Ok(Place { pane: pid.to_string(), ..self.place() })
    }

    fn is_server_gone(&self, _socket: &str) -> Result<bool> {
        Ok(false)
    }

    /// Nothing shows it but its processes, which are ended separately.
    fn remove(&self, _launch: &str, _socket: &str) -> Result<()> {
        Ok(())
    }

    fn check_input(&self, launch: &str, _socket: &str) -> Result<()> {
        Err(no_terminal("type into it", launch))
    }

    fn paste(&self, launch: &str, _socket: &str, _text: &str) -> Result<()> {
        Err(no_terminal("type into it", launch))
    }

    fn submit(&self, launch: &str, _socket: &str) -> Result<()> {
        Err(no_terminal("type into it", launch))
    }

    fn history(&self, launch: &str, _socket: &str, _lines: u32) -> Result<String> {
        Err(no_terminal("read its screen", launch))
    }
}

fn no_terminal(action: &'static str, launch: &str) -> Error {
    Error::RuntimeFailed { action, reason: format!("launch {launch} has no terminal") }
}
