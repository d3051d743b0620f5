//! Checks the size of the write-ahead log, which grows only while a reader blocks checkpoints.

use ao_store::WAL_LIMIT;
use bytesize::ByteSize;

use crate::doctor::Finding;
use crate::doctor::files::{Files, metadata, unreadable};

const SIZE: &str = "wal.size";

/// From this size on, reads of the log dominate reads of the database.
const HUGE: u64 = 1 << 30;

/// Checks that checkpoints keep the log small.
pub(super) fn size(files: &Files) -> Finding {
    match metadata(&files.wal) {
        Ok(file) => assess(file.map_or(0, |file| file.len())),
        Err(error) => unreadable(SIZE, &files.wal, &error),
    }
}

fn assess(size: u64) -> Finding {
    let fix = "stop the reader that `wal.readers` names; the next write then truncates the log";
    let message = ByteSize(size).to_string();
    if size > HUGE {
        Finding::fail(SIZE, message, fix)
    } else if size > WAL_LIMIT {
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
    fn a_large_log_is_reported_and_a_missing_one_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(&dir.path().join("ao.db"));
        assert_eq!(size(&files), Finding::ok(SIZE, "0 B"));
        fs::write(&files.wal, "x").unwrap();
        let wal = File::options().write(true).open(&files.wal).unwrap();
        for (bytes, level) in [
            (WAL_LIMIT, Level::Ok),
            (WAL_LIMIT + 1, Level::Warn),
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
