//! Starts a program whose input, output and messages its caller writes and reads.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::environment::Environment;
use crate::error::{Error, Result};

/// A program that runs as long as it likes, in a process group of its own and in the directory of this
/// process. It has exactly these variables, and three pipes.
#[derive(Debug, Clone, Copy)]
pub struct Piped<'a> {
    /// Its name, which is looked up in the `PATH` of the environment, or its path; and its arguments.
    pub argv: &'a [OsString],
    /// Its variables.
    pub environment: &'a Environment,
}

impl Piped<'_> {
    /// Starts it.
    ///
    /// # Errors
    /// It is not on `PATH`, or cannot be executed.
    pub fn start(&self) -> Result<Child> {
        let Some((name, args)) = self.argv.split_first() else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        };
        let child = Command::new(self.path(name)?)
            .args(args)
            .env_clear()
            .envs(self.environment.iter())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(child)
    }

    fn path(&self, name: &OsString) -> Result<PathBuf> {
        if name.as_encoded_bytes().contains(&b'/') {
            return Ok(name.into());
        }
        let name = name.to_string_lossy();
        self.environment.find_program(&name).ok_or_else(|| Error::NotOnPath(name.into_owned()))
    }
}
