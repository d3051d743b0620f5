//! Capture triggers, generated from the live schema, so that capture is complete by construction.
//!
//! Each captured table has triggers that append one row per change to `change_log`, with the full
//! images of the row, and a view `capture_<table>` of its rows as images with key, project and
//! session, which all triggers but the update trigger read. (The size of the schema matters, since
//! every process parses it when it opens the file: images are spelled out only where speed needs it.)
//! The triggers use only functions of a stock SQLite 3.40, so a foreign writer is captured too.
//!
//! For `OR REPLACE` by a writer with `recursive_triggers` off, SQLite deletes the conflicting row
//! without firing its delete trigger. A BEFORE trigger therefore stores the conflicting rows in
//! `capture_displaced`, and the AFTER trigger logs those that were deleted.

mod captured;
mod unique;

use rusqlite::{Connection, Row};

use self::captured::{CAPTURED, Captured, Owner};
use self::unique::{UniqueIndex, unique_indexes};
use crate::error::{Context, Error, Result};

pub use self::captured::CHANGE_TYPES;

/// The names of the captured tables.
pub(crate) fn tables() -> impl Iterator<Item = &'static str> {
    CAPTURED.iter().map(|captured| captured.table)
}

/// The columns of the primary key of a captured table, in order; all of them are text.
pub(crate) fn key_columns(conn: &Connection, table: &str) -> Result<Vec<String>> {
    let step = "read a key";
    let sql = "SELECT name FROM pragma_table_xinfo(?1) WHERE pk > 0 ORDER BY pk";
    let mut statement = conn.prepare_cached(sql).context(step)?;
    let names = statement.query_map([table], |row| row.get(0)).context(step)?;
    names.collect::<rusqlite::Result<_>>().context(step)
}

/// A transaction of this program sets the time. A foreign writer advances the time of the context to
/// that of its statement, but never back, and is counted.
const CLOCK: &str = "  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;";

/// Creates views and triggers for every captured table from its columns and keys.
pub(crate) fn install(conn: &Connection) -> Result<()> {
    for captured in CAPTURED {
        for sql in Table::read(conn, captured)?.statements() {
            conn.execute_batch(&sql).context("create a capture trigger")?;
        }
    }
    Ok(())
}

/// A column of a captured table.
struct Column {
    name: String,
    is_nullable: bool,
    is_integer: bool,
}

impl Column {
    fn is_boolean(&self) -> bool {
        self.name.starts_with("is_")
    }
}

/// A captured table as the live schema describes it.
struct Table<'a> {
    captured: &'a Captured,
    columns: Vec<Column>,
    key: Vec<String>,
    unique: Vec<UniqueIndex>,
}

impl<'a> Table<'a> {
    fn read(conn: &Connection, captured: &'a Captured) -> Result<Table<'a>> {
        let mut statement = conn
            .prepare(
                "SELECT name, \"notnull\" = 0, type = 'INTEGER'
                FROM pragma_table_xinfo(?1) ORDER BY cid",
            )
            .context("read columns")?;
        let column = |row: &Row<'_>| {
            Ok(Column { name: row.get(0)?, is_nullable: row.get(1)?, is_integer: row.get(2)? })
        };
        let columns = statement
            .query_map([captured.table], column)
            .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
            .context("read columns")?;
        let key = key_columns(conn, captured.table)?;
        if key.is_empty() {
            return Err(Error::SchemaMismatch(format!("{} has no primary key", captured.table)));
        }
        let unique = unique_indexes(conn, captured.table, &columns)?;
        Ok(Table { captured, columns, key, unique })
    }

    fn statements(&self) -> Vec<String> {
        let mut statements = vec![
            self.view(),
            self.displace_before_insert(),
            self.after_insert(),
            self.after_update(),
            self.before_update_of_key(),
            self.before_delete(),
        ];
        statements.extend(self.displace_before_update());
        statements
    }

    /// The rows as images.
    fn view(&self) -> String {
        let table = self.captured.table;
        let displaced = |column: &str| {
            format!(
                "coalesce(p.{column}_id, (SELECT {column} FROM capture_displaced \
                 WHERE entity = 'pr' AND key = json_array(t.pr_id)))"
            )
        };
        let (project, session, join) = match self.captured.owner {
            Owner::Project => ("t.id".to_owned(), "NULL".to_owned(), ""),
            Owner::Session => ("t.project_id".to_owned(), "t.id".to_owned(), ""),
            Owner::Named => ("t.project_id".to_owned(), "t.session_id".to_owned(), ""),
            Owner::Org => ("NULL".to_owned(), "NULL".to_owned(), ""),
            // A displaced pull request no longer exists when the delete of its children cascades.
            Owner::OfPr => {
                (displaced("project"), displaced("session"), " LEFT JOIN pr p ON p.id = t.pr_id")
            }
        };
        let mut columns: Vec<_> = self.key.clone();
        columns.extend(self.unique.iter().flat_map(|index| index.columns.iter().cloned()));
        columns.sort();
        columns.dedup();
        let columns: Vec<_> = columns.iter().map(|column| format!("t.{column}")).collect();
        format!(
            "CREATE VIEW capture_{table} AS\nSELECT {columns},\n  {key} AS change_key,\n  \
             {project} AS change_project,\n  {session} AS change_session,\n  {image} AS image\n\
             FROM {table} t{join}",
            columns = columns.join(", "),
            key = self.key_array("t"),
            image = self.image("t"),
        )
    }

