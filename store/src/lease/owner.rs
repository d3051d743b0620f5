//! The identity of a process that holds a lease: another process on the same machine can determine
//! whether it has ended. A wrong answer only means that a lease is taken early: writes are fenced.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::model::clock::boot_id;

/// Identifies a process among all that ever ran on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pid: u32,
    /// When the process started, in clock ticks since boot.
    started: u64,
    /// The boot of the machine and the namespace of process ids.
    place: String,
}

impl Owner {
    /// The calling process.
    #[must_use]
    pub fn this_process() -> Owner {
        let pid = std::process::id();
        Owner { pid, started: started(pid).unwrap_or(0), place: place() }
    }

    /// Another process of this machine, also one that has ended and was not waited for.
    #[must_use]
    pub fn of_process(pid: u32) -> Option<Owner> {
        Some(Owner { pid, started: look(pid)?.started, place: place() })
    }

    /// The id of the process that this text names, while it cannot be that of another one: it runs, or was not
    /// waited for.
    #[must_use]
    pub fn present(text: &str) -> Option<u32> {
        let owner = Owner::parse(text).filter(|owner| owner.place == place())?;
        (look(owner.pid)?.started == owner.started).then_some(owner.pid)
    }

    /// A descriptor of the process that this text names, which becomes readable when the process ends. `None`
    /// if it has ended, runs elsewhere, or none can be opened.
    #[must_use]
    pub fn descriptor(text: &str) -> Option<OwnedFd> {
        let owner = Owner::parse(text).filter(|owner| owner.place == place())?;
        let pid = i32::try_from(owner.pid).ok().and_then(Pid::from_raw)?;
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // Only now it is certain that it is not one of another process that got the id.
        (started(owner.pid) == Some(owner.started)).then_some(descriptor)
    }

    /// Whether the process that this text names is known to have ended: it ran on this boot of this
    /// machine and does not run any more. A process of another machine is never known to have ended.
    #[must_use]
    pub fn is_gone(text: &str) -> bool {
        let Some(owner) = Owner::parse(text) else { return false };
        owner.place == place()
            && started(owner.pid) != Some(owner.started)
            // If no process can be looked up, every owner would seem to have ended.
            && started(std::process::id()).is_some()
    }

    /// Whether a text names a process.
    pub(crate) fn is_process(text: &str) -> bool {
        Owner::parse(text).is_some()
    }

    fn parse(text: &str) -> Option<Owner> {
        let mut words = text.split(' ');
        let mut word = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix(':');
        Some(Owner {
            pid: word("pid")?.parse().ok()?,
            started: word("started")?.parse().ok()?,
            place: word("place")?.to_owned(),
        })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid:{} started:{} place:{}", self.pid, self.started, self.place)
    }
}

/// The boot of the machine and the namespace of process ids: those of this process never change, so they are
/// read once.
fn place() -> String {
    static FOUND: OnceLock<String> = OnceLock::new();
    if let Some(place) = FOUND.get() {
        return place.clone();
    }
    let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let space: String = space.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    let boot: String = boot_id().chars().take(8).collect();
    let place = format!("{boot}/{space}");
    // It may only be that they cannot be read now.
    if boot.is_empty() || space.is_empty() { place } else { FOUND.get_or_init(|| place).clone() }
}

/// More than 52 numbers and a name have.
const STAT_MAX: usize = 2 << 10;

/// The start time of a process. A zombie has ended.
fn started(pid: u32) -> Option<u64> {
    look(pid).filter(|found| !found.is_zombie).map(|found| found.started)
}

/// A process.
struct Found {
    is_zombie: bool,
    started: u64,
}

/// A process by its `stat`: the state, and the start time in field 22, counted after the name, which may contain
/// any character.
fn look(pid: u32) -> Option<Found> {
    // Room for all of it: the kernel makes it once, for the first read.
    let mut stat = Vec::with_capacity(STAT_MAX);
    let file = File::open(format!("/proc/{pid}/stat")).ok()?;
    file.take(STAT_MAX as u64).read_to_end(&mut stat).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    Some(Found { is_zombie, started: fields.nth(18)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    #[test]
    fn a_process_that_ended_is_gone_and_one_of_another_machine_is_not() {
        let this = Owner::this_process();
        assert_eq!(Owner::parse(&this.to_string()), Some(this.clone()));
        assert!(!Owner::is_gone(&this.to_string()));
        let reused = Owner { started: this.started + 1, ..this.clone() };
        assert!(Owner::is_gone(&reused.to_string()), "another process has its id");
        let elsewhere = Owner { place: "other/1".to_owned(), ..reused };
        assert!(!Owner::is_gone(&elsewhere.to_string()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = Owner { pid: child.id(), started: started(child.id()).unwrap_or(1), ..this };
        child.wait().unwrap();
        assert!(Owner::is_gone(&ended.to_string()));
        assert!(!Owner::is_gone("no owner"));
    }

    #[test]
    fn a_descriptor_is_that_of_the_same_process_and_readable_from_its_end_on() {
        let mut child = std::process::Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let owner = Owner::of_process(child.id()).unwrap();
        let reused = Owner { started: owner.started + 1, ..owner.clone() };
        let elsewhere = Owner { place: "other/1".to_owned(), ..owner.clone() };
        for other in [reused.to_string(), elsewhere.to_string(), "no owner".to_owned()] {
            assert!(Owner::descriptor(&other).is_none(), "{other}");
        }
        let descriptor = Owner::descriptor(&owner.to_string()).unwrap();
        let mut fds = [PollFd::new(&descriptor, PollFlags::IN)];
        assert_eq!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap(), 0);
        child.kill().unwrap();
        assert_eq!(poll(&mut fds, Some(&Timespec { tv_sec: 60, tv_nsec: 0 })).unwrap(), 1);
        let text = owner.to_string();
        assert_eq!(Owner::present(&text), Some(child.id()), "it was not waited for");
        child.wait().unwrap();
        assert!(Owner::descriptor(&text).is_none());
        assert_eq!((Owner::of_process(child.id()), Owner::present(&text)), (None, None));
    }
}
