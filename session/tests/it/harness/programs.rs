//! Where programs are found: statements 3.6 of the behaviour of the existing tool, and odd directories.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use ao_session::harness::{self, Found};
use ao_session::{Error, Result};
use tempfile::TempDir;

use super::{built_in, environment};

/// A directory with `bin`, which is in `PATH`, `home` and an empty `other`.
struct Machine(TempDir);

impl Machine {
    fn new() -> Machine {
        let dir = tempfile::tempdir().unwrap();
        for name in ["bin", "home", "other"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Machine(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a file; one that would leave a mark if it were run.
    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let script = format!("#!/bin/sh\ntouch {}\n", self.path("was-run").display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn program(&self, name: &str) -> PathBuf {
        self.file(name, 0o755)
    }

    fn find(&self, harness: &str, argv: &[&str]) -> Result<Found> {
        let argv: Vec<_> = argv.iter().map(|&word| word.to_owned()).collect();
        let (bin, home) = (self.path("bin"), self.path("home"));
        let environment = environment(&[("PATH", bin.as_path()), ("HOME", home.as_path())]);
        harness::find(built_in().get(harness).unwrap(), &argv, &environment)
    }
}

#[track_caller]
fn assert_missing(found: Result<Found>, missing: &str) {
    let error = found.unwrap_err();
    assert_eq!(error.code().name(), "AGENT_BINARY_NOT_FOUND");
    assert_eq!(error.code().http_status(), 400);
    let Error::AgentNotFound { program, looked, .. } = error else { panic!("{error}") };
    assert_eq!(program, missing);
    assert!(looked.iter().any(|place| place == "~/.local/bin"), "{looked:?}");
}

#[test]
fn s3_6_1_a_missing_program_is_an_error_of_its_own_for_every_harness() {
    let machine = Machine::new();
    for harness in built_in().iter() {
        let first = harness.programs().first().map_or("the command after --", String::as_str);
        // The places outside of the home directory are those of this machine.
        let is_installed = |name: &String| {
            ["/usr/local/bin", "/opt/homebrew/bin", "/home/linuxbrew/.linuxbrew/bin"]
                .iter()
                .any(|place| Path::new(place).join(name).exists())
        };
        if !harness.programs().iter().any(is_installed) {
            assert_missing(machine.find(harness.name(), &[]), first);
        }
    }
}

#[test]
fn s3_6_2_the_program_of_a_command_is_checked_and_never_run() {
    let machine = Machine::new();
    machine.program("bin/claude");
    assert_missing(machine.find("claude-code", &["no-such-claude", "-x"]), "no-such-claude");
    assert_missing(machine.find("claude-code", &["./no/such"]), "./no/such");
    assert_missing(machine.find("claude-code", &[""]), "a command");
    machine.find("claude-code", &["claude", "-x"]).unwrap();
    assert!(!machine.path("was-run").exists());
}

#[test]
fn s3_6_3_the_program_behind_env_is_the_one_that_is_checked() {
    let machine = Machine::new();
    let qwen = machine.program("bin/qwen");
    machine.program("bin/env");
    for argv in [
        &["env", "K=V", "qwen", "x"][..],
        &["/usr/bin/env", "-i", "-u", "X", "K=V", "qwen"],
        &["env", "-uX", "--unset=Y", "--", "qwen"],
    ] {
        assert_eq!(machine.find("qwen", argv).unwrap().path, qwen, "{argv:?}");
    }
    assert_missing(machine.find("qwen", &["env", "K=V", "no-such-qwen"]), "no-such-qwen");
    for argv in [&["env", "K=V"][..], &["env"], &["env", "-i", "-u", "X"]] {
        assert_missing(machine.find("qwen", argv), "a command");
    }
    assert_missing(machine.find("qwen", &["K=V"]), "K=V");
}

#[test]
fn s3_6_5_a_program_that_was_removed_is_missing_at_the_next_start() {
    let machine = Machine::new();
    let program = machine.program("bin/codex");
    assert_eq!(machine.find("codex", &[]).unwrap().path, program);
    fs::remove_file(program).unwrap();
    assert_missing(machine.find("codex", &[]), "codex");
}

#[test]
fn s3_6_7_path_then_the_places_of_the_row_then_common_ones_then_version_managers() {
    let machine = Machine::new();
    let places = ["home/.asdf/shims", "home/.local/bin", "home/.opencode/bin", "bin"];
    for place in places {
        let program = machine.program(&format!("{place}/opencode"));
        assert_eq!(machine.find("opencode", &[]).unwrap().path, program);
    }
    let other = machine.program("other/opencode");
    let argv = [other.to_str().unwrap()];
    assert_eq!(machine.find("opencode", &argv).unwrap().path, other, "an explicit path wins");
}

#[test]
fn only_executable_files_are_programs() {
    let machine = Machine::new();
    fs::create_dir(machine.path("bin/codex")).unwrap();
    machine.file("home/.local/bin/codex", 0o644);
    symlink(machine.path("nowhere"), machine.path("bin/claude")).unwrap();
    symlink("loop", machine.path("bin/loop")).unwrap();
    assert_missing(machine.find("codex", &[]), "codex");
    assert_missing(machine.find("claude-code", &[]), "claude");
    assert_missing(machine.find("custom", &["loop"]), "loop");
    let target = machine.program("other/real");
    symlink(&target, machine.path("bin/pi")).unwrap();
    let found = machine.find("pi", &[]).unwrap().path;
    assert_eq!(found, machine.path("bin/pi"), "a shim is started by its own name");
}

#[test]
fn an_unreadable_or_relative_directory_of_path_is_skipped() {
    let machine = Machine::new();
    let program = machine.program("bin/codex");
    let locked = machine.path("other");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let path = std::env::join_paths([
        Path::new(""),
        Path::new("relative"),
        Path::new("/no/such/directory"),
        Path::new("/etc/passwd"),
        &locked,
        &machine.path("bin"),
    ]);
    let environment = environment(&[("PATH", Path::new(&path.unwrap()))]);
    let found = harness::find(built_in().get("codex").unwrap(), &[], &environment).unwrap();
    assert_eq!(found.path, program);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
}
