//! Bugs that etcd's watch once had, by their number there: each is a test that ours does not have it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ao_cdc::{Event, Fanout, Filter, Start, Tail};
use ao_store::row::session;
use ao_store::{Seq, Store};
use crossbeam_channel::RecvTimeoutError;

use crate::consumer::code;
use crate::support::{
    Fixture, Player, Random, SOON, add_sessions, at, cause, change_of, drain, has_shell,
    keep_newest, next_epoch, part, prune, rename, say, seed, seqs,
};

/// Creates a session and deletes it again; returns the change of the deletion.
fn create_and_delete(store: &Store) -> Seq {
    add_sessions(store, "demo", 1);
    let newest = store.read(|snapshot| session::list(snapshot, &session::Filter::default()));
    let id = newest.unwrap().into_iter().max_by_key(|found| found.num).unwrap().id;
    store.write(cause("test"), move |tx| session::delete(tx, &id)).unwrap().cursor.seq
}

#[test]
fn etcd_18089_a_prune_exactly_on_a_delete_event_hides_no_delete() {
    for offset in [-1, 0, 1] {
        let fixture = Fixture::with_changes(2);
        fixture.commits(3);
        let deleted = create_and_delete(&fixture.store);
        fixture.commits(4);
        let floor = deleted.0 + offset;
        prune(&fixture.store, floor);
        let head = fixture.head().seq.0;
        for from in 0..=head {
            let tail = Tail::open(&fixture.store, Start::Cursor(at(1, from)), Filter::default());
            if from < floor {
                assert_eq!(code(tail), "CURSOR_EXPIRED", "{from} of {floor}");
                continue;
            }
            let found = drain(tail.unwrap());
            assert_eq!(seqs(&found), (from + 1..=head).collect::<Vec<_>>());
            let is_told = found.iter().any(|change| change.kind() == "session_deleted");
            assert_eq!(is_told, from < deleted.0, "{from} of {floor}");
        }
    }
}

#[test]
fn etcd_19179_a_prune_that_races_the_start_of_a_tail_loses_no_delete() {
    let fixture = Fixture::with_changes(2);
    let is_over = Arc::new(AtomicBool::new(false));
    let beside = |work: fn(&Store)| {
        let (store, is_over) = (fixture.store.clone(), Arc::clone(&is_over));
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                work(&store);
            }
        })
    };
    let threads = [
        beside(|store| {
            create_and_delete(store);
        }),
        beside(|store| {
            keep_newest(store, 3);
        }),
    ];
    let fanout = Fanout::start(&fixture.store).unwrap();
    let (mut random, mut whole, mut expired, mut deletes) = (Random(seed()), 0, 0, 0);
    let deadline = Instant::now() + SOON * 3;
    while whole < 40 || expired < 10 || deletes < 20 {
        assert!(Instant::now() < deadline, "{whole} whole, {expired} expired, {deletes} deletes");
        let head = fixture.head().seq.0;
        let from = at(1, (head - random.below(12).cast_signed()).max(2));
        let read = if random.below(2) == 0 {
            Tail::open(&fixture.store, Start::Cursor(from), Filter::default())
                .and_then(|tail| tail.to_head().collect::<Result<Vec<_>, _>>())
        } else {
            fanout.subscribe(Start::Cursor(from), Filter::default()).and_then(|mut live| {
                let batch = live.next_within(Duration::from_millis(100))?;
                Ok(batch.iter().flat_map(|batch| batch.iter().cloned()).collect())
            })
        };
        match read {
            Ok(found) => {
                let last = from.seq.0 + found.len() as i64;
                assert_eq!(seqs(&found), (from.seq.0 + 1..=last).collect::<Vec<_>>());
                // Creations and deletions alternate: no deletion may be missing between two creations.
                let kinds: Vec<_> = found.iter().map(|change| change.kind()).collect();
                assert!(kinds.windows(2).all(|pair| pair[0] != pair[1]), "{kinds:?}");
                deletes += kinds.iter().filter(|kind| **kind == "session_deleted").count();
                whole += 1;
            }
            Err(error) => {
                assert_eq!(error.code().name(), "CURSOR_EXPIRED");
                expired += 1;
            }
        }
    }
    is_over.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A log that is pruned further than the first 512 changes, which a tail has copied by then.
