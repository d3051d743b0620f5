//! The operator's commands: retention, backup, restore, verify, doctor, export and import.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{TestEnv, has_sqlite, text};

fn with_sessions(count: usize) -> TestEnv {
    let env = TestEnv::with_demo();
    for _ in 0..count {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    env
}

#[test]
fn prune_shows_which_consumers_it_would_cut_off() {
    let env = with_sessions(9);
    env.ok(&["consumer", "create", "slow", "--from", "1-4"]);
    env.ok(&["consumer", "create", "loose", "--from", "1-2", "--policy", "none"]);
    let plan = env.json("prune.plan", &["prune", "--keep-events", "2", "--dry-run"]);
    assert_eq!(
        (&plan["changes"], &plan["target"], &plan["wanted"]),
        (&json!(4), &json!("1-4"), &json!("1-8"))
    );
    assert_eq!(plan["held"][0], json!({"holder": "consumer slow", "cursor": "1-4"}));
    assert_eq!(plan["cut_off"], json!(["loose"]));
    let text = env.ok(&["prune", "--keep-events", "2", "--dry-run"]);
    assert!(text.contains("to delete  4 changes up to 1-4"), "{text}");
    assert!(text.contains("held by    consumer slow at 1-4"), "{text}");
    assert!(text.contains("cut off    consumer loose"), "{text}");
    assert_eq!(env.head(), "1-10");
    env.refused(&["prune", "--keep-events", "2"], 2, "USAGE");
    let pruned = env.json("prune", &["prune", "--keep-events", "2", "--yes"]);
    assert_eq!((&pruned["changes"], &pruned["floor"]), (&json!(4), &json!("1-4")));
    env.refused(&["consumer", "pull", "loose"], 7, "CURSOR_EXPIRED");
    env.refused(&["consumer", "seek", "loose", "--to", "1-3"], 7, "CURSOR_EXPIRED");
    let doctor = env.run(&["doctor"]);
    assert_eq!(doctor.code, 0, "its policy permits that it is cut off: {}", doctor.stdout);
    assert!(doctor.stdout.contains("consumer loose is stranded"), "{}", doctor.stdout);
    env.ok(&["consumer", "seek", "loose", "--to", "beginning"]);
    env.ok(&["consumer", "pull", "loose"]);
    env.ok(&["consumer", "pull", "slow"]);
    env.ok(&["consumer", "rm", "slow", "--yes"]);
    env.ok(&["prune", "--keep-events", "0", "--yes"]);
    let status = env.json("store.status", &["status"]);
    assert_eq!(
        (&status["floor"], &status["head"]),
        (&json!("1-9"), &json!("1-10")),
        "the newest stays"
    );
    env.json("verify", &["verify", "--deep"]);
}

#[test]
fn rules_are_stored_shown_and_applied_by_prune() {
    let env = with_sessions(5);
    env.refused(&["prune", "--yes"], 2, "USAGE");
    env.refused(&["retention", "set"], 2, "USAGE");
    for bad in
        [&["--keep-days", "-1"][..], &["--keep-events", "many"], &["--max-bytes", "1 elephant"]]
    {
        env.refused(&[&["retention", "set"], bad].concat(), 2, "USAGE");
    }
    let args = ["retention", "set", "--keep-events", "3", "--max-bytes", "1GiB", "--yes"];
    let shown = env.json("retention.show", &args);
    assert_eq!(shown["rules"], json!({"keep_days": null, "keep_events": 3, "max_bytes": 1 << 30}));
    assert_eq!(shown["changes"], 3);
    env.ok(&["prune", "--yes"]);
    assert_eq!(env.json("store.status", &["status"])["floor"], "1-3");
    assert!(env.ok(&["retention", "off"]).contains("every change is kept"));
}

#[test]
fn a_backup_is_restored_and_old_cursors_are_refused() {
    let env = with_sessions(2);
    let out = text(&env.path("out.db")).to_owned();
    let receipt = env.json("backup", &["backup", &out]);
    assert_eq!(receipt["cursor"], "1-3");
    assert_eq!(receipt["bytes"], fs::metadata(&out).unwrap().len());
    assert_eq!(receipt["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    env.refused(&["backup", &out], 5, "TARGET_EXISTS");
    let making = env.path("other.db.partial");
    fs::create_dir(&making).unwrap();
    fs::write(making.join("notes"), "mine").unwrap();
    let refused = env.refused(&["backup", text(&env.path("other.db"))], 5, "TARGET_EXISTS");
    assert!(refused.contains(&format!("`ls -la {}`", making.display())), "{refused}");
    env.refused(&["backup", "no/such/folder/out.db"], 1, "IO_ERROR");
    env.ok(&["session", "new", "--project", "demo"]);
    env.refused(&["restore-db", &out], 2, "USAGE");
    let would = env.json("dry_run", &["restore-db", &out, "--dry-run"]);
    assert!(would["would"].as_str().unwrap().contains("which is at 1-3"), "{would}");
    let restored = env.json("restore", &["restore-db", &out, "--yes"]);
    assert_eq!(restored["cursor"], "2-3");
    let kept = restored["kept"].as_str().unwrap();
    assert_eq!(
        env.json("verify", &["verify", kept])["cursor"],
        "1-4",
        "the replaced file is whole"
    );
    env.refused(&["tail", "--from", "1-3"], 7, "CURSOR_EPOCH_MISMATCH");
    assert_eq!(env.ok(&["session", "new", "--project", "demo"]), "demo-3\n");
    assert_eq!(env.json("store.status", &["status"])["head"], "2-4");
}

#[test]
fn a_file_that_is_not_a_backup_is_refused_and_changes_nothing() {
    let env = with_sessions(1);
    let out = text(&env.path("out.db")).to_owned();
    env.ok(&["backup", &out]);
    let whole = fs::read(&out).unwrap();
    let mut flipped = whole.clone();
    let at = whole.windows(6).position(|bytes| bytes == b"demo-1").unwrap();
    flipped[at] ^= 1;
    for (name, bytes, exit, code) in [
        ("text", b"dear diary, this is no database at all\n".repeat(50), 5, "NOT_A_STORE"),
        ("empty", Vec::new(), 6, "CORRUPT"),
        ("cut", whole[..whole.len() / 2].to_vec(), 6, "CORRUPT"),
        ("flipped", flipped, 6, "CORRUPT"),
    ] {
        let file = env.file(name, bytes);
        let stderr = env.refused(&["restore-db", &file, "--yes"], exit, code);
        assert!(!stderr.contains("ao-store repair"), "that would not repair the backup: {stderr}");
    }
    env.refused(&["restore-db", "nothing.db", "--yes"], 3, "STORE_NOT_FOUND");
    assert_eq!(env.head(), "1-2");
    assert_eq!(
        fs::read_dir(env.path("data"))
            .unwrap()
            .filter(|file| {
                file.as_ref().unwrap().file_name().to_string_lossy().contains("restor")
            })
            .count(),
        0
    );
}

#[test]
fn verify_and_doctor_report_problems_and_exit_with_6() {
    let env = with_sessions(3);
    let report = env.json("verify", &["verify"]);
    assert_eq!((&report["is_sound"], &report["changes"]), (&json!(true), &json!(4)));
    assert_eq!(report["tables"]["session"]["rows"], 3);
    let healthy = env.json("doctor", &["doctor"]);
    assert_eq!(healthy["is_healthy"], true);
    let ids: Vec<_> = healthy["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].as_str().unwrap())
        .collect();
    for id in [
        "db.open",
        "db.integrity",
        "db.schema",
        "db.pragmas",
        "change_log.chain",
        "change_log.capture",
        "disk.free",
        "wal.readers",
        "clock.skew",
    ] {
        assert!(ids.contains(&id), "{ids:?}");
    }
    if !has_sqlite() {
        return;
    }
    env.sqlite("DELETE FROM change_log WHERE seq = 2; DROP TRIGGER capture_session_update;");
    let found = env.run(&["verify", "--json"]);
    assert_eq!(found.code, 6, "{}", found.stderr);
    let document: Value = serde_json::from_str(&found.stdout).unwrap();
    let findings = document["data"]["findings"].to_string();
    assert!(findings.contains("change 2 is missing"), "{findings}");
    assert!(findings.contains("capture_session_update is missing"), "{findings}");
    let doctor = env.run(&["doctor"]);
    assert_eq!(doctor.code, 6);
    assert!(doctor.stdout.contains("fail  change_log.capture"), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("UPDATE session SET"), "{}", doctor.stdout);
}

#[test]
fn doctor_without_a_store_prints_the_next_command() {
    let env = TestEnv::empty();
    let output = env.run(&["doctor"]);
    assert_eq!(output.code, 6);
    assert!(output.stdout.contains("STORE_NOT_FOUND"), "{}", output.stdout);
    assert!(output.stdout.contains("ao-store init"), "{}", output.stdout);
}

#[test]
fn an_export_contains_the_whole_store() {
    let env = with_sessions(3);
    env.ok(&["consumer", "create", "idx"]);
    let file = text(&env.path("all.ndjson")).to_owned();
    let exported = env.json("export", &["export", &file]);
    assert_eq!(exported["changes"], 4);
    env.refused(&["export", &file], 5, "TARGET_EXISTS");
    let other = TestEnv::empty();
    let imported = other.json("import", &["import", &file]);
    assert_eq!((&imported["cursor"], &imported["bad_total"]), (&json!("2-4"), &json!(0)));
    let sums = |env: &TestEnv| {
        let report = env.json("verify", &["verify", "--deep"]);
        (report["tables"].clone(), report["log_digest"].clone())
    };
    assert_eq!(sums(&env), sums(&other));
    assert_eq!(other.ok(&["session", "new", "--project", "demo"]), "demo-4\n");
    other.refused(&["import", &file], 5, "TARGET_EXISTS");
    let piped = TestEnv::empty();
    let stdout = env.ok(&["export", "-"]);
    assert_eq!(piped.feed(&["import", "-"], &stdout).code, 0);
    assert_eq!(sums(&piped), sums(&env));
}

#[test]
fn damaged_lines_are_named_and_refused_unless_skipped() {
    let env = with_sessions(2);
    let whole = env.ok(&["export", "-"]);
    let mut lines: Vec<_> = whole.lines().map(str::to_owned).collect();
    let row = lines.iter().position(|line| line.contains("\"demo-2\"")).unwrap();
    lines[row] = lines[row].replace("\"worker\"", "\"wizard\"");
    let damaged = env.file("damaged.ndjson", lines.join("\n") + "\n");
    let other = TestEnv::empty();
    let stderr = other.refused(&["import", &damaged], 2, "INVALID_EXPORT");
    assert!(stderr.contains(&format!("line {} of the export", row + 1)), "{stderr}");
    assert!(!other.database().exists(), "nothing was imported");
    let taken = other.json("import", &["import", &damaged, "--skip-bad"]);
    assert_eq!((&taken["bad"][0]["line"], &taken["changes"]), (&json!(row + 1), &json!(0)));
    other.json("verify", &["verify", "--deep"]);
    assert_eq!(other.json("session.list", &["session", "ls"]).as_array().unwrap().len(), 1);
    let cut = env.file("cut.ndjson", &whole[..whole.len() / 2]);
    let elsewhere = TestEnv::empty();
    elsewhere.refused(&["import", &cut], 2, "INVALID_EXPORT");
    elsewhere.refused(&["import", "nothing.ndjson"], 1, "IO_ERROR");
    elsewhere.refused(&["import"], 2, "USAGE");
}

#[test]
fn the_database_of_the_ao_tool_is_imported() {
    if !has_sqlite() {
        return;
    }
    let env = TestEnv::empty();
    let source = text(&env.path("ao-tool.db")).to_owned();
    let sql = "CREATE TABLE projects (id TEXT PRIMARY KEY, path TEXT, repo_origin_url TEXT, display_name TEXT);
        CREATE TABLE sessions (id TEXT PRIMARY KEY, project_id TEXT, num INTEGER, kind TEXT);
        INSERT INTO projects VALUES ('web', '/src/web', 'https://tok@github.com/octo/web.git', CAST(X'63616ee9' AS TEXT));
        INSERT INTO sessions VALUES ('web-1', 'web', 1, 'worker'), ('other-1', 'other', 1, 'worker');";
    let made = std::process::Command::new("sqlite3").args([&source, sql]).status();
    assert!(made.unwrap().success());
    env.refused(&["import", "--from-ao", "nothing.db"], 2, "INVALID_PATH");
    assert!(!env.path("data").exists(), "nothing is left of an import that was refused");
    let report = env.json("import.ao", &["import", "--from-ao", &source]);
    assert_eq!(
        report["cleaned"],
        json!([{"table": "projects", "column": "display_name", "rows": 1}])
    );
    assert_eq!((&report["taken"]["project"], &report["taken"]["session"]), (&json!(1), &json!(1)));
    assert_eq!(report["skipped"][0]["key"], "other-1");
    let project = env.json("project.get", &["project", "get", "web"]);
    assert_eq!(project["origin_url"], "https://github.com/octo/web.git");
    env.json("verify", &["verify"]);
    env.refused(&["import", "--from-ao", &source], 5, "STORE_NOT_EMPTY");
    let other = env.path("other");
    let text = env.ok(&["--data-dir", text(&other), "import", "--from-ao", &source]);
    assert!(text.contains("cleaned  column projects.display_name, 1 rows"), "{text}");
}
