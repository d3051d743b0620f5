//! New files: made in a private folder beside their name, complete and synced before they get it, and
//! never placed over an existing file.
//!
//! The folder `NAME.partial` (0700) also contains what SQLite keeps beside an unfinished database, so that
//! nothing of it ever stands beside the final name. It is locked while its process lives; the next attempt
//! takes over what a killed one left. The lock is on the folder and not on the file: closing a descriptor
//! of a database file would drop the locks that SQLite holds on it in this process.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};
use rustix::process::geteuid;

use crate::admin::verify::{self, Depth, Report};
use crate::error::{Context, Error, Result};

/// The suffixes of the files that SQLite keeps beside a database.
pub(crate) const SIDE_FILES: [&str; 3] = ["-journal", "-wal", "-shm"];
/// The suffix of the folder in which a file is made.
const PARTIAL: &str = ".partial";
/// The name of the file in that folder: not its own, because SQLite opens no path over 512 bytes.
const NEW: &str = "new";

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A file that has no name yet. It belongs to this process alone, and is deleted on drop unless it was
/// placed.
pub(crate) struct NewFile {
    target: PathBuf,
    folder: PathBuf,
    path: PathBuf,
    _lock: File,
}

impl NewFile {
    /// Begins a file for `target`.
    ///
    /// # Errors
    /// `TARGET_EXISTS` when another process makes it, or something of another owner is in the way.
    pub(crate) fn claim(target: &Path) -> Result<NewFile> {
        NewFile::claim_for(target, target)
    }

    /// Begins a file whose name changes with each attempt: its folder has the name of `stem`, so that
    /// the next attempt takes over what a killed one left.
    pub(crate) fn claim_for(stem: &Path, target: &Path) -> Result<NewFile> {
        let in_use = || Error::TargetExists(with_suffix(stem, PARTIAL));
        NewFile::try_claim_for(stem, target)?.ok_or_else(in_use)
    }

    /// Begins a file for `target`; `None` while another process makes a file of this name.
    pub(crate) fn try_claim(target: &Path) -> Result<Option<NewFile>> {
        NewFile::try_claim_for(target, target)
    }

    fn try_claim_for(stem: &Path, target: &Path) -> Result<Option<NewFile>> {
        let folder = with_suffix(stem, PARTIAL);
        let Some(lock) = lock_folder(&folder)? else { return Ok(None) };
        let new =
            NewFile { path: folder.join(NEW), target: target.to_owned(), folder, _lock: lock };
        let failed = |source| Error::file("create", &new.path, source);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new.path)
            .map_err(failed)?;
        Ok(Some(new))
    }

    /// Begins a file for the first unused of several names.
    pub(crate) fn claim_any(target: &Path) -> Result<NewFile> {
        for number in 0..16 {
            if let Some(new) = NewFile::try_claim(&with_suffix(target, &format!("-{number}")))? {
                return Ok(new);
            }
        }
        Err(Error::TargetExists(target.to_owned()))
    }

    /// Where to write it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Closes a database that was made here and proves that the one file is complete. SQLite does not
    /// report that closing failed to move the write-ahead log into the file, so this is done before.
    pub(crate) fn finish_database(&self, conn: Connection) -> Result<Report> {
        let step = "complete the new database";
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_blocked: bool = conn.query_row(checkpoint, [], |row| row.get(0)).context(step)?;
        conn.close().map_err(|(_, error)| error).context(step)?;
        let has_content =
            |suffix| fs::metadata(with_suffix(&self.path, suffix)).is_ok_and(|file| file.len() > 0);
        if is_blocked || has_content("-wal") || has_content("-journal") {
            let source = io::Error::other("a part of it is still in its journal");
            return Err(Error::file("complete", &self.target, source));
        }
        let report = verify::verify_file(&self.path, Depth::Sums, Duration::ZERO)?;
        match report.findings.first() {
            None => Ok(report),
            Some(finding) => {
                Err(Error::Damaged { path: self.target.clone(), finding: finding.message.clone() })
            }
        }
    }

    /// Syncs the file and gives it its name, durably. On failure nothing stands at the name.
    pub(crate) fn place(self) -> Result<()> {
        self.place_locked()
    }

    /// The same, and the lock stays until the value is dropped.
    pub(crate) fn place_locked(&self) -> Result<()> {
        let synced = File::open(&self.path).and_then(|file| file.sync_all());
        synced.map_err(|source| Error::file("sync", &self.target, source))?;
        place_new(&self.path, &self.target)?;
        sync_folder(&self.target).inspect_err(|_| {
            let _ = fs::remove_file(&self.target);
        })
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // The lock ends last: nobody claims the folder while it is emptied.
        if let Err(error) = empty(&self.folder).and_then(|()| fs::remove_dir(&self.folder)) {
            tracing::debug!(%error, path = %self.folder.display(), "a temporary folder remains");
        }
    }
}

/// Makes the folder, or takes over that of a killed process, and empties it; `None` while it is locked.
fn lock_folder(folder: &Path) -> Result<Option<File>> {
    let failed = |source| Error::file("create", folder, source);
    let taken = || Error::TargetExists(folder.to_owned());
    loop {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
        let lock = match OpenOptions::new().read(true).custom_flags(flags).open(folder) {
            Ok(lock) => lock,
            // Its owner finished between our two steps.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            // A file or a link, which no attempt of ours leaves.
            Err(error) if fs::symlink_metadata(folder).is_ok_and(|found| !found.is_dir()) => {
                tracing::debug!(%error, "the name of a temporary folder is taken");
                return Err(taken());
            }
            Err(error) => return Err(failed(error)),
        };
        if lock.metadata().map_err(failed)?.uid() != geteuid().as_raw() {
            return Err(taken());
        }
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        // It may have been removed between our opening and our locking it.
        if !is_still_at(&lock, folder) {
            continue;
        }
        lock.set_permissions(Permissions::from_mode(0o700)).map_err(failed)?;
        if !is_leftover(folder).map_err(failed)? {
            return Err(taken());
        }
        empty(folder).map_err(failed)?;
        return Ok(Some(lock));
    }
}

