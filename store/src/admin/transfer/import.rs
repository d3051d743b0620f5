//! Importing a store: into a new database file, in one transaction. The file gets its name only when it
//! is complete and verified.
//!
//! Without a bad line the log is imported, change by change. If bad lines are skipped, the log would not
//! explain the rows, so it is omitted, as if all of it had been pruned. In both cases a new epoch begins.

use std::io::BufRead;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, params_from_iter};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use crate::admin::new_file::{NewFile, create_folder, refuse_target};
use crate::admin::verify::{self, Depth};
use crate::db::connection;
use crate::db::schema::SCHEMA_VERSION;
use crate::db::tx::Snapshot;
use crate::db::write_queue::{QueuedTransaction, Turn};
use crate::engine::migrate;
use crate::error::{Context, Error, Result};
use crate::log::{anew, head_file, seal};
use crate::model::cursor::{Cursor, Seq};
use crate::model::text_input::without_mark;

use super::export::{COLUMNS, is_json};
use super::value::{self, Read};
use super::{FORMAT, Sum, TABLES};

/// The maximum length of a line, in bytes.
const LINE_MAX: u64 = 64 << 20;
/// The maximum number of bad lines that are listed.
const BAD_MAX: usize = 100;
/// The maximum of a number in the first line: no counter gets there, and sums with it do not overflow.
const NUMBER_MAX: i64 = 1 << 53;

/// What to do about bad lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBad {
    /// Import nothing.
    Refuse,
    /// Import the other lines, without the log.
    Skip,
}

/// A line that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1; 0 for the export as a whole.
    pub line: u64,
    /// Why it is bad.
    pub reason: String,
}

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The head of the imported log, in its new epoch.
    pub cursor: Cursor,
    /// The number of imported rows.
    pub rows: u64,
    /// The number of imported changes.
    pub changes: u64,
    /// The skipped lines, at most 100 of them.
    pub bad: Vec<BadLine>,
    /// The number of skipped lines.
    pub bad_total: u64,
}

/// Creates a store at `target`, which must not exist, from an export.
///
/// # Errors
/// `TARGET_EXISTS`, `INVALID_EXPORT`; those of reading `input`. No file is left then.
pub fn import(target: &Path, input: &mut dyn BufRead, on_bad: OnBad) -> Result<Imported> {
    refuse_target(target)?;
    create_folder(target)?;
    let new = NewFile::claim(target)?;
    let mut conn = connection::open_new(new.path())?;
    migrate::migrate(&mut conn)?;
    let mut import = Import::begin(&conn)?;
    import.read(input)?;
    let mut imported = import.finish(on_bad)?;
    conn.execute_batch("COMMIT").context("commit the import")?;
    // There may have been a store at this place.
    head_file::begin(&conn, target, |conn| {
        // No other process knows the file.
        QueuedTransaction::begin(conn, Turn::default())
    })?;
    imported.cursor = new.finish_database(conn)?.cursor;
    new.place()?;
    Ok(imported)
}

struct Import<'c> {
    conn: &'c Connection,
    header: Option<Map<String, Json>>,
    end: Option<Map<String, Json>>,
    /// The digest of the lines before the last.
    sum: Sum,
    rows: u64,
    changes: u64,
    last: Option<Seq>,
    bad: Vec<BadLine>,
    bad_total: u64,
}

/// Why a line was not imported.
enum Refusal {
    /// The line is bad.
    Line(String),
    /// The database cannot be written; the line is not the cause.
    Database(Error),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Refusal {
        Refusal::Line(reason)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Refusal {
        Refusal::Line(reason.to_owned())
    }
}

/// The export cannot be imported because of this line; 0 for the export as a whole.
fn refused(line: u64, reason: &str) -> Error {
    Error::InvalidExport { line, reason: reason.to_owned(), more: 0 }
}

/// The result of importing a line.
type Outcome<T> = std::result::Result<T, Refusal>;

impl<'c> Import<'c> {
    /// Rows are imported unchanged, so no trigger may fire. Foreign keys are checked at the end.
    fn begin(conn: &'c Connection) -> Result<Import<'c>> {
        let step = "begin the import";
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).context(step)?;
        conn.execute_batch("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE").context(step)?;
        // The export contains the rows that the migration inserted.
        conn.execute_batch("DELETE FROM log_base; DELETE FROM retention; DELETE FROM upkeep")
            .context(step)?;
        Ok(Import {
            conn,
            header: None,
            end: None,
            sum: Sum::default(),
            rows: 0,
            changes: 0,
            last: None,
            bad: Vec::new(),
            bad_total: 0,
        })
    }

