//! Restoring: the content of the store becomes that of a verified copy, and what was replaced is kept as
//! a copy beside it.
//!
//! The file stays the same file: the new content is written into it in one transaction of SQLite. So no
//! process can have another file open under its name, and a journal beside it always belongs to it. Killed
//! anywhere, the store has the old content or the new one, whole.
//!
//! The restored log begins a new epoch, above every epoch that either content ever had, so that a cursor
//! of the time before is refused and never points at other changes. It needs the store alone: while
//! another process has it open, it is refused.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::statvfs;

use crate::admin::backup;
use crate::admin::new_file::{NewFile, SIDE_FILES, create_folder, folder_of, with_suffix};
use crate::admin::verify;
use crate::code::Code;
use crate::db::connection::{self, Durability, Role, open_source};
use crate::db::identity::Identity;
use crate::db::options::Options;
use crate::db::schema;
use crate::db::tx::Snapshot;
use crate::error::{Context, Error, Result};
use crate::log::anew::END_LEASES;
use crate::log::consumer::{self, Consumer};
use crate::log::head_file::Recorded;
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
    /// The path of the copy of the replaced content.
    pub kept: Option<PathBuf>,
    /// The stranded consumers: each has a cursor of an earlier epoch.
    pub stranded: Vec<Consumer>,
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

/// Replaces the content of the database at `target` with that of `source`.
///
/// # Errors
/// Those of [`check_source`], with nothing changed; `DISK_FULL` without free space for about three times the
/// store; `TARGET_EXISTS` when it is the source itself;
/// `STORE_IN_USE` while another process has the store open or restores it; `STORE_HARD_LINKED`;
/// `NOT_A_STORE` when the target is the database of another application.
pub fn restore(target: &Path, source: &Path, options: Options, now: Timestamp) -> Result<Restored> {
    let is_itself = Identity::of(source).is_ok_and(|source| source.is_at(target));
    if is_itself {
        return Err(Error::TargetExists(target.to_owned()));
    }
    let of_source = check_source(source)?;
    create_folder(target)?;
    // SQLite keeps its files beside the file itself, whatever links name it.
    let target = &target.canonicalize().unwrap_or_else(|_| target.to_owned());
    require_space(target, source)?;
    // Before the store is opened: one restore at a time, so that none locks what another replaces.
    let Some(new) = NewFile::try_claim(target)? else {
        return Err(Error::StoreInUse(target.to_owned()));
    };
    let replaced = Replaced::lock(target, options.busy)?;
    let recorded = Recorded::read(target).map_or(Epoch(0), |recorded| recorded.epoch());
    let newest = replaced.epoch(now).max(of_source.epoch).max(recorded);
    let epoch = newest.0.checked_add(1).map(Epoch).ok_or_else(|| Error::Damaged {
        path: target.to_owned(),
        finding: "its epoch is too large".to_owned(),
    })?;
    let copy = backup::copy(&open_source(source)?, new.path())?;
    copy.close().map_err(|(_, error)| error).context("close the copy")?;
    let begun = begin_epoch(&new, epoch, now)?;
    let kept = replaced.replace_with(new, target, now)?;
    begun.recorded.write(target);
    let Begun { cursor, stranded, .. } = begun;
    Ok(Restored { cursor, log_id: of_source.log_id, kept, stranded })
}

/// The first bytes of every database of SQLite.
const HEADER: &[u8] = b"SQLite format 3\0";