    fn after_insert(&self) -> String {
        let Captured { table, inserted, .. } = self.captured;
        format!(
            "CREATE TRIGGER capture_{table}_insert AFTER INSERT ON {table}\nBEGIN\n{CLOCK}\n\
             {displaced}\n  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, '{inserted}', \
             '{table}', 'insert',\n    change_key, change_project, change_session, NULL, image\n  \
             FROM change_context c, capture_{table} v WHERE {here};\n{forget}\nEND",
            // A displaced row with the key of the new row existed before it.
            displaced = self.log_displaced(&format!("key = {}\n    OR ", self.key_array("NEW"))),
            here = self.same_key("v.", "NEW"),
            forget = self.forget_displaced(),
        )
    }

    /// An update that changes no value is not logged. The updated row itself may be among the displaced
    /// ones, since an upsert first tries to insert.
    fn after_update(&self) -> String {
        let Captured { table, updated, .. } = self.captured;
        let (displaced, forget) = if self.unique.is_empty() {
            (String::new(), String::new())
        } else {
            (format!("\n{}", self.log_displaced("")), format!("\n{}", self.forget_displaced()))
        };
        let (when, values) = match self.captured.owner {
            Owner::OfPr => self.update_by_columns(),
            Owner::Project | Owner::Session | Owner::Named | Owner::Org => self.update_by_image(),
        };
        format!(
            "CREATE TRIGGER capture_{table}_update AFTER UPDATE ON {table}{when}\nBEGIN\n\
             {CLOCK}{displaced}\n  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, \
             {updated}, '{table}', 'update',\n    {values};{forget}\nEND"
        )
    }

    /// Fast, for the rows that change most: names every column four times.
    fn update_by_columns(&self) -> (String, String) {
        let columns: Vec<_> = self.columns.iter().map(|column| column.name.clone()).collect();
        let values = format!(
            "{key}, p.project_id, p.session_id,\n    {before},\n    {after}\n  \
             FROM change_context c LEFT JOIN pr p ON p.id = NEW.pr_id",
            key = self.key_array("NEW"),
            before = self.image("OLD"),
            after = self.image("NEW"),
        );
        (format!("\nWHEN {}", differs(&columns)), values)
    }

    /// Short, for the wide rows that change less: compares the images.
    fn update_by_image(&self) -> (String, String) {
        let values = format!(
            "change_key, change_project, change_session, before, image\n  \
             FROM change_context c, capture_{table} v, (SELECT {before} AS before)\n  \
             WHERE {here} AND before IS NOT image",
            table = self.captured.table,
            before = self.image("OLD"),
            here = self.same_key("v.", "NEW"),
        );
        (String::new(), values)
    }

    /// Separate from the update trigger, so that an update without a key column never compiles it.
    fn before_update_of_key(&self) -> String {
        let table = self.captured.table;
        format!(
            "CREATE TRIGGER capture_{table}_key BEFORE UPDATE OF {columns} ON {table}\n\
             WHEN {moved}\nBEGIN\n  SELECT RAISE(ABORT, 'the key of {table} never changes');\nEND",
            columns = self.key.join(", "),
            moved = differs(&self.key),
        )
    }

    /// BEFORE, while the row and its pull request can still be read.
    fn before_delete(&self) -> String {
        let Captured { table, deleted, children, .. } = self.captured;
        // SQLite does not define the order of two triggers, so this one deletes the children.
        let children: Vec<_> = children
            .iter()
            .map(|(child, parent)| format!("  DELETE FROM {child} WHERE {parent} = OLD.id;\n"))
            .collect();
        format!(
            "CREATE TRIGGER capture_{table}_delete BEFORE DELETE ON {table}\nBEGIN\n{CLOCK}\n{children}  \
             INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, '{deleted}', '{table}', \
             'delete',\n    change_key, change_project, change_session, image, NULL\n  \
             FROM change_context c, capture_{table} v WHERE {here};\n  \
             DELETE FROM capture_displaced WHERE entity = '{table}' AND key = {key};\nEND",
            children = children.concat(),
            here = self.same_key("v.", "OLD"),
            key = self.key_array("OLD"),
        )
    }

    /// Stores the rows that conflict with the row to insert.
    fn displace_before_insert(&self) -> String {
        let mut conflicts = vec![self.same_key("", "NEW")];
        conflicts.extend(self.unique.iter().map(|index| index.conflict.clone()));
        self.displace("insert", "INSERT", &conflicts)
    }

