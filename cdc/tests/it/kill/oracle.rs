//! What must be true of a store whose processes were killed: a ledger of every change that was ever
//! read, in the log or delivered, and of every write that was acknowledged.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::Path;

use ao_store::LogInfo;
use ao_store::log::change::{self, Change};
use ao_store::log::consumer;
use ao_store::row::session::{self, Filter};
use ao_store::{Cursor, Store};

use super::roles::consumer_name;

/// The session name that a write sets: its writer, and the number of the write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) writer: String,
    pub(crate) n: u64,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}-{}", self.writer, self.n)
    }
}

impl Mark {
    pub(crate) fn parse(text: &str) -> Option<Mark> {
        let (writer, n) = text.strip_prefix('w')?.split_once('-')?;
        Some(Mark { writer: writer.to_owned(), n: n.parse().ok()? })
    }
}

/// A change as it is recorded: enough to compare two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) seq: i64,
    tx: Option<i64>,
    digest: u64,
    /// The session that a write renamed, and its name.
    name: Option<(String, String)>,
}

impl Record {
    pub(crate) fn of(change: &Change) -> Record {
        // The same in every process of this binary: its keys are fixed.
        let mut hasher = DefaultHasher::new();
        let texts = [change.kind(), change.entity(), change.op(), change.key()];
        (change.at.0, change.actor(), texts).hash(&mut hasher);
        [change.project(), change.session(), change.before(), change.after()].hash(&mut hasher);
        let name = || {
            // The marks need no escapes, so the document is not parsed.
            let name = change.after()?.split_once("\"name\":\"")?.1.split('"').next()?;
            Some((change.session()?.to_owned(), name.to_owned()))
        };
        Record {
            seq: change.seq.0,
            tx: change.tx.map(|tx| tx.0),
            digest: hasher.finish(),
            name: if change.kind() == "session_updated" { name() } else { None },
        }
    }

    pub(crate) fn parse(line: &str) -> Option<Record> {
        let words: Vec<&str> = line.split(' ').collect();
        let [seq, tx, digest, session, name] = words[..] else { return None };
        Some(Record {
            seq: seq.parse().ok()?,
            tx: if tx == "-" { None } else { Some(tx.parse().ok()?) },
            digest: digest.parse().ok()?,
            name: (session != "-").then(|| (session.to_owned(), name.to_owned())),
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { seq, tx, digest, name } = self;
        let tx = tx.map_or("-".to_owned(), |tx| tx.to_string());
        let (session, name) = name.clone().unwrap_or(("-".to_owned(), "-".to_owned()));
        write!(f, "{seq} {tx} {digest} {session} {name}")
    }
}

/// A store at one point in time.
pub(crate) struct View {
    pub(crate) info: LogInfo,
    pub(crate) log: Vec<Record>,
    pub(crate) acked: Option<Cursor>,
    names: BTreeMap<String, String>,
}

impl View {
    pub(crate) fn of(store: &Store) -> Result<View, String> {
        let view = store.read(|snapshot| {
            let info = LogInfo::read(snapshot)?;
            let mut log = Vec::new();
            change::scan(snapshot, info.floor, usize::MAX, |change| {
                log.push(Record::of(&change.to_owned()?));
                Ok(())
            })?;
            let found = consumer::get(snapshot, &consumer_name())?;
            let filter = Filter { project: Some("demo".parse()?), terminated: true };
            let names = session::list(snapshot, &filter)?.into_iter();
            let names = names.map(|session| (session.id.to_string(), session.name)).collect();
            Ok(View { info, log, acked: found.map(|found| found.acked), names })
        });
        view.map_err(|error| format!("the store cannot be read: {error}"))
    }

    /// Between floor and head no change is missing.
    fn require_dense(&self) -> Result<(), String> {
        let expected = self.info.floor.0 + 1..=self.info.head.0;
        let found: Vec<_> = self.log.iter().map(|record| record.seq).collect();
        if expected.clone().eq(found.iter().copied()) {
            return Ok(());
        }
        Err(format!("the log has {:?}..{:?} of {expected:?}", found.first(), found.last()))
    }
}

/// How far the first and last changes of a writer's transactions were read.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    first: u64,
    last: u64,
    tx: Option<i64>,
}

/// Everything that was ever read from one log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    history: Vec<Record>,
    names: BTreeMap<String, String>,
    written: BTreeMap<String, Written>,
    acked: BTreeMap<String, u64>,
    /// The positions that writers reported for their writes.
    places: Vec<(Mark, i64)>,
    /// Writers that were killed: all that they acknowledged is known.
    dead: BTreeSet<String>,
}

impl Ledger {
    pub(crate) fn head(&self) -> i64 {
        self.history.len() as i64
    }

    /// A writer reported a write as durable, with its position if it has one.
    pub(crate) fn acknowledge(&mut self, mark: Mark, seq: i64) -> Result<(), String> {
        let acked = self.acked.entry(mark.writer.clone()).or_default();
        if mark.n != *acked + 1 {
            return Err(format!("{mark} was acknowledged after number {acked}"));
        }
        *acked = mark.n;
        if seq > 0 {
            self.places.push((mark, seq));
        }
        Ok(())
    }

    pub(crate) fn bury(&mut self, writer: &str) {
        self.acked.entry(writer.to_owned()).or_default();
        self.dead.insert(writer.to_owned());
    }

