//! The bookkeeping of an observer: it is read as stored, an equal row is not written, a refresh
//! request wakes listeners, and subjects are those of active projects.

use std::time::Duration;

use ao_store::attribution::Candidate;
use ao_store::observation::PrState;
use ao_store::row::pr;
use ao_store::row::project::{self, NewProject, Origin};
use ao_store::row::scm::{
    self, Access, Credential, DELIVERIES_MAX, HostState, PrPoll, Problem, REFRESH_REQUESTS_MAX,
    RefreshRequest, RepoState,
};
use ao_store::row::session::{self, SessionKind};
use ao_store::transfer::{OnBad, import};
use ao_store::{Code, Committed, Options, PrId, PrRef, Store, Timestamp, Tx};

use crate::support::{
    Fixture, T0, add_session, assert_sound, assert_writes_nothing, cause, code, empty, fixture,
    head, kinds_of, new_project, new_session, number, observation, observe, raw, strings,
};

const HOST: &str = "github.com";

fn write<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Tx<'_>) -> ao_store::Result<T> + Send + 'static,
) -> Committed<T> {
    store.write(cause(), work).unwrap()
}

fn host_state() -> HostState {
    HostState {
        credential: Credential::Invalid,
        source: "GH_TOKEN".to_owned(),
        login: "octo".to_owned(),
        since: Some(Timestamp(1)),
        quota: Some(5000),
        remaining: Some(0),
        reset_at: Some(Timestamp(2)),
        blocked_until: Some(Timestamp(3)),
        reason: "rate limited".to_owned(),
        address: "https://api.github.com/graphql".to_owned(),
        failure: "HTTP 403: Slow down.".to_owned(),
        fresh_at: Some(Timestamp(4)),
        interval_ms: Some(30_000),
        memory: r#"{"slim":50}"#.to_owned(),
        updated_at: cause().at,
        ..HostState::new(HOST)
    }
}

fn repo_state() -> RepoState {
    RepoState {
        name: "octo/hello-world".to_owned(),
        node_id: "R_1".to_owned(),
        access: Access::Forbidden,
        access_since: Some(Timestamp(1)),
        watermark: Some(Timestamp(2)),
        listed_at: Some(Timestamp(3)),
        ..RepoState::new(HOST, "octo/hello")
    }
}

fn pr_poll() -> PrPoll {
    PrPoll {
        attribution: "the branch fix is that of demo-1".to_owned(),
        changed_at: Some(Timestamp(1)),
        pushed_at: Some(Timestamp(2)),
        metadata_fingerprint: Some(vec![1]),
        checks_fingerprint: Some(vec![2; 16]),
        discussion_fingerprint: Some(vec![3]),
        threads_fingerprint: Some(Vec::new()),
        full_read_at: Some(Timestamp(3)),
        confirmed_at: Some(Timestamp(4)),
        failures: 2,
        problem: Problem::Unreachable,
        problem_since: Some(Timestamp(5)),
    }
}

fn pr_id() -> PrId {
    "github.com/octo/hello#7".parse().unwrap()
}

/// Stores it twice: the second time nothing is written, even with another letter case.
fn store_twice<S: Clone + Send + 'static>(
    Fixture { store, dir }: &Fixture,
    state: &S,
    set: fn(&Tx<'_>, &S) -> ao_store::Result<bool>,
) {
    let before = head(store);
    let first = state.clone();
    assert!(write(store, move |tx| set(tx, &first)).value, "written");
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        let again = state.clone();
        let Committed { value, changes, .. } = write(store, move |tx| set(tx, &again));
        assert_eq!((value, changes), (false, 0), "an equal row is not written");
    });
    assert_eq!(head(store), before, "nothing of it is captured");
}

#[test]
fn the_state_of_a_host_is_read_as_stored() {
    let fixture = fixture();
    let store = &fixture.store;
    assert_eq!(store.read(|s| scm::host(s, HOST)).unwrap(), None);
    for state in [HostState { updated_at: cause().at, ..HostState::new(HOST) }, host_state()] {
        store_twice(&fixture, &state, scm::set_host);
        assert_eq!(store.read(|s| scm::host(s, "GitHub.com")).unwrap(), Some(state.clone()));
        assert_eq!(store.read(scm::hosts).unwrap(), [state]);
    }
    let back = HostState { reason: String::new(), blocked_until: None, ..host_state() };
    store_twice(&fixture, &back, scm::set_host);
    assert_eq!(store.read(|s| scm::host(s, HOST)).unwrap(), Some(back));
}

