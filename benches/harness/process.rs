//! The processes that benches start.
#![expect(clippy::expect_used, reason = "a bench stops at the first failure")]

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// The variable with the role of a process that a bench started as its child.
const ROLE: &str = "AO_BENCH_ROLE";

/// The CPU time of a process with one thread, from its start to its end, in nanoseconds; its output is
/// discarded.
///
/// # Panics
/// When it cannot be started, or fails.
pub fn child_cpu(command: &mut Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).spawn().expect("start a process");
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let pid = Pid::from_child(&child);
    waitid(WaitId::Pid(pid), ended).expect("wait for the process");
    // It is there until it is waited for without NOWAIT.
    let times = std::fs::read_to_string(format!("/proc/{}/schedstat", child.id()));
    let times = times.expect("read its CPU time");
    assert!(child.wait().expect("end the process").success(), "{command:?} failed");
    times.split(' ').next().and_then(|time| time.parse().ok()).expect("a time")
}

/// The CPU time of all processes that this one has started and waited for, with all of their threads, in
/// nanoseconds, counted in hundredths of a second.
///
/// # Panics
/// When the system does not say.
#[must_use]
pub fn children_cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("read the CPU time");
    let (_, fields) = stat.rsplit_once(") ").expect("the fields after the name");
    // From proc_pid_stat(5): fields 16 and 17, of which the first one here is 3.
    let ticks = fields.split(' ').skip(13).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().expect("a number") * 10_000_000).sum()
}

/// The program, which is in the parent of this executable's directory (`target/release/deps`).
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn program() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this executable");
    let dir = own.parent().and_then(|dir| dir.parent()).expect("the directory of the build");
    let program = dir.join("ao-store");
    assert!(program.is_file(), "run `cargo build --release -p ao-cli` first");
    program
}

/// A command that runs this executable in another role.
///
/// # Errors
/// When the executable cannot be found.
pub fn respawn(role: &str) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(ROLE, role);
    Ok(command)
}

/// The role in which this process was started by [`respawn`].
pub(super) fn child_role() -> Option<String> {
    std::env::var_os(ROLE).as_deref().and_then(OsStr::to_str).map(str::to_owned)
}
