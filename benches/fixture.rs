//! Stores with pull requests and review threads, created through the public API.
#![expect(clippy::expect_used, reason = "a bench without its fixture has nothing to measure")]

use std::path::PathBuf;
use std::sync::Arc;

use ao_store::observation::{Facet, Observation, PrState, Thread};
use ao_store::row::project::{self, NewProject};
use ao_store::row::session::{self, NewSession, SessionKind};
use ao_store::{Cause, Durability, Options, PrRef, SessionId, Store, Timestamp, apply_observation};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tempfile::TempDir;

/// The time of every observation: always the same, so that age alone makes no difference.
pub const AS_OF: Timestamp = Timestamp(1_800_000_000_000);

/// Pull requests stored per write while a fixture is created.
const CHUNK: usize = 100;

/// A store in a directory of its own.
pub struct Fixture {
    /// The store.
    pub store: Store,
    /// The database file.
    pub path: PathBuf,
    dir: TempDir,
}

/// The contents of a store.
#[derive(Debug, Clone, Copy)]
pub struct NewFixture {
    /// When a commit counts as durable.
    pub durability: Durability,
    /// Sessions.
    pub sessions: usize,
    /// Pull requests, all of the first session.
    pub prs: usize,
    /// Review threads of each.
    pub threads: usize,
}

impl Default for NewFixture {
    /// 1,000 pull requests of 20 threads; commits do not wait for the disk, which is noise where
    /// CPU time is measured.
    fn default() -> Self {
        NewFixture { durability: Durability::Relaxed, sessions: 1, prs: 1000, threads: 20 }
    }
}

impl NewFixture {
    /// Creates the store in a temporary directory.
    #[must_use]
    pub fn create(self) -> Fixture {
        let dir = tempfile::tempdir().expect("create a directory");
        let path = dir.path().join("ao.db");
        let options = Options { durability: self.durability, ..Options::default() };
        let (store, _) = Store::create(&path, options).expect("create a store");
        let sessions = self.sessions;
        store.write(cause(), move |tx| add_sessions(tx, sessions)).expect("add sessions");
        let prs: Vec<_> = (0..self.prs).collect();
        for chunk in prs.chunks(CHUNK) {
            let observations =
                chunk.iter().map(|pr| observation(*pr, threads(*pr, self.threads, 0)));
            apply_all(&store, &observations.collect::<Vec<_>>().into());
        }
        Fixture { store, path, dir }
    }

    /// Creates the store, and changes every thread this often, so that the log has updates.
    #[must_use]
    pub fn create_changed(self, passes: i64) -> Fixture {
        let fixture = self.create();
        for variant in 1..=passes {
            let seen = |pr| observation(pr, threads(pr, self.threads, variant));
            apply_all(&fixture.store, &(0..self.prs).map(seen).collect::<Vec<_>>().into());
        }
        fixture
    }
}

fn add_sessions(tx: &ao_store::Tx<'_>, count: usize) -> ao_store::Result<()> {
    let new = NewProject {
        id: "demo".parse()?,
        path: "/src/demo".to_owned(),
        name: "demo".to_owned(),
        origin_url: "https://github.com/acme/demo".to_owned(),
        host: "github.com".to_owned(),
        repo: "acme/demo".to_owned(),
        default_branch: "main".to_owned(),
    };
    let project = project::add(tx, &new)?.id;
    for number in 1..=count {
        let new = NewSession {
            project: project.clone(),
            kind: SessionKind::Worker,
            harness: "codex".to_owned(),
            name: String::new(),
            issue: String::new(),
            branch: format!("session/demo-{number}"),
        };
        session::create(tx, &new)?;
    }
    Ok(())
}

impl Fixture {
    /// A bare connection with the settings of the store's own connections.
    #[must_use]
    pub fn raw(&self) -> Connection {
        raw(&self.path, "NORMAL")
    }

