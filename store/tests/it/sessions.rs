//! Sessions and projects: numbers, seeds, the single orchestrator, and the refusals.

use std::collections::BTreeSet;
use std::thread;

use ao_store::row::project::{self, NewProject};
use ao_store::row::session::{self, Deleted, NewSession, SessionKind};
use ao_store::row::shared_branch;
use ao_store::{Code, Outcome, SessionId, Store, Timestamp};

use crate::support::{
    Fixture, T0, add_session, assert_log_equals_tables, assert_writes_nothing, at, cause, changes,
    code, empty, fixture, head, kinds_of, new_project, new_session, observation, raw, try_observe,
};

fn delete(store: &Store, id: &str) -> Deleted {
    let id: SessionId = id.parse().unwrap();
    store.write(cause(), move |tx| session::delete(tx, &id)).unwrap().value
}

fn create(store: &Store, new: NewSession) -> ao_store::Result<String> {
    store.write(cause(), move |tx| session::create(tx, &new)).map(|done| done.value.id.to_string())
}

#[test]
fn a_deleted_seed_keeps_its_history_and_its_number_is_not_used_again() {
    let Fixture { store, dir: _dir } = fixture();
    let kinds = kinds_of(&store, || {
        add_session(&store, "demo", "");
        assert_eq!(delete(&store, "demo-3"), Deleted::Deleted);
        assert_eq!(delete(&store, "demo-3"), Deleted::Absent);
    });
    assert_eq!(kinds, ["session_created", "session_deleted"]);
    let last = changes(&store).pop().unwrap();
    assert_eq!((last.session(), last.project()), (Some("demo-3"), Some("demo")));
    assert_eq!(add_session(&store, "demo", "").as_str(), "demo-4");
}

#[test]
fn a_session_that_produced_anything_is_not_deleted() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let conn = raw(&path);
    conn.execute("UPDATE session SET spawned_at = 1 WHERE num = 2", []).unwrap();
    assert_writes_nothing(&path, || assert_eq!(delete(&store, "demo-2"), Deleted::NotSeed));
    conn.execute("UPDATE session SET spawned_at = NULL WHERE num = 2", []).unwrap();
    conn.execute("UPDATE session SET is_terminated = 1 WHERE num = 2", []).unwrap();
    assert_eq!(delete(&store, "demo-2"), Deleted::NotSeed, "terminated");
    conn.execute("UPDATE session SET is_terminated = 0, name = 'n', branch = 'b', activity_at = 3 WHERE num = 2", [])
        .unwrap();
    let start = head(&store);
    assert_eq!(delete(&store, "demo-1"), Deleted::NotSeed, "it owns a pull request");
    assert_eq!(head(&store), start);
    assert_eq!(
        delete(&store, "demo-2"),
        Deleted::Deleted,
        "a name, a branch and activity are no products"
    );
    assert_eq!(delete(&store, "ghost-1"), Deleted::Absent);
}

#[test]
fn concurrent_deletions_delete_once() {
    let Fixture { store, dir: _dir } = fixture();
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| delete(&store, "demo-2"))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|deleted| **deleted == Deleted::Deleted).count(), 1);
    assert_eq!(results.iter().filter(|deleted| **deleted == Deleted::Absent).count(), 3);
}

