//! Proof that a store is sound: the file, the schema, the log, and that the log explains the tables.
//!
//! The sum of the live rows must be what the log adds up to, and every change what its seal says.
//! SQLite's own check finds a third of single flipped bits; these sums find those in a live row or a
//! change. Where they disagree, a second pass over the log names the row or the change at fault.

mod log;
mod naming;

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::db::connection::{self, Durability, Role};
use crate::db::schema;
use crate::db::tx::Snapshot;
use crate::engine::migrate;
use crate::engine::store::Store;
use crate::error::{Context, Error, Result};
use crate::log::digest::Digest;
use crate::log::{base, capture};
use crate::model::cursor::Cursor;

/// Findings of one kind that are told one by one.
const FINDINGS_MAX: usize = 20;

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything that sums can prove; what is at fault is looked for only when they disagree.
    Sums,
    /// Also every index entry, and every change against the one before it of the same row.
    Deep,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing it is: `db.integrity`, `db.foreign_keys`, `db.schema`, `log.density`,
    /// `log.seal`, `log.state`, `log.chain`, `rows`; `more` counts those that are not listed.
    pub id: &'static str,
    /// What is at fault.
    pub message: String,
}

/// The sum of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSum {
    /// The captured table.
    pub entity: &'static str,
    /// Its rows.
    pub rows: u64,
    /// The sum of their images.
    pub digest: Digest,
}

/// What was checked and found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The state that was checked.
    pub cursor: Cursor,
    /// The changes read.
    pub changes: u64,
    /// The sum of all of them.
    pub log: Digest,
    /// Changes of foreign writers that no commit of ours has sealed yet.
    pub unsealed: u64,
    /// The tables.
    pub tables: Vec<TableSum>,
    /// What is wrong; empty for a sound store.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Store {
    /// Checks this store, in one read: as long as it runs, the write-ahead log is not cut back.
    ///
    /// # Errors
    /// When the file cannot be read at all; what is wrong with it is in the report.
    pub fn verify(&self, depth: Depth) -> Result<Report> {
        self.read(|snapshot| verify(snapshot.conn(), depth))
    }
}

/// Checks a database file, such as a backup, which must have the schema of this program.
///
/// # Errors
/// `STORE_NOT_FOUND`, `NOT_A_STORE`, `SCHEMA_OUTDATED`, `SCHEMA_TOO_NEW`; when it cannot be read.
pub fn verify_file(path: &Path, depth: Depth, busy: Duration) -> Result<Report> {
    let conn = connection::open(path, Role::Reader, Durability::Full, busy)?;
    schema::require_current(&conn)?;
    conn.execute_batch("BEGIN").context("begin a read")?;
    verify(&conn, depth)
}

/// Checks a file that must not be changed, such as the source of a restore.
pub(crate) fn verify_source(path: &Path) -> Result<Report> {
    let conn = connection::open_source(path)?;
    conn.execute_batch("BEGIN").context("begin a read")?;
    verify(&conn, Depth::Sums)
}

/// Collects findings, a bounded number of each kind.
#[derive(Default)]
struct Findings {
    found: Vec<Finding>,
    more: usize,
}

impl Findings {
    fn add(&mut self, id: &'static str, message: String) {
        let same = self.found.iter().filter(|finding| finding.id == id).count();
        if same < FINDINGS_MAX {
            self.found.push(Finding { id, message });
        } else {
            self.more += 1;
        }
    }

    /// A part of the check that could not be finished is a finding too.
    fn catch<T>(&mut self, id: &'static str, result: Result<T>) -> Option<T> {
        result.map_err(|error: Error| self.add(id, error.chain())).ok()
    }

    fn finish(mut self) -> Vec<Finding> {
        if self.more > 0 {
            let message = format!("{} more findings are not listed", self.more);
            self.found.push(Finding { id: "more", message });
        }
        self.found
    }
}

/// Checks what a connection reads, in its transaction.
pub(crate) fn verify(conn: &Connection, depth: Depth) -> Result<Report> {
    let snapshot = Snapshot::new(conn);
    let mut findings = Findings::default();
    integrity(conn, depth, &mut findings);
    if let Some(differences) = findings.catch("db.schema", migrate::differences(conn)) {
        for difference in differences {
            findings.add("db.schema", difference);
        }
    }
    let cursor = snapshot.head()?;
    let read = log::check(conn, &mut findings);
    let read = findings.catch("log.state", read).unwrap_or_default();
    let mut tables = Vec::new();
    let mut suspects = Vec::new();
    let bases = findings.catch("log.state", base::all(conn)).unwrap_or_default();
    for entity in capture::tables() {
        let Some((digest, rows)) = findings.catch("rows", base::of_rows(conn, entity)) else {
            continue;
        };
        tables.push(TableSum { entity, rows, digest });
        let mut expected = bases.get(entity).copied().unwrap_or_default();
        expected += read.moves.of(entity);
        if digest != expected {
            suspects.push(entity);
        }
    }
    if depth == Depth::Deep || !suspects.is_empty() || !read.damaged.is_empty() {
        let named = naming::name(conn, &suspects, &read.damaged, &mut findings);
        findings.catch("log.chain", named);
    }
    Ok(Report {
        cursor,
        changes: read.changes,
        log: read.sum,
        unsealed: read.unsealed,
        tables,
        findings: findings.finish(),
    })
}

/// What SQLite itself can tell.
fn integrity(conn: &Connection, depth: Depth, findings: &mut Findings) {
    let sql = match depth {
        Depth::Sums => "PRAGMA quick_check(20)",
        Depth::Deep => "PRAGMA integrity_check(20)",
    };
    let told = Snapshot::new(conn).list("check the file", sql, [], |row| row.get::<_, String>(0));
    for told in findings.catch("db.integrity", told).unwrap_or_default() {
        if told != "ok" {
            findings.add("db.integrity", told);
        }
    }
    let sql = "SELECT \"table\", rowid, parent FROM pragma_foreign_key_check";
    let orphans = Snapshot::new(conn).list("check foreign keys", sql, [], |row| {
        let rowid = row.get::<_, Option<i64>>(1)?.map_or(String::new(), |id| format!(" {id}"));
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        Ok(format!("a row of {table}{rowid} refers to a row of {parent} that does not exist"))
    });
    for orphan in findings.catch("db.foreign_keys", orphans).unwrap_or_default() {
        findings.add("db.foreign_keys", orphan);
    }
}
