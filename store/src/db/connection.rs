//! Opening connections: the one place that opens the database file and sets pragmas.
//!
//! Every setting that the guarantees depend on is set explicitly on every connection, whatever the
//! compile-time defaults of SQLite are.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Context, Error, Result};

/// "aost" in the header of the file: it identifies a database of this program.
pub(crate) const APPLICATION_ID: i32 = 0x616f_7374;

/// The maximum number of prepared statements of a connection: more than the program has.
const STATEMENT_CACHE: usize = 256;

/// What SQLite calls `FULL`.
const SYNCHRONOUS_FULL: i64 = 2;

/// SQLite counts milliseconds in 32 bits.
const LONGEST_BUSY: Duration = Duration::from_millis(i32::MAX as u64);

/// When a commit counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// An acknowledged commit survives power loss (`synchronous=FULL`).
    #[default]
    Full,
    /// Power loss may lose the last commits, but never consistency (`synchronous=NORMAL`); the next
    /// writer then begins a new epoch.
    Relaxed,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Reader,
    Writer,
}

/// Opens a store, which must exist, and sets every pragma.
pub(crate) fn open(
    path: &Path,
    role: Role,
    durability: Durability,
    busy: Duration,
) -> Result<Connection> {
    let conn = open_file(path, busy)?;
    // First of all: turning on WAL would change the file of another application.
    let made = refuse_foreign(&conn, path).and_then(|()| configure(&conn, role, durability, busy));
    made.map_err(|error| not_a_store(error, path))?;
    Ok(conn)
}

/// Makes a reader the writer of its store: it has the schema, which takes most of the time of opening.
pub(crate) fn promote(conn: &Connection, durability: Durability, busy: Duration) -> Result<()> {
    enter_wal(conn, busy)?;
    configure_writer(conn, durability)
}

/// The next transactions are not synced by themselves; a later one that is syncs them too.
pub(crate) fn suspend_sync(conn: &Connection) -> Result<()> {
    conn.execute_batch("PRAGMA synchronous = NORMAL").context("suspend the sync")
}

/// Ends that.
///
/// # Errors
/// SQLite refuses it inside a transaction. If one is still open, the writer must halt, or it would acknowledge
/// later commits before they are synced.
pub(crate) fn resume_sync(conn: &Connection, durability: Durability) -> Result<()> {
    if durability == Durability::Relaxed {
        return Ok(());
    }
    let resumed = conn.execute_batch("PRAGMA synchronous = FULL");
    let level = conn.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0));
    let is_full = resumed.is_ok() && level == Ok(SYNCHRONOUS_FULL);
    if is_full { Ok(()) } else { Err(Error::Unsynced) }
}

/// Opens a new, empty file in which a store is made.
pub(crate) fn open_new(path: &Path) -> Result<Connection> {
    let busy = Duration::ZERO;
    let conn = open_file(path, busy)?;
    // This has an effect only before the first table; later it needs VACUUM.
    conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL").context("set auto_vacuum")?;
    configure(&conn, Role::Writer, Durability::Full, busy)?;
    Ok(conn)
}

fn open_file(path: &Path, busy: Duration) -> Result<Connection> {
    require_file(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).context("open the database")?;
    conn.busy_timeout(busy.min(LONGEST_BUSY)).context("set the busy timeout")?;
    Ok(conn)
}

/// Refuses what is no file: SQLite would wait at a named pipe until another process writes to it.
fn require_file(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(Error::NotAStore(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Error::StoreNotFound(path.to_owned()))
        }
        Err(source) => Err(Error::file("open", path, source)),
    }
}

fn not_a_store(error: Error, path: &Path) -> Error {
    match error {
        Error::Sqlite(_, ref source)
            if source.sqlite_error_code() == Some(ErrorCode::NotADatabase) =>
        {
            Error::NotAStore(path.to_owned())
        }
        other => other,
    }
}

/// Opens a database of ours that must not be changed, such as a backup.
pub(crate) fn open_source(path: &Path) -> Result<Connection> {
    require_file(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).context("open the file to restore")?;
    let made = refuse_foreign(&conn, path).and_then(|()| {
        conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        conn.execute_batch(COMMON).context("set pragmas")
    });
    made.map_err(|error| not_a_store(error, path))?;
    Ok(conn)
}

/// Whether a file is a readable database of another application.
pub(crate) fn is_foreign_database(path: &Path) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let read = Connection::open_with_flags(path, flags).and_then(|conn| {
        let id = conn.query_row("PRAGMA application_id", [], |row| row.get::<_, i32>(0))?;
        let tables = "SELECT count(*) FROM sqlite_schema";
        Ok((id, conn.query_row(tables, [], |row| row.get::<_, i64>(0))?))
    });
    read.is_ok_and(|(id, tables)| id != APPLICATION_ID && tables > 0)
}

fn configure(conn: &Connection, role: Role, durability: Durability, busy: Duration) -> Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        // Without it a cached statement with a bound LIMIT is prepared again on every run.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
    ] {
        conn.set_db_config(setting, on).context("configure the connection")?;
    }
    if role == Role::Writer {
        enter_wal(conn, busy)?;
    }
    conn.execute_batch(COMMON).context("set pragmas")?;
    if role == Role::Reader {
        return conn.execute_batch("PRAGMA query_only = ON").context("set pragmas");
    }
    configure_writer(conn, durability)
}

fn configure_writer(conn: &Connection, durability: Durability) -> Result<()> {
    let synchronous = if durability == Durability::Full { "FULL" } else { "NORMAL" };
    let writer = format!(
        "PRAGMA synchronous = {synchronous}; PRAGMA journal_size_limit = {WAL_LIMIT}; {WRITER}"
    );
    conn.execute_batch(&writer).context("set pragmas")
}

/// None of these makes SQLite read the schema, which takes most of the time of opening: a connection
/// that only polls `data_version` never needs it.
const COMMON: &str = "PRAGMA foreign_keys = ON;
    PRAGMA recursive_triggers = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA mmap_size = 0;";

const WRITER: &str = "PRAGMA query_only = OFF;
    PRAGMA cache_size = -16000;
    PRAGMA wal_autocheckpoint = 0;";

/// The size to which a checkpoint truncates the write-ahead log. Only a reader that stays, or one large
/// transaction, makes it larger.
pub const WAL_LIMIT: u64 = 64 << 20;

/// Turns on WAL mode. The change of mode needs exclusive access and does not wait for it, so of two
/// processes that open a new file at the same time one would fail without the retry.
fn enter_wal(conn: &Connection, busy: Duration) -> Result<()> {
    let deadline = Instant::now() + busy.min(LONGEST_BUSY);
    loop {
        match conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(_) => return Ok(()),
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(error).context("turn on WAL"),
        }
    }
}

/// Refuses a database of another application, and an empty one.
fn refuse_foreign(conn: &Connection, path: &Path) -> Result<()> {
    let id: i32 = conn
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .context("read application_id")?;
    if id == APPLICATION_ID {
        return Ok(());
    }
    let tables: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .context("read the schema")?;
    let path = path.to_owned();
    Err(if id == 0 && tables == 0 { Error::Emptied(path) } else { Error::NotAStore(path) })
}