#[test]
fn the_state_of_a_repository_is_read_as_stored() {
    let fixture = fixture();
    let repos = |host: &'static str| fixture.store.read(move |s| scm::repos(s, host)).unwrap();
    for state in [RepoState::new(HOST, "octo/hello"), repo_state()] {
        store_twice(&fixture, &state, scm::set_repo);
        assert_eq!(repos("GITHUB.com"), [state]);
    }
    let same = RepoState { repo: "Octo/Hello".to_owned(), ..repo_state() };
    assert!(!write(&fixture.store, move |tx| scm::set_repo(tx, &same)).value);
    assert!(repos("ghe.example.com").is_empty());
}

#[test]
fn a_polling_state_is_read_as_stored_and_deleted_with_its_pull_request() {
    let fixture = fixture();
    let store = &fixture.store;
    let attribution = store.read(|s| scm::poll(s, &pr_id())).unwrap().unwrap().attribution;
    assert_eq!(attribution, "the observation names the session");
    let pr_poll = || PrPoll { attribution: attribution.clone(), ..pr_poll() };
    let unread = PrPoll { attribution: attribution.clone(), ..PrPoll::default() };
    write(store, |tx| scm::set_poll(tx, &pr_id(), &PrPoll { failures: 1, ..PrPoll::default() }));
    for poll in [unread, pr_poll(), PrPoll { problem: Problem::None, ..pr_poll() }] {
        store_twice(&fixture, &poll, |tx, poll| scm::set_poll(tx, &pr_id(), poll));
        assert_eq!(store.read(|s| scm::poll(s, &pr_id())).unwrap(), Some(poll.clone()));
        assert_eq!(store.read(|s| scm::polls(s, "GITHUB.COM")).unwrap(), [(pr_id(), poll)]);
    }
    assert!(store.read(|s| scm::polls(s, "ghe.example.com")).unwrap().is_empty());
    let other: PrId = "github.com/octo/hello#8".parse().unwrap();
    let unknown = store.write(cause(), move |tx| scm::set_poll(tx, &other, &PrPoll::default()));
    assert!(unknown.is_err(), "there is no such pull request");
    for foreign_keys in ["ON", "OFF"] {
        let conn = raw(&fixture.dir.path().join("ao.db"));
        let delete = format!("PRAGMA foreign_keys = {foreign_keys}; BEGIN; DELETE FROM pr");
        conn.execute_batch(&delete).unwrap();
        assert_eq!(number(&conn, "SELECT count(*) FROM pr_poll"), 0, "{foreign_keys}");
    }
}

#[test]
fn problems_are_counted_by_host() {
    let Fixture { store, dir: _dir } = fixture();
    assert!(store.read(scm::problems).unwrap().is_empty());
    write(&store, |tx| scm::set_poll(tx, &pr_id(), &pr_poll()));
    assert_eq!(store.read(scm::problems).unwrap(), [(HOST.to_owned(), 1)]);
    write(&store, |tx| scm::set_poll(tx, &pr_id(), &PrPoll::default()));
    assert!(store.read(scm::problems).unwrap().is_empty());
}

fn request_refresh(store: &Store, repo: &'static str, number: i64, when: i64) -> Committed<()> {
    write(store, move |tx| scm::request_refresh(tx, HOST, repo, number, Timestamp(when)))
}

fn refresh_requests(store: &Store) -> Vec<(String, i64, i64)> {
    let found = store.read(|s| scm::refresh_requests(s, HOST)).unwrap();
    found.into_iter().map(|RefreshRequest { repo, number, at, .. }| (repo, number, at.0)).collect()
}

fn asked(wanted: &[(i64, i64)]) -> Vec<(String, i64, i64)> {
    wanted.iter().map(|(number, at)| ("octo/hello".to_owned(), *number, *at)).collect()
}

