//! Restoring: a verified copy replaces the database in one rename, and the replaced file is kept beside
//! it.
//!
//! The restored log begins a new epoch, above every epoch of either file, so that an old cursor is
//! refused and never refers to other changes. A restore needs exclusive access: it is refused while
//! another process has the store open. After a kill at any instruction the path names the complete old
//! file or the complete new one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::admin::backup;
use crate::admin::new_file::{Partial, SIDE_FILES, place_new, sync_folder, with_suffix};
use crate::admin::verify::{self, Depth};
use crate::db::connection::{self, Durability, Role, open_source};
use crate::db::identity::Identity;
use crate::db::options::Options;
use crate::db::schema;
use crate::db::tx::Snapshot;
use crate::error::{Context, Error, Result};
use crate::log::info::LogInfo;
use crate::model::cursor::{Cursor, Epoch};
use crate::model::time::Timestamp;

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The head of the restored log, in its new epoch.
    pub cursor: Cursor,
    /// The id of the restored log.
    pub log_id: String,
    /// The path of the replaced file.
    pub kept: Option<PathBuf>,
}

/// Checks that a file can be restored, and returns the identity and bounds of its log.
///
/// # Errors
/// `STORE_NOT_FOUND`, `NOT_A_STORE`, `SCHEMA_TOO_NEW`, `SCHEMA_DRAFT`, `CORRUPT`.
pub fn check_source(source: &Path) -> Result<LogInfo> {
    let conn = open_source(source)?;
    schema::require_current(&conn)?;
    refuse_findings(source, &verify::verify_source(source)?)?;
    LogInfo::read(&Snapshot::new(&conn))
}

fn refuse_findings(path: &Path, report: &verify::Report) -> Result<()> {
    match report.findings.first() {
        None => Ok(()),
        Some(finding) => {
            Err(Error::Damaged { path: path.to_owned(), finding: finding.message.clone() })
        }
    }
}

/// Replaces the database at `target` with a copy of `source`.
///
/// # Errors
/// Those of [`check_source`], with nothing changed; `TARGET_EXISTS` when the target is the source;
/// `STORE_IN_USE` while another process has the store open or restores it; `NOT_A_STORE` when the
/// target is a database of another application.
pub fn restore(target: &Path, source: &Path, options: Options, now: Timestamp) -> Result<Restored> {
    let is_itself = Identity::of(source).is_ok_and(|source| source.is_at(target));
    if is_itself {
        return Err(Error::TargetExists(target.to_owned()));
    }
    let of_source = check_source(source)?;
    connection::create_folder(target)?;
    // Before the store is opened: one restore at a time, so that none holds a file that another replaced.
    let partial =
        Partial::claim(&with_suffix(target, ".restoring")).map_err(|error| match error {
            Error::TargetExists(_) => Error::StoreInUse(target.to_owned()),
            other => other,
        })?;
    let mut replaced = Replaced::lock(target, options.busy)?;
    let newest = replaced.epoch(now).max(of_source.epoch);
    let epoch = newest.0.checked_add(1).map(Epoch).ok_or_else(|| Error::Damaged {
        path: target.to_owned(),
        finding: "its epoch is too large".to_owned(),
    })?;
    backup::copy(&open_source(source)?, &partial.path)?;
    let cursor = begin_epoch(&partial.path, epoch)?;
    partial.sync()?;
    let kept = replaced.keep(target, now)?;
    match replaced {
        // A store that another process created there meanwhile is not replaced.
        Replaced::Nothing => place_new(&partial.path, target)?,
        Replaced::Store { .. } | Replaced::Damaged => place_over(&partial.path, target)?,
    }
    drop(replaced);
    partial.keep();
    Ok(Restored { cursor, log_id: of_source.log_id, kept })
}

const BEGIN_EPOCH: &str = "UPDATE log_meta SET epoch = ?1, relaxed_boot = ''";
/// Leases and reservations of the old file do not apply to the new one.
const END_LEASES: &str = "DELETE FROM reservation;
    UPDATE consumer SET generation = generation + 1, lease_owner = NULL, lease_until = NULL;";

/// Begins the new epoch in the copy, and verifies it.
fn begin_epoch(path: &Path, epoch: Epoch) -> Result<Cursor> {
    let step = "begin an epoch";
    let conn = connection::open(path, Role::Writer, Durability::Full, Duration::ZERO)?;
    conn.execute(BEGIN_EPOCH, [epoch.0]).context(step)?;
    conn.execute_batch(END_LEASES).context(step)?;
    let cursor = Snapshot::new(&conn).head()?;
    // Closing the last connection moves everything into one file.
    conn.close().map_err(|(_, error)| error).context(step)?;
    refuse_findings(path, &verify::verify_file(path, Depth::Sums, Duration::ZERO)?)?;
    Ok(cursor)
}

