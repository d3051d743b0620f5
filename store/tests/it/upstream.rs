//! The import from the tool `ao`: the rows that it inserts, and observations of them afterwards.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ao_store::observation::{Facet, Observation, Thread};
use ao_store::row::{facet, pr};
use ao_store::verify::Depth;
use ao_store::{
    Applied, Code, Imported, Options, Outcome, Store, Timestamp, Upstream, apply_observation,
    import_upstream,
};
use rusqlite::Connection;

use crate::support::{
    Fixture, assert_log_equals_tables, at, code, empty, head, observation, place, raw, strings,
    thread, threads,
};

/// The time of every import: 2026-06-08T00:00:00Z.
pub(crate) const NOW: i64 = 1_780_876_800_000;

/// 2026-06-07T12:00:00Z.
const NOON: i64 = 1_780_833_600_000;

/// The tables of the tool in June.
pub(crate) const JUNE: &str = "
CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL);
INSERT INTO goose_db_version (version_id) VALUES (0), (7);
CREATE TABLE projects (id TEXT PRIMARY KEY, path TEXT NOT NULL, repo_origin_url TEXT NOT NULL DEFAULT '',
  display_name TEXT NOT NULL DEFAULT '', registered_at TIMESTAMP NOT NULL, archived_at TIMESTAMP);
CREATE TABLE sessions (id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects (id),
  num INTEGER NOT NULL, issue_id TEXT NOT NULL DEFAULT '', kind TEXT NOT NULL,
  harness TEXT NOT NULL DEFAULT '', activity_state TEXT NOT NULL DEFAULT 'idle',
  activity_last_at TIMESTAMP NOT NULL, is_terminated BOOLEAN NOT NULL DEFAULT 0,
  branch TEXT NOT NULL DEFAULT '', workspace_path TEXT NOT NULL DEFAULT '',
  runtime_handle_id TEXT NOT NULL DEFAULT '', agent_session_id TEXT NOT NULL DEFAULT '',
  prompt TEXT NOT NULL DEFAULT '', created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL,
  display_name TEXT NOT NULL DEFAULT '', UNIQUE (project_id, num));
CREATE TABLE pr (url TEXT PRIMARY KEY, session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  number INTEGER NOT NULL, pr_state TEXT NOT NULL, review_decision TEXT NOT NULL, ci_state TEXT NOT NULL,
  mergeability TEXT NOT NULL, updated_at TIMESTAMP NOT NULL, provider TEXT NOT NULL DEFAULT '',
  host TEXT NOT NULL DEFAULT '', repo TEXT NOT NULL DEFAULT '', source_branch TEXT NOT NULL DEFAULT '',
  target_branch TEXT NOT NULL DEFAULT '', head_sha TEXT NOT NULL DEFAULT '', title TEXT NOT NULL DEFAULT '',
  additions INTEGER NOT NULL DEFAULT 0, deletions INTEGER NOT NULL DEFAULT 0,
  changed_files INTEGER NOT NULL DEFAULT 0, author TEXT NOT NULL DEFAULT '',
  base_sha TEXT NOT NULL DEFAULT '', merge_commit_sha TEXT NOT NULL DEFAULT '',
  is_draft BOOLEAN NOT NULL DEFAULT 0, is_merged BOOLEAN NOT NULL DEFAULT 0,
  is_closed BOOLEAN NOT NULL DEFAULT 0, provider_mergeable TEXT NOT NULL DEFAULT '',
  provider_merge_state_status TEXT NOT NULL DEFAULT '', created_at_provider TIMESTAMP,
  updated_at_provider TIMESTAMP, merged_at_provider TIMESTAMP, closed_at_provider TIMESTAMP,
  metadata_hash TEXT NOT NULL DEFAULT '');
CREATE TABLE pr_checks (pr_url TEXT NOT NULL REFERENCES pr (url) ON DELETE CASCADE, name TEXT NOT NULL,
  commit_hash TEXT NOT NULL, status TEXT NOT NULL, url TEXT NOT NULL DEFAULT '',
  log_tail TEXT NOT NULL DEFAULT '', created_at TIMESTAMP NOT NULL, conclusion TEXT NOT NULL DEFAULT '',
  details TEXT NOT NULL DEFAULT '', PRIMARY KEY (pr_url, name, commit_hash));
