//! Turns, as one process sees them. The names of the tests begin with the numbers of the statements that
//! they show; `turn_races.rs` shows what holds between processes.

mod memory;
mod obligation;
mod order;
mod sessions;
mod stream;
mod tenants;

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
use ao_store::turn::fail::{Dead, Failed, Guard, fail, fail_instance};
use ao_store::turn::finish::{Completion, Finished, Outcome, finish, refused};
use ao_store::turn::org::{self, Provisioned};
use ao_store::turn::reset::reset;
use ao_store::turn::sweep::sweep;
use ao_store::turn::usage::{Count, Usage};
use ao_store::turn::{self, Held, INPUT_MAX, REPLY_MAX, Reason, SNAPSHOT_MAX, State, Turn};
use ao_store::{BootTime, Cause, ClockReading, Code, Error, OrgId, Store, Timestamp, Tx};

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
        known => panic!("{known:?}"),
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
    let (held, prepared) = (held.clone(), completion.clone().prepare().unwrap());
    do_at(store, ms, move |tx| finish(tx, &held, &prepared)).unwrap()
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
    do_at(store, ms, move |tx| fail(tx, &id, &guard)).unwrap()
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
