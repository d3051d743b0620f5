//! The stream protocol: the order of its items, when bookmarks come, and that only what was written
//! is acknowledged.

use std::thread;
use std::time::{Duration, Instant};

use ao_cdc::{Feed, FeedOptions, Filter, Item, Origin, Start, Step, Takeover};
use ao_store::lease::Owner;
use ao_store::log::consumer::Policy;
use ao_store::{Cursor, Store, Timestamp};
use serde_json::Value;

use crate::consumer::{code, create, stored};
use crate::support::{Fixture, SOON, add_sessions, at, rename};

fn options() -> FeedOptions {
    FeedOptions { heartbeat: Some(SOON * 10), holder: "test".to_owned(), ..FeedOptions::default() }
}

fn with_snapshot() -> FeedOptions {
    FeedOptions { snapshot: true, ..options() }
}

fn log(start: Start) -> Origin {
    Origin::Log { start, filter: Filter::default() }
}

/// The changes of the session `demo-2` only.
fn of_second(start: Start) -> Origin {
    let filter = Filter::new(vec![], vec![], vec!["demo-2".parse().unwrap()]).unwrap();
    Origin::Log { start, filter }
}

fn reader(takeover: Takeover) -> Origin {
    let name = "reader".parse().unwrap();
    Origin::Consumer { name, filter: None, owner: Owner::this_process(), takeover }
}

fn peek(lease: Option<Duration>) -> Origin {
    let lease = lease.map(|ttl| (ttl, "test".to_owned()));
    Origin::Peek { name: "reader".parse().unwrap(), lease }
}

fn open(store: &Store, origin: Origin, options: &FeedOptions) -> Feed {
    Feed::open(store, origin, options).unwrap()
}

