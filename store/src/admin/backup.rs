//! Backups: a consistent copy of a store that is being written, verified before it gets its name.
//!
//! The copy is made in one read under a temporary name beside its target, checked with the sums of
//! `verify`, synced, and only then renamed, never over something. Killed half-way it leaves the
//! temporary file, which the next backup to the same target takes over.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest as _, Sha256};

use crate::admin::new_file::{Partial, place_new, refuse_existing, with_suffix};
use crate::admin::verify::{self, Depth};
use crate::db::connection::{self, Durability, Role};
use crate::db::tx::{Cause, Snapshot};
use crate::engine::store::Store;
use crate::error::{Context, Error, Result};
use crate::log::info::LogInfo;
use crate::model::cursor::Cursor;
use crate::model::time::Timestamp;

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
    let log_id = LogInfo::read(&Snapshot::new(&conn))?.log_id;
    let pages = "PRAGMA page_count";
    let pages: i64 = conn.query_row(pages, [], |row| row.get(0)).context(pages)?;
    conn.close().map_err(|(_, error)| error).context("close the copy")?;
    partial.sync()?;
    let (bytes, sha256) = sha256(path)?;
    let pages = pages.unsigned_abs();
    Ok(Receipt { path: out.to_owned(), log_id, cursor: report.cursor, pages, bytes, sha256 })
}

const NOTE: &str = "UPDATE upkeep SET backup_at = ?1, backup_seq = ?2";

fn note(tx: &crate::db::tx::Tx<'_>, seq: i64) -> Result<()> {
    tx.execute_uncaptured("note the backup", NOTE, (tx.now().0, seq)).map(|_| ())
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
    let hex = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((total, hex))
}
