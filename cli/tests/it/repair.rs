//! What another program changed: the command that fails names the command that repairs it, and that one
//! works.

use std::fs;

use serde_json::Value;

use crate::support::{TestEnv, has_sqlite, text};

fn with_session() -> Option<TestEnv> {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo"]);
    has_sqlite().then_some(env)
}

const NEW: [&str; 4] = ["session", "new", "--project", "demo"];

#[test]
fn a_dropped_trigger_is_created_anew() {
    let Some(env) = with_session() else { return };
    env.sqlite("DROP TRIGGER capture_session_insert;");
    assert!(env.refused(&NEW, 6, "SCHEMA_MISMATCH").contains("ao-store repair"));
    env.refused(&["repair"], 2, "USAGE");
    let would = env.json("dry_run", &["repair", "--dry-run"]);
    assert_eq!(would["would"], "create capture_session_insert");
    env.refused(&NEW, 6, "SCHEMA_MISMATCH");
    let repaired = env.json("repair", &["repair", "--yes"]);
    assert_eq!(repaired["done"][0], "create capture_session_insert");
    assert_eq!(repaired["cursor"], "1-2");
    assert_eq!(env.ok(&NEW), "demo-2\n");
    assert!(env.ok(&["repair"]).starts_with("nothing to repair"));
    env.ok(&["verify", "--deep"]);
}

#[test]
fn a_change_that_was_not_captured_ends_the_epoch() {
    let Some(env) = with_session() else { return };
    env.sqlite(
        "DROP TRIGGER capture_session_insert; INSERT INTO session (id, project_id, num, kind,
        activity_at, created_at, updated_at) VALUES ('demo-2', 'demo', 2, 'worker', 0, 0, 0);",
    );
    assert!(env.refused(&NEW, 6, "SCHEMA_MISMATCH").contains("ao-store repair"));
    let stderr = env.refused(&["repair", "--yes"], 6, "CORRUPT");
    assert!(stderr.contains("ao-store repair --drop-history"), "{stderr}");
    let done = env.ok(&["repair", "--drop-history", "--yes"]);
    assert!(done.contains("done: delete the history"), "{done}");
    env.refused(&["tail", "--from", "1-2", "--no-follow"], 7, "CURSOR_EPOCH_MISMATCH");
    assert_eq!(env.ok(&NEW), "demo-3\n");
    assert_eq!(env.json("session.list", &["session", "ls"]).as_array().unwrap().len(), 3);
    assert_eq!(env.head(), "2-3");
    env.ok(&["verify", "--deep"]);
}

#[test]
fn a_file_that_cannot_be_read_needs_a_backup() {
    let env = TestEnv::with_demo();
    let backup = text(&env.path("backup.db")).to_owned();
    env.ok(&["backup", &backup]);
    let mut bytes = fs::read(env.database()).unwrap();
    // All but the first page, which has the root of the schema: where the rest is depends on the indexes.
    bytes[4096..].fill(0xaa);
    fs::write(env.database(), bytes).unwrap();
    for args in [&["project", "ls"][..], &["verify"], &["repair", "--drop-history"], &["migrate"]] {
        let stderr = env.refused(args, 6, "CORRUPT");
        assert!(stderr.contains("`ao-store restore-db BACKUP`"), "{args:?}: {stderr}");
        assert!(!stderr.contains("ao-store repair"), "{args:?}: {stderr}");
    }
    env.ok(&["restore-db", &backup, "--yes"]);
    env.ok(&["verify"]);
}

#[test]
fn a_text_that_is_not_utf8_is_shown_named_and_rewritten() {
    let Some(env) = with_session() else { return };
    env.sqlite("UPDATE session SET name = CAST(x'636166e9' AS TEXT);");
    let list = env.json("session.list", &["session", "ls"]);
    assert_eq!(list[0]["name"], "caf\u{fffd}");
    let report = env.json("verify", &["verify"]);
    assert_eq!(report["is_sound"], true);
    let named = "name of the row demo-1 of session is not UTF-8";
    assert_eq!(report["warnings"][0]["message"], named);
    let doctor = env.json("doctor", &["doctor"]);
    let of_text = |it: &&Value| it["id"] == "db.text" && it["level"] == "warn";
    assert!(doctor["findings"].as_array().unwrap().iter().any(|it| of_text(&it)), "{doctor}");
    env.ok(&["repair", "--yes"]);
    assert!(!env.ok(&["verify"]).contains("UTF-8"));
    assert_eq!(env.json("session.list", &["session", "ls"])[0]["name"], "caf\u{fffd}");
}
