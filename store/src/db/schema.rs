//! The schema version of a database; any other than this program's is refused.

use rusqlite::Connection;

use crate::error::{Context, Error, Result};

/// The number of the newest migration, kept in `user_version`. A change of the generated capture
/// triggers also needs a migration, so that equal numbers always mean equal schemas.
pub const SCHEMA_VERSION: u32 = 4;

/// The schema version of the file; 0 for an empty one.
pub(crate) fn version(conn: &Connection) -> Result<u32> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0)).context("read user_version")
}

/// Refuses a database whose schema version is not that of this program.
pub(crate) fn require_current(conn: &Connection) -> Result<()> {
    check_current(version(conn)?)
}

/// The same for a version that was read already.
pub(crate) fn check_current(version: u32) -> Result<()> {
    match version {
        SCHEMA_VERSION => Ok(()),
        found if found > SCHEMA_VERSION => {
            Err(Error::SchemaTooNew { found, known: SCHEMA_VERSION })
        }
        found => Err(Error::SchemaOutdated { found, known: SCHEMA_VERSION }),
    }
}