    /// A change was read, maybe not for the first time.
    pub(crate) fn observe(&mut self, record: &Record) -> Result<(), String> {
        let head = self.head();
        if record.seq > head + 1 {
            return Err(format!("change {} is missing before {record}", head + 1));
        }
        if let Some(known) = self.history.get(record.seq as usize - 1) {
            let same = known == record;
            return if same { Ok(()) } else { Err(format!("{record} was {known} before")) };
        }
        self.history.push(record.clone());
        self.count(record)
    }

    /// Writes are complete and in order, each once.
    fn count(&mut self, record: &Record) -> Result<(), String> {
        let Some((session, name)) = &record.name else { return Ok(()) };
        self.names.insert(session.clone(), name.clone());
        let Some(mark) = Mark::parse(name) else { return Ok(()) };
        let written = self.written.entry(mark.writer.clone()).or_default();
        // The first session of a pair has an odd number.
        let is_first = session.ends_with(['1', '3', '5', '7', '9']);
        let is_next = if is_first {
            written.first == written.last && mark.n == written.first + 1
        } else {
            mark.n == written.first && mark.n == written.last + 1 && record.tx == written.tx
        };
        if !is_next {
            return Err(format!("{record} does not follow {written:?}"));
        }
        if is_first {
            (written.first, written.tx) = (mark.n, record.tx);
        } else {
            written.last = mark.n;
        }
        Ok(())
    }

    /// Compares a store, and what was delivered from it since, with everything read before.
    pub(crate) fn compare(&mut self, view: &View, delivered: &[Record]) -> Result<(), String> {
        let head = view.info.head.0;
        if head < self.head() {
            return Err(format!("the head is {head}, but change {} was seen", self.head()));
        }
        view.require_dense()?;
        // Every change that was pruned since the last check was delivered.
        for record in delivered.iter().filter(|record| record.seq <= head).chain(&view.log) {
            self.observe(record)?;
        }
        if self.head() != head {
            return Err(format!("the head is {head}, but the log ends at {}", self.head()));
        }
        self.require_whole(view)?;
        self.require_acknowledged()?;
        delivered.iter().filter(|record| record.seq > head).try_for_each(|new| self.observe(new))
    }

    /// Every transaction is complete, and the tables match the log.
    fn require_whole(&self, view: &View) -> Result<(), String> {
        if let Some((writer, half)) = self.written.iter().find(|(_, w)| w.first != w.last) {
            return Err(format!("half a transaction of writer {writer} is there: {half:?}"));
        }
        for (session, name) in &self.names {
            if view.names.get(session) != Some(name) {
                let found = view.names.get(session);
                return Err(format!("{session} is named {found:?}, but the log says {name}"));
            }
        }
        Ok(())
    }

    /// Acknowledged, then recovered, then issued: each is within the next.
    fn require_acknowledged(&mut self) -> Result<(), String> {
        for (writer, acked) in &self.acked {
            let found = self.written.get(writer).map_or(0, |written| written.last);
            if found < *acked {
                return Err(format!("writer {writer}: {acked} acknowledged, {found} recovered"));
            }
            if self.dead.contains(writer) && found > acked + 1 {
                return Err(format!("writer {writer}: {acked} acknowledged, {found} came up"));
            }
        }
        for (mark, seq) in self.places.drain(..) {
            let found = self.history.get(seq as usize - 1).and_then(|found| found.name.as_ref());
            if found.is_none_or(|(_, name)| *name != mark.to_string()) {
                return Err(format!("{mark} was acknowledged at {seq}, where {found:?} is"));
            }
        }
        Ok(())
    }

    /// A copy contains a part of this history, to the end of a transaction.
    pub(crate) fn require_part(&self, view: &View) -> Result<(), String> {
        view.require_dense()?;
        let known = |seq: i64| self.history.get(seq as usize - 1);
        if let Some(other) = view.log.iter().find(|record| known(record.seq) != Some(record)) {
            return Err(format!("{other} in a copy is {:?} in the store", known(other.seq)));
        }
        self.require_boundary(view.info.head.0)
    }

    /// No transaction spans this position.
    pub(crate) fn require_boundary(&self, seq: i64) -> Result<(), String> {
        let tx = |seq: i64| self.history.get((seq - 1) as usize).and_then(|record| record.tx);
        if seq > 0 && tx(seq).is_some() && tx(seq) == tx(seq + 1) {
            return Err(format!("a transaction reaches over {seq}"));
        }
        Ok(())
    }

    /// The log was replaced by one that ends at `head`; nothing after that was ever written there.
    pub(crate) fn rewind(&mut self, head: i64) -> Result<(), String> {
        let history = std::mem::take(&mut self.history);
        *self = Ledger::default();
        history.iter().take(head as usize).try_for_each(|record| self.observe(record))
    }
}

/// The file in which the tailer records what it received.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    offset: usize,
    /// Everything up to here is in the file.
    pub(crate) until: i64,
}

impl Delivered {
    pub(crate) fn from(seq: i64) -> Delivered {
        Delivered { offset: 0, until: seq }
    }

    /// The new complete lines, each after the one before it or delivered again.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Vec<Record>, String> {
        let bytes = fs::read(path).unwrap_or_default();
        let new = bytes.get(self.offset..).ok_or("the file of deliveries became shorter")?;
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        self.offset += whole;
        let mut found = Vec::new();
        for line in String::from_utf8_lossy(&new[..whole]).lines() {
            let record = Record::parse(line).ok_or_else(|| format!("a strange line: {line}"))?;
            if record.seq > self.until + 1 {
                return Err(format!("{} came after {}", record.seq, self.until));
            }
            self.until = self.until.max(record.seq);
            found.push(record);
        }
        Ok(found)
    }
}
