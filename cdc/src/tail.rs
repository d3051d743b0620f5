//! Reads the log from a position on, in short reads, and waits for new changes.

use std::time::Duration;

use ao_store::LogInfo;
use ao_store::log::change::{self, ChangeRef};
use ao_store::{Cursor, Epoch, Listener, Reader, Seq, Snapshot, Store, Timestamp};

use crate::error::Result;
use crate::filter::Filter;

/// Longer waits end after this: a deadline that the clock cannot represent would be a panic.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// How often a waiting thread checks whether it should stop.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Changes scanned in one read while searching for the last ones that pass.
const BACK: usize = 4096;

/// Where a tail begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest retained change.
    Beginning,
    /// With the next change that is committed.
    End,
    /// After a cursor.
    Cursor(Cursor),
    /// With the last N changes that pass the filter.
    Last(u64),
    /// With the last N of those changes that were made before a time.
    LastBefore(u64, Timestamp),
    /// With the first change at or after a time.
    Since(Timestamp),
}

/// What one visit found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visited {
    /// Changes that passed the filter.
    pub matched: usize,
    /// Whether the position is the head of the log: there was nothing more to read.
    pub is_at_head: bool,
}

/// How long a change is waited for after the end of its time: a transaction has its time before it
/// commits, and may wait for another writer between.
const SETTLES: i64 = 1000;

/// Whether at `now` the log is taken to be complete up to the time `until`.
#[must_use]
pub const fn has_settled(until: Timestamp, now: Timestamp) -> bool {
    now.0.saturating_sub(SETTLES) >= until.0
}

/// A position in the log that moves forward. Every read checks that the epoch is still the same,
/// that no change after the position was pruned, and that no seq is missing.
#[derive(Debug)]
pub struct Tail {
    listener: Listener,
    reader: Reader,
    filter: Filter,
    epoch: Epoch,
    position: Seq,
    log_id: String,
}

impl Tail {
    /// Opens a tail.
    ///
    /// # Errors
    /// `CURSOR_EXPIRED`, `CURSOR_EPOCH_MISMATCH`, `CURSOR_IN_FUTURE`; when the store cannot be read.
    pub fn open(store: &Store, start: Start, filter: Filter) -> Result<Tail> {
        // The listener comes first: a commit after this line wakes it, an earlier one is read.
        let listener = store.listen()?;
        let (info, position) = start_position(store, start, &filter)?;
        let reader = store.own_reader()?;
        let LogInfo { log_id, epoch, .. } = info;
        Ok(Tail { listener, reader, filter, epoch, position, log_id })
    }

    /// Everything up to here was visited.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, seq: self.position }
    }

    /// Which changes pass.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The bounds of the log now: they show how far behind the position is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn log(&self) -> Result<LogInfo> {
        Ok(self.reader.read(LogInfo::read)?)
    }

    /// The identity of the log.
    #[must_use]
    pub fn log_id(&self) -> &str {
        &self.log_id
    }

    /// Reads at most `limit` changes after the position and visits those that pass the filter.
    /// `visit` runs inside the read: let it copy or render, not wait.
    ///
    /// # Errors
    /// The cursor errors when the log no longer has the next change; `LOG_HOLE`; those of `visit`.
    /// The position does not move then, so the same changes are visited again.
    pub fn visit(
        &mut self,
        limit: usize,
        mut visit: impl FnMut(&ChangeRef<'_>) -> Result<(), ao_store::Error>,
    ) -> Result<Visited> {
        let (cursor, filter) = (self.cursor(), &self.filter);
        let mut matched = 0;
        let (last, is_at_head) = self.reader.read(|snapshot| {
            read_after(snapshot, cursor, limit, |change| {
                if filter.matches_ref(change)? {
                    matched += 1;
                    visit(change)?;
                }
                Ok(())
            })
        })?;
        self.position = last;
        Ok(Visited { matched, is_at_head })
    }

    /// Waits until there may be more changes or the time is over; returns whether it was woken.
    ///
    /// # Errors
    /// When the store can no longer be read.
    pub fn wait(&mut self, timeout: Duration) -> Result<bool> {
        Ok(self.listener.wait(timeout)?)
    }
}

/// Reads the log once: visits at most `limit` changes after the cursor, and returns where it ended
/// and whether that is the head. Every read checks that no change after the cursor was lost.
pub(crate) fn read_after(
    snapshot: &Snapshot<'_>,
    cursor: Cursor,
    limit: usize,
    mut visit: impl FnMut(&ChangeRef<'_>) -> Result<(), ao_store::Error>,
) -> Result<(Seq, bool), ao_store::Error> {
    let info = LogInfo::read(snapshot)?;
    info.check_cursor(cursor)?;
    let mut scanned = 0;
    let last = change::scan(snapshot, cursor.seq, limit, |change| {
        scanned += 1;
        visit(change)
    })?;
    if scanned < limit && last < info.head {
        // The newest changes are missing: without this check the head would never be reached.
        return Err(ao_store::Error::LogHole { missing: last.next() });
    }
    Ok((last, last >= info.head))
}

/// The log, and the position before the first change from a start on.
pub(crate) fn start_position(
    store: &Store,
    start: Start,
    filter: &Filter,
) -> Result<(LogInfo, Seq)> {
    let (info, position) = store.read(|snapshot| {
        let info = LogInfo::read(snapshot)?;
        let position = match start {
            Start::Beginning => info.floor,
            Start::End | Start::Last(_) => info.head,
            Start::Cursor(cursor) => info.check_cursor(cursor).map(|()| cursor.seq)?,
            Start::Since(time) | Start::LastBefore(_, time) => info.before(snapshot, time)?,
        };
        Ok((info, position))
    })?;
    let position = match start {
        Start::Last(count) | Start::LastBefore(count, _) => {
            before_last(store, info.floor, position, filter, count)?
        }
        _ => position,
    };
    Ok((info, position))
}

/// The position before the last `count` changes up to `end` that pass, found in short reads.
fn before_last(store: &Store, floor: Seq, end: Seq, filter: &Filter, count: u64) -> Result<Seq> {
    if filter.is_empty() {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        return Ok(floor.max(Seq(end.0.saturating_sub(count))));
    }
    let (mut left, mut position) = (count, end);
    while left > 0 && position > floor {
        let found = store.read(|snapshot| {
            change::scan_back(snapshot, position, BACK, |change| {
                left -= u64::from(filter.matches_ref(change)?);
                Ok(left > 0)
            })
        })?;
        // The rest was pruned after the floor was read.
        if found == position {
            break;
        }
        position = found;
    }
    Ok(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_commits_late_is_waited_for() {
        let has = |now| has_settled(Timestamp(5000), Timestamp(now));
        assert!(!has(4999) && !has(5000) && !has(5999) && has(6000));
        assert!(!has_settled(Timestamp(i64::MAX), Timestamp(i64::MAX)));
    }

    /// A log from which everything was pruned after its floor was read.
    #[test]
    fn a_log_that_is_pruned_meanwhile_ends_the_search() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        let (store, _) = Store::create(&path, ao_store::Options::default()).unwrap();
        let filter = Filter::new(vec!["pr_created".to_owned()], vec![], vec![]).unwrap();
        let found = before_last(&store, Seq(0), Seq(5), &filter, 1);
        assert_eq!(found.unwrap(), Seq(5));
    }
}