#[test]
fn concurrently_created_sessions_get_dense_numbers() {
    let Fixture { store, dir } = fixture();
    let ids: BTreeSet<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    (0..5).map(|_| add_session(&store, "demo", "").to_string()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(ids, (3..43).map(|num| format!("demo-{num}")).collect());
    assert_log_equals_tables(&store, &raw(&dir.path().join("ao.db")));
}

#[test]
fn of_concurrently_created_orchestrators_one_succeeds() {
    let Fixture { store, dir } = fixture();
    let second = Store::open(&dir.path().join("ao.db"), ao_store::Options::default()).unwrap();
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|i| {
                // Through the writers of two stores, as of two processes.
                let store = if i % 2 == 0 { &store } else { &second };
                scope.spawn(|| create(store, new_session("demo", SessionKind::Orchestrator, "")))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for refused in results.into_iter().filter(Result::is_err) {
        assert_eq!(code(refused), Code::OrchestratorActive);
    }
}

#[test]
fn a_new_orchestrator_can_follow_a_terminated_one() {
    let Fixture { store, dir } = fixture();
    create(&store, new_session("demo", SessionKind::Orchestrator, "")).unwrap();
    raw(&dir.path().join("ao.db"))
        .execute("UPDATE session SET is_terminated = 1 WHERE num = 3", [])
        .unwrap();
    assert_eq!(
        create(&store, new_session("demo", SessionKind::Orchestrator, "")).unwrap(),
        "demo-4"
    );
}

#[test]
fn a_session_of_a_missing_or_archived_project_is_refused() {
    let Fixture { store, dir } = empty();
    let path = dir.path().join("ao.db");
    let ghost = || create(&store, new_session("ghost", SessionKind::Worker, ""));
    assert_writes_nothing(&path, || assert_eq!(code(ghost()), Code::ProjectNotFound));
    let new = new_project("demo");
    store.write(cause(), move |tx| project::add(tx, &new)).unwrap();
    let id = "demo".parse().unwrap();
    store.write(cause(), move |tx| project::archive(tx, &id)).unwrap();
    let late = || create(&store, new_session("demo", SessionKind::Worker, ""));
    assert_writes_nothing(&path, || assert_eq!(code(late()), Code::ProjectArchived));
}

#[test]
fn texts_with_control_characters_or_options_are_refused() {
    let Fixture { store, dir } = fixture();
    let good = new_session("demo", SessionKind::Worker, "");
    let text = || "\u{1b}[31m".to_owned();
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        for bad in [
            NewSession { name: text(), ..good.clone() },
            NewSession { issue: "a\nb".to_owned(), ..good.clone() },
            NewSession { harness: "x".repeat(201), ..good.clone() },
            NewSession { branch: "-rf".to_owned(), ..good.clone() },
            NewSession { branch: "a..b".to_owned(), ..good.clone() },
        ] {
            assert_eq!(code(create(&store, bad.clone())), Code::InvalidId, "{bad:?}");
        }
    });
}

#[test]
fn an_equal_name_writes_nothing() {
    let Fixture { store, dir } = fixture();
    let rename = |name: &'static str| {
        let id = "demo-1".parse().unwrap();
        store.write(at(T0 + 5), move |tx| session::rename(tx, &id, name))
    };
    let renamed = rename("new").unwrap();
    assert_eq!((renamed.changes, renamed.value.updated_at), (1, Timestamp(T0 + 5)));
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        assert_eq!(rename("new").unwrap().changes, 0)
    });
    assert_eq!(code(rename(" ")), Code::InvalidId);
    let ghost = "demo-99".parse().unwrap();
    assert_eq!(
        code(store.write(cause(), move |tx| session::rename(tx, &ghost, "x"))),
        Code::SessionNotFound
    );
}

#[test]
fn sessions_are_listed_by_project_and_number_without_the_terminated() {
    let Fixture { store, dir } = fixture();
    for _ in 0..9 {
        add_session(&store, "demo", "");
    }
    raw(&dir.path().join("ao.db"))
        .execute("UPDATE session SET is_terminated = 1 WHERE num = 4", [])
        .unwrap();
    let list = |filter: session::Filter| -> Vec<i64> {
        let found = store.read(|snapshot| session::list(snapshot, &filter)).unwrap();
        found.into_iter().map(|session| session.num).collect()
    };
    let all = session::Filter { project: Some("demo".parse().unwrap()), terminated: true };
    assert_eq!(list(all), (1..=11).collect::<Vec<_>>(), "by number, not by text");
    assert_eq!(list(session::Filter::default()).len(), 10);
    assert_eq!(
        list(session::Filter { project: Some("other".parse().unwrap()), terminated: true }),
        [0; 0]
    );
}

