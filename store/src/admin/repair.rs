//! Repairing what another program changed: the objects of the schema that contain no data, counters, and
//! texts that are not UTF-8. Nothing is lost by that.
//!
//! All of it is one transaction, which is committed only if the store verifies then. If changes are
//! missing from the log, it does not; on request the log then begins anew at the present rows, in a new
//! epoch, so that cursors of the time before are refused.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use crate::admin::verify::values::{self, Counter, InvalidText};
use crate::admin::verify::{self, Depth, Report};
use crate::db::connection::{self, Durability, Role};
use crate::db::identity::Identity;
use crate::db::options::Options;
use crate::db::schema::{self, SCHEMA_VERSION};
use crate::db::text::text;
use crate::db::tx::{Cause, Snapshot, Tx};
use crate::db::write_queue::{QueuedTransaction, take_turn};
use crate::engine::migrate;
use crate::error::{Context, Error, Result};
use crate::log::head_file::Recorded;
use crate::log::info::LogInfo;
use crate::log::{anew, capture, seal};
use crate::model::cursor::Epoch;

/// What a repair may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Permit {
    /// Delete the history if it does not explain the rows.
    pub drops_history: bool,
    /// Change nothing, and report what would be done.
    pub is_dry: bool,
}

/// The result of a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// What was done, one sentence for each thing.
    pub done: Vec<String>,
    /// The log afterwards.
    pub log: LogInfo,
}

/// Repairs the store, or changes nothing.
///
/// # Errors
/// `CORRUPT` when something remains that it cannot repair; those of opening a store.
pub fn repair(path: &Path, options: Options, cause: &Cause, permit: Permit) -> Result<Repaired> {
    Identity::of(path)?.check_for_write()?;
    let conn = connection::open(path, Role::Writer, Durability::Full, options.busy)?;
    let transaction = QueuedTransaction::begin(&conn, take_turn(path, &conn, options.busy)?)?;
    let recorded = Recorded::read(path).map_or(Epoch(0), |recorded| recorded.epoch());
    let mut done = Vec::new();
    if let Err(error @ Error::Emptied(_)) = schema::version(&conn) {
        return Err(error);
    }
    if migrate::restore_history(&conn)? {
        done.push("record the migrations".to_owned());
    }
    if schema::restore_version(&conn)? {
        done.push("set the schema version".to_owned());
    }
    schema::require_current(&conn)?;
    done.extend(migrate::recreate(&conn)?);
    migrate::verify(&conn)?;
    repair_values(&conn, cause, recorded, &mut done)?;
    if let Some(finding) = first_finding(&conn)? {
        if !permit.drops_history {
            return Err(Error::Damaged { path: path.to_owned(), finding });
        }
        anew::begin(&conn, recorded)?;
        done.push("delete the history, which does not explain the rows".to_owned());
        if let Some(finding) = first_finding(&conn)? {
            return Err(Error::Damaged { path: path.to_owned(), finding });
        }
    }
    let log = LogInfo::read(&Snapshot::new(&conn))?;
    if !permit.is_dry && !done.is_empty() {
        transaction.commit("repair the store")?;
    }
    Ok(Repaired { done, log })
}

fn first_finding(conn: &Connection) -> Result<Option<String>> {
    let Report { findings, .. } = verify::verify(conn, Depth::Sums)?;
    Ok(findings.into_iter().next().map(|finding| finding.message))
}

const SET_COUNTER: &str = "INSERT INTO session_counter (project_id, last_num) VALUES (?1, ?2)
    ON CONFLICT DO UPDATE SET last_num = excluded.last_num";

const INSERT_LOG: &str = "INSERT INTO log_meta (id, log_id, epoch, floor, format)
    SELECT 1, lower(hex(randomblob(16))), ?1 + 1, coalesce(min(seq) - 1,
        (SELECT seq FROM sqlite_sequence WHERE name = 'change_log'), 0), ?2 FROM change_log";

/// The next commit seals the log again from its floor. Its time never decreases, and no digest of rows counts.
const INSERT_CONTEXT: &str =
    "INSERT INTO change_context (id, at, sealed, logged_bytes, foreign_writes)
    SELECT 1, (SELECT coalesce(max(at), 0) FROM change_log), floor, pruned_bytes,
        (SELECT coalesce(max(foreign_writes), 0) + 1 FROM pr_observed) FROM log_meta";

/// A log with another id is another log: its cursors are those of a new epoch.
const SET_LOG_ID: &str =
    "UPDATE log_meta SET log_id = lower(hex(randomblob(16))), epoch = max(epoch, ?1) + 1";

fn insert_missing_rows(
    conn: &Connection,
    cause: &Cause,
    recorded: Epoch,
    done: &mut Vec<String>,
) -> Result<()> {
    let step = "insert a missing row";
    for table in values::missing_rows(conn)? {
        match table {
            // As of a damaged file: the seconds of the clock are above every epoch.
            "log_meta" => conn
                .execute(INSERT_LOG, (recorded.0.max(cause.at.0.div_euclid(1000)), SCHEMA_VERSION)),
            "change_context" => conn.execute(INSERT_CONTEXT, []),
            other => conn.execute(&format!("INSERT INTO {other} (id) VALUES (1)"), []),
        }
        .context(step)?;
        done.push(format!("insert the row of {table}"));
    }
    Ok(())
}

fn repair_values(
    conn: &Connection,
    cause: &Cause,
    recorded: Epoch,
    done: &mut Vec<String>,
) -> Result<()> {
    insert_missing_rows(conn, cause, recorded, done)?;
    let tx = Tx::new(conn, cause);
    if !values::has_log_id(conn)? {
        tx.execute_uncaptured("set the log id", SET_LOG_ID, [recorded.0])?;
        done.push("give the log a new id".to_owned());
    }
    for Counter { project, used, .. } in values::counters(conn)? {
        tx.execute_uncaptured("set a session counter", SET_COUNTER, (&project, used))?;
        done.push(format!("set the counter of project {project} to {used}"));
    }
    let mut invalid = Vec::new();
    values::invalid_texts(conn, &[], &mut |found| {
        if !found.is_key {
            invalid.push(found);
        }
    })?;
    let mut rewritten = 0;
    for found in &invalid {
        rewritten += usize::from(rewrite(&tx, found)?);
    }
    if rewritten > 0 {
        done.push(format!("replace what is not UTF-8 in {rewritten} text(s)"));
    }
    if tx.has_changes() {
        seal::close(conn, 0)?;
    }
    Ok(())
}

/// Stores a text as it is read; `false` if a constraint forbids that, as when another row has it then.
fn rewrite(tx: &Tx<'_>, found: &InvalidText) -> Result<bool> {
    let InvalidText { table, column, row, .. } = found;
    let select = format!("SELECT {column} FROM {table} WHERE {row}");
    let step = "rewrite a text";
    let read: String = tx.conn().query_row(&select, [], |row| text(row, 0)).context(step)?;
    let update = format!("UPDATE {table} SET {column} = ?1 WHERE {row}");
    let updated = if capture::tables().any(|captured| captured == table) {
        tx.execute_captured(step, &update, [read])
    } else {
        tx.execute_uncaptured(step, &update, [read])
    };
    match updated {
        Err(Error::Sqlite(_, source))
            if source.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) =>
        {
            Ok(false)
        }
        other => other.map(|_| true),
    }
}
