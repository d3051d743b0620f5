//! What another program changed is repaired without a loss, or nothing is changed. Only on request the
//! history is deleted, and then no old cursor is resumed.

use ao_store::row::{pr, project, session};
use ao_store::verify::Depth;
use ao_store::{Code, Cursor, Epoch, Error, Options, Permit, Repaired, Seq, Store, repair};
use rusqlite::config::DbConfig;

use crate::restore::{content, put_back, world};
use crate::support::{
    Fixture, T0, add_session, assert_log_equals_tables, assert_sound, at, cause, changes_after,
    code, fixture, head, info, number, raw, rename, strings, try_rename,
};

const KEEP: Permit = Permit { drops_history: false, is_dry: false };
const DROP: Permit = Permit { drops_history: true, is_dry: false };

fn try_repair(fixture: &Fixture, permit: Permit) -> Result<Repaired, Error> {
    repair(&fixture.path(), Options::default(), &at(T0 + 1), permit)
}

fn messages(store: &Store) -> Vec<String> {
    let report = store.verify(Depth::Deep).unwrap();
    report.findings.into_iter().chain(report.warnings).map(|found| found.message).collect()
}

fn without_triggers(fixture: &Fixture, sql: &str) {
    let conn = raw(&fixture.path());
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    conn.execute_batch(sql).unwrap();
}

#[test]
fn every_index_view_and_trigger_is_created_anew() {
    let fixture = fixture();
    let other = raw(&fixture.path());
    let kinds = "SELECT type || ' ' || name FROM sqlite_schema
        WHERE type IN ('index', 'view', 'trigger') AND sql IS NOT NULL";
    let objects = strings(&other, kinds);
    let start = info(&fixture.store);
    for object in &objects {
        other.execute_batch(&format!("DROP {object}")).unwrap();
        let done = try_repair(&fixture, KEEP).unwrap().done;
        let name = object.split(' ').next_back().unwrap();
        assert_eq!(done, [format!("create {name}")]);
        assert_eq!(try_repair(&fixture, KEEP).unwrap().done, [""; 0], "{object}");
    }
    assert!(objects.len() > 40, "{}", objects.len());
    let foreign = "DROP VIEW capture_pr; CREATE VIEW capture_pr AS SELECT 1;
        CREATE TRIGGER \"a \"\"b\" AFTER INSERT ON pr BEGIN DELETE FROM change_log; END;";
    other.execute_batch(foreign).unwrap();
    let done = try_repair(&fixture, KEEP).unwrap().done;
    assert_eq!(done, ["drop the view capture_pr", "drop the trigger a \"b", "create capture_pr"]);
    assert_eq!(info(&fixture.store), start, "the log goes on");
    rename(&fixture.store, "demo-1", 1, T0 + 2);
    assert_sound(&fixture.store);
    assert_log_equals_tables(&fixture.store, &other);
}

#[test]
fn a_missing_history_of_migrations_is_recorded_again() {
    let fixture = fixture();
    let other = raw(&fixture.path());
    let history = "SELECT version || name || checksum FROM refinery_schema_history";
    let recorded = strings(&other, history);
    for sql in ["DELETE FROM refinery_schema_history", "DROP TABLE refinery_schema_history"] {
        other.execute_batch(sql).unwrap();
        let refused = Store::open(&fixture.path(), Options::default()).unwrap_err();
        assert_eq!(refused.code(), Code::SchemaMismatch, "{sql}");
        assert!(refused.to_string().contains("history of migrations is missing"), "{refused}");
        assert_eq!(try_repair(&fixture, KEEP).unwrap().done, ["record the migrations"], "{sql}");
        assert_eq!(strings(&other, history), recorded);
        assert_eq!(try_repair(&fixture, KEEP).unwrap().done, [""; 0]);
        assert_sound(&fixture.store);
    }
    other.execute_batch("DELETE FROM refinery_schema_history; DROP TABLE pr_check_log").unwrap();
    assert_eq!(code(try_repair(&fixture, DROP)), Code::SchemaMismatch, "another schema");
    assert_eq!(strings(&other, history), [""; 0]);
}

#[test]
fn a_store_that_lost_the_epoch_of_its_log_can_be_restored() {
    for sql in [
        "DROP TRIGGER log_meta_stays; DELETE FROM log_meta",
        "ALTER TABLE log_meta RENAME COLUMN epoch TO x",
    ] {
        let world = world();
        raw(&world.path).execute_batch(sql).unwrap();
        let restored = put_back(&world.path, &world.backup).unwrap();
        assert!(restored.cursor.epoch > Epoch(1), "{sql}");
        assert_eq!(content(&world.path), content(&world.backup), "{sql}");
    }
}