fn pruned_under(tail_is_full: impl FnOnce(&Fixture)) -> Fixture {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 510);
    fixture.commits(20);
    tail_is_full(&fixture);
    prune(&fixture.store, 525);
    fixture
}

#[test]
fn etcd_17529_an_error_under_full_buffers_reaches_the_receiver() {
    let mut receiver = None;
    pruned_under(|fixture| {
        let made = fixture.tail(Start::Beginning).into_receiver(3).unwrap();
        crate::support::until("the channel is full", || made.receiver().is_full());
        receiver = Some((made, fixture.store.clone()));
    });
    let (receiver, _store) = receiver.unwrap();
    thread::sleep(Duration::from_millis(250));
    for seq in 1..=512 {
        let event = receiver.receiver().recv_timeout(SOON).expect("a change in time");
        assert_eq!(change_of(event).seq.0, seq);
    }
    let last = receiver.receiver().recv_timeout(SOON).expect("the error in time");
    assert_eq!(code(last), "CURSOR_EXPIRED");
    let after = receiver.receiver().recv_timeout(SOON).unwrap_err();
    assert_eq!(after, RecvTimeoutError::Disconnected);
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn etcd_17529_an_error_under_full_buffers_reaches_the_stream() {
    use tokio::time::timeout;
    use tokio_stream::StreamExt;

    let mut stream = None;
    let fixture = pruned_under(|fixture| {
        stream = Some(fixture.tail(Start::Beginning).into_stream(3).unwrap());
        thread::sleep(Duration::from_millis(400));
    });
    let mut stream = stream.unwrap();
    for seq in 1..=512 {
        let event = timeout(SOON, stream.next()).await.expect("in time").unwrap();
        assert_eq!(change_of(event).seq.0, seq);
    }
    let last = timeout(SOON, stream.next()).await.expect("in time").unwrap();
    assert_eq!(code(last), "CURSOR_EXPIRED");
    assert!(timeout(SOON, stream.next()).await.expect("in time").is_none());
    drop(fixture);
}

#[test]
fn etcd_17529_an_error_under_full_buffers_reaches_the_subscription() {
    let fixture = Fixture::with_changes(2);
    let fanout = Fanout::with_memory(&fixture.store, 1).unwrap();
    let mut slow = fanout.subscribe(Start::End, Filter::default()).unwrap();
    let mut quick = fanout.subscribe(Start::End, Filter::default()).unwrap();
    for _ in 0..10 {
        let seq = fixture.commit();
        let batch = quick.next_within(SOON).unwrap().expect("the change in time");
        assert_eq!(seqs(batch.iter()), [seq.0]);
    }
    prune(&fixture.store, 9);
    for _ in 0..3 {
        assert_eq!(code(slow.next_within(SOON)), "CURSOR_EXPIRED");
    }
    let seq = fixture.commit();
    assert_eq!(seqs(quick.next_within(SOON).unwrap().unwrap().iter()), [seq.0], "others continue");
}

#[test]
fn etcd_15220_a_bookmark_comes_after_the_changes_it_covers() {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 1);
    let filter = Filter::new(vec![], vec![], vec!["demo-2".parse().unwrap()]).unwrap();
    let tail = Tail::open(&fixture.store, Start::Beginning, filter.clone()).unwrap();
    let receiver = tail.into_receiver(1).unwrap();
    let (store, mut random) = (fixture.store.clone(), Random(seed()));
    let (reported, reports) = crossbeam_channel::unbounded::<Seq>();
    let writer = thread::spawn(move || {
        for _ in 0..8 {
            for _ in 0..10 {
                let session = ["demo-1", "demo-2"][random.below(2) as usize];
                rename(&store, "writer", session, 1 + random.below(4).cast_signed());
                thread::sleep(Duration::from_millis(random.below(2) * random.below(160)));
            }
            // A change that does not pass, after which nothing comes: its bookmark must.
            let last = rename(&store, "writer", "demo-1", 1);
            while reports.recv_timeout(SOON).expect("a bookmark in time") < last {}
        }
    });
    let (mut found, mut bookmarks) = (Vec::new(), Vec::new());
    // The writer ends by itself, after the last bookmark or without one in time.
    loop {
        match receiver.receiver().recv_timeout(Duration::from_millis(50)) {
            Ok(Ok(Event::Change(change))) => found.push(change),
            Ok(Ok(Event::Bookmark(cursor))) => {
                bookmarks.push((cursor.seq, found.len()));
                let _ = reported.send(cursor.seq);
            }
            Ok(Err(error)) => panic!("{error}"),
            Err(_) if writer.is_finished() => break,
            Err(_) => {}
        }
    }
    writer.join().unwrap();
    let passing: Vec<_> =
        fixture.truth().into_iter().filter(|change| filter.matches(change)).collect();
    assert_eq!(found, passing);
    assert!(bookmarks.len() >= 8, "{bookmarks:?}");
    for (seq, before) in bookmarks {
        let covered = passing.partition_point(|change| change.seq <= seq);
        assert_eq!(before, covered, "the bookmark {seq} covers what was sent before it");
    }
}

