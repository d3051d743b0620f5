//! Instances: the processes of ao-store that run verbs on sessions.

use rusqlite::Row;

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::lease::Owner;
pub use crate::model::clock::boot_id;
use crate::model::time::Timestamp;

/// A process of ao-store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id, unique for ever.
    pub id: String,
    /// The process, as an [`Owner`].
    pub owner: String,
    /// The boot of the machine.
    pub boot_id: String,
    /// What it runs, for people.
    pub command: String,
    /// When it registered.
    pub started_at: Timestamp,
}

impl Instance {
    /// The calling process.
    #[must_use]
    pub fn of_this_process(id: &str, command: &str, now: Timestamp) -> Instance {
        Instance {
            id: id.to_owned(),
            owner: Owner::this_process().to_string(),
            boot_id: boot_id(),
            command: command.to_owned(),
            started_at: now,
        }
    }

    /// Whether the process is known to have ended: it ran on an earlier boot, or does not run any more.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        is_dead(&self.owner, &self.boot_id)
    }
}

/// Whether a process of this machine, identified as an [`Owner`] on this boot, is known to have ended.
#[must_use]
pub fn is_dead(owner: &str, boot: &str) -> bool {
    boot != boot_id() || Owner::is_gone(owner)
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT id, owner, boot_id, command, started_at FROM instance", $tail)
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<Instance> {
    Ok(Instance {
        id: text(row, 0)?,
        owner: text(row, 1)?,
        boot_id: text(row, 2)?,
        command: text(row, 3)?,
        started_at: Timestamp(row.get(4)?),
    })
}

/// The instance of this id. One that is not there has ended.
///
/// # Errors
/// When the database cannot be read.
pub fn get(snapshot: &Snapshot<'_>, id: &str) -> Result<Option<Instance>> {
    snapshot.one("read an instance", select!(" WHERE id = ?1"), [id], read)
}

/// The command of an instance that reads the screens of all sessions again and again.
pub const SCREEN_READER: &str = "reads screens";

/// Whether a process reads the screens of the sessions.
///
/// # Errors
/// When the database cannot be read.
pub fn has_screen_reader(snapshot: &Snapshot<'_>) -> Result<bool> {
    let sql = select!(" WHERE command = ?1");
    let all = snapshot.list("find who reads screens", sql, [SCREEN_READER], read)?;
    Ok(all.iter().any(|instance| !instance.is_dead()))
}

const INSERT: &str = "INSERT INTO instance (id, owner, boot_id, command, started_at)
    VALUES (?1, ?2, ?3, ?4, ?5)";

const DELETE: &str = "DELETE FROM instance WHERE id = ?1";

/// The instances that have ended. Their processes are looked up, so not within a transaction that writes.
///
/// # Errors
/// When the database cannot be read.
pub fn dead(snapshot: &Snapshot<'_>) -> Result<Vec<Instance>> {
    let mut all = snapshot.list("list instances", select!(""), [], read)?;
    all.retain(Instance::is_dead);
    Ok(all)
}

/// Registers an instance, and deletes those that were found to have ended: see [`dead`].
///
/// # Errors
/// When the database cannot be written.
pub fn register(tx: &Tx<'_>, new: &Instance, dead: &[Instance]) -> Result<()> {
    for instance in dead {
        if get(tx, &instance.id)?.as_ref() == Some(instance) {
            remove(tx, &instance.id)?;
        }
    }
    let params = (&new.id, &new.owner, &new.boot_id, &new.command, new.started_at.0);
    tx.execute_uncaptured("register an instance", INSERT, params).map(|_| ())
}

/// Removes an instance that ends.
///
/// # Errors
/// When the database cannot be written.
pub fn remove(tx: &Tx<'_>, id: &str) -> Result<()> {
    tx.execute_uncaptured("remove an instance", DELETE, [id]).map(|_| ())
}
