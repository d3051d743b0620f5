//! New files: written under a temporary name, synced, and only then given their own, which nothing
//! else may have. A killed process leaves the temporary file, which the next one takes over.

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

/// A file that is being made under a temporary name. It is this process's alone, and goes away when
/// it was not kept.
pub(crate) struct Partial {
    pub(crate) path: PathBuf,
    file: File,
    is_kept: bool,
}

impl Partial {
    /// Takes the name; what a killed process left there is emptied.
    pub(crate) fn claim(path: &Path) -> Result<Partial> {
        let mut options = OpenOptions::new();
        // Somebody else's link in a shared folder is not followed, and a pipe not waited for.
        let no_link = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(no_link);
        let file = options.open(path).map_err(|source| Error::file("create", path, source))?;
        // Its lock ends with the process, so a killed one leaves none. Who had it before may have
        // given the file its name between our opening and our locking: then it is a finished one.
        let is_locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if !is_locked || !is_still_at(&file, path) || !is_leftover(&file) {
            return Err(Error::TargetExists(path.to_owned()));
        }
        let emptied = file.set_len(0).and_then(|()| {
            // What was left there may have been made by anybody.
            file.set_permissions(std::fs::Permissions::from_mode(0o600))
        });
        emptied.map_err(|source| Error::file("empty", path, source))?;
        for suffix in SIDE_FILES {
            let _ = std::fs::remove_file(with_suffix(path, suffix));
        }
        Ok(Partial { path: path.to_owned(), file, is_kept: false })
    }

    /// Takes the first of some names that nobody is using.
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

    /// Writes everything of it to the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|source| Error::file("sync", &self.path, source))
    }

    /// It has its name now.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept {
            // The name goes last: whoever claims it anew has side files of his own.
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

/// What SQLite keeps beside a database, by the name of the database alone.
pub(crate) const SIDE_FILES: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Refuses a name that is taken, or beside which the journal of another file was left: SQLite would
/// play it back into a file of that name.
pub(crate) fn refuse_existing(path: &Path) -> Result<()> {
    for taken in ["", "-journal", "-wal"].map(|suffix| with_suffix(path, suffix)) {
        if taken.symlink_metadata().is_ok() {
            return Err(Error::TargetExists(taken));
        }
    }
    Ok(())
}

/// Gives a finished file its name, which nothing else may have.
pub(crate) fn place_new(from: &Path, to: &Path) -> Result<()> {
    let placed = renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).or_else(|error| {
        if error != rustix::io::Errno::INVAL {
            return Err(error);
        }
        // A file system without that: a link fails where something is, too.
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

/// Whether a file is what a killed process of ours leaves: nothing yet, a database, or one whose first
/// page was not written yet. Anything else is somebody's own.
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
    fn who_claims_late_does_not_empty_what_is_finished() {
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
