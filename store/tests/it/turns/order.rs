//! Which turn is run, and when: queues, keys, cancelling, limits of accounts.

use super::*;

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
fn b1_b2_and_b5_a_turn_without_its_organisation_or_conversation_cannot_be_stored() {
    let Fixture { store, dir: _dir } = world();
    assert_eq!(code("".parse::<OrgId>()), Code::InvalidId);
    send(&store, "", "1");
    // No process can, whatever it does not check.
    let db = raw(store.path());
    for column in ["org_id", "agent_id", "conversation_id"] {
        for value in ["NULL", "''", "'other'"] {
            let sql = format!("UPDATE turn SET {column} = {value}");
            assert!(db.execute_batch(&sql).is_err(), "{sql}");
        }
    }
    assert_eq!(take(&store).turn.id, "t--1");
}

#[test]
fn b6_one_turn_of_a_conversation_runs_and_other_conversations_go_on() {
    let Fixture { store, dir: _dir } = world();
    let ids =
        [("x", "1"), ("x", "2"), ("y", "1")].map(|(thread, key)| send(&store, thread, key).id);
    let (first, second) = (take(&store), take(&store));
    assert_eq!([&first.turn.id, &second.turn.id], [&ids[0], &ids[2]]);
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
fn b13_a_turn_that_another_program_made_ready_too_early_waits_for_the_one_before_it() {
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
    let (expired, next) = (send(&store, "x", "1"), send(&store, "x", "2"));
    assert_eq!(sweep_at(&store, 120 * SECOND), [expired.id]);
    assert_eq!(take(&store).turn.id, next.id);
}

#[test]
fn b14_turns_of_other_organisations_agents_and_conversations_run_beside_each_other() {
    let Fixture { store, dir: _dir } = world();
    let add = |tx: &Tx<'_>| agent::add(tx, &Agent::new("acme".parse()?, "b".parse()?, tx.now()));
    do_at(&store, 0, add).unwrap();
    let places = [("acme", "a", "x"), ("acme", "a", "y"), ("acme", "b", "x"), ("other", "a", "x")];
    let ids = ["t1", "t2", "t3", "t4"];
    for ((org, agent, thread), id) in places.into_iter().zip(ids) {
        let conversation = format!("c-{id}");
        let mut new = NewTurn { id: id.to_owned(), conversation, ..message(thread, "1") };
        new.place.org = org.parse().unwrap();
        new.place.agent = agent.parse().unwrap();
        assert!(matches!(admit_at(&store, 0, new).unwrap(), Admitted::New(_)), "{id}");
    }
    // The claim of an agent gets none of another one that waits longer.
    for at in [3, 2, 0, 1] {
        let ((org, agent, _), id) = (places[at], ids[at]);
        let (org, agent) = (org.parse().unwrap(), agent.parse().unwrap());
        let wanted = Claim { org, agent, worker: worker("w1"), silence: SILENCE };
        let claimed = do_at(&store, 1, move |tx| claim(tx, &wanted)).unwrap();
        assert!(matches!(&claimed, Claimed::Got(work) if work.turn.id == id), "{claimed:?}");
    }
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
fn a_turn_that_another_program_ended_or_deleted_keeps_no_other_from_its_turn() {
    for sql in [
        "UPDATE turn SET state = 'cancelled', ended_at = 1 WHERE num = 1",
        "DELETE FROM turn WHERE num = 1",
    ] {
        let Fixture { store, dir } = world();
        send(&store, "", "1");
        let second = send(&store, "", "2");
        raw(&dir.path().join("ao.db")).execute_batch(sql).unwrap();
        if sql.starts_with("DELETE") {
            send(&store, "", "3");
        } else {
            assert_eq!(sweep_at(&store, 120 * SECOND), [""; 0]);
        }
        assert_eq!(take(&store).turn.id, second.id, "{sql}");
    }
}

#[test]
fn a_held_turn_that_another_program_deleted_is_lost() {
    let Fixture { store, dir } = world();
    send(&store, "", "1");
    let work = take(&store);
    raw(&dir.path().join("ao.db")).execute_batch("DELETE FROM turn").unwrap();
    assert_eq!(store.read(|snapshot| look(snapshot, &work.held)).unwrap(), Beat::Lost);
    assert_eq!(finish_at(&store, 1, &work.held, &reply("done", None)), Finished::Lost);
}

#[test]
fn a_cancelled_follower_gives_the_next_turn_no_more_time() {
    let Fixture { store, dir: _dir } = world();
    let (first, second) = (send(&store, "", "1").id, send(&store, "", "2").id);
    do_at(&store, 100 * SECOND, move |tx| cancel(tx, &Caller::Operator, &second)).unwrap();
    assert_eq!(sweep_at(&store, 120 * SECOND), [first]);
}

#[test]
fn a_turn_that_waited_for_a_limited_account_says_so() {
    let Fixture { store, dir: _dir } = world();
    raw(store.path()).execute_batch("UPDATE agent SET account = 'codex'").unwrap();
    for thread in ["x", "y"] {
        send(&store, thread, "1");
    }
    let work = take(&store);
    finish_at(&store, 1, &work.held, &failure(Reason::Limited, "come back at noon"));
    assert_eq!(sweep_at(&store, 120 * SECOND), ["t-y-1"]);
    let ended = get(&store, "t-y-1");
    assert_eq!((ended.state, ended.reason), (State::Failed, Reason::Limited));
    let limits = store.read(account::limits).unwrap();
    assert_eq!((limits.len(), limits[0].message.as_str()), (1, "come back at noon"));
}

#[test]
fn only_processes_of_a_turn_that_fails_for_certain_are_stopped() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "x", "1");
    let work = take(&store);
    send(&store, "y", "1");
    let held = work.held.clone();
    let mut stopped = Vec::new();
    let swept = sweep(&store, &cause(120 * SECOND), |id| {
        // Progress that comes too late.
        assert_eq!(beat_at(&store, 121 * SECOND, &held, Activity::Working), Beat::Continue);
        stopped.push(id.to_owned());
    });
    assert_eq!(stopped, ["t-x-1"], "nothing was started for the one that waited");
    assert_eq!(swept.unwrap().ended.len(), 2);
    assert_eq!(get(&store, "t-x-1").reason, Reason::Unresponsive);
}
