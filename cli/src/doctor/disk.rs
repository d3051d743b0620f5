//! Checks of the disk: a file system that supports WAL mode, free space, and the ballast that is
//! deleted when the disk is full.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bytesize::ByteSize;

use crate::doctor::Finding;
use crate::doctor::files::{Files, metadata, unreadable};
use crate::invocation::quoted;

const FS: &str = "db.fs";
const FREE: &str = "disk.free";
const BALLAST: &str = "disk.ballast";

/// With less, a checkpoint of a full log may not fit.
const FREE_MIN: u64 = 64 << 20;
/// With less, the check warns.
const FREE_LOW: u64 = 1 << 30;

pub(super) const BTRFS: u32 = 0x9123_683e;
pub(super) const OVERLAY: u32 = 0x794c_7630;

/// Whether a database in WAL mode works on a file system, and survives there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FsClass {
    /// On this host, and persistent.
    Local,
    /// On this host, but deleted with its container or at the next boot.
    Volatile,
    /// Other hosts may mount it too, and they share no memory with this one.
    Network,
}

/// The known file systems by their type number of `statfs(2)`.
const KNOWN: &[(u32, &str, FsClass)] = &[
    (0xef53, "ext4", FsClass::Local),
    (0x5846_5342, "xfs", FsClass::Local),
    (BTRFS, "btrfs", FsClass::Local),
    (0x2fc1_2fc1, "zfs", FsClass::Local),
    (0xf2f5_2010, "f2fs", FsClass::Local),
    (0xca45_1a4e, "bcachefs", FsClass::Local),
    (OVERLAY, "overlay", FsClass::Volatile),
    (0x0102_1994, "tmpfs", FsClass::Volatile),
    (0x8584_58f6, "ramfs", FsClass::Volatile),
    (0x6969, "nfs", FsClass::Network),
    (0x517b, "smb", FsClass::Network),
    (0xff53_4d42, "cifs", FsClass::Network),
    (0xfe53_4d42, "smb2", FsClass::Network),
    (0x0102_1997, "9p", FsClass::Network),
    (0x6573_5546, "fuse", FsClass::Network),
    (0x00c3_6400, "ceph", FsClass::Network),
    (0x5346_414f, "afs", FsClass::Network),
    (0x6b41_4653, "afs", FsClass::Network),
    (0x7375_7245, "coda", FsClass::Network),
    (0x564c, "ncp", FsClass::Network),
    (0x0116_1970, "gfs2", FsClass::Network),
    (0x7461_636f, "ocfs2", FsClass::Network),
    (0x0bd0_0bd0, "lustre", FsClass::Network),
    (0x4750_4653, "gpfs", FsClass::Network),
    (0x2003_0528, "orangefs", FsClass::Network),
    (0x786f_4256, "vboxsf", FsClass::Network),
];

/// The type number of the file system of a path. The upper half of `f_type` is empty or only extends
/// the sign.
pub(super) fn magic(path: &Path) -> io::Result<u32> {
    Ok(rustix::fs::statfs(path)?.f_type as u32)
}

/// Checks that WAL mode works on the file system of the database, and that it is persistent.
pub(super) fn file_system(files: &Files) -> Finding {
    let path = existing(&files.database);
    match magic(path) {
        Ok(magic) => assess_fs(magic),
        Err(error) => unreadable(FS, path, &error),
    }
}

fn assess_fs(magic: u32) -> Finding {
    let Some((_, name, class)) = KNOWN.iter().find(|known| known.0 == magic) else {
        return Finding::ok(FS, format!("unknown file system of type {magic:#x}"));
    };
    match class {
        FsClass::Local => Finding::ok(FS, *name),
        FsClass::Volatile => Finding::warn(
            FS,
            format!("{name}: files are lost with the container or at the next boot"),
            "use a directory on a disk or a volume: `--data-dir DIR`",
        ),
        FsClass::Network => Finding::fail(
            FS,
            format!("{name}: WAL mode needs shared memory and reliable locks on one host"),
            "use a directory on a local disk: `--data-dir DIR`",
        ),
    }
}

/// The path, or the nearest directory above it that exists.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"))
}

/// Checks the free space.
pub(super) fn free(files: &Files) -> Finding {
    let dir = existing(&files.dir);
    let database = metadata(&files.database).ok().flatten().map_or(0, |file| file.len());
    match rustix::fs::statvfs(dir) {
        Ok(disk) => assess_free(disk.f_bavail.saturating_mul(disk.f_frsize), database, dir),
        Err(error) => unreadable(FREE, dir, &error.into()),
    }
}