    /// The same with commits that wait for the disk.
    #[must_use]
    pub fn raw_durable(&self) -> Connection {
        raw(&self.path, "FULL")
    }

    /// Closes the store, so that only a bare connection works on the file.
    #[must_use]
    pub fn into_raw(self) -> (Connection, TempDir) {
        let conn = self.raw();
        drop(self.store);
        (conn, self.dir)
    }
}

fn raw(path: &PathBuf, synchronous: &str) -> Connection {
    let conn = Connection::open(path).expect("open the database");
    conn.set_prepared_statement_cache_capacity(64);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).expect("configure");
    conn.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous};
         PRAGMA foreign_keys = ON;
         PRAGMA recursive_triggers = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16000;
         PRAGMA wal_autocheckpoint = 0;"
    ))
    .expect("set pragmas");
    conn
}

/// The cause of every write.
#[must_use]
pub fn cause() -> Cause {
    Cause::new("bench", AS_OF)
}

/// The id of a session, counted from 1.
#[must_use]
pub fn session_of(number: usize) -> SessionId {
    format!("demo-{number}").parse().expect("a session id")
}

/// Threads of a pull request. Each variant differs from every other in all of them.
#[must_use]
pub fn threads(pr: usize, count: usize, variant: i64) -> Vec<Thread> {
    let thread = |i: usize| Thread {
        id: format!("PRRT_kwDOLx{pr:05}Xz5{i:04}"),
        path: format!("crates/service/src/handlers/part_{i:03}.rs"),
        line: Some(100 + i as i64),
        original_line: Some(90 + i as i64),
        side: "RIGHT".to_owned(),
        is_resolved: false,
        is_outdated: false,
        is_bot: i.is_multiple_of(4),
        resolved_by: String::new(),
        comments_total: Some(variant),
    };
    (0..count).map(thread).collect()
}

/// A complete observation of a pull request: its metadata, which never changes, and its threads.
#[must_use]
pub fn observation(pr: usize, threads: Vec<Thread>) -> Observation {
    let place = PrRef::new("github.com", "acme/demo", 1 + pr as i64).expect("a place");
    let mut seen = Observation::new(place, AS_OF);
    seen.node_id = format!("PR_kwDOLx{pr:05}");
    seen.session = Some(session_of(1));
    seen.provider_at = Some(AS_OF);
    seen.facts.title = Some(format!("Make part {pr} of the service faster"));
    seen.facts.author = Some("octocat".to_owned());
    seen.facts.state = Some(PrState::Open);
    seen.facts.head_ref = Some("session/demo-1".to_owned());
    seen.facts.head_sha = Some(format!("{pr:040x}"));
    seen.facts.base_ref = Some("main".to_owned());
    seen.facts.additions = Some(120);
    seen.facts.deletions = Some(30);
    seen.facts.changed_files = Some(7);
    seen.threads = Facet::replace(threads);
    seen
}

/// Applies observations in one write and returns the number of changes.
pub fn apply_all(store: &Store, observations: &Arc<[Observation]>) -> u64 {
    let observations = Arc::clone(observations);
    let written = store.write(cause(), move |tx| {
        observations.iter().try_for_each(|seen| apply_observation(tx, seen).map(|_| ()))
    });
    written.expect("apply observations").changes
}

/// Opens the change context as the store does before its first change of a transaction.
pub fn open_context(conn: &Connection) {
    let sql = "UPDATE change_context SET
        tx = 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change_log'), 0),
        at = max(at, ?1), actor = ?2";
    conn.prepare_cached(sql)
        .and_then(|mut statement| statement.execute((AS_OF.0, "bench")))
        .expect("open the change context");
}

/// Closes the change context as the store does before it commits.
pub fn close_context(conn: &Connection) {
    let sql = "UPDATE change_context SET tx = NULL, actor = NULL WHERE tx IS NOT NULL";
    conn.prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .expect("close the change context");
}
