//! SQLite's failures in the store's terms: which [`Code`] each result code has.

use rusqlite::{ErrorCode, ffi};

use crate::code::Code;

pub(super) fn code(error: &rusqlite::Error) -> Code {
    use rusqlite::Error as E;
    let is_damage = matches!(
        error,
        E::QueryReturnedNoRows
            | E::FromSqlConversionFailure(..)
            | E::InvalidColumnType(..)
            | E::IntegralValueOutOfRange(..)
            | E::Utf8Error(..)
    );
    if is_damage {
        // A row that every store has is missing, or a foreign writer stored an invalid value.
        return Code::Corrupt;
    }
    let result = match error {
        // A statement that does not match the schema.
        E::SqlInputError { error, .. } => Some(error.code),
        other => other.sqlite_error_code(),
    };
    match result {
        // The last one: SQLite gave up after many races for a lock.
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed,
        ) => Code::Busy,
        Some(ErrorCode::DiskFull) => Code::DiskFull,
        _ if is_moved(error) => Code::StoreReplaced,
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            Code::ReadOnly
        }
        _ if is_shm_without_room(error) => Code::DiskFull,
        Some(ErrorCode::SystemIoFailure) => Code::Io,
        Some(ErrorCode::DatabaseCorrupt) => Code::Corrupt,
        Some(ErrorCode::NotADatabase) => Code::NotAStore,
        // The statements are correct, so a table or column that they name is missing.
        Some(ErrorCode::Unknown) if error.to_string().contains("no such") => Code::SchemaMismatch,
        // Only keys and row images of the log are read as JSON.
        Some(ErrorCode::Unknown) if error.to_string().contains("malformed JSON") => Code::Corrupt,
        _ => Code::Internal,
    }
}

/// Whether the file was renamed, removed or replaced after it was opened.
fn is_moved(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_READONLY_DBMOVED)
}

/// Whether the index of the write-ahead log could not grow because the disk is full; SQLite reports this
/// as an I/O error. The index contains nothing that must be durable.
fn is_shm_without_room(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE)
}

pub(super) fn migration_code(error: &refinery_core::Error) -> Code {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(sqlite) = cause.downcast_ref::<rusqlite::Error>() {
            match code(sqlite) {
                // A statement of a migration failed: the schema does not match its history.
                Code::Internal => return Code::SchemaMismatch,
                code => return code,
            }
        }
        source = cause.source();
    }
    // Divergent or missing migrations.
    Code::SchemaMismatch
}

pub(super) fn is_unreadable(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// Whether the write itself failed, so that later commits cannot be trusted to be durable either.
pub(super) fn is_failed_write(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) && !is_shm_without_room(error)
}

/// The same failure once more, with the same code; rusqlite's error is not `Clone`.
pub(super) fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    use rusqlite::Error as E;
    match error {
        E::SqliteFailure(code, text) => E::SqliteFailure(*code, text.clone()),
        E::QueryReturnedNoRows => E::QueryReturnedNoRows,
        E::InvalidColumnType(at, name, kind) => E::InvalidColumnType(*at, name.clone(), *kind),
        E::IntegralValueOutOfRange(at, value) => E::IntegralValueOutOfRange(*at, *value),
        E::FromSqlConversionFailure(at, kind, cause) => {
            E::FromSqlConversionFailure(*at, *kind, cause.to_string().into())
        }
        E::Utf8Error(at, cause) => E::Utf8Error(*at, *cause),
        other => E::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
            Some(other.to_string()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_same_code_and_text() {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (x'ff')").unwrap();
        for (sql, expected) in [
            ("SELECT x FROM t", Code::Corrupt),
            ("SELECT CAST(x AS TEXT) FROM t", Code::Corrupt),
            ("SELECT x FROM t WHERE x = 1", Code::Corrupt),
            ("SELECT y FROM t", Code::SchemaMismatch),
            ("SELECT x FROM u", Code::SchemaMismatch),
        ] {
            let error = conn.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap_err();
            let copied = copy(&error);
            assert_eq!((code(&error), code(&copied)), (expected, expected), "{sql}");
            assert_eq!(copied.to_string(), error.to_string());
        }
        let error = conn.query_row("SELECT 300", [], |row| row.get::<_, u8>(0)).unwrap_err();
        assert_eq!(code(&copy(&error)), Code::Corrupt);
    }

    #[test]
    fn a_lost_race_for_a_lock_can_be_repeated() {
        let lost = ffi::Error::new(ffi::SQLITE_PROTOCOL);
        assert_eq!(code(&rusqlite::Error::SqliteFailure(lost, None)), Code::Busy);
    }
}
