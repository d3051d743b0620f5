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
    /// The process ends soon after a write: background maintenance begins with its second one.
    pub is_brief: bool,
}

impl Default for Options {
    fn default() -> Self {
        let (durability, busy) = (Durability::Full, Duration::from_secs(5));
        Options { durability, busy, is_brief: false }
    }
}