CREATE TABLE pr_comment (pr_url TEXT NOT NULL REFERENCES pr (url) ON DELETE CASCADE,
  comment_id TEXT NOT NULL, author TEXT NOT NULL DEFAULT '', file TEXT NOT NULL DEFAULT '',
  line INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL DEFAULT '', resolved BOOLEAN NOT NULL DEFAULT 0,
  created_at TIMESTAMP NOT NULL, thread_id TEXT NOT NULL DEFAULT '', url TEXT NOT NULL DEFAULT '',
  is_bot BOOLEAN NOT NULL DEFAULT 0, PRIMARY KEY (pr_url, comment_id));
CREATE TABLE pr_review_threads (pr_url TEXT NOT NULL REFERENCES pr (url) ON DELETE CASCADE,
  thread_id TEXT NOT NULL, path TEXT NOT NULL DEFAULT '', line INTEGER NOT NULL DEFAULT 0,
  resolved BOOLEAN NOT NULL DEFAULT 0, is_bot BOOLEAN NOT NULL DEFAULT 0,
  semantic_hash TEXT NOT NULL DEFAULT '', updated_at TIMESTAMP, PRIMARY KEY (pr_url, thread_id));
CREATE TABLE change_log (seq INTEGER PRIMARY KEY AUTOINCREMENT, project_id TEXT, payload TEXT);
CREATE VIEW session_view AS SELECT * FROM sessions;
";

/// The tables and columns that were added later.
const HEAD: &str = "
ALTER TABLE projects ADD COLUMN config TEXT NOT NULL DEFAULT '{}';
ALTER TABLE pr ADD COLUMN provider_id TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN first_signal_at TIMESTAMP;
ALTER TABLE sessions ADD COLUMN preview_url TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN preview_revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN cleanup_generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN runtime_launch_id TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN workspace_repo_path TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN terminate_on_pr_merge BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN diff_base_sha TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN diff_base_ref TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN reviewer_harness TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN is_pinned BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN pinned_at TIMESTAMP;
ALTER TABLE sessions ADD COLUMN session_mode TEXT NOT NULL DEFAULT 'tui';
ALTER TABLE sessions ADD COLUMN provider_conversation_id TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN controller_generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN browser_capability_verifier TEXT NOT NULL DEFAULT '';
CREATE TABLE pr_reviews (pr_url TEXT NOT NULL, review_id TEXT NOT NULL, author TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT '', url TEXT NOT NULL DEFAULT '', is_bot BOOLEAN NOT NULL DEFAULT 0,
  submitted_at TIMESTAMP, body TEXT NOT NULL DEFAULT '', PRIMARY KEY (pr_url, review_id));
CREATE TABLE notifications (id TEXT PRIMARY KEY, body TEXT);
CREATE TABLE app_settings (id INTEGER PRIMARY KEY);
";

/// A closed source with these tables and rows, in the folder of the store.
pub(crate) fn source(dir: &Path, sql: &[&str]) -> PathBuf {
    let path = dir.join("source.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    for sql in sql {
        conn.execute_batch(sql).unwrap();
    }
    path
}

/// A store into which the source was imported, without a change of the source.
pub(crate) fn import(sql: &[&str]) -> (Fixture, Imported) {
    let fixture = empty();
    let path = source(fixture.dir.path(), sql);
    let before = std::fs::read(&path).unwrap();
    let imported = import_upstream(&fixture.store, &path, at(NOW)).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_log_equals_tables(&fixture.store, &raw(&fixture.path()));
    (fixture, imported)
}

pub(crate) fn taken(imported: &Imported) -> Vec<u64> {
    imported.taken.iter().map(|taken| taken.rows).collect()
}

pub(crate) fn skipped(imported: &Imported) -> Vec<String> {
    lines(&imported.skipped)
}

pub(crate) fn lines(remarks: &[ao_store::Remark]) -> Vec<String> {
    remarks.iter().map(|r| format!("{} {}: {}", r.table, r.key, r.reason)).collect()
}

