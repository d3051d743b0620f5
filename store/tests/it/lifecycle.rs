//! The rows that a verb of the session lifecycle writes: seeds, operations and their owners, launches,
//! termination, and the machine on which all of it runs.

use std::thread;

use ao_store::lease::Owner;
use ao_store::log::as_of;
use ao_store::row::launch::{self, End, EndCause, LaunchKind, NewLaunch, OUTPUT_MAX, PromptStage};
use ao_store::row::lifecycle::cleanup::{self, Cleanup};
use ao_store::row::lifecycle::instance::{self, Instance};
use ao_store::row::lifecycle::machine;
use ao_store::row::lifecycle::operation::{self, Operation, Verb};
use ao_store::row::lifecycle::spawn::{self, NewSpawn, Start};
use ao_store::row::session::{self, Deleted, Session, SessionKind};
use ao_store::transfer::{OnBad, import};
use ao_store::{Code, Error, Options, Result, SessionId, Store, Timestamp, Tx};

use crate::support::{
    Fixture, T0, add_session, assert_sound, cause, changes, code, fixture, head, info, kinds_of,
    new_session, observation, observe, raw,
};

pub(crate) fn write<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
) -> T {
    store.write(cause(), work).unwrap().value
}

fn id(text: &str) -> SessionId {
    text.parse().unwrap()
}

fn get(store: &Store, session: &SessionId) -> Session {
    store.read(|snapshot| session::require(snapshot, session)).unwrap()
}

fn start() -> Start {
    let argv = vec!["a b".to_owned(), "--x".to_owned()];
    Start { prompt: "fix \u{e9}".to_owned(), argv, is_silent: true }
}

fn try_seed(
    store: &Store,
    kind: SessionKind,
    replaces: Option<SessionId>,
) -> Result<Session, Error> {
    let new = new_session("demo", kind, "");
    let spawn = NewSpawn {
        model: String::new(),
        permission: String::new(),
        parent: None,
        instance: "i".to_owned(),
        runtime: "process".to_owned(),
        start: start(),
        replaces,
    };
    let place = |id: &SessionId| (format!("ao/{id}/root"), format!("/w/{id}"));
    Ok(store.write(cause(), move |tx| spawn::seed(tx, &new, &spawn, place))?.value)
}

pub(crate) fn seed(store: &Store) -> Session {
    try_seed(store, SessionKind::Worker, None).unwrap()
}

pub(crate) fn begin(store: &Store, session: &SessionId, launch: &str) {
    let (session, id) = (session.clone(), launch.to_owned());
    let (instance, boot_id, native_id) = ("i".to_owned(), "b".to_owned(), String::new());
    let (kind, prompt_stage) = (LaunchKind::Prompt, PromptStage::Pending);
    let new = NewLaunch { id, kind, instance, boot_id, native_id, prompt_stage, reports: false };
    write(store, move |tx| launch::begin(tx, &session::require(tx, &session)?, &new));
}

pub(crate) fn end(
    store: &Store,
    launch: &str,
    cause: EndCause,
    status: Option<i32>,
    tail: &str,
) -> bool {
    let (id, tail) = (launch.to_owned(), tail.to_owned());
    let end = End { exit_status: status, signal: None, cause };
    write(store, move |tx| launch::ended(tx, &id, end, &tail))
}

/// Registers an instance of this process, with the parts of its identity that differ.
fn register(store: &Store, id: &str, change: impl FnOnce(&mut Instance)) {
    let mut new = Instance::of_this_process(id, "test", Timestamp(T0));
    change(&mut new);
    let dead = store.read(instance::dead).unwrap();
    write(store, move |tx| instance::register(tx, &new, &dead));
}

/// The identity of a process that had the id of this one before it.
fn ended_process() -> String {
    Owner::this_process().to_string().replace("started:", "started:9")
}

fn try_begin(store: &Store, session: &str, instance: &str) -> Result<Option<Operation>, Error> {
    let (session, instance) = (id(session), instance.to_owned());
    let begun =
        store.write(cause(), move |tx| operation::begin(tx, &session, Verb::Kill, &instance))?;
    Ok(begun.value)
}

