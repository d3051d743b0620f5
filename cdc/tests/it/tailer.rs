//! A tailer in a process of its own: it connects in every form, disconnects, sleeps and resumes, and
//! records what it received for `validate` to check.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use ao_cdc::{Consumer, Error, Event, Fanout, Filter, SnapshotReader, Start, Tail, Takeover};
use ao_store::lease::{Fence, Owner};
use ao_store::log::as_of::{ENTITIES, RowAt};
use ao_store::log::change::Change;
use ao_store::log::consumer::{self, NewConsumer, Policy};
use ao_store::{CHANGE_TYPES, ConsumerName, Cursor, Error as StoreError, Store};

use crate::support::{Random, cause, say};
use crate::world::{PROJECTS, any};

/// A short wait in which a change may come.
const PAUSE: Duration = Duration::from_millis(5);

/// The filter of a tailer: everything passes those of the first two.
pub(crate) fn filter_of(number: u64, seed: u64) -> Filter {
    let mut random = Random(seed.wrapping_mul(31 + number) | 1);
    for _ in 0..8 {
        random.below(2);
    }
    let mut some = |count: u64, of: &[&str]| -> Vec<String> {
        (0..count).map(|_| any(&mut random, of).to_owned()).collect()
    };
    let everything = Filter::default();
    match number {
        0 | 1 => everything,
        2 => everything.of_entities(some(2, ENTITIES)).unwrap(),
        3 => Filter::new(some(3, CHANGE_TYPES), vec![], vec![]).unwrap(),
        4 => Filter::new(vec![], ids(&some(1, &PROJECTS)), vec![]).unwrap(),
        5 => Filter::new(vec![], vec![], ids(&some(2, &["demo-1", "demo-2", "other-3"]))).unwrap(),
        6 => {
            let types = some(6, CHANGE_TYPES);
            Filter::new(types, ids(&some(1, &PROJECTS)), vec![]).unwrap()
        }
        _ => Filter::new(vec!["project_updated".to_owned()], vec![], vec![]).unwrap(),
    }
}

fn ids<T: std::str::FromStr<Err: std::fmt::Debug>>(texts: &[String]) -> Vec<T> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub(crate) fn log_of(path: &Path, number: u64) -> PathBuf {
    path.with_file_name(format!("tailer-{number}.log"))
}

pub(crate) fn sum(value: &impl std::fmt::Debug) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{value:?}").hash(&mut hasher);
    hasher.finish()
}

/// The digest of the rows of a snapshot, in their order.
pub(crate) fn sum_rows<'a>(rows: impl Iterator<Item = (&'a str, &'a RowAt)>) -> (u64, u64) {
    let mut hasher = DefaultHasher::new();
    let mut count = 0;
    for (entity, row) in rows {
        count += 1;
        format!("{entity} {row:?}").hash(&mut hasher);
    }
    (count, hasher.finish())
}

struct Tailer {
    store: Store,
    fanout: Fanout,
    name: ConsumerName,
    filter: Filter,
    random: Random,
    cursor: Cursor,
    log: BufWriter<File>,
}