#[test]
fn what_contains_data_is_never_dropped_or_made_up() {
    for (sql, named) in [
        ("CREATE TABLE t (x)", "t was created by another program"),
        ("ALTER TABLE pr ADD COLUMN x TEXT", "pr differs"),
        ("DROP TABLE pr_check_log", "pr_check_log is missing"),
        (
            "DROP INDEX pr_node; INSERT INTO pr SELECT 'x', node_id, session_id, project_id, host,
             repo, number + 1, url, title, author, is_author_bot, state, head_ref, head_repo,
             head_sha, base_ref, base_sha, is_cross_repo, additions, deletions, changed_files, ci,
             review_decision, provider_mergeable, is_mergeable_stale, provider_merge_state,
             mergeability, is_in_merge_queue, is_auto_merge, merge_commit_sha, checks_state,
             threads_state, reviews_state, comments_state, provider_created_at, merged_at,
             closed_at, created_at, updated_at FROM pr",
            "pr_node is missing: UNIQUE constraint failed",
        ),
    ] {
        let fixture = fixture();
        let other = raw(&fixture.path());
        other.execute_batch(sql).unwrap();
        let schema = "SELECT name || sql FROM sqlite_schema WHERE sql IS NOT NULL";
        let before = strings(&other, schema);
        let error = try_repair(&fixture, DROP).unwrap_err();
        assert_eq!(error.code(), Code::SchemaMismatch, "{sql}: {error:?}");
        assert!(error.to_string().contains(named), "{sql}: {error}");
        assert_eq!(strings(&other, schema), before);
    }
}

#[test]
fn changes_that_were_not_captured_end_the_history_only_on_request() {
    let fixture = fixture();
    let (store, other) = (&fixture.store, raw(&fixture.path()));
    rename(store, "demo-1", 20, T0);
    let old = info(store).head_cursor();
    other.execute_batch("DROP TRIGGER capture_session_update").unwrap();
    other.execute_batch("UPDATE session SET name = 'not captured' WHERE num = 1").unwrap();
    assert_eq!(code(try_rename(store, "demo-1", 1, T0)), Code::SchemaMismatch);
    let error = try_repair(&fixture, KEEP).unwrap_err();
    assert_eq!(error.code(), Code::Corrupt, "{error:?}");
    assert!(error.to_string().contains("demo-1"), "{error}");
    assert_eq!(code(try_rename(store, "demo-1", 1, T0)), Code::SchemaMismatch, "as before");
    let dry = try_repair(&fixture, Permit { is_dry: true, ..DROP }).unwrap();
    assert_eq!(info(store).head_cursor(), old, "a dry run changes nothing");
    let done = try_repair(&fixture, DROP).unwrap();
    assert_eq!(done, dry);
    assert_eq!(
        done.done,
        ["create capture_session_update", "delete the history, which does not explain the rows"]
    );
    let now = Cursor { epoch: Epoch(2), seq: old.seq };
    assert_eq!((done.log.head_cursor(), done.log.floor), (now, old.seq));
    assert_eq!(code(info(store).check_cursor(old)), Code::CursorEpoch);
    let id = "demo-1".parse().unwrap();
    let row = store.read(|snapshot| session::require(snapshot, &id)).unwrap();
    assert_eq!(row.name, "not captured");
    rename(store, "demo-1", 20, T0 + 2);
    let made = changes_after(store, old.seq);
    assert_eq!((made.len(), made[0].seq), (20, old.seq.next()), "no seq is used again");
    assert_sound(store);
}

#[test]
fn a_log_with_a_hole_or_damage_can_begin_anew() {
    for sql in [
        "DELETE FROM change_log WHERE seq = 3",
        "UPDATE change_log SET after = '{}' WHERE seq = 2",
        "UPDATE change_log SET after = 'x', key = 'x' WHERE seq = 3",
        "DELETE FROM change_log; DELETE FROM sqlite_sequence",
        "UPDATE pr SET title = 'x'",
        "DELETE FROM log_seal; DELETE FROM log_base",
    ] {
        let fixture = fixture();
        rename(&fixture.store, "demo-1", 40, T0);
        without_triggers(&fixture, sql);
        assert_eq!(code(try_repair(&fixture, KEEP)), Code::Corrupt, "{sql}");
        try_repair(&fixture, DROP).unwrap();
        rename(&fixture.store, "demo-1", 3, T0 + 2);
        assert_sound(&fixture.store);
        let new = info(&fixture.store);
        assert_eq!((new.epoch, new.head.0 - new.floor.0), (Epoch(2), 3), "{sql}");
    }
}

