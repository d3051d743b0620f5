//! The identity and bounds of the change log, and whether a cursor can be resumed.

use crate::cursor::{Cursor, Epoch, Seq};
use crate::error::{Context, Error, Result};
use crate::time::Timestamp;
use crate::tx::{Snapshot, head_seq};

/// The log as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogInfo {
    /// Names the log for ever: 32 hexadecimal digits.
    pub log_id: String,
    /// Its incarnation.
    pub epoch: Epoch,
    /// The newest change that was pruned; 0 when none was.
    pub floor: Seq,
    /// The newest change.
    pub head: Seq,
}

impl LogInfo {
    /// The cursor of the newest change.
    #[must_use]
    pub fn head_cursor(&self) -> Cursor {
        self.cursor(self.head)
    }

    /// The cursor at a position of this log.
    #[must_use]
    pub fn cursor(&self, seq: Seq) -> Cursor {
        Cursor { epoch: self.epoch, seq }
    }
}

const SELECT_INFO: &str = concat!("SELECT log_id, epoch, floor, ", head_seq!(), " FROM log_meta");

/// Reads identity and bounds.
///
/// # Errors
/// When the database cannot be read.
pub fn info(snapshot: &Snapshot<'_>) -> Result<LogInfo> {
    let step = "read the log's identity";
    let info = snapshot.one(step, SELECT_INFO, [], |row| {
        Ok(LogInfo {
            log_id: row.get(0)?,
            epoch: Epoch(row.get(1)?),
            floor: Seq(row.get(2)?),
            head: Seq(row.get(3)?),
        })
    })?;
    info.ok_or(rusqlite::Error::QueryReturnedNoRows).context(step)
}

/// Checks that every change after `cursor` is still there.
///
/// # Errors
/// `CURSOR_EPOCH_MISMATCH`, `CURSOR_EXPIRED`, `CURSOR_IN_FUTURE`.
pub fn check_cursor(info: &LogInfo, cursor: Cursor) -> Result<()> {
    let head = info.cursor(info.head);
    if cursor.epoch != info.epoch {
        return Err(Error::CursorEpoch { asked: cursor, epoch: info.epoch, head });
    }
    if cursor.seq < info.floor {
        let oldest = info.cursor(info.floor);
        return Err(Error::CursorExpired { asked: cursor, oldest, head });
    }
    if cursor.seq > info.head {
        return Err(Error::CursorFuture { asked: cursor, head });
    }
    Ok(())
}

const SELECT_AT: &str = "SELECT at FROM change_log WHERE seq = ?1";

/// The time of a change; `None` when it is not in the log.
///
/// # Errors
/// When the database cannot be read.
pub fn time_of(snapshot: &Snapshot<'_>, seq: Seq) -> Result<Option<Timestamp>> {
    snapshot.one("read the time of a change", SELECT_AT, [seq.0], |row| row.get(0).map(Timestamp))
}

/// The newest change before a time: `floor` when every change that is kept is newer. Bisects, since
/// times never decrease along seq.
///
/// # Errors
/// When the database cannot be read.
pub fn before(snapshot: &Snapshot<'_>, info: &LogInfo, time: Timestamp) -> Result<Seq> {
    let (mut low, mut high) = (info.floor.0, info.head.0);
    while low < high {
        let middle = high - (high - low) / 2;
        // A hole counts as new: what is damaged is not to be taken for old.
        if time_of(snapshot, Seq(middle))?.is_some_and(|at| at < time) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(Seq(low))
}

/// How many rows each captured table has.
///
/// # Errors
/// When the database cannot be read.
pub fn counts(snapshot: &Snapshot<'_>) -> Result<Vec<(&'static str, u64)>> {
    crate::capture::tables()
        .map(|table| {
            let sql = format!("SELECT count(*) FROM {table}");
            let count = snapshot.one("count rows", &sql, [], |row| row.get::<_, i64>(0))?;
            Ok((table, count.unwrap_or(0).unsigned_abs()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: i64, seq: i64) -> Cursor {
        Cursor { epoch: Epoch(epoch), seq: Seq(seq) }
    }

    #[test]
    fn a_cursor_is_resumable_between_floor_and_head() {
        let info =
            LogInfo { log_id: String::new(), epoch: Epoch(2), floor: Seq(10), head: Seq(20) };
        for seq in [10, 11, 20] {
            assert!(check_cursor(&info, at(2, seq)).is_ok(), "{seq}");
        }
        let oldest = at(2, 10);
        assert!(matches!(check_cursor(&info, at(2, 9)),
            Err(Error::CursorExpired { oldest: o, .. }) if o == oldest));
        assert!(matches!(check_cursor(&info, at(2, 21)), Err(Error::CursorFuture { .. })));
        for epoch in [1, 3] {
            assert!(matches!(check_cursor(&info, at(epoch, 15)), Err(Error::CursorEpoch { .. })));
        }
    }
}
