//! Observing one host: when to request what, and what the answers mean. All of it is pure but
//! [`Poller`], which connects it to a store.
//!
//! [`Poller`] drives an `Engine`, which decides what may be sent (`RateLimiter`, `Credentials`,
//! `BatchSizes`, `Clock`). What is observed is in a `Tracker`: each pull request (`TrackedPr`, with its
//! `PollSchedule` and the `DetailFetch` that reads its lists), each listing, and the logs.

mod answer_context;
mod batch_size;
mod budget;
mod clock;
mod config;
mod credentials;
mod detail_fetch;
mod discussion;
mod engine;
mod host_record;
mod list;
mod log_queue;
mod poller;
mod problem;
mod rate_limiter;
mod reading;
mod refresh_requests;
mod repo_listing;
mod repo_listings;
mod report;
mod request;
mod schedule;
mod subjects_read;
mod tier;
mod token_bucket;
mod touched;
mod tracked_pr;
mod tracked_prs;
mod tracker;
mod write_batch;

pub use config::{Config, INTERVAL_MAX, INTERVAL_MIN};
pub use credentials::CredentialLookup;
pub use poller::{Poller, Remotes};
pub use rate_limiter::BackoffReason;
pub use reading::Reading;
pub use report::{Report, Totals};
pub use request::Step;
pub(crate) use schedule::NEVER;
pub use write_batch::Written;