/// The lines that a step or an end of the feed renders.
fn lines<T>(
    feed: &mut Feed,
    work: impl FnOnce(&mut Feed, &mut ao_cdc::Render<'_>) -> ao_cdc::Result<T>,
) -> (T, Vec<Value>) {
    let (mut encoder, mut text) = (feed.encoder(), Vec::new());
    let done = work(feed, &mut |item| match item {
        Item::Change(change) => encoder.ndjson(change, &mut text),
        Item::Control(control) => {
            encoder.control(&control, &mut text);
            Ok(())
        }
    });
    let text = String::from_utf8(text).unwrap();
    (done.unwrap(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn next(feed: &mut Feed) -> (Step, Vec<Value>) {
    lines(feed, |feed, render| feed.next(Duration::ZERO, render))
}

/// The names of control lines and the seqs of changes.
fn names(lines: &[Value]) -> Vec<String> {
    let name = |line: &Value| line["control"].as_str().map(str::to_owned);
    lines.iter().map(|line| name(line).unwrap_or_else(|| line["seq"].to_string())).collect()
}

/// Everything up to the head of the log.
fn to_head(feed: &mut Feed) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let (step, lines) = next(feed);
        all.extend(lines);
        feed.written().unwrap();
        if step == Step::AtHead {
            return all;
        }
    }
}

#[test]
fn hello_comes_first_and_bye_last_with_the_cursor_of_the_last_change() {
    let fixture = Fixture::with_changes(4);
    let mut feed = open(&fixture.store, log(Start::Cursor(at(1, 1))), &options());
    let (step, found) = next(&mut feed);
    assert_eq!(
        (step, names(&found)),
        (Step::AtHead, vec!["hello", "2", "3", "4"].into_iter().map(str::to_owned).collect())
    );
    let hello = &found[0];
    assert_eq!(
        (&hello["cursor"], &hello["floor"], &hello["head"]),
        (&"1-1".into(), &"1-0".into(), &"1-4".into())
    );
    assert_eq!(hello["log_id"].as_str().unwrap().len(), 32);
    assert_eq!(hello["schema_version"], ao_store::SCHEMA_VERSION);
    assert!(hello.get("lease").is_none() && hello.get("seq").is_none());
    fixture.commit();
    assert_eq!(names(&next(&mut feed).1), ["5"]);
    assert_eq!((feed.cursor(), feed.sent()), (at(1, 5), 4));
    let (_, bye) = lines(&mut feed, |feed, render| feed.bye(render));
    assert_eq!((names(&bye), &bye[0]["cursor"]), (vec!["bye".to_owned()], &"1-5".into()));
}

#[test]
fn without_a_heartbeat_only_changes_come() {
    let fixture = Fixture::with_changes(3);
    let mut feed = open(&fixture.store, log(Start::Beginning), &FeedOptions::default());
    assert_eq!(names(&to_head(&mut feed)), ["1", "2", "3"]);
    for end in [Feed::bookmark, |feed: &mut Feed, render: &mut ao_cdc::Render<'_>| feed.bye(render)]
    {
        assert!(lines(&mut feed, end).1.is_empty());
    }
}

#[test]
fn a_feed_waits_at_the_head_until_something_is_committed() {
    let fixture = Fixture::with_changes(2);
    let mut feed = open(&fixture.store, log(Start::End), &options());
    assert_eq!(names(&to_head(&mut feed)), ["hello"]);
    let store = fixture.store.clone();
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        rename(&store, "writer", "demo-1", 1)
    });
    let started = Instant::now();
    let (step, found) = lines(&mut feed, |feed, render| feed.next(SOON, render));
    assert!(started.elapsed() < SOON / 2);
    assert_eq!((step, names(&found)), (Step::AtHead, vec!["3".to_owned()]));
    writer.join().unwrap();
}

#[test]
fn a_limit_ends_the_feed_at_its_last_change() {
    let fixture = Fixture::with_changes(10);
    for (limit, last) in [(0, 2), (3, 5), (8, 10)] {
        let options = FeedOptions { limit: Some(limit), ..options() };
        let mut feed = open(&fixture.store, log(Start::Cursor(at(1, 2))), &options);
        for _ in 0..2 {
            assert_eq!(next(&mut feed).0, Step::Complete);
            assert_eq!((feed.cursor(), feed.sent()), (at(1, last), limit));
        }
    }
    let options = FeedOptions { limit: Some(9), ..options() };
    let mut feed = open(&fixture.store, log(Start::Cursor(at(1, 2))), &options);
    assert_eq!(next(&mut feed).0, Step::AtHead, "there are only eight");
}

#[test]
fn the_rows_come_before_the_changes_and_end_with_snapshot_end() {
    let fixture = Fixture::with_changes(5);
    let mut feed = open(&fixture.store, log(Start::End), &with_snapshot());
    let (step, first) = next(&mut feed);
    fixture.commit();
    let mut all = first;
    assert_eq!(step, Step::Snapshot);
    while let (Step::Snapshot, found) = next(&mut feed) {
        all.extend(found);
        // The last call renders the changes.
        if names(&all).last().is_some_and(|name| name == "snapshot_end") {
            break;
        }
    }
    assert_eq!(names(&all)[..3], ["hello", "snapshot_begin", "row"]);
    assert!(all.iter().all(|line| line["cursor"] == "1-5"), "one point in time: {all:?}");
    let rows: Vec<_> = all.iter().filter_map(|line| line["entity"].as_str()).collect();
    assert_eq!(rows, ["project", "session"]);
    assert_eq!(names(&next(&mut feed).1), ["6"]);
    assert!(reservations(&fixture).is_empty(), "the feed has caught up");
}

fn reservations(fixture: &Fixture) -> Vec<String> {
    let found = fixture.store.stats(Timestamp::now()).unwrap().reservations;
    found.into_iter().map(|reservation| reservation.holder).collect()
}

#[test]
fn a_snapshot_that_is_dropped_resumes_after_its_rows() {
    let fixture = Fixture::with_changes(2);
    let whole = to_head(&mut open(&fixture.store, log(Start::End), &with_snapshot()));
    let mut feed = open(&fixture.store, log(Start::End), &with_snapshot());
    assert_eq!(feed.resume(), None);
    let (_, first) = next(&mut feed);
    let position = feed.resume().expect("a position to resume at").to_owned();
    assert_eq!(first.last().unwrap()["resume"], position.as_str());
    drop(feed);
    assert_eq!(reservations(&fixture), ["test"], "the reservation stays");
    fixture.commit();
    let origin = Origin::Snapshot { position: position.clone(), filter: Filter::default() };
    let mut feed = open(&fixture.store, origin, &options());
    let rest = to_head(&mut feed);
    assert_eq!(names(&rest).last().unwrap(), "3", "then the changes");
    assert_eq!(feed.resume(), None);
    let rows = |lines: &[Value]| -> Vec<Value> {
        lines.iter().filter(|line| line["control"] == "row").cloned().collect()
    };
    assert_eq!([rows(&first), rows(&rest)].concat(), rows(&whole));
    let Origin::Log { filter, .. } = of_second(Start::End) else { panic!() };
    let other = Feed::open(&fixture.store, Origin::Snapshot { position, filter }, &options());
    assert_eq!(code(other), "INVALID_CURSOR", "the filter is another one");
}

#[test]
fn a_bookmark_comes_after_silence_and_covers_only_what_was_rendered() {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 1);
    let heartbeat = Some(Duration::from_millis(200));
    let options = FeedOptions { heartbeat, ..options() };
    let mut feed = open(&fixture.store, of_second(Start::End), &options);
    assert_eq!(names(&to_head(&mut feed)), ["hello"]);
    let passing = rename(&fixture.store, "test", "demo-2", 1);
    let other = rename(&fixture.store, "test", "demo-1", 3);
    let found = to_head(&mut feed);
    assert_eq!(names(&found), [passing.to_string()], "no bookmark while changes come");
    assert!(to_head(&mut feed).is_empty());
    thread::sleep(Duration::from_millis(250));
    let bookmark = to_head(&mut feed);
    assert_eq!(names(&bookmark), ["bookmark"]);
    let head = at(1, other.0).to_string();
    assert_eq!(
        (&bookmark[0]["cursor"], &bookmark[0]["head"]),
        (&head.as_str().into(), &head.as_str().into())
    );
    assert!(bookmark[0]["at"].as_str().unwrap().ends_with('Z'));
    assert!(to_head(&mut feed).is_empty(), "not at once again");
    thread::sleep(Duration::from_millis(250));
    assert_eq!(names(&to_head(&mut feed)), ["bookmark"], "a heartbeat although nothing moved");
}

