//! A fan-out across a new epoch: its subscribers get an error, it serves new ones in the new epoch, and
//! no thread spins meanwhile.

use std::time::{Duration, Instant};

use ao_cdc::{Fanout, Start};

use crate::fanout::{subscribe, up_to};
use crate::support::{
    Fixture, SOON, at, cut, has_shell, next_epoch, seqs, shell, thread_cpu, until,
};

#[test]
fn subscribers_get_an_error_at_a_new_epoch_and_new_ones_are_live_in_it() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(2);
    let fanout = Fanout::start(&fixture.store).unwrap();
    let mut old = [subscribe(&fanout, Start::End), subscribe(&fanout, Start::Beginning)];
    next_epoch(fixture.path());
    for subscription in &mut old {
        let error = loop {
            match subscription.next_within(SOON) {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the error comes in time"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code().name(), "CURSOR_EPOCH_MISMATCH");
    }
    let mut new = subscribe(&fanout, Start::End);
    assert_eq!(new.cursor(), at(2, 2));
    for _ in 0..5 {
        let seq = fixture.commit();
        let batch = new.next_within(SOON).unwrap().expect("the change in time");
        assert_eq!(seqs(batch.iter()), [seq.0]);
    }
}

#[test]
fn a_subscriber_that_precedes_the_fanout_in_an_epoch_waits_and_goes_live() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(2);
    for round in 2..4 {
        let fanout = Fanout::start(&fixture.store).unwrap();
        next_epoch(fixture.path());
        let mut early = subscribe(&fanout, Start::End);
        assert_eq!(early.cursor().epoch.0, round);
        let (started, before) = (Instant::now(), thread_cpu());
        assert!(early.next_within(Duration::from_millis(400)).unwrap().is_none());
        let (waited, used) = (started.elapsed(), thread_cpu().saturating_sub(before));
        assert!(used < waited / 4, "it spins: {used:?} of {waited:?}");
        for _ in 0..2 {
            let seq = fixture.commit().0;
            assert_eq!(seqs(&up_to(&mut early, seq)), [seq]);
        }
        // It is live: a change in the ring is delivered even if the log lost it.
        assert!(early.next_within(Duration::from_millis(150)).unwrap().is_none());
        let mut witness = subscribe(&fanout, Start::End);
        let seq = fixture.commit().0;
        up_to(&mut witness, seq);
        cut(fixture.path(), seq);
        assert_eq!(seqs(&up_to(&mut early, seq)), [seq]);
    }
}

#[test]
fn a_fanout_continues_after_pruning_overtook_it_and_every_subscriber_gets_the_error() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(2);
    let fanout = Fanout::start(&fixture.store).unwrap();
    let mut old = subscribe(&fanout, Start::End);
    // Written and pruned in one transaction: the reader of the fan-out cannot have read it.
    shell(
        fixture.path(),
        "BEGIN; UPDATE session SET name = 'x'; DELETE FROM change_log; \
        UPDATE log_meta SET floor = (SELECT seq FROM sqlite_sequence WHERE name = 'change_log'); COMMIT;",
    );
    let error = old.next_within(SOON).unwrap_err();
    assert_eq!((error.code().name(), old.cursor()), ("CURSOR_EXPIRED", at(1, 2)));
    let mut new = subscribe(&fanout, Start::Beginning);
    let seq = fixture.commit().0;
    assert_eq!(seqs(&up_to(&mut new, seq)), [4]);
}

#[test]
fn a_hole_reaches_every_subscriber_as_an_error() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(2);
    let fanout = Fanout::start(&fixture.store).unwrap();
    let mut live = subscribe(&fanout, Start::End);
    shell(
        fixture.path(),
        "BEGIN; UPDATE session SET name = 'x'; UPDATE session SET name = 'y'; \
        DELETE FROM change_log WHERE seq = 3; COMMIT;",
    );
    let error = live.next_within(SOON).unwrap_err();
    assert_eq!((error.code().name(), live.cursor()), ("LOG_HOLE", at(1, 2)));
    let mut late = subscribe(&fanout, Start::Cursor(at(1, 1)));
    let error = loop {
        if let Err(error) = late.next_within(SOON) {
            break error;
        }
    };
    assert_eq!(error.code().name(), "LOG_HOLE");
    // After the hole the stream continues.
    let mut new = subscribe(&fanout, Start::End);
    let seq = fixture.commit().0;
    assert_eq!(seqs(&up_to(&mut new, seq)), [5]);
}

#[test]
fn an_idle_subscriber_uses_no_processor_time() {
    let fixture = Fixture::with_changes(2);
    let fanout = Fanout::start(&fixture.store).unwrap();
    for start in [Start::End, Start::Beginning] {
        let mut subscription = subscribe(&fanout, start);
        up_to(&mut subscription, 2);
        let before = thread_cpu();
        assert!(subscription.next_within(Duration::from_millis(300)).unwrap().is_none());
        let used = thread_cpu().saturating_sub(before);
        assert!(used < Duration::from_millis(75), "{used:?}");
    }
    drop(fanout);
    until("the fan-out removes its socket", || fixture.sockets().is_empty());
}
