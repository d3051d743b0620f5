//! Checks of the store's environment: its files, the disk, readers of its log, other programs. Each
//! check examines one thing and returns exactly one finding under a stable id. None changes or opens
//! the database, its log or its shared memory: closing a second descriptor on one of these would
//! drop the locks that SQLite holds in this process.

pub(crate) mod disk;
mod files;
pub(crate) mod observer;
mod programs;
pub(crate) mod readers;
mod wal;

use std::path::Path;

use serde_json::{Value, json};

use crate::doctor::files::Files;
use crate::output::printable;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Never changes: scripts match on it.
    pub(crate) id: &'static str,
    pub(crate) level: Level,
    /// The measured fact.
    pub(crate) message: String,
    /// What to do next; empty for `ok`.
    pub(crate) fix: String,
}

impl Finding {
    pub(crate) fn ok(id: &'static str, message: impl Into<String>) -> Finding {
        Finding { id, level: Level::Ok, message: message.into(), fix: String::new() }
    }

    pub(crate) fn warn(
        id: &'static str,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding { id, level: Level::Warn, message: message.into(), fix: fix.into() }
    }

    pub(crate) fn fail(
        id: &'static str,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding { id, level: Level::Fail, message: message.into(), fix: fix.into() }
    }
}

/// Every check of the environment, in the order of the output. `ballast` is how many bytes `init`
/// reserves.
pub(crate) fn machine(database: &Path, ballast: u64) -> Vec<Finding> {
    let files = Files::of(database);
    vec![
        files::permissions(&files),
        files::hardlinks(&files),
        disk::file_system(&files),
        disk::free(&files),
        disk::ballast(&files, ballast),
        wal::size(&files),
        readers::readers(&files),
        programs::sqlite(&files),
        programs::git(),
        programs::tmux(),
    ]
}

/// The findings as text: one per line with its fix below, then a line that counts them.
pub(crate) fn render(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { id, level, message, fix } in findings {
        let style = match level {
            Level::Ok => anstyle::Style::new(),
            Level::Warn => anstyle::AnsiColor::Yellow.on_default().bold(),
            Level::Fail => anstyle::AnsiColor::Red.on_default().bold(),
        };
        let (level, message) = (level.as_str(), printable(message));
        text += &format!("{style}{level:<4}{style:#}  {id:<width$}  {message}\n");
        if !fix.is_empty() {
            text += &format!("      fix: {}\n", printable(fix));
        }
    }
    text + &summary(findings) + "\n"
}

fn summary(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    format!(
        "{}: {} ok, {}, {}",
        counted(findings.len(), "check"),
        count(Level::Ok),
        counted(count(Level::Warn), "warning"),
        counted(count(Level::Fail), "failure"),
    )
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The findings as JSON.
pub(crate) fn json(findings: &[Finding]) -> Value {
    let documents = findings.iter().map(|finding| {
        json!({
            "id": finding.id,
            "level": finding.level.as_str(),
            "message": printable(&finding.message),
            "fix": printable(&finding.fix),
        })
    });
    Value::Array(documents.collect())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt;

    use rustix::fs::FlockOperation;

    use super::*;

    fn some() -> Vec<Finding> {
        vec![
            Finding::ok("db.fs", "ext4"),
            Finding::warn("disk.free", "\u{1b}[2J1 MiB", "make\nroom"),
            Finding::fail("db.permissions", "0644", "chmod 600 a"),
        ]
    }

    #[test]
    fn a_finding_is_a_line_with_its_fix_below_and_without_control_characters() {
        let shown = render(&some());
        let plain = anstream::adapter::strip_str(&shown).to_string();
        assert_eq!(
            plain,
            "ok    db.fs           ext4\n\
             warn  disk.free       \u{fffd}[2J1 MiB\n      fix: make\u{fffd}room\n\
             fail  db.permissions  0644\n      fix: chmod 600 a\n\
             3 checks: 1 ok, 1 warning, 1 failure\n"
        );
        let coloured = |level: &str| shown.contains(&format!("m{level}\u{1b}["));
        assert_eq!([coloured("ok  "), coloured("warn"), coloured("fail")], [false, true, true]);
    }

    #[test]
    fn counts_of_one_are_singular() {
        assert_eq!(summary(&[]), "0 checks: 0 ok, 0 warnings, 0 failures");
        assert_eq!(summary(&some()[..1]), "1 check: 1 ok, 0 warnings, 0 failures");
    }

    #[test]
    fn the_json_has_the_same_values() {
        let read = json(&some());
        assert_eq!(read[0], json!({"id": "db.fs", "level": "ok", "message": "ext4", "fix": ""}));
        assert_eq!(read[1]["fix"], "make\u{fffd}room");
        assert_eq!(read[2]["level"], "fail");
    }

    #[test]
    fn every_check_returns_one_finding_even_without_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let found = machine(&dir.path().join("none/ao.db"), 1);
        let ids: Vec<_> = found.iter().map(|finding| finding.id).collect();
        let expected = [
            "db.permissions",
            "db.hardlinks",
            "db.fs",
            "disk.free",
            "disk.ballast",
            "wal.size",
            "wal.readers",
            "sqlite.foreign",
            "git.version",
            "tmux.version",
        ];
        assert_eq!(ids, expected);
        for finding in &found {
            assert!(!finding.message.is_empty(), "{finding:?}");
            assert_eq!(finding.fix.is_empty(), finding.level == Level::Ok, "{finding:?}");
        }
        assert!(!dir.path().join("none").exists(), "a check creates nothing");
    }

    #[test]
    fn the_checks_neither_drop_nor_count_the_locks_of_this_process() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("ao.db");
        let held = ["", "-wal", "-shm"].map(|ending| {
            let file = File::create_new(dir.path().join(format!("ao.db{ending}"))).unwrap();
            rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockShared).unwrap();
            file
        });
        let locks = || {
            let list = fs::read_to_string("/proc/locks").unwrap();
            held.each_ref().map(|file| {
                let inode = format!(":{} 0 EOF", file.metadata().unwrap().ino());
                list.lines().filter(|line| line.contains(&inode)).count()
            })
        };
        assert_eq!(locks(), [1, 1, 1]);
        let found = machine(&database, 1);
        let readers = found.iter().find(|finding| finding.id == "wal.readers").unwrap();
        assert_eq!(readers.level, Level::Ok, "{readers:?}");
        assert_eq!(ao_daemon::wal_reader::wal_readers(&database), []);
        assert_eq!(locks(), [1, 1, 1]);
        // The counts would show it if a check had opened and closed a file.
        drop(File::open(&database).unwrap());
        assert_eq!(locks(), [0, 1, 1]);
    }
}
