//! Finds the processes with an open read transaction, by the locks that the kernel lists. A long
//! read keeps the write-ahead log from being truncated.
//!
//! It reads `/proc` only. It identifies the shared memory file by device and inode and never opens
//! it: closing a descriptor on it would drop the locks that SQLite holds in this process.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::doctor::Finding;
use crate::doctor::disk::{BTRFS, OVERLAY, magic};
use crate::doctor::files::{Files, metadata};
use crate::invocation::quoted;

const READERS: &str = "wal.readers";

/// The bytes of the shared memory file that SQLite locks for its five read marks (`WAL_READ_LOCK`).
const READ_MARKS: std::ops::RangeInclusive<u64> = 123..=127;

/// The time between two samples. A read of the store takes far less, so a process that holds a lock
/// in both is in a long read.
const INTERVAL: Duration = Duration::from_millis(50);

/// A process in a long read of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WalReader {
    pub(crate) pid: u32,
    /// The name of its program, as the kernel reports it.
    pub(crate) command: String,
}

/// The other processes that hold a read transaction open; none if the kernel does not list locks. It
/// takes 50 ms when there may be some.
pub(crate) fn wal_readers(database: &Path) -> Vec<WalReader> {
    find(&Files::of(database)).unwrap_or_default()
}

/// Checks that no process keeps the log from being truncated.
pub(super) fn readers(files: &Files) -> Finding {
    match find(files) {
        Ok(readers) if readers.is_empty() => {
            Finding::ok(READERS, "no other process is in a long read")
        }
        Ok(readers) => found(&readers),
        Err(error) => {
            let message = format!("cannot list the holders of locks: {error}");
            let fix = format!(
                "list the processes that have it open: `fuser -v {}`",
                quoted(&files.database)
            );
            Finding::warn(READERS, message, fix)
        }
    }
}

fn found(readers: &[WalReader]) -> Finding {
    let shown: Vec<_> =
        readers.iter().map(|reader| format!("{} ({})", reader.pid, reader.command)).collect();
    let pids: Vec<_> = readers.iter().map(|reader| reader.pid.to_string()).collect();
    Finding::warn(
        READERS,
        format!("these processes keep the log from being truncated: {}", shown.join(", ")),
        format!("end their transactions, or stop them: `kill {}`", pids.join(" ")),
    )
}

fn find(files: &Files) -> io::Result<Vec<WalReader>> {
    let Some(shm) = metadata(&files.shm)? else { return Ok(Vec::new()) };
    let shm = Inode {
        device: (rustix::fs::major(shm.dev()), rustix::fs::minor(shm.dev())),
        number: shm.ino(),
        has_other_device: matches!(magic(&files.shm), Ok(BTRFS | OVERLAY)),
    };
    let sample = || Ok::<_, io::Error>(holders(&fs::read_to_string("/proc/locks")?, &shm));
    let mut before = sample()?;
    before.remove(&std::process::id());
    if before.is_empty() {
        return Ok(Vec::new());
    }
    thread::sleep(INTERVAL);
    Ok(in_both(&before, &sample()?).filter_map(reader).collect())
}

/// The processes that hold a mark in both samples.
fn in_both<'a>(
    before: &'a BTreeMap<u32, u8>,
    after: &'a BTreeMap<u32, u8>,
) -> impl Iterator<Item = u32> + 'a {
    let marks = |pid| after.get(pid).copied().unwrap_or(0);
    before.iter().filter(move |(pid, held)| marks(pid) & **held != 0).map(|(pid, _)| *pid)
}

/// The process with its name; `None` when it has ended.
fn reader(pid: u32) -> Option<WalReader> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let command = String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned();
    Some(WalReader { pid, command })
}

/// A file as `/proc/locks` identifies it.
struct Inode {
    /// Major and minor number.
    device: (u32, u32),
    number: u64,
    /// Whether `stat` reports another device than `/proc/locks`, as on btrfs, where each subvolume
    /// has its own, and on overlays. Both are then anonymous devices, of major number 0.
    has_other_device: bool,
}

impl Inode {
    fn matches(&self, text: &str) -> bool {
        let mut parts = text.split(':');
        let mut hex = || u32::from_str_radix(parts.next()?, 16).ok();
        let device = hex().zip(hex());
        let number = parts.next().and_then(|number| number.parse::<u64>().ok());
        let is_device = device.is_some_and(|device| {
            device == self.device || self.has_other_device && device.0 == 0 && self.device.0 == 0
        });
        is_device && number == Some(self.number)
    }
}