#[test]
fn a_seed_has_what_it_is_started_with_outside_of_the_log() {
    let Fixture { store, dir: _dir } = fixture();
    let row = seed(&store);
    assert_eq!((row.branch.as_str(), row.worktree_path.as_str()), ("ao/demo-3/root", "/w/demo-3"));
    assert_eq!((row.prompt_bytes, row.is_external(), row.is_empty()), (6, false, true));
    assert!(row.prompt_digest.starts_with("sha256:"));
    assert_eq!(store.read(|s| spawn::start(s, &row.id)).unwrap(), start());
    assert_eq!(store.read(|s| spawn::start(s, &id("demo-1"))).unwrap(), Start::default());
    let running = store.read(|s| operation::get(s, &row.id)).unwrap().unwrap();
    assert_eq!((running.verb, running.instance.as_str()), (Verb::Spawn, "i"));
    assert!(!changes(&store).pop().unwrap().after().unwrap().contains("fix \u{e9}"));
    assert_sound(&store);
}

#[test]
fn a_deleted_seed_is_logged_after_its_launches_and_keeps_its_number() {
    let Fixture { store, dir } = fixture();
    let row = seed(&store);
    begin(&store, &row.id, "l1");
    end(&store, "l1", EndCause::ExecFailed, None, "no such file");
    let gone = row.id.clone();
    let kinds = kinds_of(&store, || {
        assert_eq!(write(&store, move |tx| session::delete(tx, &gone)), Deleted::Deleted);
    });
    assert_eq!(kinds, ["launch_deleted", "session_deleted"], "children come first");
    let conn = raw(&dir.path().join("ao.db"));
    for table in ["launch", "launch_output", "session_start", "session_operation"] {
        assert_eq!(crate::support::number(&conn, &format!("SELECT count(*) FROM {table}")), 0);
    }
    assert_eq!(seed(&store).id, id("demo-4"));
    assert_sound(&store);
}

#[test]
fn a_session_that_was_spawned_or_owns_a_pull_request_is_no_seed() {
    let Fixture { store, dir: _dir } = fixture();
    let (marked, owner) = (seed(&store).id, seed(&store).id);
    let session = marked.clone();
    write(&store, move |tx| spawn::mark(tx, &session));
    let mut seen = observation(T0);
    (seen.pr, seen.session) = ("octo/hello#8".parse().unwrap(), Some(owner.clone()));
    observe(&store, &seen);
    let start = head(&store);
    for session in [marked, owner] {
        assert_eq!(write(&store, move |tx| session::delete(tx, &session)), Deleted::NotSeed);
    }
    assert_eq!(head(&store), start);
}

#[test]
fn of_two_verbs_at_once_one_runs_until_it_ends() {
    let Fixture { store, dir } = fixture();
    let other = Store::open(&dir.path().join("ao.db"), Options::default()).unwrap();
    register(&store, "a", |_| {});
    register(&store, "b", |_| {});
    let results = thread::scope(|scope| {
        let first = scope.spawn(|| try_begin(&store, "demo-1", "a"));
        let second = scope.spawn(|| try_begin(&other, "demo-1", "b"));
        [first.join().unwrap(), second.join().unwrap()]
    });
    let refused = results.into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(refused.iter().map(Error::code).collect::<Vec<_>>(), [Code::SessionBusy]);
    let running = store.read(|s| operation::get(s, &id("demo-1"))).unwrap().unwrap();
    assert!(!store.read(|s| running.is_abandoned(s)).unwrap());
    let (owner, stranger) = if running.instance == "a" { ("a", "b") } else { ("b", "a") };
    write(&store, move |tx| operation::end(tx, &id("demo-1"), stranger));
    assert_eq!(code(try_begin(&store, "demo-1", stranger)), Code::SessionBusy);
    write(&store, move |tx| operation::end(tx, &id("demo-1"), owner));
    assert_eq!(try_begin(&store, "demo-1", stranger).unwrap(), None);
}

