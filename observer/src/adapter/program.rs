//! Runs a program that must not ask anybody anything, and must end soon.
//!
//! It gets the variables it is given, none of git's of the caller, and has a bound: when that is
//! over, it and what it started are killed. What it says is read up to a limit.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::github::Environment;

/// How long a program may take.
const BOUND: Duration = Duration::from_secs(2);

/// How long what a program said may still be under way when it has ended. Something that it left
/// behind may hold the pipe for ever.
const DRAIN: Duration = Duration::from_millis(100);

/// The most that a program may say.
const LONGEST: usize = 256 << 10;

/// A program to run.
pub(crate) struct Program<'a> {
    /// Its name, looked for in the `PATH` of the environment.
    pub(crate) name: &'static str,
    /// Its arguments.
    pub(crate) args: &'a [&'a str],
    /// What it reads.
    pub(crate) input: &'a str,
    /// The directory in which it runs.
    pub(crate) dir: &'a Path,
    /// Its variables; those of git are left out.
    pub(crate) environment: &'a Environment,
    /// Variables that it gets besides.
    pub(crate) with: &'a [(&'a str, &'a str)],
}

/// What came of running a program.
#[derive(Debug)]
pub(crate) enum Ran {
    /// There is no such program.
    Missing,
    /// It ended by itself.
    Ended(Output),
}

/// What a program said.
#[derive(Debug)]
pub(crate) struct Output {
    /// Whether it ended well.
    pub(crate) is_success: bool,
    /// What it printed.
    pub(crate) stdout: Vec<u8>,
    /// What it complained about.
    pub(crate) stderr: Vec<u8>,
}

impl Program<'_> {
    /// Runs it to its end.
    ///
    /// # Errors
    /// It cannot be started, takes too long, says too much, or is ended by a signal.
    pub(crate) fn run(&self) -> io::Result<Ran> {
        let Some(path) = self.environment.program(self.name) else { return Ok(Ran::Missing) };
        let deadline = Instant::now() + BOUND;
        let mut child = self.command(&path).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // It need not read, and there is less than a pipe holds.
            let _ = stdin.write_all(self.input.as_bytes());
        }
        listen(&mut child, deadline).map(Ran::Ended)
    }

    fn command(&self, path: &Path) -> Command {
        let is_kept = |name: &OsStr| !name.as_encoded_bytes().starts_with(b"GIT_");
        let mut command = Command::new(path);
        command
            .args(self.args)
            .current_dir(self.dir)
            .env_clear()
            .envs(self.environment.iter().filter(|(name, _)| is_kept(name)))
            .envs(self.with.iter().copied())
            .env("LC_ALL", "C")
            // A group of its own: a wrapper script leaves what it started behind.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// All that the child says until it ended, which must be in time.
fn listen(child: &mut Child, deadline: Instant) -> io::Result<Output> {
    let (stdout, stderr) = (gather(child.stdout.take()), gather(child.stderr.take()));
    let status = wait(child, deadline)?;
    let drained = Instant::now() + DRAIN;
    let output = Output {
        is_success: status.success(),
        stdout: collect(&stdout, drained)?,
        stderr: collect(&stderr, drained)?,
    };
    // Who is killed has not said no.
    if status.code().is_none() {
        return Err(io::Error::other(format!("it ended with {status}")));
    }
    Ok(output)
}

fn wait(child: &mut Child, deadline: Instant) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            end(child)?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it did not end in time"));
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Reads a pipe in a thread of its own, which is not joined: what has left the group can hold the
/// pipe for as long as it likes.
fn gather(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let Some(mut pipe) = pipe else { return };
        let mut buffer = vec![0; 16 << 10];
        let mut left = LONGEST;
        // One chunk beyond the limit tells that it was reached.
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            if send.send(buffer[..length].to_vec()).is_err() || length > left {
                break;
            }
            left -= length;
        }
    });
    receive
}

fn collect(chunks: &Receiver<Vec<u8>>, until: Instant) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    while let Ok(chunk) = chunks.recv_timeout(until.saturating_duration_since(Instant::now())) {
        said.extend(chunk);
    }
    if said.len() > LONGEST {
        return Err(io::Error::other("it says too much"));
    }
    Ok(said)
}

/// Kills the child and its group, and sees it gone.
fn end(child: &mut Child) -> io::Result<()> {
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        // It may just have ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
    // What cannot be killed is not waited for.
    if child.kill().is_ok() {
        child.wait()?;
    }
    Ok(())
}
