//! Starts the program of a user with the terminal of this process, or without one, and processes that may
//! outlive this one.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::environment::{Environment, PRIVATE};
use crate::error::{Error, Result};

/// A program that runs as long as it likes. It has exactly these variables, and the default disposition of
/// SIGPIPE.
#[derive(Debug, Clone, Copy)]
pub struct Interactive<'a> {
    /// The path of the program, and its arguments.
    pub argv: &'a [String],
    /// The directory in which it runs.
    pub dir: &'a Path,
    /// Its variables.
    pub environment: &'a Environment,
    /// Whether it gets the terminal of this process; else it has no input, and its output is a pipe.
    pub has_terminal: bool,
}

impl Interactive<'_> {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be executed.
    pub fn start(&self) -> Result<Child> {
        let Some((program, args)) = self.argv.split_first() else {
            return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput).into());
        };
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir).env_clear().envs(self.environment.iter());
        if !self.has_terminal {
            let (reader, writer) = std::io::pipe()?;
            let errors = writer.try_clone()?;
            command.stdin(Stdio::null()).stdout(writer).stderr(errors);
            let mut child = command.spawn()?;
            child.stdout = Some(std::os::fd::OwnedFd::from(reader).into());
            return Ok(child);
        }
        Ok(command.spawn()?)
    }
}

/// Runs a program in the place of this process, with its terminal and exactly these variables. It returns only
/// when that fails.
#[must_use]
pub fn replace_process(argv: &[String], environment: &Environment) -> Error {
    let Some((name, args)) = argv.split_first() else {
        return std::io::Error::from(std::io::ErrorKind::InvalidInput).into();
    };
    let Some(path) = environment.find_program(name) else {
        return Error::NotOnPath(name.to_owned());
    };
    Command::new(path).args(args).env_clear().envs(environment.iter()).exec().into()
}

/// Starts a program that outlives this one, without input and output, in a directory. Returns its process id.
///
/// # Errors
/// It cannot be executed.
pub fn start_background(argv: &[OsString], dir: &Path, variables: &[(&str, &str)]) -> Result<u32> {
    let mut command = command_of(argv)?;
    command.current_dir(dir).envs(variables.iter().copied());
    start_alone(command)
}

/// The same in a process group of its own, and without some of the variables of this process: what stops
/// this process, its process group, or the processes that have such a variable, does not stop the program.
///
/// # Errors
/// It cannot be executed.
pub fn start_apart(argv: &[OsString], dir: &Path, without: &[&str]) -> Result<u32> {
    let mut command = command_of(argv)?;
    command.current_dir(dir).process_group(0);
    for name in without {
        command.env_remove(name);
    }
    start_alone(command)
}

/// The same, with its output and messages appended to a file. The caller can look at whether it has ended.
///
/// # Errors
/// It cannot be executed.
pub fn start_logged(argv: &[OsString], dir: &Path, without: &[&str], log: File) -> Result<Child> {
    let mut command = command_of(argv)?;
    command.current_dir(dir).process_group(0).stdin(Stdio::null());
    for name in without {
        command.env_remove(name);
    }
    Ok(command.stdout(log.try_clone()?).stderr(log).spawn()?)
}

fn command_of(argv: &[OsString]) -> Result<Command> {
    let Some((program, args)) = argv.split_first() else {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput).into());
    };
    let mut command = Command::new(program);
    command.args(args);
    Ok(command)
}

/// Starts a command without input and output, and without what is meant for this process alone. Its end is waited
/// for, so that it does not stay as a zombie while this process runs.
fn start_alone(mut command: Command) -> Result<u32> {
    for name in PRIVATE {
        command.env_remove(name);
    }
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let pid = child.id();
    std::thread::spawn(move || child.wait());
    Ok(pid)
}

/// Runs a program to its end in a process group of its own, with the input, output and variables of this
/// process except one. It goes on when this process ends.
///
/// # Errors
/// It cannot be executed or waited for.
pub fn run_apart(argv: &[OsString], without: &str) -> Result<ExitStatus> {
    Ok(command_of(argv)?.env_remove(without).process_group(0).status()?)
}
