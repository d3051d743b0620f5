//! What was last observed of each pull request: how new each facet is, and the digest of its set.
//! Not captured.

use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::id::{PrId, PrRef, SessionId};
use crate::model::time::Timestamp;

/// A facet whose set is diffed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FacetName {
    Checks,
    Threads,
    Reviews,
    Comments,
}

impl FacetName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            FacetName::Checks => "checks",
            FacetName::Threads => "threads",
            FacetName::Reviews => "reviews",
            FacetName::Comments => "comments",
        }
    }
}

/// A stored time that is this much ahead of the clock, in milliseconds, is that of a clock that was ahead
/// itself. It counts as unknown: no fact would be newer until that time. It is less than what an observer
/// corrects itself after its clock was set back.
pub(crate) const WRONG_MS: i64 = 22 * 3_600_000;

/// The newest time that counts.
fn latest(tx: &Tx<'_>) -> i64 {
    tx.now().0.saturating_add(WRONG_MS)
}

/// How new the complete set of a facet is, and its digest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) as_of: Option<Timestamp>,
    pub(crate) digest: Option<[u8; 16]>,
}

/// What was last observed of one pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) seed: u64,
    pub(crate) last: Seen,
    pub(crate) meta_as_of: Option<Timestamp>,
    pub(crate) meta_provider_at: Option<Timestamp>,
    facets: [Seen; 4],
}

impl Observed {
    /// The same with the times that count.
    pub(crate) fn trusted(mut self, tx: &Tx<'_>) -> Observed {
        let latest = latest(tx);
        let facets = self.facets.iter_mut().map(|seen| &mut seen.as_of);
        for as_of in facets.chain([&mut self.meta_as_of, &mut self.last.as_of]) {
            *as_of = as_of.filter(|at| at.0 <= latest);
        }
        self
    }

    pub(crate) fn facet(&self, name: FacetName) -> Seen {
        self.facets[name as usize]
    }

    pub(crate) fn set_facet(&mut self, name: FacetName, seen: Seen) {
        self.facets[name as usize] = seen;
    }
}

const SELECT: &str = "SELECT seed, foreign_writes IS (SELECT foreign_writes FROM change_context),
    meta_as_of, meta_provider_at, last_as_of, last_digest, checks_as_of, checks_digest,
    threads_as_of, threads_digest, reviews_as_of, reviews_digest, comments_as_of, comments_digest
    FROM pr_observed WHERE pr_id = ?1";

/// Reads it; `None` for a pull request that was never observed. Digests are omitted when a foreign
/// writer may have changed the rows.
pub(crate) fn get(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Option<Observed>> {
    snapshot.one("read observation times", SELECT, [pr.as_str()], |row| {
        let is_trusted: bool = row.get(1)?;
        let seen = |column| {
            let mut seen = read_seen(row, column)?;
            seen.digest = seen.digest.filter(|_| is_trusted);
            Ok::<_, rusqlite::Error>(seen)
        };
        Ok(Observed {
            seed: row.get::<_, i64>(0)?.cast_unsigned(),
            meta_as_of: row.get::<_, Option<i64>>(2)?.map(Timestamp),
            meta_provider_at: row.get::<_, Option<i64>>(3)?.map(Timestamp),
            last: seen(4)?,
            facets: [seen(6)?, seen(8)?, seen(10)?, seen(12)?],
        })
    })
}

fn read_seen(row: &Row<'_>, column: usize) -> rusqlite::Result<Seen> {
    let digest = match row.get_ref(column + 1)? {
        ValueRef::Blob(bytes) => bytes.try_into().ok(),
        _ => None,
    };
    Ok(Seen { as_of: row.get::<_, Option<i64>>(column)?.map(Timestamp), digest })
}

/// A pull request, and its last observation, which a new one may repeat.
#[derive(Debug)]
pub(crate) struct Last {
    pub(crate) pr: PrId,
    pub(crate) session: SessionId,
    pub(crate) seed: u64,
    pub(crate) seen: Seen,
}

macro_rules! select_last {
    ($by:literal) => {
        concat!(
            "SELECT p.id, p.session_id, o.seed, o.last_as_of, o.last_digest
             FROM pr p, pr_observed o, change_context c WHERE ",
            $by,
            " AND o.pr_id = p.id AND o.foreign_writes = c.foreign_writes"
        )
    };
}

const SELECT_LAST_BY_NODE: &str = select_last!("p.node_id = ?1 AND p.node_id <> ''");

const SELECT_LAST_AT: &str =
    select_last!("p.number = ?1 AND p.repo = ?2 COLLATE NOCASE AND p.host = ?3 COLLATE NOCASE");

/// The last observation of the pull request with this node id, or without one, with this location.
pub(crate) fn last(snapshot: &Snapshot<'_>, node_id: &str, at: &PrRef) -> Result<Option<Last>> {
    let step = "read the last observation";
    let read = |row: &Row<'_>| {
        Ok(Last {
            pr: PrId::stored(text(row, 0)?),
            session: SessionId::stored(text(row, 1)?),
            seed: row.get::<_, i64>(2)?.cast_unsigned(),
            seen: read_seen(row, 3)?,
        })
    };
    if node_id.is_empty() {
        snapshot.one(step, SELECT_LAST_AT, (at.number, &at.repo, &at.host), read)
    } else {
        snapshot.one(step, SELECT_LAST_BY_NODE, [node_id], read)
    }
}

