//! Commands that make or replace a file are killed at system calls: the name stands for the old state, the
//! new one or nothing, and the same command succeeds afterwards. `AO_SWEEP` kills more often than the
//! default of 40 times, `AO_SWEEP_SEED` repeats a run.

use std::path::Path;
use std::process::Command;

use fastrand::Rng;

use crate::support::{TestEnv, text};

/// The calls that change a file or a name.
const CALLS: [&str; 9] = [
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "renameat2",
    "unlink",
    "mkdir",
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect(variable))
}

/// Runs a command that is killed at a system call, if it gets that far.
fn killed(env: &TestEnv, data: &Path, args: &[&str], call: &str, at: usize) {
    let inner = env.command(args);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"]);
    strace.arg(format!("inject={call}:signal=KILL:when={at}"));
    strace.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    strace.env("AO_DATA_DIR", data).output().unwrap();
}

fn succeeds(env: &TestEnv, data: &Path, args: &[&str]) {
    let output = env.command(args).env("AO_DATA_DIR", data).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_command_that_is_killed_leaves_something_whole_and_succeeds_again() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: no strace");
        return;
    }
    let seed = number("AO_SWEEP_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("AO_SWEEP_SEED={seed}");
    let (mut rng, env) = (Rng::with_seed(seed), TestEnv::with_demo());
    let (data, copy, export) = (env.path("data"), env.path("copy.db"), env.path("e.ndjson"));
    succeeds(&env, &data, &["backup", text(&copy)]);
    succeeds(&env, &data, &["export", text(&export)]);
    let whole = std::fs::read(&export).unwrap();
    for round in 0..number("AO_SWEEP").unwrap_or(40) {
        let fresh = env.path(&format!("fresh-{round}"));
        let out = env.path(&format!("out-{round}"));
        let (args, data, made): (&[&str], _, _) = match round % 5 {
            0 => (&["init"], &fresh, fresh.join("ao.db")),
            1 => (&["import", text(&export)], &fresh, fresh.join("ao.db")),
            2 => (&["backup", text(&out)], &data, out.clone()),
            3 => (&["export", text(&out)], &data, out.clone()),
            _ => (&["restore-db", text(&copy), "--yes"], &data, data.join("ao.db")),
        };
        let (call, at) = (CALLS[rng.usize(..CALLS.len())], rng.usize(1..40));
        killed(&env, data, args, call, at);
        println!("{args:?} at {call} {at}: {}", made.exists());
        let is_restore = round % 5 == 4;
        assert!(made.exists() || !is_restore, "the store is gone");
        if made.exists() {
            if round % 5 == 3 {
                // Its first line has the head of the log, which a restore may have moved.
                let found = std::fs::read(&made).unwrap();
                assert_eq!(
                    found.split(|byte| *byte == b'\n').count(),
                    whole.split(|b| *b == b'\n').count()
                );
            } else {
                succeeds(&env, data, &["verify", text(&made)]);
            }
            if matches!(round % 5, 1..=3) {
                std::fs::remove_file(&made).unwrap();
                for suffix in ["-wal", "-shm"] {
                    let _ = std::fs::remove_file(format!("{}{suffix}", made.display()));
                }
            }
        }
        succeeds(&env, data, args);
    }
}
