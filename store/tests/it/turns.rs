//! Turns, as one process sees them. The names of the tests begin with the numbers of the statements that
//! they show; `turn_races.rs` shows what holds between processes.

use std::time::Duration;

use ao_store::log::change::Change;
use ao_store::row::account;
use ao_store::row::lifecycle::instance::Instance;
use ao_store::turn::admit::{Admitted, NewTurn, admit};
use ao_store::turn::agent::{self, Agent, Member};
use ao_store::turn::append::{Appended, Response, append};
use ao_store::turn::beat::{Activity, Beat, beat, look};
use ao_store::turn::cancel::{Cancelled, cancel};
use ao_store::turn::claim::{Claim, Claimed, Work, claim, is_ready};
use ao_store::turn::conversation::{self, Caller, Place};
use ao_store::turn::event::{self, Event, Kind};
use ao_store::turn::fail::{Failed, Guard, fail, fail_instance};
use ao_store::turn::finish::{Completion, Finished, Outcome, finish, refused};
use ao_store::turn::org::{self, Provisioned};
use ao_store::turn::reset::reset;
use ao_store::turn::sweep::sweep;
use ao_store::turn::usage::{Count, Usage};
use ao_store::turn::{self, Held, INPUT_MAX, REPLY_MAX, Reason, SNAPSHOT_MAX, State, Turn};
use ao_store::{BootTime, Cause, ClockReading, Code, Error, Store, Timestamp, Tx};

use crate::support::{Fixture, T0, assert_sound, changes_after, code, empty, head, raw};

const SECOND: i64 = 1000;

/// How long a turn of these tests may make no progress.
const SILENCE: Duration = Duration::from_secs(60);

fn member(user: &str) -> Member {
    Member::new("local", user).unwrap()
}

pub(crate) fn place(agent: &str, thread: &str) -> Place {
    Place {
        org: "acme".parse().unwrap(),
        agent: agent.parse().unwrap(),
        member: member("ann"),
        thread: thread.to_owned(),
    }
}

/// A message whose ids follow from the thread and the key.
pub(crate) fn message(thread: &str, key: &str) -> NewTurn {
    NewTurn {
        id: format!("t-{thread}-{key}"),
        place: place("a", thread),
        conversation: format!("c-{thread}"),
        key: key.to_owned(),
        input: format!("message {key}"),
        patience: Duration::from_secs(120),
    }
}

/// The organisations `acme` and `other`, each with an agent `a` of which `ann` is a member.
pub(crate) fn world() -> Fixture {
    let fixture = empty();
    do_at(&fixture.store, 0, |tx| {
        for name in ["acme", "other"] {
            let org = name.parse()?;
            org::add(tx, &org)?;
            agent::add(tx, &Agent::new(org.clone(), "a".parse()?, tx.now()))?;
            agent::add_member(tx, &org, &"a".parse()?, &member("ann"))?;
        }
        Ok(())
    })
    .unwrap();
    fixture
}

fn cause(ms: i64) -> Cause {
    Cause::new("test", Timestamp(T0 + ms))
}

/// Writes at a time, in milliseconds after the first.
fn do_at<T: Send + 'static>(
    store: &Store,
    ms: i64,
    work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    store.write(cause(ms), work).map(|done| done.value)
}

fn admit_at(store: &Store, ms: i64, new: NewTurn) -> Result<Admitted, Error> {
    do_at(store, ms, move |tx| admit(tx, &Caller::Operator, &new))
}

fn send(store: &Store, thread: &str, key: &str) -> Turn {
    match admit_at(store, 0, message(thread, key)).unwrap() {
        Admitted::New(turn) => turn,
        known @ Admitted::Known(_) => panic!("{known:?}"),
    }
}

pub(crate) fn worker(id: &str) -> Instance {
    Instance::of_this_process(id, "worker", Timestamp(T0))
}

fn claim_at(store: &Store, ms: i64, worker: Instance) -> Claimed {
    let wanted = Claim {
        org: "acme".parse().unwrap(),
        agent: "a".parse().unwrap(),
        worker,
        silence: SILENCE,
    };
    do_at(store, ms, move |tx| claim(tx, &wanted)).unwrap()
}

fn take(store: &Store) -> Work {
    match claim_at(store, 0, worker("w1")) {
        Claimed::Got(work) => *work,
        other => panic!("{other:?}"),
    }
}

fn reply(text: &str, snapshot: Option<&str>) -> Completion {
    Completion {
        outcome: Outcome::Reply { text: text.to_owned(), snapshot: snapshot.map(str::to_owned) },
        usage: Usage::default(),
    }
}

fn failure(reason: Reason, text: &str) -> Completion {
    let outcome = Outcome::Failure { reason, text: text.to_owned(), limit_ends_at: None };
    Completion { outcome, usage: Usage::default() }
}

