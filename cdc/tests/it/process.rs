//! Consumers in processes of their own that are killed and stopped at any time lose nothing.

use ao_cdc::{Filter, Start, Tail};
use ao_store::{Cursor, Store};

use crate::support::{Fixture, Player, Random, SOON, at, part, rename, say};

/// Prints the cursor after every change until it is killed.
fn follow(store: &Store, from: &str) {
    let start = Start::Cursor(from.parse().unwrap());
    let mut changes = Tail::open(store, start, Filter::default()).unwrap().follow();
    loop {
        let change = changes.next_within(SOON * 3).unwrap().expect("a change in time");
        let cursor = changes.cursor();
        assert!(cursor.seq == change.seq, "{cursor}");
        say(&cursor.to_string());
    }
}

fn seq(line: &str) -> i64 {
    line.parse::<Cursor>().unwrap().seq.0
}

#[test]
fn a_consumer_that_is_killed_repeatedly_resumes_where_it_was() {
    if let Some((from, store)) = part() {
        return follow(&store, &from);
    }
    let name = "process::a_consumer_that_is_killed_repeatedly_resumes_where_it_was";
    let fixture = Fixture::with_changes(2);
    let mut random = Random(0x9E37);
    let mut found = Vec::new();
    for _ in 0..8 {
        let from = found.last().copied().unwrap_or(0);
        let mut player = Player::start(name, &at(1, from).to_string(), fixture.path());
        let enough = 1 + random.below(20);
        for _ in 0..enough {
            rename(&fixture.store, "test", "demo-1", 3);
            found.push(seq(&player.line()));
        }
        player.kill();
        found.extend(player.lines().iter().map(|line| seq(line)));
    }
    assert_eq!(found, (1..=found.len() as i64).collect::<Vec<_>>());
    let rest = fixture.tail(Start::Cursor(at(1, found.len() as i64)));
    found.extend(crate::support::seqs(&crate::support::drain(rest)));
    assert_eq!(found, crate::support::seqs(&fixture.truth()));
}

#[test]
fn a_consumer_that_was_stopped_continues_and_delays_no_other() {
    if let Some((from, store)) = part() {
        return follow(&store, &from);
    }
    let name = "process::a_consumer_that_was_stopped_continues_and_delays_no_other";
    let fixture = Fixture::with_changes(2);
    let player = Player::start(name, "1-0", fixture.path());
    let mut found = vec![seq(&player.line()), seq(&player.line())];
    for _ in 0..3 {
        player.signal("-STOP");
        for _ in 0..40 {
            fixture.commit();
        }
        player.signal("-CONT");
        while found.len() < fixture.truth().len() {
            found.push(seq(&player.line()));
        }
    }
    assert_eq!(found, (1..=122).collect::<Vec<_>>());
}
