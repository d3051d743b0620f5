//! The JSON documents of `docs/json.md`, each made in one place: the command line prints them, and HTTP sends
//! them.

pub mod attention;
pub mod contract;
pub mod delivery;
pub mod harness;
pub mod metrics;
pub mod printable;
pub mod project;
pub mod pull;
pub mod session;
pub mod status;
pub mod turn;

mod consumer;
mod field;
mod host;
mod observation;
mod row;

pub use consumer::{consumer, consumer_deleted, consumer_now};
pub use field::time;
pub use host::{host, skipped, unread};
pub use observation::{delivered, outcome, unattributed};
pub use row::{check, comment, decision, launch, review, thread};
