//! A rollback journal that a killed process left beside a damaged store is not applied to what is restored.

use std::path::Path;

use crate::backup::names;
use crate::restore::{content, open, put_back, world};
use crate::support::{assert_sound, raw};

/// The journal that a process leaves when it is killed in the middle of a transaction: the next one that
/// opens the database puts its pages back.
fn hot_journal(database: &Path, scratch: &Path) -> Vec<u8> {
    std::fs::copy(database, scratch).unwrap();
    let conn = raw(scratch);
    conn.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
    conn.execute_batch("PRAGMA synchronous = OFF; BEGIN; UPDATE session SET name = 'later'")
        .unwrap();
    // What does not fit into the cache is written to the database, and the journal before that.
    conn.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; DELETE FROM change_log")
        .unwrap();
    let journal = std::fs::read(with_suffix(scratch, "-journal")).unwrap();
    assert!(journal.len() > 4096, "{} bytes", journal.len());
    drop(conn);
    std::fs::remove_file(scratch).unwrap();
    journal
}

fn with_suffix(path: &Path, suffix: &str) -> std::path::PathBuf {
    path.with_file_name(format!("{}{suffix}", path.file_name().unwrap().to_str().unwrap()))
}

#[test]
fn a_stale_rollback_journal_beside_a_damaged_store_is_not_applied_to_the_new_content() {
    let world = world();
    let expected = content(&world.backup);
    let sound = std::fs::read(&world.path).unwrap();
    let journal = hot_journal(&world.path, &world.dir.path().join("scratch.db"));
    // Its effect: the pages before the transaction come back.
    let other = world.dir.path().join("other.db");
    std::fs::copy(&world.backup, &other).unwrap();
    std::fs::write(with_suffix(&other, "-journal"), &journal).unwrap();
    let played = raw(&other).query_row("SELECT max(seq) FROM change_log", [], |row| row.get(0));
    assert_ne!(played.ok(), Some(expected.0.0), "the journal is hot");
    let mut garbage = sound.clone();
    garbage[..100].fill(0x5a);
    let mut unfinished = journal.clone();
    unfinished[..8].fill(0);
    for bytes in [&garbage, &sound[..5000], &sound[..50], b""] {
        for journal in [&journal[..], &journal[..600], &unfinished, b"no journal"] {
            std::fs::write(&world.path, bytes).unwrap();
            std::fs::write(with_suffix(&world.path, "-journal"), journal).unwrap();
            put_back(&world.path, &world.backup).unwrap();
            let names = names(world.dir.path());
            assert!(!names.contains("ao.db-journal"), "{names:?}");
            assert_eq!(content(&world.path), expected);
            assert_sound(&open(&world.path));
        }
    }
}
