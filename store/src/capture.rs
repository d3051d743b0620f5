//! Capture: generated from the live schema, so that it is complete by construction.
//!
//! Each captured table has a view `capture_<table>` of its rows as JSON images with key, project and
//! session, and triggers that put one row a change into the view `capture`, whose INSTEAD OF trigger
//! appends it to `change_log`. They use only functions that a stock SQLite 3.40 has, so a foreign
//! writer is captured too. (Text counts: every process parses the whole schema when it opens the
//! file, which is why images are spelled out in one view and not in each trigger.)
//!
//! A BEFORE trigger makes it hold for `OR REPLACE` by a writer with `recursive_triggers` off, for
//! which SQLite deletes the conflicting row without firing its delete trigger: it notes the rows
//! that conflict in `capture_displaced`, and the AFTER trigger logs those that are really gone.

use rusqlite::Connection;

use crate::error::{Context, Error, Result};

/// Where the project and session of a change come from.
enum Owner {
    /// The row is a project.
    Project,
    /// The row is a session.
    Session,
    /// The row is a pull request.
    Pr,
    /// The row belongs to a pull request.
    OfPr,
}

/// What is captured of one table.
struct Captured {
    table: &'static str,
    owner: Owner,
    inserted: &'static str,
    /// An SQL expression over OLD and NEW.
    updated: &'static str,
    deleted: &'static str,
}

/// Every captured table. The columns are read from the schema.
const CAPTURED: &[Captured] = &[
    Captured {
        table: "project",
        owner: Owner::Project,
        inserted: "project_created",
        updated: "CASE WHEN OLD.archived_at IS NULL AND NEW.archived_at IS NOT NULL THEN 'project_archived' \
                  WHEN OLD.archived_at IS NOT NULL AND NEW.archived_at IS NULL THEN 'project_restored' \
                  ELSE 'project_updated' END",
        deleted: "project_deleted",
    },
    Captured {
        table: "session",
        owner: Owner::Session,
        inserted: "session_created",
        updated: "CASE WHEN OLD.is_terminated < NEW.is_terminated THEN 'session_terminated' \
                  WHEN OLD.is_terminated > NEW.is_terminated THEN 'session_restored' \
                  ELSE 'session_updated' END",
        deleted: "session_deleted",
    },
    Captured {
        table: "pr",
        owner: Owner::Pr,
        inserted: "pr_created",
        updated: "CASE WHEN OLD.session_id IS NOT NEW.session_id THEN 'pr_session_changed' \
                  ELSE 'pr_updated' END",
        deleted: "pr_deleted",
    },
    Captured {
        table: "pr_check",
        owner: Owner::OfPr,
        inserted: "pr_check_recorded",
        updated: "'pr_check_recorded'",
        deleted: "pr_check_removed",
    },
    Captured {
        table: "pr_review_thread",
        owner: Owner::OfPr,
        inserted: "pr_review_thread_added",
        updated: "CASE WHEN OLD.is_resolved < NEW.is_resolved THEN 'pr_review_thread_resolved' \
                  WHEN OLD.is_resolved > NEW.is_resolved THEN 'pr_review_thread_reopened' \
                  ELSE 'pr_review_thread_updated' END",
        deleted: "pr_review_thread_removed",
    },
    Captured {
        table: "pr_review",
        owner: Owner::OfPr,
        inserted: "pr_review_added",
        updated: "'pr_review_updated'",
        deleted: "pr_review_removed",
    },
    Captured {
        table: "pr_comment",
        owner: Owner::OfPr,
        inserted: "pr_comment_added",
        updated: "'pr_comment_updated'",
        deleted: "pr_comment_removed",
    },
];

/// The types that capture can give a change, in the order of the tables.
pub const CHANGE_TYPES: &[&str] = &[
    "project_created", "project_updated", "project_archived", "project_restored", "project_deleted",
    "session_created", "session_updated", "session_terminated", "session_restored",
    "session_deleted", "pr_created", "pr_updated", "pr_session_changed", "pr_deleted",
    "pr_check_recorded", "pr_check_removed", "pr_review_thread_added",
    "pr_review_thread_updated", "pr_review_thread_resolved", "pr_review_thread_reopened",
    "pr_review_thread_removed", "pr_review_added", "pr_review_updated", "pr_review_removed",
    "pr_comment_added", "pr_comment_updated", "pr_comment_removed",
];

/// The names of the captured tables.
pub(crate) fn tables() -> impl Iterator<Item = &'static str> {
    CAPTURED.iter().map(|captured| captured.table)
}

