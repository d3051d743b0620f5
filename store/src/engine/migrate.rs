//! Migrating a database to the schema of this program, atomically.
//!
//! All pending migrations, the capture triggers and the version number are one transaction that
//! begins IMMEDIATE: a second process waits for it and then has nothing to do, and a kill at any
//! instruction leaves the old schema or the new one. Afterwards the live schema is compared with
//! `migrations/schema.sql`, the golden schema.

use refinery_core::traits::sync::{Migrate, Query, Transaction};
use refinery_core::{Migration, Runner, Target};
use rusqlite::{Connection, Row, TransactionBehavior};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::db::connection::APPLICATION_ID;
use crate::db::schema::{SCHEMA_VERSION, has_history, version};
use crate::db::text::text;
use crate::db::tx::Snapshot;
use crate::error::{Context, Error, Result};
use crate::log::capture;

mod embedded {
    refinery::embed_migrations!("../migrations/sqlite");
}

/// The text of the schema that all migrations together produce.
pub const GOLDEN: &str = include_str!("../../../migrations/schema.sql");

/// The result of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The schema version before.
    pub from: u32,
    /// The schema version now.
    pub to: u32,
    /// The migrations applied, in order, such as `V1__baseline`.
    pub applied: Vec<String>,
}

/// Applies the pending migrations and verifies the result.
pub(crate) fn migrate(conn: &mut Connection) -> Result<Migrated> {
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .context("begin the migration")?;
    let from = version(&tx)?;
    if from > SCHEMA_VERSION {
        return Err(Error::SchemaTooNew { found: from, known: SCHEMA_VERSION });
    }
    let mut applied = Vec::new();
    if from < SCHEMA_VERSION {
        applied = apply_pending(&tx)?;
        capture::install(&tx)?;
        tx.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};
             UPDATE log_meta SET format = {SCHEMA_VERSION};"
        ))
        .context("stamp the schema version")?;
    }
    verify(&tx)?;
    tx.commit().context("commit the migration")?;
    Ok(Migrated { from, to: SCHEMA_VERSION, applied })
}

fn apply_pending(conn: &Connection) -> Result<Vec<String>> {
    run(conn, Target::Latest)
}

fn run(conn: &Connection, target: Target) -> Result<Vec<String>> {
    let runner: Runner = embedded::migrations::runner().set_grouped(true);
    let report = runner.get_migrations().clone();
    let report = InTransaction(conn)
        .migrate(&report, true, true, true, target, HISTORY)
        .map_err(|error| Error::Migration(Box::new(error)))?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Records the migrations in a store that another program took their history from; returns whether it was
/// missing. The caller verifies the schema before it commits: that shows which migrations made it.
pub(crate) fn restore_history(conn: &Connection) -> Result<bool> {
    if has_history(conn)? {
        return Ok(false);
    }
    run(conn, Target::Fake)?;
    Ok(true)
}

/// The table in which refinery records the applied migrations and their checksums.
const HISTORY: &str = "refinery_schema_history";

/// Lets refinery run inside our transaction; its own driver would commit after each step.
struct InTransaction<'c>(&'c Connection);

impl Transaction for InTransaction<'_> {
    type Error = rusqlite::Error;

    fn execute<'a, T: Iterator<Item = &'a str>>(&mut self, queries: T) -> rusqlite::Result<usize> {
        let mut count = 0;
        for query in queries {
            self.0.execute_batch(query)?;
            count += 1;
        }
        Ok(count)
    }
}

impl Query<Vec<Migration>> for InTransaction<'_> {
    fn query(&mut self, query: &str) -> rusqlite::Result<Vec<Migration>> {
        let mut statement = self.0.prepare(query)?;
        let rows = statement.query_map([], |row| {
            // An unreadable history is reported as a divergent migration.
            let applied_on = OffsetDateTime::parse(&text(row, 2)?, &Rfc3339)
                .unwrap_or(OffsetDateTime::UNIX_EPOCH);
            let checksum = text(row, 3)?.parse().unwrap_or(0);
            Ok(Migration::applied(row.get(0)?, text(row, 1)?, applied_on, checksum))
        })?;
        rows.collect()
    }
}

impl Migrate for InTransaction<'_> {}

const SELECT_SCHEMA: &str = "SELECT name, sql FROM sqlite_schema
    WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' AND name <> 'refinery_schema_history'
    ORDER BY CASE type WHEN 'table' THEN 1 WHEN 'index' THEN 2 WHEN 'view' THEN 3 ELSE 4 END, name";

fn live_schema(conn: &Connection) -> Result<Vec<(String, String)>> {
    let mut statement = conn.prepare(SELECT_SCHEMA).context("read the schema")?;
    let rows = statement
        .query_map([], |row| Ok((text(row, 0)?, format!("{};", text(row, 1)?))))
        .context("read the schema")?;
    rows.collect::<rusqlite::Result<_>>().context("read the schema")
}

/// Compares the live schema with the golden one and names the first object that differs.
pub(crate) fn verify(conn: &Connection) -> Result<()> {
    match differences(conn)?.into_iter().next() {
        Some(difference) => Err(Error::SchemaMismatch(difference)),
        None => Ok(()),
    }
}

