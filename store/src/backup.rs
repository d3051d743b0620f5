//! Backups: a consistent copy of a store that is being written, verified before it gets its name.
//!
//! The copy is made in one read under a temporary name beside its target, checked with the sums of
//! `verify`, synced, and only then renamed, never over something. Killed half-way it leaves the
//! temporary file, which the next backup to the same target takes over.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};
use sha2::{Digest as _, Sha256};

use crate::connection::{self, Durability, Role};
use crate::cursor::Cursor;
use crate::error::{Context, Error, Result};
use crate::row::log;
use crate::store::Store;
use crate::time::Timestamp;
use crate::tx::{Cause, Snapshot};
use crate::verify::{self, Depth};

/// What a backup is, to be kept with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The file.
    pub path: PathBuf,
    /// The log that it is of.
    pub log_id: String,
    /// The state that it holds.
    pub cursor: Cursor,
    /// Its pages.
    pub pages: u64,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Store {
    /// Copies the store to `out`, which must not exist, while it is read and written by anybody.
    ///
    /// # Errors
    /// `TARGET_EXISTS`, also for a journal beside it; `CORRUPT` when the copy does not verify; `DISK_FULL`. Nothing is left then.
    pub fn backup(&self, out: &Path, cause: &Cause) -> Result<Receipt> {
        refuse_existing(out)?;
        let partial = Partial::claim(&with_suffix(out, ".partial"))?;
        self.copy_to(&partial.path)?;
        let receipt = seal_copy(&partial, out)?;
        place_new(&partial.path, out)?;
        partial.keep();
        let seq = receipt.cursor.seq.0;
        // A store that cannot be written can still be backed up.
        if let Err(error) = self.write(cause.clone(), move |tx| note(tx, seq)) {
            tracing::warn!(%error, "the time of the backup was not noted");
        }
        Ok(receipt)
    }

    /// Copies the database in one read, as it is at that moment.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<()> {
        let busy = self.options().busy;
        let source = connection::open(self.path(), Role::Reader, Durability::Full, busy)?;
        copy(&source, path)
    }
}

/// Makes `path` a copy of an open database, in one file.
pub(crate) fn copy(source: &Connection, path: &Path) -> Result<()> {
    let step = "copy the database";
    // Not as a URI: the file that was claimed has this very name.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(path, flags).context(step)?;
    let copied =
        Backup::new(source, &mut target).and_then(|backup| backup.step(-1)).context(step)?;
    if copied != StepResult::Done {
        return Err(Error::Busy { waited_ms: 0 });
    }
    // The mark of WAL comes along; a copy is to be one file that can be read anywhere.
    target.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).context(step)?;
    target.close().map_err(|(_, error)| error).context(step)
}

/// Verifies and syncs the copy.
fn seal_copy(partial: &Partial, out: &Path) -> Result<Receipt> {
    let (path, busy) = (&partial.path, std::time::Duration::ZERO);
    let report = verify::verify_file(path, Depth::Sums, busy)?;
    if let Some(finding) = report.findings.into_iter().next() {
        return Err(Error::Damaged { path: out.to_owned(), finding: finding.message });
    }
    let conn = connection::open(path, Role::Reader, Durability::Full, busy)?;
    let log_id = log::info(&Snapshot::new(&conn))?.log_id;
    let pages = "PRAGMA page_count";
    let pages: i64 = conn.query_row(pages, [], |row| row.get(0)).context(pages)?;
    conn.close().map_err(|(_, error)| error).context("close the copy")?;
    partial.file.sync_all().map_err(|source| file_error("sync", path, source))?;
    let (bytes, sha256) = sha256(path)?;
    let pages = pages.unsigned_abs();
    Ok(Receipt { path: out.to_owned(), log_id, cursor: report.cursor, pages, bytes, sha256 })
}

const NOTE: &str = "UPDATE upkeep SET backup_at = ?1, backup_seq = ?2";

fn note(tx: &crate::tx::Tx<'_>, seq: i64) -> Result<()> {
    tx.note("note the backup", NOTE, (tx.now().0, seq)).map(|_| ())
}

const SELECT_LAST: &str = "SELECT backup_at FROM upkeep";

/// When the store was backed up last.
///
/// # Errors
/// When the database cannot be read.
pub fn last_backup(snapshot: &Snapshot<'_>) -> Result<Option<Timestamp>> {
    let at = snapshot.one("read the last backup", SELECT_LAST, [], |row| row.get(0))?;
    Ok(at.flatten().map(Timestamp))
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

/// Size and SHA-256 of a file that no connection of this process has open.
fn sha256(path: &Path) -> Result<(u64, String)> {
    let failed = |source| file_error("read", path, source);
    let mut file = File::open(path).map_err(failed)?;
    let (mut hash, mut buffer, mut total) = (Sha256::new(), vec![0; 1 << 16], 0);
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        total += read as u64;
    }
    let hex = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((total, hex))
}

pub(crate) fn file_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}

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
        let file = options.open(path).map_err(|source| file_error("create", path, source))?;
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
        emptied.map_err(|source| file_error("empty", path, source))?;
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
        self.file.sync_all().map_err(|source| file_error("sync", &self.path, source))
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
        Err(error) => Err(file_error("name", to, error.into())),
    }
}

/// Makes a rename in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| file_error("sync", folder, source))
}

/// Whether a file could not be read as a database of ours because it is damaged, or none at all.
pub(crate) fn is_damage(error: &Error) -> bool {
    match error {
        Error::NotAStore(_) | Error::Damaged { .. } | Error::SchemaMismatch(_) => true,
        Error::Sqlite(_, source) => matches!(
            source.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown)
        ),
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
