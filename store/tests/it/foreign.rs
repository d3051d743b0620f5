//! Foreign writers: the stock `sqlite3` shell changes the file, every change is captured with a
//! time and without transaction and actor, and the next observation corrects it.

use ao_store::log::retention::{self, Rules};
use ao_store::observation::Facet;
use ao_store::row::{facet, pr, session};
use ao_store::{Cause, Seq, Timestamp};

use crate::support::{
    Fixture, add_session, assert_log_equals_tables, assert_sound, at, cause, changes,
    changes_after, fixture, has_shell, head, kinds_of, new_project, number, observe, place, raw,
    shell, thread, threads, try_shell,
};

const T1: i64 = crate::support::T0 + 1_000;

fn now() -> i64 {
    Timestamp::now().0
}

#[test]
fn a_foreign_change_has_a_time_but_no_transaction_and_no_actor() {
    if !has_shell() {
        return;
    }
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let start = head(&store);
    let before = now();
    shell(&path, "INSERT INTO project (id, path, name, created_at, updated_at) VALUES ('x', '/x', 'x', 1, 1);
        UPDATE project SET name = 'y' WHERE id = 'x'; DELETE FROM project WHERE id = 'x';");
    let made = changes_after(&store, start);
    let kinds: Vec<_> = made.iter().map(|change| change.kind()).collect();
    assert_eq!(kinds, ["project_created", "project_updated", "project_deleted"]);
    for change in &made {
        assert_eq!((change.tx, &change.actor()), (None, &None));
        assert!((before - 2..=now() + 2).contains(&change.at.0), "{change:?}");
        assert_eq!(change.project(), Some("x"));
    }
    assert_log_equals_tables(&store, &raw(&path));
}

#[test]
fn own_changes_after_a_foreign_one_have_a_transaction_and_an_actor_again() {
    if !has_shell() {
        return;
    }
    let Fixture { store, dir } = fixture();
    shell(&dir.path().join("ao.db"), "UPDATE project SET name = 'z';");
    add_session(&store, "demo", "");
    let made = changes(&store);
    let [.., foreign, ours] = made.as_slice() else { panic!() };
    assert_eq!((foreign.tx, foreign.actor()), (None, None));
    assert_eq!((ours.tx, ours.actor()), (Some(ours.seq), Some("test")));
}

#[test]
fn time_never_decreases_between_own_and_foreign_writes() {
    if !has_shell() {
        return;
    }
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let rename = |at: i64, name: &'static str| {
        let id = "demo-1".parse().unwrap();
        store.write(self::at(at), move |tx| session::rename(tx, &id, name)).unwrap();
    };
    shell(&path, "UPDATE project SET name = 'foreign 1';");
    rename(5, "long ago");
    let future = now() + 3_600_000;
    rename(future, "in an hour");
    shell(&path, "UPDATE project SET name = 'foreign 2';");
    rename(7, "long ago again");
    let times: Vec<_> = changes(&store).into_iter().map(|change| change.at.0).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(times[times.len() - 3..], [future; 3], "a time in the future stays the floor");
}

#[test]
fn time_never_decreases_when_the_whole_log_was_pruned_in_between() {
    if !has_shell() {
        return;
    }
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    shell(&path, "UPDATE project SET name = 'foreign';");
    let last = changes(&store).pop().unwrap();
    // What retention does: the prefix goes, the floor moves.
    shell(
        &path,
        "DELETE FROM change_log; UPDATE log_meta SET floor = (SELECT seq FROM sqlite_sequence);",
    );
    let id = "demo-1".parse().unwrap();
    store.write(at(5), move |tx| session::rename(tx, &id, "late")).unwrap();
    let next = changes_after(&store, last.seq).pop().unwrap();
    assert!(next.at >= last.at, "{last:?} {next:?}");
}

#[test]
fn a_foreign_rollback_leaves_no_change_and_no_hole() {
    if !has_shell() {
        return;
    }
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let start = head(&store);
    shell(
        &path,
        "BEGIN; UPDATE project SET name = 'a'; SAVEPOINT s; DELETE FROM pr;
        UPDATE session SET name = 'b'; ROLLBACK TO s; RELEASE s;
        UPDATE session SET name = 'c' WHERE num = 1; COMMIT;
        BEGIN; DELETE FROM pr; ROLLBACK;
        UPDATE session SET name = 'd' WHERE num = 1;",
    );
    let made: Vec<_> = changes_after(&store, start)
        .iter()
        .map(|c| (c.seq.0 - start.0, c.kind().to_owned()))
        .collect();
    let expected = ["project_updated", "session_updated", "session_updated"];
    assert_eq!(made, (1..).zip(expected.map(str::to_owned)).collect::<Vec<_>>());
    assert_log_equals_tables(&store, &raw(&path));
}

