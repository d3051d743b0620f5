//! Conflict clauses of foreign writers: a row that OR REPLACE deletes silently is logged as
//! deleted, and a row that stays is not, with recursive_triggers and foreign_keys on and off.

use ao_store::Seq;
use ao_store::observation::Facet;

use crate::support::{
    Fixture, assert_log_equals_tables, changes_after, fixture, has_shell, head, observe, raw,
    shell, thread, threads,
};

const T1: i64 = crate::support::T0 + 1_000;

/// Every way the two pragmas can stand in a foreign connection.
const PRAGMAS: [&str; 4] = [
    "PRAGMA recursive_triggers = OFF; PRAGMA foreign_keys = OFF;",
    "PRAGMA recursive_triggers = ON; PRAGMA foreign_keys = OFF;",
    "PRAGMA recursive_triggers = OFF; PRAGMA foreign_keys = ON;",
    "PRAGMA recursive_triggers = ON; PRAGMA foreign_keys = ON;",
];

/// Runs `setup`, then `script` under each setting of the pragmas; the changes of `script`, as
/// sorted lines "type first-of-key", must be `expected`, and the log must equal the tables.
fn assert_changes(setup: &str, script: &str, expected: &[&str]) {
    if !has_shell() {
        return;
    }
    for pragmas in PRAGMAS {
        let Fixture { store, dir } = fixture();
        let path = dir.path().join("ao.db");
        shell(&path, setup);
        let start = head(&store);
        shell(&path, &format!("{pragmas}{script}"));
        let mut made = lines(&changes_after(&store, start));
        made.sort();
        assert_eq!(made, expected, "{pragmas}\n{script}");
        assert_log_equals_tables(&store, &raw(&path));
    }
}

fn lines(changes: &[ao_store::log::change::Change]) -> Vec<String> {
    let line = |change: &ao_store::log::change::Change| {
        let key: Vec<String> = serde_json::from_str(change.key()).unwrap();
        format!("{} {}", change.kind(), key.last().unwrap())
    };
    changes.iter().map(line).collect()
}

fn project(clause: &str, id: &str, path: &str) -> String {
    format!(
        "INSERT {clause} INTO project (id, path, name, created_at, updated_at)
        VALUES ('{id}', '{path}', 'n', 1, 1)"
    )
}

fn pr(clause: &str, id: &str, node: &str, place: (&str, i64)) -> String {
    let (repo, number) = place;
    format!("INSERT {clause} INTO pr (id, node_id, session_id, project_id, host, repo, number, url, created_at,
        updated_at) VALUES ('{id}', '{node}', 'demo-1', 'demo', 'h', '{repo}', {number}, 'u', 1, 1)")
}