fn ignored(imported: &Imported) -> Vec<String> {
    let name = |i: &ao_store::Ignored| match &i.column {
        Some(column) => format!("{}.{column} {}", i.table, i.rows),
        None => format!("{} {}", i.table, i.rows),
    };
    imported.ignored.iter().map(name).collect()
}

const ROWS: &str = "
INSERT INTO projects VALUES
  ('demo', '/src/demo', 'https://me:secret@GitHub.com/Octo/hello.git?x=secret', 'Demo', '2026-06-01 08:00:00.25 +0000 UTC', NULL),
  ('old', '/src/demo', '', '', '2026-05-01 08:00:00 +0000 UTC', '2026-05-02 08:00:00');
INSERT INTO sessions (id, project_id, num, issue_id, kind, harness, activity_state, activity_last_at,
  is_terminated, branch, workspace_path, runtime_handle_id, agent_session_id, prompt, created_at, updated_at, display_name) VALUES
  ('demo-1', 'demo', 1, 'GH-7', 'worker', 'codex', 'waiting_input', '2026-06-02 10:00:00.5 +0200 CEST', 0, 'ao/demo-1/root',
   '/w/1', 'tmux-1', 'agent-1', 'fix it', '2026-06-02 08:00:00 +0000 UTC m=+0.1', '2026-06-02 08:00:01', 'fixer'),
  ('demo-4', 'demo', 4, '', 'orchestrator', '', 'exited', 1780833600, 1, '', '', '', '', '', 1780833600000, 1780833600, ''),
  ('old-2', 'old', 2, '', 'worker', '', 'idle', '2026-05-01 08:00:00', 1, '', '', '', '', '', '2026-05-01 08:00:00', '2026-05-01 08:00:00', '');
INSERT INTO pr (url, session_id, number, pr_state, review_decision, ci_state, mergeability, updated_at, provider, source_branch,
  target_branch, head_sha, title, additions, deletions, changed_files, author, base_sha, is_draft, provider_mergeable,
  provider_merge_state_status, created_at_provider, updated_at_provider) VALUES
  ('https://github.com/Octo/hello/pull/7', 'demo-1', 7, 'open', 'changes_requested', 'failing', 'blocked', '2026-06-07 12:00:00',
   'github', 'ao/demo-1/root', 'main', 'abc', 'Fix', 3, 2, 1, 'ann', 'def', 1, 'MERGEABLE', 'BLOCKED',
   '2026-06-02 09:00:00 +0000 UTC', '2026-06-07 12:00:00 +0000 UTC');
INSERT INTO pr_checks VALUES
  ('https://github.com/Octo/hello/pull/7', 'test', 'abc', 'failed', 'https://ci/1', 'last words', '2026-06-07 12:00:00', 'failure', '91'),
  ('https://github.com/Octo/hello/pull/7', 'lint', 'abc', 'someday', '', '', '2026-06-07 12:00:00', '', '');
INSERT INTO pr_review_threads VALUES
  ('https://github.com/Octo/hello/pull/7', 'T1', 'a.rs', 12, 1, 0, 'h', NULL),
  ('https://github.com/Octo/hello/pull/7', 'T2', 'b.rs', 0, 0, 1, 'h', '2026-06-07 12:00:00');
INSERT INTO pr_comment VALUES
  ('https://github.com/Octo/hello/pull/7', 'C1', 'bob', 'a.rs', 12, 'why?', 1, '2026-06-07 12:00:00', 'T1', 'https://c/1', 0),
  ('https://github.com/Octo/hello/pull/7', 'C2', 'bot', '', 0, 'hi', 0, '2026-06-07 12:00:00', '', '', 1);
INSERT INTO change_log (project_id) VALUES ('demo'), ('demo'), ('demo');
";