#[test]
fn an_update_without_a_difference_makes_no_change() {
    if !has_shell() {
        return;
    }
    let Fixture { store, dir } = fixture();
    observe(&store, &threads(T1, Facet::replace(vec![thread("t1", false)])));
    let kinds = kinds_of(&store, || {
        shell(
            &dir.path().join("ao.db"),
            "UPDATE pr_review_thread SET is_resolved = is_resolved, line = line;
            UPDATE pr SET title = title, repo = repo, node_id = node_id;
            UPDATE session SET name = ''; UPDATE project SET archived_at = NULL;
            INSERT INTO pr_review_thread SELECT * FROM pr_review_thread WHERE 1
              ON CONFLICT DO UPDATE SET path = excluded.path;",
        );
    });
    assert_eq!(kinds, [""; 0]);
    let kinds = kinds_of(&store, || {
        shell(
            &dir.path().join("ao.db"),
            "UPDATE pr SET repo = upper(repo), title = 'A';
            UPDATE pr SET title = 'a';",
        );
    });
    assert_eq!(kinds, ["pr_updated"; 2], "letter case is a change");
}

#[test]
fn deleting_a_pull_request_first_deletes_its_facts_and_logs_each_with_session_and_project() {
    if !has_shell() {
        return;
    }
    for foreign_keys in ["ON", "OFF"] {
        let Fixture { store, dir } = fixture();
        let path = dir.path().join("ao.db");
        observe(
            &store,
            &threads(T1, Facet::replace(vec![thread("t1", false), thread("t2", true)])),
        );
        let start = head(&store);
        shell(
            &path,
            &format!(
                "PRAGMA foreign_keys = {foreign_keys};
            INSERT INTO pr_review SELECT id, 'r', '', 0, 'approved', '', '', '', NULL FROM pr;
            INSERT INTO pr_check_log SELECT id, 'x', 'tail' FROM pr;
            INSERT OR IGNORE INTO pr_poll (pr_id) SELECT id FROM pr; DELETE FROM pr;"
            ),
        );
        let made = changes_after(&store, Seq(start.0 + 1));
        let kinds: Vec<_> = made.iter().map(|change| change.kind()).collect();
        assert_eq!(
            kinds,
            [
                "pr_review_removed",
                "pr_review_thread_removed",
                "pr_review_thread_removed",
                "pr_deleted"
            ],
            "children come first"
        );
        for change in &made {
            assert_eq!(change.session(), Some("demo-1"), "{change:?}");
            assert_eq!(change.project(), Some("demo"), "{change:?}");
        }
        let conn = raw(&path);
        let tables =
            ["pr_review_thread", "pr_review", "pr_observed", "pr_check_log", "pr_item_as_of"];
        for table in tables.into_iter().chain(["pr_poll"]) {
            let left = crate::support::number(&conn, &format!("SELECT count(*) FROM {table}"));
            assert_eq!(left, 0, "{table}, foreign keys {foreign_keys}");
        }
        assert_log_equals_tables(&store, &conn);
    }
}

#[test]
fn changing_a_key_is_refused() {
    if !has_shell() {
        return;
    }
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    observe(&store, &threads(T1, Facet::replace(vec![thread("t1", false)])));
    let start = head(&store);
    for update in [
        "project SET id = 'x'",
        "session SET id = 'demo-9', num = 9 WHERE num = 2",
        "pr SET id = 'x'",
        "pr_review_thread SET id = 'x'",
        "OR REPLACE pr_review_thread SET pr_id = 'x'",
    ] {
        let error = try_shell(&path, &format!("UPDATE {update}")).unwrap_err();
        assert!(error.contains("never changes"), "{update}: {error}");
    }
    assert_eq!(head(&store), start);
}

#[test]
fn the_next_identical_observation_repairs_a_foreign_write() {
    if !has_shell() {
        return;
    }
    let Fixture { store, dir } = fixture();
    let seen = threads(T1, Facet::replace(vec![thread("t1", true), thread("t2", false)]));
    observe(&store, &seen);
    for (damage, repair) in [
        ("UPDATE pr_review_thread SET is_resolved = 0", "pr_review_thread_resolved"),
        ("DELETE FROM pr_review_thread WHERE id = 't2'", "pr_review_thread_added"),
        (
            "INSERT INTO pr_review_thread SELECT pr_id, 't3', '', 1, 1, '', 0, 0, 0, '', 1 FROM pr_review_thread LIMIT 1",
            "pr_review_thread_removed",
        ),
        ("UPDATE pr_review_thread SET path = 'x' WHERE id = 't2'", "pr_review_thread_updated"),
    ] {
        shell(&dir.path().join("ao.db"), damage);
        let kinds = kinds_of(&store, || {
            observe(&store, &seen);
        });
        assert_eq!(kinds, [repair], "{damage}");
        let pr = store.read(|s| pr::require(s, &place())).unwrap();
        let mut expected = seen.threads.items.clone();
        expected.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(store.read(|s| facet::threads(s, &pr.id)).unwrap(), expected);
    }
}

