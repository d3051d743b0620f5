//! What needs attention: every kind with its time, what never does, and the filter.

use ao_store::attention::{Attention, Filter, Kind, attention};
use ao_store::log::consumer;
use ao_store::observation::{
    Check, CheckStatus, Ci, Comment, Facet, Mergeable, Observation, PrState, Review,
    ReviewDecision, ReviewState,
};
use ao_store::row::launch::{self, End, EndCause, LaunchKind, NewLaunch, PromptStage};
use ao_store::row::lifecycle::instance::{self, Instance};
use ao_store::row::lifecycle::operation::{self, Verb};
use ao_store::row::scm::{self, Access, Credential, HostState, PrPoll, Problem, RepoState};
use ao_store::row::session;
use ao_store::{PrId, SessionId, Store, Timestamp, Tx, apply_observation};

use crate::support::{
    Fixture, SHA, T0, at, check, comment, fixture, observation, observe, raw, rename, thread,
};

fn list(store: &Store, filter: &Filter) -> Vec<Attention> {
    store.read(|snapshot| attention(snapshot, filter, Timestamp(T0))).unwrap()
}

fn all(store: &Store) -> Vec<Attention> {
    list(store, &Filter::default())
}

/// Each item as kind, name, text and the milliseconds from T0 to its time.
fn shown(items: &[Attention]) -> Vec<(Kind, &str, &str, Option<i64>)> {
    let since = |item: &Attention| item.since.map(|at| at.0 - T0);
    items.iter().map(|it| (it.kind, it.name.as_str(), it.text.as_str(), since(it))).collect()
}

fn write(store: &Store, work: impl FnOnce(&Tx<'_>) -> ao_store::Result<()> + Send + 'static) {
    store.write(at(T0), work).unwrap();
}

/// Open, with nothing wrong.
fn open() -> Observation {
    let mut open = observation(T0);
    open.facts.state = Some(PrState::Open);
    open.facts.head_sha = Some(SHA.to_owned());
    open
}

fn ago(ms: i64) -> Option<Timestamp> {
    Some(Timestamp(T0 - ms))
}

#[test]
fn an_open_pull_request_without_a_problem_needs_nothing() {
    let Fixture { store, .. } = &fixture();
    observe(store, &open());
    assert_eq!(all(store), []);
}

#[test]
fn failed_checks_are_named_and_date_from_the_first_of_them() {
    let Fixture { store, .. } = &fixture();
    let ended = |name: &str, status, ms| Check { completed_at: ago(ms), ..check(name, status) };
    let failed = ended("lint", CheckStatus::Failed, 30);
    let cancelled = ended("test", CheckStatus::Cancelled, 20);
    let passed = ended("build", CheckStatus::Passed, 90);
    observe(
        store,
        &Observation { checks: Facet::replace(vec![failed, passed, cancelled]), ..open() },
    );
    let items = all(store);
    assert_eq!(
        shown(&items),
        [(Kind::CiFailing, "octo/hello#7", "lint, test (cancelled)", Some(-30))]
    );
    assert_eq!(items[0].count, Some(2));
    assert_eq!(items[0].session.as_ref().unwrap().as_str(), "demo-1");
}

#[test]
fn a_request_for_changes_counts_until_its_author_approves() {
    let Fixture { store, .. } = &fixture();
    let review = |id: &str, author: &str, state, ms| Review {
        id: id.to_owned(),
        author: author.to_owned(),
        state,
        body: "\n  Please rename it.\nMore".to_owned(),
        submitted_at: ago(ms),
        ..Review::default()
    };
    let mut observed = open();
    observed.facts.review_decision = Some(ReviewDecision::ChangesRequested);
    observed.reviews = Facet::replace(vec![
        review("R1", "ann", ReviewState::ChangesRequested, 90),
        review("R2", "bob", ReviewState::ChangesRequested, 80),
        review("R3", "bob", ReviewState::ChangesRequested, 10),
        review("R4", "ann", ReviewState::Approved, 70),
        review("R5", "bob", ReviewState::Commented, 5),
    ]);
    observe(store, &observed);
    let items = all(store);
    let expected = (Kind::ChangesRequested, "octo/hello#7", "bob: Please rename it.", Some(-80));
    assert_eq!((shown(&items), items[0].count), (vec![expected], Some(1)));
}

#[test]
fn unresolved_threads_are_counted_and_the_newest_is_shown() {
    let Fixture { store, .. } = &fixture();
    let said = |id: &str, thread: &str, body: &str, ms| Comment {
        thread_id: thread.to_owned(),
        author: "ann".to_owned(),
        created_at: ago(ms),
        ..comment(id, body)
    };
    let mut newer = thread("T2", false);
    newer.line = Some(12);
    observe(
        store,
        &Observation {
            threads: Facet::replace(vec![thread("T1", false), newer, thread("T3", true)]),
            comments: Facet::replace(vec![
                said("C1", "T1", "old", 90),
                said("C2", "T2", "Why?\nBecause", 50),
                said("C3", "T2", "a reply", 10),
                said("C4", "T3", "resolved", 5),
            ]),
            ..open()
        },
    );
    let items = all(store);
    let expected = (Kind::ThreadsUnresolved, "octo/hello#7", "a.rs:12 ann: Why?", Some(-50));
    assert_eq!((shown(&items), items[0].count), (vec![expected], Some(2)));
}

#[test]
fn a_conflict_dates_from_the_change_that_recorded_it() {
    let Fixture { store, dir } = &fixture();
    let apply = |ms, mergeable| {
        let mut observed = Observation { as_of: Timestamp(T0 + ms), ..open() };
        observed.facts.mergeable = Some(mergeable);
        observed.facts.base_ref = Some("main".to_owned());
        store.write(at(T0 + ms), move |tx| apply_observation(tx, &observed)).unwrap();
    };
    apply(1, Mergeable::Conflicting);
    apply(2, Mergeable::Mergeable);
    assert_eq!(all(store), []);
    apply(3, Mergeable::Conflicting);
    let mut titled = Observation { as_of: Timestamp(T0 + 4), ..open() };
    titled.facts.title = Some("New".to_owned());
    store.write(at(T0 + 4), move |tx| apply_observation(tx, &titled)).unwrap();
    let text = "conflicts with main";
    assert_eq!(shown(&all(store)), [(Kind::Conflicting, "octo/hello#7", text, Some(3))]);
    // The change is no longer kept: the time is not known.
    rename(store, "demo-1", 1, T0 + 5);
    let pruned = "DELETE FROM change_log; UPDATE log_meta SET floor = (SELECT max(seq) FROM
        sqlite_sequence WHERE name = 'change_log')";
    raw(&dir.path().join("ao.db")).execute_batch(pruned).unwrap();
    assert_eq!(shown(&all(store)), [(Kind::Conflicting, "octo/hello#7", text, None)]);
}

