//! Retention: the rules, and the plan of what they prune.
//!
//! A plan is a prefix of the log: never the newest transaction, never a part of one, never a change
//! that a blocking consumer, a bounded one within its bounds, or a reservation still holds. The plan
//! names these holders and the consumers whose cursors will expire, so that it can be shown before it
//! is carried out.

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::log::age::Ages;
use crate::log::consumer::{self, Bounds, Consumer, Policy};
use crate::log::info::LogInfo;
use crate::log::reservation;
use crate::log::seal;
use crate::model::clock::ClockReading;
use crate::model::cursor::Seq;
use crate::model::id::ConsumerName;

/// What is kept. A change is pruned when any rule allows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Changes up to this age, in milliseconds.
    pub keep_ms: Option<u64>,
    /// The newest N changes.
    pub keep_events: Option<u64>,
    /// The newest changes that together have at most this many bytes.
    pub max_bytes: Option<u64>,
}

impl Rules {
    /// Whether everything is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Rules::default()
    }
}

const SELECT_RULES: &str = "SELECT keep_ms, keep_events, max_bytes FROM retention";

/// The stored rules, which the writer applies in the background.
///
/// # Errors
/// When the database cannot be read.
pub fn rules(snapshot: &Snapshot<'_>) -> Result<Rules> {
    let found = snapshot.one("read the retention rules", SELECT_RULES, [], |row| {
        let rule = |column| {
            Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(i64::unsigned_abs))
        };
        Ok(Rules { keep_ms: rule(0)?, keep_events: rule(1)?, max_bytes: rule(2)? })
    })?;
    Ok(found.unwrap_or_default())
}

/// Another program may have deleted the row.
const SET_RULES: &str = "INSERT INTO retention (id, keep_ms, keep_events, max_bytes)
    VALUES (1, ?1, ?2, ?3) ON CONFLICT DO UPDATE SET keep_ms = excluded.keep_ms,
    keep_events = excluded.keep_events, max_bytes = excluded.max_bytes";

/// Stores rules; empty rules keep everything.
///
/// # Errors
/// When the database cannot be written.
pub fn set_rules(tx: &Tx<'_>, rules: &Rules) -> Result<()> {
    let number = |rule: Option<u64>| rule.map(|rule| i64::try_from(rule).unwrap_or(i64::MAX));
    let params = (number(rules.keep_ms), number(rules.keep_events), number(rules.max_bytes));
    tx.execute_uncaptured("store the retention rules", SET_RULES, params).map(|_| ())
}

/// A holder that prevents changes from being pruned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The holder, for people: a consumer, or the reader of a snapshot.
    pub by: String,
    /// It holds the changes after this one.
    pub seq: Seq,
}

/// The effect of pruning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The current bounds of the log.
    pub log: LogInfo,
    /// The floor that the rules ask for.
    pub wanted: Seq,
    /// The floor after pruning, as far as the holders allow.
    pub target: Seq,
    /// The bytes of the pruned changes.
    pub bytes: u64,
    /// The holders below `wanted`, the furthest behind first.
    pub held: Vec<Held>,
    /// The consumers whose next change is pruned: their next read is `CURSOR_EXPIRED`.
    pub cut_off: Vec<ConsumerName>,
}

impl Plan {
    /// The number of pruned changes.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.target.0.abs_diff(self.log.floor.0)
    }
}

/// Plans what `rules` prune at `now`. A [`ClockReading`] gives the age of a change even if the clock was
/// wrong; a bare time counts as right.
///
/// # Errors
/// When the database cannot be read.
pub fn plan(snapshot: &Snapshot<'_>, rules: &Rules, now: impl Into<ClockReading>) -> Result<Plan> {
    let now = now.into();
    let info = LogInfo::read(snapshot)?;
    let wanted = wanted(snapshot, &info, rules, now)?;
    let consumers = consumer::list(snapshot)?;
    let mut held = holds(snapshot, &info, &consumers, now)?;
    let sealed = seal::sealed(snapshot.conn())?.seq;
    held.push(Held {
        by: "changes of other writers that are not sealed yet".to_owned(),
        seq: sealed,
    });
    held.retain(|held| held.seq < wanted);
    held.sort_by_key(|held| held.seq);
    let target = held.first().map_or(wanted, |held| held.seq.max(info.floor));
    let target = align(snapshot, &info, target)?;
    // An expired cursor is not expired by this plan.
    let is_cut_off = |consumer: &&Consumer| {
        let acked = consumer.acked;
        acked.epoch == info.epoch && (info.floor..target).contains(&acked.seq)
    };
    let cut_off = consumers.iter().filter(is_cut_off).map(|found| found.name.clone()).collect();
    let conn = snapshot.conn();
    let bytes = seal::bytes_until(conn, target)? - seal::bytes_until(conn, info.floor)?;
    let bytes = u64::try_from(bytes).unwrap_or(0);
    Ok(Plan { log: info, wanted, target, bytes, held, cut_off })
}