fn finish_at(store: &Store, ms: i64, held: &Held, completion: &Completion) -> Finished {
    let (held, completion) = (held.clone(), completion.clone());
    do_at(store, ms, move |tx| finish(tx, &held, &completion)).unwrap()
}

fn append_as(store: &Store, held: &Held, source: &str, response: Response) -> Appended {
    let (held, source) = (held.clone(), source.to_owned());
    do_at(store, 0, move |tx| append(tx, &held, &source, &response)).unwrap()
}

fn beat_at(store: &Store, ms: i64, held: &Held, activity: Activity) -> Beat {
    let held = held.clone();
    do_at(store, ms, move |tx| beat(tx, &held, activity)).unwrap()
}

fn fail_at(store: &Store, ms: i64, id: &str, guard: Guard) -> Failed {
    let id = id.to_owned();
    do_at(store, ms, move |tx| fail(tx, &id, guard)).unwrap()
}

fn sweep_at(store: &Store, ms: i64) -> Vec<String> {
    let swept = sweep(store, &cause(ms), |_| ()).unwrap();
    assert_eq!(swept.failures, [""; 0]);
    swept.ended
}

fn get(store: &Store, id: &str) -> Turn {
    store.read(|snapshot| turn::require(snapshot, id)).unwrap()
}

fn events(store: &Store, thread: &str) -> Vec<Event> {
    store.read(|snapshot| event::after(snapshot, &format!("c-{thread}"), 0, 1000)).unwrap()
}

fn kinds(store: &Store, thread: &str) -> Vec<(Kind, String)> {
    events(store, thread).into_iter().map(|event| (event.kind, event.text)).collect()
}

fn last_events(store: &Store, thread: &str) -> usize {
    events(store, thread).iter().filter(|event| event.kind.is_last()).count()
}

#[test]
fn a1_a_reply_ends_a_turn_with_one_last_event() {
    let Fixture { store, dir: _dir } = world();
    let turn = send(&store, "", "1");
    assert_eq!((turn.state, turn.num, turn.input_bytes), (State::Queued, 1, 9));
    let work = take(&store);
    assert_eq!((work.input.as_str(), work.snapshot.clone()), ("message 1", None));
    assert_eq!(
        append_as(&store, &work.held, "d1", Response::Delta("he".into())),
        Appended::Stored(3)
    );
    assert_eq!(
        append_as(&store, &work.held, "d2", Response::Delta("llo".into())),
        Appended::Stored(4)
    );
    assert_eq!(finish_at(&store, 5, &work.held, &reply("hello", None)), Finished::Won);
    let ended = get(&store, &turn.id);
    assert_eq!(
        (ended.state, ended.reason, ended.reply_bytes),
        (State::Completed, Reason::None, Some(5))
    );
    assert_eq!(
        kinds(&store, ""),
        [
            (Kind::Status, "accepted".to_owned()),
            (Kind::Status, "running".to_owned()),
            (Kind::Delta, "he".to_owned()),
            (Kind::Delta, "llo".to_owned()),
            (Kind::Complete, "hello".to_owned()),
        ]
    );
    let seqs: Vec<_> = events(&store, "").iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    assert!(matches!(claim_at(&store, 6, worker("w1")), Claimed::Nothing));
    assert_sound(&store);
}

#[test]
fn a2_all_turns_of_a_dead_worker_fail_once() {
    let Fixture { store, dir: _dir } = world();
    let ids = [send(&store, "x", "1").id, send(&store, "y", "1").id];
    let queued = send(&store, "x", "2");
    let (_one, _two) = (take(&store), take(&store));
    let all = |store: &Store| {
        do_at(store, 1, |tx| fail_instance(tx, "w1", Reason::WorkerDied, "it ended")).unwrap()
    };
    assert_eq!((all(&store), all(&store)), (2, 0));
    for (id, thread) in ids.iter().zip(["x", "y"]) {
        let turn = get(&store, id);
        assert_eq!((turn.state, turn.reason), (State::Failed, Reason::WorkerDied));
        assert_eq!(last_events(&store, thread), 1);
    }
    assert_eq!(get(&store, &queued.id).state, State::Queued, "a15: it is not the worker's");
    assert_eq!(take(&store).turn.id, queued.id, "the next worker takes it");
}

#[test]
fn a3_and_a6_a_turn_whose_time_is_over_fails_once() {
    let Fixture { store, dir: _dir } = world();
    let turn = send(&store, "", "1");
    let _work = take(&store);
    assert_eq!(sweep_at(&store, 59 * SECOND), [""; 0]);
    assert_eq!(sweep_at(&store, 60 * SECOND), [turn.id.as_str()]);
    assert_eq!(sweep_at(&store, 60 * SECOND), [""; 0]);
    assert_eq!(fail_at(&store, 61 * SECOND, &turn.id, Guard::Overdue), Failed::Lost);
    assert_eq!(get(&store, &turn.id).reason, Reason::Unresponsive);
    assert_eq!(last_events(&store, ""), 1);
}

