//! What the crate promises, shown on documents, on recorded deliveries, and through a real store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod credential;
mod document;
mod poll;
mod programs;
mod property;
mod remotes;
mod schema;
mod store;
mod stream;
mod support;
mod take;
mod transport;
mod webhook;
mod wire;
