//! Capture is complete: the images contain every column of every captured table, every other table
//! is declared as bookkeeping, and every change type can be produced.

use std::collections::BTreeSet;

use ao_store::log::change::Change;
use ao_store::{CHANGE_TYPES, Seq};
use rusqlite::Connection;
use serde_json::Value;

use crate::support::{
    Fixture, captured_tables, changes, changes_after, columns, fixture, head, raw, strings,
};

/// Tables whose changes are not facts about sessions.
const BOOKKEEPING: &[&str] = &[
    "account_limit",
    "agent",
    "agent_member",
    "conversation_event",
    "conversation_snapshot",
    "org",
    "turn_clock",
    "turn_input",
    "turn_refused_completion",
    "delivery_text",
    "capture_displaced",
    "change_context",
    "change_log",
    "clock_reading",
    "consumer",
    "instance",
    "launch_output",
    "log_base",
    "log_seal",
    "reservation",
    "retention",
    "upkeep",
    "log_meta",
    "pr_check_log",
    "pr_item_as_of",
    "pr_observed",
    "pr_poll",
    "refinery_schema_history",
    "scm_host",
    "scm_refresh_request",
    "scm_repo",
    "scm_skipped_pr",
    "session_cleanup",
    "session_counter",
    "session_machine",
    "session_operation",
    "session_start",
    "webhook_delivery",
];

/// What a column of a row holds: distinctive, within its constraints, and another one per `round`.
fn distinctive(table: &str, column: &str, kind: &str, round: i64) -> String {
    let fixed = match (table, column) {
        ("project", "id") => "'new'",
        ("session", "id") => "'demo-900'",
        ("session", "num") => "900",
        ("session" | "pr" | "launch" | "decision" | "delivery", "project_id") => "'demo'",
        ("session", "kind") => ["'worker'", "'orchestrator'"][round as usize],
        ("session", "activity_source") => ["'hook'", "'screen'"][round as usize],
        ("session", "activity") => ["'active'", "'blocked'"][round as usize],
        ("pr", "id") => "'new-pr'",
        ("project", "copy_globs") => ["'[1]'", "'[2]'"][round as usize],
        ("launch", "kind") => ["'fresh'", "'resume'"][round as usize],
        ("launch", "prompt_stage") => ["'pending'", "'written'"][round as usize],
        ("launch", "cause") => ["'stopped'", "'exited'"][round as usize],
        ("decision", "launch_id") => ["'l1'", "'l2'"][round as usize],
        ("decision", "kind") => ["'plan'", "'trust'"][round as usize],
        ("decision", "resolution") => ["'released'", "'ended'"][round as usize],
        ("delivery", "kind") => ["'message'", "'report'"][round as usize],
        ("delivery", "last_stage") => ["'written'", "'finished'"][round as usize],
        ("delivery", "stage") => ["'accepted'", "'writing'"][round as usize],
        ("pr" | "launch" | "decision" | "delivery", "session_id") => {
            ["'demo-1'", "'demo-2'"][round as usize]
        }
        ("conversation" | "turn", "org_id") => ["'o1'", "'o2'"][round as usize],
        ("conversation" | "turn", "agent_id") => ["'a1'", "'a2'"][round as usize],
        ("turn", "conversation_id") => ["'c1'", "'c2'"][round as usize],
        ("turn", "state") => ["'running'", "'failed'"][round as usize],
        ("turn", "reason") => ["''", "'exited'"][round as usize],
        ("turn", "ended_at") => ["NULL", "7"][round as usize],
        ("pr", "state") => ["'open'", "'merged'"][round as usize],
        ("pr", "ci") => ["'passing'", "'failing'"][round as usize],
        ("pr", "review_decision") => ["'approved'", "'none'"][round as usize],
        ("pr", "provider_mergeable" | "mergeability") => {
            ["'mergeable'", "'conflicting'"][round as usize]
        }
        ("pr", "checks_state" | "threads_state" | "reviews_state" | "comments_state") => {
            ["'complete'", "'partial'"][round as usize]
        }
        ("pr_check", "kind") => "'run'",
        ("pr_check", "status") => ["'queued'", "'passed'"][round as usize],
        ("pr_review", "state") => ["'approved'", "'dismissed'"][round as usize],
        ("pr_comment", "kind") => ["'review'", "'issue'"][round as usize],
        (_, "pr_id") => "(SELECT id FROM pr LIMIT 1)",
        ("pr_check", "head_sha" | "app" | "workflow" | "event") => "'key'",
        ("pr_check", "name" | "suite" | "external_id") => "'key'",
        (_, "id") => "'key'",
        _ => "",
    };
    let number: usize = column.bytes().map(usize::from).sum();
    match kind {
        _ if !fixed.is_empty() => fixed.to_owned(),
        "INTEGER" if column.starts_with("is_") => (1 - round).to_string(),
        "INTEGER" => (1_000_000 * (round + 1) + number as i64).to_string(),
        _ => format!("'{column} {round} \"quoted\" é\u{1F600}'"),
    }
}