#[test]
fn a4_a_turn_that_was_answered_does_not_fail_any_more() {
    let Fixture { store, dir: _dir } = world();
    let turn = send(&store, "", "1");
    let work = take(&store);
    finish_at(&store, 1, &work.held, &reply("done", None));
    for guard in [Guard::Overdue, Guard::OwnerDead] {
        assert_eq!(fail_at(&store, 200 * SECOND, &turn.id, guard), Failed::Lost);
    }
    let late = failure(Reason::NotStarted, "it could not be started");
    assert_eq!(finish_at(&store, 201 * SECOND, &work.held, &late), Finished::Conflict);
    assert_eq!(get(&store, &turn.id).state, State::Completed);
    assert_eq!(last_events(&store, ""), 1, "a20");
    let kept = store.read(|snapshot| refused(snapshot, &turn.id)).unwrap();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].text.contains("not_started"), "{kept:?}");
}

#[test]
fn a5_a_reply_after_the_failure_is_lost() {
    let Fixture { store, dir: _dir } = world();
    let turn = send(&store, "", "1");
    let work = take(&store);
    sweep_at(&store, 60 * SECOND);
    assert_eq!(
        finish_at(&store, 61 * SECOND, &work.held, &reply("late", Some("s"))),
        Finished::Lost
    );
    assert_eq!(append_as(&store, &work.held, "d1", Response::Delta("x".into())), Appended::Lost);
    assert_eq!(beat_at(&store, 61 * SECOND, &work.held, Activity::Working), Beat::Lost);
    assert_eq!(get(&store, &turn.id).state, State::Failed);
    assert_eq!(last_events(&store, ""), 1);
}

#[test]
fn a7_progress_before_the_sweep_saves_a_turn_that_was_late() {
    let Fixture { store, dir: _dir } = world();
    let turn = send(&store, "", "1");
    let work = take(&store);
    assert_eq!(beat_at(&store, 61 * SECOND, &work.held, Activity::Working), Beat::Continue);
    assert_eq!(fail_at(&store, 61 * SECOND, &turn.id, Guard::Overdue), Failed::Lost);
    assert_eq!(finish_at(&store, 62 * SECOND, &work.held, &reply("done", None)), Finished::Won);
}

#[test]
fn a8_the_same_key_in_two_conversations_names_two_turns() {
    let Fixture { store, dir: _dir } = world();
    let (one, two) = (send(&store, "x", "1"), send(&store, "y", "1"));
    assert_ne!(one.id, two.id);
    let work = take(&store);
    finish_at(&store, 1, &work.held, &reply("done", None));
    let states = [get(&store, &one.id).state, get(&store, &two.id).state];
    assert_eq!(states, [State::Completed, State::Queued]);
}

#[test]
fn a10_nothing_of_a_completion_that_fails_half_way_is_stored() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "", "1");
    let next = send(&store, "", "2");
    let work = take(&store);
    let before = head(&store);
    let held = work.held.clone();
    let failed = do_at(&store, 1, move |tx| {
        assert_eq!(finish(tx, &held, &reply("done", Some("memory")))?, Finished::Won);
        Err::<(), _>(Error::Closed)
    });
    assert!(failed.is_err());
    assert_eq!((head(&store), get(&store, &work.turn.id)), (before, work.turn.clone()), "f13");
    assert_eq!(last_events(&store, ""), 0);
    assert!(matches!(claim_at(&store, 2, worker("w1")), Claimed::Nothing));
    assert_eq!(finish_at(&store, 3, &work.held, &reply("done", Some("memory"))), Finished::Won);
    let after = take(&store);
    assert_eq!((after.turn.id, after.snapshot.as_deref()), (next.id, Some("memory")), "f11");
}

#[test]
fn a12_a_turn_that_another_program_ended_leaves_no_clock() {
    let Fixture { store, dir } = world();
    let turn = send(&store, "", "1");
    let sql = "UPDATE turn SET state = 'cancelled', ended_at = 1";
    raw(&dir.path().join("ao.db")).execute_batch(sql).unwrap();
    assert_eq!(sweep_at(&store, 120 * SECOND), [""; 0]);
    assert_eq!(sweep_at(&store, 120 * SECOND), [""; 0]);
    assert!(!store.read(|snapshot| is_ready(snapshot, &turn.org, &turn.agent)).unwrap());
}

#[test]
fn a14_a_repeated_message_is_the_same_turn_for_ever() {
    let Fixture { store, dir: _dir } = world();
    let turn = send(&store, "", "1");
    let repeat = |ms| admit_at(&store, ms, NewTurn { id: format!("t-{ms}"), ..message("", "1") });
    assert_eq!(repeat(1).unwrap(), Admitted::Known(turn.clone()));
    let work = take(&store);
    finish_at(&store, 2, &work.held, &reply("done", None));
    let Admitted::Known(known) = repeat(3).unwrap() else { panic!("it is known") };
    assert_eq!((known.id.as_str(), known.state), (turn.id.as_str(), State::Completed));
    let last = store.read(|snapshot| event::last_of(snapshot, &turn.id)).unwrap();
    assert_eq!(last.unwrap().text, "done");
    let other = NewTurn { input: "another".to_owned(), ..message("", "1") };
    assert_eq!(code(admit_at(&store, 4, other)), Code::TurnKeyUsed);
}

