//! Creating a store: the data directory, the database with its schema, and the ballast.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::admin::ballast;
use crate::admin::new_file::{NewFile, create_folder, refuse_target};
use crate::db::connection;
use crate::db::options::Options;
use crate::engine::migrate::{self, Migrated};
use crate::engine::store::Store;
use crate::error::{Error, Result};

impl Store {
    /// Opens the store, creating and migrating it as needed, with a [ballast](crate::BALLAST_BYTES)
    /// where there is room for one.
    ///
    /// # Errors
    /// When the folder cannot be written, the file is no store, or its schema is newer.
    pub fn create(path: &Path, options: Options) -> Result<(Store, Migrated)> {
        let migrated = match create_new(path, options.busy, |_| Ok(()))? {
            Some((migrated, ())) => migrated,
            None => Store::migrate(path, options)?,
        };
        ballast::ensure(path);
        Ok((Store::open(path, options)?, migrated))
    }
}

/// Creates the database with what `fill` writes into it; `None` when there is one. It gets its name when
/// it is complete.
pub(crate) fn create_new<T>(
    path: &Path,
    busy: Duration,
    fill: impl FnOnce(&Connection) -> Result<T>,
) -> Result<Option<(Migrated, T)>> {
    create_folder(path)?;
    let started = Instant::now();
    while !path.exists() {
        let Some(new) = NewFile::try_claim(path)? else {
            if started.elapsed() >= busy {
                let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                return Err(Error::Busy { waited_ms });
            }
            thread::sleep(Duration::from_millis(2));
            continue;
        };
        // A store that another process finished before this claim is visible now; none can follow while it lasts.
        if path.exists() {
            break;
        }
        refuse_target(path)?;
        let mut conn = connection::open_new(new.path())?;
        let migrated = migrate::migrate(&mut conn)?;
        let filled = fill(&conn)?;
        new.finish_database(conn)?;
        new.place()?;
        return Ok(Some((migrated, filled)));
    }
    Ok(None)
}
