//! The validators: the records of a tailer against the whole log. Ordered, Unique, Atomic, Reliable,
//! Resumable, Bookmarkable; and correct images, filters, snapshots and expiries.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ao_cdc::Filter;
use ao_store::log::as_of::ENTITIES;
use ao_store::log::change::Change;

use crate::tailer::{sum, sum_rows};
use crate::world::{Rows, apply, own};

/// How often each event happened.
pub(crate) type Tally = BTreeMap<String, u64>;

/// The whole log, which is consistent.
pub(crate) struct Truth {
    changes: Vec<Change>,
    sums: Vec<u64>,
    /// For each change, where its transaction ends.
    ends: Vec<usize>,
}

impl Truth {
    /// Checks that the log is dense, that times never decrease, that a transaction is contiguous, and
    /// that each image follows from the previous one of its row.
    pub(crate) fn new(changes: Vec<Change>) -> Truth {
        let mut images: HashMap<(&str, &str), &str> = HashMap::new();
        for (change, seq) in changes.iter().zip(1..) {
            assert_eq!(change.seq.0, seq);
            let place = (change.entity(), change.key());
            let before = match change.after() {
                Some(after) => images.insert(place, after),
                None => images.remove(&place),
            };
            assert_eq!(before, change.before(), "before {seq}");
        }
        assert!(changes.is_sorted_by_key(|change| change.at));
        let mut ends: Vec<_> = (1..=changes.len()).collect();
        for i in (1..changes.len()).rev() {
            let tx = changes[i].tx;
            if tx.is_some() && tx == changes[i - 1].tx {
                ends[i - 1] = ends[i];
            } else if let Some(first) = tx {
                assert_eq!(first.0 as usize, i + 1, "a transaction is one piece");
            }
        }
        let sums = changes.iter().map(sum).collect();
        Truth { changes, sums, ends }
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Where the transaction of the change at an index begins.
    fn begin(&self, index: usize) -> usize {
        self.changes[index].tx.map_or(index, |first| first.0 as usize - 1)
    }
}

/// The changes that pass a filter.
struct Passing<'a> {
    truth: &'a Truth,
    /// How many of the first `count` changes pass.
    counts: Vec<u64>,
}

impl Passing<'_> {
    fn new<'a>(truth: &'a Truth, filter: &Filter) -> Passing<'a> {
        let mut counts = vec![0];
        for change in &truth.changes {
            counts.push(counts[counts.len() - 1] + u64::from(filter.matches(change)));
        }
        Passing { truth, counts }
    }

    /// How many pass after one position up to another.
    fn between(&self, after: usize, up_to: usize) -> u64 {
        self.counts[up_to] - self.counts[after]
    }

    /// Whether a position is between passing changes of one transaction.
    fn is_within_transaction(&self, seq: usize) -> bool {
        if seq == 0 || self.truth.ends[seq - 1] == seq {
            return false;
        }
        let (begin, end) = (self.truth.begin(seq - 1), self.truth.ends[seq - 1]);
        self.between(begin, seq) > 0 && self.between(seq, end) > 0
    }
}

/// The position of one tailer while its records are read.
struct Checker<'a> {
    passing: Passing<'a>,
    at: usize,
    snapshots: Vec<(usize, u64, u64)>,
}

/// Checks the records of a tailer.
pub(crate) fn validate(truth: &Truth, notes: &Path, filter: &Filter, tally: &mut Tally) {
    let passing = Passing::new(truth, filter);
    let mut checker = Checker { passing, at: 0, snapshots: Vec::new() };
    for (number, line) in std::fs::read_to_string(notes).unwrap().lines().enumerate() {
        let mut words = line.split(' ');
        let word = words.next().unwrap();
        let values: Vec<u64> = words.map(|value| value.parse().unwrap()).collect();
        let place = format!("{}:{}: {line}, at {}", notes.display(), number + 1, checker.at);
        checker.check(word, &values, &place);
        let name = if word == "connect" { line } else { word };
        *tally.entry(name.to_owned()).or_default() += 1;
    }
    assert_eq!(checker.at, truth.len(), "{}: it reached the end", notes.display());
    check_snapshots(truth, filter, checker.snapshots);
}

impl Checker<'_> {
    fn check(&mut self, word: &str, values: &[u64], place: &str) {
        let seq = values[0] as usize;
        match word {
            "connect" => {}
            "start" => self.at = seq,
            "change" => {
                assert!(seq > self.at, "ordered, unique: {place}");
                assert_eq!(self.passing.between(self.at, seq - 1), 0, "reliable: {place}");
                assert_eq!(self.passing.between(seq - 1, seq), 1, "filtered: {place}");
                assert_eq!(values[1], self.passing.truth.sums[seq - 1], "the same: {place}");
                self.at = seq;
            }
            "covered" | "idle" | "bookmark" => {
                assert!(seq >= self.at, "bookmarks move on: {place}");
                assert_eq!(self.passing.between(self.at, seq), 0, "bookmarkable: {place}");
                let is_within_transaction =
                    word != "covered" && self.passing.is_within_transaction(seq);
                assert!(!is_within_transaction, "atomic: {place}");
                self.at = seq;
            }
            "back" => {
                let from = values[1] as usize;
                assert!((from..=self.at).contains(&seq), "resumable: {place}");
                self.at = seq;
            }
            "expired" => {
                assert!(seq >= self.at && values[1] > values[0], "expired: {place}");
                assert_eq!(self.passing.between(self.at, seq), 0, "reliable: {place}");
            }
            "snapshot" => self.snapshots.push((seq, values[1], values[2])),
            other => panic!("{other}"),
        }
    }
}

/// Replays the log once and compares at each snapshot.
fn check_snapshots(truth: &Truth, filter: &Filter, mut snapshots: Vec<(usize, u64, u64)>) {
    snapshots.sort_unstable();
    let entities: Vec<_> = ENTITIES.iter().filter(|entity| has_entity(filter, entity)).collect();
    let (mut rows, mut at) = (Rows::new(), 0);
    for (seq, count, sum) in snapshots {
        truth.changes[at..seq].iter().for_each(|change| apply(&mut rows, change));
        at = seq;
        let mut owned = rows.clone();
        own(&mut owned);
        let wanted = owned
            .iter()
            .map(|((table, _), row)| (ENTITIES[*table], row))
            .filter(|(entity, row)| entities.contains(&entity) && filter.matches_row(entity, row));
        assert_eq!(sum_rows(wanted), (count, sum), "the rows as of {seq}, {filter:?}");
    }
}

/// Whether a filter of types wants rows of an entity at all.
fn has_entity(filter: &Filter, entity: &str) -> bool {
    let read: serde_json::Value = serde_json::from_str(&filter.to_json()).unwrap();
    let types = read["types"].as_array().unwrap();
    let is_of = |kind: &str| {
        let names = ENTITIES.iter().filter(|name| kind.starts_with(&format!("{name}_")));
        names.max_by_key(|name| name.len()) == Some(&entity)
    };
    types.is_empty() || types.iter().any(|kind| is_of(kind.as_str().unwrap()))
}