/// The processes in the text of `/proc/locks` that hold a read lock on a read mark of this file, each
/// with its marks as bits. The kernel merges adjacent locks of a process, so a range may span marks.
fn holders(locks: &str, file: &Inode) -> BTreeMap<u32, u8> {
    let mut holders = BTreeMap::new();
    for line in locks.lines() {
        // The line of a waiting process has `->` as its second field.
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "POSIX", _, "READ", pid, inode, first, last] = fields[..] else { continue };
        if !file.matches(inode) {
            continue;
        }
        let end = if last == "EOF" { Some(u64::MAX) } else { last.parse().ok() };
        let (Ok(pid), Ok(first), Some(last)) = (pid.parse(), first.parse::<u64>(), end) else {
            continue;
        };
        let held = READ_MARKS.filter(|mark| (first..=last).contains(mark));
        let bits = held.fold(0u8, |bits, mark| bits | 1 << (mark - READ_MARKS.start()));
        if bits != 0 {
            *holders.entry(pid).or_default() |= bits;
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::doctor::Level;

    const FILE: Inode = Inode { device: (0xfe, 0), number: 10_117_140, has_other_device: false };

    /// Recorded on Linux 6.12 with one shell in a transaction; some lines were added by hand.
    const RECORDED: &str = "\
1: POSIX  ADVISORY  READ 9784 fe:00:10117140 123 123
2: POSIX  ADVISORY  READ 9784 fe:00:10117140 128 128
3: POSIX  ADVISORY  READ 9784 fe:00:10117138 1073741826 1073742335
4: FLOCK  ADVISORY  WRITE 9096 fe:00:5308691 0 EOF
5: POSIX  ADVISORY  READ 21 fe:00:10117140 127 128
6: POSIX  ADVISORY  WRITE 22 fe:00:10117140 124 124
6: -> POSIX  ADVISORY  READ 23 fe:00:10117140 124 124
7: POSIX  ADVISORY  READ 24 fe:01:10117140 123 123
8: POSIX  ADVISORY  READ 25 fe:00:10117141 123 123
9: OFDLCK ADVISORY  READ -1 fe:00:10117140 123 123
10: POSIX  ADVISORY  READ 26 fe:00:10117140 120 122
11: POSIX  ADVISORY  READ 27 fe:00:10117140 0 EOF
12: POSIX  ADVISORY  READ 28 00:2f:10117140 125 126
13: POSIX  ADVISORY  READ 24 fe:00:10117140 124 124
14: POSIX  ADVISORY  READ 24 fe:00:10117140 126 126
15: LEASE  ACTIVE    READ 29 fe:00:10117140 0 EOF
16: POSIX  ADVISORY  READ";

    #[test]
    fn readers_hold_read_locks_on_the_marks_of_this_file() {
        let found: Vec<_> = holders(RECORDED, &FILE).into_iter().collect();
        assert_eq!(found, [(21, 0b10000), (24, 0b01010), (27, 0b11111), (9784, 0b00001)]);
    }

    #[test]
    fn the_device_is_hexadecimal_and_the_inode_is_not() {
        assert!(FILE.matches("fe:00:10117140"));
        for other in ["254:0:10117140", "fe:00:9a6014", "fe:00", "", "fe:00:x", "fe:10:10117140"] {
            assert!(!FILE.matches(other), "{other}");
        }
        let deep = Inode { device: (0x103, 0x1f), number: 7, has_other_device: false };
        assert!(deep.matches("103:1f:7"));
    }

    #[test]
    fn if_stat_reports_another_device_any_anonymous_one_matches() {
        let strict = Inode { device: (0, 0x30), number: 10_117_140, has_other_device: false };
        assert!(holders(RECORDED, &strict).is_empty());
        let loose = Inode { has_other_device: true, ..strict };
        assert_eq!(holders(RECORDED, &loose).into_iter().collect::<Vec<_>>(), [(28, 0b01100)]);
    }

    #[test]
    fn a_short_read_is_not_reported() {
        let before = BTreeMap::from([(1, 0b00001), (2, 0b00011), (3, 0b00100)]);
        let after = BTreeMap::from([(1, 0b00010), (2, 0b00010), (4, 0b00100)]);
        assert_eq!(in_both(&before, &after).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn the_finding_names_the_processes_and_the_command() {
        let finding = found(&[
            WalReader { pid: 7, command: "sqlite3".to_owned() },
            WalReader { pid: 9, command: "python3".to_owned() },
        ]);
        assert_eq!(finding.level, Level::Warn);
        assert!(finding.message.ends_with("7 (sqlite3), 9 (python3)"), "{finding:?}");
        assert!(finding.fix.ends_with("`kill 7 9`"), "{finding:?}");
    }

    /// The stock shell on a database, killed when the test is over.
    struct Shell {
        child: Child,
        output: BufReader<std::process::ChildStdout>,
    }

    impl Shell {
        /// `None`, with a printed reason, when there is no such shell.
        fn start(database: &Path) -> Option<Shell> {
            let mut command = Command::new("sqlite3");
            command.args(["-batch", "-init", "/dev/null"]).arg(database);
            let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let Ok(mut child) = child else {
                println!("skipped: there is no sqlite3 shell");
                return None;
            };
            let output = BufReader::new(child.stdout.take().unwrap());
            Some(Shell { child, output })
        }

        /// Runs SQL that prints one line, and returns the line: the SQL has then been executed.
        fn run(&mut self, sql: &str) -> String {
            writeln!(self.child.stdin.as_mut().unwrap(), "{sql}").unwrap();
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    #[test]
    fn a_shell_is_reported_until_its_transaction_ends() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("ao.db");
        assert_eq!(wal_readers(&database), []);
        let Some(mut shell) = Shell::start(&database) else { return };
        assert_eq!(shell.run("PRAGMA journal_mode = WAL;"), "wal");
        assert_eq!(
            shell.run("CREATE TABLE t (a); INSERT INTO t VALUES (1); SELECT 'made';"),
            "made"
        );
        assert_eq!(wal_readers(&database), [], "open, but in no transaction");
        assert_eq!(readers(&Files::of(&database)).level, Level::Ok);

        assert_eq!(shell.run("BEGIN; SELECT count(*) FROM t;"), "1");
        let expected = WalReader { pid: shell.child.id(), command: "sqlite3".to_owned() };
        assert_eq!(wal_readers(&database), [expected]);
        let finding = readers(&Files::of(&database));
        assert_eq!(finding.level, Level::Warn);
        assert!(finding.fix.contains(&format!("`kill {}`", shell.child.id())), "{finding:?}");

        assert_eq!(shell.run("COMMIT; SELECT 'ended';"), "ended");
        assert_eq!(wal_readers(&database), []);
    }
}
