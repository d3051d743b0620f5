//! Helpers of the integration tests: stores with known contents, the stock `sqlite3` shell as the
//! foreign writer, and a replay of the log that is independent of capture.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use ao_store::LogInfo;
use ao_store::log::change::{Change, scan};
use ao_store::observation::{Check, CheckKind, CheckStatus, Comment, Facet, Observation, Thread};
use ao_store::row::project::{self, NewProject};
use ao_store::row::session::{self, NewSession, SessionKind};
use ao_store::verify::Depth;
use ao_store::{
    Applied, Cause, Code, Committed, Error, Options, Outcome, PrRef, Seq, SessionId, Store,
    Timestamp, apply_observation,
};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// The time of everything that a fixture writes.
pub(crate) const T0: i64 = 1_700_000_000_000;

/// The head commit of the fixture's pull request.
pub(crate) const SHA: &str = "5a5a5a";

/// A store in a folder that is deleted with it.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) dir: TempDir,
}

impl Fixture {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("ao.db")
    }
}

pub(crate) fn cause() -> Cause {
    Cause::new("test", Timestamp(T0))
}

pub(crate) fn at(ms: i64) -> Cause {
    Cause::new("test", Timestamp(ms))
}

/// An empty store.
pub(crate) fn empty() -> Fixture {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    copy(BYTES.get_or_init(|| bytes_of(create())))
}

fn create() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default()).unwrap();
    Fixture { store, dir }
}

/// The bytes of the closed database file.
fn bytes_of(fixture: Fixture) -> Vec<u8> {
    let path = fixture.path();
    let Fixture { store, dir: _dir } = fixture;
    drop(store);
    assert!(!wal(&path).exists(), "the last to close it moves everything into the file");
    std::fs::read(path).unwrap()
}

fn copy(bytes: &[u8]) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ao.db");
    std::fs::write(&path, bytes).unwrap();
    Fixture { store: Store::open(&path, Options::default()).unwrap(), dir }
}

pub(crate) fn new_project(id: &str) -> NewProject {
    NewProject {
        id: id.parse().unwrap(),
        path: format!("/src/{id}"),
        name: id.to_owned(),
        origin_url: "https://github.com/octo/hello".to_owned(),
        host: "github.com".to_owned(),
        repo: "octo/hello".to_owned(),
        default_branch: "main".to_owned(),
    }
}

pub(crate) fn new_session(project: &str, kind: SessionKind, branch: &str) -> NewSession {
    NewSession {
        project: project.parse().unwrap(),
        kind,
        harness: String::new(),
        name: String::new(),
        issue: String::new(),
        branch: branch.to_owned(),
    }
}

pub(crate) fn add_session(store: &Store, project: &str, branch: &str) -> SessionId {
    let new = new_session(project, SessionKind::Worker, branch);
    store.write(cause(), move |tx| session::create(tx, &new)).unwrap().value.id
}

/// The location of the fixture's pull request.
pub(crate) fn place() -> PrRef {
    "octo/hello#7".parse().unwrap()
}

/// Project `demo` with the sessions `demo-1` (branch `fix`) and `demo-2` (branch `other`), and the
/// pull request octo/hello#7 of `demo-1` with head [`SHA`] and no facet observed.
pub(crate) fn fixture() -> Fixture {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    copy(BYTES.get_or_init(|| bytes_of(fill(create()))))
}

fn fill(fixture: Fixture) -> Fixture {
    let new = new_project("demo");
    fixture.store.write(cause(), move |tx| project::add(tx, &new)).unwrap();
    add_session(&fixture.store, "demo", "fix");
    add_session(&fixture.store, "demo", "other");
    let mut first = observation(T0);
    first.session = Some("demo-1".parse().unwrap());
    first.node_id = "PR_7".to_owned();
    first.facts.head_sha = Some(SHA.to_owned());
    observe(&fixture.store, &first);
    fixture
}

/// An observation of the fixture's pull request without facts.
pub(crate) fn observation(as_of: i64) -> Observation {
    Observation::new(place(), Timestamp(as_of))
}

pub(crate) fn try_observe(
    store: &Store,
    observation: &Observation,
) -> Result<Committed<Outcome>, Error> {
    let observation = observation.clone();
    store.write(cause(), move |tx| apply_observation(tx, &observation))
}

pub(crate) fn observe(store: &Store, observation: &Observation) -> Committed<Applied> {
    let Committed { value, cursor, changes } = try_observe(store, observation).unwrap();
    match value {
        Outcome::Applied(value) => Committed { value, cursor, changes },
        other => panic!("not applied: {other:?}"),
    }
}

