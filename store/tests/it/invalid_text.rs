//! A text that is not UTF-8, or contains a NUL, as a foreign writer may store it in any column, makes
//! nothing unreadable: it harms the one field, and the next write of the field repairs it.

use std::fmt::Debug;

use ao_store::log::as_of::{self, ENTITIES};
use ao_store::log::{change, consumer, reservation, retention};
use ao_store::observation::Facet;
use ao_store::row::lifecycle::{cleanup, instance, machine, operation, spawn};
use ao_store::row::{
    account, decision, delivery, facet, launch, pr, project, scm, session, shared_branch,
};
use ao_store::status;
use ao_store::turn::{self, conversation::Caller};
use ao_store::verify::Depth;
use ao_store::{Error, LogInfo, Options, Snapshot, Store, Timestamp, last_backup};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::support::{T0, comment, observation, observe, raw, rename, strings};
use crate::transfer::rich;

const ROWS_OF_OBSERVERS: &str = "
    INSERT INTO scm_host (host, source, login, reason, address, failure, updated_at)
    VALUES ('github.com', 'gh', 'dev', 'x', 'x', 'x', 1);
    INSERT INTO scm_repo (host, repo, name, node_id) VALUES ('github.com', 'octo/hello', 'x', 'x');
    INSERT INTO scm_refresh_request VALUES ('github.com', 'octo/hello', 7, 1);
    INSERT INTO scm_skipped_pr VALUES ('github.com', 'octo/hello', 8, 1, 'demo-1', 'x', 'x', 'x');
    INSERT INTO webhook_delivery VALUES ('d-1', 1);
    INSERT INTO reservation (seq, holder, until) VALUES (20, 'x', 9000000000000);
    INSERT OR IGNORE INTO pr_poll (pr_id) SELECT id FROM pr;
    INSERT INTO pr_check_log SELECT pr_id, '10', 'x' FROM pr_check_log;
    UPDATE log_meta SET relaxed_boot = '';";

const ROWS_OF_LIFECYCLES: &str = "
    INSERT INTO launch (id, session_id, project_id, num, kind, instance, boot_id, created_at)
    VALUES ('l1', 'demo-1', 'demo', 1, 'fresh', 'i1', 'x', 1);
    INSERT INTO launch_output VALUES ('l1', 'x');
    INSERT INTO decision (id, session_id, project_id, launch_id, kind, tool, call, text, options, source,
        requested_at)
    VALUES ('l1.1', 'demo-1', 'demo', 'l1', 'permission', 'x', 'x', 'x', '[]', 'hook', 1);
    INSERT INTO delivery (id, session_id, project_id, key, sender, bytes, digest, stage, accepted_at)
    VALUES ('m1', 'demo-1', 'demo', 'k', '', 1, 'd', 'accepted', 1);
    INSERT INTO delivery_text VALUES ('m1', 'x');
    INSERT INTO account_limit VALUES ('a', 'demo-1', 'x', 1, NULL);
    INSERT INTO instance VALUES ('i1', 'x', 'x', 'x', 1);
    INSERT INTO session_start VALUES ('demo-1', 'x', '[]', 1);
    INSERT INTO session_operation (session_id, verb, instance, started_at)
    VALUES ('demo-1', 'kill', 'i1', 1);
    INSERT INTO session_cleanup VALUES ('demo-1', 'kept', 'x', 'kept', 'x', 'x', 1);
    INSERT INTO session_machine VALUES (1, 'x', 1);";

const ROWS_OF_TURNS: &str = "
    INSERT INTO org (id, created_at) VALUES ('o', 1);
    INSERT INTO agent VALUES ('o', 'a', 'x', NULL, 1);
    INSERT INTO agent_member VALUES ('o', 'a', 'p', 'u');
    INSERT INTO conversation (id, org_id, agent_id, platform, user_id, thread, created_at)
    VALUES ('c', 'o', 'a', 'p', 'u', '', 1);
    INSERT INTO turn (id, conversation_id, org_id, agent_id, num, key, input_bytes, input_digest,
        accepted_at, state) VALUES ('t', 'c', 'o', 'a', 1, 'k', 1, 'd', 1, 'queued');
    INSERT INTO turn_input VALUES ('t', 'x');
    INSERT INTO turn_clock (turn_id, org_id, agent_id, ready_at, patience_ms) VALUES ('t', 'o', 'a', 1, 1);
    INSERT INTO turn_refused_completion VALUES ('t', 'd', 'x', 1);
    INSERT INTO conversation_event VALUES ('c', 1, 't', 'delta', 'x', '', 'x', 1);
    INSERT INTO conversation_snapshot VALUES ('c', 1, 't', 1, 'd', 'x', 1);";

/// Appends bytes to the text of a column, past every trigger and constraint if need be.
fn damage(conn: &Connection, table: &str, column: &str, bytes: &str) {
    let sql = format!(
        "UPDATE {table} SET {column} = CAST(coalesce(CAST({column} AS BLOB), x'') || x'{bytes}' AS TEXT)"
    );
    if conn.execute_batch(&sql).is_err() {
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
            .unwrap();
        conn.execute_batch(&sql).unwrap();
    }
}

