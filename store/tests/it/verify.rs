//! `verify` finds and names every kind of injected fault and single flipped bits (`AO_FLIPS` sets
//! their number, `AO_SEED` the seed).

use std::path::Path;
use std::time::Duration;

use ao_store::log::retention;
use ao_store::observation::{CheckStatus, Facet};
use ao_store::verify::{Depth, Report, verify_file};

use crate::kill::Random;
use crate::support::{
    Fixture, T0, at, check, comment, fixture, from_env, has_shell, observation, observe, raw,
    shell, thread, threads, wal,
};

/// A store with something in every table, and a log of some blocks.
fn world() -> Fixture {
    let fixture = fixture();
    for round in 0..12 {
        let mut seen = observation(T0 + 10 + round);
        seen.threads =
            Facet::replace((0..3).map(|i| thread(&format!("T{i}"), round % 2 == 0)).collect());
        seen.comments = Facet::replace(vec![comment("C1", &format!("body {round}"))]);
        seen.checks = Facet::replace(vec![check("build", CheckStatus::Passed)]);
        observe(&fixture.store, &seen);
    }
    fixture
}

fn report(path: &Path, depth: Depth) -> Report {
    verify_file(path, depth, Duration::from_secs(5)).unwrap()
}

/// Closes the store, so that everything is in the one file.
fn close(fixture: Fixture) -> (tempfile::TempDir, std::path::PathBuf) {
    let path = fixture.path();
    let Fixture { store, dir } = fixture;
    drop(store);
    assert!(!wal(&path).exists());
    (dir, path)
}

fn without_triggers(path: &Path, sql: &str) {
    let conn = raw(path);
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    conn.execute_batch(sql).unwrap();
}

fn messages(report: &Report) -> Vec<String> {
    report.findings.iter().map(|finding| format!("{}: {}", finding.id, finding.message)).collect()
}

#[test]
fn a_sound_store_has_no_findings() {
    let Fixture { store, dir: _dir } = world();
    for depth in [Depth::Sums, Depth::Deep] {
        let report = store.verify(depth).unwrap();
        assert_eq!(messages(&report), [""; 0]);
        assert_eq!(report.unsealed, 0, "each commit seals its changes");
        assert!(report.changes > 32, "some blocks: {}", report.changes);
        assert_eq!(report.tables.len(), 12);
    }
}

#[test]
fn every_injected_fault_is_found_and_named() {
    let cases: &[(&str, &str)] = &[
        (
            "UPDATE pr_review_thread SET line = 99 WHERE id = 'T1'",
            "rows: the row [\"github.com/octo/hello#7\",\"T1\"] of pr_review_thread is not what change",
        ),
        (
            "DELETE FROM pr_comment",
            "rows: the row [\"github.com/octo/hello#7\",\"C1\"] of pr_comment, which change",
        ),
        (
            "INSERT INTO pr_review VALUES ('github.com/octo/hello#7', 'R1', 'a', 0, 'approved', '', '', '', NULL)",
            "rows: the row [\"github.com/octo/hello#7\",\"R1\"] of pr_review is not in the log",
        ),
        ("DELETE FROM change_log WHERE seq = 20", "log.density: change 20 is missing"),
        ("DELETE FROM change_log WHERE seq > 50", "are missing"),
        (
            "UPDATE change_log SET actor = 'someone' WHERE seq = 20",
            "log.seal: a change of 17 to 32 is not what was sealed",
        ),
        (
            "UPDATE change_log SET at = at + 1 WHERE seq = (SELECT max(seq) FROM change_log)",
            "is not what was sealed",
        ),
        (
            "UPDATE change_log SET after = replace(after, 'body 3', 'body X') WHERE entity = 'pr_comment'",
            "of pr_comment [\"github.com/octo/hello#7\",\"C1\"] differs from the after image",
        ),
        (
            "UPDATE log_seal SET digest = zeroblob(16) WHERE block = 0",
            "1 to 16 is not what was sealed",
        ),
        ("DELETE FROM log_seal WHERE block = 1", "17 to 32 have lost their seal"),
        (
            "INSERT OR REPLACE INTO log_base VALUES ('pr', randomblob(16))",
            "rows: the rows of pr do not match",
        ),
        (
            "UPDATE log_seal SET bytes = bytes + 1 WHERE block = 1",
            "the size kept with the changes 17 to 32",
        ),
        ("UPDATE change_context SET logged_bytes = 0", "the size kept with"),
        ("DROP TRIGGER capture_pr_update", "db.schema: capture_pr_update is missing"),
        ("CREATE TRIGGER x AFTER INSERT ON pr BEGIN SELECT 1; END", "db.schema: x was created by"),
        (
            "DELETE FROM pr_observed; PRAGMA foreign_keys = OFF; DELETE FROM session WHERE id = 'demo-1'",
            "db.foreign_keys: a row of pr",
        ),
        ("UPDATE change_context SET tx = 7", "log.state: "),
    ];
    let (_dir, path) = close(world());
    let sound = std::fs::read(&path).unwrap();
    for (fault, expected) in cases {
        std::fs::write(&path, &sound).unwrap();
        without_triggers(&path, fault);
        let found = messages(&report(&path, Depth::Sums));
        assert!(found.iter().any(|found| found.contains(expected)), "{fault}: {found:#?}");
    }
}