fn kinds(conn: &Connection, table: &str) -> Vec<(String, String)> {
    let sql = "SELECT name, type FROM pragma_table_info(?1)";
    let mut statement = conn.prepare(sql).unwrap();
    let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn row_of(conn: &Connection, table: &str, key: &[String], filter: &str) -> Value {
    let rows = crate::support::live_rows(conn);
    let found = rows.into_iter().find(|((t, k), _)| t == table && k.contains(filter));
    found.unwrap_or_else(|| panic!("no row of {table} {key:?}")).1
}

#[test]
fn the_images_contain_every_column_of_every_captured_table() {
    let Fixture { store, dir } = fixture();
    let conn = raw(&dir.path().join("ao.db"));
    conn.execute_batch(
        "INSERT INTO launch (id, session_id, project_id, num, kind, instance, boot_id, created_at)
         VALUES ('l1', 'demo-1', 'demo', 50, 'fresh', 'i', 'b', 1), ('l2', 'demo-1', 'demo', 51, 'fresh', 'i', 'b', 1);
         INSERT INTO org (id, created_at) VALUES ('o1', 1), ('o2', 1);
         INSERT INTO agent (org_id, id, created_at) VALUES ('o1', 'a1', 1), ('o2', 'a2', 1);
         INSERT INTO conversation (id, org_id, agent_id, platform, user_id, thread, created_at)
         VALUES ('c1', 'o1', 'a1', 'p', 'u', '', 1), ('c2', 'o2', 'a2', 'p', 'u', '', 1)",
    )
    .unwrap();
    for table in captured_tables(&conn) {
        let (names, key) = columns(&conn, &table);
        let values = |round| -> Vec<String> {
            let kinds = kinds(&conn, &table);
            kinds.iter().map(|(name, kind)| distinctive(&table, name, kind, round)).collect()
        };
        let filter = match table.as_str() {
            "project" => "\"new\"",
            "session" => "demo-900",
            "pr" => "new-pr",
            _ => "key",
        };
        let found = key.iter().zip(0..).map(|(name, _)| {
            let at = names.iter().position(|n| n == name).unwrap();
            format!("{name} = {}", values(0)[at])
        });
        let found = found.collect::<Vec<_>>().join(" AND ");
        let start = head(&store);
        let (first, second) = (values(0).join(", "), values(1));
        conn.execute(&format!("INSERT INTO {table} ({}) VALUES ({first})", names.join(", ")), [])
            .unwrap();
        let inserted = row_of(&conn, &table, &key, filter);
        let changed = names.iter().zip(second).filter(|(name, _)| !key.contains(name));
        let set: Vec<_> = changed
            .filter(|(n, _)| !["num", "project_id"].contains(&n.as_str()))
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        conn.execute(&format!("UPDATE {table} SET {} WHERE {found}", set.join(", ")), []).unwrap();
        let updated = row_of(&conn, &table, &key, filter);
        conn.execute(&format!("DELETE FROM {table} WHERE {found}"), []).unwrap();
        let made = changes_after(&store, start);
        let parse =
            |text: Option<&str>| text.map(|text| serde_json::from_str::<Value>(text).unwrap());
        let images: Vec<_> =
            made.iter().map(|c| (c.op(), parse(c.before()), parse(c.after()))).collect();
        assert_eq!(
            images,
            [
                ("insert", None, Some(inserted.clone())),
                ("update", Some(inserted.clone()), Some(updated.clone())),
                ("delete", Some(updated.clone()), None),
            ]
        );
        assert_image_is_whole(&table, &names, &key, &inserted, &updated);
    }
}

/// The image names every column, in order of nothing but with distinct values, and booleans are so.
fn assert_image_is_whole(
    table: &str,
    names: &[String],
    key: &[String],
    first: &Value,
    second: &Value,
) {
    let held: BTreeSet<_> = first.as_object().unwrap().keys().cloned().collect();
    assert_eq!(held, names.iter().cloned().collect(), "{table}");
    for name in names {
        assert_eq!(name.starts_with("is_"), first[name].is_boolean(), "{table}.{name}: {first}");
        let kept = key.contains(name) || ["num", "project_id"].contains(&name.as_str());
        assert_eq!(first[name] == second[name], kept, "{table}.{name} was not varied");
    }
}

#[test]
fn a_nullable_boolean_is_null_in_the_image_when_it_is_null() {
    let Fixture { store, dir } = fixture();
    let conn = raw(&dir.path().join("ao.db"));
    conn.execute_batch(
        "INSERT INTO pr_check SELECT id, 's', 'run', '', '', '', 'n', '', '', 'queued', '', NULL, '', NULL,
         NULL FROM pr; UPDATE pr_check SET is_required = 0; UPDATE pr_check SET is_required = 1;",
    )
    .unwrap();
    let made = changes(&store);
    let last: Vec<_> = made
        .iter()
        .rev()
        .take(3)
        .map(|change| {
            serde_json::from_str::<Value>(change.after().unwrap()).unwrap()["is_required"].clone()
        })
        .collect();
    assert_eq!(last, [Value::Bool(true), Value::Bool(false), Value::Null]);
}

#[test]
fn a_table_is_captured_or_listed_as_bookkeeping() {
    let Fixture { store: _store, dir } = fixture();
    let conn = raw(&dir.path().join("ao.db"));
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let captured: BTreeSet<_> = captured_tables(&conn).into_iter().collect();
    for table in strings(&conn, sql) {
        let listed = BOOKKEEPING.contains(&table.as_str());
        assert_ne!(captured.contains(&table), listed, "{table} is either captured or bookkeeping");
        if captured.contains(&table) {
            let (_, key) = columns(&conn, &table);
            assert!(!key.is_empty(), "{table} has no key");
        }
    }
    assert_eq!(captured.len(), 12);
}

#[test]
fn exactly_the_declared_change_types_can_be_produced() {
    let Fixture { store, dir } = fixture();
    let conn = raw(&dir.path().join("ao.db"));
    let child =
        |table: &str, values: &str| format!("INSERT INTO {table} SELECT id, {values} FROM pr;");
    let script = [
        "UPDATE project SET name = 'x'; UPDATE project SET archived_at = 1;
         UPDATE project SET archived_at = NULL;
         UPDATE session SET name = 'x' WHERE num = 1; UPDATE session SET is_terminated = 1 WHERE num = 1;
         UPDATE session SET is_terminated = 0 WHERE num = 1;
         INSERT INTO launch (id, session_id, project_id, num, kind, instance, boot_id, created_at)
         VALUES ('l', 'demo-2', 'demo', 1, 'fresh', 'i', 'b', 1);
         UPDATE launch SET prompt_stage = 'pending'; UPDATE launch SET started_at = 2;
         INSERT INTO decision (id, session_id, project_id, launch_id, kind, tool, call, text, options,
            source, requested_at)
         VALUES ('l.1', 'demo-2', 'demo', 'l', 'permission', '', '', '', '[]', 'hook', 1);
         UPDATE decision SET text = 'x'; UPDATE decision SET resolved_at = 2, resolution = 'released';
         INSERT INTO delivery (id, session_id, project_id, key, sender, bytes, digest, stage, accepted_at)
         VALUES ('m', 'demo-2', 'demo', 'k', '', 1, 'd', 'accepted', 1);
         UPDATE delivery SET stage = 'writing'; UPDATE delivery SET stage = 'written';
         UPDATE delivery SET stage = 'submitted'; UPDATE delivery SET stage = 'started';
         UPDATE delivery SET stage = 'finished'; UPDATE delivery SET stage = 'ambiguous';
         UPDATE delivery SET stage = 'failed'; UPDATE delivery SET reason = 'x';
         UPDATE launch SET ended_at = 3, cause = 'exited';
         INSERT INTO org (id, created_at) VALUES ('o', 1);
         INSERT INTO agent (org_id, id, created_at) VALUES ('o', 'a', 1);
         INSERT INTO conversation (id, org_id, agent_id, platform, user_id, thread, created_at)
         VALUES ('c', 'o', 'a', 'p', 'u', '', 1);
         INSERT INTO turn (id, conversation_id, org_id, agent_id, num, key, input_bytes, input_digest,
            accepted_at, state, owner, base_version)
         SELECT 't' || value, 'c', 'o', 'a', value, value, 1, '', 1, 'queued', 'i', 1
         FROM json_each('[1,2,3,4]');
         UPDATE turn SET state = 'running' WHERE id = 't1';
         UPDATE turn SET cancel_requested_at = 1 WHERE id = 't1';
         UPDATE turn SET state = 'completed', ended_at = 2 WHERE id = 't1';
         UPDATE turn SET state = 'failed', reason = 'exited', ended_at = 2 WHERE id = 't2';
         UPDATE turn SET state = 'cancelled', ended_at = 2 WHERE id = 't3';
         UPDATE turn SET state = 'expired', reason = 'no_worker', ended_at = 2 WHERE id = 't4';
         UPDATE conversation SET head_seq = 7; DELETE FROM conversation;
         UPDATE pr SET title = 'x'; UPDATE pr SET session_id = 'demo-2';
         UPDATE pr SET state = 'closed'; UPDATE pr SET state = 'open'; UPDATE pr SET state = 'merged';",
        &child("pr_check", "'s', 'run', '', '', '', 'n', '', '', 'queued', '', NULL, '', NULL, NULL"),
        &child("pr_review_thread", "'t', '', NULL, NULL, '', 0, 0, 0, '', NULL"),
        &child("pr_review", "'r', '', 0, 'approved', '', '', '', NULL"),
        &child("pr_comment", "'c', 'issue', '', '', '', 0, '', NULL, '', '', 0, NULL, NULL"),
        "UPDATE pr_check SET status = 'failed';
         UPDATE pr_review_thread SET line = 3; UPDATE pr_review_thread SET is_resolved = 1;
         UPDATE pr_review_thread SET is_resolved = 0;
         UPDATE pr_review SET body = 'x'; UPDATE pr_comment SET body = 'x';
         DELETE FROM pr; DELETE FROM session; DELETE FROM project;",
    ];
    conn.execute_batch(&script.concat()).unwrap();
    let made = changes_after(&store, Seq(0));
    let made: BTreeSet<_> = made.iter().map(Change::kind).collect();
    let known: BTreeSet<_> = CHANGE_TYPES.iter().copied().collect();
    assert_eq!(made, known);
    assert_eq!(known.len(), CHANGE_TYPES.len(), "a type is listed twice");
}

#[test]
fn the_most_specific_type_is_used_when_several_facts_change_at_once() {
    let Fixture { store, dir } = fixture();
    let conn = raw(&dir.path().join("ao.db"));
    conn.execute_batch(
        "INSERT INTO pr_review_thread SELECT id, 't', '', NULL, NULL, '', 0, 0, 0, '', NULL FROM pr;",
    )
    .unwrap();
    let start = head(&store);
    conn.execute_batch(
        "UPDATE pr_review_thread SET is_resolved = 1, line = 9, resolved_by = 'ann';
         UPDATE pr SET session_id = 'demo-2', title = 'x';
         UPDATE session SET is_terminated = 1, name = 'x' WHERE num = 1;
         UPDATE project SET archived_at = 7, name = 'x';
         UPDATE project SET archived_at = 8;",
    )
    .unwrap();
    let kinds: Vec<_> =
        changes_after(&store, start).into_iter().map(|c| c.kind().to_owned()).collect();
    assert_eq!(
        kinds,
        [
            "pr_review_thread_resolved",
            "pr_session_changed",
            "session_terminated",
            "project_archived",
            "project_updated"
        ]
    );
}

/// The state takes precedence over a claim, and both over other fields.
#[test]
fn the_type_says_when_a_pull_request_ends_and_when_it_is_open_again() {
    let Fixture { store, dir } = fixture();
    let conn = raw(&dir.path().join("ao.db"));
    for (before, after, expected) in [
        ("open", "merged", "pr_merged"),
        ("draft", "merged", "pr_merged"),
        ("unknown", "merged", "pr_merged"),
        ("closed", "merged", "pr_merged"),
        ("open", "closed", "pr_closed"),
        ("unknown", "closed", "pr_closed"),
        ("merged", "closed", "pr_closed"),
        ("closed", "open", "pr_reopened"),
        ("closed", "draft", "pr_reopened"),
        ("merged", "open", "pr_reopened"),
        ("merged", "unknown", "pr_updated"),
        ("unknown", "open", "pr_updated"),
        ("draft", "open", "pr_updated"),
        ("open", "draft", "pr_updated"),
    ] {
        // With another field, then with a claim as well.
        for (session, is_claim) in [("demo-1", false), ("demo-2", true)] {
            let prepare = "UPDATE pr SET state = ?1, session_id = 'demo-1', title = 'a'";
            conn.execute(prepare, [before]).unwrap();
            let start = head(&store);
            let change = "UPDATE pr SET state = ?1, session_id = ?2, title = 'b'";
            conn.execute(change, [after, session]).unwrap();
            let kinds: Vec<_> =
                changes_after(&store, start).into_iter().map(|c| c.kind().to_owned()).collect();
            let is_other = expected == "pr_updated" && is_claim;
            let expected = if is_other { "pr_session_changed" } else { expected };
            assert_eq!(kinds, [expected], "{before} to {after}");
        }
    }
}
