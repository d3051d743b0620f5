//! A snapshot against a model: under any interleaving of writers, pruning and interruptions its rows
//! are exactly those at its cursor, and the stream after it leads to the present rows.

use std::time::Duration;

use ao_cdc::{Filter, SnapshotReader, Start};
use ao_store::log::as_of::{self, ENTITIES, RowAt};
use ao_store::{CHANGE_TYPES, Cause, Cursor, Seq, Store, Timestamp};

use crate::support::{Fixture, Random, at, drain, has_shell, keep_newest, seed};
use crate::world::{
    PROJECTS, Record, Rows, act, act_foreign, any, apply, own, parts, put, settle, table_of,
};

/// The wanted rows, decided independently of the filter under test.
#[derive(Debug, Clone, Default)]
struct Wanted {
    types: Vec<&'static str>,
    entities: Vec<&'static str>,
    projects: Vec<&'static str>,
    sessions: Vec<String>,
}

impl Wanted {
    fn random(random: &mut Random) -> Wanted {
        let mut wanted = Wanted::default();
        match random.below(6) {
            0 | 1 => {}
            2 => wanted.projects.push(any(random, &PROJECTS)),
            3 => {
                let project = any(random, &PROJECTS);
                wanted.sessions = (1..=2).map(|number| format!("{project}-{number}")).collect();
            }
            4 => wanted.entities = (0..2).map(|_| any(random, ENTITIES)).collect(),
            _ => {
                wanted.types = (0..3).map(|_| any(random, CHANGE_TYPES)).collect();
                wanted.projects.push(any(random, &PROJECTS));
            }
        }
        wanted
    }

    fn filter(&self) -> Filter {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let projects = self.projects.iter().map(|id| id.parse().unwrap()).collect();
        let sessions = self.sessions.iter().map(|id| id.parse().unwrap()).collect();
        let filter = Filter::new(owned(&self.types), projects, sessions).unwrap();
        filter.of_entities(owned(&self.entities)).unwrap()
    }

    fn has(&self, entity: &str, row: &RowAt) -> bool {
        let is_of = |kind: &&str| {
            kind.strip_prefix(entity).is_some_and(|rest| rest.starts_with('_') && !is_longer(rest))
        };
        let is_in = |of: &Option<String>, all: &[&str]| {
            all.is_empty() || of.as_deref().is_some_and(|of| all.contains(&of))
        };
        let sessions: Vec<_> = self.sessions.iter().map(String::as_str).collect();
        (self.entities.is_empty() || self.entities.contains(&entity))
            && (self.types.is_empty() || self.types.iter().any(is_of))
            && is_in(&row.project, &self.projects)
            && is_in(&row.session, &sessions)
    }

    /// Whether a row enters or leaves the filter only by a change of the row itself.
    fn is_stable(&self) -> bool {
        self.types.is_empty() && self.projects.is_empty() && self.sessions.is_empty()
    }
}

/// Whether what follows `pr` or `pr_review` in a type makes it that of another entity.
fn is_longer(rest: &str) -> bool {
    ["_check", "_review_", "_thread_", "_comment"].iter().any(|begin| rest.starts_with(begin))
}

/// A snapshot that is being read, with the rows that it returned.
struct Reading {
    reader: SnapshotReader,
    wanted: Wanted,
    cursor: Cursor,
    found: Vec<(&'static str, RowAt)>,
    /// The positions that were returned, each with the number of rows before it.
    positions: Vec<(String, usize)>,
    /// Whether its reservation is alive.
    is_held: bool,
}

/// What happened: the test asserts that enough did.
#[derive(Debug, Default)]
struct Tally {
    finished: u64,
    resumed: u64,
    expired: u64,
    held: u64,
    pruned: u64,
    prefixes: u64,
}

struct Model {
    fixture: Fixture,
    record: Record,
    /// The heads that are not within a foreign statement.
    ends: Vec<Seq>,
    random: Random,
    readings: Vec<Reading>,
    has_shell: bool,
    tally: Tally,
}

impl Model {
    fn new(seed: u64) -> Model {
        let fixture = Fixture::empty();
        settle(&fixture.store);
        let mut record = Record::default();
        record.catch_up(&fixture.store);
        let (random, readings, tally) = (Random(seed | 1), Vec::new(), Tally::default());
        let ends = vec![fixture.head().seq];
        Model { fixture, record, ends, random, readings, has_shell: has_shell(), tally }
    }

    fn floor(&self) -> Seq {
        self.fixture.floor()
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..14 => {
                act(&self.fixture.store, "model", &mut self.random);
            }
            14 | 15 if self.has_shell => act_foreign(self.fixture.path(), &mut self.random),
            16 => self.prune(Duration::ZERO),
            17 if self.random.below(6) == 0 => self.prune(Duration::from_secs(660)),
            18..20 => self.interrupt(),
            20..23 => self.look_at_prefix(),
            23..26 if self.readings.len() < 3 => self.begin(),
            _ => self.read(),
        }
        self.record.catch_up(&self.fixture.store);
        self.ends.push(self.fixture.head().seq);
    }

