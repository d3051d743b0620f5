//! What is streamed: in order, stored once, and not in the log.

use super::*;

#[test]
fn e5_a_repeated_response_is_stored_once_and_another_one_under_its_name_refused() {
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
fn e6_and_e7_deltas_leave_the_log_alone_and_go_and_what_they_said_stays() {
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
    append_as(&store, &work.held, "card", Response::Content("a card".into()));
    assert_eq!(head(&store), before);
    finish_at(&store, SECOND, &work.held, &reply(&"word ".repeat(1000), None));
    let kept = |ms| {
        sweep(&store, &cause(ms), |_| ()).unwrap();
        let deltas = "SELECT count(*) FROM conversation_event WHERE kind = 'delta'";
        crate::support::number(&raw(store.path()), deltas)
    };
    assert_eq!((kept(200 * SECOND), kept(400 * SECOND)), (1000, 0));
    let left: Vec<_> = events(&store, "").into_iter().map(|it| (it.seq, it.text)).collect();
    let card = (1003, "a card".to_owned());
    assert_eq!(left[2..], [card, (1004, "word ".repeat(1000))], "the positions stay");
    send(&store, "", "2");
    assert_eq!(events(&store, "").last().unwrap().seq, 1005);
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
fn a_read_of_large_events_is_bounded_and_goes_on() {
    let Fixture { store, dir: _dir } = world();
    let turn = send(&store, "", "1");
    let work = take(&store);
    let text = "x".repeat(REPLY_MAX);
    for number in ["1", "2", "3"] {
        append_as(&store, &work.held, number, Response::Content(text.clone()));
    }
    let mut seqs = Vec::new();
    while let Some(last) = {
        let after = seqs.last().copied().unwrap_or(0);
        let found = store.read(|s| event::batch(s, &turn.conversation, after, 100)).unwrap();
        assert!(found.iter().map(|event| event.text.len()).sum::<usize>() <= REPLY_MAX + 100);
        seqs.extend(found.iter().map(|event| event.seq));
        found.last().map(|event| event.seq)
    } {
        assert!(last <= 5);
    }
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
}
