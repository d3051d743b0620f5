//! Waiting for a condition of sessions: on the change itself, with levels and with cursors.

use std::thread;
use std::time::Duration;

use ao_cdc::{Condition, Outcome, Wait};
use ao_store::activity::{DecisionKind, Evidence, Signal, Source};
use ao_store::row::evidence::{self, Report};
use ao_store::row::launch::{self, End, EndCause, LaunchKind, NewLaunch, PromptStage};
use ao_store::row::lifecycle::spawn;
use ao_store::row::session;
use ao_store::{Cursor, Options, SessionId, Store, Timestamp};

use crate::support::{Fixture, SOON, add_sessions, cause, in_time};

fn id(text: &str) -> SessionId {
    text.parse().unwrap()
}

/// Starts a launch of a session, of which nothing is known yet.
fn start(store: &Store, session: &str, launch: &str) {
    let (session, launch) = (id(session), launch.to_owned());
    let work = move |tx: &ao_store::Tx<'_>| {
        let session = session::require(tx, &session)?;
        let new = NewLaunch {
            id: launch,
            kind: LaunchKind::Fresh,
            instance: "i1".to_owned(),
            boot_id: "b".to_owned(),
            native_id: String::new(),
            prompt_stage: PromptStage::None,
            reports: true,
        };
        launch::begin(tx, &session, &new).map(|_| ())
    };
    store.write(cause("test"), work).unwrap();
}

/// Records what is reported of a launch; the cursor after it.
fn report(store: &Store, launch: &str, signal: Signal) -> Cursor {
    let at = Timestamp::now();
    let evidence = Evidence { source: Source::Hook, at, seen: None, signal };
    let report = Report::of(launch, Some(evidence));
    store.write(cause("test"), move |tx| evidence::record(tx, &report)).unwrap().cursor
}

fn end(store: &Store, launch: &str, exit_status: i32) {
    let end = End { exit_status: Some(exit_status), signal: None, cause: EndCause::Exited };
    let launch = launch.to_owned();
    store.write(cause("test"), move |tx| launch::ended(tx, &launch, end, "")).unwrap();
}

fn terminate(store: &Store, session: &str) {
    let session = id(session);
    let work = move |tx: &ao_store::Tx<'_>| spawn::terminate(tx, &session, "killed", "test");
    store.write(cause("test"), work).unwrap();
}

/// A store with sessions that have launches `l1`, `l2`, ….
fn fixture(sessions: usize) -> Fixture {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", sessions - 1);
    for number in 1..=sessions {
        start(&fixture.store, &format!("demo-{number}"), &format!("l{number}"));
    }
    fixture
}

fn wait(store: &Store, sessions: &[&str], wanted: &[Condition], after: Option<Cursor>) -> Wait {
    let sessions: Vec<_> = sessions.iter().map(|it| id(it)).collect();
    Wait::open(store, &sessions, wanted, after).unwrap()
}

/// The next outcome in words.
fn next(wait: &mut Wait) -> String {
    match wait.next_within(SOON).unwrap().expect("an outcome in time") {
        Outcome::Met { session, condition, reason, .. } => {
            format!("{session} {}: {reason}", condition.as_str())
        }
        Outcome::Lost { session, reason } => format!("{session} lost: {reason}"),
    }
}

fn nothing(wait: &mut Wait) {
    assert_eq!(wait.next_within(Duration::ZERO).unwrap(), None);
}

#[test]
fn what_is_so_already_counts_and_what_is_not_is_waited_for() {
    let fixture = fixture(2);
    report(&fixture.store, "l2", Signal::TurnEnded);
    let mut waiting = wait(&fixture.store, &["demo-1", "demo-2"], &[Condition::Idle], None);
    assert_eq!(next(&mut waiting), "demo-2 idle: idle");
    nothing(&mut waiting);
    assert_eq!(waiting.pending(), [id("demo-1")]);
    report(&fixture.store, "l1", Signal::TurnStarted);
    nothing(&mut waiting);
    report(&fixture.store, "l1", Signal::TurnEnded);
    assert_eq!(next(&mut waiting), "demo-1 idle: idle");
    assert!(waiting.is_over());
    nothing(&mut waiting);
}

/// Another handle is like another process.
#[test]
fn a_commit_of_another_writer_ends_the_wait() {
    let fixture = fixture(1);
    let path = fixture.path().to_owned();
    let mut waiting = wait(&fixture.store, &["demo-1"], &[Condition::Waiting], None);
    nothing(&mut waiting);
    let waiter = thread::spawn(move || in_time(move || next(&mut waiting)));
    let other = Store::open(&path, Options::default()).unwrap();
    report(&other, "l1", Signal::Asked { kind: DecisionKind::Permission, call: String::new() });
    assert_eq!(waiter.join().unwrap(), "demo-1 waiting: waiting: permission");
}

