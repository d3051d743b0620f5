//! Pages of lists: whatever is created, changed or deleted between two pages, no row that is there through the
//! whole walk is skipped, none is doubled, and the order is that of the keys (`AO_CASES` sets the number of
//! cases).

use std::fmt::Debug;

use ao_store::observation::Ci;
use ao_store::row::{decision, delivery, launch, pr, session};
use ao_store::status::{self, Status};
use ao_store::{ProjectId, Result, SessionId, Snapshot, Store};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use rusqlite::Connection;

use crate::support::{Fixture, add_session, cause, empty, from_env, new_project, raw};

/// A session with its rows.
#[derive(Debug, Clone)]
struct One {
    project: &'static str,
    activity: &'static str,
    is_terminated: bool,
    launches: u32,
    prs: Vec<&'static str>,
    deliveries: u32,
    has_decision: bool,
}

/// What happens between two pages.
#[derive(Debug, Clone)]
enum Step {
    Add(One),
    Terminate(Index),
    Delete(Index),
}

fn one() -> impl Strategy<Value = One> {
    (
        select(vec!["a", "a-b", "b"]),
        select(vec!["idle", "active", "unknown"]),
        prop::bool::weighted(0.3),
        0..4_u32,
        prop::collection::vec(select(vec!["passing", "failing"]), 0..4),
        0..4_u32,
        any::<bool>(),
    )
        .prop_map(
            |(project, activity, is_terminated, launches, prs, deliveries, has_decision)| One {
                project,
                activity,
                is_terminated,
                launches,
                prs,
                deliveries,
                has_decision: has_decision && launches > 0,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        one().prop_map(Step::Add),
        any::<Index>().prop_map(Step::Terminate),
        any::<Index>().prop_map(Step::Delete),
    ]
}

/// A store, and a connection for what no API does directly.
struct World {
    store: Store,
    conn: Connection,
    /// Rows that were made, for ids in no order.
    made: u32,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let Fixture { store, dir } = empty();
        for id in ["a", "a-b", "b"] {
            let new = new_project(id);
            store.write(cause(), move |tx| ao_store::row::project::add(tx, &new)).unwrap();
        }
        let conn = raw(&dir.path().join("ao.db"));
        conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON").unwrap();
        World { store, conn, made: 0, _dir: dir }
    }

    fn id(&mut self) -> u32 {
        self.made += 1;
        self.made * 389 % 1_000_003
    }

    fn add(&mut self, new: &One) {
        let id = add_session(&self.store, new.project, "");
        let sql =
            "UPDATE session SET activity = ?2, is_terminated = ?3, launch_id = ?4 WHERE id = ?1";
        let newest = format!("l{id}.{}", new.launches);
        self.conn.execute(sql, (id.as_str(), new.activity, new.is_terminated, newest)).unwrap();
        for num in 1..=new.launches {
            let sql = "INSERT INTO launch
                (id, session_id, project_id, num, kind, instance, boot_id, created_at)
                VALUES (?1, ?2, ?3, ?4, 'fresh', 'i', 'b', 1)";
            let launch = format!("l{id}.{num}");
            self.conn.execute(sql, (launch, id.as_str(), new.project, num)).unwrap();
        }
        if new.has_decision {
            let sql =
                "INSERT INTO decision (id, session_id, project_id, launch_id, kind, tool, call,
                text, options, source, requested_at)
                VALUES (?1, ?2, ?3, ?4, 'permission', '', '', '', '[]', 'hook', 1)";
            let launch = format!("l{id}.1");
            let decision = format!("{:06}", self.id());
            self.conn.execute(sql, (decision, id.as_str(), new.project, launch)).unwrap();
        }
        for ci in &new.prs {
            let number = self.id();
            let sql =
                "INSERT INTO pr (id, session_id, project_id, host, repo, number, url, state, ci,
                created_at, updated_at)
                VALUES (?1, ?2, ?3, 'github.com', 'octo/hello', ?4, 'u', 'open', ?5, 1, 1)";
            let pr = format!("github.com/octo/hello#{number}");
            self.conn.execute(sql, (pr, id.as_str(), new.project, number, ci)).unwrap();
        }
        for _ in 0..new.deliveries {
            let key = format!("{:06}", self.id());
            let sql = "INSERT INTO delivery
                (id, session_id, project_id, key, sender, bytes, digest, stage, accepted_at)
                VALUES (?1, ?2, ?3, ?1, '', 1, 'd', 'finished', 1)";
            self.conn.execute(sql, (key, id.as_str(), new.project)).unwrap();
        }
    }

    fn take(&mut self, step: &Step) {
        let all = session::Filter { project: None, terminated: true };
        let sessions = self.store.read(|snapshot| session::list(snapshot, &all)).unwrap();
        let pick = |index: &Index| (!sessions.is_empty()).then(|| index.get(&sessions).id.clone());
        match step {
            Step::Add(new) => self.add(new),
            Step::Terminate(index) => {
                let sql = "UPDATE session SET is_terminated = 1 WHERE id = ?1";
                pick(index).map(|id| self.conn.execute(sql, [id.as_str()]).unwrap());
            }
            Step::Delete(index) => {
                let Some(id) = pick(index) else { return };
                for table in ["decision", "delivery", "pr", "launch"] {
                    let sql = format!("DELETE FROM {table} WHERE session_id = ?1");
                    self.conn.execute(&sql, [id.as_str()]).unwrap();
                }
                self.conn.execute("DELETE FROM session WHERE id = ?1", [id.as_str()]).unwrap();
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> T {
        self.store.read(read).unwrap()
    }
}

/// Reads the keys of the rows after one, as many as these at most.
type Page<'a, K> = &'a dyn Fn(&Snapshot<'_>, Option<&K>, usize) -> Result<Vec<K>>;

/// One list: all of its keys, and the keys of a page.
struct List<'a, K> {
    all: &'a dyn Fn(&Snapshot<'_>) -> Result<Vec<K>>,
    page: Page<'a, K>,
}

impl<K: Ord + Clone + Debug> List<'_, K> {
    fn check(&self, world: &mut World, steps: &[Step]) {
        for size in [1, 2, 7] {
            let whole = world.read(self.all);
            assert!(whole.is_sorted());
            assert_eq!(self.walk(world, size, &[]), whole, "pages of {size}");
            let before = whole;
            let walked = self.walk(world, size, steps);
            assert!(walked.is_sorted_by(|a, b| a < b), "{walked:?}");
            let after = world.read(self.all);
            for key in before.iter().filter(|key| after.contains(key)) {
                assert!(walked.contains(key), "pages of {size}: {key:?} is not in {walked:?}");
            }
        }
    }

    /// Reads all pages, with a step after each of the first ones.
    fn walk(&self, world: &mut World, size: usize, steps: &[Step]) -> Vec<K> {
        let (mut walked, mut steps) = (Vec::new(), steps.iter());
        for _ in 0..1000 {
            let page = world.read(|snapshot| (self.page)(snapshot, walked.last(), size));
            assert!(page.len() <= size);
            let is_last = page.len() < size;
            walked.extend(page);
            if is_last {
                return walked;
            }
            steps.next().into_iter().for_each(|step| world.take(step));
        }
        panic!("the walk does not end: {walked:?}");
    }
}

