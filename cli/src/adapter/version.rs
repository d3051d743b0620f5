//! What version another program says it is. It gets no input, none of the caller's `GIT_*`
//! variables, and a bound: when that is over, it and what it started are killed.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::adapter::git;

/// Longer than any program takes to say it.
pub(crate) const BOUND: Duration = Duration::from_secs(5);

/// More than any program says.
const LONGEST: u64 = 64 << 10;

/// Where the program of this name is. Relative entries of `PATH` do not count: what lies in the
/// current directory is not to be run for a look.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    find(name, &std::env::var_os("PATH")?)
}

fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find(is_program)
}

/// The first line that the program prints, if it then ends well.
pub(crate) fn ask(program: &Path, args: &[&str], bound: Duration) -> io::Result<String> {
    let deadline = Instant::now() + bound;
    let mut command = Command::new(program);
    git::forget_variables(&mut command);
    // A group of its own: a wrapper script leaves what it started behind.
    command.args(args).env("LC_ALL", "C").process_group(0);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let said = listen(&mut child, deadline);
    if said.is_err() {
        if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
            // It may just have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
        // What cannot be killed is not waited for.
        if child.kill().is_ok() {
            child.wait()?;
        }
    }
    let text = said?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// All that the child prints until it ended, which must be in time and well.
fn listen(child: &mut Child, deadline: Instant) -> io::Result<String> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time");
    let (send, receive) = channel();
    if let Some(stdout) = child.stdout.take() {
        // Not joined: what has left the group can hold the pipe for as long as it likes.
        thread::spawn(move || {
            let mut text = Vec::new();
            let read = stdout.take(LONGEST).read_to_end(&mut text);
            let _ = send.send(read.map(|_| text));
        });
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let text = receive.recv_timeout(left).map_err(|_| late())??;
    let status = end(child, deadline)?.ok_or_else(late)?;
    if !status.success() {
        return Err(io::Error::other(format!("it ended with {status}")));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// How the child ended; `None` when it runs on.
fn end(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() >= deadline {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SH: &str = "/bin/sh";

    fn sh(script: &str, bound: Duration) -> io::Result<String> {
        ask(Path::new(SH), &["-c", script], bound)
    }

    #[test]
    fn the_first_line_of_a_program_that_ends_well_is_its_answer() {
        assert_eq!(sh("echo ' one 1.2 '; echo two", BOUND).unwrap(), "one 1.2");
        assert_eq!(sh("true", BOUND).unwrap(), "");
        assert_eq!(sh("cat; echo no input", BOUND).unwrap(), "no input");
        assert!(sh("echo 1.2; exit 3", BOUND).unwrap_err().to_string().contains("exit status: 3"));
        assert_eq!(
            ask(Path::new("/none"), &[], BOUND).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        for (name, script) in [
            ("prints", r#"sleep 600 & echo $! >"$0"; echo 1.2; wait"#),
            ("silent", r#"sleep 600 >&- & echo $! >"$0"; exec >&-; wait"#),
        ] {
            let file = dir.path().join(name);
            let args = ["-c", script, file.to_str().unwrap()];
            let error = ask(Path::new(SH), &args, Duration::from_secs(2)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{name}");
            let pid = fs::read_to_string(&file).unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            while is_alive(pid.trim()) {
                assert!(Instant::now() < deadline, "{name}: {pid} lives on");
                thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Nobody may wait for an orphan: one that is dead may still be listed.
    fn is_alive(pid: &str) -> bool {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        !status.is_empty() && !status.contains("State:\tZ") && !status.contains("State:\tX")
    }

    #[test]
    fn a_program_that_never_stops_talking_is_cut_off() {
        assert!(sh("exec yes", BOUND).is_err());
    }

    #[test]
    fn a_program_is_an_executable_file_in_an_absolute_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str| dir.path().join(name);
        for name in ["folder", "plain", "good", "later"] {
            fs::create_dir(folder(name)).unwrap();
        }
        fs::create_dir(folder("folder/tool")).unwrap();
        fs::write(folder("plain/tool"), "").unwrap();
        fs::set_permissions(folder("plain/tool"), fs::Permissions::from_mode(0o644)).unwrap();
        for name in ["good/tool", "later/tool"] {
            fs::write(folder(name), "").unwrap();
            fs::set_permissions(folder(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = |names: &[&str]| std::env::join_paths(names.iter().map(|n| folder(n))).unwrap();
        let all = path(&["none", "folder", "plain", "good", "later"]);
        assert_eq!(find("tool", &all), Some(folder("good/tool")));
        assert_eq!(find("tool", &path(&["folder", "plain"])), None);
        // Found from here, were relative folders looked into: tests run in the folder of the crate.
        assert!(Path::new("../.ci/run").is_file());
        assert_eq!(find("run", OsStr::new("../.ci")), None);
    }
}