#[test]
fn what_ended_or_is_archived_needs_nothing_and_a_terminated_session_hides_nothing() {
    let Fixture { store, dir } = &fixture();
    let mut failing = open();
    failing.facts.ci = Some(Ci::Failing);
    observe(store, &failing);
    let sql = |sql: &str| raw(&dir.path().join("ao.db")).execute_batch(sql).unwrap();
    sql("UPDATE session SET is_terminated = 1, activity = 'exited'");
    assert_eq!(all(store).iter().map(|it| it.kind).collect::<Vec<_>>(), [Kind::CiFailing]);
    sql("UPDATE project SET archived_at = 1");
    assert_eq!(all(store), []);
    sql("UPDATE project SET archived_at = NULL; UPDATE pr SET state = 'merged'");
    assert_eq!(all(store), []);
}

#[test]
fn stopped_sessions_are_listed_newest_first() {
    let Fixture { store, dir } = &fixture();
    let sql = format!(
        "UPDATE session SET activity = 'waiting', activity_at = {T0} - 9 WHERE num = 1;
         UPDATE session SET activity = 'exited', activity_at = {T0} - 5 WHERE num = 2"
    );
    raw(&dir.path().join("ao.db")).execute_batch(&sql).unwrap();
    let items = all(store);
    let kinds: Vec<_> = shown(&items).iter().map(|it| (it.0, it.1, it.3)).collect();
    let expected =
        [(Kind::SessionExited, "demo-2", Some(-5)), (Kind::SessionWaiting, "demo-1", Some(-9))];
    assert_eq!(kinds, expected);
    let only =
        |session: &str| Filter { session: Some(session.parse().unwrap()), ..Filter::default() };
    assert_eq!(list(store, &only("demo-1"))[0].name, "demo-1");
    let kinds = Filter { kinds: vec![Kind::SessionBlocked], ..Filter::default() };
    assert_eq!(list(store, &kinds), []);
}

