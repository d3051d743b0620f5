//! Backups with rotation: which files stay, and that neither a failed nor a killed run counts as one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::support::{TestEnv, can_trace, text, under_strace};

/// Every entry of the folder, sorted.
fn entries(env: &TestEnv) -> Vec<String> {
    let found = fs::read_dir(env.path("backups")).unwrap().map(Result::unwrap);
    let mut names: Vec<_> =
        found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn with_folder() -> TestEnv {
    let env = TestEnv::with_demo();
    fs::create_dir(env.path("backups")).unwrap();
    env
}

fn keep(env: &TestEnv, count: &str) -> PathBuf {
    let done = env.json("backup", &["backup", "--keep", count, "backups"]);
    PathBuf::from(done["path"].as_str().unwrap())
}

#[test]
fn the_newest_backups_stay_and_nothing_else_is_deleted() {
    let env = with_folder();
    let log = env.json("store.status", &["status"])["log_id"].as_str().unwrap()[..8].to_owned();
    let others = [
        format!("ao-{log}-1-20200101T000000.000Z.db-wal"),
        format!("ao-{log}-1-20200101T000000.000Z.db.gz"),
        format!("ao-{log}-1-20200102.db"),
        "ao-00000000-1-20200101T000000.000Z.db".to_owned(),
        "notes".to_owned(),
    ];
    for other in &others {
        fs::write(env.path("backups").join(other), "mine").unwrap();
    }
    let link = format!("ao-{log}-1-20200103T000000.000Z.db");
    symlink(env.database(), env.path("backups").join(&link)).unwrap();
    let made: Vec<_> = (0..4).map(|_| keep(&env, "2")).collect();
    let mut expected: Vec<_> = others.to_vec();
    expected.push(link);
    for path in &made[2..] {
        expected.push(path.file_name().unwrap().to_string_lossy().into_owned());
        env.ok(&["verify", text(path)]);
    }
    expected.sort();
    assert_eq!(entries(&env), expected);
    let output = env.run(&["backup", "--keep", "1", "backups"]);
    assert_eq!(output.stderr.matches("deleted the older backup ").count(), 2, "{}", output.stderr);
    let line = output.stdout.trim_end();
    assert!(
        line.contains("/backups/ao-") && line.len() > 64 && line.lines().count() == 1,
        "{line}"
    );
}

#[test]
fn a_store_does_not_rotate_the_backups_of_another_store_in_the_folder() {
    let env = with_folder();
    let first = keep(&env, "1");
    let other = env.path("other");
    env.ok(&["--data-dir", text(&other), "init"]);
    env.ok(&["--data-dir", text(&other), "backup", "--keep", "1", "backups"]);
    assert!(first.exists());
    assert_eq!(entries(&env).len(), 2);
}

#[test]
fn a_restored_copy_of_a_store_does_not_rotate_the_backups_of_the_original() {
    let env = with_folder();
    let first = keep(&env, "1");
    let copy = env.path("copy");
    env.ok(&["--data-dir", text(&copy), "restore-db", "backups", "--yes"]);
    let done = env.json("backup", &["--data-dir", text(&copy), "backup", "--keep", "1", "backups"]);
    assert_eq!(done["deleted"], serde_json::json!([]));
    assert!(first.exists());
    let second = keep(&env, "1");
    assert!(!first.exists() && second.exists());
    // The newest of both is restored.
    let target = env.path("target");
    env.ok(&["--data-dir", text(&target), "restore-db", "backups", "--yes"]);
    let epoch = env.json("store.status", &["--data-dir", text(&target), "status"])["epoch"].take();
    assert_eq!(epoch, 2, "of the original, whose epoch was 1");
}

#[test]
fn a_backup_of_a_clock_that_was_ahead_does_not_delete_the_new_one() {
    let env = with_folder();
    let first = keep(&env, "1");
    let name = first.file_name().unwrap().to_string_lossy().replace("-1-20", "-1-99");
    let ahead = first.with_file_name(name);
    fs::rename(&first, &ahead).unwrap();
    let second = keep(&env, "1");
    assert!(second.exists() && !ahead.exists());
}

#[test]
fn what_cannot_be_done_deletes_nothing() {
    let env = with_folder();
    let first = keep(&env, "1");
    env.refused(&["backup", "--keep", "0", "backups"], 2, "USAGE");
    let missing = env.refused(&["backup", "--keep", "1", "missing"], 2, "INVALID_PATH");
    assert!(missing.contains("must be a directory that exists"), "{missing}");
    env.refused(&["backup", "--keep", "1", text(&first)], 2, "INVALID_PATH");
    // A store that does not verify is not backed up.
    let damage = "UPDATE change_log SET type = 'x';";
    if env.sqlite(damage).is_some() {
        let output = env.run(&["backup", "--keep", "1", "backups"]);
        assert_eq!(output.code, 6, "{}", output.stderr);
        assert_eq!(entries(&env), [first.file_name().unwrap().to_string_lossy()]);
    }
}

/// A file counts from the system call on that gives it its name.
#[test]
fn a_killed_run_leaves_no_file_that_counts_and_deletes_none() {
    if !can_trace() {
        return;
    }
    for call in ["fsync", "renameat2", "unlink"] {
        let env = with_folder();
        let first = keep(&env, "1");
        let command = env.command(&["backup", "--keep", "1", "backups"]);
        let kill = format!("inject={call}:signal=KILL:when=1");
        let mut traced = under_strace(&command, &["-o", "/dev/null", "-e", &kill]);
        let killed = traced.current_dir(env.path("")).output().unwrap();
        assert!(!killed.status.success(), "{call}: it was not killed");
        assert!(first.exists(), "{call}");
        for name in entries(&env).iter().filter(|name| name.ends_with(".db")) {
            env.ok(&["verify", text(&env.path("backups").join(name))]);
        }
        let next = keep(&env, "1");
        assert_eq!(entries(&env), [next.file_name().unwrap().to_string_lossy()], "{call}");
    }
}

#[test]
fn two_runs_at_the_same_time_leave_whole_backups_only() {
    let env = with_folder();
    let runs: Vec<_> = (0..3).map(|_| env.spawn(&["backup", "--keep", "1", "backups"])).collect();
    let codes: Vec<_> = runs.into_iter().map(|run| run.end().code).collect();
    assert!(codes.contains(&0) && codes.iter().all(|code| matches!(code, 0 | 5)), "{codes:?}");
    let left = entries(&env);
    assert_eq!(left.len(), 1, "{left:?}");
    env.ok(&["verify", text(&env.path("backups").join(&left[0]))]);
}

#[test]
fn the_newest_backup_of_a_directory_is_restored() {
    let env = with_folder();
    let none = env.refused(&["restore-db", "backups", "--yes"], 2, "INVALID_PATH");
    assert!(none.contains("it has no backup of "), "{none}");
    keep(&env, "3");
    env.ok(&["session", "new", "--project", "demo"]);
    let newest = keep(&env, "3");
    let would = env.json("dry_run", &["restore-db", "backups", "--dry-run"])["would"].to_string();
    assert!(would.contains(text(&newest)) && would.contains("which is at 1-2"), "{would}");
    assert_eq!(env.json("restore", &["restore-db", "backups", "--yes"])["cursor"], "2-2");
    let other = env.path("other");
    env.ok(&["--data-dir", text(&other), "init"]);
    env.ok(&["--data-dir", text(&other), "backup", "--keep", "1", "backups"]);
    let several = env.refused(&["restore-db", "backups", "--yes"], 2, "INVALID_PATH");
    assert!(several.contains("backups of 2 stores"), "{several}");
}
