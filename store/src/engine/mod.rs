//! The engine: migrations, the writer of a process with its maintenance, and the store handle.

pub(crate) mod background;
pub(crate) mod committer;
pub(crate) mod job;
pub(crate) mod jobs;
pub(crate) mod maintenance;
pub(crate) mod migrate;
pub(crate) mod schema_guard;
pub(crate) mod store;
pub(crate) mod writer;