/// Every table, index, view and trigger that differs from the golden schema.
pub(crate) fn differences(conn: &Connection) -> Result<Vec<String>> {
    let live = live_schema(conn)?;
    let golden = golden();
    let is_golden = |sql: &str| golden.contains(&sql.trim_end_matches(';'));
    let is_ours = |name: &str| golden.iter().any(|sql| name_of(sql) == name);
    let mut found: Vec<_> = live
        .iter()
        .filter(|(_, sql)| !is_golden(sql))
        .map(|(name, _)| match is_ours(name) {
            true => format!("{name} differs from the migrations"),
            false => format!("{name} was created by another program"),
        })
        .collect();
    for sql in golden {
        let name = name_of(sql);
        if !live.iter().any(|(live, _)| live == name) {
            found.push(format!("{name} is missing"));
        }
    }
    Ok(found)
}

/// The statements of the golden schema.
fn golden() -> Vec<&'static str> {
    GOLDEN.trim_end().split(";\n\n").map(|sql| sql.trim_end_matches(';')).collect()
}

const SELECT_OBJECTS: &str = "SELECT type, name, sql FROM sqlite_schema
    WHERE type IN ('index', 'view', 'trigger') AND sql IS NOT NULL";

/// Makes the indexes, views and triggers, which contain no data, those of the golden schema; returns
/// what was done.
///
/// # Errors
/// `SCHEMA_MISMATCH` when one of them cannot be created, as a unique index over equal rows.
pub(crate) fn recreate(conn: &Connection) -> Result<Vec<String>> {
    let (step, golden) = ("re-create the schema", golden());
    let mut done = Vec::new();
    let read = |row: &Row<'_>| Ok((text(row, 0)?, text(row, 1)?, text(row, 2)?));
    let objects = Snapshot::new(conn).list(step, SELECT_OBJECTS, [], read)?;
    let (same, other): (Vec<_>, Vec<_>) =
        objects.into_iter().partition(|(_, _, sql)| golden.contains(&sql.as_str()));
    for (kind, name, _) in other {
        let quoted = name.replace('"', "\"\"");
        conn.execute_batch(&format!("DROP {kind} \"{quoted}\"")).context(step)?;
        done.push(format!("drop the {kind} {name}"));
    }
    let is_table = |sql: &str| sql.starts_with("CREATE TABLE");
    for sql in golden.into_iter().filter(|sql| !is_table(sql)) {
        let name = name_of(sql);
        if same.iter().all(|(_, live, _)| live != name) {
            let refused = |error| Error::SchemaMismatch(format!("{name} is missing: {error}"));
            conn.execute_batch(sql).map_err(refused)?;
            done.push(format!("create {name}"));
        }
    }
    Ok(done)
}

/// The name in the text of an object, which follows CREATE and the type of the object.
fn name_of(sql: &str) -> &str {
    let mut words = sql.split([' ', '\n', '(']);
    let kinds = ["CREATE", "UNIQUE", "TABLE", "INDEX", "VIEW", "TRIGGER"];
    words.find(|word| !kinds.contains(word)).unwrap_or_default().trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::schema::BASELINE;
    use std::fs;
    use std::path::Path;

    fn fresh() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        apply_pending(&conn).unwrap();
        capture::install(&conn).unwrap();
        conn
    }

    /// `AO_UPDATE_GOLDEN=1 cargo test -p ao-store golden` writes the file.
    #[test]
    fn the_golden_schema_is_the_sum_of_the_migrations() {
        let statements: Vec<_> = live_schema(&fresh()).unwrap().into_iter().map(|s| s.1).collect();
        let sum = statements.join("\n\n") + "\n";
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/schema.sql");
        if std::env::var_os("AO_UPDATE_GOLDEN").is_some() {
            fs::write(&file, &sum).unwrap();
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), sum, "run with AO_UPDATE_GOLDEN=1");
    }

    #[test]
    fn the_schema_version_is_that_of_the_newest_migration() {
        let newest =
            embedded::migrations::runner().get_migrations().iter().map(|m| m.version()).max();
        assert_eq!(newest, i32::try_from(SCHEMA_VERSION).ok());
    }

    #[test]
    fn the_baseline_is_known_by_its_checksum() {
        let runner = embedded::migrations::runner();
        assert_eq!(BASELINE, runner.get_migrations()[0].checksum().to_string());
    }

    /// SQLite 3.40, as a foreign writer may have it, gives a function at most 127 arguments: a name and a value
    /// of each column.
    #[test]
    fn an_image_has_as_many_columns_as_a_stock_sqlite_can_make() {
        let conn = fresh();
        for table in capture::tables() {
            let sql = "SELECT count(*) FROM pragma_table_xinfo(?1)";
            let columns: u32 = conn.query_row(sql, [table], |row| row.get(0)).unwrap();
            assert!((1..=63).contains(&columns), "{table} has {columns}");
        }
    }

    #[test]
    fn verification_names_what_differs() {
        let conn = fresh();
        verify(&conn).unwrap();
        for (fault, named) in [
            ("DROP TRIGGER capture_pr_update", "missing"),
            ("CREATE TABLE stray (x)", "stray"),
            ("ALTER TABLE pr ADD COLUMN stray TEXT", "pr "),
            ("DROP INDEX session_active_orchestrator", "missing"),
        ] {
            conn.execute_batch(&format!("BEGIN; {fault};")).unwrap();
            let error = verify(&conn).unwrap_err();
            assert_eq!(error.code(), crate::Code::SchemaMismatch);
            assert!(error.to_string().contains(named), "{fault}: {error}");
            conn.execute_batch("ROLLBACK").unwrap();
        }
    }
}
