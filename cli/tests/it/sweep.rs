//! Commands that make or replace a file, interrupted everywhere: killed at their system calls, and on
//! disks of every size. What has a name is whole, and the same command succeeds afterwards.
//!
//! `AO_KILL_POINTS` is the number of kills per command (default 20, 0 for all of them),
//! `AO_SWEEP_SEED` repeats a choice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ao_store::row::{pr, project};
use ao_store::verify::Depth;
use ao_store::{Options, Store};
use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Live, Mount, TestEnv, can_trace, text, under_strace};

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
    env.database_of_ao("tool.db", PRS[0]);
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
    /// Whether it runs until it is stopped.
    is_endless: bool,
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
        Case { args: args.iter().map(path).collect(), files, judge, is_endless: false }
    }

    /// Runs it to its end, and stops what is endless once it is ready. Whether it did all of its work, and
    /// what it printed for people.
    fn run(&self, command: &mut Command) -> (bool, String) {
        if !self.is_endless {
            let ended = command.output().unwrap();
            return (ended.status.success(), String::from_utf8(ended.stderr).unwrap());
        }
        let live = Live::start(command);
        let is_ready = live.is_printed("ready: cursor ");
        if is_ready {
            stop(live.id());
        }
        let (status, stderr) = live.status();
        (is_ready && status.code() == Some(143), stderr)
    }

    fn args(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }
}

/// Stops a process; under strace, the traced one.
fn stop(id: u32) {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let id = children.trim().parse().unwrap_or(id.cast_signed());
    // It may have been killed meanwhile.
    let _ = kill_process(Pid::from_raw(id).unwrap(), Signal::TERM);
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
        Case::new(env, &["--data-dir", "/new", "import", "/first.ndjson"], &["new"], imported),
        Case::new(
            env,
            &["--data-dir", "/new", "import", "--from-ao", "/tool.db"],
            &["new"],
            imported,
        ),
        Case::new(env, &["--data-dir", "/new", "init"], &["new"], |env, is_done| {
            if is_done {
                assert_eq!(sound_prs(&env.path("new/ao.db")), 0);
            }
        }),
        Case {
            is_endless: true,
            ..Case::new(
                env,
                &["--data-dir", "/new", "up", "/demo", "--no-observe"],
                &["new"],
                |env, is_done| {
                    let database = env.path("new/ao.db");
                    if is_done {
                        assert_eq!(sound_prs(&database), 0);
                        let store = Store::open(&database, Options::default()).unwrap();
                        let projects = store.read(|snapshot| project::list(snapshot, false));
                        assert_eq!(projects.unwrap().len(), 1);
                    }
                },
            )
        },
    ]
}

