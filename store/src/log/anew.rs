//! Beginning a log anew: the present rows become its baseline, as if all changes had been pruned.

use rusqlite::Connection;

use crate::db::tx::Snapshot;
use crate::error::{Context, Result};
use crate::log::info::LogInfo;
use crate::log::{base, capture, seal};
use crate::model::cursor::Epoch;

/// The stored rows may differ from those of the last poll: its fingerprints and digests are invalid.
const FORGET: &str = "DELETE FROM change_log; DELETE FROM log_base; DELETE FROM log_seal;
    DELETE FROM clock_reading;
    UPDATE change_context SET foreign_writes = foreign_writes + 1;
    UPDATE pr_poll SET metadata_fingerprint = NULL, checks_fingerprint = NULL,
        discussion_fingerprint = NULL, threads_fingerprint = NULL;";

/// Deletes the history and makes the rows the baseline. The caller sets the bounds of the log.
pub(crate) fn forget(conn: &Connection) -> Result<()> {
    conn.execute_batch(FORGET).context("delete the history")?;
    for entity in capture::tables() {
        base::store(conn, entity, base::of_rows(conn, entity)?.digest)?;
    }
    Ok(())
}

const SET_BOUNDS: &str = "UPDATE log_meta SET epoch = max(epoch, ?2) + 1, floor = ?1, pruned_bytes = 0, relaxed_boot = ''";
const SET_SEAL: &str = "UPDATE change_context SET tx = NULL, actor = NULL, sealed = ?1, seal = zeroblob(16), logged_bytes = 0";
const SET_SEQUENCE: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES ('change_log', ?1)";

/// Deletes the history of a store and begins an epoch at its head, later than its own and than `recorded`.
/// Leases and reservations end.
pub(crate) fn begin(conn: &Connection, recorded: Epoch) -> Result<()> {
    let step = "begin the log anew";
    let head = LogInfo::read(&Snapshot::new(conn))?.head.max(seal::sealed(conn)?.seq);
    // At least one change counts as pruned, since the rows have none.
    let head = head.0.max(1);
    forget(conn)?;
    conn.execute(SET_BOUNDS, (head, recorded.0)).context(step)?;
    conn.execute(SET_SEAL, [head]).context(step)?;
    conn.execute("DELETE FROM sqlite_sequence WHERE name = 'change_log'", []).context(step)?;
    conn.execute(SET_SEQUENCE, [head]).context(step)?;
    conn.execute_batch(END_LEASES).context(step)
}

/// What another epoch begins without.
pub(crate) const END_LEASES: &str = "DELETE FROM reservation;
    UPDATE consumer SET generation = generation + 1, lease_owner = NULL, lease_until = NULL;";