/// Refuses a disk without room for the prepared content, the kept copy of the present one, and the journal
/// of the overwriting, which contains the larger of the two.
fn require_space(target: &Path, source: &Path) -> Result<()> {
    let size =
        |path: &Path, suffix| std::fs::metadata(with_suffix(path, suffix)).map_or(0, |f| f.len());
    let [new, kept] = [source, target].map(|path| size(path, "") + size(path, "-wal"));
    let needed = new + kept + new.max(kept);
    let failed = |source| Error::file("restore into", target, source);
    let disk = statvfs(folder_of(target)).map_err(|error| failed(error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= needed {
        return Ok(());
    }
    let reason = format!("a restore needs {needed} bytes of free space, and {free} are free");
    Err(failed(io::Error::new(io::ErrorKind::StorageFull, reason)))
}

const BEGIN_EPOCH: &str = "UPDATE log_meta SET epoch = ?1, relaxed_boot = ''";

/// A copy in its new epoch.
struct Begun {
    cursor: Cursor,
    recorded: Recorded,
    stranded: Vec<Consumer>,
}

/// Begins the new epoch in the copy, and verifies it. The source is the last backup of what it contains.
fn begin_epoch(new: &NewFile, epoch: Epoch, now: Timestamp) -> Result<Begun> {
    let step = "begin an epoch";
    let conn = connection::open(new.path(), Role::Writer, Durability::Full, Duration::ZERO)?;
    conn.execute(BEGIN_EPOCH, [epoch.0]).context(step)?;
    // Those of the replaced content.
    conn.execute_batch(END_LEASES).context(step)?;
    let info = LogInfo::read(&Snapshot::new(&conn))?;
    conn.execute(backup::RECORD, [now.0, info.head.0]).context(step)?;
    let mut stranded = consumer::list(&Snapshot::new(&conn))?;
    stranded.retain(|found| found.stranded(&info).is_some());
    let recorded = Recorded::of(&conn)?;
    Ok(Begun { cursor: new.finish_database(conn)?.cursor, recorded, stranded })
}

/// The present content of the target.
enum Replaced {
    Nothing,
    /// A sound store, locked exclusively.
    Store {
        locked: Connection,
        epoch: Epoch,
    },
    /// A file that cannot be read.
    Damaged,
}

impl Replaced {
    fn lock(target: &Path, busy: Duration) -> Result<Replaced> {
        let identity = match Identity::of(target) {
            Err(Error::StoreNotFound(_)) => return Ok(Replaced::Nothing),
            found => found?,
        };
        // Its other name would get the new content, too.
        identity.check_for_write()?;
        // Before SQLite opens it, which deletes the write-ahead log of an empty file.
        if !has_header(target)? {
            return Ok(Replaced::Damaged);
        }
        let opened = connection::open(target, Role::Writer, Durability::Full, busy);
        match opened.and_then(|conn| lock_exclusively(conn, target)) {
            Ok((locked, epoch)) => {
                // It may have been moved away meanwhile: what is locked is then no longer the store.
                identity.check_for_write()?;
                Ok(Replaced::Store { locked, epoch })
            }
            Err(error) if is_damage(&error) && !connection::is_foreign_database(target) => {
                Ok(Replaced::Damaged)
            }
            Err(error) => Err(error),
        }
    }

    /// The newest epoch it ever had. Of a damaged file nothing is known: the seconds of the clock are
    /// above every epoch that was counted up one by one.
    fn epoch(&self, now: Timestamp) -> Epoch {
        match self {
            Replaced::Nothing => Epoch(0),
            Replaced::Store { epoch, .. } => *epoch,
            Replaced::Damaged => Epoch(now.0.div_euclid(1000).max(0)),
        }
    }

    /// Keeps a copy, and then replaces the content; returns the path of the copy.
    fn replace_with(self, new: NewFile, target: &Path, now: Timestamp) -> Result<Option<PathBuf>> {
        let kept = free_name(target, now)?;
        let mut store = match self {
            Replaced::Nothing => {
                move_stale_journals(target, &kept)?;
                // Refused if another process created a store there meanwhile.
                return new.place().map(|()| None);
            }
            Replaced::Store { locked, .. } => {
                let copy = NewFile::claim_for(&with_suffix(target, KEPT), &kept)?;
                let conn = backup::copy(&locked, copy.path())?;
                conn.close().map_err(|(_, error)| error).context("close the copy")?;
                copy.place()?;
                locked
            }
            Replaced::Damaged => {
                keep_raw(target, &kept)?;
                open_damaged(target)?
            }
        };
        overwrite(&mut store, &new, target).inspect_err(|error| {
            // After a failed write it is unknown what is on the disk.
            if !error.is_failed_write() {
                for suffix in SIDE_FILES.into_iter().chain([""]) {
                    let _ = std::fs::remove_file(with_suffix(&kept, suffix));
                }
            }
        })?;
        Ok(Some(kept))
    }
}

/// Whether a file begins like a database of SQLite.
fn has_header(path: &Path) -> Result<bool> {
    let failed = |source| Error::file("read", path, source);
    let mut header = Vec::new();
    let mut file = File::open(path).map_err(failed)?;
    let read = (&mut file).take(HEADER.len() as u64).read_to_end(&mut header);
    // Never closed, as in `keep_raw`.
    let _ = file.into_raw_fd();
    read.map_err(failed)?;
    Ok(header == HEADER)
}

/// What the names of kept files add to that of the store, before the time.
const KEPT: &str = ".before-restore";

/// The name under which the replaced content is kept.
fn free_name(target: &Path, now: Timestamp) -> Result<PathBuf> {
    (0..1000)
        .map(|copy| with_suffix(target, &format!("{KEPT}-{}", now.0 + copy)))
        .find(|kept| {
            let is_free = |suffix| with_suffix(kept, suffix).symlink_metadata().is_err();
            SIDE_FILES.into_iter().chain([""]).all(is_free)
        })
        .ok_or_else(|| Error::TargetExists(target.to_owned()))
}

/// The journals of a database that was deleted must not be replayed into the restored file.
fn move_stale_journals(target: &Path, kept: &Path) -> Result<()> {
    for suffix in SIDE_FILES {
        let (from, to) = (with_suffix(target, suffix), with_suffix(kept, suffix));
        if from.symlink_metadata().is_ok() {
            std::fs::rename(&from, &to).map_err(|error| Error::file("move", &from, error))?;
        }
    }
    Ok(())
}

/// Copies a damaged file and its journals byte by byte; the file itself gets its name last.
fn keep_raw(target: &Path, kept: &Path) -> Result<()> {
    for suffix in ["-journal", "-wal", ""] {
        let from = with_suffix(target, suffix);
        let failed = |source| Error::file("keep", &from, source);
        if !from.try_exists().map_err(failed)? {
            continue;
        }
        let copy = NewFile::claim_for(&with_suffix(target, KEPT), &with_suffix(kept, suffix))?;
        let mut file = File::open(&from).map_err(failed)?;
        let out = OpenOptions::new().write(true).open(copy.path());
        let copied = out.and_then(|mut out| std::io::copy(&mut file, &mut out));
        // Never closed: that would drop the locks that SQLite holds on the file in this process.
        let _ = file.into_raw_fd();
        copied.map_err(failed)?;
        copy.place()?;
    }
    Ok(())
}

/// Opens a file that SQLite cannot read, so that it can be overwritten in a transaction.
fn open_damaged(target: &Path) -> Result<Connection> {
    let step = "open the damaged file";
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(target, flags).context(step)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_RESET_DATABASE, true).context(step)?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE")
        .context(step)?;
    Ok(conn)
}

/// Overwrites the content of a store in one transaction.
fn overwrite(store: &mut Connection, new: &NewFile, target: &Path) -> Result<()> {
    let step = "replace the content of the store";
    let source = open_source(new.path())?;
    let page_size = |conn: &Connection| {
        conn.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0)).context(step)
    };
    if page_size(&source)? != page_size(store)? {
        // In WAL mode the size of a page is fixed.
        store.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).context(step)?;
    }
    match Backup::new(&source, store).and_then(|backup| backup.step(-1)) {
        Ok(StepResult::Done) => {}
        Ok(_) => return Err(Error::StoreInUse(target.to_owned())),
        Err(error) => return Err(refine(error, target, step)),
    }
    // Stored durably already: the next writer repeats a checkpoint that fails.
    if let Err(error) = store.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the restored store was not checkpointed");
    }
    Ok(())
}

fn refine(error: rusqlite::Error, target: &Path, step: &'static str) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::StoreInUse(target.to_owned())
        }
        _ => Error::Sqlite(step, error),
    }
}

/// Locks every other user out until the connection is closed, which only the sole user of the file can.
fn lock_exclusively(conn: Connection, target: &Path) -> Result<(Connection, Epoch)> {
    let step = "lock the store exclusively";
    let epoch = || conn.query_row("SELECT epoch FROM log_meta", [], |row| row.get(0)).context(step);
    // Before the lock: what has no epoch is no store.
    epoch()?;
    conn.busy_timeout(Duration::ZERO).context(step)?;
    let lock = "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT";
    conn.execute_batch(lock).map_err(|error| refine(error, target, step))?;
    let epoch = Epoch(epoch()?);
    Ok((conn, epoch))
}

/// Whether a file is damaged or not a database.
fn is_damage(error: &Error) -> bool {
    let is_unknown = matches!(error, Error::Sqlite(_, source)
        if source.sqlite_error_code() == Some(ErrorCode::Unknown));
    is_unknown || matches!(error.code(), Code::Corrupt | Code::NotAStore | Code::SchemaMismatch)
}
