//! The handle to one store: readers on any thread, writes through the one writer of the process.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use crate::db::connection::{self, Durability, Role};
use crate::db::epoch;
use crate::db::identity::Identity;
use crate::db::options::Options;
use crate::db::schema;
use crate::db::tx::{Cause, Snapshot, Tx};
use crate::db::wakeup::{Listener, LocalListeners};
use crate::db::write_queue::{WriteQueue, take_turn};
use crate::engine::background::{Background, Recorder};
use crate::engine::committer::Committer;
use crate::engine::job::Committed;
use crate::engine::migrate::{self, Migrated};
use crate::engine::schema_guard::SchemaGuard;
use crate::engine::writer::Writer;
use crate::error::{Context, Error, Result};
use crate::log::head_file::{self, Recorded};

/// The maximum number of idle read connections.
const READERS: usize = 4;

/// An open store. Cheap to clone; its writer opens with the first write.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.path()).finish()
    }
}

struct Shared {
    identity: Identity,
    options: Options,
    local: Arc<LocalListeners>,
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Option<Arc<Writer>>>,
    background: Arc<Recorder>,
}

impl Store {
    /// Migrates an existing database to the schema of this program and verifies it.
    ///
    /// # Errors
    /// When there is no file, it is not a store, its schema is newer, or its history diverges.
    pub fn migrate(path: &Path, options: Options) -> Result<Migrated> {
        let mut conn = connection::open(path, Role::Writer, Durability::Full, options.busy)?;
        let _turn = take_turn(path, &conn, options.busy)?;
        migrate::migrate(&mut conn)
    }

    /// The schema version of an existing database, which is not changed.
    ///
    /// # Errors
    /// When there is no file or it is not a store.
    pub fn schema_version(path: &Path, options: Options) -> Result<u32> {
        let conn = connection::open(path, Role::Reader, options.durability, options.busy)?;
        schema::version(&conn)
    }

    /// Opens an existing store with the schema of this program.
    ///
    /// # Errors
    /// `STORE_NOT_FOUND`, `NOT_A_STORE`, `SCHEMA_OUTDATED`, `SCHEMA_TOO_NEW`.
    pub fn open(path: &Path, options: Options) -> Result<Store> {
        let identity = Identity::of(path)?;
        let reader = connection::open(path, Role::Reader, options.durability, options.busy)?;
        schema::require_current(&reader)?;
        let shared = Shared {
            identity,
            options,
            local: Arc::new(LocalListeners::new()),
            readers: Mutex::new(vec![reader]),
            writer: Mutex::new(None),
            background: Arc::default(),
        };
        let store = Store { shared: Arc::new(shared) };
        let recorded = Recorded::read(path);
        let is_other = store.read(|snapshot| {
            let is_replaced = recorded.map_or(Ok(false), |it| it.is_replaced(snapshot))?;
            Ok(is_replaced || epoch::is_lost(snapshot.conn())?)
        })?;
        if is_other {
            // The writer begins the epoch; no reader may resume before that.
            store.writer()?;
        }
        Ok(store)
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.identity.path()
    }

    /// How it was opened.
    #[must_use]
    pub fn options(&self) -> Options {
        self.shared.options
    }

    /// Runs `work` on one consistent state of the store. Do no I/O in it: while it runs, the write-ahead
    /// log cannot be truncated.
    ///
    /// # Errors
    /// Those of `work`, and when no connection can be opened.
    pub fn read<T>(&self, work: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        let conn = self.pooled_reader()?;
        let result = read_on(&conn, work);
        let mut readers = self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS && conn.is_autocommit() {
            readers.push(conn);
        }
        result
    }

    /// A reader that the caller owns, for loops that keep their statements prepared.
    ///
    /// # Errors
    /// When the connection cannot be opened.
    pub fn own_reader(&self) -> Result<Reader> {
        Ok(Reader { conn: self.pooled_reader()? })
    }

