//! Finds the processes with an open read transaction, by the locks that the kernel lists. A long
//! read keeps the write-ahead log from being truncated.
//!
//! It reads `/proc` only. It identifies the shared memory file by device and inode and never opens
//! it: closing a descriptor on it would drop the locks that SQLite holds in this process.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::disk::{BTRFS, OVERLAY, magic};

/// The bytes of the shared memory file that SQLite locks for its five read marks (`WAL_READ_LOCK`).
const READ_MARKS: std::ops::RangeInclusive<u64> = 123..=127;

/// The time between two samples. A read of the store takes far less, so a process that holds a lock
/// in both is in a long read.
const INTERVAL: Duration = Duration::from_millis(50);

/// A process in a long read of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalReader {
    /// Its id.
    pub pid: u32,
    /// The name of its program, as the kernel reports it.
    pub command: String,
}

/// The other processes that hold a read transaction open; none if the kernel does not list locks. It
/// takes 50 ms when there may be some.
#[must_use]
pub fn wal_readers(database: &Path) -> Vec<WalReader> {
    find(database).unwrap_or_default()
}

/// The same.
///
/// # Errors
/// The kernel does not list locks.
pub fn find(database: &Path) -> io::Result<Vec<WalReader>> {
    let path = shared_memory(database);
    let shm = match fs::metadata(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let shm = Inode {
        device: (rustix::fs::major(shm.dev()), rustix::fs::minor(shm.dev())),
        number: shm.ino(),
        has_other_device: matches!(magic(&path), Ok(BTRFS | OVERLAY)),
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

/// It is beside the target of a symbolic link.
fn shared_memory(database: &Path) -> PathBuf {
    let mut name = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    name.push("-shm");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
