//! The program of an agent, with its process group.
//!
//! Whether it ended by itself or was stopped is decided once, and the first of both wins: what happens to a
//! program that has ended already is its own end. Its process group is signalled only while its id cannot be
//! that of another one: until it is reaped.

use std::ffi::OsString;
use std::ops::Deref;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_program::{Environment, Piped};
use ao_store::lease::Owner;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::pipes::Pipes;

/// How long a program may take to end that was asked to, because its turn is cancelled.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// The same when the worker is stopped: who stops it waits.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// How long the end of a killed program is waited for. One in an uninterruptible call may never end.
const AFTER_KILL: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_millis(2);

/// Why a program was stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its turn is to be cancelled.
    Cancelled,
    /// Its turn has ended, or is another's: nothing more is written.
    Lost,
    /// It makes no progress.
    Unresponsive,
    /// The worker is stopped.
    Interrupted,
    /// It printed more than this, which is named.
    TooLarge(String),
    /// What it printed is refused for this reason.
    Refused(String),
}

impl Stop {
    /// How long the program may take to end; `None` if it is killed at once.
    fn grace(&self) -> Option<Duration> {
        match self {
            Stop::Cancelled => Some(CANCEL_GRACE),
            Stop::Interrupted => Some(STOP_GRACE),
            Stop::Lost | Stop::Unresponsive | Stop::TooLarge(_) | Stop::Refused(_) => None,
        }
    }
}

/// What ended a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It ended by itself, or something else ended it.
    Exited,
    /// The worker stopped it.
    Stopped(Stop),
}

/// A program that was started.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    /// The same for other processes; `None` if it cannot be looked up.
    leader: Option<Owner>,
    child: Mutex<Option<Child>>,
    end: OnceLock<(End, Instant)>,
}

impl Process {
    /// Starts a program.
    pub(super) fn start(
        argv: &[OsString],
        environment: &Environment,
    ) -> ao_program::Result<(Process, Pipes)> {
        let mut child = Piped { argv, environment }.start()?;
        let pipes = Pipes::of(&mut child);
        let (pid, leader) = (Pid::from_child(&child), Owner::of_process(child.id()));
        let child = Mutex::new(Some(child));
        Ok((Process { pid, leader, child, end: OnceLock::new() }, pipes))
    }

    /// The leader of its process group, which it is.
    pub(super) fn leader(&self) -> Option<&Owner> {
        self.leader.as_ref()
    }

    /// What ended it, or was to end it; `None` while it runs.
    pub(super) fn end(&self) -> Option<End> {
        self.is_over();
        self.end.get().map(|(end, _)| end.clone())
    }

    /// Whether it has ended, for whatever reason; or does not, although it was killed.
    pub(super) fn is_over(&self) -> bool {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let cannot_end = match self.end.get() {
            Some((End::Stopped(why), at)) => {
                at.elapsed() > why.grace().unwrap_or_default() + AFTER_KILL
            }
            _ => false,
        };
        self.notice_exit(child.as_ref()) || cannot_end
    }

    /// The kernel decides whether the program has ended by itself: it is asked before anything is done to it.
    fn notice_exit(&self, child: Option<&Child>) -> bool {
        let has_exited = child.is_none_or(|_| has_exited(self.pid));
        if has_exited {
            self.end.get_or_init(|| (End::Exited, Instant::now()));
        }
        has_exited
    }

    /// Stops it, unless it has ended.
    pub(super) fn stop(&self, why: Stop) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if self.notice_exit(child.as_ref()) {
            return;
        }
        let is_kill = why.grace().is_none();
        if self.end.set((End::Stopped(why), Instant::now())).is_ok() || is_kill {
            self.signal(child.as_ref(), if is_kill { Signal::KILL } else { Signal::TERM });
        }
    }

    /// Kills it when it was stopped and does not end in time.
    pub(super) fn enforce(&self) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((End::Stopped(why), at)) = self.end.get()
            && at.elapsed() >= why.grace().unwrap_or_default()
        {
            self.signal(child.as_ref(), Signal::KILL);
        }
    }

    fn signal(&self, child: Option<&Child>, signal: Signal) {
        if child.is_some() {
            // All of its processes may have just ended.
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// Kills what is left of the process group of a program that has ended.
    pub(super) fn kill_rest(&self) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        self.signal(child.as_ref(), Signal::KILL);
    }

    /// Kills what is left of its process group, and returns how the program ended; `None` if it does not even
    /// end then.
    pub(super) fn finish(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        self.notice_exit(child.as_ref());
        self.signal(child.as_ref(), Signal::KILL);
        let deadline = Instant::now() + AFTER_KILL;
        while child.is_some() && !has_exited(self.pid) {
            if Instant::now() > deadline {
                return None;
            }
            sleep(POLL);
        }
        child.take()?.wait().ok()
    }
}

/// A program whose processes end when this is dropped, also after an error of the worker.
#[derive(Debug)]
pub(super) struct Owned(Arc<Process>);

impl Owned {
    pub(super) fn new(process: Process) -> Owned {
        Owned(Arc::new(process))
    }

    /// For a thread that may outlive this.
    pub(super) fn share(&self) -> Arc<Process> {
        Arc::clone(&self.0)
    }
}

impl Deref for Owned {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Whether a child has ended. It is not reaped, so its process group keeps its id.
fn has_exited(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
}

/// How a program ended, as the end of a sentence.
pub(super) fn how(status: Option<ExitStatus>) -> String {
    let Some(status) = status else { return "could not be ended".to_owned() };
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit status {code}"),
        (None, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            format!("was ended by signal {signal} ({name})")
        }
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> (Owned, Pipes) {
        let argv = ["sh", "-c", script].map(OsString::from);
        let (process, pipes) = Process::start(&argv, &Environment::of_process()).unwrap();
        (Owned::new(process), pipes)
    }

    #[test]
    fn c13_a_crash_before_a_stop_is_a_crash_and_a_stop_before_the_end_is_a_stop() {
        let (process, _pipes) = start("exit 3");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !has_exited(process.pid) {
            assert!(Instant::now() < deadline, "the program did not end");
            sleep(POLL);
        }
        process.stop(Stop::Interrupted);
        assert_eq!(process.end(), Some(End::Exited));
        assert_eq!(how(process.finish()), "ended with exit status 3");

        let (process, _pipes) = start("exec sleep 1000");
        process.stop(Stop::Cancelled);
        process.stop(Stop::Interrupted);
        assert_eq!(process.end(), Some(End::Stopped(Stop::Cancelled)));
        assert!(how(process.finish()).starts_with("was ended by signal"));
        process.stop(Stop::Lost);
        assert_eq!(process.end(), Some(End::Stopped(Stop::Cancelled)));
    }
}
