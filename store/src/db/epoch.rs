//! When the log loses its tail, a new epoch begins, so that no old cursor refers to other changes.
//!
//! With durability=relaxed a crash of the machine can lose the last commits, and their seqs are then
//! used again. A relaxed writer therefore stores the boot id of the machine; the first writer after a
//! reboot finds another boot id and begins a new epoch.

use rusqlite::Connection;

use crate::db::connection::Durability;
use crate::db::text::text;
use crate::db::write_queue::QueuedTransaction;
use crate::error::{Context, Result};
use crate::model::clock;

/// The stored boot id where the system has none.
const UNKNOWN: &str = "unknown";

/// A writer calls this before its first job; `transaction` begins a write transaction.
pub(crate) fn begin(
    conn: &Connection,
    durability: Durability,
    transaction: impl FnOnce(&Connection) -> Result<QueuedTransaction<'_>>,
) -> Result<()> {
    let step = "read the epoch";
    let stored: String = conn
        .query_row("SELECT relaxed_boot FROM log_meta", [], |row| text(row, 0))
        .context(step)?;
    if stored.is_empty() && durability == Durability::Full {
        return Ok(());
    }
    store_boot(conn, &stored, &boot_id(), durability, transaction)
}

/// Whether the machine crashed under relaxed durability and no writer has begun an epoch since. Until
/// then no cursor can be trusted.
pub(crate) fn is_lost(conn: &Connection) -> Result<bool> {
    let sql = "SELECT relaxed_boot FROM log_meta";
    let stored = conn.query_row(sql, [], |row| text(row, 0)).context("read the epoch")?;
    Ok(!stored.is_empty() && is_other(&stored, &boot_id()))
}

/// Without a boot id every start counts as a reboot: one epoch too many is safe.
fn is_other(stored: &str, boot: &str) -> bool {
    stored != boot || boot == UNKNOWN
}

fn boot_id() -> String {
    Some(clock::boot_id()).filter(|boot| !boot.is_empty()).unwrap_or_else(|| UNKNOWN.to_owned())
}

fn store_boot(
    conn: &Connection,
    stored: &str,
    boot: &str,
    durability: Durability,
    transaction: impl FnOnce(&Connection) -> Result<QueuedTransaction<'_>>,
) -> Result<()> {
    let step = "begin an epoch";
    let lost = i64::from(!stored.is_empty() && is_other(stored, boot));
    // A full writer in the same boot keeps the boot id: relaxed commits may still be unsynced.
    let next = if durability == Durability::Relaxed || lost == 0 { boot } else { "" };
    if lost == 0 && next == stored {
        return Ok(());
    }
    let sql = "UPDATE log_meta SET epoch = epoch + ?1, relaxed_boot = ?2 WHERE relaxed_boot = ?3";
    // The boot id itself must survive a crash.
    conn.execute_batch("PRAGMA synchronous = FULL").context(step)?;
    let tx = transaction(conn)?;
    tx.execute(sql, (lost, next, stored)).context(step)?;
    tx.commit(step)?;
    if durability == Durability::Relaxed {
        conn.execute_batch("PRAGMA synchronous = NORMAL").context(step)?;
    }
    if lost > 0 {
        tracing::warn!("the machine crashed under relaxed durability: a new epoch begins");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::write_queue::Turn;

    fn meta() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE log_meta (epoch, relaxed_boot); INSERT INTO log_meta VALUES (1, '')",
        )
        .unwrap();
        conn
    }

    fn store(conn: &Connection, stored: &str, boot: &str, durability: Durability) -> Result<()> {
        store_boot(conn, stored, boot, durability, |conn| {
            QueuedTransaction::begin(conn, Turn::default())
        })
    }

    fn state(conn: &Connection) -> (i64, String) {
        conn.query_row("SELECT * FROM log_meta", [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap()
    }

    #[test]
    fn a_reboot_under_relaxed_durability_begins_an_epoch() {
        let conn = meta();
        store(&conn, "", "boot-a", Durability::Relaxed).unwrap();
        assert_eq!(state(&conn), (1, "boot-a".to_owned()));
        store(&conn, "boot-a", "boot-a", Durability::Relaxed).unwrap();
        assert_eq!(state(&conn), (1, "boot-a".to_owned()), "a crash of the process loses nothing");
        store(&conn, "boot-a", "boot-b", Durability::Relaxed).unwrap();
        assert_eq!(state(&conn), (2, "boot-b".to_owned()));
        store(&conn, "boot-b", "boot-c", Durability::Full).unwrap();
        assert_eq!(state(&conn), (3, String::new()));
    }

    #[test]
    fn without_a_boot_id_every_relaxed_start_begins_an_epoch() {
        let conn = meta();
        store(&conn, "", UNKNOWN, Durability::Relaxed).unwrap();
        store(&conn, UNKNOWN, UNKNOWN, Durability::Relaxed).unwrap();
        assert_eq!(state(&conn), (2, UNKNOWN.to_owned()));
    }

    #[test]
    fn a_full_writer_keeps_the_boot_id_of_the_same_boot() {
        let conn = meta();
        store(&conn, "", "boot-a", Durability::Relaxed).unwrap();
        store(&conn, "boot-a", "boot-a", Durability::Full).unwrap();
        assert_eq!(state(&conn), (1, "boot-a".to_owned()));
    }
}
