//! Leases: a row has at most one owner at a time, and writes of its former owners are refused.
//!
//! A row that can be leased has the columns `generation`, `lease_owner` and `lease_until`. Every new
//! owner gets a higher generation; a guarded write names the generation of its lease and is refused
//! under any other. Time only decides when a lease may be taken over, never whether a write counts.

mod owner;

use std::time::Duration;

use crate::db::tx::Tx;
use crate::error::Result;
use crate::model::time::Timestamp;

pub use owner::Owner;

/// The longest time for which a process keeps a lease or a reservation without renewing it. One that seems
/// to last longer was given by a clock that was ahead, and does not count: it would last until the clock
/// gets there.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);

/// Identifies a lease of a row: increases with every lease, and when the owner is fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub i64);

/// The present owner of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The owner, as text: an [`Owner`], or a name whose process cannot be looked up.
    pub owner: String,
    /// When the lease expires unless it is renewed.
    pub until: Timestamp,
}

/// Whether a lease that has not expired prevents a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// It does.
    Respect,
    /// It does not: the owner gets `LEASE_LOST` at its next write.
    Force,
}

/// A table whose rows can be leased.
pub(crate) struct LeaseTable {
    pub(crate) name: &'static str,
    /// The column that identifies a row.
    pub(crate) key: &'static str,
}

impl Lease {
    /// Whether it has not expired. One of a process that lasts for more than an hour was given by a clock
    /// that was ahead: the process renews it, or has ended. A person may choose any time.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        let is_chosen = || !Owner::is_process(&self.owner);
        self.until > now && (self.until <= now.after(LONGEST) || is_chosen())
    }
}

impl LeaseTable {
    /// Gives the row to `owner` under a new generation. The caller has checked that the lease of no
    /// other owner prevents it.
    pub(crate) fn acquire(&self, tx: &Tx<'_>, key: &str, owner: &str, ttl: Duration) -> Result<()> {
        let set = "generation = generation + 1, lease_owner = ?2, lease_until = ?3";
        let sql = self.update(set, "TRUE");
        tx.execute_uncaptured("acquire a lease", &sql, (key, owner, tx.now().after(ttl).0))
            .map(|_| ())
    }

    /// Extends a lease to `ttl` from now on; returns whether it was still held.
    pub(crate) fn renew(
        &self,
        tx: &Tx<'_>,
        key: &str,
        generation: Generation,
        ttl: Duration,
    ) -> Result<bool> {
        let sql = self.update("lease_until = ?3", "generation = ?2 AND lease_owner IS NOT NULL");
        let params = (key, generation.0, tx.now().after(ttl).0);
        Ok(tx.execute_uncaptured("renew a lease", &sql, params)? > 0)
    }

    /// Ends a lease, so that the next owner need not wait; does nothing if it was lost.
    pub(crate) fn release(&self, tx: &Tx<'_>, key: &str, generation: Generation) -> Result<()> {
        let sql = self.update("lease_owner = NULL, lease_until = NULL", "generation = ?2");
        tx.execute_uncaptured("release a lease", &sql, (key, generation.0)).map(|_| ())
    }

    fn update(&self, set: &str, condition: &str) -> String {
        let LeaseTable { name, key } = self;
        format!("UPDATE {name} SET {set} WHERE {key} = ?1 AND {condition}")
    }
}
