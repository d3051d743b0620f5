//! What a command works with: where the store is, how to open it, and the time.

use std::path::{Path, PathBuf};

use ao_store::{Cause, Durability, Options, Store, Timestamp};
use etcetera::BaseStrategy;

use crate::args::{self, Args};
use crate::error::{Error, Result};

/// The name that stands as actor on the changes of this program.
const ACTOR: &str = "cli";

/// The settings that every command shares.
#[derive(Debug)]
pub(crate) struct Context {
    database: PathBuf,
    options: Options,
    pub(crate) is_json: bool,
}

impl Context {
    pub(crate) fn new(args: &Args) -> Result<Context> {
        let dir = match &args.data_dir {
            Some(dir) if dir.as_os_str().is_empty() => {
                return Err(Error::Usage("the data directory is empty".to_owned()));
            }
            Some(dir) => std::path::absolute(dir)
                .map_err(|source| Error::file("find", dir, source))?,
            None => etcetera::choose_base_strategy()
                .map_err(|_| Error::Usage("there is no home directory; name one with --data-dir".to_owned()))?
                .data_dir()
                .join("ao-store"),
        };
        let durability = match args.durability {
            args::Durability::Full => Durability::Full,
            args::Durability::Relaxed => Durability::Relaxed,
        };
        let options = Options { durability, busy: args.busy_timeout };
        Ok(Context { database: dir.join("ao.db"), options, is_json: args.json })
    }

    /// The database file.
    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    pub(crate) fn options(&self) -> Options {
        self.options
    }

    /// The store, which must exist.
    pub(crate) fn open(&self) -> Result<Store> {
        Ok(Store::open(&self.database, self.options)?)
    }

}

/// The cause of a change that is made now by this program.
pub(crate) fn cause() -> Cause {
    Cause::new(ACTOR, Timestamp::now())
}
