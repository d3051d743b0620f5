//! Creating a store: the data directory, the database with its schema, and the ballast.

use std::path::Path;

use crate::admin::ballast;
use crate::db::connection;
use crate::db::options::Options;
use crate::engine::migrate::Migrated;
use crate::engine::store::Store;
use crate::error::Result;

impl Store {
    /// Opens the store, creating and migrating it as needed, with a [ballast](crate::BALLAST_BYTES)
    /// where there is room for one.
    ///
    /// # Errors
    /// When the folder cannot be written, the file is no store, or its schema is newer.
    pub fn create(path: &Path, options: Options) -> Result<(Store, Migrated)> {
        connection::create_file(path)?;
        let migrated = Store::migrate(path, options)?;
        ballast::ensure(path);
        Ok((Store::open(path, options)?, migrated))
    }
}
