//! The processes of a launch, also those that left its terminal and its process group: each inherits the
//! variable `AO_LAUNCH_ID`. The same for what an instance runs and waits for, such as git, by the variable
//! `AO_INSTANCE_ID`, and for what a worker starts: by `AO_TURN_ID` what runs for one turn, by `AO_WORKER_ID`
//! what it keeps for the turns after it. The process group of the program of a turn is ended, too, which may have
//! deleted its variables.
//!
//! A process is signalled through a descriptor of it that was opened before it was looked at, so that no
//! other process that got its id since is ever meant.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_program::Environment;
use ao_store::lease::Owner;
use ao_store::row::launch::Launch;
use ao_store::row::lifecycle::instance;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use crate::error::{Error, Result};

/// The variable by which the processes of a launch are known.
pub const VARIABLE: &str = "AO_LAUNCH_ID";

/// The variable by which the processes are known that an instance runs and waits for.
pub(crate) const INSTANCE: &str = "AO_INSTANCE_ID";

/// The variable by which the processes are known that run for one turn.
pub(crate) const TURN: &str = "AO_TURN_ID";

/// The variable by which the processes are known that a worker keeps from one turn to the next.
pub(crate) const WORKER: &str = "AO_WORKER_ID";

/// The variables by which the processes of a launch, of an instance and of a turn are found and ended. What
/// outlives them is started without these.
pub const LAUNCH_VARIABLES: [&str; 4] = [VARIABLE, INSTANCE, TURN, WORKER];

/// How many times in a row, a millisecond apart, a process has no variables before it is believed to have none.
const BARE: u32 = 50;
/// How long the end of killed processes is waited for. One in an uninterruptible call may never end.
const AFTER_KILL: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

/// How long a process may take to become another program, once it has given up the one it was.
const EXEC_WITHIN: Duration = Duration::from_secs(5);

/// The ids of the processes of each launch.
pub type ByLaunch = HashMap<String, Vec<u32>>;

/// How the processes of a launch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// None was there.
    Absent,
    /// All ended in time.
    Exited,
    /// Some had to be killed.
    Killed,
    /// These did not even end then.
    Remaining(Vec<u32>),
}

/// The processes of all launches on this machine, as far as this user may look at them.
///
/// # Errors
/// The processes cannot be listed.
pub fn by_launch() -> Result<ByLaunch> {
    by_value(VARIABLE)
}

/// All processes.
fn all() -> Result<impl Iterator<Item = u32>> {
    let path = "/proc";
    let failed = |source| Error::File { action: "list", path: path.into(), source };
    let entries = fs::read_dir(path).map_err(failed)?.filter_map(Result::ok);
    Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// The same by another variable.
fn by_value(variable: &str) -> Result<ByLaunch> {
    let mut found = ByLaunch::new();
    for pid in all()? {
        if let Some(launch) = value_of(pid, variable) {
            found.entry(launch).or_default().push(pid);
        }
    }
    Ok(found)
}

/// A variable of a process, such as the launch that it belongs to. A zombie has none.
fn value_of(pid: u32, variable: &str) -> Option<String> {
    let variables = variables_of(pid)?;
    let mut each = variables.split(|byte| *byte == 0);
    let value =
        each.find_map(|it| it.strip_prefix(variable.as_bytes())?.strip_prefix(b"=".as_slice()))?;
    String::from_utf8(value.to_vec()).ok()
}

/// The variables of a process. While it becomes another program (exec) none can be read for a moment, and it
/// would be taken for one that does not belong to its launch.
fn variables_of(pid: u32) -> Option<Vec<u8>> {
    let deadline = Instant::now() + EXEC_WITHIN;
    let mut bare = 0;
    loop {
        let variables = read_at_once(&format!("/proc/{pid}/environ")).ok()?;
        if !variables.is_empty() {
            return Some(variables);
        }
        match look(pid) {
            Look::Ended => return Some(variables),
            // An exec has no variables either while it builds the new ones.
            Look::Bare => bare += 1,
            Look::Exec => bare = 0,
        }
        if bare > BARE || Instant::now() > deadline {
            return Some(variables);
        }
        sleep(Duration::from_millis(1));
    }
}

/// The content of a file of the kernel, read in large pieces: what was opened before an exec ends after it.
fn read_at_once(path: &str) -> io::Result<Vec<u8>> {
    let (mut file, mut piece, mut all) = (fs::File::open(path)?, [0; 32 << 10], Vec::new());
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(all),
            read => all.extend_from_slice(&piece[..read]),
        }
    }
}