#[test]
fn an_operation_of_a_dead_instance_is_taken_over_once() {
    let dead: [fn(&mut Instance); 2] =
        [|it| it.owner = ended_process(), |it| it.boot_id = "another boot".to_owned()];
    for make_dead in dead {
        let Fixture { store, dir: _dir } = fixture();
        register(&store, "dead", make_dead);
        assert_eq!(try_begin(&store, "demo-1", "dead").unwrap(), None);
        register(&store, "a", |_| {});
        let abandoned = try_begin(&store, "demo-1", "a").unwrap().unwrap();
        assert_eq!(abandoned.instance, "dead", "nothing was written");
        let take = |to: &'static str| {
            write(&store, move |tx| operation::hand_over(tx, &id("demo-1"), "dead", to))
        };
        assert!(take("a"));
        assert!(!take("b"), "a was faster");
        let running = store.read(|s| operation::get(s, &id("demo-1"))).unwrap().unwrap();
        assert_eq!((running.verb, running.instance.as_str()), (Verb::Kill, "a"));
        write(&store, |tx| operation::hand_over(tx, &id("demo-1"), "a", "nobody"));
        assert!(try_begin(&store, "demo-1", "b").unwrap().is_some(), "it is abandoned");
    }
}

#[test]
fn registering_deletes_the_dead_instances_only() {
    let Fixture { store, dir: _dir } = fixture();
    register(&store, "live", |_| {});
    register(&store, "ended", |it| it.owner = ended_process());
    register(&store, "booted", |it| it.boot_id = "another boot".to_owned());
    register(&store, "elsewhere", |it| it.owner = "pid:1 started:1 place:other/1".to_owned());
    register(&store, "last", |_| {});
    let found = |name: &str| store.read(|s| instance::get(s, name)).unwrap().is_some();
    let kept = ["live", "ended", "booted", "elsewhere", "last"].map(found);
    assert_eq!(kept, [true, false, false, true, true]);
}

#[test]
fn a_launch_starts_once_and_its_first_cause_stays() {
    let Fixture { store, dir: _dir } = fixture();
    let row = seed(&store);
    begin(&store, &row.id, "l1");
    let started = || write(&store, |tx| launch::started(tx, "l1", "pid:1", 7));
    assert!(started());
    assert!(!started(), "it was no news");
    assert!(end(&store, "l1", EndCause::Stopped, None, ""));
    assert!(!end(&store, "l1", EndCause::Exited, Some(3), "late"));
    assert!(!end(&store, "l1", EndCause::Exited, Some(4), ""));
    let found = store.read(|s| launch::get(s, "l1")).unwrap().unwrap();
    assert_eq!((found.end_cause(), found.exit_status), (Some(EndCause::Stopped), Some(3)));
    assert_eq!(store.read(|s| launch::output(s, "l1")).unwrap().unwrap(), "late");
    assert_eq!(get(&store, &row.id).activity.as_str(), "unknown", "a verb stopped it");
    begin(&store, &row.id, "l2");
    end(&store, "l2", EndCause::ExecFailed, None, "");
    assert!(!write(&store, |tx| launch::started(tx, "l2", "pid:1", 7)), "it has ended");
    let listed = store.read(|s| launch::of_session(s, &row.id)).unwrap();
    assert_eq!(listed.iter().map(|it| it.num).collect::<Vec<_>>(), [1, 2]);
    assert!(!end(&store, "ghost", EndCause::Exited, Some(0), "x"), "there is no such launch");
}

#[test]
fn the_end_of_an_earlier_launch_says_nothing_about_the_session() {
    let Fixture { store, dir: _dir } = fixture();
    let row = seed(&store);
    begin(&store, &row.id, "l1");
    begin(&store, &row.id, "l2");
    let before = get(&store, &row.id);
    assert_eq!(
        kinds_of(&store, || assert!(end(&store, "l1", EndCause::Exited, Some(1), ""))),
        ["launch_ended"]
    );
    assert_eq!(get(&store, &row.id), before);
    end(&store, "l2", EndCause::Exited, Some(1), "");
    assert_eq!(get(&store, &row.id).activity.as_str(), "exited");
}

