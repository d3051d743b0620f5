//! Stranded consumers: the commands that strand one or show one name it, and the command that moves it.

use serde_json::{Value, json};

use crate::support::{TestEnv, text};

/// A store with two consumers that was restored from its backup.
fn restored() -> (TestEnv, Value) {
    let env = TestEnv::with_demo();
    env.ok(&["consumer", "create", "idx", "--from", "beginning"]);
    env.ok(&["consumer", "create", "log"]);
    env.ok(&["backup", "out.db"]);
    env.ok(&["session", "new", "--project", "demo"]);
    let dir = env.path("data");
    let args = ["--data-dir", text(&dir), "restore-db", "out.db", "--yes"];
    let document = env.json("restore", &args);
    (env, document)
}

#[test]
fn a_restore_lists_the_stranded_consumers_and_what_moves_them() {
    let (env, document) = restored();
    let fix = |name: &str| {
        let dir = env.path("data");
        format!("ao-store --data-dir {} consumer seek {name} --to beginning", text(&dir))
    };
    let expected = json!([
        {"name": "idx", "acked": "1-0", "fix": fix("idx")},
        {"name": "log", "acked": "1-1", "fix": fix("log")},
    ]);
    assert_eq!(document["stranded"], expected);
    let stderr = env.run(&["restore-db", "out.db", "--yes"]).stderr;
    let line = "consumer log at 1-1 is stranded; to move it: \
        `ao-store consumer seek log --to beginning`\n";
    assert!(stderr.contains(line), "{stderr}");
}

#[test]
fn a_stranded_consumer_is_shown_as_such_until_it_is_moved() {
    let (env, _) = restored();
    let fix = "`ao-store consumer seek log --to beginning`";
    let list = env.run(&["consumer", "ls"]);
    assert!(list.stdout.contains("log   stranded "), "{}", list.stdout);
    assert!(list.stderr.contains(fix), "{}", list.stderr);
    assert!(env.run(&["consumer", "get", "log"]).stderr.contains(fix));
    let status = env.ok(&["status"]);
    assert!(status.contains("consumer  log: stranded, cursor 1-1 belongs to another"), "{status}");
    assert!(status.contains(fix), "{status}");
    let of = |document: &Value| document[1]["stranded"].clone();
    assert_eq!(of(&env.json("consumer.list", &["consumer", "ls"])), "CURSOR_EPOCH_MISMATCH");
    let status = env.json("store.status", &["status"]);
    assert_eq!(of(&status["consumers"]), "CURSOR_EPOCH_MISMATCH");
    let doctor = env.run(&["doctor"]).stdout;
    assert!(doctor.contains("consumer idx is stranded: cursor 1-0 belongs to"), "{doctor}");

    env.ok(&["consumer", "seek", "log", "--to", "beginning"]);
    assert_eq!(of(&env.json("consumer.list", &["consumer", "ls"])), Value::Null);
    let list = env.ok(&["consumer", "ls"]);
    assert!(list.contains("log   not in use "), "{list}");
}

#[test]
fn a_consumer_whose_changes_were_pruned_is_stranded() {
    let env = TestEnv::with_demo();
    env.ok(&["consumer", "create", "idx", "--from", "beginning", "--policy", "none"]);
    for _ in 0..3 {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    env.ok(&["prune", "--keep-events", "1", "--yes"]);
    let found = env.json("consumer.get", &["consumer", "get", "idx"]);
    assert_eq!(found["stranded"], "CURSOR_EXPIRED");
    let status = env.ok(&["status"]);
    assert!(status.contains("consumer  idx: stranded, cursor 1-0 has expired"), "{status}");
}

#[test]
fn a_restore_counts_as_the_last_backup() {
    let (env, _) = restored();
    let status = env.json("store.status", &["status"]);
    assert!(status["backup_at"].is_string(), "{status}");
    let doctor = env.run(&["doctor"]).stdout;
    assert!(doctor.contains("the last backup is "), "{doctor}");
}

#[test]
fn an_acknowledgement_says_whether_the_consumer_moved() {
    let env = TestEnv::with_demo();
    env.ok(&["consumer", "create", "idx", "--from", "beginning"]);
    env.ok(&["session", "new", "--project", "demo"]);
    let ack = |cursor| {
        let done = env.json("consumer.ack", &["consumer", "ack", "idx", cursor]);
        [&done["moved"], &done["previous"], &done["acked"]].map(Clone::clone)
    };
    assert_eq!(ack("1-2"), [json!(true), json!("1-0"), json!("1-2")]);
    assert_eq!(ack("1-1"), [json!(false), json!("1-2"), json!("1-2")]);
    let said = |cursor| env.run(&["consumer", "ack", "idx", cursor]).stderr;
    assert_eq!(said("1-1"), "consumer idx did not move: it is at 1-2, and 1-1 is older\n");
    assert_eq!(said("1-2"), "consumer idx did not move: it is at 1-2 already\n");
    env.ok(&["consumer", "seek", "idx", "--to", "beginning"]);
    assert_eq!(said("1-1"), "consumer idx acknowledged: it moved from 1-0 to 1-1\n");
}