/// The present content of the target.
enum Replaced {
    Nothing,
    /// A sound store, locked exclusively.
    Store {
        _held: Connection,
        epoch: Epoch,
    },
    /// An unreadable file, which may be the reason for the restore.
    Damaged,
}

impl Replaced {
    fn lock(target: &Path, busy: Duration) -> Result<Replaced> {
        let identity = match Identity::of(target) {
            Err(Error::StoreNotFound(_)) => return Ok(Replaced::Nothing),
            found => found?,
        };
        let opened = connection::open(target, Role::Writer, Durability::Full, busy);
        match opened.and_then(|conn| lock_exclusively(conn, target)) {
            Ok((held, epoch)) => {
                // Another process may have moved it meanwhile: the lock then is not on the store.
                identity.check()?;
                Ok(Replaced::Store { _held: held, epoch })
            }
            Err(error) if is_damage(&error) && !connection::is_foreign_database(target) => {
                Ok(Replaced::Damaged)
            }
            Err(error) => Err(error),
        }
    }

    /// The newest epoch of the file. That of a damaged file is unknown: the seconds of the clock are above
    /// every epoch, since epochs increase one by one.
    fn epoch(&self, now: Timestamp) -> Epoch {
        match self {
            Replaced::Nothing => Epoch(0),
            Replaced::Store { epoch, .. } => *epoch,
            Replaced::Damaged => Epoch(now.0.div_euclid(1000).max(0)),
        }
    }

    /// Gives the file a second name, under which it is kept.
    fn keep(&mut self, target: &Path, now: Timestamp) -> Result<Option<PathBuf>> {
        let kept = (0..1000)
            .map(|copy| with_suffix(target, &format!(".before-restore-{}", now.0 + copy)))
            .find(|kept| kept.symlink_metadata().is_err())
            .ok_or_else(|| Error::TargetExists(target.to_owned()))?;
        let is_there = !matches!(self, Replaced::Nothing);
        if is_there {
            rustix::fs::link(target, &kept).map_err(|e| Error::file("keep", target, e.into()))?;
        }
        if !is_there && target.symlink_metadata().is_ok() {
            // Another process created a store there meanwhile.
            return Err(Error::TargetExists(target.to_owned()));
        }
        if !matches!(self, Replaced::Store { .. }) {
            // SQLite must not replay the leftover journals into the restored file.
            for suffix in SIDE_FILES {
                let (from, to) = (with_suffix(target, suffix), with_suffix(&kept, suffix));
                if from.exists() {
                    std::fs::rename(&from, &to).map_err(|e| Error::file("move", &from, e))?;
                }
            }
        }
        Ok(is_there.then_some(kept))
    }
}

/// Leaves WAL mode, which needs exclusive access, and locks out other processes until the path names
/// the restored file.
fn lock_exclusively(conn: Connection, target: &Path) -> Result<(Connection, Epoch)> {
    let in_use = |error: &rusqlite::Error| {
        matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    };
    let step = "lock the store exclusively";
    // Before the mode changes: a file without an epoch is not a store.
    let epoch = || conn.query_row("SELECT epoch FROM log_meta", [], |row| row.get(0)).context(step);
    epoch()?;
    let mode = conn.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    let locked = mode.and_then(|mode| {
        if mode != "delete" {
            return Ok(false);
        }
        conn.execute_batch("BEGIN EXCLUSIVE").map(|()| true)
    });
    match locked {
        Ok(true) => {
            let epoch = Epoch(epoch()?);
            Ok((conn, epoch))
        }
        Ok(false) => Err(Error::StoreInUse(target.to_owned())),
        Err(error) if in_use(&error) => Err(Error::StoreInUse(target.to_owned())),
        Err(error) => Err(error).context(step),
    }
}

fn place_over(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|source| Error::file("name", to, source))?;
    sync_folder(to)
}

/// Whether a file is damaged or not a database.
fn is_damage(error: &Error) -> bool {
    match error {
        Error::NotAStore(_) | Error::Damaged { .. } | Error::SchemaMismatch(_) => true,
        Error::Sqlite(_, source) => matches!(
            source.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown)
        ),
        _ => false,
    }
}
