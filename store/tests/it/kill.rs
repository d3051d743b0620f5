//! A writer that is killed at any instant: every acknowledged write is stored with its change, and
//! no transaction is stored in part (`AO_KILLS` sets the number of kills, `AO_SEED` the times).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ao_store::row::session::{self, SessionKind};
use ao_store::{Cause, Options, Store, Timestamp};
use rusqlite::Connection;

use crate::support::{
    Fixture, assert_log_equals_tables, changes_after, child, child_argument, fixture, from_env,
    head, new_session, raw,
};

/// Random numbers of a seed: xorshift64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What a child does: sessions, each named in the transaction that makes it, until it is killed.
#[test]
fn a_child_writes_until_it_is_killed() {
    let Some(path) = child_argument() else { return };
    let store = Store::open(Path::new(&path), Options::default()).unwrap();
    println!("\nready");
    // It ends by itself should its parent be gone.
    for i in 0..5_000 {
        let new = new_session("demo", SessionKind::Worker, "");
        let done = store.write(Cause::new("child", Timestamp::now()), move |tx| {
            let made = session::create(tx, &new)?;
            session::rename(tx, &made.id, &format!("named {i}"))
        });
        println!("acknowledged {}", done.unwrap().value.id);
    }
}

/// Starts a child, kills it some time after its first word, and returns what it acknowledged.
fn kill_one(path: &Path, after: Duration) -> Vec<String> {
    let mut child = child("kill::a_child_writes_until_it_is_killed", path.to_str().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "ready"), "the child did not come up");
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    let lines: Vec<_> = lines.collect();
    lines.iter().filter_map(|line| line.strip_prefix("acknowledged ")).map(str::to_owned).collect()
}

fn assert_sound(conn: &Connection) {
    let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_killed_writer_loses_no_acknowledged_write() {
    let (kills, seed) = (from_env("AO_KILLS", 200), u64::from(from_env("AO_SEED", 20_261_121)));
    println!("AO_SEED={seed} AO_KILLS={kills}");
    let mut random = Random(seed.max(1));
    let Fixture { store, dir } = fixture();
    drop(store);
    let path = dir.path().join("ao.db");
    let mut total = 0;
    for round in 0..kills {
        let start = head(&Store::open(&path, Options::default()).unwrap());
        let after = Duration::from_micros(2_000 + random.below(30_000));
        let acknowledged = kill_one(&path, after);
        let store = Store::open(&path, Options::default()).unwrap();
        let made = changes_after(&store, start);
        assert_eq!(made.len() % 2, 0, "half a transaction is there");
        let created: Vec<_> = made
            .iter()
            .filter(|c| c.kind() == "session_created")
            .map(|c| c.session().unwrap().to_owned())
            .collect();
        assert!(created.starts_with(&acknowledged), "round {round}: {acknowledged:?} {created:?}");
        assert!(created.len() - acknowledged.len() <= 1, "one write at a time was under way");
        for id in &created {
            let id = id.parse().unwrap();
            let session = store.read(|snapshot| session::require(snapshot, &id)).unwrap();
            assert!(session.name.starts_with("named"), "{session:?}");
        }
        total += acknowledged.len();
        if round % 20 == 0 {
            assert_sound(&raw(&path));
        }
    }
    println!("{total} acknowledged");
    assert!(total > 0);
    let (store, conn) = (Store::open(&path, Options::default()).unwrap(), raw(&path));
    assert_sound(&conn);
    assert_log_equals_tables(&store, &conn);
}
