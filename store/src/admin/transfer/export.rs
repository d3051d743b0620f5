//! Exporting a store.
//!
//! A consistent copy is taken first and read afterwards, so that a slow reader of the output does not
//! keep a read of the store open.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::admin::new_file::{NewFile, with_suffix};
use crate::admin::verify::{self, Depth, Report};
use crate::db::connection::{self, Durability, Role};
use crate::db::schema::SCHEMA_VERSION;
use crate::db::tx::Snapshot;
use crate::engine::store::Store;
use crate::error::{Context, Error, Result};
use crate::log::info::LogInfo;
use crate::model::cursor::Cursor;

use super::{FORMAT, Sum, TABLES, Table, value};

/// The result of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The head of the exported log.
    pub cursor: Cursor,
    /// The number of rows.
    pub rows: u64,
    /// The number of changes.
    pub changes: u64,
}

impl Store {
    /// Writes everything to `out`, one JSON object per line.
    ///
    /// # Errors
    /// `CORRUPT` when the store does not verify; [`Error::Output`] when `out` fails; `DISK_FULL` when
    /// there is no room for the copy.
    pub fn export(&self, out: &mut dyn Write) -> Result<Exported> {
        let copy = NewFile::claim_any(&with_suffix(self.path(), ".export"))?;
        self.copy_to(copy.path())?.close().map_err(|(_, error)| error).context("close the copy")?;
        let busy = self.options().busy;
        let conn = connection::open(copy.path(), Role::Reader, Durability::Full, busy)?;
        conn.execute_batch("BEGIN").context("begin a read")?;
        let report = verify::verify(&conn, Depth::Sums)?;
        if let Some(finding) = report.findings.first() {
            let (path, finding) = (self.path().to_owned(), finding.message.clone());
            return Err(Error::Damaged { path, finding });
        }
        write_all(&conn, &report, out)
    }

    /// The same to a new file.
    ///
    /// # Errors
    /// Those of [`export`](Store::export); `TARGET_EXISTS`. Nothing stands at the name then.
    pub fn export_to(&self, path: &Path) -> Result<Exported> {
        self.refuse_target(path)?;
        let new = NewFile::claim(path)?;
        let file = OpenOptions::new().write(true).open(new.path());
        let mut out = BufWriter::new(file.map_err(|source| Error::file("open", path, source))?);
        let exported = self.export(&mut out).map_err(|error| match error {
            Error::Output(source) => Error::file("write", path, source),
            other => other,
        })?;
        new.place()?;
        Ok(exported)
    }
}

fn write_all(conn: &Connection, report: &Report, out: &mut dyn Write) -> Result<Exported> {
    let out = &mut Lines { out, sum: Sum::default() };
    out.put(&header(conn)?)?;
    let mut rows = 0;
    for table in TABLES {
        rows += write_table(conn, table, out)?;
    }
    let changes = write_changes(conn, out)?;
    let mut end = format!(
        "{{\"end\":{{\"rows\":{rows},\"changes\":{changes},\"sum\":\"{}\",\"log_digest\":\"{}\",\"tables\":{{",
        out.sum.digest(),
        report.log
    );
    for (i, table) in report.tables.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(end, "{comma}\"{}\":\"{}\"", table.entity, table.digest);
    }
    out.put(&(end + "}}}"))?;
    out.out.flush().map_err(Error::Output)?;
    Ok(Exported { cursor: report.cursor, rows, changes })
}

/// The output, with the digest of its lines.
struct Lines<'o> {
    out: &'o mut dyn Write,
    sum: Sum,
}

impl Lines<'_> {
    fn put(&mut self, line: &str) -> Result<()> {
        self.sum.add(line.as_bytes());
        let written = self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|error: io::Error| Error::Output(error))
    }
}

const SELECT_CONTEXT: &str = "SELECT c.at, c.foreign_writes, m.pruned_bytes, m.relaxed_boot
    FROM change_context c, log_meta m";

fn header(conn: &Connection) -> Result<String> {
    let step = "read the log's identity";
    let info = LogInfo::read(&Snapshot::new(conn))?;
    let (at, foreign, pruned): (i64, i64, i64) = conn
        .query_row(SELECT_CONTEXT, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .context(step)?;
    Ok(format!(
        "{{\"export\":{{\"format\":{FORMAT},\"schema_version\":{SCHEMA_VERSION},\"log_id\":\"{}\",\
         \"epoch\":{},\"floor\":{},\"head\":{},\"at\":{at},\"foreign_writes\":{foreign},\
         \"pruned_bytes\":{pruned}}}}}",
        info.log_id, info.epoch, info.floor, info.head
    ))
}

fn write_table(conn: &Connection, table: &Table, out: &mut Lines<'_>) -> Result<u64> {
    let step = "read a table";
    let sql = format!("SELECT * FROM {} ORDER BY {}", table.name, table.order);
    let mut statement = conn.prepare(&sql).context(step)?;
    let names: Vec<_> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([]).context(step)?;
    let mut count = 0;
    while let Some(row) = rows.next().context(step)? {
        let mut line = format!("{{\"table\":\"{}\",\"row\":{{", table.name);
        for (i, name) in names.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(line, "{comma}\"{name}\":");
            value::write(row.get_ref(i).context(step)?, &mut line);
        }
        out.put(&(line + "}}"))?;
        count += 1;
    }
    Ok(count)
}

/// The columns of a change, in the order of the log; JSON columns are written unchanged.
pub(super) const COLUMNS: [&str; 12] = [
    "seq", "tx", "at", "actor", "type", "entity", "op", "key", "project", "session", "before",
    "after",
];

/// Whether a column of a change contains JSON.
pub(super) fn is_json(column: &str) -> bool {
    matches!(column, "key" | "before" | "after")
}

fn write_changes(conn: &Connection, out: &mut Lines<'_>) -> Result<u64> {
    let step = "read the change log";
    let sql = format!("SELECT {} FROM change_log ORDER BY seq", COLUMNS.join(", "));
    let mut statement = conn.prepare(&sql).context(step)?;
    let mut rows = statement.query([]).context(step)?;
    let mut count = 0;
    while let Some(row) = rows.next().context(step)? {
        let mut line = "{\"change\":{".to_owned();
        for (i, name) in COLUMNS.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(line, "{comma}\"{name}\":");
            match row.get_ref(i).context(step)? {
                ValueRef::Null => line.push_str("null"),
                json if is_json(name) => value::write_json(json, &mut line),
                other => value::write(other, &mut line),
            }
        }
        out.put(&(line + "}}"))?;
        count += 1;
    }
    Ok(count)
}
