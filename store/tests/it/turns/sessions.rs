//! Turns to an agent that is a session: each is a delivery, and what becomes of the delivery becomes of the turn.

use ao_store::SessionId;
use ao_store::activity::{Activity as Shown, Evidence, Signal, Source};
use ao_store::row::delivery::{self, Delivery, DeliveryKind, Refusal, Stage};
use ao_store::row::evidence::{self, Report};
use ao_store::row::launch::EndCause;
use ao_store::row::lifecycle::spawn::terminate;
use ao_store::row::session::{self, Deleted};

use super::*;
use crate::delivery::spawned;
use crate::lifecycle::{begin, end, seed};

const MINUTE: i64 = 60_000;

/// A session that runs the launch `l1` and is agent `a` of `acme`.
struct Room {
    fixture: Fixture,
    session: SessionId,
}

impl Room {
    fn new() -> Room {
        let fixture = crate::support::fixture();
        let session = spawned(&fixture.store);
        begin(&fixture.store, &session, "l1");
        let id = session.clone();
        let agent = move |tx: &Tx<'_>| {
            let org = "acme".parse()?;
            org::add(tx, &org)?;
            let new = Agent::new(org, "a".parse()?, tx.now());
            agent::add(tx, &Agent { account: "codex".to_owned(), session: Some(id), ..new })
        };
        do_at(&fixture.store, 0, agent).unwrap();
        Room { fixture, session }
    }

    fn store(&self) -> &Store {
        &self.fixture.store
    }

    fn turn(&self, key: &str) -> Turn {
        self.store().read(|snapshot| turn::require(snapshot, &format!("t--{key}"))).unwrap()
    }

    fn ended(&self, key: &str) -> (State, Reason) {
        let turn = self.turn(key);
        (turn.state, turn.reason)
    }

    fn text(&self, key: &str) -> String {
        let last = self.store().read(|snapshot| event::last_of(snapshot, &format!("t--{key}")));
        last.unwrap().unwrap().text
    }

    fn deliveries(&self) -> Vec<Delivery> {
        self.store().read(|snapshot| delivery::of_session(snapshot, &self.session)).unwrap()
    }

    fn stages(&self) -> Vec<Stage> {
        self.deliveries().iter().map(|it| it.stage).collect()
    }

    /// A runner asks what is next.
    fn next(&self) -> delivery::stage::Turn {
        let id = self.session.clone();
        let next = do_at(self.store(), 1, move |tx| {
            delivery::stage::take(tx, &id, "i", Stage::Finished, Some("l1"))
        });
        next.unwrap()
    }

    fn take(&self) -> Delivery {
        match self.next() {
            delivery::stage::Turn::Write(delivery) => *delivery,
            other => panic!("{other:?}"),
        }
    }

    fn write(&self) {
        let taken = self.take();
        do_at(self.store(), 1, move |tx| delivery::stage::written(tx, &taken)).unwrap();
    }

    /// A hook of the agent reports something at a time, with a text.
    fn report(&self, ms: i64, signal: Signal, prompt: Option<&str>, message: &str) {
        let at = Timestamp(T0 + ms);
        let evidence = Evidence { source: Source::Hook, at, seen: None, signal };
        let (prompt, message) = (prompt.map(str::to_owned), message.to_owned());
        let report = Report { prompt, message, ..Report::of("l1", Some(evidence)) };
        do_at(self.store(), ms, move |tx| evidence::record(tx, &report).map(|_| ())).unwrap();
    }

    /// The agent takes the message of a turn that was written.
    fn begun(&self, key: &str) {
        self.begun_at(2, &format!("t--{key}"), key);
    }

    fn begun_at(&self, ms: i64, id: &str, key: &str) {
        self.write();
        self.report(ms, Signal::TurnStarted, Some(&format!("message {key}")), "");
        let turn = self.store().read(|snapshot| turn::require(snapshot, id)).unwrap();
        assert_eq!(turn.state, State::Running);
    }
}

#[test]
fn a_turn_is_a_delivery_whose_end_is_its_own() {
    let room = Room::new();
    let accepted = send(room.store(), "", "1");
    assert_eq!(accepted.state, State::Queued);
    let [delivery] = room.deliveries().try_into().unwrap();
    assert_eq!((delivery.kind, delivery.turn()), (DeliveryKind::Turn, Some("t--1")));
    let text = room.store().read(|snapshot| delivery::text_of(snapshot, &delivery.id)).unwrap();
    assert_eq!(text, "message 1");
    room.begun("1");
    assert_eq!(room.turn("1").owner, delivery.id);
    room.report(3, Signal::TurnEnded, None, "done");
    assert_eq!(room.ended("1"), (State::Completed, Reason::None));
    assert_eq!((room.text("1").as_str(), room.turn("1").reply_bytes), ("done", Some(4)));
    assert_sound(room.store());
}

