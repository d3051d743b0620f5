//! The schema version of a database; any other than this program's is refused.
//!
//! Until the first release the baseline migration is edited in place, so databases with equal version
//! numbers can have different schemas. The checksum of the baseline, which the migration history of the
//! database records, distinguishes such drafts from the versions of a newer program.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::db::text::text;
use crate::error::{Context, Error, Result};

/// The number of the newest migration, kept in `user_version`. A change of the generated capture
/// triggers also needs a migration, so that equal numbers always mean equal schemas.
pub const SCHEMA_VERSION: u32 = 1;

/// The checksum of `V0001__baseline.sql`, as refinery records it. A test compares it.
pub(crate) const BASELINE: &str = "2950147833421876029";

const SELECT_BASELINE: &str = "SELECT checksum FROM refinery_schema_history WHERE version = 1";

const SELECT_VERSION: &str = "SELECT user_version, application_id,
        (SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\')
    FROM pragma_user_version, pragma_application_id";

/// The schema version of the file; 0 for a new one. A store gets its name with its schema complete, so
/// anything less than that is what another program left of it.
///
/// # Errors
/// `CORRUPT` when its tables are gone; `SCHEMA_MISMATCH` when it has no version or no history of migrations;
/// `SCHEMA_DRAFT` when its baseline is another one.
pub(crate) fn version(conn: &Connection) -> Result<u32> {
    let step = "read the schema version";
    let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (version, id, objects): (i64, i32, i64) =
        conn.query_row(SELECT_VERSION, [], columns).context(step)?;
    if (version, id, objects) == (0, 0, 0) {
        return Ok(0);
    }
    if objects == 0 {
        return Err(Error::Emptied(conn.path().unwrap_or_default().into()));
    }
    let version = u32::try_from(version).unwrap_or(0);
    require_version(version)?;
    if !has_history(conn)? {
        return Err(Error::SchemaMismatch("its history of migrations is missing".to_owned()));
    }
    let baseline: Option<String> =
        conn.query_row(SELECT_BASELINE, [], |row| text(row, 0)).optional().context(step)?;
    if baseline.as_deref() != Some(BASELINE) {
        return Err(Error::SchemaDraft(version));
    }
    Ok(version)
}

/// Whether the database records its migrations, as every draft did.
pub(crate) fn has_history(conn: &Connection) -> Result<bool> {
    let step = "look for the history of migrations";
    let table =
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history')";
    let row = "SELECT EXISTS (SELECT 1 FROM refinery_schema_history)";
    let has = |sql| conn.query_row(sql, [], |row| row.get::<_, bool>(0)).context(step);
    Ok(has(table)? && has(row)?)
}

/// Sets the version of a store that another program took it from; returns whether it was missing.
pub(crate) fn restore_version(conn: &Connection) -> Result<bool> {
    let step = "set the schema version";
    let baseline = conn.query_row(SELECT_BASELINE, [], |row| text(row, 0)).ok();
    let missing = "SELECT (SELECT user_version FROM pragma_user_version) < 1
        OR coalesce((SELECT format FROM log_meta), 1) < 1";
    if baseline.as_deref() != Some(BASELINE)
        || !conn.query_row(missing, [], |row| row.get(0)).context(step)?
    {
        return Ok(false);
    }
    let set = format!(
        "PRAGMA user_version = {SCHEMA_VERSION}; UPDATE log_meta SET format = {SCHEMA_VERSION}"
    );
    conn.execute_batch(&set).context(step)?;
    Ok(true)
}

/// No store ever had version 0, so it cannot be migrated from there.
fn require_version(version: u32) -> Result<()> {
    if version == 0 {
        return Err(Error::SchemaMismatch("its version is missing".to_owned()));
    }
    Ok(())
}

/// Refuses a database whose schema version is not that of this program.
pub(crate) fn require_current(conn: &Connection) -> Result<()> {
    check_current(version(conn)?)
}

/// The same for a version that was read already.
pub(crate) fn check_current(version: u32) -> Result<()> {
    require_version(version)?;
    match version {
        SCHEMA_VERSION => Ok(()),
        found if found > SCHEMA_VERSION => {
            Err(Error::SchemaTooNew { found, known: SCHEMA_VERSION })
        }
        found => Err(Error::SchemaOutdated { found, known: SCHEMA_VERSION }),
    }
}