#[test]
fn a_project_is_unique_by_id_and_by_active_path() {
    let Fixture { store, dir } = fixture();
    let add = |new: project::NewProject| store.write(cause(), move |tx| project::add(tx, &new));
    let other = project::NewProject { id: "other".parse().unwrap(), ..new_project("demo") };
    let elsewhere = project::NewProject { path: "/elsewhere".to_owned(), ..new_project("demo") };
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        assert_eq!(code(add(new_project("demo"))), Code::PathAlreadyRegistered);
        assert_eq!(code(add(other.clone())), Code::PathAlreadyRegistered);
        assert_eq!(code(add(elsewhere.clone())), Code::IdAlreadyRegistered);
        let unnamed = project::NewProject { name: "\t".to_owned(), ..new_project("x") };
        assert_eq!(code(add(unnamed)), Code::InvalidId);
    });
}

#[test]
fn a_project_without_live_sessions_can_be_archived_and_is_restored_by_adding_it_again() {
    let Fixture { store, dir } = fixture();
    let archive = || {
        let id = "demo".parse().unwrap();
        store.write(at(T0 + 9), move |tx| project::archive(tx, &id))
    };
    let add = |new: project::NewProject| store.write(cause(), move |tx| project::add(tx, &new));
    assert_eq!(code(archive()), Code::ProjectHasLiveSessions);
    raw(&dir.path().join("ao.db")).execute("UPDATE session SET is_terminated = 1", []).unwrap();
    let kinds = kinds_of(&store, || {
        assert_eq!(archive().unwrap().value.archived_at, Some(Timestamp(T0 + 9)));
        assert_eq!(code(archive()), Code::ProjectArchived);
        let elsewhere =
            project::NewProject { path: "/elsewhere".to_owned(), ..new_project("demo") };
        assert_eq!(code(add(elsewhere)), Code::IdAlreadyRegistered);
        let renamed = project::NewProject { name: "again".to_owned(), ..new_project("demo") };
        let restored = add(renamed).unwrap().value;
        assert_eq!((restored.name.as_str(), restored.archived_at), ("again", None));
    });
    assert_eq!(kinds, ["project_archived", "project_restored"]);
    assert_eq!(add_session(&store, "demo", "").as_str(), "demo-3", "its numbers go on");
    let ghost = "ghost".parse().unwrap();
    assert_eq!(
        code(store.write(cause(), move |tx| project::archive(tx, &ghost))),
        Code::ProjectNotFound
    );
}

#[test]
fn the_path_of_an_archived_project_is_free() {
    let Fixture { store, dir: _dir } = empty();
    let add = |new: project::NewProject| store.write(cause(), move |tx| project::add(tx, &new));
    add(new_project("demo")).unwrap();
    let id = "demo".parse().unwrap();
    store.write(cause(), move |tx| project::archive(tx, &id)).unwrap();
    let other = project::NewProject { id: "other".parse().unwrap(), ..new_project("demo") };
    add(other).unwrap();
    assert_eq!(code(add(new_project("demo"))), Code::PathAlreadyRegistered, "now it is taken");
    let active = store.read(|snapshot| project::list(snapshot, false)).unwrap();
    assert_eq!(active.len(), 1);
    assert_eq!(store.read(|snapshot| project::list(snapshot, true)).unwrap().len(), 2);
}

