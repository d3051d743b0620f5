//! Commands that make or replace a file, interrupted everywhere: killed at their system calls, and on
//! disks of every size. What has a name is whole, and the same command succeeds afterwards.
//!
//! `AO_KILL_POINTS` is the number of kills per command (default 20, 0 for all of them),
//! `AO_SWEEP_SEED` repeats a choice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ao_store::row::pr;
use ao_store::verify::Depth;
use ao_store::{Options, Store};
use fastrand::Rng;

use crate::support::{Mount, TestEnv, can_trace, finish, text, under_strace};

/// The calls at which a command is killed: those by which it changes files, and their neighbours.
const CALLS: [&str; 14] = [
    "openat",
    "write",
    "pwrite64",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "mkdir",
    "close",
];

/// The pull requests in the store that a test begins with, and after later writes.
const PRS: [usize; 2] = [20, 30];

/// A store with pull requests, and copies of it.
fn prepared() -> TestEnv {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo"]);
    apply(&env, 0..PRS[0]);
    env.ok(&["backup", text(&env.path("first.db"))]);
    env.ok(&["export", text(&env.path("first.ndjson"))]);
    apply(&env, PRS[0]..PRS[1]);
    env
}

fn apply(env: &TestEnv, numbers: std::ops::Range<usize>) {
    let document = |number| {
        format!("{{\"pr\": \"octo/hello#{number}\", \"session\": \"demo-1\", \"facts\": {{}}}}\n")
    };
    let documents: String = numbers.map(|number| document(number + 1)).collect();
    let output = env.feed(&["observe", "apply", "-"], documents);
    assert_eq!(output.code, 0, "{}", output.stderr);
}

/// The pull requests in a database, which must be sound.
fn sound_prs(path: &Path) -> usize {
    let store = Store::open(path, Options::default()).unwrap();
    let report = store.verify(Depth::Sums).unwrap();
    assert!(report.is_sound(), "{}: {:?}", path.display(), report.findings);
    store.read(|snapshot| pr::list(snapshot, &pr::Filter::default())).unwrap().len()
}

/// A command that is interrupted.
struct Case {
    args: Vec<String>,
    /// The files that it makes or replaces, below the folder of the test.
    files: &'static [&'static str],
    /// What must be true whenever it ends, and whether it succeeded.
    judge: fn(&TestEnv, bool),
}

impl Case {
    fn new(
        env: &TestEnv,
        args: &[&str],
        files: &'static [&'static str],
        judge: fn(&TestEnv, bool),
    ) -> Case {
        // A word with a slash is a path in the folder of the test.
        let path = |arg: &&str| match arg.strip_prefix('/') {
            Some(name) => text(&env.path(name)).to_owned(),
            None => (*arg).to_owned(),
        };
        Case { args: args.iter().map(path).collect(), files, judge }
    }

    fn args(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }
}

fn cases(env: &TestEnv) -> Vec<Case> {
    vec![
        Case::new(env, &["backup", "/out.db"], &["data", "out.db"], |env, is_done| {
            assert_eq!(sound_prs(&env.database()), PRS[1]);
            let out = env.path("out.db");
            assert!(!is_done || out.exists());
            if out.exists() {
                assert_eq!(sound_prs(&out), PRS[1]);
            }
        }),
        Case::new(env, &["export", "/out.ndjson"], &["data", "out.ndjson"], |env, is_done| {
            let out = env.path("out.ndjson");
            assert!(!is_done || out.exists());
            if let Ok(exported) = fs::read_to_string(&out) {
                let last = exported.lines().last().unwrap_or_default();
                assert!(last.starts_with("{\"end\""), "it ends with {last:?}");
            }
        }),
        Case::new(env, &["restore-db", "/first.db", "--yes"], &["data"], |env, is_done| {
            let found = sound_prs(&env.database());
            assert!(found == PRS[0] || (!is_done && found == PRS[1]), "{found}");
        }),
        Case::new(
            env,
            &["--data-dir", "/new", "import", "/first.ndjson"],
            &["new"],
            |env, is_done| {
                let database = env.path("new/ao.db");
                assert!(!is_done || database.exists());
                if database.exists() {
                    assert_eq!(sound_prs(&database), PRS[0]);
                }
            },
        ),
        Case::new(env, &["--data-dir", "/new", "init"], &["new"], |env, is_done| {
            if is_done {
                assert_eq!(sound_prs(&env.path("new/ao.db")), 0);
            }
        }),
    ]
}