    /// Runs `work` in a write transaction and returns once it is durable. Do no I/O in it; if it panics,
    /// it is rolled back and the panic is returned as an error.
    ///
    /// # Errors
    /// Those of `work`; `BUSY` after the bound; `DISK_FULL`, with nothing written; `IO_ERROR`, after
    /// which it is unknown whether the write is stored.
    pub fn write<T, F>(&self, cause: Cause, work: F) -> Result<Committed<T>>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.writer()?.write(cause, true, work)
    }

    /// The same without a sync: a power failure may undo the commit until a later one is synced, or the WAL is.
    pub(crate) fn write_unsynced<T, F>(&self, cause: Cause, work: F) -> Result<Committed<T>>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.writer()?.write(cause, false, work)
    }

    /// What the writer of this process last did in the background.
    #[must_use]
    pub fn background(&self) -> Background {
        self.shared.background.read()
    }

    /// A listener that wakes after commits, for callers that follow the log.
    ///
    /// # Errors
    /// When the connection that it polls cannot be opened.
    pub fn listen(&self) -> Result<Listener> {
        Listener::new(&self.shared.local, self.shared.identity.clone(), self.reader()?)
    }

    /// An idle connection, which already has the schema, or a new one.
    fn pooled_reader(&self) -> Result<Connection> {
        self.shared.identity.check()?;
        let idle = self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.reader(), Ok)
    }

    fn reader(&self) -> Result<Connection> {
        let Options { durability, busy, .. } = self.shared.options;
        connection::open(self.path(), Role::Reader, durability, busy)
    }

    fn writer(&self) -> Result<Arc<Writer>> {
        let mut slot = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = slot.as_ref() {
            return Ok(Arc::clone(writer));
        }
        let Options { durability, busy, .. } = self.shared.options;
        self.shared.identity.check_for_write()?;
        let idle = self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(reader) => {
                connection::promote(&reader, durability, busy)?;
                reader
            }
            None => connection::open(self.path(), Role::Writer, durability, busy)?,
        };
        schema::require_current(&conn)?;
        let (guard, path) = (SchemaGuard::default(), self.path());
        let turn = |conn: &Connection| take_turn(path, conn, busy);
        epoch::begin(&conn, durability, |conn| guard.begin(conn, turn(conn)?))?;
        head_file::begin(&conn, path, |conn| guard.begin(conn, turn(conn)?))?;
        let queue = Arc::new(WriteQueue::of(path));
        let committer = Committer::new(
            conn,
            guard,
            self.shared.identity.clone(),
            Arc::clone(&queue),
            Arc::clone(&self.shared.local),
            Arc::clone(&self.shared.background),
            self.shared.options,
        );
        let writer = Arc::new(Writer::new(committer, queue, self.shared.options));
        *slot = Some(Arc::clone(&writer));
        Ok(writer)
    }
}

/// A read connection that one caller owns.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
}

impl Reader {
    /// Runs `work` on one consistent state of the store.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn read<T>(&self, work: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        read_on(&self.conn, work)
    }
}

fn read_on<T>(conn: &Connection, work: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
    let _read = Read::begin(conn)?;
    work(&Snapshot::new(conn))
}

/// A read transaction. It begins and ends by statements that stay prepared, since preparing them would
/// take longer than a short read.
struct Read<'c>(&'c Connection);

impl<'c> Read<'c> {
    fn begin(conn: &'c Connection) -> Result<Read<'c>> {
        let step = "begin a read";
        if !conn.is_autocommit() {
            return Err(Error::Nested);
        }
        conn.prepare_cached("BEGIN").context(step)?.execute([]).context(step)?;
        Ok(Read(conn))
    }
}

impl Drop for Read<'_> {
    fn drop(&mut self) {
        let end = |sql| self.0.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        if let Err(error) = end("COMMIT").or_else(|_| end("ROLLBACK")) {
            // The read reported the cause, such as a damaged file; the connection is not reused.
            tracing::debug!(%error, "a read could not be ended");
        }
    }
}