#[test]
fn the_messages_of_a_conversation_are_handed_over_one_by_one() {
    let room = Room::new();
    for key in ["1", "2", "3"] {
        send(room.store(), "", key);
    }
    assert_eq!(room.stages(), [Stage::Accepted]);
    room.begun("1");
    room.report(3, Signal::TurnEnded, None, "");
    // The second one is cancelled while it waits for a runner, and is not written any more.
    assert_eq!(room.stages(), [Stage::Finished, Stage::Accepted]);
    do_at(room.store(), 4, |tx| cancel(tx, &Caller::Operator, "t--2")).unwrap();
    assert_eq!(room.ended("2"), (State::Cancelled, Reason::None));
    assert_eq!(room.stages(), [Stage::Finished, Stage::Failed, Stage::Accepted]);
    room.begun("3");
    assert_sound(room.store());
}

#[test]
fn the_turn_of_another_conversation_waits_until_the_session_has_answered() {
    let room = Room::new();
    send(room.store(), "", "1");
    room.begun("1");
    send(room.store(), "other", "2");
    assert_eq!(room.next(), delivery::stage::Turn::Nothing, "the answer would be that of both");
    // However long that takes.
    for minutes in [20, 40] {
        room.report(minutes * MINUTE, Signal::ToolStarted(minutes.to_string()), None, "");
        assert_eq!(sweep(room.store(), &cause(minutes * MINUTE), |_| {}).unwrap().ended.len(), 0);
    }
    room.report(41 * MINUTE, Signal::TurnEnded, None, "first");
    room.begun_at(41 * MINUTE, "t-other-2", "2");
    room.report(42 * MINUTE, Signal::TurnEnded, None, "second");
    let last = |id: &str| room.store().read(|s| event::last_of(s, id)).unwrap().unwrap().text;
    assert_eq!((last("t--1"), last("t-other-2")), ("first".to_owned(), "second".to_owned()));
    assert_sound(room.store());
}

#[test]
fn after_a_start_of_the_machine_what_waits_for_a_session_has_all_of_its_time_again() {
    let room = Room::new();
    send(room.store(), "", "1");
    let sweep_at = |ms: i64| {
        let boot = Some(BootTime { boot: 2, ms, awake_ms: ms });
        sweep(room.store(), &Cause { boot, ..cause(MINUTE) }, |_| {}).unwrap().ended
    };
    assert!(sweep_at(0).is_empty());
    assert!(sweep_at(SECOND).is_empty());
    assert_eq!(room.deliveries().len(), 1);
    assert_eq!(sweep_at(30 * MINUTE), ["t--1"]);
    assert_eq!(room.ended("1"), (State::Failed, Reason::NotStarted));
    assert_eq!(room.stages(), [Stage::Failed], "it is not written later");
}

#[test]
fn each_way_a_delivery_fails_ends_its_turn_with_its_reason() {
    let give_up = |stage: Stage| {
        move |room: &Room| {
            let taken = room.take();
            do_at(room.store(), 1, move |tx| {
                delivery::stage::give_up(tx, &taken, stage, "no pane")
            })
            .unwrap();
        }
    };
    let failed_turn = |signal: Signal, message: &'static str| {
        move |room: &Room| {
            room.begun("1");
            room.report(3, signal, None, message);
        }
    };
    type Way = Box<dyn FnOnce(&Room)>;
    let ways: Vec<(Way, Reason, &str)> = vec![
        (Box::new(give_up(Stage::Failed)), Reason::NotStarted, "no pane"),
        (Box::new(give_up(Stage::Ambiguous)), Reason::Ambiguous, "no pane"),
        (
            Box::new(failed_turn(Signal::TurnFailed("failed_request".to_owned()), "no network")),
            Reason::AgentError,
            "no network",
        ),
        (Box::new(failed_turn(Signal::Limited(None), "5 h")), Reason::Limited, "5 h"),
        (
            Box::new(failed_turn(Signal::TurnEnded, "")),
            Reason::Interrupted,
            "the agent of the session ended its turn without an answer, as when it is interrupted",
        ),
        (
            Box::new(|room| {
                room.begun("1");
                let shown = Signal::Shown(Shown::Idle, String::new());
                let at = Timestamp(T0 + MINUTE);
                let evidence = Evidence { source: Source::Screen, at, seen: None, signal: shown };
                let report = Report::of("l1", Some(evidence));
                let record = move |tx: &Tx<'_>| evidence::record(tx, &report).map(|_| ());
                do_at(room.store(), MINUTE, record).unwrap();
            }),
            Reason::Interrupted,
            "the agent of the session ended its turn without an answer, as when it is interrupted",
        ),
        (
            Box::new(|room| {
                room.begun("1");
                end(room.store(), "l1", EndCause::Exited, Some(1), "");
            }),
            Reason::Exited,
            "the agent of the session ended",
        ),
        (
            Box::new(|room| {
                let id = room.session.clone();
                do_at(room.store(), 1, move |tx| terminate(tx, &id, "test", "")).unwrap();
            }),
            Reason::NotStarted,
            "the session was terminated",
        ),
    ];
    for (way, reason, text) in ways {
        let room = Room::new();
        send(room.store(), "", "1");
        way(&room);
        assert_eq!(room.ended("1"), (State::Failed, reason));
        assert_eq!(room.text("1"), text);
        assert_sound(room.store());
    }
}

