//! Backups: a consistent copy of a store in use, verified before it gets its name.
//!
//! The copy is taken in one read, verified by its digests, synced, and only then gets its name
//! (`new_file.rs`).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest as _, Sha256};

use crate::admin::new_file::{NewFile, refuse_target, with_suffix};
use crate::db::connection::{self, Durability, Role};
use crate::db::tx::{Cause, Snapshot, Tx};
use crate::db::write_queue::SUFFIXES;
use crate::engine::store::Store;
use crate::error::{Context, Error, Result};
use crate::log::info::LogInfo;
use crate::model::cursor::Cursor;
use crate::model::time::Timestamp;

/// The description of a backup, to be stored with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The file.
    pub path: PathBuf,
    /// The id of its log.
    pub log_id: String,
    /// The head of its log.
    pub cursor: Cursor,
    /// Its number of pages.
    pub pages: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// The names that a store uses in its folder, beside those that begin with that of its database.
const OWN_NAMES: [&str; 3] = ["ballast", "observer.lock", "wakeups"];

impl Store {
    /// Copies the store to `out`, which must not exist, while other processes read and write the store.
    ///
    /// # Errors
    /// `TARGET_EXISTS`, also for a journal beside it; `CORRUPT` when the copy does not verify;
    /// `DISK_FULL`. No file is left then.
    pub fn backup(&self, out: &Path, cause: &Cause) -> Result<Receipt> {
        self.refuse_target(out)?;
        self.backup_as(&NewFile::claim(out)?, out, cause)
    }

    /// Makes a claimed file a backup.
    pub(crate) fn backup_as(&self, new: &NewFile, out: &Path, cause: &Cause) -> Result<Receipt> {
        let copied = finish_copy(new, self.copy_to(new.path())?, out);
        let receipt = copied.map_err(|error| match error {
            // What the copy has was in the store; the copy is deleted.
            Error::Damaged { finding, .. } => {
                Error::Damaged { path: self.path().to_owned(), finding }
            }
            other => other,
        })?;
        new.place_locked()?;
        let seq = receipt.cursor.seq.0;
        // A store that cannot be written can still be backed up.
        if let Err(error) = self.write(cause.clone(), move |tx| record(tx, seq)) {
            tracing::warn!(%error, "the time of the backup was not recorded");
        }
        Ok(receipt)
    }

    /// Refuses a name that cannot be used for a new file, such as one that belongs to a store in the same
    /// folder.
    pub(crate) fn refuse_target(&self, out: &Path) -> Result<()> {
        let of_database = self.path().file_name().unwrap_or_default();
        let is_beside = out.with_file_name(of_database).exists();
        let name = out.file_name().unwrap_or_default().to_ascii_lowercase();
        let is_side_file = |suffix: &str| {
            name == with_suffix(Path::new(of_database), suffix).as_os_str().to_ascii_lowercase()
        };
        let is_own = is_side_file(".head")
            || SUFFIXES.into_iter().any(is_side_file)
            || OWN_NAMES.iter().any(|own| name == *own);
        if is_beside && is_own {
            return Err(Error::ReservedName(out.to_owned()));
        }
        refuse_target(out)
    }

    /// Copies the database in one read.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<Connection> {
        let busy = self.options().busy;
        let source = connection::open(self.path(), Role::Reader, Durability::Full, busy)?;
        copy(&source, path)
    }
}

/// Copies an open database to `path`, as a single file; returns its connection.
pub(crate) fn copy(source: &Connection, path: &Path) -> Result<Connection> {
    let step = "copy the database";
    // Not as a URI: the claimed file has exactly this name.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(path, flags).context(step)?;
    let copied =
        Backup::new(source, &mut target).and_then(|backup| backup.step(-1)).context(step)?;
    if copied != StepResult::Done {
        return Err(Error::Busy { waited_ms: 0 });
    }
    // WAL mode is copied, too; a backup must be one file that can be read anywhere.
    let mode = "PRAGMA journal_mode = DELETE";
    let mode: String = target.query_row(mode, [], |row| row.get(0)).context(step)?;
    if mode != "delete" {
        let source = std::io::Error::other(format!("it stays in the journal mode {mode}"));
        return Err(Error::file("complete", path, source));
    }
    Ok(target)
}

/// Verifies the copy and describes it.
fn finish_copy(new: &NewFile, copy: Connection, out: &Path) -> Result<Receipt> {
    let log_id = LogInfo::read(&Snapshot::new(&copy))?.log_id;
    let pages = "PRAGMA page_count";
    let pages: i64 = copy.query_row(pages, [], |row| row.get(0)).context(pages)?;
    let cursor = new.finish_database(copy)?.cursor;
    let (bytes, sha256) = sha256(new.path())?;
    let pages = pages.unsigned_abs();
    Ok(Receipt { path: out.to_owned(), log_id, cursor, pages, bytes, sha256 })
}

/// Records when the store was last backed up, and at which change.
pub(crate) const RECORD: &str = "UPDATE upkeep SET backup_at = ?1, backup_seq = ?2";

fn record(tx: &Tx<'_>, seq: i64) -> Result<()> {
    tx.execute_uncaptured("record the backup", RECORD, (tx.now().0, seq)).map(|_| ())
}

const SELECT_LAST: &str = "SELECT backup_at FROM upkeep";

/// The time of the last backup of the store.
///
/// # Errors
/// When the database cannot be read.
pub fn last_backup(snapshot: &Snapshot<'_>) -> Result<Option<Timestamp>> {
    let at = snapshot.one("read the last backup", SELECT_LAST, [], |row| row.get(0))?;
    Ok(at.flatten().map(Timestamp))
}

/// Size and SHA-256 of a file that no connection of this process has open.
fn sha256(path: &Path) -> Result<(u64, String)> {
    let failed = |source| Error::file("read", path, source);
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
    Ok((total, hex::encode(hash.finalize())))
}