/// A new store is whole or absent.
fn imported(env: &TestEnv, is_done: bool) {
    let database = env.path("new/ao.db");
    assert!(!is_done || database.exists());
    if database.exists() {
        assert_eq!(sound_prs(&database), PRS[0]);
    }
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
fn points(env: &TestEnv, case: &Case) -> Vec<(String, usize)> {
    let log = env.path("strace.log");
    let trace = format!("trace={}", CALLS.join(","));
    let options = ["-o", text(&log), "-e", &trace];
    let (is_done, stderr) = case.run(&mut under_strace(&env.command(&case.args()), &options));
    assert!(is_done, "{:?}: {stderr}", case.args);
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
        reset(&env, &pristine, &case);
        let mut points = points(&env, &case);
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
            let (is_done, _) = case.run(&mut under_strace(&env.command(&case.args()), &options));
            println!("{:?} killed at {call} {count}: done {is_done}", case.args);
            (case.judge)(&env, is_done);
            let (is_done, stderr) = case.run(&mut env.command(&case.args()));
            let is_there = ["error[TARGET_EXISTS]", "error[STORE_NOT_EMPTY]"];
            assert!(is_done || is_there.iter().any(|it| stderr.contains(it)), "{stderr}");
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
        for command in ["backup", "export", "import", "import-ao", "init"] {
            let _mount = match Mount::new(&small, &format!("size={size},mode=0700")) {
                Ok(mount) => mount,
                Err(error) => return println!("skipped: no tmpfs can be mounted: {error}"),
            };
            let out = small.join(if command == "export" { "out.ndjson" } else { "ao.db" });
            let (first, tool, data) = (env.path("first.ndjson"), env.path("tool.db"), text(&small));
            let args = match command {
                "import" => vec!["--data-dir", data, "import", text(&first)],
                "import-ao" => vec!["--data-dir", data, "import", "--from-ao", text(&tool)],
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

#[test]
fn a_restore_without_space_changes_nothing_and_says_how_much_it_needs() {
    let env = prepared();
    let small = env.path("small");
    let size = fs::metadata(env.database()).unwrap().len();
    for (times, is_enough) in [(2, false), (3, false), (5, true)] {
        let _mount = match Mount::new(&small, &format!("size={},mode=0700", times * size)) {
            Ok(mount) => mount,
            Err(error) => return println!("skipped: no tmpfs can be mounted: {error}"),
        };
        fs::copy(env.database(), small.join("ao.db")).unwrap();
        let first = env.path("first.db");
        let args = ["--data-dir", text(&small), "restore-db", text(&first), "--yes"];
        if is_enough {
            env.ok(&args);
        } else {
            let stderr = env.refused(&args, 1, "DISK_FULL");
            assert!(stderr.contains("a restore needs "), "{stderr}");
        }
        assert_eq!(sound_prs(&small.join("ao.db")), PRS[usize::from(!is_enough)]);
    }
}

#[test]
fn a_failing_disk_while_a_new_file_is_completed_leaves_no_file_that_is_not_whole() {
    if !can_trace() {
        return;
    }
    let env = prepared();
    let (copy, export, new) = (env.path("out.db"), env.path("out.ndjson"), env.path("new"));
    let (first, tool) = (env.path("first.ndjson"), env.path("tool.db"));
    let commands: [(&[&str], &str); 4] = [
        (&["--data-dir", text(&new), "import", text(&first)], "new/ao.db"),
        (&["--data-dir", text(&new), "import", "--from-ao", text(&tool)], "new/ao.db"),
        (&["backup", text(&copy)], "out.db"),
        (&["export", text(&export)], "out.ndjson"),
    ];
    let faults =
        ["pwrite64:error=ENOSPC", "write:error=ENOSPC", "fsync:error=EIO", "fdatasync:error=EIO"];
    for (args, out) in commands {
        let out = env.path(out);
        let _ = fs::remove_dir_all(&new);
        // The unfinished file, and not its journals: moving those into it is what fails.
        let unfinished = renamed(&env, args);
        let mut failed = 0;
        for (fault, when) in
            faults.into_iter().flat_map(|fault| [1, 2, 3, 5, 9].map(|n| (fault, n)))
        {
            let _ = fs::remove_dir_all(&new);
            let _ = fs::remove_file(&out);
            let (inject, log) = (format!("inject={fault}:when={when}+"), env.path("strace.log"));
            let options = ["-o", text(&log), "-P", &unfinished, "-e", &inject];
            let done = under_strace(&env.command(args), &options).output().unwrap();
            let what = format!("{args:?} with {fault} from {when}");
            if done.status.success() {
                assert!(is_whole(&out), "{what}");
            } else {
                assert!(!out.exists(), "{what} failed");
                failed += 1;
            }
        }
        assert!(failed >= 3, "{args:?}: the faults did not hit {unfinished}");
    }
}

/// The name of the unfinished file that a command renames in the end.
fn renamed(env: &TestEnv, args: &[&str]) -> String {
    let log = env.path("strace.log");
    let trace = ["-o", text(&log), "-e", "trace=renameat2"];
    let done = under_strace(&env.command(args), &trace).output().unwrap();
    assert!(done.status.success(), "{args:?}");
    let calls = fs::read_to_string(log).unwrap();
    let (_, path) = calls.split_once('"').expect("a file is renamed");
    path.split('"').next().unwrap().to_owned()
}

/// What cannot be examined is not taken for missing.
#[test]
fn a_log_that_cannot_be_kept_stops_a_restore() {
    if !can_trace() {
        return;
    }
    let env = prepared();
    let (log, first) = (env.path("data/ao.db-wal"), env.path("first.db"));
    fs::write(env.database(), "damaged").unwrap();
    fs::write(&log, "its log").unwrap();
    let args = ["restore-db", text(&first), "--yes"];
    let options = ["-o", "/dev/null", "-P", text(&log), "-e", "inject=statx:error=EIO"];
    let done = under_strace(&env.command(&args), &options).output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(fs::read(env.database()).unwrap(), b"damaged");
    assert_eq!(fs::read(&log).unwrap(), b"its log");
    env.ok(&args);
}

/// Whether an export, or a database with all pull requests of its time, is complete.
fn is_whole(out: &Path) -> bool {
    if out.extension().is_none_or(|extension| extension != "ndjson") {
        return PRS.contains(&sound_prs(out));
    }
    let text = fs::read_to_string(out).unwrap();
    text.lines().last().is_some_and(|last| last.starts_with("{\"end\""))
}