fn is_still_at(file: &File, path: &Path) -> bool {
    let id = |file: fs::Metadata| (file.dev(), file.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(file), Ok(named)) => id(file) == id(named),
        _ => false,
    }
}

/// Whether a folder contains only what an attempt of ours may have left: the new file, and what SQLite
/// keeps beside it.
fn is_leftover(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_ours = entry.file_name() == NEW
            || SIDE_FILES.iter().any(|suffix| entry.file_name() == *format!("{NEW}{suffix}"));
        if !is_ours || !entry.file_type()?.is_file() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// Refuses a reserved or existing name, or one beside a leftover journal of another file: SQLite would
/// replay the journal into a file of that name. Case is ignored, as some file systems do.
pub(crate) fn refuse_target(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_ascii_lowercase();
    let has = |suffix: &&str| name.as_encoded_bytes().ends_with(suffix.as_bytes());
    if SIDE_FILES.iter().chain([&PARTIAL]).any(has) {
        return Err(Error::ReservedName(path.to_owned()));
    }
    for taken in ["", "-journal", "-wal"].map(|suffix| with_suffix(path, suffix)) {
        if taken.symlink_metadata().is_ok() {
            return Err(Error::TargetExists(taken));
        }
    }
    Ok(())
}

/// Renames a finished file, never over an existing one.
fn place_new(from: &Path, to: &Path) -> Result<()> {
    let placed = renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).or_else(|error| {
        if error != rustix::io::Errno::INVAL {
            return Err(error);
        }
        // The file system does not support the flag; a link fails over an existing file, too.
        rustix::fs::link(from, to).and_then(|()| rustix::fs::unlink(from))
    });
    match placed {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Err(Error::TargetExists(to.to_owned())),
        Err(error) => Err(Error::file("name", to, error.into())),
    }
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| Error::file("sync", folder, source))
}

/// Creates the folder of `path` (0700) and those above it where they are missing, durably.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    if folder.is_dir() {
        return Ok(());
    }
    create_folder(folder)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        // Another process may have created it, and may not have synced it yet.
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !folder.is_dir() => {
            Err(Error::file("create", folder, error))
        }
        _ => sync_folder(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    #[test]
    fn a_late_claim_does_not_empty_a_finished_file() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("file");
        let (made, end) = (AtomicUsize::new(0), Instant::now() + Duration::from_secs(60));
        let finish = &|thread: usize| {
            for round in 0.. {
                if made.load(Ordering::Relaxed) > 20 || Instant::now() > end {
                    return;
                }
                let Some(mut new) = NewFile::try_claim(&name).unwrap() else { continue };
                fs::write(new.path(), b"whole").unwrap();
                // Under a name of its own, while the others claim the same folder.
                new.target = dir.path().join(format!("{thread}-{round}"));
                new.place().unwrap();
                made.fetch_add(1, Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..3 {
                scope.spawn(move || finish(thread));
            }
        });
        for entry in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
            assert_eq!(fs::read(entry.path()).unwrap(), b"whole", "{:?}", entry.path());
        }
        let made = made.into_inner();
        assert!(made > 20, "only {made}");
    }

    fn is_taken(target: &Path) -> bool {
        matches!(NewFile::claim(target), Err(Error::TargetExists(_)))
    }

    #[test]
    fn what_is_not_ours_is_neither_used_nor_removed() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        fs::write(place("file.partial"), "notes").unwrap();
        fs::create_dir(place("elsewhere")).unwrap();
        symlink(place("elsewhere"), place("link.partial")).unwrap();
        fs::create_dir(place("folder.partial")).unwrap();
        fs::write(place("folder.partial/notes"), "notes").unwrap();
        for name in ["file", "link", "folder"] {
            assert!(is_taken(&place(name)), "{name}");
        }
        assert_eq!(fs::read(place("file.partial")).unwrap(), b"notes");
        assert_eq!(fs::read(place("folder.partial/notes")).unwrap(), b"notes");
        assert_eq!(fs::read_dir(place("elsewhere")).unwrap().count(), 0);
        if geteuid().is_root() {
            fs::create_dir(place("other.partial")).unwrap();
            std::os::unix::fs::chown(place("other.partial"), Some(12_345), None).unwrap();
            assert!(is_taken(&place("other")), "a folder of another user");
        }
    }

    #[test]
    fn a_placed_file_is_private_and_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("deep/er/file");
        create_folder(&target).unwrap();
        for folder in ["deep", "deep/er"] {
            let mode = fs::metadata(dir.path().join(folder)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        let new = NewFile::claim(&target).unwrap();
        assert!(NewFile::try_claim(&target).unwrap().is_none(), "it is being made");
        fs::write(new.path(), "new").unwrap();
        new.place().unwrap();
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
        let late = NewFile::claim(&target).unwrap();
        assert!(matches!(late.place(), Err(Error::TargetExists(_))));
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
    }
}