/// Runs a tailer until it is sent the end of the log and has reached it.
pub(crate) fn play(store: Store, number: u64, seed: u64) {
    let end = Arc::new(AtomicI64::new(i64::MAX));
    let known_end = Arc::clone(&end);
    thread::spawn(move || {
        for line in std::io::stdin().lines() {
            known_end.store(line.unwrap().parse().unwrap(), Ordering::SeqCst);
        }
    });
    let filter = filter_of(number, seed);
    let name: ConsumerName = format!("tailer-{number}").parse().unwrap();
    let tail = Tail::open(&store, Start::Beginning, filter.clone()).unwrap();
    let cursor = tail.cursor();
    let new = NewConsumer {
        name: name.clone(),
        start: cursor,
        filter: filter.to_json(),
        policy: Policy::None,
    };
    store.write(cause("tailer"), move |tx| consumer::create(tx, &new)).unwrap();
    let log = BufWriter::new(File::create(log_of(store.path(), number)).unwrap());
    let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | (2 * number + 1));
    let fanout = Fanout::with_memory(&store, 4096).unwrap();
    let mut tailer = Tailer { store, fanout, name, filter, random, cursor, log };
    tailer.note(&format!("start {}", cursor.seq));
    say("ready");
    while tailer.cursor.seq.0 < end.load(Ordering::SeqCst) {
        if let Err(error) = tailer.connect() {
            tailer.restart(&error);
        }
        if tailer.random.below(30) == 0 && end.load(Ordering::SeqCst) == i64::MAX {
            thread::sleep(Duration::from_millis(200 + tailer.random.below(1500)));
        }
    }
    tailer.log.flush().unwrap();
    say("done");
}

impl Tailer {
    fn note(&mut self, line: &str) {
        writeln!(self.log, "{line}").unwrap();
    }

    fn received(&mut self, change: &Change) {
        self.note(&format!("change {} {}", change.seq, sum(change)));
        self.cursor.seq = change.seq;
    }

    /// Everything up to here was received.
    fn covered(&mut self, word: &str, cursor: Cursor) {
        assert_eq!(cursor.epoch, self.cursor.epoch);
        self.note(&format!("{word} {}", cursor.seq));
        self.cursor = cursor;
    }

    fn connect(&mut self) -> ao_cdc::Result<()> {
        let some = 1 + self.random.below(30);
        let form = self.random.below(5);
        self.note(&format!("connect {form}"));
        let result = match form {
            0 => self.by_visits(some),
            1 => self.by_iterator(some),
            2 => self.by_channel(some),
            3 => self.by_subscription(some),
            _ => self.by_consumer(1 + some / 6),
        };
        self.log.flush().unwrap();
        result
    }

    fn tail(&self) -> ao_cdc::Result<Tail> {
        Tail::open(&self.store, Start::Cursor(self.cursor), self.filter.clone())
    }

    fn by_visits(&mut self, some: u64) -> ao_cdc::Result<()> {
        let mut tail = self.tail()?;
        for _ in 0..some {
            self.visit(&mut tail, 1 + self.random.0 as usize % 700)?;
            tail.wait(PAUSE)?;
        }
        Ok(())
    }

    fn visit(&mut self, tail: &mut Tail, limit: usize) -> ao_cdc::Result<bool> {
        let mut changes = Vec::new();
        let visited = tail.visit(limit, |change| {
            changes.push(change.to_owned()?);
            Ok(())
        })?;
        assert_eq!(visited.matched, changes.len());
        changes.iter().for_each(|change| self.received(change));
        self.covered(if visited.is_at_head { "idle" } else { "covered" }, tail.cursor());
        Ok(visited.is_at_head)
    }

    fn by_iterator(&mut self, some: u64) -> ao_cdc::Result<()> {
        let mut changes = self.tail()?.follow();
        for _ in 0..some * 8 {
            match changes.next_within(PAUSE)? {
                Some(change) => self.received(&change),
                // The time may be over between two reads of one transaction.
                None => {
                    self.covered("covered", changes.cursor());
                    if self.random.below(4) == 0 {
                        break;
                    }
                }
            }
        }
        self.covered("covered", changes.cursor());
        Ok(())
    }

    fn by_channel(&mut self, some: u64) -> ao_cdc::Result<()> {
        let channel = self.tail()?.into_receiver(some as usize % 5)?;
        for _ in 0..some * 4 {
            match channel.receiver().recv_timeout(PAUSE * 30).map_err(|_| ()) {
                Ok(event) => match event? {
                    Event::Change(change) => self.received(&change),
                    Event::Bookmark(cursor) => self.covered("bookmark", cursor),
                },
                Err(()) => break,
            }
        }
        Ok(())
    }

