//! Runs one program to its end, within bounds of time and of output.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use subprocess::{Exec, ExecExt, Job, Redirection};

use crate::environment::Environment;
use crate::error::{Error, Result};

/// The most bytes that a program may print unless its caller allows more.
const OUTPUT_MAX: usize = 256 << 10;

/// How long a program that exceeds a bound may take to end after SIGTERM. git removes its lock files
/// in that time.
const GRACE: Duration = Duration::from_millis(500);

/// How long the rest of the output is read after the program has ended. A process that it left
/// behind can hold the pipes open for ever.
const DRAIN: Duration = Duration::from_millis(100);

/// A program to run, with everything that it depends on.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Its name, which is looked up in the `PATH` of the environment.
    pub name: &'a str,
    /// Its arguments.
    pub args: &'a [&'a str],
    /// Its standard input.
    pub input: &'a str,
    /// The directory in which it runs.
    pub dir: &'a Path,
    /// Its variables; those of git (`GIT_*`) are left out.
    pub environment: &'a Environment,
    /// Variables that it gets besides.
    pub variables: &'a [(&'a str, &'a str)],
    /// How long it may run.
    pub timeout: Duration,
}

/// How a program ended and what it printed.
#[derive(Debug)]
pub struct Output {
    /// Its exit status, 0 for success.
    pub status: u32,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Program<'_> {
    /// Runs the program to its end. It blocks for at most the timeout.
    ///
    /// # Errors
    /// The program is not on `PATH`, cannot be started, runs too long, prints too much, or is ended
    /// by a signal.
    pub fn run(&self) -> Result<Output> {
        self.run_within(OUTPUT_MAX)
    }

    /// Like [`run`](Program::run), with another bound of its output.
    pub(crate) fn run_within(&self, output_max: usize) -> Result<Output> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let status = self.run_into(output_max, &mut stdout, &mut stderr)?;
        Ok(Output { status, stdout, stderr })
    }

    /// Like [`run_within`](Program::run_within), but a program that prints more is stopped, and what it printed
    /// until then is the answer, without a status.
    pub(crate) fn run_until(&self, output_max: usize) -> Result<(Output, bool)> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let (status, is_cut) = match self.run_into(output_max, &mut stdout, &mut stderr) {
            Err(Error::OutputTooLong(_)) => (0, true),
            status => (status?, false),
        };
        stdout.truncate(output_max);
        Ok((Output { status, stdout, stderr }, is_cut))
    }

    fn run_into(
        &self,
        output_max: usize,
        stdout: &mut Vec<u8>,
        stderr: &mut Vec<u8>,
    ) -> Result<u32> {
        let mut job = self.prepare()?.start()?;
        let status = communicate(&mut job, self.timeout, output_max, (stdout, stderr));
        if status.is_err() {
            kill(&job);
        }
        status
    }

    /// The program with its arguments and variables; it can be started.
    pub(crate) fn prepare(&self) -> Result<Exec> {
        let path = self.environment.find_program(self.name);
        let path = path.ok_or_else(|| Error::NotOnPath(self.name.to_owned()))?;
        // Starting it there would fail as if the program were missing.
        if !self.dir.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
        }
        tracing::debug!(program = %path.display(), args = ?self.args, dir = %self.dir.display(), "run");
        Ok(self.exec(&path))
    }

    fn exec(&self, path: &Path) -> Exec {
        let is_kept = |name: &OsStr| !name.as_encoded_bytes().starts_with(b"GIT_");
        let exec = Exec::cmd(path)
            .args(self.args)
            .cwd(self.dir)
            .env_clear()
            .env_extend(self.environment.iter().filter(|(name, _)| is_kept(name)))
            .env_extend(self.variables.iter().copied())
            .env("LC_ALL", "C")
            .setpgid()
            .stdout(Redirection::Pipe)
            .stderr(Redirection::Pipe);
        if self.input.is_empty() {
            exec.stdin(Redirection::Null)
        } else {
            exec.stdin(self.input.to_owned())
        }
    }
}

/// Feeds the program its input and reads its output until it has ended; its exit status.
fn communicate(
    job: &mut Job,
    timeout: Duration,
    output_max: usize,
    (stdout, stderr): (&mut Vec<u8>, &mut Vec<u8>),
) -> Result<u32> {
    let deadline = Instant::now() + timeout;
    let mut pipes = job.communicate()?.limit_time(DRAIN).limit_size(output_max + 1);
    let status = loop {
        // Before the read, which then finds all that the program printed.
        let ended = job.poll();
        let read = pipes.read_to(&mut *stdout, &mut *stderr);
        if stdout.len() + stderr.len() > output_max {
            return Err(Error::OutputTooLong(output_max));
        }
        if let Some(status) = ended {
            break status;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match read {
            // The program has closed its output, but may run on.
            Ok(()) => break job.wait_timeout(left)?.ok_or(Error::TimedOut(timeout))?,
            Err(error) if error.kind() != io::ErrorKind::TimedOut => return Err(error.into()),
            Err(_) if left.is_zero() => return Err(Error::TimedOut(timeout)),
            Err(_) => {}
        }
    };
    status.code().ok_or_else(|| Error::Signalled(status.to_string()))
}

/// Ends the program with its process group, by SIGKILL when SIGTERM does not, and reaps it.
pub(crate) fn kill(job: &Job) {
    // The group may have just ended, or the program may have left it.
    if let Some(pid) = i32::try_from(job.pid()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while !has_ended(pid) && Instant::now() < deadline {
            sleep(Duration::from_millis(5));
        }
        let _ = kill_process_group(pid, Signal::KILL);
    }
    // A program that cannot be killed, such as one of another user, is not waited for.
    if job.kill().is_err() {
        job.detach();
    }
}

/// Whether a child has ended. It is not reaped, so its process group keeps its id.
fn has_ended(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}
