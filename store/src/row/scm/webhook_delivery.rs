//! The ids of recent webhook deliveries, by which a repeated one is recognised.

use crate::db::tx::Tx;
use crate::error::Result;
use crate::model::id::check_delivery_id;
use crate::model::time::Timestamp;

/// The most ids that are kept.
pub const DELIVERIES_MAX: i64 = 100_000;

/// For how many days an id is kept. GitHub redelivers within three.
pub const DELIVERY_DAYS: i64 = 7;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

const INSERT: &str = "INSERT INTO webhook_delivery (id, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

/// At most 100 per webhook delivery, which deletes 100 times as fast as they arrive.
const DELETE_OLD: &str = "DELETE FROM webhook_delivery WHERE rowid IN
    (SELECT rowid FROM webhook_delivery WHERE at < ?1 ORDER BY at LIMIT 100)";

const DELETE_EXCESS: &str = "DELETE FROM webhook_delivery WHERE rowid IN
    (SELECT rowid FROM webhook_delivery WHERE rowid <=
        (SELECT max(rowid) FROM webhook_delivery) - ?1 ORDER BY rowid LIMIT 100)";

/// Records a webhook delivery; `false` when its id is recorded already. The newest
/// [`DELIVERIES_MAX`] ids are kept, each for [`DELIVERY_DAYS`].
///
/// # Errors
/// `INVALID_ID`; when the database cannot be written.
pub fn record_webhook_delivery(tx: &Tx<'_>, id: &str, at: Timestamp) -> Result<bool> {
    check_delivery_id(id)?;
    let step = "record a webhook delivery";
    if tx.execute_uncaptured(step, INSERT, (id, at.0))? == 0 {
        return Ok(false);
    }
    tx.execute_uncaptured(step, DELETE_OLD, [at.0.saturating_sub(DELIVERY_DAYS * DAY_MS)])?;
    tx.execute_uncaptured(step, DELETE_EXCESS, [DELIVERIES_MAX])?;
    Ok(true)
}

/// Removes a webhook delivery that stored nothing, so that it can be delivered again under its id.
///
/// # Errors
/// When the database cannot be written.
pub fn forget_webhook_delivery(tx: &Tx<'_>, id: &str) -> Result<()> {
    let sql = "DELETE FROM webhook_delivery WHERE id = ?1";
    tx.execute_uncaptured("remove a webhook delivery", sql, [id]).map(|_| ())
}