pub(crate) fn thread(id: &str, is_resolved: bool) -> Thread {
    Thread { id: id.to_owned(), path: "a.rs".to_owned(), is_resolved, ..Thread::default() }
}

pub(crate) fn comment(id: &str, body: &str) -> Comment {
    Comment { id: id.to_owned(), body: body.to_owned(), ..Comment::default() }
}

pub(crate) fn check(name: &str, status: CheckStatus) -> Check {
    let (head_sha, name) = (SHA.to_owned(), name.to_owned());
    Check { head_sha, name, kind: CheckKind::Run, status, ..Check::default() }
}

/// An observation of the threads only.
pub(crate) fn threads(as_of: i64, facet: Facet<Thread>) -> Observation {
    Observation { threads: facet, ..observation(as_of) }
}

pub(crate) fn code<T>(result: Result<T, Error>) -> Code {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error.code(),
    }
}

/// Every order of the items.
pub(crate) fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let Some((first, rest)) = items.split_first() else { return vec![Vec::new()] };
    let insert = |order: &Vec<T>, at: usize| {
        let mut order = order.clone();
        order.insert(at, first.clone());
        order
    };
    let rest = permutations(rest);
    rest.iter().flat_map(|order| (0..=order.len()).map(|at| insert(order, at))).collect()
}

/// Every change.
pub(crate) fn changes(store: &Store) -> Vec<Change> {
    changes_after(store, Seq(0))
}

pub(crate) fn changes_after(store: &Store, after: Seq) -> Vec<Change> {
    let mut found = Vec::new();
    store
        .read(|snapshot| {
            scan(snapshot, after, usize::MAX, |change| {
                found.push(change.to_owned()?);
                Ok(())
            })
        })
        .unwrap();
    found
}

/// Identity and bounds of the log.
pub(crate) fn info(store: &Store) -> LogInfo {
    store.read(LogInfo::read).unwrap()
}

/// Every change that was not pruned.
pub(crate) fn kept(store: &Store) -> Vec<Change> {
    changes_after(store, info(store).floor)
}

/// The file, the log and the tables are sound.
pub(crate) fn assert_sound(store: &Store) {
    let report = store.verify(Depth::Deep).unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
}

/// One transaction of `count` changes of a session.
pub(crate) fn rename(store: &Store, id: &str, count: u64, when: i64) {
    try_rename(store, id, count, when).unwrap();
}

pub(crate) fn try_rename(
    store: &Store,
    id: &str,
    count: u64,
    when: i64,
) -> Result<Committed<()>, Error> {
    let id: SessionId = id.parse().unwrap();
    store.write(at(when), move |tx| {
        for i in 0..count {
            session::rename(tx, &id, &format!("{i} of {count} at {when}"))?;
        }
        Ok(())
    })
}

pub(crate) fn head(store: &Store) -> Seq {
    store.read(|snapshot| snapshot.head()).unwrap().seq
}

/// The types of the changes that `work` made.
pub(crate) fn kinds_of(store: &Store, work: impl FnOnce()) -> Vec<String> {
    let before = head(store);
    work();
    changes_after(store, before).into_iter().map(|change| change.kind().to_owned()).collect()
}

/// A connection like that of another program.
pub(crate) fn raw(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    conn
}

pub(crate) const SHELL: &str = "/usr/bin/sqlite3";

/// Prints why a test is skipped when there is no stock shell.
pub(crate) fn has_shell() -> bool {
    let found = Path::new(SHELL).exists();
    if !found {
        println!("skipped: {SHELL} is missing");
    }
    found
}

/// Runs a script in the stock shell, which continues after an error; returns the text of errors.
pub(crate) fn try_shell(path: &Path, script: &str) -> Result<String, String> {
    let args = ["-batch", "-cmd", ".timeout 20000"];
    let output = Command::new(SHELL).args(args).arg(path).arg(script).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    if output.stderr.is_empty() && output.status.success() {
        return Ok(text(output.stdout));
    }
    Err(text(output.stderr))
}

