//! The program that runs a turn, so that any process can stop it before the next turn. It is beside the clock, and
//! goes with it when the turn ends.

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::lease::Owner;
use crate::row::turn::held::Held;

const RECORD: &str = "UPDATE turn_clock SET program = ?2 WHERE turn_id = ?1";

/// Records the process that leads the process group of what runs a turn. Of a turn that was lost, nothing.
///
/// # Errors
/// When the database cannot be written.
pub fn record(tx: &Tx<'_>, held: &Held, leader: &Owner) -> Result<()> {
    let params = (held.turn(), leader.to_string());
    tx.execute_uncaptured("record the program of a turn", RECORD, params).map(|_| ())
}

const SELECT: &str = "SELECT program FROM turn_clock WHERE turn_id = ?1 AND program <> ''";

/// The process that leads the process group of what runs a turn, as an [`Owner`]; `None` if the turn has ended, or
/// none was recorded.
///
/// # Errors
/// When the database cannot be read.
pub fn of(snapshot: &Snapshot<'_>, turn: &str) -> Result<Option<String>> {
    snapshot.one("read the program of a turn", SELECT, [turn], |row| text(row, 0))
}