#[test]
fn etcd_17247_the_hand_off_from_replay_to_live_duplicates_nothing() {
    let fixture = Fixture::with_changes(2);
    let fanout = Fanout::with_memory(&fixture.store, 1).unwrap();
    let mut fallbacks = 0;
    for round in 0..12 {
        let from = fixture.head();
        let store = fixture.store.clone();
        let writer = thread::spawn(move || {
            for _ in 0..40 {
                rename(&store, "writer", "demo-1", 2);
            }
        });
        let mut live = fanout.subscribe(Start::Cursor(from), Filter::default()).unwrap();
        let (mut found, last) = (Vec::new(), from.seq.0 + 80);
        while live.cursor().seq.0 < last {
            let batch = live.next_within(SOON).unwrap().expect("the changes in time");
            found.extend(batch.iter().map(|change| change.seq.0));
            if found.len() % 9 == round {
                thread::sleep(Duration::from_millis(8));
            }
        }
        writer.join().unwrap();
        assert_eq!(found, (from.seq.0 + 1..=last).collect::<Vec<_>>());
        fallbacks += live.fallbacks();
    }
    assert!(fallbacks > 0, "it changed between live and catch-up reads");
}

#[test]
fn etcd_20221_a_position_from_before_a_restore_belongs_to_another_epoch() {
    let fixture = Fixture::with_changes(10);
    let backup = fixture.path().with_file_name("backup.db");
    fixture.store.backup(&backup, &cause("test")).unwrap();
    fixture.commits(10);
    let fixture = fixture.restored(&backup);
    assert_eq!(fixture.head(), at(2, 10));
    let open = |cursor| code(Tail::open(&fixture.store, Start::Cursor(cursor), Filter::default()));
    // A seq that the restored log has too is another change.
    assert_eq!([5, 10, 20].map(|seq| open(at(1, seq))), ["CURSOR_EPOCH_MISMATCH"; 3]);
    assert_eq!(open(at(2, 20)), "CURSOR_IN_FUTURE");
    fixture.commits(15);
    assert_eq!(open(at(1, 20)), "CURSOR_EPOCH_MISMATCH", "also when the log has grown past it");
    assert_eq!(open(at(2, 20)), "OK");
    let fanout = Fanout::start(&fixture.store).unwrap();
    let live = fanout.subscribe(Start::Cursor(at(1, 20)), Filter::default());
    assert_eq!(code(live), "CURSOR_EPOCH_MISMATCH");
}

/// Prints each change, and the error at the end.
fn follow(store: &Store) {
    let mut changes = Tail::open(store, Start::End, Filter::default()).unwrap().follow();
    say("ready");
    loop {
        match changes.next_within(SOON * 3) {
            Ok(change) => say(&change.expect("a change in time").seq.to_string()),
            Err(error) => return say(error.code().name()),
        }
    }
}