type SessionKey = (String, i64);

fn of_sessions(world: &mut World, steps: &[Step]) {
    for status in [None, Some(Status::Idle), Some(Status::Terminated)] {
        for project in [None, Some("a"), Some("a-b"), Some("none")] {
            for terminated in [false, true] {
                let project = project.map(|id| id.parse().unwrap());
                let filter = session::Filter { project, terminated };
                let is_wanted = |it: Status| status.is_none_or(|status| status == it);
                let key = |it: session::Session| -> SessionKey { (it.project.to_string(), it.num) };
                let all = |snapshot: &Snapshot<'_>| {
                    let all = status::list(snapshot, &filter)?.into_iter();
                    Ok(all.filter(|it| is_wanted(it.1.status)).map(|it| key(it.0)).collect())
                };
                let page = |snapshot: &Snapshot<'_>, after: Option<&SessionKey>, limit| {
                    let after = after.map_or(session::START, |(project, num)| (project, *num));
                    let wanted = |_: &session::Session, it: &status::Derived| is_wanted(it.status);
                    let page = status::page(snapshot, &filter, after, limit, wanted)?;
                    Ok(page.into_iter().map(|it| key(it.0)).collect())
                };
                List { all: &all, page: &page }.check(world, steps);
            }
        }
    }
}

fn of_prs(world: &mut World, steps: &[Step], of: &SessionId, in_project: &ProjectId) {
    for ci in [None, Some(Ci::Failing)] {
        for session in [None, Some(of)] {
            for project in [None, Some(in_project)] {
                let (session, project) = (session.cloned(), project.cloned());
                let filter = pr::Filter { session, project };
                let is_wanted = |it: &pr::Pr| ci.is_none_or(|ci| ci == it.ci);
                let all = |snapshot: &Snapshot<'_>| {
                    let all = pr::list(snapshot, &filter)?.into_iter().filter(is_wanted);
                    let mut all: Vec<_> = all.map(|it| it.id.to_string()).collect();
                    all.sort();
                    Ok(all)
                };
                let page = |snapshot: &Snapshot<'_>, after: Option<&String>, limit| {
                    let after = after.map_or("", String::as_str);
                    let page = pr::page(snapshot, &filter, after, limit, is_wanted)?;
                    Ok(page.into_iter().map(|it| it.id.to_string()).collect())
                };
                List { all: &all, page: &page }.check(world, steps);
            }
        }
    }
}