#[test]
fn the_output_is_cut_to_its_end_between_two_characters() {
    let Fixture { store, dir: _dir } = fixture();
    let row = seed(&store);
    begin(&store, &row.id, "l1");
    let text = format!("begin{}", "\u{20ac}".repeat(OUTPUT_MAX));
    end(&store, "l1", EndCause::Exited, Some(0), &text);
    let kept = store.read(|s| launch::output(s, "l1")).unwrap().unwrap();
    assert!(text.ends_with(&kept));
    assert!((OUTPUT_MAX - 2..=OUTPUT_MAX).contains(&kept.len()), "{}", kept.len());
}

#[test]
fn an_orchestrator_returns_only_while_there_is_no_other() {
    let Fixture { store, dir: _dir } = fixture();
    let kind = SessionKind::Orchestrator;
    let first = try_seed(&store, kind, None).unwrap().id;
    assert_eq!(code(try_seed(&store, kind, None)), Code::OrchestratorActive);
    let terminate = |session: &SessionId| {
        let session = session.clone();
        write(&store, move |tx| spawn::terminate(tx, &session, "test", "me"))
    };
    assert!(terminate(&first));
    assert!(!terminate(&first), "it was terminated before");
    let second = try_seed(&store, kind, None).unwrap().id;
    let revive = || {
        let row = get(&store, &first);
        store.write(cause(), move |tx| {
            spawn::check_revival(tx, &row)?;
            spawn::revive(tx, &row.id)
        })
    };
    assert_eq!(code(revive()), Code::OrchestratorActive);
    terminate(&second);
    revive().unwrap();
    let row = get(&store, &first);
    assert_eq!(
        (row.is_terminated, row.terminated_at, row.terminated_by.as_str()),
        (false, None, "")
    );
}

#[test]
fn a_replacement_terminates_and_seeds_in_one_transaction_or_neither() {
    let Fixture { store, dir: _dir } = fixture();
    let kind = SessionKind::Orchestrator;
    let old = try_seed(&store, kind, None).unwrap().id;
    let start = head(&store);
    let new = try_seed(&store, kind, Some(old.clone())).unwrap().id;
    let made = crate::support::changes_after(&store, start);
    assert_eq!(
        made.iter().map(|it| it.kind()).collect::<Vec<_>>(),
        ["session_terminated", "session_created"]
    );
    assert_eq!(made[0].tx, made[1].tx);
    let replacing = store.read(|s| operation::replacing(s, &old)).unwrap().unwrap();
    assert_eq!(replacing.session, new);
    set_max_live(&store, "1");
    assert_eq!(code(try_seed(&store, kind, Some(new.clone()))), Code::AdmissionLimit);
    assert!(!get(&store, &new).is_terminated, "the refused one changed nothing");
}

fn set_max_live(store: &Store, limit: &str) {
    raw(store.path()).execute(&format!("UPDATE project SET max_live = {limit}"), []).unwrap();
}