    fn read(&mut self, input: &mut dyn BufRead) -> Result<()> {
        let mut number = 0;
        loop {
            let mut line = Vec::new();
            let read = std::io::Read::take(&mut *input, LINE_MAX + 1).read_until(b'\n', &mut line);
            if read.map_err(Error::Input)? == 0 {
                let is_empty = self.header.is_none();
                return if is_empty { Err(refused(0, "the input is empty")) } else { Ok(()) };
            }
            number += 1;
            if line.len() as u64 > LINE_MAX {
                let reason = "it is longer than 64 MiB".to_owned();
                return Err(Error::InvalidExport { line: number, reason, more: self.bad_total });
            }
            let text = if number == 1 { without_mark(&line) } else { Ok(&line[..]) };
            let text = text.map_err(|reason| refused(number, reason))?;
            // An editor may have added line ends.
            if text.trim_ascii().is_empty() {
                continue;
            }
            match self.take(text) {
                Ok(()) => {}
                Err(Refusal::Database(error)) => return Err(error),
                // Without its first line no other line can be interpreted.
                Err(Refusal::Line(reason)) if self.header.is_none() => {
                    return Err(refused(number, &reason));
                }
                Err(Refusal::Line(reason)) => self.skip(number, reason),
            }
            if self.end.is_none() {
                self.sum.add(text.trim_ascii_end());
            }
        }
    }

    fn skip(&mut self, line: u64, reason: String) {
        self.bad_total += 1;
        if self.bad.len() < BAD_MAX {
            self.bad.push(BadLine { line, reason });
        }
    }

    fn take(&mut self, line: &[u8]) -> Outcome<()> {
        let line = str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
        let parsed: std::result::Result<Map<String, Json>, _> = serde_json::from_str(line);
        let mut object = parsed.map_err(|error| format!("it is not a JSON object: {error}"))?;
        if self.header.is_none() {
            return self.take_header(object.remove("export"));
        }
        if self.end.is_some() {
            return Err("it follows the last line".into());
        }
        if let Some(Json::Object(end)) = object.remove("end") {
            self.end = Some(end);
            return Ok(());
        }
        match (object.remove("table"), object.remove("row"), object.contains_key("change")) {
            (Some(Json::String(table)), Some(Json::Object(row)), false) => {
                self.take_row(&table, &row)?;
                self.rows += 1;
            }
            (None, None, true) => {
                self.take_change(line)?;
                self.changes += 1;
            }
            _ => return Err("it is neither a row nor a change".into()),
        }
        Ok(())
    }

    fn take_header(&mut self, header: Option<Json>) -> Outcome<()> {
        let Some(Json::Object(header)) = header else {
            return Err("the file does not begin as an export of ao-store".into());
        };
        if header.get("format").and_then(Json::as_u64) != Some(FORMAT) {
            return Err("it has a format that this program does not support".into());
        }
        let schema = header.get("schema_version").and_then(Json::as_u64).unwrap_or(u64::MAX);
        if schema > u64::from(SCHEMA_VERSION) {
            return Err(format!("it was written by a newer ao-store, with schema {schema}").into());
        }
        let is_number = |name: &&str| {
            let number = header.get(*name).and_then(Json::as_i64);
            number.is_some_and(|number| (0..=NUMBER_MAX).contains(&number))
        };
        if let Some(name) = NUMBERS.iter().find(|name| !is_number(name)) {
            return Err(format!("its {name} is not a number from 0 to {NUMBER_MAX}").into());
        }
        let log = header.get("log_id").and_then(Json::as_str).unwrap_or_default();
        if log.len() != 32 || !log.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("it has no log id".into());
        }
        self.header = Some(header);
        Ok(())
    }

    fn take_row(&self, table: &str, row: &Map<String, Json>) -> Outcome<()> {
        if !TABLES.iter().any(|known| known.name == table) {
            return Err(format!("there is no table {table:?}").into());
        }
        let mut values = Vec::with_capacity(row.len());
        for (name, json) in row {
            let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            if !is_name || name.is_empty() {
                return Err(format!("{table} has no column {name:?}").into());
            }
            values.push(value::read(json).ok_or(format!("the value of {name} is invalid"))?);
        }
        let columns: Vec<_> = row.keys().map(String::as_str).collect();
        self.insert(table, &columns, values)
    }

