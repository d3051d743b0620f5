//! The disk under the store: a file system that WAL mode can work on, room to write, and the ballast
//! that can be given up when there is none.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::doctor::files::{Files, hidden, look};
use crate::doctor::{Finding, bytes, word};

const FS: &str = "db.fs";
const FREE: &str = "disk.free";
const BALLAST: &str = "disk.ballast";

/// Below this a checkpoint of a full log may not fit.
const FREE_MIN: u64 = 64 << 20;
/// Below this it is time to look.
const FREE_LOW: u64 = 1 << 30;

pub(super) const BTRFS: u32 = 0x9123_683e;
pub(super) const OVERLAY: u32 = 0x794c_7630;

/// What a file system does to a database in WAL mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// Of this host, and kept.
    Local,
    /// Of this host, but gone with its container or at the next boot.
    Volatile,
    /// Other hosts may have it mounted, and they do not share memory with this one.
    Network,
}

/// The file systems by the numbers of `statfs(2)`.
const KNOWN: &[(u32, &str, Nature)] = &[
    (0xef53, "ext4", Nature::Local),
    (0x5846_5342, "xfs", Nature::Local),
    (BTRFS, "btrfs", Nature::Local),
    (0x2fc1_2fc1, "zfs", Nature::Local),
    (0xf2f5_2010, "f2fs", Nature::Local),
    (0xca45_1a4e, "bcachefs", Nature::Local),
    (OVERLAY, "overlay", Nature::Volatile),
    (0x0102_1994, "tmpfs", Nature::Volatile),
    (0x8584_58f6, "ramfs", Nature::Volatile),
    (0x6969, "nfs", Nature::Network),
    (0x517b, "smb", Nature::Network),
    (0xff53_4d42, "cifs", Nature::Network),
    (0xfe53_4d42, "smb2", Nature::Network),
    (0x0102_1997, "9p", Nature::Network),
    (0x6573_5546, "fuse", Nature::Network),
    (0x00c3_6400, "ceph", Nature::Network),
    (0x5346_414f, "afs", Nature::Network),
    (0x6b41_4653, "afs", Nature::Network),
    (0x7375_7245, "coda", Nature::Network),
    (0x564c, "ncp", Nature::Network),
    (0x0116_1970, "gfs2", Nature::Network),
    (0x7461_636f, "ocfs2", Nature::Network),
    (0x0bd0_0bd0, "lustre", Nature::Network),
    (0x4750_4653, "gpfs", Nature::Network),
    (0x2003_0528, "orangefs", Nature::Network),
    (0x786f_4256, "vboxsf", Nature::Network),
];

/// The number of the file system that a path is on. `f_type` is a word whose upper half is empty, or
/// the sign of the lower one.
pub(super) fn magic(path: &Path) -> io::Result<u32> {
    Ok(rustix::fs::statfs(path)?.f_type as u32)
}

/// Whether WAL mode works where the database is, and whether it stays.
pub(super) fn file_system(files: &Files) -> Finding {
    let path = existing(&files.database);
    match magic(path) {
        Ok(magic) => judge_fs(magic),
        Err(error) => hidden(FS, path, &error),
    }
}

fn judge_fs(magic: u32) -> Finding {
    let Some((_, name, nature)) = KNOWN.iter().find(|known| known.0 == magic) else {
        return Finding::ok(FS, format!("a file system with the number {magic:#x}"));
    };
    match nature {
        Nature::Local => Finding::ok(FS, *name),
        Nature::Volatile => Finding::warn(
            FS,
            format!("{name}: the store does not survive the container or the boot"),
            "put it on a disk or a volume: `ao-store init --data-dir DIR`",
        ),
        Nature::Network => Finding::fail(
            FS,
            format!("{name}: WAL needs the shared memory of one host, and locks that hold"),
            "put it on a local disk: `ao-store init --data-dir DIR`",
        ),
    }
}

/// The path, or the nearest directory above it that is there.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"))
}

/// Whether there is room to go on.
pub(super) fn free(files: &Files) -> Finding {
    let dir = existing(&files.dir);
    let database = look(&files.database).ok().flatten().map_or(0, |file| file.len());
    match rustix::fs::statvfs(dir) {
        Ok(disk) => judge_free(disk.f_bavail.saturating_mul(disk.f_frsize), database, dir),
        Err(error) => hidden(FREE, dir, &error.into()),
    }
}

fn judge_free(free: u64, database: u64, dir: &Path) -> Finding {
    // A copy of the database and its log must fit: a backup, or VACUUM.
    let wanted = FREE_LOW.max(database.saturating_mul(2));
    let fix = || format!("make room for {}: `df -h {}`", bytes(wanted - free), word(dir));
    let message = format!("{} free beside a database of {}", bytes(free), bytes(database));
    if free < FREE_MIN {
        Finding::fail(FREE, message, fix())
    } else if free < wanted {
        Finding::warn(FREE, message, fix())
    } else {
        Finding::ok(FREE, message)
    }
}