#[test]
fn changes_by_a_sqlite3_shell_are_sealed_by_the_next_commit() {
    if !has_shell() {
        return;
    }
    let fixture = world();
    let odd = "UPDATE pr SET title = 'a' || char(1, 9, 10, 34, 92, 127, 160, 8232, 128512);
        UPDATE session SET name = x'41' || char(0) || 'b' WHERE id = 'demo-2';";
    shell(&fixture.path(), odd);
    let unsealed = fixture.store.verify(Depth::Deep).unwrap();
    assert_eq!((messages(&unsealed).len(), unsealed.unsealed), (0, 2));
    crate::support::add_session(&fixture.store, "demo", "x");
    let sealed = fixture.store.verify(Depth::Deep).unwrap();
    assert_eq!((messages(&sealed), sealed.unsealed), (vec![], 0));
}

#[test]
fn a_pruned_log_still_explains_the_tables() {
    let fixture = world();
    let rules = retention::Rules { keep_events: Some(30), ..retention::Rules::default() };
    let pruned = fixture.store.prune(&at(T0), &rules, |_| {}).unwrap();
    assert!(pruned.floor.0 > 20, "{pruned:?}");
    assert_eq!(messages(&fixture.store.verify(Depth::Deep).unwrap()), [""; 0]);
    observe(&fixture.store, &threads(T0 + 99, Facet::replace(vec![thread("T0", true)])));
    assert_eq!(messages(&fixture.store.verify(Depth::Deep).unwrap()), [""; 0]);
    without_triggers(&fixture.path(), "UPDATE project SET name = 'other'");
    let found = messages(&fixture.store.verify(Depth::Sums).unwrap());
    assert_eq!(
        found,
        ["rows: the rows of project do not match the log: the last \
        change of the damaged row was pruned"]
    );
}

/// What a reader of the store can see: the rows and the changes, in their order.
fn visible(path: &Path) -> Result<Vec<String>, rusqlite::Error> {
    let conn = raw(path);
    conn.execute_batch("PRAGMA query_only = ON")?;
    let mut found = Vec::new();
    let mut tables = vec!["change_log".to_owned()];
    tables.extend(
        ["project", "session", "pr", "pr_check", "pr_review_thread", "pr_review", "pr_comment"]
            .map(str::to_owned),
    );
    for table in tables {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table} NOT INDEXED"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let values = (0..columns).map(|i| row.get_ref(i).map(|v| format!("{v:?}")));
            found.push(values.collect::<Result<Vec<_>, _>>()?.join("|"));
        }
    }
    Ok(found)
}

#[test]
fn a_flipped_bit_in_a_row_or_a_change_is_found() {
    let seed = u64::from(from_env("AO_SEED", 20_261_121));
    let flips = from_env("AO_FLIPS", 300);
    println!("AO_SEED={seed} AO_FLIPS={flips}");
    let mut random = Random(seed.max(1));
    let (_dir, path) = close(world());
    let sound = std::fs::read(&path).unwrap();
    let before = visible(&path).unwrap();
    let (mut harmful, mut by_sqlite) = (0, 0);
    for _ in 0..flips {
        let (byte, bit) = (random.below(sound.len() as u64) as usize, random.below(8));
        let mut bytes = sound.clone();
        bytes[byte] ^= 1 << bit;
        std::fs::write(&path, &bytes).unwrap();
        let is_harmless = visible(&path).is_ok_and(|after| after == before);
        // A file that cannot even be opened was found as well.
        let is_found = !verify_file(&path, Depth::Deep, Duration::from_secs(5))
            .is_ok_and(|report| report.is_sound());
        assert!(is_found || is_harmless, "bit {bit} of byte {byte} was missed");
        if !is_harmless {
            harmful += 1;
            let conn = raw(&path);
            let ok = conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
            by_sqlite += u32::from(ok.is_ok_and(|ok| ok != "ok"));
        }
    }
    println!("{harmful} of {flips} flips did harm; integrity_check alone finds {by_sqlite}");
    assert!(harmful > flips / 20, "the flips hardly hit anything");
}