#[test]
fn a_repeated_refresh_request_is_stored_once() {
    let Fixture { store, dir } = fixture();
    assert_eq!(request_refresh(&store, "octo/hello", 7, 10).changes, 0);
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        request_refresh(&store, "Octo/Hello", 7, 10);
        request_refresh(&store, "octo/hello", 7, 9);
    });
    assert_eq!(refresh_requests(&store), asked(&[(7, 10)]));
    request_refresh(&store, "octo/hello", 0, 5);
    let seen = store.read(|s| scm::refresh_requests(s, "GitHub.com")).unwrap();
    request_refresh(&store, "octo/hello", 7, 11);
    request_refresh(&store, "octo/hello", 8, 1);
    write(&store, move |tx| scm::delete_refresh_requests(tx, &seen));
    assert_eq!(
        refresh_requests(&store),
        asked(&[(7, 11), (8, 1)]),
        "what was asked for since stays"
    );
    for (repo, number) in [("octo", 1), ("octo/hello", -1), ("../x", 0)] {
        let refused = store
            .write(cause(), move |tx| scm::request_refresh(tx, HOST, repo, number, Timestamp(1)));
        assert_eq!(code(refused), Code::InvalidPrRef, "{repo} {number}");
    }
}

#[test]
fn more_than_a_hundred_refresh_requests_become_one_for_the_repository() {
    let Fixture { store, dir: _dir } = fixture();
    let last = i64::try_from(REFRESH_REQUESTS_MAX).unwrap();
    write(&store, move |tx| {
        (1..=last).try_for_each(|number| {
            scm::request_refresh(tx, HOST, "octo/hello", number, Timestamp(1))
        })
    });
    assert_eq!(refresh_requests(&store).len(), 100);
    request_refresh(&store, "octo/hello", 101, 2);
    assert_eq!(refresh_requests(&store), asked(&[(0, 2)]));
    request_refresh(&store, "octo/hello", 102, 3);
    assert_eq!(refresh_requests(&store), asked(&[(0, 2), (102, 3)]));
}

#[test]
fn a_refresh_request_wakes_listeners_in_this_and_other_processes() {
    let Fixture { store, dir } = fixture();
    let elsewhere = Store::open(&dir.path().join("ao.db"), Options::default()).unwrap();
    for (round, waiting) in (0..).zip([store.clone(), elsewhere]) {
        let mut listener = waiting.listen().unwrap();
        assert!(!listener.wait(Duration::ZERO).unwrap());
        request_refresh(&store, "octo/hello", 7, round);
        assert!(listener.wait(Duration::from_secs(20)).unwrap());
    }
}

fn take(store: &Store, id: &str, when: i64) -> bool {
    let id = id.to_owned();
    write(store, move |tx| scm::record_webhook_delivery(tx, &id, Timestamp(when))).value
}

#[test]
fn a_webhook_delivery_is_recorded_once() {
    let Fixture { store, dir } = fixture();
    let path = dir.path().join("ao.db");
    let id = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
    assert!(take(&store, id, 1));
    assert_writes_nothing(&path, || assert!(!take(&store, id, 2)));
    for bad in ["", "a b", "a/b", "é", "a\n", &"a".repeat(129)] {
        let id = bad.to_owned();
        let refused =
            store.write(cause(), move |tx| scm::record_webhook_delivery(tx, &id, Timestamp(1)));
        assert_eq!(code(refused), Code::InvalidId, "{bad:?}");
    }
    assert!(take(&store, &"a".repeat(128), 1));
    // A failure after the record undoes the record.
    let failed = store.write(cause(), |tx| {
        scm::record_webhook_delivery(tx, "again", Timestamp(1))?;
        pr::require(tx, &PrRef::new(HOST, "octo/hello", 99)?).map(|_| ())
    });
    assert_eq!(code(failed), Code::PrNotFound);
    assert!(take(&store, "again", 1));
}

