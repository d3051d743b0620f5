//! For any sessions, launches, operations and pull requests, the list of statuses is that of each session
//! alone, with every filter, and no session changes that of another (`AO_CASES` sets the number of cases).

use ao_store::row::launch::{self, End, EndCause, LaunchKind, NewLaunch, PromptStage};
use ao_store::row::lifecycle::operation::{self, Verb};
use ao_store::row::project;
use ao_store::row::session::{self, Filter};
use ao_store::status::{self, Derived};
use ao_store::{SessionId, Store};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use rusqlite::Connection;

use crate::support::{Fixture, add_session, cause, empty, from_env, new_project, raw};

#[derive(Debug, Clone)]
struct OnePr {
    number: i64,
    repo: &'static str,
    state: &'static str,
    ci: &'static str,
    review: &'static str,
    mergeability: &'static str,
    head: &'static str,
    base: &'static str,
    is_cross_repo: bool,
    created_at: i64,
}

#[derive(Debug, Clone)]
struct OneSession {
    project: &'static str,
    activity: &'static str,
    is_terminated: bool,
    /// Each launch ended or not; the last one counts.
    launches: Vec<Option<EndCause>>,
    operation: Option<Verb>,
    prs: Vec<OnePr>,
}

fn a_pr() -> impl Strategy<Value = OnePr> {
    let branches = || select(vec!["", "main", "a", "b", "c"]);
    let place = (1..1_000_000_i64, select(vec!["octo/hello", "Octo/Hello", "octo/other"]));
    let states = (
        select(vec!["draft", "open", "open", "merged", "closed", "unknown"]),
        select(vec!["passing", "passing", "failing", "unknown"]),
        select(vec!["none", "approved", "changes_requested", "review_required"]),
        select(vec!["mergeable", "blocked", "unknown"]),
    );
    (place, states, (branches(), branches()), any::<bool>(), 1..3_i64).prop_map(
        |((number, repo), (state, ci, review, mergeability), (head, base), is_cross_repo, at)| {
            OnePr {
                number,
                repo,
                state,
                ci,
                review,
                mergeability,
                head,
                base,
                is_cross_repo,
                created_at: at,
            }
        },
    )
}

fn a_session() -> impl Strategy<Value = OneSession> {
    let activities = vec!["unknown", "unknown", "active", "idle", "blocked", "exited"];
    let causes = prop::option::of(select(EndCause::ALL.to_vec()));
    (
        select(vec!["a", "a-b", "b"]),
        select(activities),
        prop::bool::weighted(0.3),
        prop::collection::vec(causes, 0..3),
        prop::option::weighted(0.2, select(Verb::ALL.to_vec())),
        prop::collection::vec(a_pr(), 0..4),
    )
        .prop_map(|(project, activity, is_terminated, launches, operation, prs)| OneSession {
            project,
            activity,
            is_terminated,
            launches,
            operation,
            prs,
        })
}

/// Stores sessions through the API, and what no API sets directly through another connection.
fn fill(store: &Store, conn: &Connection, sessions: &[OneSession]) {
    for id in ["a", "a-b", "b"] {
        let new = new_project(id);
        store.write(cause(), move |tx| project::add(tx, &new)).unwrap();
    }
    for (at, new) in sessions.iter().enumerate() {
        let id = add_session(store, new.project, "");
        for (number, end) in new.launches.iter().enumerate() {
            start_launch(store, &id, format!("l{at}x{number}"), *end);
        }
        if let Some(verb) = new.operation {
            let id = id.clone();
            store.write(cause(), move |tx| operation::begin(tx, &id, verb, "i")).unwrap();
        }
        let set = "UPDATE session SET activity = ?2, is_terminated = ?3 WHERE id = ?1";
        conn.execute(set, (id.as_str(), new.activity, new.is_terminated)).unwrap();
        new.prs.iter().enumerate().for_each(|(number, pr)| add_pr(conn, &id, at, number, pr));
    }
}