#[test]
fn concurrent_seeds_do_not_exceed_the_limit() {
    let Fixture { store, dir } = fixture();
    set_max_live(&store, "5");
    let results = thread::scope(|scope| {
        let threads = [0; 8].map(|_| {
            let path = dir.path().join("ao.db");
            scope.spawn(move || {
                let store = Store::open(&path, Options::default()).unwrap();
                try_seed(&store, SessionKind::Worker, None).map(|_| ())
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    let refused = results.into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(refused.len(), 5, "two sessions were there, and three more fit");
    assert!(refused.iter().all(|error| error.code() == Code::AdmissionLimit), "{refused:?}");
}

#[test]
fn a_machine_is_confirmed_until_another_machine_or_epoch() {
    let Fixture { store, dir } = fixture();
    let is_confirmed = |store: &Store, machine: &str| {
        store.read(|snapshot| machine::is_confirmed(snapshot, machine)).unwrap()
    };
    assert!(is_confirmed(&store, "m"), "nothing was recorded yet");
    let confirm = |store: &Store| write(store, |tx| machine::confirm(tx, "m"));
    confirm(&store);
    assert!(is_confirmed(&store, "m") && !is_confirmed(&store, "other"));
    let target = dir.path().join("new.db");
    let mut bytes = Vec::new();
    store.export(&mut bytes).unwrap();
    import(&target, &mut &bytes[..], OnBad::Refuse).unwrap();
    let copy = Store::open(&target, Options::default()).unwrap();
    assert!(!is_confirmed(&copy, "m"), "an import begins another epoch");
    confirm(&copy);
    assert!(is_confirmed(&copy, "m"));
}

#[test]
fn an_export_holds_what_sessions_need_and_no_verb_that_runs() {
    let Fixture { store, dir } = fixture();
    let row = seed(&store);
    begin(&store, &row.id, "l1");
    end(&store, "l1", EndCause::Exited, Some(2), "last words\n");
    let done = Cleanup {
        is_worktree_removed: true,
        worktree_reason: "clean".to_owned(),
        is_branch_deleted: false,
        branch_reason: "ahead".to_owned(),
        preserved_ref: "refs/ao/x".to_owned(),
        at: Timestamp(T0),
    };
    let (session, stored) = (row.id.clone(), done.clone());
    write(&store, move |tx| cleanup::set(tx, &session, &stored));
    let (target, mut bytes) = (dir.path().join("new.db"), Vec::new());
    store.export(&mut bytes).unwrap();
    import(&target, &mut &bytes[..], OnBad::Refuse).unwrap();
    let copy = Store::open(&target, Options::default()).unwrap();
    assert_eq!(get(&copy, &row.id), get(&store, &row.id));
    assert_eq!(copy.read(launch::all).unwrap(), store.read(launch::all).unwrap());
    assert_eq!(copy.read(|s| launch::output(s, "l1")).unwrap().unwrap(), "last words\n");
    assert_eq!(copy.read(|s| spawn::start(s, &row.id)).unwrap(), start());
    assert_eq!(copy.read(|s| cleanup::get(s, &row.id)).unwrap(), Some(done));
    assert_eq!(copy.read(operation::list).unwrap(), [], "no process of the copy runs it");
    assert_sound(&copy);
}

#[test]
fn the_history_of_a_launch_is_read_as_of_any_cursor() {
    let Fixture { store, dir: _dir } = fixture();
    let row = seed(&store);
    let mut cursors = vec![info(&store).head_cursor()];
    let kinds = kinds_of(&store, || {
        begin(&store, &row.id, "l1");
        cursors.push(info(&store).head_cursor());
        write(&store, |tx| launch::started(tx, "l1", "pid:1", 7));
        write(&store, |tx| launch::set_prompt_stage(tx, "l1", PromptStage::Written));
        cursors.push(info(&store).head_cursor());
        end(&store, "l1", EndCause::Exited, Some(0), "");
        cursors.push(info(&store).head_cursor());
    });
    let updated = "session_updated";
    assert_eq!(
        kinds,
        ["launch_created", updated, "launch_started", "launch_updated", "launch_ended", updated]
    );
    let at = |cursor| {
        let rows = store.read(|snapshot| as_of::with_prefix(snapshot, "launch", cursor, "l1"));
        rows.unwrap().pop().map(|row| {
            let image: serde_json::Value = serde_json::from_str(&row.image).unwrap();
            let text = |name: &str| image[name].as_str().unwrap().to_owned();
            (text("prompt_stage"), text("cause"))
        })
    };
    let state = |stage: &str, cause: &str| Some((stage.to_owned(), cause.to_owned()));
    let expected = [None, state("pending", ""), state("written", ""), state("written", "exited")];
    assert_eq!(cursors.into_iter().map(at).collect::<Vec<_>>(), expected);
    assert_sound(&store);
}

#[test]
fn an_external_session_is_no_seed_of_ours() {
    let Fixture { store, dir: _dir } = fixture();
    let external = get(&store, &add_session(&store, "demo", "x"));
    assert!(external.is_external() && external.is_empty());
    assert_eq!(store.read(|s| operation::get(s, &external.id)).unwrap(), None);
}