/// Why a process has no variables that can be read.
enum Look {
    /// It has ended, or is a thread of the kernel.
    Ended,
    /// It has none, or an exec has not written them yet.
    Bare,
    /// An exec has begun.
    Exec,
}

/// The end of the status line says where the variables begin and end, which are zeros during most of an exec.
fn look(pid: u32) -> Look {
    if fs::read_link(format!("/proc/{pid}/exe")).is_err() {
        return Look::Ended;
    }
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let mut last = status.trim_end().rsplit(' ').skip(1);
    let (end, start) = (last.next(), last.next());
    if end == start && end != Some("0") { Look::Bare } else { Look::Exec }
}

/// The variables of what an instance runs and waits for.
pub(crate) fn of_instance(environment: &Environment, instance: &str) -> Environment {
    let own = [(OsStr::new(INSTANCE), OsStr::new(instance))];
    environment.iter().chain(own).collect()
}

/// Whether a process is the supervisor of a launch.
fn is_supervisor(pid: u32, launch: &str) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = words.split(|byte| *byte == 0).collect();
    words.windows(2).any(|pair| pair == [b"supervise".as_slice(), launch.as_bytes()])
}

/// Whether a launch that has not ended runs: its supervisor does.
///
/// # Errors
/// The processes cannot be listed.
pub fn is_running(launch: &Launch) -> Result<bool> {
    match launch.supervisor.as_str() {
        "" => Ok(by_launch()?.contains_key(&launch.id)),
        supervisor => Ok(!instance::is_dead(supervisor, &launch.boot_id)),
    }
}

/// Ends the processes of a launch: SIGTERM for all but its supervisor, which ends with its program; after
/// `grace` SIGKILL for all.
///
/// # Errors
/// The processes cannot be listed.
pub fn end(launch: &str, grace: Duration) -> Result<Ended> {
    end_all(VARIABLE, launch, grace)
}

/// Ends what an instance that has ended was running: git would go on, and make what is being undone.
///
/// # Errors
/// The processes cannot be listed, or do not end.
pub(crate) fn end_of_instance(instance: &str, grace: Duration) -> Result<()> {
    match end_all(INSTANCE, instance, grace)? {
        Ended::Remaining(pids) => {
            let reason = format!("processes could not be killed: {pids:?}");
            Err(Error::RuntimeFailed { action: "stop what an ended process had started", reason })
        }
        _ => Ok(()),
    }
}

/// Kills what runs for a turn.
///
/// # Errors
/// The processes cannot be listed.
pub(crate) fn kill_of_turn(turn: &str) -> Result<Ended> {
    end_all(TURN, turn, Duration::ZERO)
}

/// Kills what a worker keeps from one turn to the next.
///
/// # Errors
/// The processes cannot be listed.
pub(crate) fn kill_of_worker(instance: &str) -> Result<Ended> {
    end_all(WORKER, instance, Duration::ZERO)
}

/// Kills the process group that a process leads, which this text names as an [`Owner`]. After its leader has ended
/// and was waited for, its id may be that of another one, and nothing is done.
///
/// # Errors
/// The processes cannot be listed.
pub(crate) fn kill_of_group(leader: &str) -> Result<Ended> {
    // All processes are meant by the group of the first one.
    let Some(id) = Owner::present(leader).filter(|id| *id > 1) else { return Ok(Ended::Absent) };
    let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) else {
        return Ok(Ended::Absent);
    };
    // It may have just ended.
    let _ = kill_process_group(group, Signal::KILL);
    let members = || Ok(all()?.filter(|pid| is_member(*pid, id)).collect());
    let left = wait(&members, AFTER_KILL)?;
    Ok(if left.is_empty() { Ended::Killed } else { Ended::Remaining(left) })
}

/// Whether a process is in a process group. A zombie is in none.
fn is_member(pid: u32, group: u32) -> bool {
    let status = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mut fields = status.rsplit(')').next().unwrap_or_default().split_whitespace();
    let is_alive = fields.next().is_some_and(|state| !matches!(state, "Z" | "X"));
    is_alive && fields.nth(1).is_some_and(|found| found == group.to_string())
}

