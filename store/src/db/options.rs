//! How a store is opened.

use std::time::Duration;

use crate::db::connection::Durability;

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// When a commit counts as durable.
    pub durability: Durability,
    /// How long to wait for a writer of another process before `BUSY`.
    pub busy: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options { durability: Durability::Full, busy: Duration::from_secs(5) }
    }
}
