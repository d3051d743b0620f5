//! The disk of a store: whether its file system keeps the locks and the shared memory of one host, and how much
//! space is free on it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// With less free space, disk space is low.
const LOW: u64 = 1 << 30;

pub(crate) const BTRFS: u32 = 0x9123_683e;
pub(crate) const OVERLAY: u32 = 0x794c_7630;
const FUSE: u32 = 0x6573_5546;

/// Whether a database in WAL mode works on a file system, and survives there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// On this host, and persistent.
    Local,
    /// On this host, but deleted with its container or at the next boot.
    Volatile,
    /// Other hosts may mount it too, and they share no memory with this one.
    Network,
    /// A program on this host serves it (FUSE), and what that keeps is not known.
    Program,
    /// Not in the table.
    Unknown,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Its name, or the number of its type.
    pub name: String,
    /// What it is for a database.
    pub class: Class,
}

/// The known file systems by their type number of `statfs(2)`.
const KNOWN: &[(u32, &str, Class)] = &[
    (0xef53, "ext4", Class::Local),
    (0x5846_5342, "xfs", Class::Local),
    (BTRFS, "btrfs", Class::Local),
    (0x2fc1_2fc1, "zfs", Class::Local),
    (0xf2f5_2010, "f2fs", Class::Local),
    (0xca45_1a4e, "bcachefs", Class::Local),
    (OVERLAY, "overlay", Class::Volatile),
    (0x0102_1994, "tmpfs", Class::Volatile),
    (0x8584_58f6, "ramfs", Class::Volatile),
    (0x6969, "nfs", Class::Network),
    (0x517b, "smb", Class::Network),
    (0xff53_4d42, "cifs", Class::Network),
    (0xfe53_4d42, "smb2", Class::Network),
    (0x0102_1997, "9p", Class::Network),
    (0x00c3_6400, "ceph", Class::Network),
    (0x5346_414f, "afs", Class::Network),
    (0x6b41_4653, "afs", Class::Network),
    (0x7375_7245, "coda", Class::Network),
    (0x564c, "ncp", Class::Network),
    (0x0116_1970, "gfs2", Class::Network),
    (0x7461_636f, "ocfs2", Class::Network),
    (0x0bd0_0bd0, "lustre", Class::Network),
    (0x4750_4653, "gpfs", Class::Network),
    (0x2003_0528, "orangefs", Class::Network),
    (0x786f_4256, "vboxsf", Class::Network),
];

/// The types, as in the list of mounts, of those that FUSE serves from another host.
const FUSE_NETWORK: &[&str] = &[
    "virtiofs",
    "fuse.blobfuse2",
    "fuse.ceph-fuse",
    "fuse.curlftpfs",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.goofys",
    "fuse.grpcfuse",
    "fuse.gvfsd-fuse",
    "fuse.juicefs",
    "fuse.mfs",
    "fuse.osxfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.smbnetfs",
    "fuse.sshfs",
    "fuse.vmhgfs-fuse",
];

impl FileSystem {
    /// That of a path, or of the nearest directory above it that exists.
    ///
    /// # Errors
    /// The path cannot be examined.
    pub fn of(path: &Path) -> io::Result<FileSystem> {
        let path = existing(path);
        match magic(path)? {
            FUSE => {
                let device = fs::metadata(path)?.dev();
                let mounts = fs::read_to_string("/proc/self/mountinfo")?;
                Ok(FileSystem::of_fuse(mount_type(&mounts, device).unwrap_or("fuse")))
            }
            magic => Ok(FileSystem::of_type(magic)),
        }
    }

    /// By the type number of `statfs(2)`.
    #[must_use]
    pub fn of_type(magic: u32) -> FileSystem {
        match KNOWN.iter().find(|known| known.0 == magic) {
            Some((_, name, class)) => FileSystem { name: (*name).to_owned(), class: *class },
            None => FileSystem { name: format!("{magic:#x}"), class: Class::Unknown },
        }
    }

    /// By the type in the list of mounts.
    fn of_fuse(name: &str) -> FileSystem {
        let class = match name {
            // What such a program serves is a disk of this host.
            "fuseblk" => Class::Local,
            name if FUSE_NETWORK.contains(&name) => Class::Network,
            _ => Class::Program,
        };
        FileSystem { name: name.to_owned(), class }
    }
}

