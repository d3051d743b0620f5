//! Only the named places use SQL, print, start processes, or read the clock.

use std::fs;

use super::{root, shipped};

/// Fails with every line of `files` that holds one of `words`, comments left out.
fn forbid(files: Vec<(String, String)>, words: &[&str], rule: &str) {
    let mut found = Vec::new();
    for (name, text) in files {
        for (number, line) in text.lines().enumerate() {
            let code = line.trim_start();
            if !code.starts_with("//") && words.iter().any(|word| code.contains(word)) {
                found.push(format!("{name}:{}: {}", number + 1, code));
            }
        }
    }
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn only_the_store_names_rusqlite_and_holds_sql() {
    let others = || shipped(&["program", "cdc", "observer", "session", "cli"]);
    let rule = "only `store` opens the database";
    forbid(others(), &["rusqlite", "libsqlite3"], rule);
    let sql = [
        "\"SELECT ",
        "\"INSERT ",
        "\"UPDATE ",
        "\"DELETE ",
        "\"PRAGMA ",
        "\"CREATE TABLE",
        "\"BEGIN",
    ];
    forbid(others(), &sql, "SQL stays in `store`");
    for name in ["program", "cdc", "observer", "session", "cli"] {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        assert!(!manifest.contains("rusqlite"), "{name}/Cargo.toml: {rule}");
    }
}

#[test]
fn only_the_command_line_prints() {
    let words = ["println!", "print!(", "eprintln!", "eprint!(", "dbg!"];
    forbid(
        shipped(&["store", "program", "cdc", "observer", "session"]),
        &words,
        "only `cli` prints",
    );
}

#[test]
fn only_program_starts_processes() {
    let files = shipped(&["store", "cdc", "observer", "session", "cli"]);
    forbid(files, &["Command::new(", "subprocess"], "only `program` starts a process");
}

#[test]
fn the_wall_clock_is_read_in_one_place() {
    let files = shipped(&["store", "program", "cdc", "observer", "session", "cli"]);
    let files = files.into_iter().filter(|(name, _)| name != "store/src/model/time.rs").collect();
    forbid(
        files,
        &["SystemTime::now", "Timestamp::now_utc", "Zoned::now"],
        "time comes in as an argument",
    );
}