const CREATE: &str = "INSERT INTO pr_observed (pr_id) VALUES (?1)";

/// Inserts the row of a pull request, with its own seed.
pub(crate) fn create(tx: &Tx<'_>, pr: &PrId) -> Result<Observed> {
    tx.execute_uncaptured("insert observation times", CREATE, [pr.as_str()])?;
    Ok(get(tx, pr)?.unwrap_or_default())
}

const UPDATE: &str = "UPDATE pr_observed SET
    foreign_writes = (SELECT foreign_writes FROM change_context), meta_as_of = ?2,
    meta_provider_at = ?3, last_as_of = ?4, last_digest = ?5, checks_as_of = ?6, checks_digest = ?7,
    threads_as_of = ?8, threads_digest = ?9, reviews_as_of = ?10, reviews_digest = ?11,
    comments_as_of = ?12, comments_digest = ?13 WHERE pr_id = ?1";

/// Stores it.
pub(crate) fn set(tx: &Tx<'_>, pr: &PrId, observed: &Observed) -> Result<()> {
    let [checks, threads, reviews, comments] = &observed.facets;
    let time = |at: Option<Timestamp>| at.map(|at| at.0);
    let params = (
        pr.as_str(),
        time(observed.meta_as_of),
        time(observed.meta_provider_at),
        time(observed.last.as_of),
        observed.last.digest,
        time(checks.as_of),
        checks.digest,
        time(threads.as_of),
        threads.digest,
        time(reviews.as_of),
        reviews.digest,
        time(comments.as_of),
        comments.digest,
    );
    tx.execute_uncaptured("store observation times", UPDATE, params).map(|_| ())
}

const SELECT_ITEM: &str = "SELECT as_of FROM pr_item_as_of
    WHERE pr_id = ?1 AND facet = ?2 AND item = ?3 AND as_of <= ?4";

/// How new the fact about one item is, if it comes from a partial observation.
pub(crate) fn item(
    tx: &Tx<'_>,
    pr: &PrId,
    facet: FacetName,
    item: &str,
) -> Result<Option<Timestamp>> {
    let params = (pr.as_str(), facet.as_str(), item, latest(tx));
    tx.one("read an item's time", SELECT_ITEM, params, |row| row.get(0).map(Timestamp))
}

const SELECT_ITEMS: &str = "SELECT item, iif(as_of <= ?3, as_of, NULL) FROM pr_item_as_of
    WHERE pr_id = ?1 AND facet = ?2";

/// The items that partial observations changed since the last complete one, and how new each is, if its time
/// counts.
pub(crate) fn items(
    tx: &Tx<'_>,
    pr: &PrId,
    facet: FacetName,
) -> Result<Vec<(String, Option<Timestamp>)>> {
    let params = (pr.as_str(), facet.as_str(), latest(tx));
    tx.list("read item times", SELECT_ITEMS, params, |row| {
        Ok((text(row, 0)?, row.get::<_, Option<i64>>(1)?.map(Timestamp)))
    })
}

const UPSERT_ITEM: &str = "INSERT INTO pr_item_as_of (pr_id, facet, item, as_of)
    VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET as_of = excluded.as_of
    WHERE as_of < excluded.as_of OR as_of > ?5";

/// Stores how new the fact about one item is.
pub(crate) fn set_item(
    tx: &Tx<'_>,
    pr: &PrId,
    facet: FacetName,
    item: &str,
    as_of: Timestamp,
) -> Result<()> {
    let params = (pr.as_str(), facet.as_str(), item, as_of.0, latest(tx));
    tx.execute_uncaptured("store an item's time", UPSERT_ITEM, params).map(|_| ())
}

const DELETE_ITEMS: &str = "DELETE FROM pr_item_as_of
    WHERE pr_id = ?1 AND facet = ?2 AND (as_of <= ?3 OR as_of > ?4)";

/// Deletes the times of items that a complete observation supersedes.
pub(crate) fn delete_items(
    tx: &Tx<'_>,
    pr: &PrId,
    facet: FacetName,
    as_of: Timestamp,
) -> Result<()> {
    let params = (pr.as_str(), facet.as_str(), as_of.0, latest(tx));
    tx.execute_uncaptured("delete item times", DELETE_ITEMS, params).map(|_| ())
}