#[test]
fn a_session_number_is_never_used_again_even_by_a_foreign_writer() {
    if !has_shell() {
        return;
    }
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let insert = |clause: &str, num: i64| {
        format!("INSERT {clause} INTO session (id, project_id, num, kind, activity_at, created_at, updated_at)
            VALUES ('demo-{num}', 'demo', {num}, 'worker', 1, 1, 1);")
    };
    shell(&path, &insert("", 7));
    assert_eq!(add_session(&store, "demo", "").as_str(), "demo-8");
    shell(&path, "DELETE FROM session WHERE num IN (7, 8);");
    for clause in ["", "OR REPLACE", "OR IGNORE", "OR FAIL"] {
        for num in [3, 7, 8] {
            let error = try_shell(&path, &insert(clause, num)).unwrap_err();
            assert!(error.contains("was used before"), "{clause} {num}: {error}");
        }
    }
    // A replacement keeps its own number, and does not lower the counter.
    shell(&path, &insert("OR REPLACE", 2));
    assert_eq!(add_session(&store, "demo", "").as_str(), "demo-9");
    assert_log_equals_tables(&store, &raw(&path));
}

#[test]
fn the_session_counter_outlives_the_row_of_its_project() {
    if !has_shell() {
        return;
    }
    for replace in [
        "INSERT OR REPLACE INTO project (id, path, name, created_at, updated_at) VALUES ('fresh', '/f', 'f', 1, 1);",
        "DELETE FROM project WHERE id = 'fresh';
         INSERT INTO project (id, path, name, created_at, updated_at) VALUES ('fresh', '/f', 'f', 1, 1);",
    ] {
        let Fixture { store, dir } = fixture();
        let new = new_project("fresh");
        store.write(cause(), move |tx| ao_store::row::project::add(tx, &new)).unwrap();
        let id = add_session(&store, "fresh", "");
        store.write(cause(), move |tx| session::delete(tx, &id)).unwrap();
        shell(&dir.path().join("ao.db"), &format!("PRAGMA foreign_keys = ON; {replace}"));
        assert_eq!(add_session(&store, "fresh", "").as_str(), "fresh-2", "{replace}");
    }
}

#[test]
fn a_lowered_or_deleted_counter_gives_no_number_twice() {
    for sql in ["UPDATE session_counter SET last_num = 1", "DELETE FROM session_counter"] {
        let fixture = fixture();
        let last: i64 = number(&raw(&fixture.path()), "SELECT max(num) FROM session");
        assert!(last > 1);
        raw(&fixture.path()).execute_batch(sql).unwrap();
        for next in [last + 1, last + 2] {
            let created = add_session(&fixture.store, "demo", "");
            assert_eq!(created.as_str(), format!("demo-{next}"), "{sql}");
        }
        assert_sound(&fixture.store);
    }
}

#[test]
fn retention_rules_are_stored_where_their_row_was_deleted() {
    let fixture = fixture();
    raw(&fixture.path()).execute_batch("DELETE FROM retention").unwrap();
    for keep_events in [Some(30), None] {
        let rules = Rules { keep_events, ..Rules::default() };
        fixture.store.write(cause(), move |tx| retention::set_rules(tx, &rules)).unwrap();
        assert_eq!(fixture.store.read(retention::rules).unwrap(), rules);
        assert_eq!(number(&raw(&fixture.path()), "SELECT count(*) FROM retention"), 1);
    }
}

#[test]
fn text_that_json_must_escape_survives_in_the_images() {
    if !has_shell() {
        return;
    }
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    shell(
        &path,
        "UPDATE session SET name = char(0, 1, 10, 13, 34, 92, 127, 233, 128512, 8232) || '''';",
    );
    assert_log_equals_tables(&store, &raw(&path));
    let huge = i64::MAX;
    shell(&path, &format!("UPDATE session SET created_at = {huge}, activity_at = {};", i64::MIN));
    assert_log_equals_tables(&store, &raw(&path));
    let cause = Cause::new("a \"quoted\" actor", Timestamp(T1));
    let id = "demo-1".parse().unwrap();
    store.write(cause, move |tx| session::rename(tx, &id, "plain")).unwrap();
    assert_eq!(changes(&store).pop().unwrap().actor(), Some("a \"quoted\" actor"));
}
