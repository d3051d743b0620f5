//! The guarantees of the crate, tested on documents, on recorded webhook deliveries, and with a real
//! store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod credential;
mod document;
mod home;
mod host;
mod poll;
mod property;
mod record;
mod remotes;
mod run;
mod schema;
mod signature;
mod store;
mod stream;
mod support;
mod transport;
mod webhook;
mod wire;