#[test]
fn a19_a_turn_waits_for_a_worker_only_when_it_is_the_next_one() {
    let Fixture { store, dir: _dir } = world();
    let (_first, second) = (send(&store, "", "1"), send(&store, "", "2"));
    let work = take(&store);
    for ms in [50, 100, 150, 190] {
        assert_eq!(beat_at(&store, ms * SECOND, &work.held, Activity::Working), Beat::Continue);
        assert_eq!(sweep_at(&store, ms * SECOND + 1), [""; 0], "the second one waits");
    }
    finish_at(&store, 200 * SECOND, &work.held, &reply("done", None));
    assert_eq!(sweep_at(&store, 319 * SECOND), [""; 0], "its time began at 200 s");
    assert_eq!(sweep_at(&store, 320 * SECOND), [second.id.as_str()]);
    let expired = get(&store, &second.id);
    assert_eq!((expired.state, expired.reason), (State::Expired, Reason::NoWorker));
}

#[test]
fn b6_one_turn_of_a_conversation_runs_and_other_conversations_go_on() {
    let Fixture { store, dir: _dir } = world();
    let ids =
        [("x", "1"), ("x", "2"), ("y", "1")].map(|(thread, key)| send(&store, thread, key).id);
    let (first, second) = (take(&store), take(&store));
    assert_eq!([&first.turn.id, &second.turn.id], [&ids[0], &ids[2]], "b14");
    assert!(matches!(claim_at(&store, 1, worker("w2")), Claimed::Nothing), "no failure, no event");
    assert_eq!(get(&store, &ids[1]).state, State::Queued);
    let db = raw(store.path());
    for sql in [
        format!(
            "UPDATE turn SET state = 'running', owner = 'i', base_version = 0 WHERE id = '{}'",
            ids[1]
        ),
        format!("UPDATE turn SET state = 'queued' WHERE id = '{}'", ids[0]),
    ] {
        assert!(db.execute_batch(&sql).is_err(), "the database refuses {sql}");
    }
}

#[test]
fn a_turn_that_another_program_made_ready_too_early_waits_for_the_one_before_it() {
    let Fixture { store, dir } = world();
    let ids = ["1", "2", "3"].map(|key| send(&store, "", key).id);
    let work = take(&store);
    let sql = "UPDATE turn_clock SET ready_at = 1, boot = 0, deadline_ms = 9000000000000 WHERE turn_id = 't--2';
        UPDATE turn SET state = 'cancelled', ended_at = 1 WHERE id = 't--3';
        UPDATE turn_clock SET ready_at = 2 WHERE turn_id = 't--3'";
    raw(&dir.path().join("ao.db")).execute_batch(sql).unwrap();
    assert!(matches!(claim_at(&store, 1, worker("w2")), Claimed::Nothing));
    finish_at(&store, 2, &work.held, &reply("done", None));
    assert_eq!(take(&store).turn.id, ids[1]);
}

#[test]
fn a_conversation_whose_turns_nobody_answers_takes_no_more_at_a_bound() {
    let Fixture { store, dir } = world();
    send(&store, "", "1");
    raw(&dir.path().join("ao.db"))
        .execute_batch("UPDATE conversation SET last_num = 1000")
        .unwrap();
    send(&store, "", "2");
    assert_eq!(code(admit_at(&store, 0, message("", "3"))), Code::ConversationBusy);
    send(&store, "other", "1");
}

#[test]
fn b13_the_turns_of_a_conversation_are_taken_in_their_order() {
    let Fixture { store, dir: _dir } = world();
    let ids: Vec<_> = (1..=5).map(|num| send(&store, "", &num.to_string()).id).collect();
    for (number, id) in ids.iter().enumerate() {
        let work = take(&store);
        assert_eq!(&work.turn.id, id);
        // Failed or answered, the next one follows.
        let completion = match number % 2 {
            0 => reply("done", None),
            _ => failure(Reason::AgentError, "failed"),
        };
        assert_eq!(finish_at(&store, 1, &work.held, &completion), Finished::Won);
    }
}

#[test]
fn waiting_has_a_time_of_its_own_which_repeating_does_not_extend() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "", "1");
    let work = take(&store);
    for ms in [0, 1800, 3599] {
        assert_eq!(beat_at(&store, ms * SECOND, &work.held, Activity::Waiting), Beat::Continue);
        assert_eq!(sweep_at(&store, ms * SECOND), [""; 0]);
    }
    assert_eq!(sweep_at(&store, 3600 * SECOND).len(), 1);
    assert_eq!(get(&store, &work.turn.id).reason, Reason::Unresponsive);
}

