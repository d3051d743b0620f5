//! The deliveries of a session: which one a runner may take, and that a prompt is one of them.

use ao_store::row::delivery::stage::Turn;
use ao_store::row::delivery::{self, Accepted, Delivery, DeliveryKind, NewDelivery, Stage};
use ao_store::row::launch::EndCause;
use ao_store::row::lifecycle::operation;
use ao_store::row::lifecycle::spawn::{self, Place};
use ao_store::row::session;
use ao_store::{SessionId, Store};

use crate::lifecycle::{begin, end, seed, write};
use crate::support::{Fixture, fixture};

/// A session that runs in tmux, of which no launch has begun.
pub(crate) fn spawned(store: &Store) -> SessionId {
    let id = seed(store).id;
    let of = id.clone();
    write(store, move |tx| {
        let (socket, pane) = ("/s".to_owned(), "%0".to_owned());
        spawn::set_place(tx, &of, &Place { kind: "tmux".to_owned(), socket, pane })?;
        spawn::mark(tx, &of)?;
        operation::end(tx, &of, "i")
    });
    id
}

fn send(store: &Store, to: &SessionId, text: &str) -> Delivery {
    let new = NewDelivery {
        id: format!("m-{text}"),
        kind: DeliveryKind::Message,
        key: text.to_owned(),
        sender: String::new(),
        last_stage: Stage::Written,
        text: text.to_owned(),
    };
    let to = to.clone();
    match write(store, move |tx| delivery::accept(tx, &session::require(tx, &to)?, &new)) {
        Accepted::New(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

fn take(store: &Store, of: &SessionId, seen: Option<&str>) -> Turn {
    let (of, seen) = (of.clone(), seen.map(str::to_owned));
    write(store, move |tx| delivery::stage::take(tx, &of, "i", Stage::Written, seen.as_deref()))
}

fn taken(store: &Store, of: &SessionId, seen: &str) -> Delivery {
    match take(store, of, Some(seen)) {
        Turn::Write(delivery) => *delivery,
        other => panic!("{other:?}"),
    }
}

fn of(store: &Store, session: &SessionId) -> Vec<(DeliveryKind, Stage)> {
    let all = store.read(|snapshot| delivery::of_session(snapshot, session)).unwrap();
    all.into_iter().map(|it| (it.kind, it.stage)).collect()
}

#[test]
fn a_runner_takes_only_what_was_due_when_it_looked_at_the_launch() {
    let Fixture { store, dir: _dir } = fixture();
    let id = spawned(&store);
    begin(&store, &id, "l1");
    assert_eq!(take(&store, &id, Some("l1")), Turn::Nothing);
    send(&store, &id, "hello");
    // A decision was open when it looked, or another launch ran.
    for seen in [None, Some("l0")] {
        assert_eq!(take(&store, &id, seen), Turn::Look);
        assert_eq!(of(&store, &id), [(DeliveryKind::Message, Stage::Accepted)]);
    }
    end(&store, "l1", EndCause::Exited, Some(0), "");
    assert_eq!(take(&store, &id, Some("l1")), Turn::Nothing);
    begin(&store, &id, "l2");
    assert_eq!(take(&store, &id, Some("l1")), Turn::Look);
    assert_eq!(taken(&store, &id, "l2").launch, "l2");
}

#[test]
fn the_prompt_is_one_delivery_that_each_launch_makes_due_again() {
    let Fixture { store, dir: _dir } = fixture();
    let id = spawned(&store);
    let owe = |delivery: &str| {
        let (id, delivery) = (id.clone(), delivery.to_owned());
        write(&store, move |tx| {
            let session = session::require(tx, &id)?;
            delivery::prompt::owe_prompt(tx, &session, &delivery, Stage::Written, "fix")
        });
    };
    begin(&store, &id, "l1");
    owe("m1");
    send(&store, &id, "later");
    let first = taken(&store, &id, "l1");
    assert_eq!((first.id.as_str(), first.kind), ("m1", DeliveryKind::Prompt));
    // A relaunch: what becomes of the first try no longer counts.
    end(&store, "l1", EndCause::Exited, Some(0), "");
    begin(&store, &id, "l2");
    owe("m2");
    let (late, again) = (first.clone(), first.clone());
    write(&store, move |tx| delivery::stage::give_up(tx, &late, Stage::Failed, "its pane is gone"));
    write(&store, move |tx| delivery::stage::written(tx, &again));
    let waiting =
        [(DeliveryKind::Prompt, Stage::Accepted), (DeliveryKind::Message, Stage::Accepted)];
    assert_eq!(of(&store, &id), waiting);
    let second = taken(&store, &id, "l2");
    assert_eq!((second.id.as_str(), second.launch.as_str()), ("m1", "l2"));
    write(&store, move |tx| delivery::stage::written(tx, &second));
    assert_eq!(of(&store, &id)[0], (DeliveryKind::Prompt, Stage::Written));
    assert_eq!(taken(&store, &id, "l2").key, "later");
}
