//! The engine: migrations, the writer thread with its maintenance, and the store handle.

pub(crate) mod maintenance;
pub(crate) mod migrate;
pub(crate) mod schema_guard;
pub(crate) mod store;
pub(crate) mod writer;