#[test]
fn a_bookmark_while_behind_is_at_the_cursor_and_not_at_the_head() {
    let fixture = Fixture::with_changes(2);
    add_sessions(&fixture.store, "demo", 1);
    rename(&fixture.store, "test", "demo-1", 1000);
    let options = FeedOptions { heartbeat: Some(Duration::ZERO), ..options() };
    let mut feed = open(&fixture.store, of_second(Start::Cursor(at(1, 3))), &options);
    let (step, found) = next(&mut feed);
    assert_eq!(
        (step, names(&found)),
        (Step::Behind, vec!["hello".to_owned(), "bookmark".to_owned()])
    );
    let cursor: Cursor = found[1]["cursor"].as_str().unwrap().parse().unwrap();
    assert_eq!((cursor, feed.cursor()), (at(1, 515), at(1, 515)));
    assert_eq!(found[1]["head"], "1-1003");
}

#[test]
fn only_what_was_written_is_acknowledged() {
    let fixture = Fixture::with_changes(6);
    create(&fixture.store, at(1, 0), &Filter::default(), Policy::Block);
    let three = FeedOptions { limit: Some(3), ..options() };
    let mut feed = open(&fixture.store, reader(Takeover::IfGone), &three);
    assert_eq!(names(&next(&mut feed).1), ["hello", "1", "2", "3"]);
    drop(feed);
    assert_eq!(stored(&fixture.store).acked, at(1, 0), "it was rendered but not written");
    let mut feed = open(&fixture.store, reader(Takeover::IfGone), &three);
    assert_eq!(names(&next(&mut feed).1), ["hello", "1", "2", "3"]);
    feed.written().unwrap();
    feed.close().unwrap();
    let found = stored(&fixture.store);
    assert_eq!((found.acked, found.lease), (at(1, 3), None), "exactly the limit");
    let mut feed = open(&fixture.store, reader(Takeover::IfGone), &options());
    assert_eq!(names(&to_head(&mut feed)), ["hello", "4", "5", "6"]);
    drop(feed);
    assert_eq!(stored(&fixture.store).acked, at(1, 6), "a drop writes it too");
}

#[test]
fn a_consumer_that_lost_its_lease_acknowledges_nothing_more() {
    let fixture = Fixture::with_changes(4);
    create(&fixture.store, at(1, 0), &Filter::default(), Policy::Block);
    let mut first = open(&fixture.store, reader(Takeover::IfGone), &options());
    next(&mut first);
    assert_eq!(
        code(Feed::open(&fixture.store, reader(Takeover::IfGone), &options())),
        "LEASE_HELD"
    );
    let mut second = open(&fixture.store, reader(Takeover::Always), &options());
    assert_eq!(names(&next(&mut second).1), ["hello", "1", "2", "3", "4"]);
    let refused = first.written().and_then(|()| first.close());
    assert_eq!(code(refused), "LEASE_LOST");
    assert_eq!(stored(&fixture.store).acked, at(1, 0));
    second.written().unwrap();
    second.close().unwrap();
    assert_eq!(stored(&fixture.store).acked, at(1, 4));
}

#[test]
fn a_consumer_begins_with_rows_at_its_acknowledged_cursor() {
    let fixture = Fixture::with_changes(4);
    create(&fixture.store, at(1, 2), &Filter::default(), Policy::Block);
    let mut feed = open(&fixture.store, reader(Takeover::IfGone), &with_snapshot());
    let all = to_head(&mut feed);
    assert_eq!((&all[0]["cursor"], &all[1]["cursor"]), (&"1-2".into(), &"1-2".into()));
    let names = names(&all);
    assert_eq!(names[names.len() - 3..], ["snapshot_end", "3", "4"]);
}

#[test]
fn a_peek_leaves_the_position_and_its_lease_outlives_it() {
    let fixture = Fixture::with_changes(4);
    create(&fixture.store, at(1, 1), &Filter::default(), Policy::Block);
    let mut feed = open(&fixture.store, peek(None), &options());
    let found = to_head(&mut feed);
    assert_eq!(names(&found), ["hello", "2", "3", "4"]);
    assert!(found[0].get("lease").is_none());
    let (_, bookmark) = lines(&mut feed, Feed::bookmark);
    assert_eq!(
        (names(&bookmark), &bookmark[0]["cursor"]),
        (vec!["bookmark".to_owned()], &"1-4".into())
    );
    feed.close().unwrap();
    assert_eq!(stored(&fixture.store).acked, at(1, 1));
    let mut feed = open(&fixture.store, peek(Some(SOON)), &options());
    let generation = stored(&fixture.store).generation.0;
    assert_eq!(to_head(&mut feed)[0]["lease"], generation);
    drop(feed);
    assert!(stored(&fixture.store).live_lease(Timestamp::now()).is_some());
    assert_eq!(code(Feed::open(&fixture.store, peek(Some(SOON)), &options())), "LEASE_HELD");
}