/// Everything that lists or shows something.
fn read_all(snapshot: &Snapshot<'_>, now: Timestamp) -> Result<(), Error> {
    let info = LogInfo::read(snapshot)?;
    for found in project::list(snapshot, true)? {
        project::get(snapshot, &found.id)?;
        project::at_path(snapshot, &found.path)?;
        project::of_repo(snapshot, &found.host, &found.repo)?;
    }
    for found in session::list(snapshot, &session::Filter::default())? {
        session::get(snapshot, &found.id)?;
        session::as_of(snapshot, &found.id, info.cursor(info.floor))?;
        spawn::start(snapshot, &found.id)?;
        cleanup::get(snapshot, &found.id)?;
        for begun in launch::of_session(snapshot, &found.id)? {
            launch::output(snapshot, &begun.id)?;
            instance::get(snapshot, &begun.instance)?;
        }
    }
    launch::all(snapshot)?;
    for running in operation::list(snapshot)? {
        running.is_abandoned(snapshot)?;
    }
    machine::is_confirmed(snapshot, "m")?;
    shared_branch::all(snapshot)?;
    let mut prs = pr::list(snapshot, &pr::Filter::default())?;
    assert!(!prs.is_empty());
    prs.extend(pr::list_as_of(snapshot, info.cursor(info.floor))?);
    for found in prs {
        pr::by_node(snapshot, &found.node_id)?;
        pr::with_head(snapshot, &found.host, &found.repo, &found.head_sha)?;
        pr::freshness(snapshot, &found.id)?;
        for check in facet::checks(snapshot, &found.id)? {
            facet::log_tail(snapshot, &found.id, &check.external_id)?;
        }
        facet::threads(snapshot, &found.id)?;
        facet::reviews(snapshot, &found.id)?;
        facet::comments(snapshot, &found.id)?;
        facet::failed_without_log(snapshot, &found.id)?;
        facet::as_of(snapshot, &found.id, info.cursor(info.floor))?;
        scm::poll(snapshot, &found.id)?;
    }
    for host in scm::hosts(snapshot)? {
        scm::host(snapshot, &host.host)?;
    }
    scm::repos(snapshot, "github.com")?;
    scm::polls(snapshot, "github.com")?;
    scm::problems(snapshot)?;
    scm::unread(snapshot)?;
    scm::skipped_prs(snapshot, None)?;
    scm::refresh_requests(snapshot, "github.com")?;
    scm::subjects(snapshot, "github.com", Timestamp(0))?;
    consumer::list(snapshot)?;
    assert!(consumer::require(snapshot, &"nobody".parse()?).is_err());
    reservation::list(snapshot, now)?;
    retention::plan(snapshot, &retention::rules(snapshot)?, now)?;
    last_backup(snapshot)?;
    decision::list(snapshot)?;
    delivery::all(snapshot)?;
    delivery::text_of(snapshot, "m1")?;
    account::limits(snapshot)?;
    turns(snapshot)?;
    change::scan(snapshot, info.floor, 10_000, |change| change.to_owned().map(|_| ()))?;
    pages(snapshot)?;
    snapshots(snapshot, &info)
}

fn turns(snapshot: &Snapshot<'_>) -> Result<(), Error> {
    turn::org::list(snapshot)?;
    for agent in turn::agent::list(snapshot, None)? {
        turn::agent::get(snapshot, &agent.org, &agent.id)?;
        turn::agent::members(snapshot, &agent.org, &agent.id)?;
        turn::claim::is_ready(snapshot, &agent.org, &agent.id)?;
    }
    for found in turn::conversation::page(snapshot, &Caller::Operator, ("", 9), |_| true)? {
        turn::of_conversation(snapshot, &found.id)?;
        turn::event::after(snapshot, &found.id, 0, 9)?;
    }
    for found in turn::list(snapshot, None, 9, |_| true)? {
        turn::input_of(snapshot, &found.id)?;
        let _ = turn::usage::Usage::parse(&found.usage);
        turn::finish::refused(snapshot, &found.id)?;
        turn::event::last_of(snapshot, &found.id)?;
    }
    Ok(())
}

/// Every list of which there are pages, one row by one.
fn pages(snapshot: &Snapshot<'_>) -> Result<(), Error> {
    let (any, any_pr) =
        (session::Filter { project: None, terminated: true }, pr::Filter::default());
    walk((String::new(), 0), |(project, num)| {
        let page = status::page(snapshot, &any, (project, *num), 1, |_, _| true)?;
        Ok(page.into_iter().map(|(it, _)| (it.project.to_string(), it.num)).collect())
    })?;
    walk(String::new(), |after| {
        let page = pr::page(snapshot, &any_pr, after, 1, |_| true)?;
        Ok(page.into_iter().map(|it| it.id.to_string()).collect())
    })?;
    walk(String::new(), |after| {
        let page = delivery::page(snapshot, None, after, 1)?;
        Ok(page.into_iter().map(|it| it.id).collect())
    })?;
    walk(String::new(), |after| {
        let page = decision::page(snapshot, after, 1)?;
        Ok(page.into_iter().map(|it| it.session.to_string()).collect())
    })
}

