//! Asking GitHub: where it is, with which token, and how one call is made.
//!
//! [`call`], [`host`] and [`token`] are values. [`transport`] makes the calls.

pub mod call;
pub mod host;
pub mod token;
pub mod transport;