fn end_all(variable: &str, value: &str, grace: Duration) -> Result<Ended> {
    // An agent that terminates its own session runs this: it must not end before the others.
    let own = std::process::id();
    let all = || {
        let mut all = by_value(variable)?.remove(value).unwrap_or_default();
        all.retain(|pid| *pid != own);
        Ok(all)
    };
    let found: Vec<u32> = all()?;
    if found.is_empty() {
        return Ok(Ended::Absent);
    }
    found.iter().filter(|pid| !is_supervisor(**pid, value)).for_each(|pid| {
        signal_of(*pid, variable, value, Signal::TERM);
    });
    if wait(&all, grace)?.is_empty() {
        return Ok(Ended::Exited);
    }
    let deadline = Instant::now() + AFTER_KILL;
    loop {
        // Again and again, because a process may have started others.
        let left = all()?;
        if left.is_empty() {
            return Ok(Ended::Killed);
        }
        if Instant::now() > deadline {
            return Ok(Ended::Remaining(left));
        }
        left.iter().for_each(|pid| signal_of(*pid, variable, value, Signal::KILL));
        sleep(POLL);
    }
}

/// Ends the processes of a launch except this one, at once.
pub(crate) fn kill_others(launch: &str) {
    let own = std::process::id();
    let others = by_launch().ok().and_then(|mut all| all.remove(launch)).unwrap_or_default();
    others.iter().filter(|pid| **pid != own).for_each(|pid| signal(*pid, launch, Signal::KILL));
}

/// Waits until none is left, and returns those that are.
fn wait(all: &impl Fn() -> Result<Vec<u32>>, grace: Duration) -> Result<Vec<u32>> {
    let deadline = Instant::now() + grace;
    loop {
        let left = all()?;
        if left.is_empty() || Instant::now() > deadline {
            return Ok(left);
        }
        sleep(POLL);
    }
}

/// Signals a process that belongs to a launch. One that has ended is not signalled.
pub(crate) fn signal(pid: u32, launch: &str, signal: Signal) {
    signal_of(pid, VARIABLE, launch, signal);
}

fn signal_of(pid: u32, variable: &str, value: &str, signal: Signal) {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(descriptor) = pidfd_open(id, PidfdFlags::empty()) else { return };
    if value_of(pid, variable).as_deref() == Some(value) {
        // It may have just ended.
        let _ = pidfd_send_signal(&descriptor, signal);
    }
}

/// Passes a signal of the supervisor on to the other processes of its launch.
pub(crate) fn forward(launch: &str, number: i32) {
    let Some(found) = Signal::from_named_raw(number) else { return };
    let own = std::process::id();
    let others = by_launch().ok().and_then(|mut all| all.remove(launch)).unwrap_or_default();
    others.iter().filter(|pid| **pid != own).for_each(|pid| signal(*pid, launch, found));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_whose_program_is_replaced_again_and_again_is_always_found() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("again");
        fs::write(&script, "#!/bin/sh\nexec \"$0\"\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let launch = format!("l-{}", std::process::id());
        let mut child = Command::new(&script).env(VARIABLE, &launch).spawn().unwrap();
        let missed = (0..2_000).filter(|_| value_of(child.id(), VARIABLE).is_none()).count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(missed, 0);
    }

    #[test]
    fn a_process_group_is_killed_while_its_leader_is_there_and_no_other_one_with_its_id() {
        let start = || {
            let mut command = Command::new("sh");
            command.args(["-c", "sleep 1000 & exec env -i sleep 1000"]).process_group(0);
            let child = command.spawn().unwrap();
            let leader = Owner::of_process(child.id()).unwrap().to_string();
            let deadline = Instant::now() + Duration::from_secs(60);
            while all().unwrap().filter(|pid| is_member(*pid, child.id())).count() < 2 {
                assert!(Instant::now() < deadline, "its processes were not started");
                sleep(Duration::from_millis(1));
            }
            (child, leader)
        };
        let (mut child, leader) = start();
        let (before, rest) = leader.split_once(" started:").unwrap();
        let (time, place) = rest.split_once(' ').unwrap();
        let time: u64 = time.parse().unwrap();
        let reused = format!("{before} started:{} {place}", time - 1);
        assert_eq!(kill_of_group(&reused).unwrap(), Ended::Absent);
        assert_eq!(child.try_wait().unwrap(), None, "it is not the one that was meant");
        assert_eq!(kill_of_group(&leader).unwrap(), Ended::Killed);
        assert_eq!(all().unwrap().filter(|pid| is_member(*pid, child.id())).count(), 0);
        child.wait().unwrap();
        assert_eq!(kill_of_group(&leader).unwrap(), Ended::Absent);
    }
}