    /// The same for an update that names a column on which a unique index depends.
    fn displace_before_update(&self) -> Option<String> {
        let other: Vec<_> =
            self.key.iter().map(|column| format!("{column} IS NOT OLD.{column}")).collect();
        let other = other.join(" OR ");
        let conflicts: Vec<_> =
            self.unique.iter().map(|index| format!("{} AND ({other})", index.conflict)).collect();
        let mut columns: Vec<_> = self.unique.iter().flat_map(|index| &index.columns).collect();
        columns.sort();
        columns.dedup();
        let columns: Vec<_> = columns.into_iter().map(String::as_str).collect();
        let event = format!("UPDATE OF {}", columns.join(", "));
        (!conflicts.is_empty()).then(|| self.displace("update", &event, &conflicts))
    }

    fn displace(&self, op: &str, event: &str, conflicts: &[String]) -> String {
        let table = self.captured.table;
        let exists: Vec<_> = conflicts
            .iter()
            .map(|conflict| format!("EXISTS (SELECT 1 FROM {table} WHERE {conflict})"))
            .collect();
        let conflicts: Vec<_> = conflicts.iter().map(|conflict| format!("({conflict})")).collect();
        // No conflict clause here: the outer statement's OR REPLACE would override it.
        format!(
            "CREATE TRIGGER capture_{table}_displace_{op} BEFORE {event} ON {table}\n\
             WHEN {exists}\nBEGIN\n{forget}\n  INSERT INTO capture_displaced\n  \
             SELECT '{table}', change_key, change_project, change_session, image\n  \
             FROM capture_{table} WHERE {conflicts};\nEND",
            exists = exists.join(" OR "),
            forget = self.forget_displaced(),
            conflicts = conflicts.join(" OR "),
        )
    }

    /// Logs the deletion of the displaced rows that no longer exist or match `or`.
    fn log_displaced(&self, or: &str) -> String {
        let Captured { table, deleted, .. } = self.captured;
        let found: Vec<_> = self
            .key
            .iter()
            .enumerate()
            .map(|(i, column)| format!("{column} = json_extract(d.key, '$[{i}]')"))
            .collect();
        format!(
            "  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, '{deleted}', '{table}', \
             'delete',\n    key, project, session, image, NULL\n  \
             FROM capture_displaced d CROSS JOIN change_context c WHERE entity = '{table}' AND ({or}\
             NOT EXISTS (SELECT 1 FROM {table} WHERE {found}));",
            found = found.join(" AND "),
        )
    }

    fn forget_displaced(&self) -> String {
        format!("  DELETE FROM capture_displaced WHERE entity = '{}';", self.captured.table)
    }

    fn same_key(&self, alias: &str, row: &str) -> String {
        let same = |column: &String| format!("{alias}{column} = {row}.{column}");
        let columns: Vec<_> = self.key.iter().map(same).collect();
        columns.join(" AND ")
    }

    fn key_array(&self, row: &str) -> String {
        let columns: Vec<_> = self.key.iter().map(|column| format!("{row}.{column}")).collect();
        format!("json_array({})", columns.join(", "))
    }

    /// The full image of a row as a JSON object; a column named `is_…` becomes a JSON boolean. A boolean costs
    /// `json_object` what it saves at four columns, so `printf` makes images with many: see decision 0021.
    fn image(&self, row: &str) -> String {
        let booleans = self.columns.iter().filter(|column| column.is_boolean()).count();
        if 4 * booleans > self.columns.len() {
            self.image_by_printf(row)
        } else {
            self.image_by_object(row)
        }
    }

    fn image_by_object(&self, row: &str) -> String {
        let value = |column: &Column| {
            let Column { name, is_nullable, .. } = column;
            let value = match (column.is_boolean(), is_nullable) {
                (true, true) => {
                    format!(
                        "CASE {row}.{name} WHEN 1 THEN json('true') WHEN 0 THEN json('false') END"
                    )
                }
                (true, false) => format!("iif({row}.{name}, json('true'), json('false'))"),
                (false, _) => format!("{row}.{name}"),
            };
            format!("'{name}', {value}")
        };
        let values: Vec<_> = self.columns.iter().map(value).collect();
        format!("json_object({})", values.join(", "))
    }

    fn image_by_printf(&self, row: &str) -> String {
        let names: Vec<_> =
            self.columns.iter().map(|column| format!("\"{}\":%s", column.name)).collect();
        let value = |column: &Column| {
            let Column { name, is_nullable, is_integer } = column;
            match (column.is_boolean(), is_integer, is_nullable) {
                (true, _, true) => format!(
                    "CASE {row}.{name} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END"
                ),
                (true, _, false) => format!("iif({row}.{name}, 'true', 'false')"),
                (false, true, true) => format!("coalesce({row}.{name}, 'null')"),
                (false, true, false) => format!("{row}.{name}"),
                (false, false, _) => format!("json_quote({row}.{name})"),
            }
        };
        let values: Vec<_> = self.columns.iter().map(value).collect();
        format!("printf('{{{}}}', {})", names.join(","), values.join(", "))
    }
}

fn differs(columns: &[String]) -> String {
    let terms: Vec<_> =
        columns.iter().map(|column| format!("OLD.{column} IS NOT NEW.{column}")).collect();
    terms.join(" OR ")
}