/// Appends a change. A transaction of ours gives its time and actor; a foreign writer's change has
/// the time of its statement, never older than the change before it, and makes the stored sets of
/// its pull request differ from what was last observed.
const APPEND: &str = "CREATE TRIGGER capture_append INSTEAD OF INSERT ON capture
BEGIN
  INSERT INTO change_log (tx, at, actor, type, entity, op, key, project, session, before, after)
  SELECT c.tx, CASE WHEN c.tx IS NULL THEN max(c.at,
      coalesce((SELECT at FROM change_log ORDER BY seq DESC LIMIT 1), 0),
      CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)) ELSE c.at END,
    c.actor, NEW.type, NEW.entity, NEW.op, NEW.key, NEW.project, NEW.session, NEW.before, NEW.after
  FROM change_context c;
  UPDATE pr_observed SET checks_digest = NULL, threads_digest = NULL, reviews_digest = NULL,
    comments_digest = NULL
  WHERE (SELECT tx FROM change_context) IS NULL AND NEW.entity LIKE 'pr_%'
    AND pr_id = json_extract(NEW.key, '$[0]');
END";

const SELECT_CAPTURE: &str = "SELECT type, name FROM sqlite_schema
    WHERE (name = 'capture' OR name LIKE 'capture!_%' ESCAPE '!') AND type IN ('trigger', 'view')
    ORDER BY type";

/// Drops every capture trigger and view.
pub(crate) fn uninstall(conn: &Connection) -> Result<()> {
    let mut statement = conn.prepare(SELECT_CAPTURE).context("list capture triggers")?;
    let objects = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<(String, String)>>>)
        .context("list capture triggers")?;
    for (kind, name) in objects {
        conn.execute_batch(&format!("DROP {kind} {name}")).context("drop a capture trigger")?;
    }
    Ok(())
}

/// Creates views and triggers for every captured table from its columns and keys.
pub(crate) fn install(conn: &Connection) -> Result<()> {
    let view = "CREATE VIEW capture AS
SELECT type, entity, op, key, project, session, before, after FROM change_log";
    conn.execute_batch(view).context("create the capture view")?;
    conn.execute_batch(APPEND).context("create the capture trigger")?;
    for captured in CAPTURED {
        for sql in Table::read(conn, captured)?.statements() {
            conn.execute_batch(&sql).context("create a capture trigger")?;
        }
    }
    Ok(())
}

/// A unique index beside the primary key: the SQL that finds the rows a new row conflicts with,
/// and the columns on which that depends.
struct UniqueIndex {
    conflict: String,
    columns: Vec<String>,
}