#[test]
fn what_a_session_cannot_take_is_refused_and_what_waits_for_it_fails() {
    let room = Room::new();
    send(room.store(), "", "1");
    send(room.store(), "", "2");
    room.begun("1");
    end(room.store(), "l1", EndCause::Exited, Some(0), "");
    let refused = admit_at(room.store(), 3, message("other", "1")).unwrap();
    assert_eq!(refused, Admitted::Refused(room.session.clone(), Refusal::AgentEnded));
    // What a repeated message became is told also then.
    assert!(matches!(admit_at(room.store(), 3, message("", "1")).unwrap(), Admitted::Known(_)));
    // Another launch of the session takes what waits.
    sweep(room.store(), &cause(4), |id| panic!("{id} has no process")).unwrap();
    assert_eq!(
        (room.turn("2").state, room.next()),
        (State::Queued, delivery::stage::Turn::Nothing)
    );
    sweep(room.store(), &cause(20 * MINUTE), |id| panic!("{id} has no process")).unwrap();
    assert_eq!(room.ended("2"), (State::Failed, Reason::NotStarted));
    assert_eq!(room.text("2"), format!("the agent of session {} has ended", room.session));
}

#[test]
fn a_limit_of_the_account_stops_what_waits() {
    let room = Room::new();
    send(room.store(), "", "1");
    send(room.store(), "", "2");
    room.begun("1");
    room.report(3, Signal::Limited(None), None, "5 h");
    sweep(room.store(), &cause(4), |id| panic!("{id} has no process")).unwrap();
    assert_eq!(room.ended("2"), (State::Failed, Reason::Limited));
    assert_eq!(room.stages(), [Stage::Submitted], "it was never given to the agent");
}

#[test]
fn only_a_session_that_does_nothing_for_long_loses_its_turn() {
    let room = Room::new();
    send(room.store(), "", "1");
    room.begun("1");
    let sweep_at = |ms: i64| sweep(room.store(), &cause(ms), |_| {}).unwrap().ended.len();
    for minute in [20, 79, 138] {
        room.report(minute * MINUTE, Signal::ToolStarted(format!("call {minute}")), None, "");
        assert_eq!(sweep_at((minute + 59) * MINUTE), 0, "it has worked meanwhile");
    }
    assert_eq!(sweep_at(259 * MINUTE), 1);
    assert_eq!(room.ended("1"), (State::Failed, Reason::Unresponsive));
    // What the agent reports later changes nothing of it.
    room.report(260 * MINUTE, Signal::TurnEnded, None, "late");
    assert_eq!(room.ended("1"), (State::Failed, Reason::Unresponsive));
    assert_sound(room.store());
}

#[test]
fn a_cancelled_turn_ends_when_the_agent_ends_or_after_the_time_it_has() {
    let room = Room::new();
    send(room.store(), "", "1");
    send(room.store(), "", "2");
    room.begun("1");
    do_at(room.store(), 3, |tx| cancel(tx, &Caller::Operator, "t--1")).unwrap();
    assert_eq!(room.turn("1").state, State::Running);
    room.report(4, Signal::TurnEnded, None, "done");
    assert_eq!(room.ended("1"), (State::Cancelled, Reason::None));
    room.begun("2");
    do_at(room.store(), 5, |tx| cancel(tx, &Caller::Operator, "t--2")).unwrap();
    sweep(room.store(), &cause(20 * SECOND), |_| {}).unwrap();
    assert_eq!(room.ended("2"), (State::Cancelled, Reason::None));
}

#[test]
fn no_worker_takes_the_turns_of_a_session_and_the_session_stays() {
    let room = Room::new();
    send(room.store(), "", "1");
    let asked = Claim {
        org: "acme".parse().unwrap(),
        agent: "a".parse().unwrap(),
        worker: worker("w"),
        silence: SILENCE,
    };
    let claimed = do_at(room.store(), 1, move |tx| claim(tx, &asked));
    assert_eq!(code(claimed), Code::AgentIsSession);
    let seed = seed(room.store()).id;
    let deleted = do_at(room.store(), 2, move |tx| {
        let new = Agent::new("acme".parse()?, "b".parse()?, tx.now());
        agent::add(tx, &Agent { session: Some(seed.clone()), ..new })?;
        session::delete(tx, &seed)
    });
    assert_eq!(deleted.unwrap(), Deleted::NotSeed);
    let nobody = do_at(room.store(), 3, |tx| {
        let new = Agent::new("acme".parse()?, "c".parse()?, tx.now());
        agent::add(tx, &Agent { session: Some("demo-99".parse()?), ..new })
    });
    assert_eq!(code(nobody), Code::SessionNotFound);
}