/// Ends a launch of a session in this way.
fn end_launch(store: &Store, session: &str, id: &'static str, end: End, output: &'static str) {
    let session: SessionId = session.parse().unwrap();
    let new = NewLaunch {
        reports: false,
        id: id.to_owned(),
        kind: LaunchKind::Fresh,
        instance: "i".to_owned(),
        boot_id: "b".to_owned(),
        native_id: String::new(),
        prompt_stage: PromptStage::None,
    };
    write(store, move |tx| {
        let row = session::require(tx, &session)?;
        launch::begin(tx, &row, &new)?;
        launch::ended(tx, id, end, output).map(|_| ())
    });
}

#[test]
fn an_agent_that_ended_or_was_lost_says_how_and_what_it_wrote_last() {
    let Fixture { store, dir } = &fixture();
    let exited = End { exit_status: Some(3), signal: None, cause: EndCause::Exited };
    end_launch(store, "demo-1", "l1", exited, "\u{1b}[31merror: no such flag\u{1b}[0m\r\n\n");
    let killed = End { exit_status: None, signal: Some(9), cause: EndCause::Killed };
    end_launch(store, "demo-2", "l2", killed, "");
    let sql = |sql: &str| raw(&dir.path().join("ao.db")).execute_batch(sql).unwrap();
    sql("UPDATE session SET spawner = 'i', activity = 'waiting' WHERE num = 1");
    sql("UPDATE session SET spawner = 'i', activity = 'active' WHERE num = 2");
    let expected = [
        (
            Kind::SessionExited,
            "demo-1",
            "its agent exited with status 3: error: no such flag",
            Some(0),
        ),
        (Kind::SessionExited, "demo-2", "its agent was ended by signal 9", Some(0)),
    ];
    let items = all(store);
    assert_eq!(shown(&items), expected);
    assert!(items.iter().all(|item| !item.is_external));
}

/// Such as at the question whether it may trust the worktree.
#[test]
fn an_agent_that_starts_for_long_is_listed_while_nobody_reads_its_screen() {
    let Fixture { store, .. } = &fixture();
    let new = NewLaunch {
        id: "l1".to_owned(),
        kind: LaunchKind::Fresh,
        instance: "i".to_owned(),
        boot_id: "b".to_owned(),
        native_id: String::new(),
        prompt_stage: PromptStage::None,
        reports: true,
    };
    write(store, move |tx| {
        launch::begin(tx, &session::require(tx, &"demo-1".parse()?)?, &new).map(|_| ())
    });
    let after = |seconds: i64| {
        let now = Timestamp(T0 + seconds * 1_000);
        let items = store.read(|snapshot| attention(snapshot, &Filter::default(), now)).unwrap();
        items.into_iter().map(|item| (item.kind, item.name)).collect::<Vec<_>>()
    };
    assert_eq!(after(59), []);
    assert_eq!(after(60), [(Kind::SessionUnread, "demo-1".to_owned())]);
    let reader = Instance::of_this_process("r", instance::SCREEN_READER, Timestamp(T0));
    write(store, move |tx| instance::register(tx, &reader, &[]));
    assert_eq!(after(60), []);
}

#[test]
fn a_session_on_which_a_verb_runs_needs_nobody() {
    let Fixture { store, .. } = &fixture();
    let lost = End { exit_status: None, signal: None, cause: EndCause::RuntimeLost };
    end_launch(store, "demo-1", "l1", lost, "");
    assert_eq!(all(store).len(), 1);
    write(store, |tx| operation::begin(tx, &"demo-1".parse()?, Verb::Reconcile, "i").map(|_| ()));
    assert_eq!(all(store).len(), 1, "the process that ran it has ended");
    let owner = Instance::of_this_process("i", "test", Timestamp(T0));
    write(store, move |tx| instance::register(tx, &owner, &[]));
    assert_eq!(all(store), []);
}

