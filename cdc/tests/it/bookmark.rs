//! Bookmarks: the position of a filtered receiver or stream moves on when no change passes, a bookmark
//! is never ahead of a change that it covers, and resuming from one loses nothing.

use std::thread;
use std::time::Instant;

use ao_cdc::{ChangeReceiver, Event, Filter, Start, Tail};
use ao_store::log::change::Change;
use ao_store::{Cursor, Store};

use crate::support::{Fixture, Random, SOON, add_sessions, at, rename, seed};

/// Only changes of the session `demo-2` pass.
fn of_second() -> Filter {
    Filter::new(vec![], vec![], vec!["demo-2".parse().unwrap()]).unwrap()
}

fn fixture() -> Fixture {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 1);
    fixture
}

fn receive(store: &Store, start: Start) -> ChangeReceiver {
    Tail::open(store, start, of_second()).unwrap().into_receiver(3).unwrap()
}

/// The bookmark at a position, with the changes that came before it.
fn up_to(receiver: &ChangeReceiver, seq: i64) -> (Vec<Change>, Vec<Cursor>) {
    let (mut changes, mut bookmarks) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + SOON;
    while bookmarks.last() != Some(&at(1, seq)) {
        match receiver.receiver().recv_deadline(deadline).expect("in time").unwrap() {
            Event::Change(change) => changes.push(change),
            Event::Bookmark(cursor) => bookmarks.push(cursor),
        }
    }
    (changes, bookmarks)
}

#[test]
fn a_filtered_receiver_gets_bookmarks_that_move_on() {
    let fixture = fixture();
    let receiver = receive(&fixture.store, Start::End);
    for _ in 0..3 {
        let last = rename(&fixture.store, "test", "demo-1", 4).0;
        let (changes, bookmarks) = up_to(&receiver, last);
        assert!(changes.is_empty() && bookmarks.is_sorted_by_key(|cursor| cursor.seq));
    }
    let passing = rename(&fixture.store, "test", "demo-2", 2).0;
    let behind = rename(&fixture.store, "test", "demo-1", 1).0;
    let (changes, _) = up_to(&receiver, behind);
    assert_eq!(crate::support::seqs(&changes), [passing - 1, passing]);
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_filtered_stream_gets_bookmarks_that_move_on() {
    use tokio::time::timeout;
    use tokio_stream::StreamExt;

    let fixture = fixture();
    let tail = Tail::open(&fixture.store, Start::Beginning, of_second()).unwrap();
    let mut stream = tail.into_stream(1).unwrap();
    let mut next = async || timeout(SOON, stream.next()).await.expect("in time").unwrap().unwrap();
    let created = next().await;
    assert!(matches!(&created, Event::Change(change) if change.seq.0 == 3), "{created:?}");
    for _ in 0..3 {
        let last = rename(&fixture.store, "test", "demo-1", 3);
        assert_eq!(next().await, Event::Bookmark(Cursor { seq: last, ..at(1, 0) }));
    }
    let passing = rename(&fixture.store, "test", "demo-2", 1);
    let change = next().await;
    assert!(matches!(&change, Event::Change(change) if change.seq == passing), "{change:?}");
}

#[test]
fn without_a_filter_no_bookmark_comes() {
    let fixture = fixture();
    let receiver = fixture.tail(Start::Beginning).into_receiver(100).unwrap();
    let found: Vec<_> = (0..3).map(|_| receiver.receiver().recv_timeout(SOON).unwrap()).collect();
    assert!(found.into_iter().all(|event| matches!(event.unwrap(), Event::Change(_))));
    let pause = std::time::Duration::from_millis(300);
    assert!(receiver.receiver().recv_timeout(pause).is_err(), "there is nothing to report");
}

/// Reads in short connections and resumes from the last reported position, most often a bookmark.
fn consume(store: &Store, last: i64, random: &mut Random) -> (Vec<Change>, usize) {
    let (mut cursor, mut changes, mut resumed) = (at(1, 0), Vec::<Change>::new(), 0);
    let deadline = Instant::now() + SOON * 3;
    while cursor.seq.0 < last {
        let receiver = receive(store, Start::Cursor(cursor));
        let mut is_bookmark = false;
        for _ in 0..1 + random.below(6) {
            let event = receiver.receiver().recv_deadline(deadline).expect("in time").unwrap();
            is_bookmark = matches!(event, Event::Bookmark(_));
            match event {
                Event::Change(change) => {
                    assert!(change.seq > cursor.seq, "it is covered by an earlier bookmark");
                    cursor.seq = change.seq;
                    changes.push(change);
                }
                Event::Bookmark(bookmark) => {
                    assert!(bookmark.seq > cursor.seq, "a bookmark moves on");
                    cursor = bookmark;
                }
            }
            if cursor.seq.0 >= last || is_bookmark {
                break;
            }
        }
        resumed += usize::from(is_bookmark);
    }
    (changes, resumed)
}

#[test]
fn resuming_from_a_bookmark_loses_nothing() {
    let fixture = fixture();
    let mut random = Random(seed());
    let store = fixture.store.clone();
    let mut writing = Random(random.below(u64::MAX) | 1);
    let writer = thread::spawn(move || {
        for _ in 0..60 {
            let session = ["demo-1", "demo-1", "demo-1", "demo-2"][writing.below(4) as usize];
            rename(&store, "writer", session, 1 + writing.below(3).cast_signed());
            thread::sleep(std::time::Duration::from_millis(writing.below(60)));
        }
        // The last change of the log does not pass: only a bookmark reaches it.
        rename(&store, "writer", "demo-1", 1).0
    });
    let (mut first, resumed) = consume(&fixture.store, 60, &mut random);
    let last = writer.join().unwrap();
    let newest = first.last().map_or(0, |change| change.seq.0).max(60);
    first.retain(|change| change.seq.0 <= newest);
    let (again, _) = consume(&fixture.store, last, &mut random);
    assert!(resumed > 0, "it resumed from bookmarks");
    let truth: Vec<_> =
        fixture.truth().into_iter().filter(|change| of_second().matches(change)).collect();
    assert_eq!(again, truth);
    let passed = truth.iter().take_while(|change| change.seq.0 <= newest);
    assert_eq!(first, passed.cloned().collect::<Vec<_>>());
}