#[test]
fn old_and_excess_webhook_deliveries_are_deleted() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let Fixture { store, dir } = fixture();
    let conn = raw(&dir.path().join("ao.db"));
    let count = || number(&conn, "SELECT count(*) FROM webhook_delivery");
    assert!(take(&store, "old", DAY));
    assert!(take(&store, "week", 8 * DAY));
    assert!(!take(&store, "old", 8 * DAY), "it is a week old, not older");
    assert!(take(&store, "new", 8 * DAY + 1));
    assert_eq!(count(), 2);
    let many = format!(
        "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT {DELIVERIES_MAX})
         INSERT INTO webhook_delivery SELECT 'many-' || i, {} FROM n",
        8 * DAY
    );
    conn.execute_batch(&many).unwrap();
    assert!(take(&store, "one-more", 8 * DAY));
    assert_eq!(count(), DELIVERIES_MAX);
    assert!(!take(&store, "many-100000", 8 * DAY), "the newest are kept");
    assert!(take(&store, "week", 8 * DAY), "the oldest are not");
}

#[test]
fn subjects_are_those_of_active_projects_at_the_host() {
    let Fixture { store, dir } = fixture();
    let other = NewProject { host: "ghe.example.com".to_owned(), ..new_project("other") };
    let local = NewProject { host: String::new(), repo: String::new(), ..new_project("local") };
    let gone = new_project("gone");
    write(&store, move |tx| {
        for new in [&other, &local, &gone] {
            project::add(tx, new)?;
        }
        session::create(tx, &new_session("demo", SessionKind::Orchestrator, "lead"))?;
        session::create(tx, &new_session("demo", SessionKind::Worker, ""))?;
        session::create(tx, &new_session("demo", SessionKind::Worker, "done"))?;
        session::create(tx, &new_session("other", SessionKind::Worker, "elsewhere"))
    });
    let ended = add_session(&store, "gone", "ended");
    let conn = raw(&dir.path().join("ao.db"));
    let terminate = |which: &str| {
        let sql = format!("UPDATE session SET is_terminated = 1 WHERE {which}");
        conn.execute_batch(&sql).unwrap();
    };
    terminate("branch = 'done'");
    let mut merged = observation(T0);
    merged.pr = PrRef::new("GitHub.com", "octo/hello", 8).unwrap();
    merged.session = Some(ended);
    merged.facts.state = Some(PrState::Merged);
    observe(&store, &merged);
    let subjects_after =
        |at: i64| store.read(|s| scm::subjects(s, "github.COM", Timestamp(at))).unwrap();
    // Everything was written at this time, and so before this.
    let subjects = || subjects_after(cause().at.0 + 1);
    let prs = || -> Vec<_> {
        let prs = subjects().prs.into_iter();
        prs.map(|it| (it.pr.number, it.is_session_live)).collect()
    };
    let scans = || -> Vec<_> {
        let names = |it: &Candidate| format!("{} {}", it.session, it.branch);
        let scans = subjects().scans.into_iter();
        scans
            .map(|it| (it.project.id.to_string(), it.candidates.iter().map(names).collect()))
            .collect()
    };
    assert_eq!(prs(), [(7, true), (8, true)]);
    let demo = || ("demo".to_owned(), vec!["demo-1 fix".to_owned(), "demo-2 other".to_owned()]);
    assert_eq!(scans(), [demo(), ("gone".to_owned(), vec!["gone-1 ended".to_owned()])]);
    terminate("project_id = 'gone'");
    assert_eq!(prs(), [(7, true), (8, false)], "a terminated session");
    assert_eq!(scans(), [demo(), ("gone".to_owned(), Vec::new())]);
    let recent = subjects_after(cause().at.0).scans.remove(1).candidates;
    assert!(matches!(&recent[..], [ended] if ended.is_terminated), "one that just ended");
    write(&store, |tx| project::archive(tx, &"gone".parse()?));
    assert_eq!((prs(), scans()), (vec![(7, true)], vec![demo()]), "an archived project");
    assert_eq!(
        store.read(|s| scm::subjects(s, "gitlab.com", Timestamp(0))).unwrap(),
        scm::Subjects::default()
    );
}