#[test]
fn projects_and_sessions_of_june_are_imported_completely() {
    let (fixture, imported) = import(&[JUNE, ROWS]);
    assert_eq!(taken(&imported), [2, 3, 1, 2, 2, 0, 2]);
    assert_eq!((skipped(&imported), lines(&imported.modified)), (vec![], vec![]));
    assert_eq!(
        ignored(&imported),
        [
            "pr.number 1",
            "pr.host 1",
            "pr.repo 1",
            "pr.metadata_hash 1",
            "pr_checks.created_at 2",
            "pr_review_threads.semantic_hash 2",
            "pr_review_threads.updated_at 2",
            "pr_comment.resolved 2",
            "pr_comment.created_at 2",
            "change_log 3",
            "goose_db_version 2",
            "sessions.runtime_handle_id 1",
            "sessions.agent_session_id 1",
        ]
    );
    let conn = raw(&fixture.path());
    let rows = |sql| strings(&conn, sql);
    assert_eq!(
        rows(
            "SELECT concat_ws('|', id, path, name, origin_url, host, repo, created_at, updated_at,
              coalesce(archived_at, '-')) FROM project ORDER BY id"
        ),
        [
            "demo|/src/demo|Demo|https://GitHub.com/Octo/hello.git|github.com|Octo/hello|1780300800250|1780300800250|-",
            "old|/src/demo|old||||1777622400000|1777708800000|1777708800000",
        ]
    );
    assert_eq!(
        rows(
            "SELECT concat_ws('|', id, project_id, num, kind, harness, name, issue, branch,
              worktree_path, (SELECT prompt FROM session_start WHERE session_id = id), prompt_bytes,
              activity, activity_at, is_terminated, coalesce(spawned_at, '-'), created_at,
              updated_at) FROM session ORDER BY id"
        ),
        [
            "demo-1|demo|1|worker|codex|fixer|GH-7|ao/demo-1/root|/w/1|fix it|6|\
             waiting|1780387200500|0|1780387200000|1780387200000|1780387201000",
            "demo-4|demo|4|orchestrator||||||0|exited|1780833600000|1|1780833600000|\
             1780833600000|1780833600000",
            "old-2|old|2|worker||||||0|idle|1777622400000|1|1777622400000|1777622400000|\
             1777622400000",
        ]
    );
    let log = rows("SELECT DISTINCT actor || '|' || tx || '|' || at FROM change_log");
    assert_eq!(log, [format!("test|1|{NOW}")], "one transaction of the caller");
    assert!(!rows("SELECT group_concat(after) FROM change_log")[0].contains("secret"));
}

#[test]
fn pull_requests_of_june_are_imported_with_their_facets() {
    let (fixture, _) = import(&[JUNE, ROWS]);
    let conn = raw(&fixture.path());
    let rows = |sql| strings(&conn, sql);
    assert_eq!(
        rows("SELECT concat_ws('|', id, node_id, session_id, project_id, host, repo, number,
              url, title, author, state, head_ref, head_sha, base_ref, base_sha, additions, deletions,
              changed_files, ci, review_decision, provider_mergeable, provider_merge_state,
              mergeability, checks_state, threads_state, reviews_state, comments_state,
              provider_created_at, coalesce(merged_at, '-'), created_at, updated_at) FROM pr"),
        ["github.com/octo/hello#7||demo-1|demo|github.com|Octo/hello|7|\
          https://github.com/Octo/hello/pull/7|Fix|ann|draft|ao/demo-1/root|abc|main|def|3|2|1|\
          failing|changes_requested|mergeable|blocked|blocked|partial|partial|unknown|partial|\
          1780390800000|-|1780833600000|1780833600000"]
    );
    assert_eq!(
        rows(
            "SELECT concat_ws('|', head_sha, kind, name, external_id, status, conclusion, url) FROM pr_check"
        ),
        ["abc|run|lint||unknown||", "abc|run|test|91|failed|failure|https://ci/1"]
    );
    assert_eq!(rows("SELECT external_id || '|' || tail FROM pr_check_log"), ["91|last words"]);
    assert_eq!(
        rows(
            "SELECT concat_ws('|', id, path, coalesce(line, '-'), is_resolved, is_bot) FROM pr_review_thread"
        ),
        ["T1|a.rs|12|1|0", "T2|b.rs|-|0|1"]
    );
    assert_eq!(
        rows(
            "SELECT concat_ws('|', id, kind, thread_id, author, is_bot, path, coalesce(line, '-'),
              body, url, coalesce(created_at, '-')) FROM pr_comment"
        ),
        ["C1|review|T1|bob|0|a.rs|12|why?|https://c/1|-", "C2|issue||bot|1||-|hi||-"]
    );
}