fn start_launch(store: &Store, id: &SessionId, launch: String, end: Option<EndCause>) {
    let id = id.clone();
    let write = store.write(cause(), move |tx| {
        let new = NewLaunch {
            reports: false,
            id: launch.clone(),
            kind: LaunchKind::Fresh,
            instance: "i".to_owned(),
            boot_id: "b".to_owned(),
            native_id: String::new(),
            prompt_stage: PromptStage::None,
        };
        launch::begin(tx, &session::require(tx, &id)?, &new)?;
        launch::started(tx, &launch, "s", 1)?;
        if let Some(cause) = end {
            let exit_status = (cause == EndCause::Exited).then_some(3);
            launch::ended(tx, &launch, End { exit_status, signal: None, cause }, "")?;
        }
        Ok(())
    });
    write.unwrap();
}

fn add_pr(conn: &Connection, id: &SessionId, session: usize, number: usize, pr: &OnePr) {
    let sql = "INSERT OR IGNORE INTO pr (id, session_id, project_id, host, repo, number, url, state, ci,
            review_decision, mergeability, head_ref, base_ref, is_cross_repo, created_at, updated_at)
        SELECT ?1, id, project_id, 'github.com', ?3, ?4, 'u', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1
        FROM session WHERE id = ?2";
    let params = rusqlite::params![
        format!("github.com/{}#{session}{number}", pr.repo),
        id.as_str(),
        pr.repo,
        pr.number,
        pr.state,
        pr.ci,
        pr.review,
        pr.mergeability,
        pr.head,
        pr.base,
        pr.is_cross_repo,
        pr.created_at
    ];
    conn.execute(sql, params).unwrap();
}

fn each_alone(store: &Store, filter: &Filter) -> Vec<(SessionId, Derived)> {
    let read = store.read(|snapshot| {
        let sessions = session::list(snapshot, filter)?.into_iter();
        sessions.map(|it| Ok((it.id.clone(), status::of(snapshot, &it)?))).collect()
    });
    read.unwrap()
}

fn assert_agrees(store: &Store, sessions: &[OneSession], filter: &Filter) {
    let listed = store.read(|snapshot| status::list(snapshot, filter)).unwrap();
    let listed: Vec<_> = listed.into_iter().map(|(it, derived)| (it.id, derived)).collect();
    assert_eq!(listed, each_alone(store, filter), "{filter:?}");
    let is_wanted = |it: &&OneSession| {
        let project = filter.project.as_ref().map(|id| id.as_str());
        project.is_none_or(|id| id == it.project) && (filter.terminated || !it.is_terminated)
    };
    assert_eq!(listed.len(), sessions.iter().filter(is_wanted).count(), "{filter:?}");
}

/// Without the pull requests of the other sessions, the status of one is the same.
fn assert_is_its_own(store: &Store, conn: &Connection, pick: &Index) {
    let all = Filter { project: None, terminated: true };
    let listed = || store.read(|snapshot| status::list(snapshot, &all)).unwrap();
    let before = listed();
    let (session, derived) = pick.get(&before);
    conn.execute("DELETE FROM pr WHERE session_id <> ?1", [session.id.as_str()]).unwrap();
    let after = listed().into_iter().find(|(it, _)| it.id == session.id);
    assert_eq!(after.map(|(_, derived)| derived).as_ref(), Some(derived), "{}", session.id);
}

#[test]
fn the_list_is_that_of_each_session_alone() {
    let seed = u64::from(from_env("AO_SEED", 20_261_129));
    println!("AO_SEED={seed}");
    let config = Config {
        cases: from_env("AO_CASES", 60),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&(prop::collection::vec(a_session(), 1..8), any::<Index>()), |(sessions, pick)| {
            let Fixture { store, dir } = empty();
            let conn = raw(&dir.path().join("ao.db"));
            fill(&store, &conn, &sessions);
            for terminated in [false, true] {
                for project in [None, Some("a"), Some("a-b"), Some("b"), Some("none")] {
                    let project = project.map(|id| id.parse().unwrap());
                    assert_agrees(&store, &sessions, &Filter { project, terminated });
                }
            }
            assert_is_its_own(&store, &conn, &pick);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