/// How far the floor may move towards `target` now.
pub(crate) fn allowed(snapshot: &Snapshot<'_>, target: Seq, now: ClockReading) -> Result<Seq> {
    let info = LogInfo::read(snapshot)?;
    let held = holds(snapshot, &info, &consumer::list(snapshot)?, now)?;
    let sealed = seal::sealed(snapshot.conn())?.seq;
    let target = held.iter().map(|held| held.seq).fold(target.min(sealed), Seq::min);
    align(snapshot, &info, target.max(info.floor))
}

/// The last change that the rules prune, before the newest transaction.
fn wanted(
    snapshot: &Snapshot<'_>,
    info: &LogInfo,
    rules: &Rules,
    now: ClockReading,
) -> Result<Seq> {
    let mut wanted = info.floor;
    if let Some(keep) = rules.keep_events {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        wanted = wanted.max(Seq(info.head.0.saturating_sub(keep)));
    }
    if let Some(keep) = rules.keep_ms {
        wanted = wanted.max(Ages::read(snapshot, info, now)?.older_than(snapshot, info, keep)?);
    }
    if let Some(max) = rules.max_bytes {
        wanted = wanted.max(beyond_bytes(snapshot, info, max)?);
    }
    let before_newest = match tx_of(snapshot, info.head)? {
        Some(first) => Seq(first.0.saturating_sub(1)),
        None => Seq(info.head.0 - 1),
    };
    align(snapshot, info, wanted.min(before_newest).max(info.floor))
}

/// The first position after which at most `max` bytes remain.
fn beyond_bytes(snapshot: &Snapshot<'_>, info: &LogInfo, max: u64) -> Result<Seq> {
    let logged = seal::logged_bytes(snapshot.conn())?;
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    // Unsealed changes are kept anyway, and adding up their bytes would take long.
    let sealed = seal::sealed(snapshot.conn())?.seq;
    let (mut low, mut high) = (info.floor.0, info.head.min(sealed).0);
    while low < high {
        let middle = low + (high - low) / 2;
        if logged - seal::bytes_until(snapshot.conn(), Seq(middle))? <= max {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(Seq(low))
}

fn holds(
    snapshot: &Snapshot<'_>,
    info: &LogInfo,
    consumers: &[Consumer],
    now: ClockReading,
) -> Result<Vec<Held>> {
    let mut held = Vec::new();
    for consumer in consumers {
        // One of another epoch has acknowledged nothing of this one, whatever its number.
        let is_here = consumer.acked.epoch == info.epoch;
        let acked = if is_here { consumer.acked.seq } else { info.floor };
        let seq = match consumer.policy {
            Policy::None => continue,
            Policy::Block => acked,
            Policy::Bounded(bounds) => acked.max(bound(snapshot, info, bounds, now)?),
        };
        held.push(Held { by: format!("consumer {}", consumer.name), seq });
    }
    for reserved in reservation::list(snapshot, now.at)? {
        held.push(Held { by: format!("snapshot by {}", reserved.holder), seq: reserved.seq });
    }
    Ok(held)
}

/// The position up to which a bounded consumer holds nothing.
fn bound(snapshot: &Snapshot<'_>, info: &LogInfo, of: Bounds, now: ClockReading) -> Result<Seq> {
    let mut seq = Seq(0);
    if let Some(events) = of.events {
        seq = Seq(info.head.0.saturating_sub(i64::try_from(events).unwrap_or(i64::MAX)));
    }
    if let Some(bytes) = of.bytes {
        seq = seq.max(beyond_bytes(snapshot, info, bytes)?);
    }
    if let Some(age) = of.age_ms {
        seq = seq.max(Ages::read(snapshot, info, now)?.older_than(snapshot, info, age)?);
    }
    Ok(seq)
}

const SELECT_TX: &str = "SELECT tx FROM change_log WHERE seq = ?1";

/// The first change of the transaction that a change belongs to.
pub(crate) fn tx_of(snapshot: &Snapshot<'_>, seq: Seq) -> Result<Option<Seq>> {
    let tx = snapshot.one("read a transaction", SELECT_TX, [seq.0], |row| {
        Ok(row.get::<_, Option<i64>>(0)?.map(Seq))
    })?;
    Ok(tx.flatten())
}

/// The last end of a transaction at or before `seq`.
pub(crate) fn align(snapshot: &Snapshot<'_>, info: &LogInfo, seq: Seq) -> Result<Seq> {
    Ok(match tx_of(snapshot, seq.next())? {
        Some(first) if first <= seq => Seq(first.0.saturating_sub(1)).max(info.floor),
        _ => seq,
    })
}
