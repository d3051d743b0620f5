//! A home directory, its own `PATH` with the programs of a test, and the variables for them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ao_program::Environment;
use tempfile::TempDir;

/// An environment without a token, with only `sh` and its tools.
pub(crate) struct Home {
    dir: TempDir,
    variables: Vec<(String, String)>,
}

impl Home {
    pub(crate) fn new() -> Home {
        let home = Home { dir: tempfile::tempdir().unwrap(), variables: Vec::new() };
        fs::create_dir(home.path("bin")).unwrap();
        let (path, dir) = (home.path("bin"), home.path(""));
        home.with("PATH", path.to_str().unwrap()).with("HOME", dir.to_str().unwrap())
    }

    /// The same with a variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Home {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a program, which finds the tools of the system.
    pub(crate) fn program(self, name: &str, script: &str) -> Home {
        let script = format!("#!/bin/sh\nPATH=/bin:/usr/bin:/usr/local/bin\n{script}\n");
        // A shell writes it. If this process had it open for writing, a child that another test
        // starts at that moment would inherit the open file, and it could not be run.
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "cat >\"$0\" && chmod 755 \"$0\""]).arg(self.path("bin").join(name));
        let mut child = shell.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        self
    }

    /// The same with the git of the system.
    pub(crate) fn with_git(self) -> Home {
        self.program("git", "exec git \"$@\"")
    }

    /// The same with a file.
    pub(crate) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Home {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn environment(&self) -> Environment {
        self.variables.iter().cloned().collect()
    }
}

/// Runs git, which must succeed.
pub(crate) fn git(dir: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command.args(args).current_dir(dir).env("HOME", dir).env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whether a process runs. A dead orphan may still be listed until it is reaped.
pub(crate) fn is_alive(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ") && !status.contains("State:\tX")
}
