//! Migrations are numbered without gaps, and generated or enumerating pages are up to date.

use std::fs;

use ao_store::Code;

use super::root;

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
