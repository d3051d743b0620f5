//! Each accepted message has one outcome, from the worker or from a process that finds it dead or late.

use super::*;

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
fn a2_a15_and_a16_all_turns_of_a_dead_worker_fail_once_and_no_other() {
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
    assert_eq!(get(&store, &queued.id).state, State::Queued, "it is not the worker's");
    assert_eq!(take(&store).turn.id, queued.id, "the next worker takes it");
    assert!(matches!(claim_at(&store, 2, worker("w2")), Claimed::Nothing), "what failed is over");
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
fn a4_and_a20_a_turn_that_was_answered_does_not_fail_any_more() {
    let Fixture { store, dir } = world();
    let turn = send(&store, "", "1");
    let work = take(&store);
    let sql = "DELETE FROM instance";
    raw(&dir.path().join("ao.db")).execute_batch(sql).unwrap();
    let running = get(&store, &turn.id);
    let dead = store.read(|snapshot| Dead::find(snapshot, &running)).unwrap().unwrap();
    finish_at(&store, 1, &work.held, &reply("done", None));
    for guard in [Guard::Overdue, Guard::OwnerDead(dead)] {
        assert_eq!(fail_at(&store, 200 * SECOND, &turn.id, guard), Failed::Lost);
    }
    assert_eq!(sweep_at(&store, 200 * SECOND), [""; 0]);
    let late = failure(Reason::NotStarted, "it could not be started");
    assert_eq!(finish_at(&store, 201 * SECOND, &work.held, &late), Finished::Conflict);
    assert_eq!(get(&store, &turn.id).state, State::Completed);
    assert_eq!(last_events(&store, ""), 1);
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
fn a_worker_that_is_not_the_one_that_was_found_dead_keeps_its_turn() {
    let Fixture { store, dir } = world();
    let turn = send(&store, "", "1");
    let work = take(&store);
    assert_eq!(store.read(|snapshot| Dead::find(snapshot, &work.turn)).unwrap(), None);
    let db = raw(&dir.path().join("ao.db"));
    db.execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM instance; DELETE FROM instance")
        .unwrap();
    let find = || store.read(|snapshot| Dead::find(snapshot, &work.turn)).unwrap().unwrap();
    let before = Guard::OwnerDead(find());
    db.execute_batch("INSERT INTO instance SELECT * FROM kept").unwrap();
    assert_eq!(fail_at(&store, 1, &turn.id, before), Failed::Lost);
    db.execute_batch("DELETE FROM instance").unwrap();
    assert_eq!(fail_at(&store, 2, &turn.id, Guard::OwnerDead(find())), Failed::Won);
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
fn a9_a_message_that_cannot_be_stored_is_seen_by_no_worker_and_may_be_sent_again() {
    for row in [
        "turn_input VALUES ('t--1', '')",
        "turn_clock (turn_id, org_id, agent_id, patience_ms) VALUES ('t--1', 'acme', 'a', 1)",
    ] {
        let Fixture { store, dir: _dir } = world();
        let db = raw(store.path());
        // What is in the way of one of its rows.
        let foreign = format!("PRAGMA foreign_keys = OFF; INSERT INTO {row}");
        db.execute_batch(&foreign).unwrap();
        assert!(admit_at(&store, 0, message("", "1")).is_err(), "{row}");
        assert!(matches!(claim_at(&store, 1, worker("w1")), Claimed::Nothing), "{row}");
        assert_eq!(store.read(|s| turn::list(s, None, 10, |_| true)).unwrap(), [], "{row}");
        let table = row.split(' ').next().unwrap();
        db.execute_batch(&format!("DELETE FROM {table}")).unwrap();
        assert_eq!(send(&store, "", "1").num, 1);
        assert_eq!(take(&store).turn.id, "t--1");
    }
}

#[test]
fn a11_an_error_of_the_store_is_never_taken_for_a_turn_that_was_lost() {
    let Fixture { store, dir: _dir } = world();
    let (turn, other) = (send(&store, "x", "1"), send(&store, "y", "1"));
    let (work, _other) = (take(&store), take(&store));
    let db = raw(store.path());
    // The turn can have no other last event.
    let foreign = "INSERT INTO conversation_event
        VALUES ('c-x', 99, 't-x-1', 'error', NULL, 'exited', 'x', 1)";
    db.execute_batch(foreign).unwrap();
    let (held, prepared) = (work.held.clone(), reply("done", Some("s")).prepare().unwrap());
    let finished = do_at(&store, 1, move |tx| finish(tx, &held, &prepared));
    assert!(finished.is_err(), "{finished:?}");
    let id = turn.id.clone();
    let failed = do_at(&store, 60 * SECOND, move |tx| fail(tx, &id, &Guard::Overdue));
    assert!(failed.is_err(), "{failed:?}");
    let swept = sweep(&store, &cause(60 * SECOND), |_| ()).unwrap();
    assert_eq!((swept.ended, swept.failures.len()), (vec![other.id], 1), "the other one is ended");
    assert_eq!(get(&store, &turn.id).state, State::Running);
    db.execute_batch("DELETE FROM conversation_event WHERE seq = 99").unwrap();
    let again = finish_at(&store, 61 * SECOND, &work.held, &reply("done", Some("s")));
    assert_eq!((again, last_events(&store, "x")), (Finished::Won, 1));
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
fn a18_a_turn_whose_provider_refused_gets_no_time_until_a_retry_makes_progress() {
    let Fixture { store, dir: _dir } = world();
    let held = ["refused", "retried", "silent"].map(|thread| {
        send(&store, thread, "1");
        take(&store).held
    });
    // Each worker lives, and says so.
    let look_all = || held.iter().map(|held| store.read(|s| look(s, held)).unwrap());
    assert!(look_all().all(|beat| beat == Beat::Continue));
    let said = failure(Reason::Limited, "try again at noon");
    assert_eq!(finish_at(&store, 59 * SECOND, &held[0], &said), Finished::Won);
    assert_eq!(beat_at(&store, 59 * SECOND, &held[1], Activity::Working), Beat::Continue);
    assert!(look_all().eq([Beat::Lost, Beat::Continue, Beat::Continue]));
    assert_eq!(sweep_at(&store, 60 * SECOND), ["t-silent-1"]);
    let ends = ["refused", "silent"].map(|thread| get(&store, &format!("t-{thread}-1")).reason);
    assert_eq!(ends, [Reason::Limited, Reason::Unresponsive]);
    assert_eq!(finish_at(&store, 118 * SECOND, &held[1], &reply("done", None)), Finished::Won);
}

#[test]
fn a21_a_turn_that_still_streams_is_open_until_its_last_event() {
    let Fixture { store, dir: _dir } = world();
    let (turn, next) = (send(&store, "", "1"), send(&store, "", "2"));
    let work = take(&store);
    let responses = [
        Response::Delta("a".into()),
        Response::Content("done".into()),
        Response::Ephemeral("done".into()),
        Response::Status("completed".into()),
        Response::Delta("b".into()),
    ];
    let mut ms = 0;
    for (number, response) in responses.into_iter().enumerate() {
        ms += 59 * SECOND;
        let (held, name) = (work.held.clone(), number.to_string());
        let appended = do_at(&store, ms, move |tx| append(tx, &held, &name, &response)).unwrap();
        assert!(matches!(appended, Appended::Stored(_)), "{appended:?}");
        assert_eq!(sweep_at(&store, ms + 59 * SECOND), [""; 0], "{number}");
        assert_eq!(get(&store, &turn.id).state, State::Running);
        assert!(matches!(claim_at(&store, ms, worker("w2")), Claimed::Nothing));
        assert_eq!(last_events(&store, ""), 0);
    }
    assert_eq!(finish_at(&store, ms, &work.held, &reply("ab", None)), Finished::Won);
    assert_eq!(take(&store).turn.id, next.id);
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
fn g1_progress_extends_the_turn_that_made_it_while_it_runs_and_no_other() {
    let Fixture { store, dir: _dir } = world();
    let ids = [send(&store, "x", "1").id, send(&store, "y", "1").id];
    let (one, two) = (take(&store), take(&store));
    assert_eq!(beat_at(&store, 50 * SECOND, &one.held, Activity::Working), Beat::Continue);
    assert_eq!(sweep_at(&store, 60 * SECOND), [ids[1].as_str()], "of the same worker");
    for (ms, held) in [(61, &two.held), (61, &one.held)] {
        let expected = if held.turn() == ids[0] { Beat::Continue } else { Beat::Lost };
        assert_eq!(beat_at(&store, ms * SECOND, held, Activity::Working), expected);
    }
    assert_eq!(finish_at(&store, 62 * SECOND, &one.held, &reply("done", None)), Finished::Won);
    for activity in [Activity::Working, Activity::Waiting] {
        assert_eq!(beat_at(&store, 63 * SECOND, &one.held, activity), Beat::Lost);
    }
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
fn any_length_of_silence_can_be_asked_for() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "", "1");
    let wanted = Claim {
        org: "acme".parse().unwrap(),
        agent: "a".parse().unwrap(),
        worker: worker("w1"),
        silence: Duration::MAX,
    };
    let claimed = do_at(&store, 0, move |tx| claim(tx, &wanted)).unwrap();
    assert!(matches!(claimed, Claimed::Got(_)));
}

#[test]
fn c18_a_message_that_is_refused_is_seen_by_no_worker() {
    let Fixture { store, dir: _dir } = world();
    let mut foreign = message("", "1");
    foreign.place.org = "other".parse().unwrap();
    let of_acme = Caller::Org("acme".parse().unwrap());
    let empty = NewTurn { input: String::new(), ..message("", "1") };
    let large = NewTurn { input: "x".repeat(INPUT_MAX + 1), ..message("", "1") };
    let unnamed = NewTurn { key: "a\nb".to_owned(), ..message("", "1") };
    for new in [foreign, empty, large, unnamed] {
        // Sent again, it is refused again.
        for ms in [1, 2] {
            let (caller, new) = (of_acme.clone(), new.clone());
            assert!(do_at(&store, ms, move |tx| admit(tx, &caller, &new)).is_err());
        }
    }
    for org in ["acme", "other"] {
        let is_ready = store.read(|s| is_ready(s, &org.parse()?, &"a".parse()?)).unwrap();
        assert!(!is_ready, "{org}");
    }
    let stored = "SELECT count(*) FROM (SELECT id FROM turn UNION ALL SELECT id FROM conversation)";
    assert_eq!(crate::support::number(&raw(store.path()), stored), 0);
}
