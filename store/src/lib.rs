//! Every fact about coding-agent sessions in one SQLite file.
//!
//! What this crate guarantees:
//!
//! * A write that returned `Ok` is durable (`synchronous=FULL`), with the changes it made.
//! * Every committed change of a captured table leaves exactly one row in the change log, written
//!   by a trigger in the same transaction, whoever made it.
//! * The log is dense: seq follows seq within an epoch, in commit order, and is never used again.
//!
//! It is the only crate that opens the database or holds SQL. It is synchronous, takes the time of a
//! fact from its caller, and keeps nothing in memory that is not in the file.
//!
//! ```
//! use ao_store::row::{project, session};
//! use ao_store::{Cause, Options, Store, Timestamp};
//!
//! let dir = tempfile::tempdir()?;
//! let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default())?;
//! let new = project::NewProject {
//!     id: "demo".parse()?,
//!     path: "/src/demo".to_owned(),
//!     name: "demo".to_owned(),
//!     origin_url: String::new(),
//!     host: String::new(),
//!     repo: String::new(),
//!     default_branch: "main".to_owned(),
//! };
//! let cause = Cause::new("example", Timestamp::now());
//! let added = store.write(cause, move |tx| project::add(tx, &new))?;
//! assert_eq!(added.changes, 1);
//! assert_eq!(added.cursor.to_string(), "1-1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backup;
mod ballast;
mod base;
mod bell;
mod capture;
mod checkpoint;
mod claim;
mod code;
mod connection;
mod cursor;
mod digest;
mod epoch;
mod error;
mod housekeeping;
pub mod id;
mod identity;
mod migrate;
mod new_file;
pub mod observation;
mod observe;
mod options;
mod probe;
mod prune;
mod pruning;
mod restore;
pub mod retention;
pub mod row;
mod schema;
mod seal;
mod set;
pub mod state;
mod stats;
mod store;
mod text_enum;
mod time;
pub mod transfer;
mod tx;
mod upstream;
pub mod verdict;
pub mod verify;
mod writer;

pub use backup::{Receipt, last_backup};
pub use ballast::{BALLAST_BYTES, ballast_path};
pub use bell::Listener;
pub use capture::CHANGE_TYPES;
pub use claim::{Claim, Takeover, claim_pr};
pub use code::{Code, Kind};
pub use connection::Durability;
pub use cursor::{Cursor, Epoch, Seq};
pub use digest::Digest;
pub use error::{Error, Result, io_code};
pub use id::{ConsumerName, PrId, PrRef, ProjectId, SessionId};
pub use migrate::{GOLDEN, Migrated};
pub use observe::{Applied, Outcome, apply_observation};
pub use options::Options;
pub use prune::Pruned;
pub use pruning::Step;
pub use restore::{Restored, check_source, restore};
pub use schema::SCHEMA_VERSION;
pub use set::Delta;
pub use stats::Stats;
pub use store::{Reader, Store};
pub use time::Timestamp;
pub use tx::{Cause, Snapshot, Tx};
pub use upstream::{Ignored, Imported, Remark, Taken, Upstream, import_upstream};
pub use writer::Committed;

/// The version of the SQLite that this crate brings along.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}
