//! What no constraint and no digest covers: the identity of the log, the counters of session numbers, and
//! texts that are not UTF-8.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::db::text::{decode, text};
use crate::db::tx::Snapshot;
use crate::error::{Context, Result};

use super::Findings;

/// A project whose counter would give a session number a second time.
pub(crate) struct Counter {
    pub(crate) project: String,
    /// The number that is stored, if there is one.
    pub(crate) stored: Option<i64>,
    /// The highest number that was used.
    pub(crate) used: i64,
}

/// A text that is not UTF-8.
pub(crate) struct InvalidText {
    pub(crate) table: String,
    pub(crate) column: String,
    /// Whether the column is part of the key: then no command can name the row.
    pub(crate) is_key: bool,
    /// The SQL condition that selects the row.
    pub(crate) row: String,
    /// The key, for people.
    key: String,
}

/// Adds findings about the identity of the log, lost rows and the counters.
pub(super) fn check(conn: &Connection, findings: &mut Findings) {
    let id = "log.identity";
    if findings.catch(id, has_log_id(conn)) == Some(false) {
        findings.add(id, "the log id is not 32 hexadecimal digits".to_owned());
    }
    let id = "db.rows";
    for table in findings.catch(id, missing_rows(conn)).unwrap_or_default() {
        findings.add(id, format!("{table} has no row"));
    }
    let id = "session.counter";
    for Counter { project, stored, used } in findings.catch(id, counters(conn)).unwrap_or_default()
    {
        let stored = stored.map_or("missing".to_owned(), |stored| stored.to_string());
        let message = format!(
            "the counter of project {project} is {stored}, but session number {used} was used"
        );
        findings.add(id, message);
    }
}

/// Adds warnings about texts that are not UTF-8, which harm only the value itself. The tables `sound` are
/// known to have none.
pub(super) fn warn_of_texts(
    conn: &Connection,
    sound: &[&str],
    warnings: &mut Findings,
) -> Result<()> {
    invalid_texts(conn, sound, &mut |found| {
        let InvalidText { table, column, is_key, key, .. } = found;
        let effect = if is_key { ": no command can name this row" } else { "" };
        let message = format!("{column} of the row {key} of {table} is not UTF-8{effect}");
        warnings.add("text.utf8", message);
    })
}

const SELECT_LOG_ID: &str = "SELECT count(*) = 1 AND sum(length(log_id) = 32
    AND log_id NOT GLOB '*[^0-9a-f]*') = 1 FROM log_meta";

/// Whether the log has an id as `init` and `import` give it.
pub(crate) fn has_log_id(conn: &Connection) -> Result<bool> {
    conn.query_row(SELECT_LOG_ID, [], |row| row.get(0)).context("read the log id")
}

/// The tables of which one row is always there; nothing that is written to them is stored without it.
const SINGLE_ROWS: [&str; 4] = ["log_meta", "change_context", "retention", "upkeep"];

/// Those of the tables with one row that have none.
pub(crate) fn missing_rows(conn: &Connection) -> Result<Vec<&'static str>> {
    let mut missing = Vec::new();
    for table in SINGLE_ROWS {
        let sql = format!("SELECT NOT EXISTS (SELECT 1 FROM {table})");
        if conn.query_row(&sql, [], |row| row.get(0)).context("count the rows of a table")? {
            missing.push(table);
        }
    }
    Ok(missing)
}

/// A deleted session is in the log only.
const SELECT_COUNTERS: &str = "WITH used (project_id, num) AS (
        SELECT project_id, max(num) FROM session GROUP BY project_id
        UNION ALL
        SELECT project, iif(json_valid(before), json_extract(before, '$.num'), NULL)
        FROM change_log WHERE entity = 'session' AND op = 'delete')
    SELECT project_id, last_num, max(num) FROM used LEFT JOIN session_counter USING (project_id)
    GROUP BY project_id HAVING max(num) > coalesce(last_num, 0) ORDER BY project_id";

pub(crate) fn counters(conn: &Connection) -> Result<Vec<Counter>> {
    Snapshot::new(conn).list("read the session counters", SELECT_COUNTERS, [], |row| {
        Ok(Counter { project: text(row, 0)?, stored: row.get(1)?, used: row.get(2)? })
    })
}

/// The log keeps what was, and the images in it are made of the texts of the tables.
const SELECT_TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table'
    AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'refinery\\_%' ESCAPE '\\'
    AND name NOT IN ('change_log', 'capture_displaced') ORDER BY name";

const SELECT_COLUMNS: &str = "SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid";

/// Visits every text that is not UTF-8, except in the tables `sound`.
pub(crate) fn invalid_texts(
    conn: &Connection,
    sound: &[&str],
    visit: &mut dyn FnMut(InvalidText),
) -> Result<()> {
    let snapshot = Snapshot::new(conn);
    let tables = snapshot.list("list the tables", SELECT_TABLES, [], |row| text(row, 0))?;
    for table in tables.into_iter().filter(|table| !sound.contains(&table.as_str())) {
        let columns = snapshot.list("list the columns", SELECT_COLUMNS, [&table], |row| {
            Ok((text(row, 0)?, row.get::<_, bool>(1)?))
        })?;
        of_table(conn, &table, &columns, visit)?;
    }
    Ok(())
}

fn of_table(
    conn: &Connection,
    table: &str,
    columns: &[(String, bool)],
    visit: &mut dyn FnMut(InvalidText),
) -> Result<()> {
    let step = "read the texts of a table";
    let mut statement = conn.prepare(&format!("SELECT * FROM \"{table}\"")).context(step)?;
    let mut rows = statement.query([]).context(step)?;
    while let Some(row) = rows.next().context(step)? {
        for (i, (column, is_key)) in columns.iter().enumerate() {
            match row.get_ref(i).context(step)? {
                ValueRef::Text(bytes) if str::from_utf8(bytes).is_err() => {}
                _ => continue,
            }
            let (mut conditions, mut key) = (Vec::new(), Vec::new());
            for (i, (name, _)) in columns.iter().enumerate().filter(|(_, (_, is_key))| *is_key) {
                let value = row.get_ref(i).context(step)?;
                conditions.push(format!("{name} = {}", literal(value)));
                key.push(shown(value));
            }
            visit(InvalidText {
                table: table.to_owned(),
                column: column.clone(),
                is_key: *is_key,
                row: conditions.join(" AND "),
                key: key.join(" "),
            });
        }
    }
    Ok(())
}

/// A value of a key in SQL, exactly.
fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(bytes) => format!("CAST(x'{}' AS TEXT)", hex::encode(bytes)),
        other => shown(other),
    }
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(bytes) => decode(bytes).into_owned(),
        ValueRef::Integer(number) => number.to_string(),
        // No key has such a part.
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => "NULL".to_owned(),
    }
}