fn walk<K: Ord + Debug>(
    mut key: K,
    read: impl Fn(&K) -> Result<Vec<K>, Error>,
) -> Result<(), Error> {
    while let Some(next) = read(&key)?.pop() {
        assert!(next > key, "the walk does not end: {next:?} is after {key:?}");
        key = next;
    }
    Ok(())
}

/// The rows of every entity, one by one, at both ends of the log.
fn snapshots(snapshot: &Snapshot<'_>, info: &LogInfo) -> Result<(), Error> {
    for entity in ENTITIES {
        for cursor in [info.cursor(info.floor), info.head_cursor()] {
            let (mut after, mut chunks) = (None, 0);
            loop {
                let chunk = as_of::chunk(snapshot, entity, cursor, after.as_deref(), 1)?;
                chunks += 1;
                assert!(chunks < 100, "{entity}: the snapshot does not end");
                let Some(next) = chunk.next else { break };
                assert!(as_of::is_key(snapshot, entity, &next)?);
                after = Some(next);
            }
            as_of::with_prefix(snapshot, entity, cursor, "demo")?;
        }
    }
    Ok(())
}

#[test]
fn no_text_in_any_column_makes_anything_unreadable() {
    let fixture = rich(10);
    let path = fixture.path();
    raw(&path).execute_batch(ROWS_OF_OBSERVERS).unwrap();
    raw(&path).execute_batch(ROWS_OF_LIFECYCLES).unwrap();
    raw(&path).execute_batch(ROWS_OF_TURNS).unwrap();
    drop(fixture.store);
    raw(&path).execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let columns = "SELECT m.name || ' ' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c
        WHERE m.type = 'table' AND c.type = 'TEXT' AND m.name NOT IN
        ('refinery_schema_history', 'change_log', 'capture_displaced')";
    let columns = strings(&raw(&path), columns);
    assert!(columns.len() > 100, "{}", columns.len());
    let now = Timestamp(T0);
    for (place, suffix) in columns.iter().flat_map(|place| [(place, "ff"), (place, "0061")]) {
        let (table, column) = place.split_once(' ').unwrap();
        let other = fixture.dir.path().join("other.db");
        std::fs::write(&other, &bytes).unwrap();
        damage(&raw(&other), table, column, suffix);
        let store = Store::open(&other, Options::default()).unwrap();
        let read = store.read(|snapshot| read_all(snapshot, now));
        read.unwrap_or_else(|error| panic!("{place} {suffix}: {error:?}"));
        store.stats(now).unwrap_or_else(|error| panic!("{place} {suffix}: {error:?}"));
        let report = store.verify(Depth::Deep);
        let report = report.unwrap_or_else(|error| panic!("{place} {suffix}: {error:?}"));
        let start = format!("{column} of the row ");
        let end = format!(" of {table} is not UTF-8");
        let mut named = report.warnings.iter().map(|warning| &warning.message);
        let is_named = named.any(|it| it.starts_with(&start) && it.contains(&end));
        assert!(is_named || suffix != "ff", "{place}: {:?}", report.warnings);
        std::fs::remove_file(&other).unwrap();
    }
}

#[test]
fn the_next_observation_repairs_a_field_and_a_key_that_are_not_utf8() {
    let fixture = rich(10);
    let (store, other) = (&fixture.store, raw(&fixture.path()));
    other.execute_batch("UPDATE pr SET title = CAST(x'636166e9' AS TEXT)").unwrap();
    other
        .execute_batch(
            "INSERT INTO pr_comment SELECT pr_id, CAST(x'43ff' AS TEXT), kind, thread_id, reply_to,
            author, is_bot, path, line, body, url, is_minimized, created_at, edited_at
            FROM pr_comment WHERE id = 'C1'",
        )
        .unwrap();
    let title = |store: &Store| {
        store.read(|s| pr::list(s, &pr::Filter::default())).unwrap().remove(0).title
    };
    assert_eq!(title(store), "caf\u{fffd}");
    let mut seen = observation(T0 + 1_000);
    seen.facts.title = Some("caf\u{e9}".to_owned());
    seen.comments = Facet::replace(vec![comment("C1", "plain")]);
    observe(store, &seen);
    assert_eq!(title(store), "caf\u{e9}");
    assert_eq!(strings(&other, "SELECT id || body FROM pr_comment"), ["C1plain"]);
    assert_eq!(observe(store, &seen).changes, 0, "nothing is left to change");
    rename(store, "demo-1", 1, T0 + 2_000);
    let sound = store.verify(Depth::Deep).unwrap();
    assert!(sound.is_sound(), "{:?}", sound.findings);
}
