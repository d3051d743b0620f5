//! Runs a program that may print any amount, and keeps the end of it.

use std::io;
use std::time::{Duration, Instant};

use subprocess::{ExitStatus, Job, Redirection};

use crate::error::{Error, Result};
use crate::program::{Program, kill};

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// How long one read waits.
const TICK: Duration = Duration::from_millis(100);

/// How a program ended, and the end of what it printed.
#[derive(Debug)]
pub struct Tail {
    /// Its exit status; an error when a signal ended it or it ran too long.
    pub status: Result<u32>,
    /// The last bytes of its standard output and standard error, in the order in which it printed them.
    pub output: Vec<u8>,
}

impl Program<'_> {
    /// Runs the program to its end and keeps the last `bytes` of its output. It blocks for at most the
    /// timeout, and only until `is_stopped`. The processes that it left in its process group are killed unless its status is 0.
    ///
    /// # Errors
    /// The program is not on `PATH` or cannot be started.
    pub fn run_tail(&self, bytes: usize, is_stopped: &dyn Fn() -> bool) -> Result<Tail> {
        let mut job = self.prepare()?.stderr(Redirection::Merge).start()?;
        let mut output = Vec::new();
        let status = read_tail(&mut job, self.timeout, is_stopped, bytes, &mut output);
        if !matches!(status, Ok(0)) {
            kill(&job);
        }
        Ok(Tail { status, output })
    }
}

/// Reads until the program has ended and its output was read.
fn read_tail(
    job: &mut Job,
    timeout: Duration,
    is_stopped: &dyn Fn() -> bool,
    bytes: usize,
    output: &mut Vec<u8>,
) -> Result<u32> {
    let deadline = Instant::now() + timeout;
    let mut pipes = job.communicate()?.limit_time(TICK).limit_size(CHUNK);
    loop {
        // Before the read, which then finds the end of what the program printed.
        let ended = job.poll();
        let before = output.len();
        let read = pipes.read_to(&mut *output, io::sink());
        let is_full = output.len() - before >= CHUNK;
        output.drain(..output.len().saturating_sub(bytes));
        let left = deadline.saturating_duration_since(Instant::now());
        match (ended, read) {
            (None, _) if is_stopped() => return Err(Error::Stopped),
            (None, _) if left.is_zero() => return Err(Error::TimedOut(timeout)),
            // There is more to read, unless a process that was left behind prints for ever.
            (_, Ok(())) if is_full && !left.is_zero() => {}
            (Some(status), _) => return code(status),
            // It has closed its output, but may run on.
            (None, Ok(())) => {
                if let Some(status) = job.wait_timeout(left.min(TICK))? {
                    return code(status);
                }
            }
            (None, Err(error)) if error.kind() == io::ErrorKind::TimedOut => {}
            (None, Err(error)) => return Err(error.into()),
        }
    }
}

fn code(status: ExitStatus) -> Result<u32> {
    status.code().ok_or_else(|| Error::Signalled(status.to_string()))
}