    /// The JSON in a change is imported byte for byte.
    fn take_change(&mut self, line: &str) -> Outcome<()> {
        let wrong = |error: serde_json::Error| format!("it is not a change: {error}");
        let outer: std::collections::HashMap<&str, &RawValue> =
            serde_json::from_str(line).map_err(wrong)?;
        let change = outer.get("change").ok_or("it is not a change")?;
        let fields: std::collections::HashMap<&str, &RawValue> =
            serde_json::from_str(change.get()).map_err(wrong)?;
        let mut values = Vec::with_capacity(COLUMNS.len());
        for name in COLUMNS {
            let raw = fields.get(name).ok_or(format!("{name} is missing"))?.get();
            let json: Json = serde_json::from_str(raw).map_err(wrong)?;
            let value = match &json {
                Json::Null => Read::Plain(Value::Null),
                Json::Object(object) if object.contains_key("$text") => {
                    value::read_hex(object).ok_or(format!("the value of {name} is invalid"))?
                }
                _ if is_json(name) => Read::Plain(Value::Text(raw.to_owned())),
                other => value::read(other).ok_or(format!("the value of {name} is invalid"))?,
            };
            values.push(value);
        }
        let Some(Read::Plain(Value::Integer(seq))) = values.first() else {
            return Err("it has no seq".into());
        };
        let seq = Seq(*seq);
        if self.last.is_some_and(|last| seq != last.next()) {
            return Err(format!("change {seq} does not follow the previous one").into());
        }
        self.insert("change_log", &COLUMNS, values)?;
        self.last = Some(seq);
        Ok(())
    }

    fn insert(&self, table: &str, columns: &[&str], values: Vec<Read>) -> Outcome<()> {
        let places: Vec<_> = (1..).zip(&values).map(|(i, value)| value.place(i)).collect();
        let (columns, places) = (columns.join(", "), places.join(", "));
        let sql = format!("INSERT INTO {table} ({columns}) VALUES ({places})");
        let inserted = self.conn.prepare_cached(&sql).and_then(|mut statement| {
            statement.execute(params_from_iter(values.into_iter().map(Read::bind)))
        });
        match inserted {
            Ok(_) => Ok(()),
            Err(error) if is_of_line(&error) => {
                Err(format!("it does not fit into {table}: {error}").into())
            }
            Err(error) => Err(Refusal::Database(Error::Sqlite("write a line", error))),
        }
    }

    fn finish(mut self, on_bad: OnBad) -> Result<Imported> {
        let header = self.header.take().unwrap_or_default();
        self.compare_end();
        let is_whole = self.bad_total == 0;
        if !is_whole && on_bad == OnBad::Refuse {
            let more = self.bad_total - 1;
            let BadLine { line, reason } = self.bad.swap_remove(0);
            return Err(Error::InvalidExport { line, reason, more });
        }
        if !is_whole {
            self.drop_orphans()?;
            self.changes = 0;
        }
        settle(self.conn, &header, is_whole)?;
        let report = verify::verify(self.conn, Depth::Sums)?;
        if let Some(finding) = report.findings.into_iter().next() {
            let reason = format!("the rows and changes do not fit: {}", finding.message);
            return Err(refused(0, &reason));
        }
        let Import { rows, changes, bad, bad_total, .. } = self;
        Ok(Imported { cursor: report.cursor, rows, changes, bad, bad_total })
    }

    /// Compares the numbers and the digest of the last line.
    fn compare_end(&mut self) {
        let Some(end) = self.end.take() else {
            return self.skip(0, "its last line is missing: the export is truncated".to_owned());
        };
        let count = |name: &str| end.get(name).and_then(Json::as_u64);
        let (rows, changes) = (self.rows, self.changes);
        // A bad line was reported already; its absence is not reported again.
        if self.bad_total == 0 && (count("rows"), count("changes")) != (Some(rows), Some(changes)) {
            let expected = (count("rows").unwrap_or(0), count("changes").unwrap_or(0));
            let reason = format!(
                "it should have {} rows and {} changes, and has {rows} and {changes}",
                expected.0, expected.1
            );
            self.skip(0, reason);
        }
        let sum = self.sum.digest().to_string();
        if self.bad_total == 0 && end.get("sum").and_then(Json::as_str) != Some(&*sum) {
            self.skip(0, "its lines do not match its last line: a line was modified".to_owned());
        }
    }

