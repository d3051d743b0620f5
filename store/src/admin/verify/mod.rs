//! Verification: checks the file, the schema and the log, and that the log explains the tables.
//!
//! The digest of the live rows must equal the sum of the log, and every change must match its seal.
//! SQLite's own check finds a third of single flipped bits; the digests find all of those in a live row
//! or a change. If they disagree, a second pass over the log finds the damaged row or change.

mod locate;
mod log;
pub(crate) mod values;

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::db::connection::{self, Durability, Role};
use crate::db::schema;
use crate::db::text::text;
use crate::db::tx::Snapshot;
use crate::engine::migrate;
use crate::engine::store::Store;
use crate::error::{Context, Error, Result};
use crate::log::digest::Digest;
use crate::log::{base, capture};
use crate::model::cursor::Cursor;

/// The maximum number of findings of one kind that are listed.
const FINDINGS_MAX: usize = 20;

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All digests; the damaged row or change is searched only when they disagree.
    Sums,
    /// Also every index entry, and every change against the previous change of the same row.
    Deep,
}

/// A defect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The kind of defect: `db.integrity`, `db.foreign_keys`, `db.schema`, `db.rows`, `log.density`,
    /// `log.seal`, `log.state`, `log.chain`, `log.identity`, `rows`, `session.counter`, of the warnings
    /// `text.utf8`; `more` counts those that are not listed.
    pub id: &'static str,
    /// The defect.
    pub message: String,
}

/// The digest of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSum {
    /// The captured table.
    pub entity: &'static str,
    /// Its rows.
    pub rows: u64,
    /// The digest of their images.
    pub digest: Digest,
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The head of the verified log.
    pub cursor: Cursor,
    /// The changes read.
    pub changes: u64,
    /// The digest of all changes.
    pub log: Digest,
    /// Changes of foreign writers that no commit of this program has sealed yet.
    pub unsealed: u64,
    /// The tables.
    pub tables: Vec<TableSum>,
    /// The defects; empty for a sound store.
    pub findings: Vec<Finding>,
    /// What harms only the value that it names.
    pub warnings: Vec<Finding>,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Store {
    /// Verifies this store in one read: meanwhile the write-ahead log is not truncated.
    ///
    /// # Errors
    /// When the file cannot be read at all; other defects are in the report.
    pub fn verify(&self, depth: Depth) -> Result<Report> {
        self.read(|snapshot| verify(snapshot.conn(), depth))
    }
}

/// Verifies a database file, such as a backup, which must have the schema of this program.
///
/// # Errors
/// `STORE_NOT_FOUND`, `NOT_A_STORE`, `SCHEMA_OUTDATED`, `SCHEMA_TOO_NEW`; when it cannot be read.
pub fn verify_file(path: &Path, depth: Depth, busy: Duration) -> Result<Report> {
    let conn = connection::open(path, Role::Reader, Durability::Full, busy)?;
    schema::require_current(&conn)?;
    conn.execute_batch("BEGIN").context("begin a read")?;
    verify(&conn, depth)
}

/// Verifies a file that must not be changed, such as the source of a restore.
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

    /// Turns the failure of a part of the verification into a finding.
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

/// Verifies the content of a connection, in its transaction.
pub(crate) fn verify(conn: &Connection, depth: Depth) -> Result<Report> {
    let snapshot = Snapshot::new(conn);
    let (mut findings, mut warnings) = (Findings::default(), Findings::default());
    integrity(conn, depth, &mut findings);
    if let Some(differences) = findings.catch("db.schema", migrate::differences(conn)) {
        for difference in differences {
            findings.add("db.schema", difference);
        }
    }
    let cursor = snapshot.head()?;
    let read = log::check(conn, &mut findings);
    let read = findings.catch("log.state", read).unwrap_or_default();
    values::check(conn, &mut findings);
    let mut tables = Vec::new();
    let (mut suspects, mut sound_texts) = (Vec::new(), Vec::new());
    let bases = findings.catch("log.state", base::all(conn)).unwrap_or_default();
    for entity in capture::tables() {
        let Some(rows) = findings.catch("rows", base::of_rows(conn, entity)) else {
            continue;
        };
        let digest = rows.digest;
        tables.push(TableSum { entity, rows: rows.count, digest });
        if !rows.has_invalid_text {
            sound_texts.push(entity);
        }
        let mut expected = bases.get(entity).copied().unwrap_or_default();
        expected += read.moves.of(entity);
        if digest != expected {
            suspects.push(entity);
        }
    }
    // The other tables are read once more, to name the texts.
    let named = values::warn_of_texts(conn, &sound_texts, &mut warnings);
    findings.catch("db.integrity", named);
    if depth == Depth::Deep || !suspects.is_empty() || !read.damaged.is_empty() {
        let named = locate::locate(conn, &suspects, &read.damaged, &mut findings);
        findings.catch("log.chain", named);
    }
    Ok(Report {
        cursor,
        changes: read.changes,
        log: read.sum,
        unsealed: read.unsealed,
        tables,
        findings: findings.finish(),
        warnings: warnings.finish(),
    })
}

/// The checks of SQLite itself.
fn integrity(conn: &Connection, depth: Depth, findings: &mut Findings) {
    let sql = match depth {
        Depth::Sums => "PRAGMA quick_check(20)",
        Depth::Deep => "PRAGMA integrity_check(20)",
    };
    let lines = Snapshot::new(conn).list("check the file", sql, [], |row| text(row, 0));
    for line in findings.catch("db.integrity", lines).unwrap_or_default() {
        if line != "ok" {
            findings.add("db.integrity", line);
        }
    }
    let sql = "SELECT \"table\", rowid, parent FROM pragma_foreign_key_check";
    let orphans = Snapshot::new(conn).list("check foreign keys", sql, [], |row| {
        let rowid = row.get::<_, Option<i64>>(1)?.map_or(String::new(), |id| format!(" {id}"));
        let (table, parent) = (text(row, 0)?, text(row, 2)?);
        Ok(format!("a row of {table}{rowid} refers to a row of {parent} that does not exist"))
    });
    for orphan in findings.catch("db.foreign_keys", orphans).unwrap_or_default() {
        findings.add("db.foreign_keys", orphan);
    }
}
