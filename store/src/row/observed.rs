//! Bookkeeping of observations: how new each facet is, and the digest of its set. Not captured.

use rusqlite::types::ValueRef;

use crate::error::Result;
use crate::id::PrId;
use crate::time::Timestamp;
use crate::tx::{Snapshot, Tx};

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

/// How new a complete facet is, and what it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) as_of: Option<Timestamp>,
    pub(crate) digest: Option<[u8; 16]>,
}

/// The bookkeeping of one pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) seed: u64,
    pub(crate) meta_as_of: Option<Timestamp>,
    pub(crate) meta_provider_at: Option<Timestamp>,
    facets: [Seen; 4],
}

impl Observed {
    pub(crate) fn facet(&self, name: FacetName) -> Seen {
        self.facets[name as usize]
    }

    pub(crate) fn set_facet(&mut self, name: FacetName, seen: Seen) {
        self.facets[name as usize] = seen;
    }
}

const SELECT: &str = "SELECT seed, meta_as_of, meta_provider_at, checks_as_of, checks_digest,
    threads_as_of, threads_digest, reviews_as_of, reviews_digest, comments_as_of, comments_digest
    FROM pr_observed WHERE pr_id = ?1";

/// Reads it; a pull request that was never observed has the default.
pub(crate) fn get(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Option<Observed>> {
    snapshot.one("read observation times", SELECT, [pr.as_str()], |row| {
        let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp));
        let mut facets = [Seen::default(); 4];
        for (i, seen) in facets.iter_mut().enumerate() {
            seen.as_of = time(3 + 2 * i)?;
            seen.digest = match row.get_ref(4 + 2 * i)? {
                ValueRef::Blob(bytes) => bytes.try_into().ok(),
                _ => None,
            };
        }
        Ok(Observed {
            seed: row.get::<_, i64>(0)?.cast_unsigned(),
            meta_as_of: time(1)?,
            meta_provider_at: time(2)?,
            facets,
        })
    })
}

const CREATE: &str = "INSERT INTO pr_observed (pr_id) VALUES (?1)";

/// Begins the bookkeeping of a pull request, with a seed of its own.
pub(crate) fn create(tx: &Tx<'_>, pr: &PrId) -> Result<Observed> {
    tx.note("begin observation times", CREATE, [pr.as_str()])?;
    Ok(get(tx, pr)?.unwrap_or_default())
}

const UPDATE: &str = "UPDATE pr_observed SET meta_as_of = ?2, meta_provider_at = ?3,
    checks_as_of = ?4, checks_digest = ?5, threads_as_of = ?6, threads_digest = ?7,
    reviews_as_of = ?8, reviews_digest = ?9, comments_as_of = ?10, comments_digest = ?11
    WHERE pr_id = ?1";

/// Stores it.
pub(crate) fn set(tx: &Tx<'_>, pr: &PrId, observed: &Observed) -> Result<()> {
    let [checks, threads, reviews, comments] = &observed.facets;
    let time = |at: Option<Timestamp>| at.map(|at| at.0);
    let params = (
        pr.as_str(),
        time(observed.meta_as_of),
        time(observed.meta_provider_at),
        time(checks.as_of),
        checks.digest,
        time(threads.as_of),
        threads.digest,
        time(reviews.as_of),
        reviews.digest,
        time(comments.as_of),
        comments.digest,
    );
    tx.note("store observation times", UPDATE, params).map(|_| ())
}

const SELECT_ITEM: &str =
    "SELECT as_of FROM pr_item_as_of WHERE pr_id = ?1 AND facet = ?2 AND item = ?3";

/// How new the fact about one item is, when a partial observation brought it.
pub(crate) fn item(
    snapshot: &Snapshot<'_>,
    pr: &PrId,
    facet: FacetName,
    item: &str,
) -> Result<Option<Timestamp>> {
    let params = (pr.as_str(), facet.as_str(), item);
    snapshot.one("read an item's time", SELECT_ITEM, params, |row| row.get(0).map(Timestamp))
}

const UPSERT_ITEM: &str = "INSERT INTO pr_item_as_of (pr_id, facet, item, as_of)
    VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET as_of = excluded.as_of
    WHERE as_of < excluded.as_of";

/// Stores how new the fact about one item is.
pub(crate) fn set_item(
    tx: &Tx<'_>,
    pr: &PrId,
    facet: FacetName,
    item: &str,
    as_of: Timestamp,
) -> Result<()> {
    let params = (pr.as_str(), facet.as_str(), item, as_of.0);
    tx.note("store an item's time", UPSERT_ITEM, params).map(|_| ())
}

const FORGET_ITEMS: &str = "DELETE FROM pr_item_as_of WHERE pr_id = ?1 AND facet = ?2 AND as_of <= ?3";

/// A complete observation is newer than every item before it.
pub(crate) fn forget_items(
    tx: &Tx<'_>,
    pr: &PrId,
    facet: FacetName,
    as_of: Timestamp,
) -> Result<()> {
    let params = (pr.as_str(), facet.as_str(), as_of.0);
    tx.note("forget item times", FORGET_ITEMS, params).map(|_| ())
}