fn session(clause: &str, num: i64, kind: &str) -> String {
    format!("INSERT {clause} INTO session (id, project_id, num, kind, activity_at, created_at, updated_at)
        VALUES ('demo-{num}', 'demo', {num}, '{kind}', 1, 1, 1)")
}

#[test]
fn replacing_a_row_of_the_same_key_is_a_deletion_and_an_insertion() {
    let setup = project("", "p", "/p");
    let script = project("OR REPLACE", "p", "/elsewhere");
    assert_changes(&setup, &script, &["project_created p", "project_deleted p"]);
}

#[test]
fn replacing_a_row_by_its_path_logs_its_deletion() {
    let setup = project("", "p", "/p");
    let script = project("OR REPLACE", "q", "/p");
    assert_changes(&setup, &script, &["project_created q", "project_deleted p"]);
}

#[test]
fn an_archived_project_does_not_conflict_by_its_path() {
    let setup =
        format!("{}; UPDATE project SET archived_at = 5 WHERE id = 'p'", project("", "p", "/p"));
    let script = project("OR REPLACE", "q", "/p");
    assert_changes(&setup, &script, &["project_created q"]);
}

#[test]
fn one_insertion_can_replace_two_rows() {
    let setup = format!("{}; {}", project("", "p", "/p"), project("", "q", "/q"));
    let script = project("OR REPLACE", "p", "/q");
    let expected = ["project_created p", "project_deleted p", "project_deleted q"];
    assert_changes(&setup, &script, &expected);
}

#[test]
fn one_statement_can_replace_many_rows_and_its_own() {
    let setup = format!("{}; {}", project("", "p", "/p"), project("", "q", "/q"));
    let script = format!(
        "{}, ('s', '/q', 'n', 1, 1), ('t', '/p', 'n', 1, 1), ('s', '/new', 'n', 1, 1)",
        project("OR REPLACE", "r", "/p")
    );
    assert_changes(
        &setup,
        &script,
        &[
            "project_created r",
            "project_created s",
            "project_created s",
            "project_created t",
            "project_deleted p",
            "project_deleted q",
            "project_deleted r",
            "project_deleted s",
        ],
    );
}

#[test]
fn a_session_is_replaced_by_its_number_and_by_a_new_orchestrator() {
    let setup = session("", 5, "orchestrator");
    let other = session("OR REPLACE", 6, "orchestrator");
    assert_changes(&setup, &other, &["session_created demo-6", "session_deleted demo-5"]);
    let same = session("OR REPLACE", 5, "worker");
    assert_changes(&setup, &same, &["session_created demo-5", "session_deleted demo-5"]);
    let two = format!(
        "{}; {}; UPDATE session SET is_terminated = 1 WHERE num = 5; {}",
        setup,
        session("", 6, "worker"),
        session("", 7, "orchestrator")
    );
    let both = "UPDATE OR REPLACE session SET is_terminated = 0 WHERE num = 5";
    assert_changes(&two, both, &["session_deleted demo-7", "session_restored demo-5"]);
}

#[test]
fn a_pull_request_is_replaced_by_location_in_any_letter_case_and_by_node_id() {
    let setup = format!("{}; {}", pr("", "a", "N1", ("o/r", 1)), pr("", "b", "N2", ("o/r", 2)));
    let by_place = pr("OR REPLACE", "c", "N3", ("O/R", 1));
    assert_changes(&setup, &by_place, &["pr_created c", "pr_deleted a"]);
    let by_node = pr("OR REPLACE", "c", "N2", ("o/r", 3));
    assert_changes(&setup, &by_node, &["pr_created c", "pr_deleted b"]);
    let by_both = pr("OR REPLACE", "c", "N2", ("O/r", 1));
    assert_changes(&setup, &by_both, &["pr_created c", "pr_deleted a", "pr_deleted b"]);
    let by_all = pr("OR REPLACE", "a", "N2", ("o/r", 3));
    assert_changes(&setup, &by_all, &["pr_created a", "pr_deleted a", "pr_deleted b"]);
    let empty_node = pr("OR REPLACE", "c", "", ("o/r", 3));
    assert_changes(&pr("", "a", "", ("o/r", 1)), &empty_node, &["pr_created c"]);
}

#[test]
fn an_update_can_replace_several_rows() {
    let setup = format!(
        "{}; {}; {}",
        pr("", "a", "N1", ("o/r", 1)),
        pr("", "b", "N2", ("o/r", 2)),
        pr("", "c", "N3", ("o/r", 3))
    );
    let script = "UPDATE OR REPLACE pr SET number = 2, node_id = 'N3' WHERE id = 'a'";
    assert_changes(&setup, script, &["pr_deleted b", "pr_deleted c", "pr_updated a"]);
    let case_only = "UPDATE OR REPLACE pr SET repo = 'O/R' WHERE id = 'a'";
    assert_changes(&setup, case_only, &["pr_updated a"]);
    let archived = format!(
        "{}; UPDATE project SET archived_at = 5 WHERE id = 'p'; {}",
        project("", "p", "/p"),
        project("", "q", "/p")
    );
    let restore = "UPDATE OR REPLACE project SET archived_at = NULL WHERE id = 'p'";
    assert_changes(&archived, restore, &["project_deleted q", "project_restored p"]);
}

#[test]
fn an_update_of_many_rows_can_replace_rows_that_it_updated() {
    let setup = format!(
        "{}; {}; {}",
        pr("", "a", "N1", ("o/r", 1)),
        pr("", "b", "N2", ("o/r", 2)),
        pr("", "c", "N3", ("o/r", 3))
    );
    if !has_shell() {
        return;
    }
    for pragmas in PRAGMAS {
        let Fixture { store, dir } = fixture();
        let path = dir.path().join("ao.db");
        shell(&path, &setup);
        shell(&path, &format!("{pragmas} UPDATE OR REPLACE pr SET number = 9 WHERE host = 'h'"));
        assert_log_equals_tables(&store, &raw(&path));
        assert_eq!(shell(&path, "SELECT count(*) FROM pr WHERE number = 9"), "1");
    }
}

#[test]
fn an_ignored_conflict_makes_no_change_then_or_later() {
    let setup = format!("{}; {}", project("", "p", "/p"), project("", "q", "/q"));
    for ignored in [
        project("OR IGNORE", "p", "/p2"),
        project("OR IGNORE", "r", "/p"),
        format!("{} ON CONFLICT DO NOTHING", project("", "r", "/p")),
        format!("{} ON CONFLICT (id) DO NOTHING", project("", "p", "/q")),
        "UPDATE OR IGNORE project SET path = '/q' WHERE id = 'p'".to_owned(),
    ] {
        let script = format!("{ignored}; {}; {}", project("", "r", "/r"), project("", "s", "/s"));
        assert_changes(&setup, &script, &["project_created r", "project_created s"]);
        let moved = format!(
            "{ignored}; UPDATE project SET path = '/moved' WHERE id = 'p'; {}",
            project("", "r", "/p")
        );
        assert_changes(&setup, &moved, &["project_created r", "project_updated p"]);
        let gone =
            format!("{ignored}; DELETE FROM project WHERE id = 'p'; {}", project("", "p", "/p"));
        assert_changes(&setup, &gone, &["project_created p", "project_deleted p"]);
    }
}

#[test]
fn an_upsert_that_updates_is_one_update() {
    let setup = format!("{}; {}", project("", "p", "/p"), project("", "q", "/q"));
    let script = format!(
        "{} ON CONFLICT (id) DO UPDATE SET name = 'upserted'; {}",
        project("", "p", "/p2"),
        project("", "r", "/r")
    );
    assert_changes(&setup, &script, &["project_created r", "project_updated p"]);
    let same = format!(
        "{} ON CONFLICT (id) DO UPDATE SET name = excluded.name; {}",
        project("", "p", "/p2"),
        project("", "r", "/r")
    );
    assert_changes(&setup, &same, &["project_created r"]);
    let mixed = format!(
        "{} ON CONFLICT (id) DO UPDATE SET name = 'upserted'; {}",
        project("OR REPLACE", "p", "/fresh"),
        project("", "r", "/r")
    );
    assert_changes(&setup, &mixed, &["project_created r", "project_updated p"]);
}

#[test]
fn a_statement_that_fails_midway_leaves_only_what_it_kept() {
    if !has_shell() {
        return;
    }
    let setup = format!("{}; {}", project("", "p", "/p"), project("", "q", "/q"));
    for (clause, kept) in [("OR FAIL", 1), ("OR ABORT", 0), ("OR ROLLBACK", 0)] {
        let Fixture { store, dir } = fixture();
        let path = dir.path().join("ao.db");
        shell(&path, &setup);
        let start = head(&store);
        let script = format!("{}, ('s', '/q', 'n', 1, 1)", project(clause, "r", "/r"));
        let error = crate::support::try_shell(&path, &script).unwrap_err();
        assert!(error.contains("UNIQUE constraint failed: project.path"), "{error}");
        assert_eq!(head(&store), Seq(start.0 + kept), "{clause}");
        shell(&path, &project("", "t", "/t"));
        assert_eq!(head(&store), Seq(start.0 + kept + 1), "{clause}");
        assert_log_equals_tables(&store, &raw(&path));
    }
}

#[test]
fn a_rolled_back_savepoint_undoes_its_replacement() {
    let setup = project("", "p", "/p");
    let script = format!(
        "BEGIN; SAVEPOINT s; {}; ROLLBACK TO s; {}; COMMIT; {}",
        project("OR REPLACE", "q", "/p"),
        project("", "r", "/r"),
        project("", "t", "/t")
    );
    assert_changes(&setup, &script, &["project_created r", "project_created t"]);
}

#[test]
fn rows_without_rowid_are_replaced_too() {
    if !has_shell() {
        return;
    }
    for pragmas in PRAGMAS {
        let Fixture { store, dir } = fixture();
        let path = dir.path().join("ao.db");
        observe(
            &store,
            &threads(T1, Facet::replace(vec![thread("t1", false), thread("t2", false)])),
        );
        let start = head(&store);
        shell(
            &path,
            &format!(
                "{pragmas} INSERT OR REPLACE INTO pr_review_thread
            SELECT pr_id, id, 'new', 1, 1, '', 1, 0, 0, '', 1 FROM pr_review_thread;"
            ),
        );
        let mut made = lines(&changes_after(&store, start));
        made.sort();
        assert_eq!(
            made,
            [
                "pr_review_thread_added t1",
                "pr_review_thread_added t2",
                "pr_review_thread_removed t1",
                "pr_review_thread_removed t2"
            ],
            "{pragmas}"
        );
        assert_log_equals_tables(&store, &raw(&path));
    }
}

#[test]
fn the_deleted_facts_of_a_replaced_pull_request_are_logged_with_its_owner() {
    if !has_shell() {
        return;
    }
    for pragmas in PRAGMAS {
        let Fixture { store, dir } = fixture();
        let path = dir.path().join("ao.db");
        observe(
            &store,
            &threads(T1, Facet::replace(vec![thread("t1", false), thread("t2", false)])),
        );
        let start = head(&store);
        let other = pr("OR REPLACE", "other", "PR_7", ("o/r", 1)).replace("demo-1", "demo-2");
        shell(&path, &format!("{pragmas} {other}"));
        let made = changes_after(&store, start);
        assert_log_equals_tables(&store, &raw(&path));
        let removed =
            made.iter().filter(|change| change.kind() == "pr_review_thread_removed").count();
        assert_eq!(removed, 2, "{pragmas}");
        for change in made.iter().filter(|change| change.op() == "delete") {
            assert_eq!(change.session(), Some("demo-1"), "{pragmas} {change:?}");
            assert_eq!(change.project(), Some("demo"), "{pragmas} {change:?}");
        }
    }
}
