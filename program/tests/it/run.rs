//! A program runs within its bounds and in the environment that it is given.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ao_program::{Environment, Error, Output, Program, Result};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The variables of a program that finds the tools of the system.
fn system() -> Environment {
    [("PATH", "/bin:/usr/bin:/usr/local/bin")].into_iter().collect()
}

fn run(program: Program<'_>, script: &str) -> Result<Output> {
    Program { args: &["-c", script], ..program }.run()
}

fn shell(environment: &Environment) -> Program<'_> {
    let (dir, timeout) = (Path::new("/"), TIMEOUT);
    Program { name: "sh", args: &[], input: "", dir, environment, variables: &[], timeout }
}

fn sh(script: &str) -> Result<Output> {
    run(shell(&system()), script)
}

#[test]
fn the_output_and_the_status_are_those_of_the_program() {
    let output = sh("echo out; echo err >&2; exit 3").unwrap();
    assert_eq!(
        (output.status, &*output.stdout, &*output.stderr),
        (3, &b"out\n"[..], &b"err\n"[..])
    );
    assert_eq!(sh("exec >&- 2>&-; sleep 0.1; exit 4").unwrap().status, 4);
    assert!(matches!(sh("kill -9 $$"), Err(Error::Signalled(signal)) if signal.contains('9')));
}

#[test]
fn the_input_is_what_the_caller_passes_or_nothing() {
    assert_eq!(sh("cat; echo end").unwrap().stdout, b"end\n");
    let (environment, input) = (system(), "line\n".repeat(20_000));
    let program = Program { input: &input, ..shell(&environment) };
    assert_eq!(run(program, "cat").unwrap().stdout, input.as_bytes());
    assert_eq!(run(program, "echo unread").unwrap().stdout, b"unread\n");
}

#[test]
fn the_environment_is_what_the_caller_passes_without_the_variables_of_git() {
    let environment: Environment = system()
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .chain(
            [("KEPT", "1"), ("GIT_DIR", "/x"), ("LC_ALL", "de_DE")]
                .map(|(n, v)| (n.into(), v.into())),
        )
        .collect();
    let program = Program { variables: &[("GIT_ADDED", "2")], ..shell(&environment) };
    let variables = String::from_utf8(run(program, "env; pwd").unwrap().stdout).unwrap();
    for expected in ["KEPT=1", "GIT_ADDED=2", "LC_ALL=C"] {
        assert!(variables.lines().any(|line| line == expected), "{expected}: {variables}");
    }
    // The tests themselves have a CARGO variable.
    for unwanted in ["GIT_DIR", "CARGO", "de_DE"] {
        assert!(!variables.contains(unwanted), "{unwanted}: {variables}");
    }
    assert!(variables.ends_with("\n/\n"), "{variables}");
}

#[test]
fn a_program_that_runs_too_long_is_killed_with_its_process_group() {
    let dir = tempfile::tempdir().unwrap();
    let environment = system();
    for (name, script) in [
        ("prints", r#"sleep 600 & echo "$$ $!" >prints; echo 1.2; wait"#),
        ("silent", r#"sleep 600 >&- 2>&- & echo "$$ $!" >silent; exec >&- 2>&-; wait"#),
        ("nested", r#"sh -c 'sleep 600 & echo "$$ $!" >nested; wait'; true"#),
    ] {
        let timeout = Duration::from_secs(2);
        let program = Program { dir: dir.path(), timeout, ..shell(&environment) };
        let started = Instant::now();
        assert!(matches!(run(program, script), Err(Error::TimedOut(_))), "{name}");
        assert!(started.elapsed() < TIMEOUT, "{name}: {:?}", started.elapsed());
        let pids = fs::read_to_string(dir.path().join(name)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while pids.split_whitespace().any(is_alive) {
            assert!(Instant::now() < deadline, "{name}: one of {pids} is alive");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Whether a process runs. No process may wait for an orphan, so a dead one may still be listed.
fn is_alive(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ") && !status.contains("State:\tX")
}

#[test]
fn a_program_that_prints_too_much_is_killed() {
    for script in ["exec yes", "exec yes >&2", "head -c 300000 /dev/zero"] {
        assert!(matches!(sh(script), Err(Error::OutputTooLong(_))), "{script}");
    }
    assert_eq!(sh("head -c 262144 /dev/zero").unwrap().stdout.len(), 262_144);
}

#[test]
fn a_process_that_is_left_behind_is_not_waited_for() {
    let started = Instant::now();
    assert_eq!(sh("sleep 60 & echo done").unwrap().stdout, b"done\n");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_program_that_cannot_start_is_an_error() {
    let environment = system();
    let missing = Program { name: "ao-no-such-program", ..shell(&environment) };
    assert!(matches!(missing.run(), Err(Error::NotOnPath(name)) if name == missing.name));
    let nowhere = Program { dir: Path::new("/none/such"), ..shell(&environment) };
    let Err(Error::Io(error)) = nowhere.run() else { panic!("it runs in no directory") };
    assert!(error.to_string().contains("not a directory"), "{error}");
}