#[test]
fn that_a_worker_lives_extends_nothing() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "", "1");
    let work = take(&store);
    let before = head(&store);
    for _ in 0..100 {
        assert_eq!(store.read(|snapshot| look(snapshot, &work.held)).unwrap(), Beat::Continue);
    }
    assert_eq!(head(&store), before);
    assert_eq!(sweep_at(&store, 60 * SECOND).len(), 1);
}

#[test]
fn a_cancelled_turn_ends_as_cancelled_within_a_bound() {
    let Fixture { store, dir: _dir } = world();
    let ids = [send(&store, "", "1").id, send(&store, "", "2").id, send(&store, "", "3").id];
    let stop = |ms, id: &str| {
        let id = id.to_owned();
        do_at(&store, ms, move |tx| cancel(tx, &Caller::Operator, &id)).unwrap()
    };
    assert_eq!(stop(0, &ids[1]), Cancelled::Now);
    let work = take(&store);
    assert_eq!((stop(1, &ids[0]), stop(2, &ids[0])), (Cancelled::Requested, Cancelled::Requested));
    assert_eq!(store.read(|snapshot| look(snapshot, &work.held)).unwrap(), Beat::Cancel);
    assert_eq!(beat_at(&store, 3, &work.held, Activity::Working), Beat::Cancel);
    assert_eq!(append_as(&store, &work.held, "d1", Response::Delta("x".into())), Appended::Cancel);
    // Its beats stop.
    assert_eq!(sweep_at(&store, 10 * SECOND + 1), [ids[0].as_str()]);
    assert_eq!(get(&store, &ids[0]).state, State::Cancelled);
    assert_eq!(stop(11 * SECOND, &ids[0]), Cancelled::Ended(State::Cancelled));
    let last = take(&store);
    assert_eq!(last.turn.id, ids[2], "the cancelled one is never run");
    stop(12 * SECOND, &ids[2]);
    assert_eq!(
        finish_at(&store, 12 * SECOND, &last.held, &reply("done", Some("s"))),
        Finished::Won
    );
    assert_eq!(get(&store, &ids[2]).state, State::Cancelled);
    send(&store, "", "4");
    assert_eq!(take(&store).snapshot, None, "f2: a cancelled turn leaves no memory");
    assert_eq!(last_events(&store, ""), 3);
}

#[test]
fn f1_and_f2_only_answers_are_remembered() {
    let Fixture { store, dir: _dir } = world();
    let large = "\u{1F600}".repeat(150_000);
    let outcomes = [
        (reply("one", Some("first")), None),
        (failure(Reason::AgentError, "no"), Some("first")),
        (reply("two", Some(large.as_str())), Some("first")),
        (reply("three", None), Some(large.as_str())),
        (reply("four", Some("")), Some(large.as_str())),
        (reply("five", None), None),
    ];
    for (number, (completion, remembered)) in outcomes.iter().enumerate() {
        send(&store, "", &number.to_string());
        let work = take(&store);
        assert_eq!(work.snapshot.as_deref(), *remembered, "{number}");
        assert_eq!(finish_at(&store, 1, &work.held, completion), Finished::Won);
    }
}

#[test]
fn f4_and_i10_a_repeated_completion_is_known_and_another_one_kept_as_evidence() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "", "1");
    let work = take(&store);
    let mut first = reply("done", Some("s"));
    first.usage.input = Count::Reported(7);
    assert_eq!(finish_at(&store, 1, &work.held, &first), Finished::Won);
    let before = head(&store);
    assert_eq!(finish_at(&store, 2, &work.held, &first), Finished::Known);
    for other in [reply("done", None), reply("other", Some("s")), reply("done", Some("s"))] {
        assert_eq!(finish_at(&store, 3, &work.held, &other), Finished::Conflict);
        assert_eq!(finish_at(&store, 4, &work.held, &other), Finished::Conflict);
    }
    assert_eq!(head(&store), before);
    assert_eq!(store.read(|snapshot| refused(snapshot, &work.turn.id)).unwrap().len(), 3);
    assert_eq!(Usage::parse(&get(&store, &work.turn.id).usage).input, Count::Reported(7));
}

#[test]
fn f10_a_snapshot_that_does_not_continue_the_newest_one_is_refused() {
    let Fixture { store, dir } = world();
    send(&store, "", "1");
    let work = take(&store);
    let db = raw(&dir.path().join("ao.db"));
    db.execute_batch("UPDATE conversation SET head_version = 1").unwrap();
    let completion = reply("done", Some("s"));
    assert_eq!(finish_at(&store, 1, &work.held, &completion), Finished::Diverged);
    assert_eq!(get(&store, &work.turn.id).state, State::Running, "nothing was stored");
    let failed = failure(Reason::Diverged, "the snapshot does not continue the newest one");
    assert_eq!(finish_at(&store, 2, &work.held, &failed), Finished::Won);
    let insert = "INSERT INTO conversation_snapshot VALUES ('c-', 1, 'other', 1, 'd', 'x', 1)";
    db.execute_batch(insert).unwrap();
    assert!(db.execute_batch(&insert.replace("other", "third")).is_err(), "one child per parent");
}