/// Feeds a script to the stock shell, which must succeed.
pub(crate) fn shell(path: &Path, script: &str) -> String {
    use std::io::Write;
    let mut child = Command::new(SHELL)
        .args(["-bail", "-batch"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = format!(".timeout 20000\n{script}\n");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{script}\n{error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Every row of every captured table: (table, key) to the row.
pub(crate) type Rows = BTreeMap<(String, String), Value>;

/// The tables that have a capture view.
pub(crate) fn captured_tables(conn: &Connection) -> Vec<String> {
    let sql = "SELECT substr(name, 9) FROM sqlite_schema
        WHERE type = 'view' AND name LIKE 'capture!_%' ESCAPE '!' ORDER BY name";
    strings(conn, sql)
}

pub(crate) fn strings(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

pub(crate) fn number(conn: &Connection, sql: &str) -> i64 {
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The names of a table's columns, and those of its primary key in order.
pub(crate) fn columns(conn: &Connection, table: &str) -> (Vec<String>, Vec<String>) {
    let all = strings(conn, &format!("SELECT name FROM pragma_table_info('{table}')"));
    let sql = format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk");
    (all, strings(conn, &sql))
}

/// Reads the live rows through `SELECT *` alone.
pub(crate) fn live_rows(conn: &Connection) -> Rows {
    let mut rows = Rows::new();
    for table in captured_tables(conn) {
        let (names, key) = columns(conn, &table);
        let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let mut found = statement.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let mut image = Map::new();
            for (i, name) in names.iter().enumerate() {
                image.insert(name.clone(), as_json(name, row.get_ref(i).unwrap()));
            }
            let key: Vec<_> = key.iter().map(|name| image[name].clone()).collect();
            rows.insert((table.clone(), Value::Array(key).to_string()), Value::Object(image));
        }
    }
    rows
}

fn as_json(name: &str, value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) if name.starts_with("is_") => json!(number != 0),
        ValueRef::Integer(number) => json!(number),
        ValueRef::Text(text) => json!(std::str::from_utf8(text).unwrap()),
        other => panic!("{name} holds {other:?}"),
    }
}

/// Replays the log from nothing and checks each step.
pub(crate) fn replay(changes: &[Change]) -> Rows {
    let mut rows = Rows::new();
    for (i, change) in changes.iter().enumerate() {
        assert_eq!(change.seq, Seq(i as i64 + 1), "the log is dense from 1");
        let parse = |text: Option<&str>| -> Option<Value> {
            text.map(|text| serde_json::from_str(text).unwrap())
        };
        let (before, after) = (parse(change.before()), parse(change.after()));
        let key: Value = serde_json::from_str(change.key()).unwrap();
        let place = (change.entity().to_owned(), key.to_string());
        assert_eq!(rows.get(&place), before.as_ref(), "before of {change:?}");
        let shape = (change.op(), before.is_some(), after.is_some());
        let sound = [("insert", false, true), ("update", true, true), ("delete", true, false)];
        assert!(sound.contains(&shape) && before != after, "{change:?}");
        match after {
            Some(after) => rows.insert(place, after),
            None => rows.remove(&place),
        };
    }
    rows
}

/// The log replayed from nothing gives the live rows; `at` never decreases along it.
pub(crate) fn assert_log_equals_tables(store: &Store, conn: &Connection) {
    let changes = changes(store);
    let replayed = replay(&changes);
    let live = live_rows(conn);
    let keys: BTreeSet<_> = replayed.keys().chain(live.keys()).collect();
    for key in keys {
        assert_eq!(replayed.get(key), live.get(key), "replayed and live differ at {key:?}");
    }
    for pair in changes.windows(2) {
        assert!(pair[0].at <= pair[1].at, "at decreases: {pair:?}");
    }
}

/// The file of the write-ahead log.
pub(crate) fn wal(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

/// Runs `work` while a reader pins the write-ahead log, which must then be the same byte for byte.
pub(crate) fn assert_writes_nothing(path: &Path, work: impl FnOnce()) {
    let pin = raw(path);
    pin.execute_batch("BEGIN; SELECT count(*) FROM change_log;").unwrap();
    let before = std::fs::read(wal(path)).unwrap_or_default();
    work();
    let after = std::fs::read(wal(path)).unwrap_or_default();
    // An idle writer may have truncated the whole file; it never shortens it otherwise.
    assert!(after.is_empty() || before == after, "the write-ahead log was written");
}

/// A number of repetitions from the environment.
pub(crate) fn from_env(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A child process that runs one test of this binary with `AO_CHILD` set to `argument`.
pub(crate) fn child(test: &str, argument: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("AO_CHILD", argument);
    command
}

/// The argument of a child; `None` in an ordinary run, where such a test returns at once.
pub(crate) fn child_argument() -> Option<String> {
    std::env::var("AO_CHILD").ok()
}