    /// Deletes rows that refer to skipped ones, and reports them.
    fn drop_orphans(&mut self) -> Result<()> {
        let step = "drop rows whose owner was skipped";
        let sql = "SELECT DISTINCT \"table\", parent, fkid FROM pragma_foreign_key_check";
        let columns_of_key = "SELECT group_concat(\"from\"), group_concat(\"to\")
            FROM (SELECT * FROM pragma_foreign_key_list(?1) WHERE id = ?2 ORDER BY seq)";
        loop {
            let orphans = Snapshot::new(self.conn).list(step, sql, [], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
            })?;
            if orphans.is_empty() {
                return Ok(());
            }
            for (table, parent, number) in orphans {
                let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
                let key: (String, String) =
                    self.conn.query_row(columns_of_key, (&table, number), columns).context(step)?;
                let (own, parents) = key;
                let sql = format!(
                    "DELETE FROM {table} WHERE ({own}) NOT IN (SELECT {parents} FROM {parent})"
                );
                let deleted = self.conn.execute(&sql, []).context(step)?;
                self.rows = self.rows.saturating_sub(deleted as u64);
                let reason = format!("{deleted} row(s) of {table}: their {parent} was skipped");
                self.skip(0, reason);
            }
        }
    }
}

/// Whether a row could not be written because of its content, and not because of the file or the disk.
fn is_of_line(error: &rusqlite::Error) -> bool {
    let of_database = [
        ErrorCode::DiskFull,
        ErrorCode::SystemIoFailure,
        ErrorCode::DatabaseCorrupt,
        ErrorCode::DatabaseBusy,
        ErrorCode::OutOfMemory,
        ErrorCode::ReadOnly,
        ErrorCode::CannotOpen,
    ];
    error.sqlite_error_code().is_none_or(|code| !of_database.contains(&code))
}

/// The numbers of the first line, which the log is completed with.
const NUMBERS: [&str; 6] = ["epoch", "floor", "head", "at", "foreign_writes", "pruned_bytes"];

const SET_LOG: &str = "UPDATE log_meta SET log_id = ?1, epoch = ?2, floor = ?3, pruned_bytes = ?4";
const SET_CONTEXT: &str = "UPDATE change_context SET at = ?1, foreign_writes = ?2, sealed = ?3,
    logged_bytes = ?4";
/// Adds rows that the export may lack, with the defaults of a new store, ends the leases, and marks the
/// numbers of the imported sessions as used.
const COMPLETE: &str =
    "INSERT INTO retention (id) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM retention);
    INSERT INTO upkeep (id) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM upkeep);
    UPDATE consumer SET generation = generation + 1, lease_owner = NULL, lease_until = NULL;
    INSERT INTO session_counter SELECT project_id, max(num) FROM session WHERE true GROUP BY 1
        ON CONFLICT DO UPDATE SET last_num = excluded.last_num WHERE last_num < excluded.last_num;";

/// The next seq follows from it, even if the log contains no change.
const SET_SEQUENCE: &str = "INSERT INTO sqlite_sequence (name, seq) VALUES ('change_log', ?1)";

/// Completes the log from the first line, or, without changes, as one that is pruned to its head.
fn settle(conn: &Connection, header: &Map<String, Json>, is_whole: bool) -> Result<()> {
    let step = "settle the log";
    let number = |name: &str| header.get(name).and_then(Json::as_i64).unwrap_or(0);
    let log_id = header.get("log_id").and_then(Json::as_str).unwrap_or_default();
    let foreign = number("foreign_writes");
    let (floor, pruned, foreign) = if is_whole {
        (number("floor"), number("pruned_bytes"), foreign)
    } else {
        anew::forget(conn)?;
        (number("head"), 0, foreign + 1)
    };
    conn.execute(SET_LOG, (log_id, number("epoch") + 1, floor, pruned)).context(step)?;
    conn.execute(SET_CONTEXT, (number("at"), foreign, floor, pruned)).context(step)?;
    conn.execute("DELETE FROM sqlite_sequence WHERE name = 'change_log'", []).context(step)?;
    conn.execute(SET_SEQUENCE, [number("head")]).context(step)?;
    conn.execute_batch(COMPLETE).context(step)?;
    seal::seal_all(conn).map(|_| ())
}