    fn by_subscription(&mut self, some: u64) -> ao_cdc::Result<()> {
        let (start, filter) = (Start::Cursor(self.cursor), self.filter.clone());
        let mut live = self.fanout.subscribe(start, filter)?;
        for _ in 0..some {
            if let Some(batch) = live.next_within(PAUSE)? {
                batch.iter().for_each(|change| self.received(change));
            }
            self.covered("covered", live.cursor());
            if self.random.below(12) == 0 {
                thread::sleep(PAUSE * 20);
            }
        }
        Ok(())
    }

    /// As a durable consumer, which resumes after what it acknowledged, not after what it received.
    fn by_consumer(&mut self, some: u64) -> ao_cdc::Result<()> {
        let (name, from) = (self.name.clone(), self.cursor);
        self.store
            .write(cause("tailer"), move |tx| consumer::seek(tx, &name, from, Fence::Force))?;
        let owner = Owner::this_process();
        let filter = Some(&self.filter);
        let mut reader = Consumer::open(&self.store, &self.name, filter, &owner, Takeover::IfGone)?;
        // A cursor expires where the consumer reads, which is after its acknowledgement.
        self.read_consumer(&mut reader, some)?;
        drop(reader);
        let acked = self.store.read(|snapshot| consumer::require(snapshot, &self.name))?.acked;
        self.note(&format!("back {} {}", acked.seq, from.seq));
        self.cursor = acked;
        Ok(())
    }

    fn read_consumer(&mut self, reader: &mut Consumer, some: u64) -> ao_cdc::Result<()> {
        for _ in 0..some {
            let Some(delivery) = reader.next_within(1 + some as usize * 40, PAUSE)? else {
                self.covered("covered", reader.cursor());
                continue;
            };
            delivery.changes.iter().for_each(|change| self.received(change));
            self.covered("covered", delivery.cursor);
            if self.random.below(3) > 0 {
                reader.ack(delivery.cursor)?;
            }
        }
        Ok(())
    }

    /// The log was pruned past this tailer: it starts over from a snapshot or the oldest change.
    fn restart(&mut self, error: &Error) {
        let Error::Store(StoreError::CursorExpired { asked, oldest, .. }) = error else {
            panic!("{error:?} at {}", self.cursor);
        };
        self.note(&format!("expired {} {}", asked.seq, oldest.seq));
        for _ in 0..50 {
            let restarted = match self.random.below(2) {
                0 => self.by_snapshot(),
                _ => Tail::open(&self.store, Start::Beginning, self.filter.clone())
                    .map(|tail| self.covered("start", tail.cursor())),
            };
            self.log.flush().unwrap();
            match restarted {
                Ok(()) => return,
                // The log was pruned between the read of it and the reservation.
                Err(error) => assert_eq!(error.code().name(), "CURSOR_EXPIRED"),
            }
        }
        panic!("retention was always faster");
    }

    fn by_snapshot(&mut self) -> ao_cdc::Result<()> {
        let filter = self.filter.clone();
        let reader = SnapshotReader::open(&self.store, Start::End, filter, "tailer")?;
        let mut reader = reader.with_chunk(1 + self.random.below(200) as usize);
        let mut found = Vec::new();
        while let Some(rows) = reader.next_rows().expect("it is reserved") {
            found.extend(rows.rows.into_iter().map(|row| (rows.entity, row)));
            thread::sleep(Duration::from_millis(self.random.below(10)));
        }
        let (count, sum) = sum_rows(found.iter().map(|(entity, row)| (*entity, row)));
        let cursor = reader.cursor();
        self.note(&format!("snapshot {} {count} {sum}", cursor.seq));
        self.covered("start", cursor);
        let (mut tail, reservation) = reader.follow().expect("it is reserved");
        while !self.visit(&mut tail, 512).expect("it is reserved") {}
        drop(reservation);
        Ok(())
    }
}
