//! How old facts are, and when they are stale: the one rule for hosts and for pull requests.
//!
//! An observer polls an open pull request at the latest after twenty of its intervals, or after ten
//! minutes where the rate limit stretches a shorter interval. Facts that were not confirmed for twice as
//! long are stale: at the default interval, after 20 minutes. Facts about a merged or closed pull
//! request are never stale.

use std::collections::HashMap;

use rusqlite::Row;

use crate::db::tx::Snapshot;
use crate::error::Result;
use crate::model::id::PrId;
use crate::model::observation::PrState;
use crate::model::time::Timestamp;
use crate::row::columns::Column;
use crate::row::pr::{Filter, of_filter};
use crate::row::scm::host::HostState;

/// The interval of an observer that did not record one, in milliseconds.
const DEFAULT_INTERVAL_MS: i64 = 30_000;

/// The intervals between two polls of the pull request that is polled least.
const LONGEST_INTERVALS: i64 = 20;

/// How far the rate limit stretches a shorter interval, in milliseconds.
const STRETCHED_MS: i64 = 600_000;

/// How old facts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactAge {
    /// The newest time at which the provider confirmed them; `None` when it never did.
    pub confirmed_at: Option<Timestamp>,
    /// After how many milliseconds without a confirmation they are stale.
    pub stale_after_ms: i64,
    /// Whether they are stale.
    pub is_stale: bool,
}

impl FactAge {
    fn new(confirmed_at: Option<Timestamp>, interval_ms: Option<i64>, now: Timestamp) -> FactAge {
        let interval = interval_ms.unwrap_or(DEFAULT_INTERVAL_MS);
        let longest = interval.saturating_mul(LONGEST_INTERVALS).max(STRETCHED_MS);
        let stale_after_ms = longest.saturating_mul(2);
        let is_old = |at: Timestamp| now.0.saturating_sub(at.0) > stale_after_ms;
        FactAge { confirmed_at, stale_after_ms, is_stale: confirmed_at.is_none_or(is_old) }
    }

    /// Since when they are stale; `None` when they are not, or were never confirmed.
    #[must_use]
    pub fn stale_since(&self) -> Option<Timestamp> {
        let at = self.confirmed_at.filter(|_| self.is_stale)?;
        Some(Timestamp(at.0.saturating_add(self.stale_after_ms)))
    }

    /// How long ago they were confirmed, in milliseconds.
    #[must_use]
    pub fn age_ms(&self, now: Timestamp) -> Option<u64> {
        let at = self.confirmed_at?;
        Some(u64::try_from(now.0.saturating_sub(at.0)).unwrap_or(0))
    }
}

impl HostState {
    /// How old the facts from this host are: those of the pull request or listing read longest ago.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> FactAge {
        FactAge::new(self.fresh_at, self.interval_ms, now)
    }
}

/// What was read of the host as a whole confirms a pull request that can be read and is polled.
macro_rules! select {
    () => {
        "SELECT p.id, p.state, o.meta_as_of, h.interval_ms,
            iif(coalesce(q.problem, '') = '' AND j.archived_at IS NULL, h.fresh_at, NULL)
        FROM pr p JOIN project j ON j.id = p.project_id
            LEFT JOIN pr_observed o ON o.pr_id = p.id
            LEFT JOIN pr_poll q ON q.pr_id = p.id
            LEFT JOIN scm_host h ON h.host = p.host"
    };
}

/// What a row says of the age of the facts about a pull request.
struct Age {
    pr: PrId,
    state: PrState,
    confirmed_at: Option<Timestamp>,
    interval_ms: Option<i64>,
}

impl Age {
    fn read(row: &Row<'_>) -> rusqlite::Result<Age> {
        let observed: Option<Timestamp> = Column::read(row, 2)?;
        Ok(Age {
            pr: Column::read(row, 0)?,
            state: Column::read(row, 1)?,
            confirmed_at: observed.max(Column::read(row, 4)?),
            interval_ms: Column::read(row, 3)?,
        })
    }

    fn at(&self, now: Timestamp) -> FactAge {
        let mut age = FactAge::new(self.confirmed_at, self.interval_ms, now);
        age.is_stale &= !matches!(self.state, PrState::Merged | PrState::Closed);
        age
    }
}

const STEP: &str = "read how old facts are";

/// How old the facts about each of these pull requests are.
///
/// # Errors
/// When the database cannot be read.
pub fn pr_ages(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    now: Timestamp,
) -> Result<HashMap<PrId, FactAge>> {
    let found =
        snapshot.list(STEP, of_filter!(filter, select!(), ""), filter.params(), Age::read)?;
    Ok(found.into_iter().map(|age| (age.pr.clone(), age.at(now))).collect())
}

/// How old the facts about a pull request are; `None` when it is not tracked.
///
/// # Errors
/// When the database cannot be read.
pub fn pr_age(snapshot: &Snapshot<'_>, pr: &PrId, now: Timestamp) -> Result<Option<FactAge>> {
    let sql = concat!(select!(), " WHERE p.id = ?1");
    Ok(snapshot.one(STEP, sql, [pr.as_str()], Age::read)?.map(|age| age.at(now)))
}