#[test]
fn a_text_over_its_limit_is_refused_with_the_limit_and_nothing_ends() {
    let Fixture { store, dir: _dir } = world();
    let long = |limit: usize| "x".repeat(limit + 1);
    let new = NewTurn { input: long(INPUT_MAX), ..message("", "1") };
    let refused = admit_at(&store, 0, new);
    assert_eq!(refused.as_ref().unwrap_err().details()["limit"], INPUT_MAX);
    assert_eq!(code(refused), Code::InputTooLarge);
    for input in ["", "\0"] {
        let new = NewTurn { input: input.to_owned(), ..message("", "1") };
        assert_eq!(admit_at(&store, 0, new).is_ok(), !input.is_empty(), "{input:?}");
    }
    let work = take(&store);
    let held = work.held.clone();
    for completion in [
        reply(&long(REPLY_MAX), None),
        reply("x", Some(&long(SNAPSHOT_MAX))),
        failure(Reason::AgentError, ""),
        failure(Reason::None, "x"),
    ] {
        let held = held.clone();
        assert!(do_at(&store, 1, move |tx| finish(tx, &held, &completion)).is_err());
        assert_eq!(get(&store, &work.turn.id).state, State::Running);
    }
    for response in [Response::Delta(String::new()), Response::Status(long(REPLY_MAX))] {
        let held = held.clone();
        assert!(do_at(&store, 1, move |tx| append(tx, &held, "d", &response)).is_err());
    }
    let largest = failure(Reason::AgentError, &"\u{e9}".repeat(10_000));
    assert_eq!(finish_at(&store, 2, &held, &largest), Finished::Won);
    assert!(events(&store, "").last().unwrap().text.len() <= turn::FAILURE_MAX);
}

#[test]
fn a_repeated_response_is_stored_once_and_another_one_under_its_name_refused() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "", "1");
    let work = take(&store);
    let before = head(&store);
    let all = [
        ("1", Response::Delta("a".into()), Appended::Stored(3)),
        ("1", Response::Delta("a".into()), Appended::Known),
        ("1", Response::Delta("b".into()), Appended::Conflict),
        ("1", Response::Content("a".into()), Appended::Conflict),
        ("2", Response::Content("a".into()), Appended::Stored(4)),
        ("3", Response::Ephemeral("a".into()), Appended::Stored(5)),
        ("4", Response::Status("a".into()), Appended::Stored(6)),
    ];
    for (source, response, expected) in all {
        assert_eq!(append_as(&store, &work.held, source, response), expected, "{source}");
    }
    assert_eq!(head(&store), before, "nothing of it is in the log");
}

#[test]
fn a_thousand_deltas_leave_the_log_alone_and_go_when_their_turn_has_ended() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "", "1");
    let work = take(&store);
    let before = head(&store);
    let held = work.held.clone();
    do_at(&store, 1, move |tx| {
        for number in 0..1000 {
            append(tx, &held, &number.to_string(), &Response::Delta("word ".into()))?;
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(head(&store), before);
    finish_at(&store, SECOND, &work.held, &reply(&"word ".repeat(1000), None));
    let kept = |ms| {
        sweep(&store, &cause(ms), |_| ()).unwrap();
        let deltas = "SELECT count(*) FROM conversation_event WHERE kind = 'delta'";
        crate::support::number(&raw(store.path()), deltas)
    };
    assert_eq!((kept(200 * SECOND), kept(400 * SECOND)), (1000, 0));
    assert_eq!(events(&store, "").last().unwrap().seq, 1003, "the positions stay");
    send(&store, "", "2");
    assert_eq!(events(&store, "").last().unwrap().seq, 1004);
}

#[test]
fn e8_a_client_gets_what_follows_its_position_and_is_told_of_one_that_is_not_there() {
    let Fixture { store, dir: _dir } = world();
    let turn = send(&store, "", "1");
    finish_at(&store, 1, &take(&store).held, &reply("done", None));
    let after = |seq| store.read(|snapshot| event::after(snapshot, &turn.conversation, seq, 2));
    let seqs = |seq| after(seq).unwrap().iter().map(|event| event.seq).collect::<Vec<_>>();
    assert_eq!((seqs(0), seqs(2), seqs(3)), (vec![1, 2], vec![3], vec![]));
    assert_eq!(code(after(4)), Code::CursorFuture);
}

#[test]
fn a_reset_begins_without_memory_and_deletes_nothing() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "", "1");
    let work = take(&store);
    let do_reset = |ms| do_at(&store, ms, |tx| reset(tx, &Caller::Operator, "c-"));
    assert_eq!(code(do_reset(1)), Code::ConversationBusy);
    finish_at(&store, 2, &work.held, &reply("done", Some("s")));
    assert_eq!(do_reset(3).unwrap(), 2);
    send(&store, "", "2");
    let next = take(&store);
    assert_eq!((next.snapshot, next.turn.base_version), (None, Some(2)));
    assert_eq!(finish_at(&store, 4, &next.held, &reply("done", Some("t"))), Finished::Won);
    let versions =
        crate::support::number(&raw(store.path()), "SELECT count(*) FROM conversation_snapshot");
    assert_eq!(versions, 3);
}