#[test]
fn later_tables_are_imported_and_columns_without_counterpart_are_reported() {
    let more = "UPDATE sessions SET first_signal_at = '2026-06-07 12:00:00', preview_url = 'http://p', preview_revision = 3,
        cleanup_generation = 4, runtime_launch_id = 'L', workspace_repo_path = '/r', terminate_on_pr_merge = 1,
        diff_base_sha = 'd', diff_base_ref = 'main', reviewer_harness = 'codex', is_pinned = 1,
        pinned_at = '2026-06-07 12:00:00 +0000 UTC', session_mode = 'chat', provider_conversation_id = 'P',
        controller_generation = 5, browser_capability_verifier = 'secret' WHERE id = 'demo-1';
      UPDATE sessions SET is_pinned = 1 WHERE id = 'demo-4';
      UPDATE pr SET provider_id = 'PR_kwDOA';
      INSERT INTO pr_reviews VALUES
        ('https://github.com/Octo/hello/pull/7', 'R1', 'bob', 'changes_requested', 'https://r', 0, '2026-06-07 12:00:00', 'no'),
        ('https://github.com/Octo/hello/pull/7', 'R2', 'bob', 'APPROVED', '', 1, NULL, '');
      INSERT INTO notifications VALUES ('n', 'x');";
    let (fixture, imported) = import(&[JUNE, ROWS, HEAD, more]);
    assert_eq!(taken(&imported), [2, 3, 1, 2, 2, 2, 2]);
    assert_eq!((skipped(&imported), lines(&imported.modified)), (vec![], vec![]));
    let columns = [
        "first_signal_at",
        "preview_url",
        "preview_revision",
        "cleanup_generation",
        "runtime_launch_id",
        "workspace_repo_path",
        "terminate_on_pr_merge",
        "diff_base_sha",
        "diff_base_ref",
        "reviewer_harness",
        "is_pinned",
        "pinned_at",
        "session_mode",
        "provider_conversation_id",
        "controller_generation",
        "browser_capability_verifier",
    ];
    let mut not_imported = ignored(&imported);
    for column in columns {
        assert!(not_imported.contains(&format!("sessions.{column} 3")), "{column}");
    }
    not_imported.retain(|name| ["projects.config 2", "notifications 1"].contains(&name.as_str()));
    assert_eq!(not_imported.len(), 2);
    assert!(!ignored(&imported).contains(&"app_settings 0".to_owned()), "it has no rows");
    let conn = raw(&fixture.path());
    assert_eq!(
        strings(
            &conn,
            "SELECT concat_ws('|', id, author, is_bot, state, body, url, coalesce(submitted_at, '-')) FROM pr_review"
        ),
        [
            format!("R1|bob|0|changes_requested|no|https://r|{NOON}"),
            "R2|bob|1|approved|||-".to_owned()
        ]
    );
    assert_eq!(strings(&conn, "SELECT reviews_state || node_id FROM pr"), ["partialPR_kwDOA"]);
    assert!(!strings(&conn, "SELECT group_concat(after) FROM change_log")[0].contains("secret"));
}

#[test]
fn only_an_empty_store_is_filled() {
    let (fixture, _) = import(&[JUNE, ROWS]);
    let path = fixture.dir.path().join("source.db");
    let before = head(&fixture.store);
    assert_eq!(code(import_upstream(&fixture.store, &path, at(NOW))), Code::StoreNotEmpty);
    assert_eq!(head(&fixture.store), before);
    let other = crate::support::fixture();
    let before = head(&other.store);
    assert_eq!(code(import_upstream(&other.store, &path, at(NOW))), Code::StoreNotEmpty);
    assert_eq!(head(&other.store), before);
}