#[test]
fn values_that_nothing_else_covers_are_found_and_repaired() {
    for (sql, found, done) in [
        (
            "DELETE FROM session_counter",
            "counter of project demo is missing, but session number 3",
            "set the counter of project demo to 3",
        ),
        (
            "UPDATE session_counter SET last_num = 2",
            "counter of project demo is 2, but session number 3",
            "set the counter of project demo to 3",
        ),
        ("UPDATE log_meta SET log_id = 'x'", "the log id is not 32", "give the log a new id"),
        (
            "UPDATE log_meta SET log_id = upper(log_id) || 'F'",
            "the log id is not 32",
            "give the log a new id",
        ),
        (
            "UPDATE pr SET title = CAST(x'636166e9' AS TEXT)",
            "title of the row github.com/octo/hello#7 of pr is not UTF-8",
            "replace what is not UTF-8 in 1 text(s)",
        ),
        (
            "UPDATE pr_poll SET attribution = CAST(x'ff' AS TEXT)",
            "attribution of the row github.com/octo/hello#7 of pr_poll",
            "replace what is not UTF-8 in 1 text(s)",
        ),
        (
            "DELETE FROM upkeep; DELETE FROM retention",
            "retention has no row",
            "insert the row of retention; insert the row of upkeep",
        ),
        (
            "DELETE FROM change_context",
            "change_context has no row",
            "insert the row of change_context",
        ),
        ("DELETE FROM log_meta", "", "insert the row of log_meta"),
        (
            "DELETE FROM log_meta; DELETE FROM change_context",
            "",
            "insert the row of log_meta; insert the row of change_context",
        ),
        ("PRAGMA user_version = 0", "", "set the schema version"),
        ("UPDATE log_meta SET format = 0", "", "set the schema version"),
    ] {
        let fixture = fixture();
        let other = raw(&fixture.path());
        other.execute_batch("INSERT OR IGNORE INTO pr_poll (pr_id) SELECT id FROM pr").unwrap();
        let gone = add_session(&fixture.store, "demo", "");
        fixture.store.write(cause(), move |tx| session::delete(tx, &gone)).unwrap();
        assert_eq!(messages(&fixture.store), [""; 0]);
        if other.execute_batch(sql).is_err() {
            without_triggers(&fixture, sql);
        }
        if !found.is_empty() {
            let named = messages(&fixture.store).join("; ");
            assert!(named.contains(found), "{sql}: {named:?}");
        }
        assert_eq!(try_repair(&fixture, KEEP).unwrap().done.join("; "), done, "{sql}");
        assert_eq!(messages(&fixture.store), [""; 0], "{sql}");
        assert_eq!(add_session(&fixture.store, "demo", "").as_str(), "demo-4", "{sql}");
        assert_sound(&fixture.store);
    }
}

#[test]
fn a_rewritten_text_is_a_change_of_the_stream() {
    let fixture = fixture();
    let other = raw(&fixture.path());
    other.execute_batch("UPDATE pr SET title = CAST(x'636166e9' AS TEXT)").unwrap();
    let start = head(&fixture.store);
    try_repair(&fixture, KEEP).unwrap();
    let made = changes_after(&fixture.store, start);
    let [change] = made.as_slice() else { panic!("{made:?}") };
    assert_eq!((change.kind(), change.actor()), ("pr_updated", Some("test")));
    assert_eq!(change.tx, Some(Seq(start.0 + 1)));
    let title = "SELECT count(*) FROM pr WHERE title = 'caf' || char(65533)";
    assert_eq!(number(&other, title), 1);
    let stored = fixture.store.read(|s| pr::list(s, &pr::Filter::default())).unwrap();
    assert_eq!(stored[0].title, "caf\u{fffd}");
    assert!(!fixture.store.read(|s| project::list(s, true)).unwrap().is_empty());
    assert_sound(&fixture.store);
}

#[test]
fn a_text_that_would_equal_that_of_another_row_stays() {
    let fixture = fixture();
    let add = "INSERT INTO project (id, path, name, created_at, updated_at)";
    let sql = format!(
        "{add} SELECT 'a', CAST(x'ff' AS TEXT), '', 1, 1; {add} SELECT 'b', CAST(x'fe' AS TEXT), '', 1, 1"
    );
    raw(&fixture.path()).execute_batch(&sql).unwrap();
    let done = try_repair(&fixture, KEEP).unwrap().done;
    assert_eq!(done, ["replace what is not UTF-8 in 1 text(s)"]);
    assert_eq!(messages(&fixture.store), ["path of the row b of project is not UTF-8"]);
    assert_eq!(try_repair(&fixture, KEEP).unwrap().done, [""; 0]);
}
