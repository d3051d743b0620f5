//! The report of an import about rows that are skipped and values that are dropped, from a hostile
//! or damaged source.

use ao_store::observation::PrState;
use ao_store::row::pr;
use ao_store::row::session::{self, SessionKind};

use crate::support::{at, new_session, raw, strings};
use crate::upstream::{NOW, import, lines, skipped, taken};

/// Tables without a constraint, and with some of the columns only.
const LAX: &str =
    "CREATE TABLE Projects (id, path, display_name, registered_at, archived_at, repo_origin_url);
CREATE TABLE sessions (id, project_id, num, kind, branch, display_name, issue_id, harness,
  activity_state, session_mode, is_terminated, created_at, updated_at, activity_last_at, prompt);
CREATE TABLE pr (url, session_id, provider, pr_state, is_merged, ci_state, review_decision,
  mergeability, updated_at, merged_at_provider);
CREATE TABLE pr_checks (pr_url, name, commit_hash, status, log_tail, details);
CREATE TABLE pr_reviews (pr_url, review_id, state, submitted_at);
CREATE TABLE pr_comment (pr_url, comment_id, body, thread_id);
";

#[test]
fn invalid_projects_are_skipped_with_a_reason() {
    let (fixture, imported) = import(&[LAX, "INSERT INTO projects (id, path, registered_at, archived_at) VALUES
        ('late', '/a', 20, NULL), ('early', '/a', 10, NULL), ('gone', '/a', 5, 6), ('gone2', '/a', 5, 6),
        ('early', '/b', 30, NULL), (NULL, '/c', 1, NULL), ('../x', '/d', 1, NULL), ('a..b', '/e', 1, NULL),
        ('x', '', 1, NULL), ('y', '/y' || char(0) || 'z', 1, NULL), (7, X'2f37', 1, NULL), ('z', X'2fff', 1, NULL);"]);
    assert_eq!(taken(&imported), [4, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        skipped(&imported),
        [
            "projects : its id is not allowed: it must begin with a letter or digit",
            "projects ../x: its id is not allowed: it must begin with a letter or digit",
            "projects a..b: its id is not allowed: it may not contain '..'",
            "projects x: its path is empty, not UTF-8, or contains a NUL character",
            "projects y: its path is empty, not UTF-8, or contains a NUL character",
            "projects z: its path is empty, not UTF-8, or contains a NUL character",
            "projects late: its path belongs to the active project early",
            "projects early: another row has its id",
        ]
    );
    let sql =
        "SELECT id || ' ' || path || ' ' || coalesce(archived_at, '-') FROM project ORDER BY id";
    let kept = ["7 /7 -", "early /a -", "gone /a 6000", "gone2 /a 6000"];
    assert_eq!(strings(&raw(&fixture.path()), sql), kept);
}

#[test]
fn invalid_sessions_are_skipped_and_their_numbers_stay_used() {
    let (fixture, imported) = import(&[LAX, "INSERT INTO projects (id, path) VALUES ('p', '/p'), ('-', '/q');
        INSERT INTO sessions (id, project_id, num, kind, is_terminated) VALUES
        ('p-10', 'p', 10, 'worker', 0), ('p-9', 'p', 9, 'orchestrator', 0), ('p-2', 'p', 2, 'orchestrator', 0),
        ('p-1', 'p', 1, 'orchestrator', 'true'), ('p-3', 'p', 3, 'director', 0), ('p-04', 'p', 4, 'worker', 0),
        ('--1', '-', 1, 'worker', 0), ('q-1', 'q', 1, 'worker', 0), ('p-0', 'p', 0, 'worker', 0),
        ('p-x', 'p', 'x', 'worker', 0), ('p-99999999999', 'p', 99999999999, 'worker', 0),
        ('p-10', 'p', 10, 'worker', 1), ('p-11', 'p', '11', NULL, NULL), ('odd' || char(0), 'p', 12, '', 0);"]);
    assert_eq!(taken(&imported)[..2], [1, 4]);
    let bound = "its num is not a number from 1 to 4294967295";
    assert_eq!(
        skipped(&imported),
        [
            "projects -: its id is not allowed: it must begin with a letter or digit".to_owned(),
            "sessions --1: its project was skipped".to_owned(),
            format!("sessions p-x: {bound}"),
            format!("sessions p-0: {bound}"),
            "sessions p-3: its kind is neither worker nor orchestrator".to_owned(),
            "sessions p-04: its id is not p-4".to_owned(),
            "sessions p-9: its project has an active orchestrator already: p-2".to_owned(),
            "sessions p-10: another row has its id".to_owned(),
            "sessions odd\u{fffd}: its id is not p-12".to_owned(),
            format!("sessions p-99999999999: {bound}"),
            "sessions q-1: its project was skipped".to_owned(),
        ]
    );
    let sql = "SELECT id || ' ' || is_terminated FROM session ORDER BY num";
    assert_eq!(strings(&raw(&fixture.path()), sql), ["p-1 1", "p-2 0", "p-10 0", "p-11 0"]);
    let new = new_session("p", SessionKind::Worker, "");
    let made = fixture.store.write(at(NOW), move |tx| session::create(tx, &new)).unwrap().value;
    assert_eq!(made.num, 13, "12 was given out once");
}

#[test]
fn invalid_pull_requests_and_items_are_skipped() {
    let (fixture, imported) = import(&[LAX, "INSERT INTO projects (id, path) VALUES ('p', '/p');
        INSERT INTO sessions (id, project_id, num) VALUES ('p-1', 'p', 1);
        INSERT INTO pr (url, session_id, provider, pr_state, is_merged, updated_at) SELECT *, iif(column5, 9, NULL) FROM (VALUES
        ('https://github.com/o/r/pull/1', 'p-1', NULL, 'draft', 1), ('https://github.com/o/r/pull/1/files', 'p-1', '', 'open', 0),
        ('https://GitHub.com/O/R/pull/1', 'p-1', 'github', 'open', 0), ('https://github.com/o/r/pull/2', 'p-2', '', 'open', 0),
        ('https://u:secret@github.com/o/r/pull/3', 'p-1', '', 'open', 0), ('https://git.lab/o/r/pull/4', 'p-1', 'gitlab', 'open', 0),
        (NULL, 'p-1', '', 'open', 0), ('ftp://x', 'p-1', '', 'open', 0));
        INSERT INTO pr_checks VALUES ('https://github.com/o/r/pull/1', 'a', 's', 'passed', 'tail', ''),
        ('https://github.com/o/r/pull/1', 'a', 's', 'failed', '', ''), ('https://github.com/o/r/pull/1', '', 's', 'passed', '', ''),
        ('https://github.com/o/r/pull/1', 'n' || char(0), 's', 'passed', '', ''), ('https://github.com/o/r/pull/2', 'a', 's', 'passed', '', '');
        INSERT INTO pr_reviews VALUES ('https://github.com/o/r/pull/1', 'R', 'odd', 'soon'), ('', 'R', '', NULL);
        INSERT INTO pr_comment VALUES ('https://github.com/o/r/pull/1', 'C', 'x' || char(0) || X'ff' || char(27), NULL);"]);
    assert_eq!(taken(&imported), [1, 1, 1, 2, 0, 1, 1]);
    let pr1 = "https://github.com/o/r/pull/1";
    let part = "a part of its key is empty";
    assert_eq!(
        skipped(&imported),
        [
            "pr : its url is not that of a pull request".to_owned(),
            "pr ftp://x: its url is not that of a pull request".to_owned(),
            "pr https://GitHub.com/O/R/pull/1: another row is the same pull request".to_owned(),
            "pr https://git.lab/o/r/pull/4: its provider is not github".to_owned(),
            format!("pr {pr1}/files: another row is the same pull request"),
            "pr https://github.com/o/r/pull/2: its session was skipped".to_owned(),
            "pr https://github.com/o/r/pull/3: its url is not that of a pull request".to_owned(),
            format!("pr_checks {pr1} a s: another row has its key"),
            format!("pr_checks {pr1}  s: {part}"),
            "pr_checks https://github.com/o/r/pull/2 a s: its pull request was skipped".to_owned(),
            "pr_reviews  R: its pull request was skipped".to_owned(),
        ]
    );
    assert_eq!(
        lines(&imported.modified),
        [
            format!(
                "pr_checks {pr1} a s: its log_tail was dropped: it has no details to identify it"
            ),
            format!("pr_reviews {pr1} R: its submitted_at is not a time"),
        ]
    );
    let pr = fixture.store.read(|s| pr::list(s, &pr::Filter::default())).unwrap().remove(0);
    assert_eq!((pr.id.as_str(), pr.state), ("github.com/o/r#1", PrState::Merged));
}

#[test]
fn values_that_no_command_would_accept_are_dropped() {
    let (fixture, imported) = import(&[LAX, "INSERT INTO projects (id, path, display_name) VALUES ('p', '/p', char(27) || '[2J');
        INSERT INTO sessions (id, project_id, num, branch, display_name, issue_id, harness, activity_state, session_mode, prompt)
        VALUES ('p-1', 'p', 1, '--upload-pack=x', printf('%.300c', 'x'), char(10), ' ', 'dreaming', 'voice', 'a' || char(0) || 'b');"]);
    assert_eq!((taken(&imported)[..2].to_vec(), skipped(&imported)), (vec![1, 1], vec![]));
    assert_eq!(
        lines(&imported.modified),
        [
            "projects p: its display_name was dropped: it may not contain control characters",
            "sessions p-1: its activity_state is not known and was replaced by unknown",
            "sessions p-1: its harness was dropped: it is empty",
            "sessions p-1: its display_name was dropped: it is longer than 200 bytes",
            "sessions p-1: its issue_id was dropped: it is empty",
            "sessions p-1: its branch was dropped: it begins with '-', like an option",
        ]
    );
    let sql = "SELECT concat_ws('|', p.name, s.branch, s.name, s.issue, s.harness, s.activity,
        hex(t.prompt)) FROM session s JOIN project p JOIN session_start t ON t.session_id = s.id";
    assert_eq!(strings(&raw(&fixture.path()), sql), ["p|||||unknown|61EFBFBD62"]);
}

#[test]
fn an_invalid_time_is_reported_and_its_row_is_imported() {
    let (fixture, imported) = import(&[LAX, "INSERT INTO projects (id, path, registered_at, archived_at) VALUES
        ('bad', '/p', 'soon', 'x'), ('none', '/q', NULL, '0001-01-01 00:00:00 +0000 UTC'), ('far', '/r', '2026-06-09 00:00:01', NULL),
        ('near', '/s', '2026-06-09 00:00:00', NULL);
        INSERT INTO sessions (id, project_id, num, created_at, updated_at, activity_last_at) VALUES
        ('bad-1', 'bad', 1, 'x', '', '9999-01-01 00:00:00'), ('none-1', 'none', 1, '', 99, NULL);
        INSERT INTO pr (url, session_id, updated_at, merged_at_provider) VALUES ('https://github.com/o/r/pull/1', 'bad-1', X'00', 1.5);"]);
    assert_eq!((taken(&imported)[..3].to_vec(), skipped(&imported)), (vec![4, 2, 1], vec![]));
    assert_eq!(
        lines(&imported.modified),
        [
            "projects far: its registered_at is in the future",
            "projects bad: its registered_at is not a time",
            "projects bad: its archived_at is not a time",
            "sessions bad-1: its created_at is not a time",
            "sessions bad-1: its activity_last_at is in the future",
            "pr https://github.com/o/r/pull/1: its merged_at_provider is not a time",
            "pr https://github.com/o/r/pull/1: its updated_at is not a time",
        ]
    );
    let conn = raw(&fixture.path());
    let sql = "SELECT concat_ws(' ', id, created_at, updated_at, coalesce(archived_at, '-')) FROM project ORDER BY id";
    let near = NOW + 86_400_000;
    assert_eq!(
        strings(&conn, sql),
        [
            format!("bad {NOW} {NOW} {NOW}"),
            format!("far {NOW} {NOW} -"),
            format!("near {near} {near} -"),
            format!("none {NOW} {NOW} -"),
        ]
    );
    let sql =
        "SELECT concat_ws(' ', id, created_at, updated_at, activity_at) FROM session ORDER BY id";
    assert_eq!(
        strings(&conn, sql),
        [format!("bad-1 {NOW} {NOW} {NOW}"), format!("none-1 {NOW} 99000 99000")]
    );
    let sql = "SELECT concat_ws(' ', created_at, updated_at, coalesce(merged_at, '-')) FROM pr";
    assert_eq!(strings(&conn, sql), [format!("{NOW} {NOW} -")]);
}

#[test]
fn skipped_rows_are_listed_up_to_a_bound_and_counted_beyond_it() {
    let (_, imported) = import(&[LAX, "INSERT INTO projects (id, path, registered_at)
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1100) SELECT 'p' || i, '/' || i, 'x' FROM n;
        INSERT INTO pr_checks (pr_url, name) WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
        SELECT printf('%.900c', 'x'), i FROM n;"]);
    assert_eq!((imported.skipped.len(), imported.skipped_more), (1000, 1500));
    assert_eq!((imported.modified.len(), imported.modified_more), (1000, 100));
    assert_eq!(imported.skipped[0].key, "x".repeat(200));
    assert_eq!(taken(&imported)[0], 1100);
}

#[test]
fn texts_that_cannot_be_stored_are_cleaned_and_counted() {
    let (fixture, imported) = import(&[LAX, "INSERT INTO projects (id, path, display_name) VALUES ('p', '/p', X'6162ff'),
        ('long', '/' || printf('%.5000c', 'x'), ''), ('huge', '/' || printf('%.300000c', 'x'), '');
        INSERT INTO sessions (id, project_id, num, prompt, branch) VALUES ('p-1', 'p', 1, 'a' || char(0) || 'b', X'e9'),
        ('p-2', 'p', 2, X'c328', ''), ('p-3', 'p', 3, replace(printf('%.100000c', 'x'), 'x', 'äb'), 'fine');
        INSERT INTO pr (url, session_id) VALUES ('https://github.com/o/r/pull/1', 'p-1');
        INSERT INTO pr_checks VALUES ('https://github.com/o/r/pull/1', 'n' || char(0), 's', 'passed', printf('%.70000c', 'x') || X'ff', '9');
        INSERT INTO pr_comment VALUES ('https://github.com/o/r/pull/1', 'C1', printf('%.3000000c', 'x'), NULL),
        ('https://github.com/o/r/pull/1', 'C' || char(0), '', NULL), ('https://github.com/o/r/pull/1', 'C' || X'ff', '', NULL);"]);
    assert_eq!(taken(&imported), [1, 3, 1, 1, 0, 0, 2]);
    let cleaned =
        imported.cleaned.iter().map(|it| format!("{}.{} {}", it.table, it.column, it.rows));
    assert_eq!(
        cleaned.collect::<Vec<_>>(),
        [
            "projects.display_name 1",
            "projects.path 1",
            "sessions.branch 1",
            "sessions.prompt 3",
            "pr_checks.log_tail 1",
            "pr_checks.name 1",
            "pr_comment.body 1",
            "pr_comment.comment_id 2",
        ]
    );
    assert_eq!(
        skipped(&imported),
        [
            "projects huge: its path is longer than 4096 bytes",
            "projects long: its path is longer than 4096 bytes",
            "pr_comment https://github.com/o/r/pull/1 C\u{fffd}: another row has its key",
        ]
    );
    let conn = raw(&fixture.path());
    let rows = |sql| strings(&conn, sql);
    assert_eq!(rows("SELECT name FROM project"), ["ab\u{fffd}"]);
    let prompts =
        "SELECT substr(prompt, 1, 3) || '|' || octet_length(prompt) || '|' || branch FROM session
        JOIN session_start ON session_id = id ORDER BY num";
    assert_eq!(rows(prompts), ["a\u{fffd}b|5|\u{fffd}", "\u{fffd}(|4|", "äbä|262143|fine"]);
    assert_eq!(rows("SELECT name FROM pr_check"), ["n\u{fffd}"]);
    assert_eq!(
        rows("SELECT octet_length(tail) || substr(tail, -1) FROM pr_check_log"),
        ["65536\u{fffd}"]
    );
    assert_eq!(
        rows("SELECT octet_length(body) || '' FROM pr_comment ORDER BY id"),
        ["262144", "0"]
    );
}

#[test]
fn a_provider_id_that_is_no_node_id_is_dropped() {
    let (fixture, imported) = import(&[LAX, "ALTER TABLE pr ADD COLUMN provider_id;
        INSERT INTO projects (id, path) VALUES ('p', '/p'); INSERT INTO sessions (id, project_id, num) VALUES ('p-1', 'p', 1);
        INSERT INTO pr (url, session_id, provider_id, updated_at) SELECT 'https://github.com/o/r/pull/' || column1, 'p-1', column2, 100 - column1
        FROM (VALUES (1, 'PR_a'), (2, 'PR_a'), (3, '123'), (4, 'MDExOlB1bGxSZXF1ZXN0MQ=='), (5, 'a b'), (6, 'x' || X'ff'),
        (7, printf('%.201c', 'x')), (8, ''), (9, NULL), (10, ''), (11, 12345));"]);
    assert_eq!(taken(&imported)[2], 11);
    let key = "pr https://github.com/o/r/pull/";
    let (no, twice) = ("it is no node id", "another row has it");
    let dropped = [(2, twice), (3, no), (5, no), (6, no), (7, no), (11, no)];
    let dropped = dropped.map(|(n, why)| format!("{key}{n}: its provider_id was dropped: {why}"));
    assert_eq!(lines(&imported.modified), dropped);
    let sql = "SELECT number || ' ' || node_id FROM pr WHERE node_id <> '' ORDER BY number";
    let kept = ["1 PR_a", "4 MDExOlB1bGxSZXF1ZXN0MQ=="];
    assert_eq!(strings(&raw(&fixture.path()), sql), kept);
}
