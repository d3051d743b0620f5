//! Rules of retention that would delete what exists are stored after a confirmation only.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use serde_json::json;

use crate::support::{Live, TestEnv, can_trace, finish, text, under_strace};

fn with_sessions(count: usize) -> TestEnv {
    let env = TestEnv::with_demo();
    for _ in 0..count {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    env
}

fn rules(env: &TestEnv) -> serde_json::Value {
    env.json("retention.show", &["retention", "show"])["rules"].clone()
}

#[test]
fn rules_that_delete_what_exists_are_confirmed() {
    let env = with_sessions(5);
    let none = json!({"keep_days": null, "keep_events": null, "max_bytes": null});
    for rule in [["--keep-events", "3"], ["--keep-days", "0"], ["--max-bytes", "1B"]] {
        let args = [&["retention", "set"][..], &rule].concat();
        let stderr = env.refused(&args, 2, "USAGE");
        assert!(stderr.contains("cannot ask whether to store rules that delete "), "{stderr}");
        assert!(stderr.contains(&format!("retention set {} {} --yes`", rule[0], rule[1])));
    }
    let stderr = env.refused(&["retention", "set", "--keep-events", "3"], 2, "USAGE");
    assert!(stderr.contains("delete 3 changes, up to 1-3 of 20"), "{stderr}");
    let dry = ["retention", "set", "--keep-events", "3", "--dry-run"];
    assert_eq!(env.json("prune.plan", &dry)["changes"], 3);
    assert!(env.ok(&dry).contains("to delete  3 changes up to 1-3"));
    assert_eq!(rules(&env), none);
    env.ok(&["retention", "set", "--keep-events", "3", "--yes"]);
    assert_eq!(rules(&env)["keep_events"], 3);
}

#[test]
fn what_a_consumer_holds_back_is_counted() {
    let env = with_sessions(5);
    env.ok(&["consumer", "create", "idx", "--from", "beginning"]);
    let stderr = env.refused(&["retention", "set", "--keep-events", "2"], 2, "USAGE");
    assert!(stderr.contains("delete 4 changes, up to 1-4"), "{stderr}");
}

#[test]
fn rules_that_delete_nothing_now_are_not_confirmed_unless_they_keep_none() {
    let env = with_sessions(1);
    env.ok(&["retention", "set", "--keep-days", "30", "--max-bytes", "1GiB"]);
    let env = TestEnv::new();
    env.ok(&["retention", "set", "--keep-events", "1"]);
    let stderr = env.refused(&["retention", "set", "--keep-days", "0"], 2, "USAGE");
    assert!(stderr.contains("keep only the changes of the newest commit"), "{stderr}");
    assert_eq!(rules(&env)["keep_events"], 1, "the stored ones stay");
}

#[test]
fn prune_by_age_zero_is_confirmed() {
    let env = with_sessions(2);
    let stderr = env.refused(&["prune", "--keep-days", "0"], 2, "USAGE");
    assert!(stderr.contains("cannot ask whether to delete 2 changes"), "{stderr}");
    assert_eq!(env.json("store.status", &["status"])["floor"], "1-0");
}

/// The steps of pruning are not synced one by one. SQLite puts the WAL beside the file that a link names.
#[test]
fn prune_syncs_the_wal_also_where_the_database_is_a_symbolic_link() {
    if !can_trace() {
        return;
    }
    let env = with_sessions(3);
    let real = env.path("real");
    fs::create_dir(&real).unwrap();
    fs::rename(env.database(), real.join("ao.db")).unwrap();
    symlink(real.join("ao.db"), env.database()).unwrap();
    // While another process has it open, the end of this one does not close the WAL.
    let mut other = Live::start(env.sqlite_shell().stdin(Stdio::piped()));
    other.say("SELECT count(*) > 0 FROM session;\n");
    assert_eq!(other.line(), "1");
    let log = env.path("strace.log");
    let prune = env.command(&["prune", "--keep-events", "3", "--yes"]);
    let options = ["-o", text(&log), "-e", "trace=openat,fdatasync"];
    let done = finish(&mut under_strace(&prune, &options), b"");
    assert_eq!(done.code, 0, "{}", done.stderr);
    let calls = fs::read_to_string(&log).unwrap();
    let opened = format!("\"{}-wal\", O_RDONLY|O_CLOEXEC) = ", text(&real.join("ao.db")));
    let mut lines = calls.lines().skip_while(|line| !line.contains(&opened));
    let file = lines.next().and_then(|line| line.split_once(&opened)).map(|(_, file)| file);
    let synced = file.map(|file| format!("fdatasync({file})")).expect("the WAL is opened");
    assert!(lines.any(|line| line.contains(&synced)), "{calls}");
}
