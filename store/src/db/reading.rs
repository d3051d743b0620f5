//! Readings of the clocks beside the log, from which the age of changes is computed after the wall clock
//! was set (`log/age.rs`).
//!
//! A transaction that changes captured tables records a reading when the wall clock was set since the last
//! one, when the machine was started since then, or after an hour. So every other change of this program
//! was made within an hour after the last reading before it.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::{Context, Result};
use crate::model::clock::{BootTime, ClockReading, STEP_MS};
use crate::model::cursor::Seq;
use crate::model::time::Timestamp;

/// The longest time between two readings while changes are made, in milliseconds.
pub(crate) const EVERY_MS: i64 = 3_600_000;

const SELECT_LAST: &str =
    "SELECT seq, at, boot, boot_ms FROM clock_reading ORDER BY seq DESC LIMIT 1";

/// A row of this seq belongs to a transaction that changed nothing.
const INSERT: &str = "INSERT INTO clock_reading (seq, at, boot, boot_ms)
    SELECT tx, ?1, ?2, ?3 FROM change_context WHERE TRUE
    ON CONFLICT DO UPDATE SET at = excluded.at, boot = excluded.boot, boot_ms = excluded.boot_ms";

/// Records a reading if it is due; the change context is open.
pub(crate) fn record(conn: &Connection, now: ClockReading) -> Result<()> {
    let step = "record a reading of the clocks";
    let mut statement = conn.prepare_cached(SELECT_LAST).context(step)?;
    let last = statement.query_row([], read).optional().context(step)?;
    if last.is_some_and(|(_, last)| !is_due(last, now)) {
        return Ok(());
    }
    let (boot, ms) = now.boot.map(|time| (time.boot, time.ms)).unzip();
    let mut statement = conn.prepare_cached(INSERT).context(step)?;
    statement.execute((now.at.0, boot, ms)).map(|_| ()).context(step)
}

fn is_due(last: ClockReading, now: ClockReading) -> bool {
    let passed = now.at.0.saturating_sub(last.at.0);
    match now.jump_since(last) {
        Some(jump) => jump.saturating_abs() > STEP_MS || passed.saturating_sub(jump) >= EVERY_MS,
        None => now.boot.is_some() || !(-STEP_MS..EVERY_MS).contains(&passed),
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Seq, ClockReading)> {
    let (boot, ms): (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
    let boot = boot.zip(ms).map(|(boot, ms)| BootTime { boot, ms, awake_ms: ms });
    Ok((Seq(row.get(0)?), ClockReading { at: Timestamp(row.get(1)?), boot }))
}

const SELECT: &str = "SELECT seq, at, boot, boot_ms FROM clock_reading ORDER BY seq";

/// All readings, each with the first change that it applies to.
pub(crate) fn list(conn: &Connection) -> Result<Vec<(Seq, ClockReading)>> {
    let step = "read the readings of the clocks";
    let mut statement = conn.prepare_cached(SELECT).context(step)?;
    let rows = statement.query_map([], read).context(step)?;
    rows.collect::<rusqlite::Result<_>>().context(step)
}

const DELETE: &str = "DELETE FROM clock_reading
    WHERE seq < (SELECT max(seq) FROM clock_reading WHERE seq <= ?1 + 1)";

/// Deletes the readings that apply to no change after `floor`.
pub(crate) fn delete_until(conn: &Connection, floor: Seq) -> Result<()> {
    let step = "delete readings of the clocks";
    let mut statement = conn.prepare_cached(DELETE).context(step)?;
    statement.execute([floor.0]).map(|_| ()).context(step)
}