fn assess_free(free: u64, database: u64, dir: &Path) -> Finding {
    // A backup or VACUUM needs room for a copy of the database and its log.
    let wanted = FREE_LOW.max(database.saturating_mul(2));
    let fix = || format!("free {} on this disk: `df -h {}`", ByteSize(wanted - free), quoted(dir));
    let message = format!("{} are free; the database has {}", ByteSize(free), ByteSize(database));
    if free < FREE_MIN {
        Finding::fail(FREE, message, fix())
    } else if free < wanted {
        Finding::warn(FREE, message, fix())
    } else {
        Finding::ok(FREE, message)
    }
}

/// Checks that the ballast has its size. Deleting a file with holes would free less, so allocated
/// blocks count.
pub(super) fn ballast(files: &Files, wanted: u64) -> Finding {
    let path = files.named.with_file_name("ballast");
    let incomplete = |what: String| Finding::warn(BALLAST, what, "run `ao-store init`");
    let file = match metadata(&path) {
        Ok(Some(file)) => file,
        Ok(None) => return incomplete(format!("there is no {}", path.display())),
        Err(error) => return unreadable(BALLAST, &path, &error),
    };
    let held = file.blocks().saturating_mul(512);
    if !file.is_file() {
        incomplete(format!("{} is not a file", path.display()))
    } else if file.len() < wanted {
        incomplete(format!("{} of {}", ByteSize(file.len()), ByteSize(wanted)))
    } else if held < wanted {
        incomplete(format!("{}, of which {} are allocated", ByteSize(file.len()), ByteSize(held)))
    } else {
        Finding::ok(BALLAST, format!("{} reserved", ByteSize(file.len())))
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
    fn type_numbers_are_unique() {
        for (index, known) in KNOWN.iter().enumerate() {
            assert!(KNOWN[..index].iter().all(|other| other.0 != known.0), "{known:?}");
        }
    }

    #[test]
    fn a_network_file_system_fails_and_a_volatile_one_warns() {
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
            let finding = assess_fs(magic);
            assert_eq!(finding.level, level, "{finding:?}");
            assert!(finding.message.contains(name), "{finding:?}");
        }
    }

    #[test]
    fn a_database_that_does_not_exist_is_on_the_file_system_of_its_directory() {
        let (dir, files) = store();
        assert_eq!(magic(Path::new("/proc")).unwrap(), 0x9fa0);
        let later = Files::of(&dir.path().join("not/yet/ao.db"));
        assert_eq!(file_system(&files), file_system(&later));
        assert_eq!(assess_fs(0x9fa0), file_system(&Files::of(Path::new("/proc/none/ao.db"))));
    }

    #[test]
    fn the_required_space_grows_with_the_database() {
        let dir = Path::new("/d");
        for (free, database, level) in [
            (64 * MIB - 1, 0, Level::Fail),
            (64 * MIB, 0, Level::Warn),
            (1024 * MIB - 1, 0, Level::Warn),
            (1024 * MIB, 512 * MIB, Level::Ok),
            (1024 * MIB, 512 * MIB + 1, Level::Warn),
            (u64::MAX, u64::MAX, Level::Ok),
        ] {
            let finding = assess_free(free, database, dir);
            assert_eq!(finding.level, level, "{free} {database}: {finding:?}");
        }
        assert_eq!(assess_free(512 * MIB, 0, dir).fix, "free 512.0 MiB on this disk: `df -h /d`");
        let (_dir, files) = store();
        assert!(free(&files).message.ends_with("the database has 1 B"));
        let proc = free(&Files::of(Path::new("/proc/ao.db")));
        assert_eq!(proc.level, Level::Fail, "nothing is free there: {proc:?}");
    }

    #[test]
    fn ballast_is_complete_when_all_of_it_is_allocated() {
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
        wrong("are allocated");
        drop(file);
        // Not zeros: a file system that compresses would keep less of these.
        let noise = (0..MIB).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8);
        fs::write(&path, noise.collect::<Vec<_>>()).unwrap();
        // Blocks are allocated when the file is written back.
        File::open(&path).unwrap().sync_all().unwrap();
        assert_eq!(ballast(&files, MIB).level, Level::Ok, "{:?}", ballast(&files, MIB));
        assert_eq!(ballast(&files, MIB + 1).level, Level::Warn);
    }
}
