//! Every fact about coding-agent sessions in one SQLite file.
//!
//! What this crate guarantees:
//!
//! * A write that returned `Ok` is durable (`synchronous=FULL`), with the changes it made.
//! * Every committed change of a captured table leaves exactly one row in the change log, written
//!   by a trigger in the same transaction, whichever process made it.
//! * The log is dense: within an epoch seqs follow each other in commit order, and none is used twice.
//!
//! It is the only crate that opens the database or contains SQL. It is synchronous, takes the time of a
//! fact from its caller, and keeps no state in memory that is not in the file.
//!
//! ```
//! use ao_store::row::{project, session};
//! use ao_store::{Cause, Options, Store};
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
//! let cause = Cause::now("example");
//! let added = store.write(cause, move |tx| project::add(tx, &new))?;
//! assert_eq!(added.changes, 1);
//! assert_eq!(added.cursor.to_string(), "1-1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admin;
pub mod attention;
mod code;
mod db;
mod engine;
mod error;
pub mod lease;
pub mod log;
mod model;
mod observe;
pub mod row;
pub mod status;
mod upstream;

pub use admin::backup::{Receipt, last_backup};
pub use admin::ballast::{BALLAST_BYTES, ballast_path};
pub use admin::prune::Pruned;
pub use admin::repair::{Permit, Repaired, repair};
pub use admin::restore::{Restored, check_source, restore};
pub use admin::rotation::{Rotated, newest_backups};
pub use admin::stats::Stats;
pub use admin::{transfer, verify};
pub use code::{Code, Kind};
pub use db::connection::{Durability, WAL_LIMIT};
pub use db::options::Options;
pub use db::schema::SCHEMA_VERSION;
pub use db::tx::{Cause, Snapshot, Tx};
pub use db::wakeup::Listener;
pub use engine::background::{Background, Pass};
pub use engine::job::Committed;
pub use engine::migrate::{GOLDEN, Migrated};
pub use engine::store::{Reader, Store};
pub use error::{Error, Result, io_code};
pub use log::capture::CHANGE_TYPES;
pub use log::digest::Digest;
pub use log::info::LogInfo;
pub use log::pruning::Step;
pub use model::branch::check_branch;
pub use model::clock::{BootTime, ClockReading};
pub use model::cursor::{Cursor, Epoch, Seq};
pub use model::id::{AgentId, ConsumerName, OrgId, PrId, PrName, PrRef, ProjectId, SessionId};
pub use model::label::is_hidden;
pub use model::time::Timestamp;
pub use model::{activity, attribution, git_url, observation, text_input};
pub use observe::claim::{Claim, PrClaim, Takeover, check_claim, claim_observed, claim_pr};
pub use observe::{Applied, Outcome, apply_observation};
pub use row::set::Delta;
pub use row::turn;
pub use upstream::{Cleaned, Ignored, Imported, Remark, Taken, Upstream, import_upstream};

/// The version of the bundled SQLite.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}
