//! Asking an observer to look now, and knowing a delivery that was taken before.

use crate::error::Result;
use crate::id::{PrRef, check_delivery_id};
use crate::time::Timestamp;
use crate::tx::{Snapshot, Tx};

/// What an observer is asked to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poke {
    /// The host.
    pub host: String,
    /// `owner/name`.
    pub repo: String,
    /// The pull request; 0 is the whole repository.
    pub number: i64,
    /// When it was asked for.
    pub at: Timestamp,
}

/// Pull requests of one repository that are asked for one by one; beyond that the whole repository is.
pub const POKES_MAX: u64 = 100;

const COUNT_POKES: &str = "SELECT count(*) FROM scm_poke WHERE host = ?1 AND repo = ?2";

const UPSERT_POKE: &str = "INSERT INTO scm_poke (host, repo, number, at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT DO UPDATE SET at = excluded.at WHERE at < excluded.at";

const MERGE_POKES: &str = "DELETE FROM scm_poke WHERE host = ?1 AND repo = ?2 AND number > 0";

/// Asks whoever observes the host to look at a pull request now, or, with number 0, at the whole
/// repository, and wakes listeners. What is asked for twice keeps the newest time.
///
/// # Errors
/// `INVALID_PR_REF`; when the database cannot be written.
pub fn poke(tx: &Tx<'_>, host: &str, repo: &str, number: i64, at: Timestamp) -> Result<()> {
    PrRef::new(host, repo, if number == 0 { 1 } else { number })?;
    let step = "ask for a look";
    let mut number = number;
    let waiting = tx.one(step, COUNT_POKES, (host, repo), |row| row.get::<_, i64>(0))?;
    if number > 0 && waiting.unwrap_or(0).unsigned_abs() >= POKES_MAX {
        tx.note(step, MERGE_POKES, (host, repo))?;
        number = 0;
    }
    if tx.note(step, UPSERT_POKE, (host, repo, number, at.0))? > 0 {
        tx.call();
    }
    Ok(())
}

const SELECT_POKES: &str = "SELECT host, repo, number, at FROM scm_poke WHERE host = ?1
    ORDER BY repo, number";

/// What is asked for at a host.
///
/// # Errors
/// When the database cannot be read.
pub fn pokes(snapshot: &Snapshot<'_>, host: &str) -> Result<Vec<Poke>> {
    snapshot.list("list what is asked for", SELECT_POKES, [host], |row| {
        Ok(Poke {
            host: row.get(0)?,
            repo: row.get(1)?,
            number: row.get(2)?,
            at: Timestamp(row.get(3)?),
        })
    })
}

const FORGET_POKE: &str = "DELETE FROM scm_poke
    WHERE host = ?1 AND repo = ?2 AND number = ?3 AND at <= ?4";

/// Forgets what was looked at, as [`pokes`] gave it: what was asked for anew since stays, and so does
/// what a caller with a slower clock asked for.
///
/// # Errors
/// When the database cannot be written.
pub fn forget_pokes(tx: &Tx<'_>, seen: &[Poke]) -> Result<()> {
    for Poke { host, repo, number, at } in seen {
        tx.note("forget what was looked at", FORGET_POKE, (host, repo, number, at.0))?;
    }
    Ok(())
}

/// The most delivery ids that are kept.
pub const DELIVERIES_MAX: i64 = 100_000;

/// For how many days one is kept; GitHub sends a delivery again within three.
pub const DELIVERY_DAYS: i64 = 7;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

const INSERT_DELIVERY: &str =
    "INSERT INTO webhook_delivery (id, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

/// At most 100 a delivery, which is 100 times as fast as they come.
const FORGET_OLD: &str = "DELETE FROM webhook_delivery WHERE rowid IN
    (SELECT rowid FROM webhook_delivery WHERE at < ?1 ORDER BY at LIMIT 100)";

const FORGET_MANY: &str = "DELETE FROM webhook_delivery WHERE rowid IN
    (SELECT rowid FROM webhook_delivery WHERE rowid <=
        (SELECT max(rowid) FROM webhook_delivery) - ?1 ORDER BY rowid LIMIT 100)";

/// Takes a delivery: `false` when this id was taken before. The id is kept for [`DELIVERY_DAYS`], and
/// of no more than [`DELIVERIES_MAX`] deliveries.
///
/// # Errors
/// `INVALID_ID`; when the database cannot be written.
pub fn take_delivery(tx: &Tx<'_>, id: &str, at: Timestamp) -> Result<bool> {
    check_delivery_id(id)?;
    let step = "take a delivery";
    if tx.note(step, INSERT_DELIVERY, (id, at.0))? == 0 {
        return Ok(false);
    }
    tx.note(step, FORGET_OLD, [at.0.saturating_sub(DELIVERY_DAYS * DAY_MS)])?;
    tx.note(step, FORGET_MANY, [DELIVERIES_MAX])?;
    Ok(true)
}
