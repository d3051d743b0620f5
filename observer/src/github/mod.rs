//! Asking GitHub: where it is, with which token, and how one call is made.
//!
//! [`call`], [`host`] and [`token`] are values. [`transport`] makes the calls.

pub(crate) mod answer;
pub mod call;
pub(crate) mod classify;
pub mod host;
pub(crate) mod map;
pub mod mark;
pub(crate) mod node;
pub(crate) mod query;
pub mod token;
pub mod transport;