/// A column of a captured table.
struct Column {
    name: String,
    is_nullable: bool,
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
            .prepare("SELECT name, \"notnull\", pk FROM pragma_table_xinfo(?1) ORDER BY cid")
            .context("read columns")?;
        let rows = statement
            .query_map([captured.table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .and_then(Iterator::collect::<rusqlite::Result<Vec<(String, bool, i64)>>>)
            .context("read columns")?;
        let mut key: Vec<_> = rows.iter().filter(|(_, _, pk)| *pk > 0).collect();
        key.sort_by_key(|(_, _, pk)| *pk);
        let key: Vec<_> = key.into_iter().map(|(name, _, _)| name.clone()).collect();
        if key.is_empty() {
            return Err(Error::SchemaMismatch(format!("{} has no primary key", captured.table)));
        }
        let columns: Vec<_> = rows
            .into_iter()
            .map(|(name, not_null, _)| Column { name, is_nullable: !not_null })
            .collect();
        let unique = unique_indexes(conn, captured.table, &columns)?;
        Ok(Table { captured, columns, key, unique })
    }

    fn statements(&self) -> Vec<String> {
        let mut statements = vec![
            self.view(),
            self.displace_before_insert(),
            self.after_insert(),
            self.after_update(),
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
            Owner::Pr => ("t.project_id".to_owned(), "t.session_id".to_owned(), ""),
            // The pull request is gone when it was displaced and its children cascade.
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
            "CREATE TRIGGER capture_{table}_insert AFTER INSERT ON {table}\nBEGIN\n{displaced}\n  \
             INSERT INTO capture SELECT '{inserted}', '{table}', 'insert', change_key,\n    \
             change_project, change_session, NULL, image\n  \
             FROM capture_{table} WHERE {here};\n{forget}\nEND",
            displaced = self.log_displaced(),
            here = self.same_key("NEW"),
            forget = self.forget_displaced(),
        )
    }

    /// An update that changes no value makes no change: the images are compared.
    fn after_update(&self) -> String {
        let Captured { table, updated, .. } = self.captured;
        let moved: Vec<_> =
            self.key.iter().map(|column| format!("OLD.{column} IS NOT NEW.{column}")).collect();
        let (displaced, forget) = if self.unique.is_empty() {
            (String::new(), String::new())
        } else {
            (format!("\n{}", self.log_displaced()), format!("\n{}", self.forget_displaced()))
        };
        format!(
            "CREATE TRIGGER capture_{table}_update AFTER UPDATE ON {table}\nBEGIN\n  \
             SELECT RAISE(ABORT, 'the key of {table} never changes') WHERE {moved};{displaced}\n  \
             INSERT INTO capture SELECT {updated}, '{table}', 'update', change_key,\n    \
             change_project, change_session, before, image\n  \
             FROM capture_{table}, (SELECT {before} AS before)\n  \
             WHERE {here} AND before IS NOT image;{forget}\nEND",
            moved = moved.join(" OR "),
            before = self.image("OLD"),
            here = self.same_key("NEW"),
        )
    }

    /// BEFORE, while the row and the pull request it belongs to can still be read.
    fn before_delete(&self) -> String {
        let Captured { table, deleted, .. } = self.captured;
        format!(
            "CREATE TRIGGER capture_{table}_delete BEFORE DELETE ON {table}\nBEGIN\n  \
             INSERT INTO capture SELECT '{deleted}', '{table}', 'delete', change_key,\n    \
             change_project, change_session, image, NULL\n  \
             FROM capture_{table} WHERE {here};\n  \
             DELETE FROM capture_displaced WHERE entity = '{table}' AND key = {key};\nEND",
            here = self.same_key("OLD"),
            key = self.key_array("OLD"),
        )
    }

    /// Notes the rows that the row about to be inserted conflicts with.
    fn displace_before_insert(&self) -> String {
        let mut conflicts = vec![self.same_key("NEW")];
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

    /// Logs the deletion of the noted rows that are gone or had the key of the new row.
    fn log_displaced(&self) -> String {
        let Captured { table, deleted, .. } = self.captured;
        let found: Vec<_> = self
            .key
            .iter()
            .enumerate()
            .map(|(i, column)| format!("{column} = json_extract(d.key, '$[{i}]')"))
            .collect();
        format!(
            "  INSERT INTO capture SELECT '{deleted}', '{table}', 'delete', key, project, session, \
             image, NULL\n  FROM capture_displaced d WHERE entity = '{table}' AND (key = {key}\n    \
             OR NOT EXISTS (SELECT 1 FROM {table} WHERE {found}));",
            key = self.key_array("NEW"),
            found = found.join(" AND "),
        )
    }

    fn forget_displaced(&self) -> String {
        format!("  DELETE FROM capture_displaced WHERE entity = '{}';", self.captured.table)
    }

    fn same_key(&self, row: &str) -> String {
        let columns: Vec<_> =
            self.key.iter().map(|column| format!("{column} = {row}.{column}")).collect();
        columns.join(" AND ")
    }

    fn key_array(&self, row: &str) -> String {
        let columns: Vec<_> = self.key.iter().map(|column| format!("{row}.{column}")).collect();
        format!("json_array({})", columns.join(", "))
    }

    /// The full image of a row as a JSON object; a column named `is_…` becomes a JSON boolean.
    fn image(&self, row: &str) -> String {
        let fields: Vec<_> = self
            .columns
            .iter()
            .map(|Column { name, is_nullable }| {
                let boolean = format!("iif({row}.{name}, json('true'), json('false'))");
                match (name.starts_with("is_"), is_nullable) {
                    (true, true) => format!("'{name}', iif({row}.{name} IS NULL, NULL, {boolean})"),
                    (true, false) => format!("'{name}', {boolean}"),
                    (false, _) => format!("'{name}', {row}.{name}"),
                }
            })
            .collect();
        format!("json_object({})", fields.join(", "))
    }
}

fn unique_indexes(conn: &Connection, table: &str, all: &[Column]) -> Result<Vec<UniqueIndex>> {
    let mut statement = conn
        .prepare(
            "SELECT l.name, s.sql FROM pragma_index_list(?1) l
             LEFT JOIN sqlite_schema s ON s.name = l.name
             WHERE l.\"unique\" = 1 AND l.origin <> 'pk' ORDER BY l.name",
        )
        .context("read indexes")?;
    let indexes = statement
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<(String, Option<String>)>>>)
        .context("read indexes")?;
    indexes.iter().map(|(name, sql)| unique_index(conn, name, sql.as_deref(), all)).collect()
}

fn unique_index(
    conn: &Connection,
    name: &str,
    sql: Option<&str>,
    all: &[Column],
) -> Result<UniqueIndex> {
    let mut statement = conn
        .prepare("SELECT name, coll FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno")
        .context("read an index")?;
    let parts = statement
        .query_map([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<(Option<String>, String)>>>)
        .context("read an index")?;
    let mut columns = Vec::new();
    let mut terms = Vec::new();
    for (column, collation) in parts {
        let column = column.ok_or_else(|| {
            Error::SchemaMismatch(format!("capture cannot follow the expression index {name}"))
        })?;
        terms.push(format!("{column} = NEW.{column} COLLATE {collation}"));
        columns.push(column);
    }
    if let Some((_, predicate)) = sql.and_then(|sql| sql.split_once("WHERE ")) {
        let predicate = predicate.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = |c: char| !(c.is_alphanumeric() || c == '_');
        let named = predicate.split(words).filter(|word| all.iter().any(|column| column.name == *word));
        columns.extend(named.map(str::to_owned));
        terms.push(predicate);
    }
    Ok(UniqueIndex { conflict: terms.join(" AND "), columns })
}