#[test]
fn a_changed_branch_is_one_change_and_the_next_pull_request_follows_it() {
    let Fixture { store, dir } = fixture();
    let id = add_session(&store, "demo", "old");
    let set = |branch: &str| {
        let (id, branch) = (id.clone(), branch.to_owned());
        store.write(cause(), move |tx| session::set_branch(tx, &id, &branch))
    };
    assert_eq!(
        kinds_of(&store, || assert_eq!(set("neu/ä").unwrap().value.branch, "neu/ä")),
        ["session_updated"]
    );
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        assert_eq!(set("neu/ä").unwrap().value.branch, "neu/ä");
        assert_eq!(code(set("a b")), Code::InvalidId);
        let ghost: SessionId = "demo-99".parse().unwrap();
        let unknown = store.write(cause(), move |tx| session::set_branch(tx, &ghost, "x"));
        assert_eq!(code(unknown), Code::SessionNotFound);
    });
    let owner = |number: i64, branch: &str| {
        let mut seen = observation(T0);
        seen.pr.number = number;
        seen.facts.head_ref = Some(branch.to_owned());
        match try_observe(&store, &seen).unwrap().value {
            Outcome::Applied(applied) => Some(applied.session),
            _ => None,
        }
    };
    assert_eq!((owner(11, "neu/ä"), owner(12, "old")), (Some(id.clone()), None));
    assert_eq!(set("").unwrap().value.branch, "");
    assert_eq!(owner(13, "neu/ä"), None);
}

#[test]
fn a_branch_is_shared_by_live_sessions_of_one_repository() {
    let Fixture { store, dir } = empty();
    for (id, path) in [("a", "/a"), ("b", "/b")] {
        let new = NewProject { path: path.to_owned(), repo: String::new(), ..new_project(id) };
        store.write(cause(), move |tx| project::add(tx, &new)).unwrap();
    }
    for (project, branch) in [
        ("a", "x"),
        ("a", "y"),
        ("a", "x"),
        ("a", ""),
        ("a", ""),
        ("a", "é"),
        ("a", "e\u{301}"),
        ("b", "y"),
        ("b", "x"),
        ("b", "x"),
        ("a", "x"),
    ] {
        add_session(&store, project, branch);
    }
    let shared = || {
        let (all, of_each) = store
            .read(|snapshot| {
                let sessions =
                    session::list(snapshot, &session::Filter { project: None, terminated: true })?;
                let of_each = sessions.iter().map(|it| shared_branch::of(snapshot, it));
                let of_each = of_each.collect::<ao_store::Result<Vec<_>>>()?;
                let of_each = sessions.into_iter().map(|it| it.id).zip(of_each);
                Ok((shared_branch::all(snapshot)?, of_each.collect::<Vec<_>>()))
            })
            .unwrap();
        for terminated in [false, true] {
            let filter = session::Filter { project: None, terminated };
            let of_list = store.read(|snapshot| {
                let sessions = session::list(snapshot, &filter)?;
                shared_branch::of_list(snapshot, &filter, sessions.iter())
            });
            assert_eq!(of_list.unwrap(), all);
        }
        for (id, found) in of_each {
            let expected = all.iter().find(|shared| shared.sessions.contains(&id)).cloned();
            assert_eq!(found, expected, "{id}");
        }
        let text = |it: &shared_branch::SharedBranch| {
            let ids: Vec<_> = it.sessions.iter().map(SessionId::as_str).collect();
            format!("{}: {}", it.branch, ids.join(" "))
        };
        all.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(shared(), ["x: a-1 a-3 a-8", "x: b-2 b-3"]);
    let end = "UPDATE session SET is_terminated = 1 WHERE id IN ('a-1', 'b-2')";
    raw(&dir.path().join("ao.db")).execute(end, []).unwrap();
    assert_eq!(shared(), ["x: a-3 a-8"]);
    // Two clones of one repository are two projects, as soon as their origin is known.
    let origin = "UPDATE project SET host = 'github.com', repo = iif(id = 'a', 'octo/x', 'Octo/X')";
    raw(&dir.path().join("ao.db")).execute(origin, []).unwrap();
    assert_eq!(shared(), ["x: a-3 a-8 b-3", "y: a-2 b-1"]);
    let archive = "UPDATE project SET archived_at = 1 WHERE id = 'b'";
    raw(&dir.path().join("ao.db")).execute(archive, []).unwrap();
    assert_eq!(shared(), ["x: a-3 a-8"], "an archived project gets no pull request");
}
