//! The size of the write-ahead log: it grows only while something keeps it from being emptied.

use crate::doctor::files::{Files, hidden, look};
use crate::doctor::{Finding, bytes};

const SIZE: &str = "wal.size";

/// The limit that the store gives SQLite: a checkpoint cuts the log back to it.
const LARGE: u64 = 64 << 20;
/// From here reading it takes longer than reading the database.
const HUGE: u64 = 1 << 30;

/// Whether the log is emptied now and then.
pub(super) fn size(files: &Files) -> Finding {
    match look(&files.wal) {
        Ok(file) => judge(file.map_or(0, |file| file.len())),
        Err(error) => hidden(SIZE, &files.wal, &error),
    }
}

fn judge(size: u64) -> Finding {
    let fix = "stop the reader that `wal.readers` names; the next write then empties the log";
    let message = bytes(size);
    if size > HUGE {
        Finding::fail(SIZE, message, fix)
    } else if size > LARGE {
        Finding::warn(SIZE, message, fix)
    } else {
        Finding::ok(SIZE, message)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_log_that_grew_is_seen_and_one_that_is_not_there_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(&dir.path().join("ao.db"));
        assert_eq!(size(&files), Finding::ok(SIZE, "0 B"));
        fs::write(&files.wal, "x").unwrap();
        let wal = File::options().write(true).open(&files.wal).unwrap();
        for (bytes, level) in [
            (LARGE, Level::Ok),
            (LARGE + 1, Level::Warn),
            (HUGE, Level::Warn),
            (HUGE + 1, Level::Fail),
        ] {
            wal.set_len(bytes).unwrap();
            let finding = size(&files);
            assert_eq!(finding.level, level, "{bytes}: {finding:?}");
            assert_eq!(finding.fix.contains("wal.readers"), level != Level::Ok, "{finding:?}");
        }
    }
}