#[test]
fn a_host_has_one_item_the_most_severe_and_passes_the_filter_of_its_projects() {
    let Fixture { store, .. } = &fixture();
    observe(store, &open());
    let host = HostState::new("GitHub.com");
    let set = |state: HostState| write(store, move |tx| scm::set_host(tx, &state).map(|_| ()));
    let blocked = HostState {
        blocked_until: Some(Timestamp(T0 + 1)),
        reason: "secondary rate limit".to_owned(),
        ..host.clone()
    };
    set(blocked.clone());
    let expected = (Kind::HostUnreachable, "GitHub.com", "secondary rate limit", None);
    assert_eq!(shown(&all(store)), [expected]);
    set(HostState { credential: Credential::Missing, since: ago(4), ..blocked });
    let filter = Filter { project: Some("demo".parse().unwrap()), ..Filter::default() };
    let expected = (Kind::ObserverDisabled, "GitHub.com", "no credential was found", Some(-4));
    assert_eq!(shown(&list(store, &filter)), [expected]);
    // No facts are read from a host without projects.
    set(HostState { credential: Credential::Invalid, ..HostState::new("other.example.com") });
    assert_eq!(all(store).len(), 1);
}

#[test]
fn stale_facts_are_one_item_of_their_host() {
    let Fixture { store, .. } = &fixture();
    observe(store, &open());
    let later = Timestamp(T0 + 21 * 60_000);
    let items = store.read(|snapshot| attention(snapshot, &Filter::default(), later)).unwrap();
    let text = "no observer reads its pull requests";
    let expected = (Kind::FactsStale, "github.com", text, Some(20 * 60_000));
    assert_eq!((shown(&items), items[0].count), (vec![expected], Some(1)));
}

#[test]
fn what_cannot_be_read_and_stranded_consumers_are_listed() {
    let Fixture { store, dir } = &fixture();
    observe(store, &open());
    write(store, |tx| {
        let id: PrId = "github.com/octo/hello#7".parse()?;
        let poll =
            PrPoll { problem: Problem::Forbidden, problem_since: ago(7), ..PrPoll::default() };
        scm::set_poll(tx, &id, &poll)?;
        let repo = RepoState {
            access: Access::Missing,
            access_since: ago(6),
            ..RepoState::new("github.com", "octo/hello")
        };
        scm::set_repo(tx, &repo)?;
        let new = consumer::NewConsumer {
            name: "indexer".parse()?,
            start: tx.head()?,
            filter: "{}".to_owned(),
            policy: consumer::Policy::Block,
        };
        consumer::create(tx, &new).map(|_| ())
    });
    raw(&dir.path().join("ao.db")).execute_batch("UPDATE log_meta SET epoch = epoch + 1").unwrap();
    let items = all(store);
    let kinds: Vec<_> = shown(&items).iter().map(|it| (it.0, it.1, it.3)).collect();
    let expected = [
        (Kind::RepoUnreadable, "octo/hello", Some(-6)),
        (Kind::PrUnreadable, "octo/hello#7", Some(-7)),
        (Kind::ConsumerStranded, "indexer", None),
    ];
    assert_eq!(kinds, expected);
    assert!(items[2].text.contains("epoch"), "{}", items[2].text);
    let filter = Filter { project: Some("demo".parse().unwrap()), ..Filter::default() };
    assert_eq!(list(store, &filter).len(), 2, "a consumer belongs to no project");
}

/// Two projects may have origins that are the same repository under its old and its new name.
#[test]
fn a_renamed_repository_is_one_item_and_passes_the_filter_of_each_of_its_projects() {
    let Fixture { store, dir } = &fixture();
    observe(store, &open());
    let copy = "INSERT INTO project (id, path, name, origin_url, host, repo, default_branch,
            created_at, updated_at)
        SELECT 'other', path || '-2', name, origin_url, host, 'octo/renamed', default_branch,
            created_at, updated_at FROM project WHERE id = 'demo'";
    raw(&dir.path().join("ao.db")).execute_batch(copy).unwrap();
    write(store, |tx| {
        for (repo, since) in [("octo/hello", 6), ("octo/renamed", 5)] {
            let state = RepoState {
                name: "octo/renamed".to_owned(),
                access: Access::Missing,
                access_since: ago(since),
                ..RepoState::new("github.com", repo)
            };
            scm::set_repo(tx, &state)?;
        }
        Ok(())
    });
    let text = "the host does not know it, or the token may not see it";
    let expected = [(Kind::RepoUnreadable, "octo/renamed", text, Some(-6))];
    assert_eq!(shown(&all(store)), expected);
    for project in ["demo", "other"] {
        let filter = Filter { project: Some(project.parse().unwrap()), ..Filter::default() };
        assert_eq!(shown(&list(store, &filter)), expected, "{project}");
    }
}