#[test]
fn a_limit_of_the_account_stops_claims_until_it_ends() {
    let Fixture { store, dir: _dir } = world();
    let sql = "UPDATE agent SET account = 'codex/work'";
    raw(store.path()).execute_batch(sql).unwrap();
    for thread in ["x", "y"] {
        send(&store, thread, "1");
    }
    let work = take(&store);
    let mut limited = failure(Reason::Limited, "try again at noon");
    if let Outcome::Failure { limit_ends_at, .. } = &mut limited.outcome {
        *limit_ends_at = Some(Timestamp(T0 + 10 * SECOND));
    }
    assert_eq!(finish_at(&store, 1, &work.held, &limited), Finished::Won);
    let claimed = claim_at(&store, 2, worker("w1"));
    assert!(matches!(&claimed, Claimed::Limited(limit) if limit.message == "try again at noon"));
    let Claimed::Got(next) = claim_at(&store, 10 * SECOND, worker("w1")) else {
        panic!("the limit has ended")
    };
    assert_eq!(finish_at(&store, 11 * SECOND, &next.held, &reply("done", None)), Finished::Won);
    assert_eq!(store.read(account::limits).unwrap(), [], "an answer shows that it has ended");
}

#[test]
fn a_jump_of_the_wall_clock_ends_nothing_and_a_start_of_the_machine_what_ran() {
    let Fixture { store, dir: _dir } = world();
    let reading = |at, boot, ms| ClockReading {
        at: Timestamp(T0 + at),
        boot: Some(BootTime { boot, ms, awake_ms: ms }),
    };
    let hour = 3600 * SECOND;
    let write = |reading: ClockReading, thread: &'static str| {
        let new = message(thread, "1");
        store.write(Cause::new("test", reading), move |tx| admit(tx, &Caller::Operator, &new))
    };
    write(reading(0, 1, 0), "x").unwrap();
    write(reading(0, 1, 0), "y").unwrap();
    let wanted = Claim {
        org: "acme".parse().unwrap(),
        agent: "a".parse().unwrap(),
        worker: worker("w1"),
        silence: SILENCE,
    };
    store.write(Cause::new("test", reading(0, 1, 0)), move |tx| claim(tx, &wanted)).unwrap();
    let ended = |reading| {
        let swept = sweep(&store, &Cause::new("test", reading), |_| ()).unwrap();
        swept.ended
    };
    assert_eq!(ended(reading(hour, 1, SECOND)), [""; 0], "set forward");
    assert_eq!(ended(reading(-hour, 1, 2 * SECOND)), [""; 0], "set back");
    assert_eq!(ended(reading(0, 2, 0)), ["t-x-1"], "the one that ran");
    assert_eq!(get(&store, "t-x-1").reason, Reason::WorkerDied);
    assert_eq!(get(&store, "t-y-1").state, State::Queued, "the other one waits anew");
    assert_eq!(ended(reading(0, 2, 119 * SECOND)), [""; 0]);
    assert_eq!(ended(reading(0, 2, 120 * SECOND)), ["t-y-1"]);
}

#[test]
fn a_worker_that_ended_is_found_and_its_processes_stopped_first() {
    let Fixture { store, dir: _dir } = world();
    let turn = send(&store, "", "1");
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    let mut instance = worker("w1");
    let pid = format!("pid:{} ", std::process::id());
    instance.owner = instance.owner.replace(&pid, &format!("pid:{} ", gone.id()));
    gone.wait().unwrap();
    assert!(matches!(claim_at(&store, 0, instance), Claimed::Got(_)));
    let mut stopped = Vec::new();
    let swept = sweep(&store, &cause(1), |id| stopped.push((id.to_owned(), get(&store, id).state)));
    assert_eq!(swept.unwrap().ended, [turn.id.as_str()]);
    assert_eq!(stopped, [(turn.id.clone(), State::Running)]);
    assert_eq!(get(&store, &turn.id).reason, Reason::WorkerDied);
}

