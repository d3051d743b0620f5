//! The identity and bounds of the change log, and the check whether a cursor can be resumed.

use crate::db::text::text;
use crate::db::tx::{Snapshot, head_seq};
use crate::error::{Context, Error, Result};
use crate::log::change;
use crate::model::cursor::{Cursor, Epoch, Seq};
use crate::model::time::Timestamp;

const SELECT_INFO: &str = concat!("SELECT log_id, epoch, floor, ", head_seq!(), " FROM log_meta");

/// The log as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogInfo {
    /// The identity of the log, which never changes: 32 hexadecimal digits.
    pub log_id: String,
    /// Its incarnation.
    pub epoch: Epoch,
    /// The newest pruned change; 0 if none was pruned.
    pub floor: Seq,
    /// The newest change.
    pub head: Seq,
}

impl LogInfo {
    /// Reads identity and bounds.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn read(snapshot: &Snapshot<'_>) -> Result<LogInfo> {
        let step = "read the log's identity";
        let info = snapshot.one(step, SELECT_INFO, [], |row| {
            Ok(LogInfo {
                log_id: text(row, 0)?,
                epoch: Epoch(row.get(1)?),
                floor: Seq(row.get(2)?),
                head: Seq(row.get(3)?),
            })
        })?;
        info.ok_or(rusqlite::Error::QueryReturnedNoRows).context(step)
    }

    /// Checks that every change after `cursor` is in the log.
    ///
    /// # Errors
    /// `CURSOR_EPOCH_MISMATCH`, `CURSOR_EXPIRED`, `CURSOR_IN_FUTURE`.
    pub fn check_cursor(&self, cursor: Cursor) -> Result<()> {
        let head = self.head_cursor();
        if cursor.epoch != self.epoch {
            return Err(Error::CursorEpoch { asked: cursor, epoch: self.epoch, head });
        }
        if cursor.seq < self.floor {
            let oldest = self.cursor(self.floor);
            return Err(Error::CursorExpired { asked: cursor, oldest, head });
        }
        if cursor.seq > self.head {
            return Err(Error::CursorFuture { asked: cursor, head });
        }
        Ok(())
    }

    /// The newest change whose stored time is before `time`: `floor` if every retained change is newer.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn before(&self, snapshot: &Snapshot<'_>, time: Timestamp) -> Result<Seq> {
        self.last_where(|seq| Ok(change::time_of(snapshot, seq)?.is_some_and(|at| at < time)))
    }

    /// The newest change that is old; `floor` if none is. It bisects, since times never decrease along
    /// seq.
    pub(crate) fn last_where(&self, is_old: impl Fn(Seq) -> Result<bool>) -> Result<Seq> {
        let (mut low, mut high) = (self.floor.0, self.head.0);
        while low < high {
            let middle = high - (high - low) / 2;
            if is_old(Seq(middle))? {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(Seq(low))
    }

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
            assert!(info.check_cursor(at(2, seq)).is_ok(), "{seq}");
        }
        let oldest = at(2, 10);
        assert!(matches!(info.check_cursor(at(2, 9)),
            Err(Error::CursorExpired { oldest: o, .. }) if o == oldest));
        assert!(matches!(info.check_cursor(at(2, 21)), Err(Error::CursorFuture { .. })));
        for epoch in [1, 3] {
            assert!(matches!(info.check_cursor(at(epoch, 15)), Err(Error::CursorEpoch { .. })));
        }
    }
}
