//! What a command works with: where the store is, how to open it, and who makes its changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ao_store::{Cause, Durability, Options, Store};
use etcetera::BaseStrategy;

use crate::args::{self, Args};
use crate::error::{Error, Result};
use crate::invocation::Invocation;
use crate::output;

/// The actor of the changes that this program makes.
const ACTOR: &str = "cli";

/// SQLite counts milliseconds in 32 bits.
const LONGEST_BUSY: Duration = Duration::from_millis(i32::MAX as u64);

/// The settings that every command shares.
#[derive(Debug)]
pub(crate) struct Context {
    database: PathBuf,
    options: Options,
    invocation: Invocation,
    pub(crate) is_json: bool,
}

impl Context {
    pub(crate) fn new(args: &Args) -> Result<Context> {
        // An empty variable counts as unset, as in the XDG specification.
        let variable = std::env::var_os("AO_DATA_DIR").filter(|dir| !dir.is_empty());
        let dir = match &args.data_dir.clone().or(variable.map(PathBuf::from)) {
            Some(dir) => {
                std::path::absolute(dir).map_err(|source| Error::file("find", dir, source))?
            }
            None => etcetera::choose_base_strategy()
                .map_err(|_| {
                    Error::Usage(
                        "there is no home directory; choose a data directory with --data-dir"
                            .to_owned(),
                    )
                })?
                .data_dir()
                .join("ao-store"),
        };
        let durability = match args.durability {
            args::Durability::Full => Durability::Full,
            args::Durability::Relaxed => Durability::Relaxed,
        };
        let options = Options { durability, busy: args.busy_timeout.min(LONGEST_BUSY) };
        let invocation = Invocation::of(args);
        Ok(Context { database: dir.join("ao.db"), options, invocation, is_json: args.json })
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

    /// Reports progress to a person. With `--json`, stderr carries errors only.
    pub(crate) fn say(&self, text: &str) {
        if !self.is_json {
            output::say(&self.invocation.complete(text));
        }
    }

    pub(crate) fn invocation(&self) -> &Invocation {
        &self.invocation
    }
}

/// The cause of a change that this program makes now.
pub(crate) fn cause() -> Cause {
    Cause::now(ACTOR)
}