#[test]
fn etcd_20418_a_process_that_was_stopped_reads_no_stale_changes() {
    if let Some((_, store)) = part() {
        return follow(&store);
    }
    let name = "etcd::etcd_20418_a_process_that_was_stopped_reads_no_stale_changes";
    let stopped = |event: &dyn Fn(&Fixture)| {
        let fixture = Fixture::with_changes(2);
        let player = Player::start(name, "tailer", fixture.path());
        assert_eq!(player.line(), "ready");
        let seq = fixture.commit();
        assert_eq!(player.line(), seq.to_string());
        player.signal("-STOP");
        fixture.commits(5);
        event(&fixture);
        player.signal("-CONT");
        player.line()
    };
    assert_eq!(stopped(&|_| ()), "4", "it continues");
    assert_eq!(stopped(&|fixture| prune(&fixture.store, 3)), "4", "what it needs is there");
    assert_eq!(stopped(&|fixture| prune(&fixture.store, 6)), "CURSOR_EXPIRED");
    if has_shell() {
        assert_eq!(stopped(&|fixture| next_epoch(fixture.path())), "CURSOR_EPOCH_MISMATCH");
    }
}

#[test]
fn etcd_20418_a_restore_waits_for_a_process_that_was_stopped() {
    if let Some((_, store)) = part() {
        return follow(&store);
    }
    let name = "etcd::etcd_20418_a_restore_waits_for_a_process_that_was_stopped";
    let fixture = Fixture::with_changes(3);
    let backup = fixture.path().with_file_name("backup.db");
    fixture.store.backup(&backup, &cause("test")).unwrap();
    let mut player = Player::start(name, "tailer", fixture.path());
    assert_eq!(player.line(), "ready");
    let seq = fixture.commit();
    assert_eq!(player.line(), seq.to_string());
    player.signal("-STOP");
    let (fixture, refused) = fixture.try_restore(&backup);
    assert_eq!(refused.unwrap_err().code().name(), "STORE_IN_USE");
    let seq = fixture.commit();
    player.signal("-CONT");
    assert_eq!(player.line(), seq.to_string(), "nothing was changed under it");
    player.kill();
    let fixture = fixture.restored(&backup);
    let resumed = Tail::open(&fixture.store, Start::Cursor(at(1, seq.0)), Filter::default());
    assert_eq!(code(resumed), "CURSOR_EPOCH_MISMATCH");
}

#[test]
fn etcd_14370_a_write_that_was_acknowledged_is_not_lost_by_a_crash() {
    if let Some((actor, store)) = part() {
        loop {
            say(&rename(&store, &actor, "demo-1", 2).to_string());
        }
    }
    let name = "etcd::etcd_14370_a_write_that_was_acknowledged_is_not_lost_by_a_crash";
    let fixture = Fixture::with_changes(2);
    let mut random = Random(seed());
    for round in 0..6 {
        let actor = format!("writer-{round}");
        let before = fixture.head().seq.0;
        let mut player = Player::start(name, &actor, fixture.path());
        player.line();
        thread::sleep(Duration::from_millis(random.below(30)));
        player.kill();
        let mut acknowledged: Vec<i64> =
            player.lines().iter().map(|seq| seq.parse().unwrap()).collect();
        acknowledged.insert(0, before + 2);
        let truth = fixture.truth();
        assert_eq!(seqs(&truth), (1..=truth.len() as i64).collect::<Vec<_>>());
        for seq in acknowledged {
            let change = &truth[usize::try_from(seq - 1).unwrap()];
            let (tx, of) = (change.tx.map(|tx| tx.0), change.actor());
            assert_eq!((tx, of), (Some(seq - 1), Some(actor.as_str())));
        }
        assert_eq!((truth.len() as i64 - before) % 2, 0, "no transaction is half there");
        assert_eq!(drain(fixture.tail(Start::Cursor(at(1, before)))), truth[before as usize..]);
    }
}