#[test]
fn a_blocked_agent_waits_for_a_person_too_and_a_limited_one_for_its_limit() {
    let fixture = fixture(3);
    let asked = Signal::Asked { kind: DecisionKind::Trust, call: String::new() };
    report(&fixture.store, "l1", asked);
    report(&fixture.store, "l2", Signal::TurnFailed("failed_request".to_owned()));
    report(&fixture.store, "l3", Signal::Limited(None));
    let all = ["demo-1", "demo-2", "demo-3"];
    let mut waiting = wait(&fixture.store, &all, &[Condition::Waiting], None);
    assert_eq!(next(&mut waiting), "demo-1 waiting: blocked: trust");
    assert_eq!(next(&mut waiting), "demo-2 waiting: blocked: failed_request");
    nothing(&mut waiting);
}

#[test]
fn after_a_cursor_only_later_evidence_counts_also_if_it_is_past() {
    let fixture = fixture(1);
    let before = report(&fixture.store, "l1", Signal::TurnEnded);
    let mut waiting = wait(&fixture.store, &["demo-1"], &[Condition::Idle], Some(before));
    nothing(&mut waiting);
    // A change of something else is no evidence.
    fixture.commit();
    nothing(&mut waiting);
    report(&fixture.store, "l1", Signal::TurnStarted);
    let met = report(&fixture.store, "l1", Signal::TurnEnded);
    report(&fixture.store, "l1", Signal::TurnStarted);
    let outcome = waiting.next_within(SOON).unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Met { cursor, .. } if cursor == met), "{outcome:?}");
    // The same of a wait that begins only now.
    let mut late = wait(&fixture.store, &["demo-1"], &[Condition::Idle], Some(before));
    assert_eq!(next(&mut late), "demo-1 idle: idle");
    let mut level = wait(&fixture.store, &["demo-1"], &[Condition::Idle], None);
    nothing(&mut level);
}

#[test]
fn the_end_of_an_agent_ends_each_wait() {
    let fixture = fixture(1);
    let open = |wanted: &[Condition]| wait(&fixture.store, &["demo-1"], wanted, None);
    let (mut idle, mut exited) = (open(&[Condition::Idle]), open(&[Condition::Exited]));
    let mut either = open(&[Condition::Waiting, Condition::Exited]);
    let mut pr = open(&[Condition::Pr]);
    for waiting in [&mut idle, &mut exited, &mut either, &mut pr] {
        nothing(waiting);
    }
    let before = fixture.head();
    end(&fixture.store, "l1", 3);
    assert_eq!(next(&mut idle), "demo-1 lost: its agent exited with status 3");
    assert_eq!(next(&mut exited), "demo-1 exited: its agent exited with status 3");
    assert_eq!(next(&mut either), "demo-1 exited: its agent exited with status 3");
    // Somebody else can still open one.
    nothing(&mut pr);
    // An end is final: it counts after a later cursor, too.
    let exited = [Condition::Exited];
    let mut later = wait(&fixture.store, &["demo-1"], &exited, Some(fixture.head()));
    assert_eq!(next(&mut later), "demo-1 exited: its agent exited with status 3");
    // One that was started again has ended after the earlier cursor, and can be idle again.
    start(&fixture.store, "demo-1", "l9");
    let mut past = wait(&fixture.store, &["demo-1"], &exited, Some(before));
    assert_eq!(next(&mut past), "demo-1 exited: its agent exited with status 3");
    let mut idle = wait(&fixture.store, &["demo-1"], &[Condition::Idle], Some(before));
    nothing(&mut idle);
    report(&fixture.store, "l9", Signal::TurnEnded);
    assert_eq!(next(&mut idle), "demo-1 idle: idle");
}

#[test]
fn a_terminated_session_meets_nothing_but_its_end() {
    let fixture = fixture(1);
    let open = |wanted: Condition| wait(&fixture.store, &["demo-1"], &[wanted], None);
    let all = [Condition::Idle, Condition::Waiting, Condition::Pr, Condition::Ci];
    let mut waits = all.map(open);
    let mut exited = open(Condition::Exited);
    waits.iter_mut().for_each(nothing);
    nothing(&mut exited);
    terminate(&fixture.store, "demo-1");
    for waiting in &mut waits {
        assert_eq!(next(waiting), "demo-1 lost: terminated: killed");
    }
    assert_eq!(next(&mut exited), "demo-1 exited: terminated: killed");
}

#[test]
fn an_unknown_or_deleted_session_and_an_unusable_cursor_are_errors() {
    let fixture = Fixture::with_changes(2);
    let open =
        |name: &str, after| Wait::open(&fixture.store, &[id(name)], &[Condition::Idle], after);
    assert_eq!(open("demo-7", None).unwrap_err().code().name(), "SESSION_NOT_FOUND");
    let future = Some("1-999".parse().unwrap());
    assert_eq!(open("demo-1", future).unwrap_err().code().name(), "CURSOR_IN_FUTURE");
    let mut waiting = open("demo-1", None).unwrap();
    nothing(&mut waiting);
    fixture.store.write(cause("test"), |tx| session::delete(tx, &id("demo-1"))).unwrap();
    let error = waiting.next_within(SOON).unwrap_err();
    assert_eq!(error.code().name(), "SESSION_NOT_FOUND");
}
