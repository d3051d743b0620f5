//! What a command works with: where the store is, how to open it, and the time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ao_store::{Cause, Durability, Options, Store, Timestamp};
use etcetera::BaseStrategy;

use crate::args::{self, Args};
use crate::error::{Error, Result};
use crate::output;

/// The name that stands as actor on the changes of this program.
const ACTOR: &str = "cli";

/// SQLite counts milliseconds in 32 bits.
const LONGEST_BUSY: Duration = Duration::from_millis(i32::MAX as u64);

/// The settings that every command shares.
#[derive(Debug)]
pub(crate) struct Context {
    database: PathBuf,
    options: Options,
    pub(crate) is_json: bool,
}

impl Context {
    pub(crate) fn new(args: &Args) -> Result<Context> {
        // An empty variable counts as none, as XDG has it.
        let variable = std::env::var_os("AO_DATA_DIR").filter(|dir| !dir.is_empty());
        let dir = match &args.data_dir.clone().or(variable.map(PathBuf::from)) {
            Some(dir) => {
                std::path::absolute(dir).map_err(|source| Error::file("find", dir, source))?
            }
            None => etcetera::choose_base_strategy()
                .map_err(|_| {
                    Error::Usage("there is no home directory; name one with --data-dir".to_owned())
                })?
                .data_dir()
                .join("ao-store"),
        };
        let durability = match args.durability {
            args::Durability::Full => Durability::Full,
            args::Durability::Relaxed => Durability::Relaxed,
        };
        let options = Options { durability, busy: args.busy_timeout.min(LONGEST_BUSY) };
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

    /// Tells a person how it goes. A program that asked for JSON reads errors only on stderr.
    pub(crate) fn say(&self, text: &str) {
        if !self.is_json {
            output::say(text);
        }
    }
}

/// The cause of a change that is made now by this program.
pub(crate) fn cause() -> Cause {
    Cause::new(ACTOR, Timestamp::now())
}
