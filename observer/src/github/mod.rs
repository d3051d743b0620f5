//! Asking GitHub: where it is, with which token, what to ask, and what its answers say.
//!
//! All of it is pure but [`transport`], which makes the calls, and [`credential`] and [`remotes`],
//! which read files and ask programs and block for a few seconds at worst.

pub(crate) mod answer;
pub mod call;
pub(crate) mod classify;
pub mod credential;
pub mod fingerprint;
pub mod host;
pub(crate) mod node;
pub(crate) mod query;
pub mod remotes;
pub mod token;
pub mod transport;
