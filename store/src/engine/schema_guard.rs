//! The guard of every write: nothing is committed while the schema differs from that of the migrations.
//!
//! Without a capture trigger a row would change without a change in the log. SQLite counts the changes of
//! the schema, and a write transaction locks it, so a write costs one comparison of that number; only a
//! new number, as after VACUUM, makes it verify the schema again.

use std::cell::Cell;

use rusqlite::Connection;

use crate::db::write_queue::{QueuedTransaction, Turn};
use crate::engine::migrate;
use crate::error::{Context, Result};

/// The number of the last schema that one connection found to be that of the migrations.
#[derive(Debug, Default)]
pub(crate) struct SchemaGuard {
    verified: Cell<Option<i64>>,
}

impl SchemaGuard {
    /// Begins a write transaction in a turn, which rolls back on drop.
    pub(crate) fn begin<'c>(
        &self,
        conn: &'c Connection,
        turn: Turn,
    ) -> Result<QueuedTransaction<'c>> {
        let tx = QueuedTransaction::begin(conn, turn)?;
        self.check(conn)?;
        Ok(tx)
    }

    /// Call it in the write transaction, before the first statement that writes.
    ///
    /// # Errors
    /// `SCHEMA_MISMATCH`; a schema that is correct again is accepted by the next call.
    pub(crate) fn check(&self, conn: &Connection) -> Result<()> {
        let sql = "PRAGMA schema_version";
        let mut statement = conn.prepare_cached(sql).context(sql)?;
        let number = statement.query_row([], |row| row.get(0)).context(sql)?;
        if self.verified.get() != Some(number) {
            migrate::verify(conn)?;
            self.verified.set(Some(number));
        }
        Ok(())
    }
}
