//! The lookup in `PATH`, and what an environment shows of itself.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ao_program::{Environment, Program, start_background};

fn with_path(path: &OsStr) -> Environment {
    [(OsStr::new("PATH"), path)].into_iter().collect()
}

#[test]
fn a_program_is_an_executable_file_in_the_first_directory_that_has_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| dir.path().join(name);
    for name in ["folder", "plain", "good", "later"] {
        fs::create_dir(folder(name)).unwrap();
    }
    fs::create_dir(folder("folder/tool")).unwrap();
    for (name, mode) in [("plain/tool", 0o644), ("good/tool", 0o755), ("later/tool", 0o755)] {
        fs::write(folder(name), "").unwrap();
        fs::set_permissions(folder(name), Permissions::from_mode(mode)).unwrap();
    }
    let find = |names: &[&str]| {
        let path = std::env::join_paths(names.iter().map(|name| folder(name))).unwrap();
        with_path(&path).find_program("tool")
    };
    assert_eq!(find(&["none", "folder", "plain", "good", "later"]), Some(folder("good/tool")));
    assert_eq!(find(&["folder", "plain"]), None);
    assert_eq!(Environment::default().find_program("tool"), None, "there is no PATH");
}

#[test]
fn relative_and_empty_entries_of_the_path_do_not_count() {
    // The lookup would find it from here: tests run in the folder of their crate.
    assert!(Path::new("../.ci/run").is_file());
    assert_eq!(with_path(OsStr::new("../.ci")).find_program("run"), None);
    for path in ["", ":", "::"] {
        assert_eq!(with_path(OsStr::new(path)).find_program("../.ci/run"), None, "{path:?}");
    }
}

#[test]
fn an_empty_variable_is_not_set_and_no_value_is_shown() {
    let environment: Environment = [("EMPTY", ""), ("TOKEN", "secret")].into_iter().collect();
    assert_eq!(environment.get("EMPTY"), None);
    assert_eq!(environment.get("TOKEN"), Some(OsStr::new("secret")));
    let shown = format!("{environment:?}");
    assert!(shown.contains("TOKEN") && !shown.contains("secret"), "{shown}");
}

/// The test runs itself once more, as a process that has such variables.
#[test]
fn what_is_meant_for_this_process_alone_reaches_no_program() {
    const PRIVATE: [&str; 4] =
        ["AO_WEBHOOK_SECRET", "NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC"];
    const KEPT: [&str; 3] = ["GH_TOKEN", "AO_GITHUB_TOKEN", "AO_TEST_AGAIN"];
    if std::env::var_os("AO_TEST_AGAIN").is_none() {
        let name = "environment::what_is_meant_for_this_process_alone_reaches_no_program";
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", name]).envs(PRIVATE.iter().chain(&KEPT).map(|name| (name, "set")));
        let output = again.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = "env >written; mv written alone";
    start_background(&["/bin/sh", "-c", script].map(Into::into), dir.path(), &[]).unwrap();
    let environment = Environment::of_process();
    let (timeout, variables) = (Duration::from_secs(60), &[]);
    let (name, args) = ("sh", &["-c", "until [ -e alone ]; do sleep 0.01; done; env"][..]);
    let dir = dir.path();
    let run = Program { name, args, input: "", dir, environment: &environment, variables, timeout };
    let run = String::from_utf8(run.run().unwrap().stdout).unwrap();
    for seen in [run, fs::read_to_string(dir.join("alone")).unwrap()] {
        let has = |name: &&str| seen.lines().any(|line| line.starts_with(&format!("{name}=")));
        assert!(KEPT.iter().all(has) && !PRIVATE.iter().any(has), "{seen}");
    }
}