/// Puts the files that a command changes back as they were.
fn reset(env: &TestEnv, pristine: &Path, case: &Case) {
    for name in case.files {
        let (from, to) = (pristine.join(name), env.path(name));
        let _ = fs::remove_dir_all(&to).or_else(|_| fs::remove_file(&to));
        copy(&from, &to);
    }
    // What an interrupted attempt left under a temporary name does not disturb the next case.
    for entry in fs::read_dir(env.path("")).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("out.") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else if from.is_file() {
        fs::copy(from, to).unwrap();
    }
}

/// A copy of the files that commands change.
fn pristine(env: &TestEnv) -> PathBuf {
    let pristine = env.path("pristine");
    copy(&env.path("data"), &pristine.join("data"));
    pristine
}

/// Every call of a command as its name and how often its thread has made it.
fn points(env: &TestEnv, args: &[&str]) -> Vec<(String, usize)> {
    let log = env.path("strace.log");
    let trace = format!("trace={}", CALLS.join(","));
    let output =
        finish(&mut under_strace(&env.command(args), &["-o", text(&log), "-e", &trace]), b"");
    assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        *counts.entry((name.to_owned(), thread.to_owned())).or_default() += 1;
    }
    let mut most: BTreeMap<String, usize> = BTreeMap::new();
    for ((name, _), count) in counts {
        let known = most.entry(name).or_default();
        *known = count.max(*known);
    }
    most.into_iter().flat_map(|(name, count)| (1..=count).map(move |n| (name.clone(), n))).collect()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect(variable))
}

#[test]
fn a_command_killed_at_any_system_call_leaves_whole_files_and_succeeds_afterwards() {
    if !can_trace() {
        return;
    }
    let env = prepared();
    let pristine = pristine(&env);
    let seed = number("AO_SWEEP_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("AO_SWEEP_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    for case in cases(&env) {
        let mut points = points(&env, &case.args());
        rng.shuffle(&mut points);
        match number("AO_KILL_POINTS").unwrap_or(20) {
            0 => {}
            wanted => points.truncate(usize::try_from(wanted).unwrap()),
        }
        for (call, count) in points {
            reset(&env, &pristine, &case);
            let kill = format!("inject={call}:signal=KILL:when={count}");
            let log = env.path("strace.log");
            let trace = format!("trace={call}");
            let options = ["-o", text(&log), "-e", &trace, "-e", &kill];
            let killed = under_strace(&env.command(&case.args()), &options).output().unwrap();
            println!("{:?} killed at {call} {count}: {:?}", case.args, killed.status.code());
            (case.judge)(&env, killed.status.success());
            let again = env.run(&case.args());
            let is_there = again.code == 5 && again.stderr.contains("TARGET_EXISTS");
            assert!(again.code == 0 || is_there, "{}", again.stderr);
            (case.judge)(&env, true);
        }
    }
}

#[test]
fn a_disk_of_any_size_gets_a_whole_file_or_none() {
    let env = prepared();
    let small = env.path("small");
    let store = fs::metadata(env.path("first.db")).unwrap().len();
    for size in (0..=24).map(|step| (store * step / 8).max(4096)) {
        for command in ["backup", "export", "import", "init"] {
            let _mount = match Mount::new(&small, &format!("size={size},mode=0700")) {
                Ok(mount) => mount,
                Err(error) => return println!("skipped: no tmpfs can be mounted: {error}"),
            };
            let out = small.join(if command == "export" { "out.ndjson" } else { "ao.db" });
            let (first, data) = (env.path("first.ndjson"), text(&small));
            let args = match command {
                "import" => vec!["--data-dir", data, "import", text(&first)],
                "init" => vec!["--data-dir", data, "init"],
                other => vec![other, text(&out)],
            };
            let done = env.run(&args);
            assert!(
                !done.stderr.contains("INTERNAL_ERROR"),
                "{command} at {size}: {}",
                done.stderr
            );
            match (done.code, command) {
                (0, "export") => {
                    let text = fs::read_to_string(&out).unwrap();
                    let last = text.lines().last().unwrap_or_default();
                    assert!(last.starts_with("{\"end\""), "{command} at {size}");
                }
                (0, "init") => assert!(out.exists()),
                (0, _) => {
                    fs::copy(&out, env.path("copied.db")).unwrap();
                    let expected = if command == "backup" { PRS[1] } else { PRS[0] };
                    assert_eq!(sound_prs(&env.path("copied.db")), expected, "{command} at {size}");
                    fs::remove_file(env.path("copied.db")).unwrap();
                }
                _ => assert!(!out.exists(), "{command} at {size} failed, but: {}", done.stderr),
            }
        }
    }
}