fn of_deliveries(world: &mut World, steps: &[Step], of: &SessionId) {
    for session in [None, Some(of)] {
        let all = |snapshot: &Snapshot<'_>| {
            let all = match session {
                None => delivery::all(snapshot)?,
                Some(session) => delivery::of_session(snapshot, session)?,
            };
            let mut all: Vec<_> = all.into_iter().map(|it| it.id).collect();
            all.sort();
            Ok(all)
        };
        let page = |snapshot: &Snapshot<'_>, after: Option<&String>, limit| {
            let after = after.map_or("", String::as_str);
            let page = delivery::page(snapshot, session, after, limit)?;
            Ok(page.into_iter().map(|it| it.id).collect())
        };
        List { all: &all, page: &page }.check(world, steps);
    }
}

fn of_launches_and_decisions(world: &mut World, steps: &[Step], of: &SessionId) {
    let all = |snapshot: &Snapshot<'_>| {
        Ok(launch::of_session(snapshot, of)?.into_iter().map(|it| it.num).collect())
    };
    let page = |snapshot: &Snapshot<'_>, after: Option<&i64>, limit| {
        let page = launch::page(snapshot, of, after.copied().unwrap_or_default(), limit)?;
        Ok(page.into_iter().map(|it| it.num).collect())
    };
    List { all: &all, page: &page }.check(world, steps);
    let all = |snapshot: &Snapshot<'_>| {
        let all = decision::list(snapshot)?.into_iter();
        let mut all: Vec<_> = all.map(|it| it.session.to_string()).collect();
        all.sort();
        Ok(all)
    };
    let page = |snapshot: &Snapshot<'_>, after: Option<&String>, limit| {
        let page = decision::page(snapshot, after.map_or("", String::as_str), limit)?;
        Ok(page.into_iter().map(|it| it.session.to_string()).collect())
    };
    List { all: &all, page: &page }.check(world, steps);
}

#[test]
fn what_is_there_through_a_walk_is_on_one_page_of_it() {
    let seed = u64::from(from_env("AO_SEED", 20_261_130));
    println!("AO_SEED={seed}");
    let config = Config {
        cases: from_env("AO_CASES", 8),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let steps = prop::collection::vec(step(), 1..6);
    TestRunner::new(config)
        .run(&(prop::collection::vec(one(), 1..14), steps), |(sessions, steps)| {
            let mut world = World::new();
            sessions.iter().for_each(|new| world.add(new));
            let first = &sessions[0];
            let of: SessionId = format!("{}-1", first.project).parse().unwrap();
            of_sessions(&mut world, &steps);
            of_prs(&mut world, &steps, &of, &first.project.parse().unwrap());
            of_deliveries(&mut world, &steps, &of);
            of_launches_and_decisions(&mut world, &steps, &of);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// The row after which a page begins may be gone, or may never have been.
#[test]
fn a_key_has_its_place_without_its_row() {
    let mut world = World::new();
    let new = One {
        project: "a",
        activity: "idle",
        is_terminated: false,
        launches: 0,
        prs: Vec::new(),
        deliveries: 0,
        has_decision: false,
    };
    (0..12).for_each(|_| world.add(&new));
    world.add(&One { project: "a-b", ..new });
    let after = |id: &str, project: Option<&str>| -> Vec<String> {
        let filter =
            session::Filter { project: project.map(|id| id.parse().unwrap()), terminated: true };
        let key = session::key_of(id).unwrap();
        let page = world.read(|snapshot| status::page(snapshot, &filter, key, 3, |_, _| true));
        page.into_iter().map(|(session, _)| session.id.to_string()).collect()
    };
    assert_eq!(after("a-9", None), ["a-10", "a-11", "a-12"], "by number, not by text");
    assert_eq!(after("a-12", None), ["a-b-1"]);
    assert_eq!(after("a-99", None), ["a-b-1"]);
    assert_eq!(after("A-1", None), ["a-1", "a-2", "a-3"]);
    assert_eq!(after("b-1", None), [""; 0]);
    // A key of another project is before or after all of this one.
    assert_eq!(after("a-7", Some("a-b")), ["a-b-1"]);
    assert_eq!(after("a-b-7", Some("a")), [""; 0]);
    assert_eq!([session::key_of("a"), session::key_of("a-x")], [None, None]);
}
