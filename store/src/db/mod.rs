//! The database file: its connections, schema version, stored text, transactions, wake-ups and checkpoints.

pub(crate) mod checkpoint;
pub(crate) mod connection;
pub(crate) mod epoch;
pub(crate) mod identity;
pub(crate) mod options;
#[cfg(test)]
pub(crate) mod plan;
pub(crate) mod reading;
pub(crate) mod schema;
pub(crate) mod text;
pub(crate) mod tx;
pub(crate) mod wakeup;
pub(crate) mod write_queue;
