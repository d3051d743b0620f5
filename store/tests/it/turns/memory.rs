//! What an agent remembers, and completions: together or not at all, once, and within their limits.

use ao_store::Options;
use ao_store::transfer::{OnBad, import};

use super::*;

#[test]
fn a10_nothing_of_a_completion_that_fails_half_way_is_stored() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "", "1");
    let next = send(&store, "", "2");
    let work = take(&store);
    let before = head(&store);
    let held = work.held.clone();
    let prepared = reply("done", Some("memory")).prepare().unwrap();
    let failed = do_at(&store, 1, move |tx| {
        assert_eq!(finish(tx, &held, &prepared)?, Finished::Won);
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
        assert!(completion.prepare().is_err());
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
fn f8_a_reset_begins_one_conversation_without_memory_and_deletes_nothing() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "x", "1");
    finish_at(&store, 0, &take(&store).held, &reply("done", Some("of x")));
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
    assert_eq!(versions, 4);
    send(&store, "x", "2");
    assert_eq!(take(&store).snapshot.as_deref(), Some("of x"));
}

#[test]
fn f7_a_snapshot_belongs_to_its_turn_whatever_was_sent_meanwhile() {
    let Fixture { store, dir: _dir } = world();
    let first = send(&store, "", "1");
    let work = take(&store);
    let second = send(&store, "", "2");
    assert_eq!(finish_at(&store, 1, &work.held, &reply("done", Some("s"))), Finished::Won);
    let of = "SELECT turn_id FROM conversation_snapshot";
    assert_eq!(crate::support::strings(&raw(store.path()), of), [first.id]);
    let next = take(&store);
    assert_eq!((next.turn.id, next.snapshot.as_deref()), (second.id, Some("s")));
}

#[test]
fn f9_a_claim_that_fails_leaves_the_turn_as_it_was() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "", "1");
    finish_at(&store, 1, &take(&store).held, &reply("done", Some("s")));
    let turn = send(&store, "", "2");
    let before = head(&store);
    let wanted = Claim {
        org: "acme".parse().unwrap(),
        agent: "a".parse().unwrap(),
        worker: worker("w1"),
        silence: SILENCE,
    };
    let try_claim = |fails: bool| {
        let wanted = wanted.clone();
        do_at(&store, 2, move |tx| match claim(tx, &wanted)? {
            Claimed::Got(work) if fails => {
                assert_eq!(work.snapshot.as_deref(), Some("s"));
                Err(Error::Closed)
            }
            claimed => Ok(claimed),
        })
    };
    assert!(try_claim(true).is_err());
    assert_eq!((head(&store), get(&store, &turn.id)), (before, turn.clone()));
    let Claimed::Got(work) = try_claim(false).unwrap() else { panic!("it is ready") };
    assert_eq!((work.turn.id, work.snapshot.as_deref()), (turn.id, Some("s")));
}

#[test]
fn f12_a_completion_of_a_turn_that_was_ended_changes_nothing_of_the_next_one() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "", "1");
    let late = take(&store);
    sweep_at(&store, 60 * SECOND);
    send(&store, "", "2");
    let Claimed::Got(next) = claim_at(&store, 61 * SECOND, worker("w2")) else { panic!("ready") };
    let before = head(&store);
    let completion = reply("late", Some("late"));
    for _ in 0..2 {
        assert_eq!(finish_at(&store, 62 * SECOND, &late.held, &completion), Finished::Lost);
    }
    assert_eq!((head(&store), get(&store, &next.turn.id)), (before, next.turn.clone()));
    assert_eq!(
        finish_at(&store, 63 * SECOND, &next.held, &reply("done", Some("s"))),
        Finished::Won
    );
    send(&store, "", "3");
    assert_eq!(take(&store).snapshot.as_deref(), Some("s"));
}

#[test]
fn turns_survive_an_export_and_go_with_what_they_belong_to() {
    let Fixture { store, dir } = world();
    send(&store, "", "1");
    finish_at(&store, 1, &take(&store).held, &reply("done", Some("s")));
    send(&store, "", "2");
    let mut text = Vec::new();
    store.export(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let whole = dir.path().join("whole.db");
    import(&whole, &mut text.as_bytes(), OnBad::Refuse).unwrap();
    let other = Store::open(&whole, Options::default()).unwrap();
    assert_eq!(events(&other, "").len(), events(&store, "").len());
    assert_eq!(take(&other).snapshot.as_deref(), Some("s"));
    let tables = [("org", 1, 0), ("agent\"", 1, 0), ("conversation\"", 2, 0), ("turn\"", 2, 1)];
    for (number, (table, agents, turns)) in tables.into_iter().enumerate() {
        let line = format!("{{\"table\":\"{table}");
        let bad = text.replacen(&line, &format!("#{line}"), 1);
        assert_ne!(bad, text, "{table}");
        let target = dir.path().join(format!("{number}.db"));
        import(&target, &mut bad.as_bytes(), OnBad::Skip).unwrap();
        let count = |sql: &str| crate::support::number(&raw(&target), sql);
        assert_eq!(count("SELECT count(*) FROM agent"), agents, "{table}");
        assert_eq!(count("SELECT count(*) FROM turn"), turns, "{table}");
        assert_eq!(count("SELECT count(*) FROM turn_clock"), turns, "{table}");
    }
}
