//! Requests to GitHub: its hosts and addresses, the tokens, the queries, and the answers.
//!
//! All of it is pure except [`transport`], which makes the calls, and [`credential`] and [`remotes`],
//! which read files and run programs, and block for a few seconds at most.

pub(crate) mod answer;
pub mod call;
pub(crate) mod check_status;
pub(crate) mod classify;
pub mod credential;
pub mod fingerprint;
pub mod host;
pub(crate) mod node;
pub(crate) mod query;
pub mod remotes;
pub mod token;
pub mod transport;
