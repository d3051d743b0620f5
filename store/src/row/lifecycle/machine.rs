//! The machine on which the sessions of a store run.
//!
//! A store that was restored from a backup or moved to another machine names processes and directories
//! that are not those of this machine: see [`is_confirmed`].

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;

const SELECT: &str = "SELECT machine_id, epoch FROM session_machine";

/// Whether the sessions of this store run on the machine of this id: nothing was recorded yet, or this
/// machine was, in the present epoch. A restore begins another epoch.
///
/// # Errors
/// When the database cannot be read.
pub fn is_confirmed(snapshot: &Snapshot<'_>, machine: &str) -> Result<bool> {
    let epoch = snapshot.head()?.epoch.0;
    let stored = snapshot.one("read the machine of the sessions", SELECT, [], |row| {
        Ok((text(row, 0)?, row.get::<_, i64>(1)?))
    })?;
    Ok(stored.is_none_or(|stored| stored == (machine.to_owned(), epoch)))
}

const STORE: &str = "INSERT INTO session_machine (id, machine_id, epoch) VALUES (1, ?1, ?2)
    ON CONFLICT DO UPDATE SET (machine_id, epoch) = (excluded.machine_id, excluded.epoch)
    WHERE (machine_id, epoch) IS NOT (excluded.machine_id, excluded.epoch)";

/// Records that the sessions run on the machine of this id.
///
/// # Errors
/// When the database cannot be written.
pub fn confirm(tx: &Tx<'_>, machine: &str) -> Result<()> {
    let params = (machine, tx.head()?.epoch.0);
    tx.execute_uncaptured("record the machine of the sessions", STORE, params).map(|_| ())
}
