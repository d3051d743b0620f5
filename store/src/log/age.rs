//! The age of changes, also when the wall clock was wrong for a time.
//!
//! The stored time of a change is no measure of its age: it never decreases along the log, so that one
//! change by a clock that is ahead gives its time to all later ones. Here the times are those that the
//! clock of today would have shown. Within one boot of the machine the readings beside the log
//! (`db/reading.rs`) show by how much the wall clock was set. Between boots nothing shows it; there the
//! clock counts as right, except where that is impossible. Of two possible times the later one counts, since
//! a change that is pruned too early is lost.

use crate::db::reading::{self, EVERY_MS};
use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::log::info::LogInfo;
use crate::model::clock::{ClockReading, STEP_MS};
use crate::model::cursor::Seq;

/// How far the clock may be ahead of the newest change if nothing shows that it is right: a clock that
/// jumps further prunes nothing more.
const CLOCK_AHEAD_MS: i64 = 24 * 3600 * 1000;

/// What is needed to compute the age of changes.
#[derive(Debug)]
pub(crate) struct Ages {
    /// The clock of today.
    now: i64,
    readings: Vec<Reading>,
    /// The index of the first reading from which evidence leads to the clock of today.
    current: usize,
    /// What the clocks of earlier boots lacked in addition.
    lacks: i64,
}

/// A reading, which applies to the changes from `seq` to the next one.
#[derive(Debug)]
struct Reading {
    seq: Seq,
    /// What the wall clock showed.
    shown: i64,
    /// What it lacked, compared with the clock of today.
    lacks: i64,
    /// For how long the machine is known to have run since the first reading.
    ran: i64,
    /// Whether evidence leads to it from the reading before.
    is_linked: bool,
}

impl Reading {
    /// Its time by the clock of today.
    fn at(&self) -> i64 {
        self.shown.saturating_add(self.lacks)
    }
}

impl Ages {
    /// Reads what is needed to show ages.
    pub(crate) fn shown(snapshot: &Snapshot<'_>, now: ClockReading) -> Result<Ages> {
        Ok(Ages::new(&reading::list(snapshot.conn())?, now))
    }

    /// Reads what is needed to prune by age.
    pub(crate) fn read(snapshot: &Snapshot<'_>, info: &LogInfo, now: ClockReading) -> Result<Ages> {
        let mut ages = Ages::shown(snapshot, now)?;
        if ages.current == ages.readings.len()
            && let Some(newest) = ages.time_of(snapshot, info.head)?
        {
            ages.now = ages.now.min(newest.saturating_add(CLOCK_AHEAD_MS));
        }
        Ok(ages)
    }

    fn new(found: &[(Seq, ClockReading)], now: ClockReading) -> Ages {
        let (mut readings, mut ran) = (Vec::with_capacity(found.len()), 0_i64);
        for (i, (seq, reading)) in found.iter().enumerate() {
            let before = i.checked_sub(1).map(|i| found[i].1);
            let jump = before.and_then(|before| reading.jump_since(before).zip(Some(before)));
            if let Some((jump, before)) = jump {
                ran = ran
                    .saturating_add(reading.at.0.saturating_sub(before.at.0))
                    .saturating_sub(jump);
            }
            let (shown, is_linked) = (reading.at.0, jump.is_some());
            readings.push(Reading { seq: *seq, shown, lacks: 0, ran, is_linked });
        }
        let (mut current, mut lacks, mut later) = (found.len(), 0_i64, now);
        for (i, (_, reading)) in found.iter().enumerate().rev() {
            let jump = later.jump_since(*reading);
            // The last reading of a boot counts as right.
            lacks = jump.map_or(0, |jump| lacks.saturating_add(jump));
            readings[i].lacks = if lacks.saturating_abs() > STEP_MS { lacks } else { 0 };
            if jump.is_some() && current == i + 1 {
                current = i;
            }
            later = *reading;
        }
        let mut ages = Ages { now: now.at.0, readings, current, lacks: 0 };
        ages.correct_earlier_boots();
        ages
    }