#[test]
fn a_store_is_created_with_the_import_or_an_empty_one_is_filled() {
    let dir = tempfile::tempdir().unwrap();
    let path = source(dir.path(), &[JUNE, ROWS]);
    let create = |name: &str| {
        let database = dir.path().join(name).join("ao.db");
        Upstream::read(&path, &database)?.create(&database, Options::default(), at(NOW))
    };
    let sound = |name: &str| {
        let store = Store::open(&dir.path().join(name).join("ao.db"), Options::default()).unwrap();
        let report = store.verify(Depth::Deep).unwrap();
        assert!(report.is_sound(), "{:?}", report.findings);
        assert_log_equals_tables(&store, &raw(store.path()));
        (head(&store), strings(&raw(store.path()), "SELECT group_concat(after) FROM change_log"))
    };
    let (new, old) = (create("new").unwrap(), dir.path().join("old/ao.db"));
    assert_eq!(taken(&new), [2, 3, 1, 2, 2, 0, 2]);
    let names = std::fs::read_dir(dir.path().join("new")).unwrap().map(Result::unwrap);
    let names: BTreeSet<_> = names.map(|it| it.file_name().into_string().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["ao.db", "ballast"].map(str::to_owned)));
    drop(Store::create(&old, Options::default()).unwrap());
    assert_eq!(create("old").unwrap(), new);
    assert_eq!(sound("new"), sound("old"), "both ways write the same");
    for name in ["new", "old"] {
        assert_eq!(code(create(name)), Code::StoreNotEmpty);
    }
}

#[test]
fn an_empty_database_of_ao_leaves_the_store_empty() {
    let (fixture, imported) = import(&[JUNE]);
    assert_eq!((taken(&imported), skipped(&imported)), (vec![0; 7], vec![]));
    assert_eq!(ignored(&imported), ["goose_db_version 2"]);
    assert_eq!(head(&fixture.store).0, 0);
    let path = source(fixture.dir.path(), &[ROWS]);
    let imported = import_upstream(&fixture.store, &path, at(NOW)).unwrap();
    assert_eq!(taken(&imported)[..3], [2, 3, 1]);
}

fn observe(fixture: &Fixture, observation: Observation) -> Applied {
    let applied = fixture.store.write(at(NOW), move |tx| apply_observation(tx, &observation));
    match applied.unwrap().value {
        Outcome::Applied(applied) => applied,
        other => panic!("not applied: {other:?}"),
    }
}

#[test]
fn observations_continue_from_imported_rows() {
    let (fixture, _) = import(&[JUNE, ROWS]);
    let conn = raw(&fixture.path());
    let digests = "SELECT concat_ws(' ', meta_provider_at, last_digest, checks_digest,
        threads_digest, reviews_digest, comments_digest) FROM pr_observed";
    assert_eq!(strings(&conn, digests), [NOON.to_string()]);
    let same = [
        Thread { line: Some(12), ..thread("T1", true) },
        Thread { path: "b.rs".to_owned(), is_bot: true, ..thread("T2", false) },
    ];
    let mut older = threads(NOW, Facet::replace(same.to_vec()));
    older.provider_at = Some(Timestamp(NOON - 1));
    older.facts.title = Some("an old title".to_owned());
    let applied = observe(&fixture, older);
    assert_eq!((applied.threads.unchanged, applied.threads.is_change()), (2, false));
    assert_eq!((applied.is_new, applied.stale.as_slice()), (false, ["metadata"].as_slice()));
    let mut newer = observation(NOW + 1);
    newer.node_id = "PR_7".to_owned();
    newer.provider_at = Some(Timestamp(NOON + 1));
    newer.facts.title = Some("a new title".to_owned());
    assert!(observe(&fixture, newer).is_updated);
    let (pr, threads) = fixture
        .store
        .read(|s| {
            let pr = pr::require(s, &place())?;
            let threads = facet::threads(s, &pr.id)?;
            Ok((pr, threads))
        })
        .unwrap();
    assert_eq!(
        (pr.title.as_str(), pr.node_id.as_str(), threads),
        ("a new title", "PR_7", same.to_vec())
    );
    assert_log_equals_tables(&fixture.store, &conn);
}
