//! What the crate promises, shown on documents, on recorded deliveries, and through a real store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod document;
mod property;
mod schema;
mod store;
mod stream;
mod support;
<<<<<<< HEAD
mod transport;
=======
mod take;
>>>>>>> d252a16 (observe deliver: signed, taken once, and a poke for what it is about)
mod webhook;
mod wire;
