//! A directory with a data directory, a home with hostile settings of tmux, and programs to run. At the end
//! everything of its launches is killed, and its tmux servers are.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_program::Environment;
use ao_session::runtime::{Runtime, Start, Tmux, processes};
use ao_store::row::lifecycle::spawn::Place;

/// How long something may take that takes milliseconds.
const SOON: Duration = Duration::from_secs(60);

pub(super) struct World {
    dir: tempfile::TempDir,
    /// Distinguishes the launches of this test from those of others on the machine.
    salt: u64,
}

impl World {
    pub(super) fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let hostile = format!(
            "run-shell 'touch {}/marker'\nset -g detach-on-destroy off\n",
            dir.path().display()
        );
        fs::write(dir.path().join(".tmux.conf"), hostile).unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        World { dir, salt: fastrand::u64(..) }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub(super) fn environment(&self) -> Environment {
        let home = self.dir.path().to_str().unwrap();
        let path = std::env::var("PATH").unwrap();
        [("HOME", home), ("TMUX_TMPDIR", home), ("PATH", &path)].into_iter().collect()
    }

    pub(super) fn tmux(&self) -> Tmux {
        Tmux::new(&self.path("data"), &self.environment())
    }

    /// An id of a launch.
    pub(super) fn launch(&self, name: &str) -> String {
        format!("l{:016x}-{name}", self.salt)
    }

    /// A program with this text.
    pub(super) fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Starts a program with these arguments in the directory `work`.
    pub(super) fn start(
        &self,
        runtime: &dyn Runtime,
        launch: &str,
        program: &Path,
        args: &[&str],
    ) -> Place {
        self.start_in(runtime, launch, program, args, &self.path("work"))
    }

    pub(super) fn start_in(
        &self,
        runtime: &dyn Runtime,
        launch: &str,
        program: &Path,
        args: &[&str],
        dir: &Path,
    ) -> Place {
        let mut argv = vec![program.as_os_str().to_owned()];
        argv.extend(args.iter().map(OsString::from));
        runtime.start(&Start { launch, dir, argv: &argv }).unwrap()
    }

    /// The content of a file, once it is there and complete.
    pub(super) fn content(&self, name: &str) -> String {
        let file = self.path(name);
        self.until(name, || fs::read_to_string(&file).is_ok_and(|text| text.ends_with("END\n")));
        fs::read_to_string(file).unwrap()
    }

    pub(super) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + SOON;
        while !holds() {
            assert!(Instant::now() < deadline, "{what} in time");
            sleep(Duration::from_millis(20));
        }
    }

    /// Whether processes of a launch run.
    pub(super) fn runs(&self, launch: &str) -> bool {
        processes::by_launch().unwrap().contains_key(launch)
    }

    pub(super) fn sockets(&self) -> Vec<PathBuf> {
        let uid = rustix::process::geteuid().as_raw();
        let entries = fs::read_dir(self.path(&format!("tmux-{uid}"))).into_iter().flatten();
        entries.filter_map(Result::ok).map(|entry| entry.path()).collect()
    }

    pub(super) fn kill_servers(&self) {
        for socket in self.sockets() {
            let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_servers();
        let prefix = format!("l{:016x}-", self.salt);
        let all = processes::by_launch().unwrap_or_default();
        for launch in all.keys().filter(|launch| launch.starts_with(&prefix)) {
            let _ = processes::end(launch, Duration::ZERO);
        }
    }
}