    fn begin(&mut self) {
        let head = self.fixture.head().seq;
        let start = match self.random.below(3) {
            0 => Start::End,
            1 => Start::Beginning,
            _ => Start::Cursor(self.retained()),
        };
        let wanted = Wanted::random(&mut self.random);
        let reader = SnapshotReader::open(&self.fixture.store, start, wanted.filter(), "model");
        let reader = reader.unwrap().with_chunk(1 + self.random.below(7) as usize);
        let cursor = reader.cursor();
        match start {
            Start::End => assert_eq!(cursor.seq, head),
            Start::Cursor(asked) => assert_eq!(cursor, asked),
            _ => assert_eq!(cursor.seq, self.floor()),
        }
        let (found, positions) = (Vec::new(), Vec::new());
        self.readings.push(Reading { reader, wanted, cursor, found, positions, is_held: true });
    }

    /// A cursor that can be resumed, also within a transaction of ours. Within a foreign statement a
    /// pull request can be deleted before the rows that belong to it.
    fn retained(&mut self) -> Cursor {
        let (floor, head) = (self.floor(), self.fixture.head().seq);
        let is_sound = |seq: &i64| {
            let next = self.record.changes.get(usize::try_from(*seq).unwrap());
            next.is_none_or(|next| next.tx.is_some()) || self.ends.contains(&Seq(*seq))
        };
        let sound: Vec<_> = (floor.0..=head.0).filter(is_sound).collect();
        at(1, sound[self.random.below(sound.len() as u64) as usize])
    }

    /// The end of what may be pruned: all but about thirty changes, and no part of a foreign statement.
    fn keep(&mut self) -> u64 {
        let head = self.fixture.head().seq.0;
        let wanted = head - self.random.below(30).cast_signed();
        let end = self.ends.iter().rev().find(|end| end.0 <= wanted);
        end.map_or(u64::MAX, |end| head.abs_diff(end.0))
    }

    fn any_reading(&mut self) -> Option<usize> {
        let count = self.readings.len() as u64;
        (count > 0).then(|| self.random.below(count) as usize)
    }

    fn read(&mut self) {
        let Some(index) = self.any_reading() else { return };
        let floor = self.floor();
        let reading = &mut self.readings[index];
        let next = reading.reader.next_rows();
        if self.tally.is_expired(reading.cursor, reading.is_held, floor, next.as_ref().err()) {
            drop(self.readings.swap_remove(index));
            return;
        }
        match next.unwrap() {
            Some(rows) => {
                reading.found.extend(rows.rows.into_iter().map(|row| (rows.entity, row)));
                reading.positions.push((rows.position, reading.found.len()));
            }
            None => {
                let reading = self.readings.swap_remove(index);
                self.finish(reading);
            }
        }
    }

