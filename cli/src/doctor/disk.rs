//! Checks of the disk: a file system that supports WAL mode, free space, and the ballast that is
//! deleted when the disk is full.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ao_daemon::disk::{Class, FileSystem, Space};
use bytesize::ByteSize;

use crate::doctor::Finding;
use crate::doctor::files::{Files, metadata, unreadable};
use crate::invocation::quoted;

const FS: &str = "db.fs";
const FREE: &str = "disk.free";
const BALLAST: &str = "disk.ballast";

/// With less, a checkpoint of a full log may not fit.
const FREE_MIN: u64 = 64 << 20;

/// Checks that WAL mode works on the file system of the database, and that it is persistent.
pub(super) fn file_system(files: &Files) -> Finding {
    match FileSystem::of(&files.database) {
        Ok(found) => assess_fs(found),
        Err(error) => unreadable(FS, &files.database, &error),
    }
}

fn assess_fs(FileSystem { name, class }: FileSystem) -> Finding {
    match class {
        Class::Local => Finding::ok(FS, name),
        Class::Unknown => Finding::ok(FS, format!("unknown file system of type {name}")),
        Class::Volatile => Finding::warn(
            FS,
            format!("{name}: files are lost with the container or at the next boot"),
            "use a directory on a disk or a volume: `--data-dir DIR`",
        ),
        Class::Program => Finding::warn(
            FS,
            format!("{name}: WAL mode works there only if no other host has the same files"),
            "use a directory on a local disk: `--data-dir DIR`",
        ),
        Class::Network => Finding::fail(
            FS,
            format!("{name}: WAL mode needs shared memory and reliable locks on one host"),
            "use a directory on a local disk: `--data-dir DIR`",
        ),
    }
}

/// Checks the free space.
pub(super) fn free(files: &Files) -> Finding {
    match Space::of(&files.database) {
        Ok(space) => assess_free(space, &files.dir),
        Err(error) => unreadable(FREE, &files.dir, &error),
    }
}

fn assess_free(space: Space, dir: &Path) -> Finding {
    let message = describe(space);
    if space.free < FREE_MIN {
        Finding::fail(FREE, message, fix(space, dir))
    } else if space.is_low() {
        Finding::warn(FREE, message, fix(space, dir))
    } else {
        Finding::ok(FREE, message)
    }
}

fn describe(Space { free, database }: Space) -> String {
    format!("{} are free; the database has {}", ByteSize(free), ByteSize(database))
}

fn fix(space: Space, dir: &Path) -> String {
    let dir = ao_daemon::disk::existing(dir);
    let lacking = ByteSize(space.wanted().saturating_sub(space.free));
    format!("free {lacking} on this disk: `df -h {}`", quoted(dir))
}

/// The warning about a disk of little space, with what to do; `None` if there is enough.
pub(crate) fn warning(space: Space, database: &Path) -> Option<String> {
    let dir = database.parent().unwrap_or(Path::new("/"));
    space.is_low().then(|| format!("{}; {}", describe(space), fix(space, dir)))
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
    fn a_network_file_system_fails_and_a_volatile_one_warns() {
        for (magic, level, name) in [
            (0xef53, Level::Ok, "ext4"),
            (0x794c_7630, Level::Warn, "overlay"),
            (0x0102_1994, Level::Warn, "tmpfs"),
            (0x6969, Level::Fail, "nfs"),
            (0xff53_4d42, Level::Fail, "cifs"),
            (0x0102_1997, Level::Fail, "9p"),
            (0x1234, Level::Ok, "0x1234"),
        ] {
            let finding = assess_fs(FileSystem::of_type(magic));
            assert_eq!(finding.level, level, "{finding:?}");
            assert!(finding.message.contains(name), "{finding:?}");
        }
        let fuse = FileSystem { name: "fuse.other".to_owned(), class: Class::Program };
        assert_eq!(assess_fs(fuse).level, Level::Warn);
    }

    #[test]
    fn too_little_space_fails_and_little_warns() {
        let dir = Path::new("/d");
        for (free, database, level) in [
            (64 * MIB - 1, 0, Level::Fail),
            (64 * MIB, 0, Level::Warn),
            (1024 * MIB - 1, 0, Level::Warn),
            (1024 * MIB, 512 * MIB, Level::Ok),
            (1024 * MIB, 512 * MIB + 1, Level::Warn),
        ] {
            let finding = assess_free(Space { free, database }, dir);
            assert_eq!(finding.level, level, "{free} {database}: {finding:?}");
        }
        let (space, dir) = (Space { free: 512 * MIB, database: 0 }, tempfile::tempdir().unwrap());
        let shown = format!("free 512.0 MiB on this disk: `df -h {}`", dir.path().display());
        assert_eq!(assess_free(space, &dir.path().join("not/yet")).fix, shown);
        assert!(warning(space, &dir.path().join("ao.db")).unwrap().ends_with(&shown));
        assert_eq!(warning(Space { free: u64::MAX, database: 0 }, dir.path()), None);
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