#[test]
fn a_project_follows_its_renamed_repository() {
    let Fixture { store, dir } = fixture();
    let archived = new_project("gone");
    let other = NewProject { repo: "octo/other".to_owned(), ..new_project("other") };
    write(&store, move |tx| {
        project::add(tx, &other)?;
        let added = project::add(tx, &archived)?;
        project::archive(tx, &added.id)
    });
    let relocate = |new: &'static str| {
        store.write(cause(), move |tx| project::relocate(tx, "GitHub.com", "Octo/Hello", new))
    };
    let made = kinds_of(&store, || assert_eq!(relocate("acme/hello-2").unwrap().value, 1));
    assert_eq!(made, ["project_updated"]);
    let projects = store.read(|s| project::list(s, true)).unwrap();
    let found: Vec<_> = projects.iter().map(|it| (it.id.as_str(), it.repo.as_str())).collect();
    assert_eq!(found, [("demo", "acme/hello-2"), ("gone", "octo/hello"), ("other", "octo/other")]);
    assert_eq!(projects[0].origin_url, "https://github.com/octo/hello");
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        assert_eq!(relocate("acme/hello-2").unwrap().value, 0);
    });
    assert_eq!(code(relocate("acme")), Code::InvalidPrRef);
    assert_sound(&store);
}

#[test]
fn a_project_follows_the_default_branch_of_its_origin_and_keeps_its_renamed_repository() {
    let Fixture { store, dir } = fixture();
    write(&store, |tx| project::relocate(tx, "github.com", "octo/hello", "acme/hello"));
    let follow = |url: &str, repo: &str, branch: &str| {
        let (host, repo) = ("github.com".to_owned(), repo.to_owned());
        let origin = Origin { url: url.to_owned(), host, repo, default_branch: branch.to_owned() };
        let id = "demo".parse().unwrap();
        store.write(cause(), move |tx| project::set_origin(tx, &id, &origin)).unwrap().value
    };
    let stored = || {
        let id = "demo".parse().unwrap();
        let demo = store.read(|s| project::require_active(s, &id)).unwrap();
        (demo.repo, demo.default_branch)
    };
    let (url, other) = ("https://github.com/octo/hello", "https://github.com/octo/other");
    let made = kinds_of(&store, || assert!(follow(url, "octo/hello", "trunk")));
    assert_eq!(made, ["project_updated"]);
    assert_eq!(stored(), ("acme/hello".to_owned(), "trunk".to_owned()), "the URL is the same");
    assert_writes_nothing(&dir.path().join("ao.db"), || {
        assert!(!follow(url, "octo/hello", "trunk"))
    });
    assert!(follow(other, "octo/other", ""));
    assert_eq!(stored(), ("octo/other".to_owned(), String::new()), "unknown there");
    assert_sound(&store);
}

#[test]
fn an_export_contains_the_bookkeeping_of_the_observer() {
    let Fixture { store, dir: _dir } = fixture();
    write(&store, |tx| {
        scm::set_host(tx, &host_state())?;
        scm::set_repo(tx, &repo_state())?;
        scm::set_poll(tx, &pr_id(), &pr_poll())?;
        scm::request_refresh(tx, HOST, "octo/hello", 7, Timestamp(1))?;
        scm::record_webhook_delivery(tx, "a-1", Timestamp(1))
    });
    let Fixture { dir: target, .. } = empty();
    let path = target.path().join("copy.db");
    let mut lines = Vec::new();
    store.export(&mut lines).unwrap();
    let read = &mut lines.as_slice();
    import(&path, read, OnBad::Refuse).unwrap();
    let copy = Store::open(&path, Options::default()).unwrap();
    assert_eq!(copy.read(scm::hosts).unwrap(), [host_state()]);
    assert_eq!(copy.read(|s| scm::repos(s, HOST)).unwrap(), [repo_state()]);
    let stored = store.read(|s| scm::polls(s, HOST)).unwrap();
    assert_eq!(stored[0].1.changed_at, pr_poll().changed_at);
    assert_eq!(copy.read(|s| scm::polls(s, HOST)).unwrap(), stored);
    assert_eq!(strings(&raw(&path), "SELECT id FROM webhook_delivery"), ["a-1"]);
    assert!(refresh_requests(&copy).is_empty(), "refresh requests are not exported");
}
