//! Opening the file to import: read-only, with its newest commits, and without changing any file.
//!
//! An ordinary read-only connection to a database in WAL mode creates `-wal` and `-shm` where they
//! are missing. So a database that no process has open is read as an immutable file, and
//! afterwards it is checked that it was not changed. The two files are used only where both exist.

use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Context, Error, Result};

/// How long to wait for a program that writes to the file.
const BUSY: Duration = Duration::from_secs(5);

/// The first bytes of every database file, up to the two that say whether it is in WAL mode.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Without locks, and without reading `-wal`.
const IMMUTABLE: &str = "mode=ro&immutable=1";

/// The file to import, in one read transaction.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) conn: Connection,
    file: PathBuf,
    /// The state of an immutable file before it was read.
    before: Option<FileState>,
}

/// What shows whether a file was written to.
#[derive(Debug, PartialEq, Eq)]
struct FileState {
    changed: (u64, i64, i64),
    wal: Option<u64>,
}

/// Opens the file at `path`, which must not be the database at `store`.
pub(super) fn open(path: &Path, store: &Path) -> Result<Source> {
    let found = fs::metadata(path).map_err(|error| not_read(path, error))?;
    let same = |other: Metadata| (other.dev(), other.ino()) == (found.dev(), found.ino());
    // Closing a second descriptor on the store would drop the locks that SQLite holds on it.
    if !found.is_file() || fs::metadata(store).is_ok_and(same) {
        return Err(Error::NotUpstream(path.to_owned()));
    }
    // SQLite looks for the other files beside the real one.
    let file = path.canonicalize().map_err(|error| not_read(path, error))?;
    let is_wal = is_wal(&file)?;
    let state = state(&file)?;
    let way = match (is_wal || state.wal.is_some(), state.wal, size(&file, "-shm")?) {
        (false, ..) => "mode=ro",
        // The read marks of other processes are used; none is set.
        (true, Some(_), Some(_)) => "mode=ro&readonly_shm=1",
        (true, Some(1..), None) => return Err(Error::SourceUnsettled(path.to_owned())),
        (true, ..) => IMMUTABLE,
    };
    let conn = connect(&file, way).map_err(|error| match error {
        Error::Sqlite(_, ref source) if is_unsettled(source) => {
            Error::SourceUnsettled(path.to_owned())
        }
        Error::Sqlite(_, ref source)
            if source.sqlite_error_code() == Some(ErrorCode::NotADatabase) =>
        {
            Error::NotUpstream(path.to_owned())
        }
        other => other,
    })?;
    Ok(Source { conn, file, before: (way == IMMUTABLE).then_some(state) })
}

impl Source {
    /// Refuses the contents if the file was written to while it was read as immutable.
    pub(super) fn close(self) -> Result<()> {
        match self.before {
            Some(before) if state(&self.file)? != before => Err(Error::SourceUnsettled(self.file)),
            _ => Ok(()),
        }
    }
}

fn not_read(path: &Path, source: std::io::Error) -> Error {
    match source.kind() {
        ErrorKind::NotFound => Error::SourceNotFound(path.to_owned()),
        _ => Error::file("read", path, source),
    }
}

/// Whether the database is in WAL mode, by its header.
fn is_wal(file: &Path) -> Result<bool> {
    let mut header = [0; 20];
    let read = File::open(file).and_then(|mut opened| opened.read_exact(&mut header));
    match read {
        Ok(()) if header.starts_with(MAGIC) => Ok(header[18..].contains(&2)),
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(not_read(file, error)),
        _ => Err(Error::NotUpstream(file.to_owned())),
    }
}

fn state(file: &Path) -> Result<FileState> {
    let found = fs::metadata(file).map_err(|error| not_read(file, error))?;
    let changed = (found.len(), found.mtime(), found.mtime_nsec());
    Ok(FileState { changed, wal: size(file, "-wal")? })
}

/// The size of a file beside the database, when there is one.
fn size(file: &Path, suffix: &str) -> Result<Option<u64>> {
    let mut name = file.as_os_str().to_owned().into_vec();
    name.extend_from_slice(suffix.as_bytes());
    let beside = PathBuf::from(std::ffi::OsString::from_vec(name));
    match fs::metadata(&beside) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(not_read(&beside, error)),
    }
}

/// Whether the file cannot be read without a change to it or to the files beside it.
fn is_unsettled(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
}

/// Connects and begins a read transaction, which is when SQLite first reads the file.
fn connect(file: &Path, way: &str) -> Result<Connection> {
    let step = "open the file to import";
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(uri(file, way), flags).context(step)?;
    conn.busy_timeout(BUSY).context(step)?;
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
    ] {
        conn.set_db_config(setting, on).context(step)?;
    }
    conn.execute_batch(SETTINGS).context(step)?;
    conn.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").context(step)?;
    Ok(conn)
}

/// None of these writes to the file. It may be hostile, so its schema is not trusted.
const SETTINGS: &str = "PRAGMA query_only = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA mmap_size = 0;";

fn uri(file: &Path, way: &str) -> String {
    let mut uri = "file:".to_owned();
    for byte in file.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri + "?" + way
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_immutable_file_that_is_written_to_meanwhile_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        let write = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        write("PRAGMA journal_mode = WAL; CREATE TABLE projects (id)");
        open(&path, Path::new("/none")).unwrap().close().unwrap();
        let source = open(&path, Path::new("/none")).unwrap();
        assert!(source.before.is_some(), "nobody has it open");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("INSERT INTO projects VALUES (1)").unwrap();
        assert!(matches!(source.close(), Err(Error::SourceUnsettled(_))));
        let source = open(&path, Path::new("/none")).unwrap();
        assert!(source.before.is_none(), "now somebody has");
        source.close().unwrap();
    }
}