/// Whether there is something to give up when the disk is full. Holes would give nothing back, so
/// what counts are the blocks.
pub(super) fn ballast(files: &Files, wanted: u64) -> Finding {
    let path = files.named.with_file_name("ballast");
    let less = |what: String| Finding::warn(BALLAST, what, "run `ao-store init`");
    let file = match look(&path) {
        Ok(Some(file)) => file,
        Ok(None) => return less(format!("there is no {}", path.display())),
        Err(error) => return hidden(BALLAST, &path, &error),
    };
    let held = file.blocks().saturating_mul(512);
    if !file.is_file() {
        less(format!("{} is not a file", path.display()))
    } else if file.len() < wanted {
        less(format!("{} of {}", bytes(file.len()), bytes(wanted)))
    } else if held < wanted {
        less(format!("{}, of which the disk holds {}", bytes(file.len()), bytes(held)))
    } else {
        Finding::ok(BALLAST, format!("{} put aside", bytes(file.len())))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use tempfile::TempDir;

    use super::*;
    use crate::doctor::Level;

    const MIB: u64 = 1 << 20;

    fn store() -> (TempDir, Files) {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("ao.db");
        fs::write(&database, "x").unwrap();
        (dir, Files::of(&database))
    }

    #[test]
    fn the_numbers_are_different() {
        for (index, known) in KNOWN.iter().enumerate() {
            assert!(KNOWN[..index].iter().all(|other| other.0 != known.0), "{known:?}");
        }
    }

    #[test]
    fn what_cannot_share_memory_fails_and_what_goes_away_warns() {
        for (magic, level, name) in [
            (0xef53, Level::Ok, "ext4"),
            (0x794c_7630, Level::Warn, "overlay"),
            (0x0102_1994, Level::Warn, "tmpfs"),
            (0x6969, Level::Fail, "nfs"),
            (0xff53_4d42, Level::Fail, "cifs"),
            (0x0102_1997, Level::Fail, "9p"),
            (0x6573_5546, Level::Fail, "fuse"),
            (0x1234, Level::Ok, "0x1234"),
        ] {
            let finding = judge_fs(magic);
            assert_eq!(finding.level, level, "{finding:?}");
            assert!(finding.message.contains(name), "{finding:?}");
        }
    }

    #[test]
    fn the_kernel_is_asked_and_a_store_to_be_is_where_its_directory_is() {
        let (dir, files) = store();
        assert_eq!(magic(Path::new("/proc")).unwrap(), 0x9fa0);
        let later = Files::of(&dir.path().join("not/yet/ao.db"));
        assert_eq!(file_system(&files), file_system(&later));
        assert_eq!(judge_fs(0x9fa0), file_system(&Files::of(Path::new("/proc/none/ao.db"))));
    }

    #[test]
    fn room_is_judged_by_the_size_of_the_database() {
        let dir = Path::new("/d");
        for (free, database, level) in [
            (64 * MIB - 1, 0, Level::Fail),
            (64 * MIB, 0, Level::Warn),
            (1024 * MIB - 1, 0, Level::Warn),
            (1024 * MIB, 512 * MIB, Level::Ok),
            (1024 * MIB, 512 * MIB + 1, Level::Warn),
            (u64::MAX, u64::MAX, Level::Ok),
        ] {
            let finding = judge_free(free, database, dir);
            assert_eq!(finding.level, level, "{free} {database}: {finding:?}");
        }
        assert_eq!(judge_free(512 * MIB, 0, dir).fix, "make room for 512.0 MiB: `df -h /d`");
        let (_dir, files) = store();
        assert!(free(&files).message.ends_with("beside a database of 1 B"));
        let proc = free(&Files::of(Path::new("/proc/ao.db")));
        assert_eq!(proc.level, Level::Fail, "nothing is free there: {proc:?}");
    }

    #[test]
    fn ballast_counts_when_the_disk_holds_all_of_it() {
        let (dir, files) = store();
        let path = dir.path().join("ballast");
        let wrong = |what: &str| {
            let finding = ballast(&files, MIB);
            assert_eq!(finding.level, Level::Warn, "{what}: {finding:?}");
            assert_eq!(finding.fix, "run `ao-store init`");
            assert!(finding.message.contains(what), "{what}: {finding:?}");
        };
        wrong("there is no ");
        fs::create_dir(&path).unwrap();
        wrong("is not a file");
        fs::remove_dir(&path).unwrap();
        let file = File::create(&path).unwrap();
        file.set_len(MIB - 1).unwrap();
        wrong("of 1.0 MiB");
        file.set_len(MIB).unwrap();
        wrong("of which the disk holds");
        drop(file);
        // Not zeros: a file system that compresses would keep less of these.
        let noise = (0..MIB).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8);
        fs::write(&path, noise.collect::<Vec<_>>()).unwrap();
        // Blocks are given when the file is written back.
        File::open(&path).unwrap().sync_all().unwrap();
        assert_eq!(ballast(&files, MIB).level, Level::Ok, "{:?}", ballast(&files, MIB));
        assert_eq!(ballast(&files, MIB + 1).level, Level::Warn);
    }
}
