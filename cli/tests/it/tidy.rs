//! The rules of the house that no compiler keeps: who may hold SQL, print, or start a process; how
//! long a file and a function may be; that what is generated is up to date.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use ao_store::Code;

const FILE_MAX: usize = 500;
const FUNCTION_MAX: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every Rust file of a crate, as path from the root and text.
fn sources(crates: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = crates.iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty());
    found.sort();
    found
}

const CRATES: &[&str] = &["store", "cdc", "observer", "fake-github", "cli", "benches"];

/// Source that ships: no tests, no benches, and of each file what is before its unit tests.
fn shipped(crates: &[&str]) -> Vec<(String, String)> {
    let is_shipped = |name: &str| !name.contains("/tests/") && !name.starts_with("benches/");
    let without_tests =
        |text: &str| text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
    sources(crates)
        .into_iter()
        .filter(|(name, _)| is_shipped(name))
        .map(|(name, text)| (name, without_tests(&text)))
        .collect()
}

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
    let others = || shipped(&["cdc", "observer", "cli"]);
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
    for name in ["cdc", "observer", "cli"] {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        assert!(!manifest.contains("rusqlite"), "{name}/Cargo.toml: {rule}");
    }
}

#[test]
fn dependencies_point_downwards() {
    let allowed: HashMap<&str, &[&str]> = HashMap::from([
        ("store", &[] as &[&str]),
        ("cdc", &["ao-store"]),
        ("observer", &["ao-store"]),
        ("fake-github", &[]),
        ("cli", &["ao-store", "ao-cdc", "ao-observer"]),
    ]);
    for (name, allowed) in allowed {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let (product, tests) =
            manifest.split_once("[dev-dependencies]").unwrap_or((manifest.as_str(), ""));
        for (part, besides) in [(product, None), (tests, Some("ao-fake-github"))] {
            for line in part.lines().filter(|line| line.starts_with("ao-")) {
                let dependency = line.split(['.', ' ', '=']).next().unwrap();
                let fits = allowed.contains(&dependency) || besides == Some(dependency);
                assert!(fits, "{name} must not depend on {dependency}");
            }
        }
    }
}

#[test]
fn only_the_command_line_prints() {
    let words = ["println!", "print!(", "eprintln!", "eprint!(", "dbg!"];
    forbid(shipped(&["store", "cdc", "observer"]), &words, "only `cli` prints");
}

#[test]
fn processes_are_started_by_adapters_only() {
    let files = shipped(&["store", "cdc", "observer", "cli"]);
    let files = files.into_iter().filter(|(name, _)| !name.contains("/adapter/")).collect();
    forbid(files, &["Command::new("], "a process is started in an adapter");
}

#[test]
fn the_wall_clock_is_read_in_one_place() {
    let files = shipped(&["store", "cdc", "observer", "cli"]);
    let files = files.into_iter().filter(|(name, _)| name != "store/src/time.rs").collect();
    forbid(
        files,
        &["SystemTime::now", "Timestamp::now_utc", "Zoned::now"],
        "time comes in as an argument",
    );
}

#[test]
fn nothing_is_left_for_later() {
    let marks: Vec<_> =
        ["TO", "FIX", "XX"].iter().zip(["DO", "ME", "X"]).map(|(a, b)| format!("{a}{b}")).collect();
    let mut found = Vec::new();
    for (name, text) in sources(CRATES) {
        let hit = |line: &&str| marks.iter().any(|mark| line.contains(mark.as_str()));
        found.extend(text.lines().filter(hit).map(|line| format!("{name}: {line}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_file_says_what_it_guarantees_and_is_short() {
    for (name, text) in sources(CRATES) {
        assert!(text.starts_with("//!"), "{name} has no //! header");
        let lines = text.lines().count();
        assert!(lines <= FILE_MAX, "{name} has {lines} lines, at most {FILE_MAX} are allowed");
    }
}

#[test]
fn every_function_fits_a_screen() {
    for (name, text) in sources(CRATES) {
        let lines: Vec<_> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let indent = &line[..line.len() - code.len()];
            let is_function = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "const fn ",
                "pub const fn ",
            ]
            .iter()
            .any(|head| code.starts_with(head));
            if !is_function || code.ends_with(';') || code.ends_with('}') {
                continue;
            }
            let close = format!("{indent}}}");
            let end = lines[start..].iter().position(|line| *line == close);
            let length = 1 + end.unwrap_or_else(|| panic!("{name}:{}: no end", start + 1));
            assert!(length <= FUNCTION_MAX, "{name}:{}: a function of {length} lines", start + 1);
        }
    }
}

#[test]
fn every_migration_is_named_once_and_in_order() {
    let mut versions = Vec::new();
    for entry in fs::read_dir(root().join("migrations/sqlite")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (version, rest) = name.split_once("__").expect("V0001__what.sql");
        let stem = rest.strip_suffix(".sql").expect("a migration is an .sql file");
        assert!(stem.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        versions.push(version.strip_prefix('V').unwrap().parse::<u32>().unwrap());
    }
    versions.sort_unstable();
    let expected: Vec<_> = (1..=ao_store::SCHEMA_VERSION).collect();
    assert_eq!(versions, expected);
}

/// `AO_UPDATE_GOLDEN=1 cargo test -p ao-cli generated` writes it.
#[test]
fn the_generated_page_of_error_codes_is_up_to_date() {
    let mut page = "# Error codes\n\n\
        Generated from `store/src/code.rs` by a test. Exit is the exit status of the command line.\n\n\
        | code | exit | HTTP | retry | meaning |\n| --- | --- | --- | --- | --- |\n"
        .to_owned();
    for code in Code::ALL {
        let retry = if code.is_retryable() { "yes" } else { "no" };
        let (name, exit, http) = (code.name(), code.exit_code(), code.http_status());
        page += &format!("| `{name}` | {exit} | {http} | {retry} | {} |\n", code.meaning());
    }
    let file = root().join("docs/errors.md");
    if std::env::var_os("AO_UPDATE_GOLDEN").is_some() {
        fs::write(&file, &page).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), page, "run with AO_UPDATE_GOLDEN=1");
}

#[test]
fn every_type_of_change_is_documented() {
    let page = fs::read_to_string(root().join("docs/json.md")).unwrap();
    for kind in ao_store::CHANGE_TYPES {
        assert!(page.contains(&format!("`{kind}`")), "docs/json.md does not name {kind}");
    }
}

#[test]
fn every_field_that_is_printed_is_documented() {
    let page = fs::read_to_string(root().join("docs/json.md")).unwrap();
    let view = fs::read_to_string(root().join("cli/src/view.rs")).unwrap();
    let fields = view.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\": "));
    let fields: Vec<_> = fields.map(|(name, _)| name).collect();
    assert!(fields.len() > 100);
    for name in fields {
        assert!(page.contains(&format!("`{name}`")) || name == "metadata", "no {name} in json.md");
    }
}