#[test]
fn the_log_has_the_facts_of_a_turn_and_one_change_of_its_conversation_per_commit() {
    let Fixture { store, dir: _dir } = world();
    let start = head(&store);
    send(&store, "", "1");
    let work = take(&store);
    finish_at(&store, 1, &work.held, &reply("done", Some("s")));
    let made = changes_after(&store, start);
    let found: Vec<_> = made.iter().map(Change::kind).collect();
    assert_eq!(
        found,
        [
            "conversation_created",
            "turn_accepted",
            "turn_started",
            "turn_completed",
            "conversation_updated",
        ]
    );
    assert!(made.iter().all(|change| change.project().is_none() && change.session().is_none()));
    assert!(made.iter().all(|change| !change.after().unwrap().contains("message")));
}

#[test]
fn d5_and_d6_who_may_not_see_something_is_told_what_is_told_of_nothing() {
    let Fixture { store, dir: _dir } = world();
    let turn = send(&store, "", "1");
    let user = |name: &str, org: Option<&str>| Caller::User {
        org: org.map(|org| org.parse().unwrap()),
        member: member(name),
    };
    let org = |name: &str| Caller::Org(name.parse().unwrap());
    let cases = [
        (Caller::Operator, true),
        (org("acme"), true),
        (org("other"), false),
        (user("ann", None), true),
        (user("ann", Some("acme")), true),
        (user("ann", Some("other")), false),
        (user("bob", None), false),
    ];
    for (caller, is_allowed) in cases {
        let see = |id: &str| {
            let (caller, id) = (caller.clone(), id.to_owned());
            do_at(&store, 1, move |tx| cancel(tx, &caller, &id).map(|_| ()))
        };
        let (missing, found) = (see("t-none").unwrap_err(), see(&turn.id));
        let told = |error: &Error, id: &str| error.to_string().replace(id, "");
        match found {
            Ok(()) => assert!(is_allowed, "{caller:?}"),
            Err(error) => {
                assert!(!is_allowed, "{caller:?}");
                assert_eq!(told(&error, &turn.id), told(&missing, "t-none"));
                assert_eq!(error.code(), missing.code());
            }
        }
        let listed = store.read(|s| conversation::page(s, &caller, ("", 10), |_| true)).unwrap();
        assert_eq!(!listed.is_empty(), is_allowed, "{caller:?}");
        let by = caller.clone();
        let sent = do_at(&store, 2, move |tx| admit(tx, &by, &message("", "1")));
        assert_eq!(sent.is_ok(), is_allowed, "{caller:?}");
        let mut none = message("", "1");
        none.place.agent = "none".parse().unwrap();
        let unknown = do_at(&store, 2, move |tx| admit(tx, &caller, &none)).unwrap_err();
        assert_eq!(unknown.code(), Code::AgentUnknown);
        if let Err(error) = sent {
            assert_eq!(told(&error, "agent a "), told(&unknown, "agent none "));
        }
    }
}

#[test]
fn p39_a_conversation_is_a_tuple_and_not_a_text_made_of_it() {
    let Fixture { store, dir: _dir } = world();
    let open = |id: &str, user: &str, thread: &str| {
        let mut new =
            NewTurn { id: id.to_owned(), conversation: id.to_owned(), ..message("", "1") };
        new.place.member = member(user);
        new.place.thread = thread.to_owned();
        admit_at(&store, 0, new).unwrap().turn().conversation.clone()
    };
    let made = [("1", "a_b", "c"), ("2", "a", "b_c"), ("3", "a_b_c", ""), ("4", "a", "b_c")];
    let made = made.map(|(id, user, thread)| open(id, user, thread));
    assert_eq!(made, ["1", "2", "3", "2"]);
}

#[test]
fn d16_to_d21_a_default_agent_is_made_once_and_never_again() {
    let Fixture { store, dir: _dir } = world();
    let ensure = |name: &str| {
        let org = name.parse()?;
        do_at(&store, 1, move |tx| org::ensure_default_agent(tx, &org, &member("ann")))
    };
    assert_eq!(ensure("acme").unwrap(), Provisioned::HasAgents, "d17");
    assert_eq!(ensure("acme").unwrap(), Provisioned::Done);
    do_at(&store, 1, |tx| org::add(tx, &"fresh".parse()?)).unwrap();
    assert_eq!(ensure("fresh").unwrap(), Provisioned::Inserted);
    let db = raw(store.path());
    db.execute_batch("DELETE FROM agent_member WHERE org_id = 'fresh'").unwrap();
    assert_eq!(ensure("fresh").unwrap(), Provisioned::Healed, "d19");
    let before = crate::support::live_rows(&db);
    assert_eq!(ensure("fresh").unwrap(), Provisioned::Done);
    assert_eq!(crate::support::live_rows(&db), before);
    db.execute_batch("DELETE FROM agent WHERE org_id = 'fresh'").unwrap();
    assert_eq!(ensure("fresh").unwrap(), Provisioned::Done, "d16: it is not made again");
    assert_eq!(code(ensure("none")), Code::OrgNotFound);
}