    /// The rows are those at the cursor, each once and in order; then the stream.
    fn finish(&mut self, reading: Reading) {
        let Reading { reader, wanted, cursor, found, is_held, .. } = reading;
        let expected: Vec<_> = self
            .record
            .rows_at(cursor.seq)
            .into_iter()
            .map(|((table, _), row)| (ENTITIES[table], row))
            .filter(|(entity, row)| wanted.has(entity, row))
            .collect();
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{wanted:?} as of {cursor}");
        }
        assert_eq!(names(&found), names(&expected), "{wanted:?} as of {cursor}");
        let floor = self.floor();
        let followed = reader.follow();
        if self.tally.is_expired(cursor, is_held, floor, followed.as_ref().err()) {
            return;
        }
        let (tail, reservation) = followed.unwrap();
        let key = |(entity, row): (&str, RowAt)| ((table_of(entity), parts(&row.key)), row);
        let mut rows: Rows = found.into_iter().map(key).collect();
        for change in drain(tail) {
            if wanted.is_stable() { apply(&mut rows, &change) } else { put(&mut rows, &change) }
        }
        drop(reservation);
        if wanted.is_stable() {
            let head = self.fixture.head().seq;
            let mut live = self.record.rows_at(head);
            live.retain(|(table, _), row| wanted.has(ENTITIES[*table], row));
            let image = |rows: Rows| rows.into_iter().map(|(k, row)| (k, row.image));
            assert!(image(rows).eq(image(live)), "{wanted:?} from {cursor} to {head}");
        }
        self.tally.finished += 1;
    }

    /// A reader stops, in order or as if killed, and another one resumes.
    fn interrupt(&mut self) {
        let Some(index) = self.any_reading() else { return };
        let mut old = self.readings.swap_remove(index);
        let back = self.random.below(2) as usize;
        let kept = old.positions.len().saturating_sub(back);
        old.positions.truncate(kept);
        if self.random.below(2) == 0 {
            // The reservation of a killed reader stays.
            std::mem::forget(old.reader);
        } else {
            drop(old.reader);
            old.is_held = false;
        }
        if self.random.below(3) == 0 {
            let keep = self.keep();
            keep_newest(&self.fixture.store, keep);
        }
        let Some((position, count)) = old.positions.last().cloned() else { return };
        old.found.truncate(count);
        let again =
            SnapshotReader::resume(&self.fixture.store, &position, old.wanted.filter(), "again");
        let is_expired = self.floor() > old.cursor.seq;
        match again {
            Ok(reader) => {
                let reader = reader.with_chunk(1 + self.random.below(7) as usize);
                assert_eq!((reader.cursor(), is_expired), (old.cursor, false));
                self.readings.push(Reading { reader, is_held: true, ..old });
                self.tally.resumed += 1;
            }
            Err(error) => {
                assert_eq!((error.code().name(), is_expired), ("CURSOR_EXPIRED", true));
                assert!(!old.is_held);
                self.tally.expired += 1;
            }
        }
    }

    /// Prunes, at a later time.
    fn prune(&mut self, later: Duration) {
        let before = self.floor();
        let keep = self.keep();
        let floor = prune_at(&self.fixture.store, keep, later);
        self.tally.pruned += u64::from(floor > before);
        if later.is_zero() {
            for reading in self.readings.iter().filter(|reading| reading.is_held) {
                assert!(floor <= reading.cursor.seq, "a reservation keeps {floor}");
                self.tally.held += 1;
            }
        } else {
            self.readings.iter_mut().for_each(|reading| reading.is_held = false);
        }
    }

    fn look_at_prefix(&mut self) {
        let cursor = self.retained();
        let rows = self.record.rows_at(cursor.seq);
        let table = self.random.below(ENTITIES.len() as u64) as usize;
        let known = self.record.rows_at(self.fixture.head().seq);
        let keys: Vec<_> = rows.keys().chain(known.keys()).map(|(_, key)| key[0].clone()).collect();
        let prefix = keys[self.random.below(keys.len() as u64) as usize].clone();
        let found = self
            .fixture
            .store
            .read(|snapshot| as_of::with_prefix(snapshot, ENTITIES[table], cursor, &prefix));
        let expected: Vec<_> = rows
            .into_iter()
            .filter(|((of, key), _)| *of == table && key[0] == prefix)
            .map(|(_, row)| row)
            .collect();
        assert_eq!(found.unwrap(), expected, "{} {prefix} at {cursor}", ENTITIES[table]);
        self.tally.prefixes += 1;
    }
}

fn names(rows: &[(&'static str, RowAt)]) -> Vec<String> {
    rows.iter().map(|(entity, row)| format!("{entity} {}", row.key)).collect()
}

impl Tally {
    /// Whether a read failed because the log was pruned; any other error is a failure.
    fn is_expired(
        &mut self,
        cursor: Cursor,
        is_held: bool,
        floor: Seq,
        error: Option<&ao_cdc::Error>,
    ) -> bool {
        let Some(error) = error else { return false };
        assert_eq!(error.code().name(), "CURSOR_EXPIRED");
        assert!(floor > cursor.seq && !is_held, "{floor}: {cursor}");
        self.expired += 1;
        true
    }

    fn add(&mut self, other: &Tally) {
        self.finished += other.finished;
        self.resumed += other.resumed;
        self.expired += other.expired;
        self.held += other.held;
        self.pruned += other.pruned;
        self.prefixes += other.prefixes;
    }
}

/// Prunes with a clock that is ahead, as if that much time had passed.
pub(crate) fn prune_at(store: &Store, keep: u64, later: Duration) -> Seq {
    let rules = ao_store::log::retention::Rules {
        keep_events: Some(keep),
        ..ao_store::log::retention::Rules::default()
    };
    let now = Timestamp(Timestamp::now().0 + i64::try_from(later.as_millis()).unwrap());
    store.prune(&Cause::new("pruner", now), &rules, |_| ()).unwrap().floor
}

#[test]
fn random_snapshots_agree_with_the_log() {
    let seed = seed();
    let mut tally = Tally::default();
    for run in 0..12 {
        let mut model = Model::new(seed.wrapping_add(run * 7919));
        for _ in 0..220 {
            model.step();
        }
        while !model.readings.is_empty() {
            model.read();
        }
        let mut live = model.record.rows_at(model.fixture.head().seq);
        own(&mut live);
        assert_eq!(whole(&model.fixture.store), live);
        tally.add(&model.tally);
    }
    println!("{tally:?}");
    let Tally { finished, resumed, expired, held, pruned, prefixes } = tally;
    let enough = [finished > 25, resumed > 20, expired > 2, held > 10, pruned > 4, prefixes > 100];
    assert_eq!(enough, [true; 6], "{tally:?}");
}

/// All rows, by one snapshot with the default chunk.
fn whole(store: &Store) -> Rows {
    let mut reader = SnapshotReader::open(store, Start::End, Filter::default(), "test").unwrap();
    let mut rows = Rows::new();
    while let Some(chunk) = reader.next_rows().unwrap() {
        for row in chunk.rows {
            assert!(rows.insert((table_of(chunk.entity), parts(&row.key)), row).is_none());
        }
    }
    rows
}