/// The type of the mount of a device in the text of `/proc/self/mountinfo`.
fn mount_type(mounts: &str, device: u64) -> Option<&str> {
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(&device))?;
    line.split_once(" - ")?.1.split(' ').next()
}

/// The type number of the file system of a path. The upper half of `f_type` is empty or only extends
/// the sign.
pub(crate) fn magic(path: &Path) -> io::Result<u32> {
    Ok(rustix::fs::statfs(path)?.f_type as u32)
}

/// The path, or the nearest directory above it that exists.
#[must_use]
pub fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"))
}

/// Refuses a database, or a directory of one, that is on a network file system.
pub(crate) fn require_local(database: &Path) -> Result<()> {
    // The lock of the daemon is where the database was named, the write-ahead log beside the file itself.
    for path in [database.with_file_name("daemon.lock"), real(database)] {
        let found = FileSystem::of(&path).map_err(|error| Error::file("examine", &path, error))?;
        if found.class == Class::Network {
            let path = path.parent().unwrap_or(Path::new("/")).to_owned();
            return Err(Error::NetworkFileSystem { path, name: found.name });
        }
    }
    Ok(())
}

/// The file of a database behind symbolic links.
fn real(database: &Path) -> PathBuf {
    database.canonicalize().unwrap_or_else(|_| database.to_owned())
}

/// The space on the disk of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The bytes that a user may still write.
    pub free: u64,
    /// The size of the database.
    pub database: u64,
}

impl Space {
    /// That of a database, which need not exist.
    ///
    /// # Errors
    /// The disk cannot be examined.
    pub fn of(database: &Path) -> io::Result<Space> {
        let database = real(database);
        let size = match fs::metadata(&database) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let disk = rustix::fs::statvfs(existing(&database))?;
        Ok(Space { free: disk.f_bavail.saturating_mul(disk.f_frsize), database: size })
    }

    /// How much is to be free: a backup or VACUUM needs room for a copy of the database and its log.
    #[must_use]
    pub fn wanted(&self) -> u64 {
        LOW.max(self.database.saturating_mul(2))
    }

    /// Whether less is free.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.free < self.wanted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn type_numbers_are_unique() {
        for (index, known) in KNOWN.iter().enumerate() {
            assert!(KNOWN[..index].iter().all(|other| other.0 != known.0), "{known:?}");
        }
    }

    #[test]
    fn a_path_that_does_not_exist_is_on_the_file_system_of_its_directory() {
        let of_proc = FileSystem::of_type(0x9fa0);
        assert_eq!(FileSystem::of(Path::new("/proc/none/ao.db")).unwrap(), of_proc);
        let dir = tempfile::tempdir().unwrap();
        let found = FileSystem::of(dir.path()).unwrap();
        assert_eq!(FileSystem::of(&dir.path().join("not/yet")).unwrap(), found);
    }

    #[test]
    fn what_fuse_serves_is_told_apart_by_the_type_of_its_mount() {
        let mounts = "\
23 28 0:21 / /proc rw,nosuid - proc proc rw
91 28 0:51 / /home/a/re\\040mote rw,nosuid shared:1 master:2 - fuse.sshfs a@b:/ rw,user_id=0
92 28 8:17 / /mnt/stick rw - fuseblk /dev/sdb1 rw
93 28 0:5 / /mnt/c rw - fuse.fuse-overlayfs none rw";
        let of = |major, minor| mount_type(mounts, rustix::fs::makedev(major, minor));
        let class = |name: Option<&str>| FileSystem::of_fuse(name.unwrap()).class;
        assert_eq!((of(0, 51), class(of(0, 51))), (Some("fuse.sshfs"), Class::Network));
        assert_eq!((of(8, 17), class(of(8, 17))), (Some("fuseblk"), Class::Local));
        assert_eq!(class(of(0, 5)), Class::Program);
        assert_eq!(of(0, 52), None);
    }

    #[test]
    fn the_wanted_space_grows_with_the_database() {
        for (free, database, is_low) in [
            (1024 * MIB - 1, 0, true),
            (1024 * MIB, 512 * MIB, false),
            (1024 * MIB, 512 * MIB + 1, true),
            (u64::MAX, u64::MAX, false),
        ] {
            assert_eq!(Space { free, database }.is_low(), is_low, "{free} {database}");
        }
    }
}