    /// If the clock was set forward since the machine started, the clock of today may be the wrong one. Each
    /// of the earlier ones may be right by which the machine did not start before it was shut down.
    fn correct_earlier_boots(&mut self) {
        let (earlier, current) = self.readings.split_at_mut(self.current);
        let Some(started) = current.first().map(Reading::at) else { return };
        let ended = earlier.last().map_or(i64::MIN, |last| last.shown);
        let lacks = current.iter().map(|reading| reading.lacks);
        let is_possible = |lacks: &i64| started.saturating_sub(*lacks) >= ended;
        self.lacks = lacks.filter(is_possible).fold(0, i64::max);
        for reading in earlier {
            reading.shown = reading.shown.saturating_add(self.lacks);
        }
    }

    /// The newest change that is older than `age` milliseconds: the floor if none is.
    pub(crate) fn older_than(
        &self,
        snapshot: &Snapshot<'_>,
        info: &LogInfo,
        age: u64,
    ) -> Result<Seq> {
        let limit = self.now.saturating_sub(i64::try_from(age).unwrap_or(i64::MAX));
        // A hole counts as new, so that damage never looks old.
        info.last_where(|seq| Ok(self.time_of(snapshot, seq)?.is_some_and(|time| time < limit)))
    }

    /// The age of a change in milliseconds; zero if it is not in the log.
    pub(crate) fn age_of(&self, snapshot: &Snapshot<'_>, seq: Seq) -> Result<u64> {
        let time = self.time_of(snapshot, seq)?.unwrap_or(self.now);
        Ok(u64::try_from(self.now.saturating_sub(time)).unwrap_or(0))
    }

    /// The time of a change by the clock of today.
    fn time_of(&self, snapshot: &Snapshot<'_>, seq: Seq) -> Result<Option<i64>> {
        let found = snapshot.one("read the time of a change", SELECT, [seq.0], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        Ok(found.map(|(at, is_own)| self.time(seq, at, is_own)))
    }

    /// The same for a change with the stored time `at`.
    fn time(&self, seq: Seq, at: i64, is_own: bool) -> i64 {
        let next = self.readings.partition_point(|reading| reading.seq <= seq);
        let (before, after) = self.readings.split_at(next);
        let last = before.last();
        let lacks = last.map_or(0, |last| last.lacks);
        let of_boot = if next > self.current { 0 } else { self.lacks };
        let mut time = at.saturating_add(lacks).saturating_add(of_boot);
        if let Some(last) = last.filter(|_| is_own) {
            time = time.min(last.at().saturating_add(EVERY_MS + STEP_MS));
        }
        if let Some(next) = after.first().filter(|next| next.is_linked) {
            time = time.min(next.at().saturating_add(STEP_MS));
        }
        if next > self.current {
            return time.min(self.now);
        }
        // Without evidence, a time counts unless it is after what is known to be later.
        let end =
            self.readings.get(self.current).map_or(self.now, |first| first.at().min(self.now));
        let start = self.earliest(before, end);
        if time <= end {
            return time.max(start);
        }
        let later = after.iter().map(Reading::at);
        later.filter(|at| (start..=end).contains(at)).min().unwrap_or(end)
    }

    /// The earliest time of a change after the readings `before`, all of earlier boots, if every clock was
    /// right that was not past `end` before the present boot.
    fn earliest(&self, before: &[Reading], end: i64) -> i64 {
        let ran = |last: Option<&Reading>| last.map_or(0, |last| last.ran);
        let (here, there) = (ran(before.last()), ran(self.readings[..self.current].last()));
        let after = |reading: &Reading, ran: i64| reading.shown.saturating_add(ran - reading.ran);
        let possible = before.iter().filter(|reading| after(reading, there) <= end);
        possible.map(|reading| after(reading, here)).max().unwrap_or(i64::MIN)
    }
}

const SELECT: &str = "SELECT at, tx IS NOT NULL FROM change_log WHERE seq = ?1";
