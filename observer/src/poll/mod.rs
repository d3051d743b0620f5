//! Observing one host: when to ask what, and what the answers mean. All of it is pure but [`Poller`],
//! which joins it to a store.

mod attribution;
mod batch_size;
mod budget;
mod config;
mod detail_fetch;
mod engine;
mod poller;
mod rate_limiter;
mod refresh_requests;
mod repo_listing;
mod report;
mod tier;
mod token_bucket;
mod totals;
mod tracked_pr;
mod write_batch;

pub use config::{Config, INTERVAL_MAX, INTERVAL_MIN};
pub use engine::{CredentialLookup, Step};
pub use poller::{Poller, Remotes};
pub use rate_limiter::BackoffReason;
pub use report::Report;
pub use totals::Totals;
pub use write_batch::Written;
