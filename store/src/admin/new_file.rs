//! New files: written under a temporary name, synced, and only then renamed, never over an existing
//! file. A killed process leaves the temporary file, which the next process reuses.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};

use crate::error::{Error, Result};

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A file under a temporary name. It belongs to this process alone, and is deleted on drop unless it is
/// kept.
pub(crate) struct Partial {
    pub(crate) path: PathBuf,
    file: File,
    is_kept: bool,
}

impl Partial {
    /// Claims the name; the leftover of a killed process is emptied.
    pub(crate) fn claim(path: &Path) -> Result<Partial> {
        let mut options = OpenOptions::new();
        // In a shared folder, do not follow a link of another user, nor wait for a pipe.
        let no_link = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(no_link);
        let file = options.open(path).map_err(|source| Error::file("create", path, source))?;
        // The lock ends with the process. The previous owner may have renamed the finished file between
        // our opening and our locking it.
        let is_locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if !is_locked || !is_still_at(&file, path) || !is_leftover(&file) {
            return Err(Error::TargetExists(path.to_owned()));
        }
        let emptied = file.set_len(0).and_then(|()| {
            // Any user may have created the leftover.
            file.set_permissions(std::fs::Permissions::from_mode(0o600))
        });
        emptied.map_err(|source| Error::file("empty", path, source))?;
        for suffix in SIDE_FILES {
            let _ = std::fs::remove_file(with_suffix(path, suffix));
        }
        Ok(Partial { path: path.to_owned(), file, is_kept: false })
    }

    /// Claims the first unused of several names.
    pub(crate) fn claim_any(path: &Path) -> Result<Partial> {
        let mut last = Error::TargetExists(path.to_owned());
        for number in 0..16 {
            match Partial::claim(&with_suffix(path, &format!("-{number}"))) {
                Err(error @ Error::TargetExists(_)) => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    /// Syncs it to the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|source| Error::file("sync", &self.path, source))
    }

    /// Keeps the file, which has its final name now.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept {
            // The file itself is removed last: a process that claims the name again has its own side files.
            for suffix in SIDE_FILES {
                let _ = std::fs::remove_file(with_suffix(&self.path, suffix));
            }
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn is_still_at(file: &File, path: &Path) -> bool {
    let id = |file: std::fs::Metadata| (file.dev(), file.ino());
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(file), Ok(named)) => id(file) == id(named),
        _ => false,
    }
}

/// The suffixes of the files that SQLite keeps beside a database.
pub(crate) const SIDE_FILES: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Refuses an existing name, or one beside a leftover journal of another file: SQLite would replay the
/// journal into a file of that name.
pub(crate) fn refuse_existing(path: &Path) -> Result<()> {
    for taken in ["", "-journal", "-wal"].map(|suffix| with_suffix(path, suffix)) {
        if taken.symlink_metadata().is_ok() {
            return Err(Error::TargetExists(taken));
        }
    }
    Ok(())
}

/// Renames a finished file, never over an existing one.
pub(crate) fn place_new(from: &Path, to: &Path) -> Result<()> {
    let placed = renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).or_else(|error| {
        if error != rustix::io::Errno::INVAL {
            return Err(error);
        }
        // The file system does not support the flag; a link fails over an existing file, too.
        rustix::fs::link(from, to).and_then(|()| rustix::fs::unlink(from))
    });
    match placed {
        Ok(()) => sync_folder(to),
        Err(rustix::io::Errno::EXIST) => Err(Error::TargetExists(to.to_owned())),
        Err(error) => Err(Error::file("name", to, error.into())),
    }
}

/// Makes a rename in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| Error::file("sync", folder, source))
}

/// Whether a file is the leftover of a killed process of this program: empty, a database, or a database
/// whose first page is not written yet. Any other file belongs to the user.
fn is_leftover(mut file: &File) -> bool {
    let mut start = [0; 16];
    match file.read(&mut start) {
        Ok(0) => file.metadata().is_ok_and(|file| file.is_file()),
        Ok(16) => start == *b"SQLite format 3\0" || start == [0; 16],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::{Duration, Instant};

    #[test]
    fn a_late_claim_does_not_empty_a_finished_file() {
        let dir = tempfile::tempdir().unwrap();
        let (name, end) = (dir.path().join("partial"), Instant::now() + Duration::from_millis(300));
        let finish = &|thread: usize| {
            for round in 0.. {
                if Instant::now() > end {
                    return;
                }
                let Ok(partial) = Partial::claim(&name) else { continue };
                (&partial.file).write_all(b"whole").unwrap();
                let out = dir.path().join(format!("{thread}-{round}"));
                std::fs::rename(&name, &out).unwrap();
                partial.keep();
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..3 {
                scope.spawn(move || finish(thread));
            }
        });
        let mut made = 0;
        for entry in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
            assert_eq!(std::fs::read(entry.path()).unwrap(), b"whole", "{:?}", entry.path());
            made += 1;
        }
        assert!(made > 10, "only {made}");
    }
}
